"""`[[weather]]` in dam files, its documentation, and the command that fetches it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import forebay as package
from forebay.archive import weather_fetch
from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.archive.store import open_archive
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.forcing import Forcing
from forebay.errors import ConfigError
from forebay.features.daily_tables import read_daily_tables
from forebay.forecasts.forcing_notes import forcing_notes
from forebay.jobs.observations import _with_notes, fetch
from forebay.services import SERVICES
from forebay.settings import Settings
from forebay.sources.forcing_files import read_forcings
from forebay.tables import READINGS
from tests import synthetic
from tests.command_line import forebay
from tests.services.open_meteo import PATHS, OpenMeteo, open_meteo_server
from tests.shared import PROJECT
from tests.synthetic import daily_frame, rain_gauge, small_dam, write_dam
from tests.test_docs import blocks

WEATHER = '\n[[weather]]\nid = "ifs"\nmodel = "ecmwf_ifs"\npoints = "-33.9,150.6"\n'
NOW = datetime(2024, 7, 1, 3, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weather_fetch, "sleep", lambda _seconds: None)


def write(folder: Path, text: str = WEATHER) -> Path:
    """Path of a dam file with 40 days of level and rain and with `text`."""
    dam = small_dam(rain_gauge())
    frame = daily_frame(dam, {"reservoir_level": [95 + 0.01 * k for k in range(40)], "rainfall_r1": [1.0] * 40})
    frame = frame.with_columns(pl.col("date") + (date(2024, 5, 22) - synthetic.FIRST_DAY))  # the last is 30 June
    path = write_dam(dam, frame, folder)
    path.write_text(path.read_text("utf-8") + text, "utf-8")
    return path


def test_a_rain_forecast_is_a_forcing_without_a_file(tmp_path: Path) -> None:
    dam = load_dam(str(write(tmp_path)))
    (weather,) = dam.weather
    assert (weather.service, weather.labels, weather.member_model) == ("open_meteo", ("-33.9,150.6",), "ecmwf_ifs")
    (forcing,) = dam.forcings
    assert forcing == Forcing(kind="rain", id="ifs", name=weather.title, unit="mm", max_age_h=48)
    assert weather.title == "rainfall forecast ifs (ecmwf_ifs)"
    assert read_forcings(dam).is_empty()
    assert Dam.model_validate(dam.model_dump(by_alias=True)).forcings == dam.forcings
    temperature = load_dam(str(write(tmp_path, WEATHER + 'variable = "temperature"\n')))
    assert temperature.forcings == () and temperature.weather[0].kind.unit == "degC"
    assert temperature.attributions == ["Weather data by Open-Meteo.com (https://open-meteo.com), licence CC BY 4.0."]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "ifs"', 'id = "IFS"', r"id 'IFS' must be 1 to 32 of a-z, 0-9, '_'"),
        ('model = "ecmwf_ifs"', "", r"key weather\[1\].model is missing"),
        ('"ecmwf_ifs"', '"a,b"', r"model 'a,b' must be the service's name of a model"),
        ('"-33.9,150.6"', '"150.6,-33.9"', r"weather\[1\].points: point '150.6,-33.9' is not on the globe"),
        ('"-33.9,150.6"', '""', r"weather\[1\].points"),
        ("\nid", '\nservice = "waternsw"\nid', r"service 'waternsw' offers no weather forecasts; allowed"),
        ("\nid", '\nvariable = "wind"\nid', r"weather\[1\].variable = 'wind': input should be 'rainfall', 'temp"),
        ("\nid", '\ninput = "member_mean"\nid', r'input = "member_mean" needs members = true'),
        ("\nid", '\nensemble_model = "x"\nid', r"ensemble_model goes with members = true"),
        ("\nid", "\nmax_age_h = 6\nid", r"max_age_h = 6 must be larger than 6, the hours after which a run is known"),
        ("\nid", "\nmax_age_h = 241\nid", r"weather\[1\].max_age_h = 241: input should be less than or equal to 240"),
        ("\nid", "\nmember = true\nid", r"key weather\[1\].member is unknown \(value True\); allowed are id"),
        ("[[weather]]", "[weather]", r"weather, storage_curves and alerts must be lists of tables"),
        (WEATHER, WEATHER + WEATHER, r"weather: id ifs occurs twice|weather: id 'ifs' occurs twice"),
    ],
)
def test_a_wrong_table_is_an_error_that_names_it(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, WEATHER.replace(old, new, 1))
    with pytest.raises(ConfigError, match=message) as caught:
        load_dam(str(path))
    assert "\n" not in str(caught.value)


def test_a_forcing_and_a_forecast_must_not_have_one_id(tmp_path: Path) -> None:
    own = '\n[[forcings]]\nkind = "rain"\nid = "ifs"\nunit = "mm"\n'
    own += 'file = { path = "x.csv", issued = "a", valid = "b", value = "c" }\n'
    with pytest.raises(ConfigError, match="forcings and weather: id ifs occurs twice"):
        load_dam(str(write(tmp_path, own + WEATHER)))


def test_the_dam_file_examples_of_the_page_are_valid(tmp_path: Path) -> None:
    gauges, forecasts = blocks(PROJECT / "docs" / "weather.md", "toml")
    dam = load_dam(str(write(tmp_path, gauges + forecasts)))
    assert [gauge.source for gauge in dam.gauges[-2:]] == ["open_meteo", "open_meteo"]
    assert (dam.weather[0].title, dam.weather[0].member_model) == ("Rain forecast of ECMWF", "ecmwf_ifs025")


def test_the_page_has_the_urls_of_the_service() -> None:
    page = (PROJECT / "docs" / "weather.md").read_text("utf-8")
    service = SERVICES["open_meteo"]
    listed = dict(re.findall(r"^\| `sources\.open_meteo\.(?:endpoints\.)?(\w+)` \| `(\S+)` \|", page, re.MULTILINE))
    assert listed == {"url": service.url, **service.endpoints}


def test_the_forecast_enters_the_daily_tables_and_the_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    before = datetime(2024, 6, 29, 22, tzinfo=UTC)  # 08:00 of 30 June, station-local
    with open_meteo_server(OpenMeteo(before)) as (settings, _), open_archive(f"sqlite:///{tmp_path}/a.db") as store:
        dam = load_dam(str(path))
        fetch_dam(dam, store, settings=settings, request=FetchRequest(before))
        tables = read_daily_tables(dam, store, now=NOW)
    assert tables.init_date == date(2024, 6, 30)
    used, lacking = forcing_notes(tables.forcings, dam, tables.init_date)
    assert len(used) == 1 and lacking == ()
    assert used[0].startswith("Used: rainfall forecast ifs (ecmwf_ifs), issued 2024-06-30T08:00+10:00: total ")
    assert used[0].endswith("mm, 2024-07-01 to 2024-07-07.")


def environ(settings: Settings) -> dict[str, str]:
    source = settings.sources["open_meteo"]
    names = {f"ENDPOINTS__{name.upper()}": url for name, url in source.endpoints.items()} | {"URL": source.url}
    return {f"FOREBAY_SOURCES__OPEN_METEO__{name}": url for name, url in names.items()}


def test_the_command_fetches_forecasts_and_reports_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, WEATHER + "members = true\n")
    now = datetime.now(UTC)
    since = (now - timedelta(days=4)).date()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", "sqlite:///forebay.db")
    with open_meteo_server(OpenMeteo(now)) as (settings, received):
        for name, value in environ(settings).items():
            monkeypatch.setenv(name, value)
        planned = forebay("fetch", path, "--forecasts-since", since, "--dry-run", "--json").json
        assert received == []
        assert [row["asks"].partition(" ")[2] for row in planned if row["gauge"] == "forecast_ifs"][:2] == [
            "forecast", "of the ensemble",
        ]  # fmt: skip
        result = forebay("fetch", path, "--forecasts-since", since, "--json")
        paths = [request.path for request in received]
    assert (result.code, result.err) == (0, "")
    assert paths[:2] == [PATHS["forecast"], PATHS["ensemble"]] and set(paths[2:]) == {PATHS["single_runs"]}
    (row,) = [row for row in result.json if row["gauge"] == "forecast_ifs"]
    assert row["rows"] == row["new"] > 1000 and row["error"] is None
    assert [row["gauge"] for row in result.json] == ["reservoir_level", "rainfall_r1", "forecast_ifs"]
    text = forebay("fetch", path)
    assert text.code == 0 and "forecast_ifs" in text.out
    assert "forecast_ifs: " in text.err and "cannot be reached" in text.err, "the server is gone: a warning"
    fetched = fetch(str(path), progress=lambda *_: None)
    assert fetched.title().startswith("Small Dam (SIMULATED), 2 gauges")


def test_the_notes_of_a_fetch_belong_to_their_rows(tmp_path: Path) -> None:
    """The dam has two gauges and a forecast; no reading adds a note."""
    notes = ["level: a part is missing", None, "the service does not have the newest run"]
    fetches = pl.DataFrame({"note": notes})
    assert _with_notes(fetches, load_dam(str(write(tmp_path))), READINGS.empty())["note"].to_list() == notes


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_past_forecasts_of_a_dam_without_a_table_of_weather_are_an_error(options: list[str], tmp_path: Path) -> None:
    result = forebay(
        "fetch", "demo", "--forecasts-since", "2024-05-01", "--archive", f"sqlite:///{tmp_path}/a.db", *options
    )
    assert result.code == 2
    assert "Demo Dam (simulated) has no [[weather]] table that names them; add one, or leave out" in result.err


def test_the_python_interface_fetches_past_runs_and_stores_each_once(tmp_path: Path) -> None:
    path, now = write(tmp_path), datetime.now(UTC)
    since = now.date() - timedelta(days=3)
    url = f"sqlite:///{tmp_path}/archive.db"
    with open_meteo_server(OpenMeteo(now)) as (settings, received):
        first = package.fetch(path, archive=url, settings=settings, forecasts_since=since)
        runs = [request.query["run"] for request in received if request.path == PATHS["single_runs"]]
        second = package.fetch(path, archive=url, settings=settings, forecasts_since=since)
        package.fetch(path, archive=url, settings=settings)
    assert first.report.errors == {} and len(runs) in (3, 4), "a run of each day that has ended"
    assert [r.query["run"] for r in received if r.path == PATHS["single_runs"]] == runs, "each once"
    assert first.to_frame()["gauge"].to_list()[-1] == "forecast_ifs"
    assert first.to_frame()["new"].last() > 100 * len(runs) and second.to_frame()["new"].last() == 0
    assert "2 gauges" in repr(first)
    plain = write(tmp_path, "")
    with pytest.raises(ConfigError, match=r"no \[\[weather\]\] table that names them; add one, or leave out"):
        package.fetch(plain, archive=url, settings=settings, forecasts_since=since)
