"""`forebay new --near`: gauges of two families of services near a place, ranked, proposed, written and fetched."""

from __future__ import annotations

import json
import random
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import polars as pl
import pytest

from forebay.archive.store import open_archive
from forebay.dams.dam_file import load_dam
from forebay.draft.answers import Answers
from forebay.draft.candidates import Candidate, candidates, drivers_near, far_notes, weather_points
from forebay.draft.ranking import rank_drivers
from forebay.jobs.new_dam import NearbySearch, draft_near
from forebay.services import SERVICES
from forebay.settings import Settings
from forebay.sources import PROTOCOLS
from forebay.sources.stations import NEARBY_SERIES, NEARBY_STATIONS, NearbyStations, SeriesRow
from tests.command_line import forebay
from tests.hydstra_server import Handler, answer_to, gauges, hydstra_server
from tests.loopback import loopback_server
from tests.services import uk_ea as service
from tests.services.uk_ea import Agency, Measure
from tests.shared import PROJECT, needs_shared

NOW = datetime(2020, 3, 2, 12, tzinfo=UTC)
PLACE = (-33.88, 150.6)
DAYS = 500
TODAY = datetime.now(UTC).date()


# --- Hydstra, with the real readings of Warragamba's gauges; the coordinates are invented.


@contextmanager
def warragamba_server() -> Iterator[Settings]:
    """WaterNSW's service with a site table: each gauge lies on a row east of the place."""

    class Searched(Handler):
        def reply(self, text: str) -> None:
            call = json.loads(text)
            if call["function"] != "get_db_info":
                self.send_whole(200, answer_to(call, last_day=date(2020, 3, 1)))
                return
            rows = [
                {"station": site, "stname": f"GAUGE {site}", "latitude": "-33.88", "longitude": f"{150.6 + n / 50}",
                 "active": True, "commence": "20080130", "cease": "18991230"}
                for n, site in enumerate(sorted(gauges()))
            ]  # fmt: skip
            self.send_whole(200, json.dumps({"error_num": 0, "return": {"rows": rows}}).encode())

    with hydstra_server(handler=Searched) as url:
        yield Settings.model_validate(
            {"sources": {"waternsw": {"url": url}}, "http": {"attempts": 1, "first_wait_s": 0.0}}
        )


@needs_shared
def test_real_drivers_of_warragamba_are_ranked_and_proposed(tmp_path: Path) -> None:
    """Rain and rivers lower the error of the level's change; the draft has them, the best first."""
    search = NearbySearch(*PLACE, services=("waternsw",), years=4, now=NOW)
    answers = Answers({"time_zone": "+10:00"}, accept_defaults=True)
    with warragamba_server() as settings, open_archive(f"sqlite:///{tmp_path}/archive.db") as archive:
        draft = draft_near("new_lake", search, answers, archive=archive, settings=settings)
    gains = {str(candidate.keys["station"]): score.gain for candidate, score in draft.scores}
    assert set(gains) == set(gauges()) - {"212242"}
    assert list(gains.values()) == sorted(gains.values(), reverse=True)
    assert gains["212270"] > 0.03, "the Wollondilly River, the largest of the inflows"
    assert max(gains[rain] for rain in ("563035", "563046", "563079", "568045", "568051")) > 0.01
    path = tmp_path / "new_lake.toml"
    path.write_text(draft.text)
    dam = load_dam(str(path))
    assert (dam.target_gauge.station, dam.target.unit, dam.full_supply) == ("212242", "m", None)
    used = [gauge.station for gauge in dam.gauges[1:]]
    assert used == [station for station, gain in gains.items() if gain >= 0.005]
    assert "lowers the error of the next change by" in draft.text


# --- The Environment Agency's archive, simulated: the level follows one of two rivers and one of two rain gauges.


@dataclass(frozen=True)
class SimulatedLake:
    """Simulated series by station: a river and a rain gauge that drive the level, and one of each that do not."""

    values: Mapping[str, list[float]]

    def guid(self, name: str) -> str:
        """Id of a station, in the form of the archive."""
        return str(uuid5(NAMESPACE_URL, name))


def simulated_lake() -> SimulatedLake:
    numbers = random.Random(5)
    rain = [numbers.expovariate(0.1) if numbers.random() < 0.3 else 0.0 for _ in range(DAYS)]
    noise = [numbers.expovariate(0.1) if numbers.random() < 0.3 else 0.0 for _ in range(DAYS)]
    flow, other, level = [2.0], [3.0], [100.0]
    for n in range(1, DAYS):
        flow.append(0.7 * flow[-1] + 0.25 * rain[n] + numbers.gauss(0, 0.1))
        other.append(max(0.7 * other[-1] + 0.9 + numbers.gauss(0, 0.5), 0.1))
        level.append(level[-1] + 0.02 * (flow[n - 1] - 2.5) + 0.002 * rain[n - 1] + numbers.gauss(0, 0.01))
    return SimulatedLake({"lake": level, "river": flow, "far_river": other, "rain": rain, "far_rain": noise})


def agency_of(lake: SimulatedLake, *, ended: str = "") -> Agency:
    """The archive with these series until yesterday; the level is read each hour. One station has ended."""
    first = TODAY - timedelta(days=DAYS)

    def days(station: str) -> list[dict[str, Any]]:
        return [
            service.archive_day(first + timedelta(days=n), round(value, 4), "Good")
            for n, value in enumerate(lake.values[station])
        ]

    start = datetime(first.year, first.month, first.day, 9)
    hours = [
        {"dateTime": (start + timedelta(days=n, hours=h)).isoformat(), "value": round(value, 4), "quality": "Good"}
        for n, value in enumerate(lake.values["lake"])
        for h in range(0, 24, 6)
    ]  # fmt: skip
    def measure(name: str, suffix: str, *fields: Any) -> Measure:  # Any: further fields
        return Measure(f"{lake.guid(name)}-{suffix}", lake.guid(name), *fields)

    measures = [measure("lake", "level-i-21600-m-qualified", "level", "instantaneous", 21600, "m", hours)]
    for name in ("river", "far_river"):
        measures.append(measure(name, "flow-m-86400-m3s-qualified", "flow", "mean", 86400, "m3/s", days(name)))
        measures.append(measure(name, "flow-max-86400-m3s-qualified", "flow", "max", 86400, "m3/s", []))
    for name in ("rain", "far_rain"):
        measures.append(measure(name, "rainfall-t-86400-mm-qualified", "rainfall", "total", 86400, "mm", days(name)))
    stations = []
    for n, name in enumerate(lake.values):
        own = [one for one in measures if one.station == lake.guid(name)]
        stations.append({
            "stationGuid": lake.guid(name), "label": "Grey Reservoir" if name == "lake" else f"Station {name}",
            "lat": 54.5 + n / 100, "long": -3.0, "dateOpened": "2001-01-01", "status": "x/statusActive",
            **({"dateClosed": str(TODAY - timedelta(days=400))} if name == ended else {}),
            "measures": [
                {"@id": f"{service.ROOT}/id/measures/{m.notation}", "parameter": m.parameter, "unitName": m.unit}
                for m in own
            ],
        })  # fmt: skip
    return Agency(service.HYDROLOGY, measures, stations, max_items=100_000)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", "sqlite:///archive.db")
    monkeypatch.setenv("FOREBAY_HTTP__ATTEMPTS", "1")
    return tmp_path


SEARCH = ("--near=54.5,-3.0", "--service", "uk_ea", "--years", "2")
ARGUMENTS = ("new", "grey", *SEARCH, "--yes", "--set", "time_zone=+00:00")


def served(agency: Agency, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:  # Any: the result of a command
    with loopback_server(agency.answer) as (url, _):
        monkeypatch.setenv("FOREBAY_SOURCES__UK_EA__URL", f"{url}{agency.base}")
        return forebay(*ARGUMENTS, *arguments)


def test_a_dam_file_from_a_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The river and the rain that drive the simulated lake are proposed, and fetched; the others are left out."""
    result = served(agency_of(simulated_lake()), monkeypatch)
    assert result.code == 0, result.err
    content = tomllib.loads((folder / "grey.toml").read_text())
    assert content["target"] == {"variable": "reservoir_level", "unit": "m", "datum": "m, as published by uk_ea"}
    assert content["gauges"][0]["name"] == "Grey Reservoir"
    assert {gauge["name"] for gauge in content["gauges"][1:]} == {"Station river", "Station rain"}
    comment = r"lowers the error of the next change by .*; newest reading \d+ d old; "
    assert re.search(comment, (folder / "grey.toml").read_text())
    for name in ("grey_record.png", "grey_drivers.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    picture = (folder / "grey_drivers.svg").read_text()
    assert "lower error of the next change, %" in picture
    assert "Station far_river" in picture
    assert "forebay run grey.toml" in result.out
    table = pl.read_parquet(_daily(folder))
    assert len(table) >= DAYS - 1


def _daily(folder: Path) -> Path:
    with_daily = forebay("daily", "grey.toml", "-o", "daily.parquet")
    assert with_daily.code == 0, with_daily.err
    return folder / "daily.parquet"


def test_a_stated_driver_is_used_and_an_ended_one_is_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = simulated_lake()
    key = f"uk_ea:{lake.guid('far_rain')}:rainfall"
    result = served(agency_of(lake, ended="rain"), monkeypatch, "--set", f"{key}=use", "--json")
    assert result.code == 0, result.err
    names = {gauge["name"] for gauge in tomllib.loads((folder / "grey.toml").read_text())["gauges"]}
    assert names == {"Grey Reservoir", "Station river", "Station far_rain"}
    assert any("Station rain" in note and "it has ended" in note for note in result.json["notes"])
    rows = {row["title"].split(",")[0].removeprefix("Station "): row for row in result.json["drivers"]}
    assert rows["river"]["used"] and rows["river"]["gain"] > 0.015
    assert not rows["far_river"]["used"]
    assert "rain" not in rows


def test_a_driver_that_fails_stops_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = simulated_lake()
    agency = agency_of(lake)
    whole = agency.answer

    def answer(request: Any) -> Any:  # Any: of the loopback server
        if f"{lake.guid('river')}-flow-m-86400" in request.path:
            return replace(whole(request), status=500, body=b"broken")
        return whole(request)

    with loopback_server(answer) as (url, _):
        monkeypatch.setenv("FOREBAY_SOURCES__UK_EA__URL", f"{url}{agency.base}")
        result = forebay(*ARGUMENTS, "--json")
    assert result.code == 0, result.err
    names = {gauge["name"] for gauge in tomllib.loads((folder / "grey.toml").read_text())["gauges"]}
    assert names == {"Grey Reservoir", "Station rain"}
    reasons = {decision["key"]: decision["reason"] for decision in result.json["decisions"]}
    assert "not fetched" in reasons[f"uk_ea:{lake.guid('river')}:discharge"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--near=54.5",), "must be LAT,LON"),
        (("--near=95,0", "--service", "uk_ea"), "latitude 95 must be from -90 to 90"),
        (("--near=54.5,-3", "--csv", "a.csv"), "either files with --csv, or a place with --near"),
        ((), "either files with --csv, or a place with --near"),
        (("--near=54.5,-3", "--years", "0"), "--years 0 is not possible"),
        (("--near=54.5,-3", "--service", "nowhere"), "nowhere"),
        (("--near=54.5,-3", "--service", "uk_ea"), "the days of its readings depend on it"),
    ],
)
def test_wrong_arguments_have_one_sentence(arguments: tuple[str, ...], sentence: str, folder: Path) -> None:
    result = forebay("new", "grey", *arguments, "--yes")
    assert result.code == 2
    assert sentence in result.err
    assert not list(folder.glob("*.toml"))


def test_a_place_without_a_level_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agency = agency_of(simulated_lake(), ended="lake")
    result = served(agency, monkeypatch)
    assert result.code == 1
    assert "no gauge near the place measures a level or a storage of a lake" in result.err


def test_a_level_without_any_reading_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agency = agency_of(simulated_lake())
    measures = [replace(one, readings=[]) if "level" in one.notation else one for one in agency.measures]
    result = served(replace(agency, measures=measures), monkeypatch)
    assert result.code == 1
    assert "Grey Reservoir has no reading since" in result.err and "--set target=KEY" in result.err
    assert not list(folder.glob("*.toml"))


# --- Keys of gauges, by protocol.


@pytest.mark.parametrize(
    ("source", "row", "keys"),
    [
        ("waternsw", ("1", "rainfall", "mm", "10.00", "", ("CP",)), {"station": "1"}),
        ("waternsw", ("1", "rainfall", "mm", "10.00", "", ("A",)), {"station": "1", "request": {"datasource": "A"}}),
        ("usgs", ("USGS-1", "discharge", "ft3/s", "00060 daily 00003", "", ()),
         {"station": "USGS-1", "request": {"parameter": "00060"}}),
        ("usgs", ("USGS-1", "discharge", "ft3/s", "00060 daily 00001", "", ()), None),
        ("usgs", ("USGS-1", "discharge", "ft3/s", "00060 continuous", "", ()), None),
        ("usgs", ("USGS-1", "storage", "ac-ft", "00054 daily 32400", "", ()),
         {"station": "USGS-1", "request": {"parameter": "00054"}, "reading": "instantaneous", "reading_at": "00:00"}),
        ("cwms", ("A", "reservoir_level", "ft", "A.Elev.Inst.1Hour.0.Rev", "", ("SWT",)),
         {"station": "A.Elev.Inst.1Hour.0.Rev", "request": {"office": "SWT"}, "interval": "hour",
          "reading": "instantaneous"}),
        ("cwms", ("A", "inflow", "ft3/s", "A.Flow-Res In.Ave.~1Day.1Day.Rev", "", ("SWT",)),
         {"station": "A.Flow-Res In.Ave.~1Day.1Day.Rev", "request": {"office": "SWT"}, "stamp": "end"}),
        ("cwms", ("A", "rainfall", "in", "A.Precip-Inc.Total.1Hour.1Hour.Rev", "", ("SWT",)),
         {"station": "A.Precip-Inc.Total.1Hour.1Hour.Rev", "request": {"office": "SWT"}, "interval": "hour",
          "stamp": "end"}),
        ("cwms", ("A", "reservoir_level", "ft", "A.Elev.Inst.~1Day.0.Rev", "", ("SWT",)), None),
        ("cwms", ("A", "reservoir_level", "ft", "A.Elev.Max.1Hour.1Hour.Rev", "", ("SWT",)), None),
        ("uk_ea", ("g", "discharge", "m3/s", "g-flow-m-86400-m3s-qualified", "", ()),
         {"station": "g", "request": {"measure": "g-flow-m-86400-m3s-qualified"}, "day_start": "09:00"}),
        ("uk_ea", ("g", "discharge", "m3/s", "g-flow-max-86400-m3s-qualified", "", ()), None),
        ("uk_ea_flood", ("7", "reservoir_level", "m", "7-level-stage-i-15_min-m", "", ()),
         {"station": "7", "request": {"measure": "7-level-stage-i-15_min-m"}, "interval": "15min",
          "reading": "instantaneous"}),
        ("uk_ea_flood", ("7", "rainfall", "mm", "7-rainfall-tipping_bucket_raingauge-t-15_min-mm", "", ()),
         {"station": "7", "request": {"measure": "7-rainfall-tipping_bucket_raingauge-t-15_min-mm"},
          "interval": "15min"}),
        ("bom", ("4", "storage", "ML", "77", "DMQaQc.Merged.DailyMean.24HR; full 100 ML", ()), {"station": "4"}),
        ("bom", ("4", "rainfall", "mm", "77", "DMQaQc.Merged.DailyTotal.09HR", ()),
         {"station": "4", "day_start": "09:00", "stamp": "end"}),
        ("bom", ("4", "discharge", "m3/s", "77", "DMQaQc.Merged.HourlyMean.HR", ()),
         {"station": "4", "interval": "hour"}),
        ("kiwis", ("4", "discharge", "m3/s", "77", "Day.Mean", ()), {"station": "4", "request": {"ts_id": "77"}}),
    ],
)  # fmt: skip
def test_keys_of_a_gauge_that_reads_a_series(source: str, row: tuple[Any, ...], keys: dict[str, object] | None) -> None:
    gauge_keys = PROTOCOLS[SERVICES[source].protocol].gauge_keys
    assert gauge_keys is not None
    assert gauge_keys(SeriesRow(*row), SERVICES[source]) == keys


def test_every_service_with_stations_has_keys_of_gauges() -> None:
    for name, entry in SERVICES.items():
        if "stations" in entry.offers:
            assert PROTOCOLS[entry.protocol].gauge_keys is not None, name


def test_of_two_series_the_longer_one_is_a_candidate() -> None:
    columns = {"latitude": -33.0, "longitude": 150.0, "distance_km": 1.0, "bearing_deg": 0.0}
    station = {"source": "cwms", "station": "A", "name": "Lake", "datasources": ["SWT"], **columns}
    rows = [
        {"source": "cwms", "station": "A", "variable": "storage", "unit": "ac-ft",
         "code": f"A.Stor.Inst.1Hour.0.{version}",
         "first_day": first, "last_day": date(2026, 11, 1)}
        for version, first in (("raw", date(2020, 1, 1)), ("rev", date(1990, 1, 1)), ("new", date(2024, 1, 1)))
    ]  # fmt: skip
    stations = pl.DataFrame([station]).select(
        [pl.col(c).cast(t) if c in station else pl.lit(None, t).alias(c) for c, t in NEARBY_STATIONS.columns.items()]
    )
    series = pl.DataFrame(rows).select(
        [pl.col(c).cast(t) if c in rows[0] else pl.lit("", t).alias(c) for c, t in NEARBY_SERIES.columns.items()]
    )
    nearby = NearbyStations(-33.0, 150.0, 10.0, ("cwms",), stations, series, ())
    (candidate,), notes = candidates(nearby, date(2026, 11, 28))
    assert candidate.keys["station"] == "A.Stor.Inst.1Hour.0.rev"
    assert notes == []
    unread = series.with_columns(
        variable=pl.when(pl.col("code").str.ends_with("new")).then(None).otherwise("variable"),
        code=pl.col("code").str.replace("1Hour.0.raw", "~1Day.0.raw", literal=True),
    )
    _, notes = candidates(replace(nearby, series=unread), date(2026, 11, 28))
    assert notes == [
        "cwms: 1 series left out, because no gauge reads their kind or interval: A.Stor.Inst.~1Day.0.raw",
        "1 series left out, because they measure something else, or in an unknown unit",
    ]


def test_gauges_beyond_the_nearest_five_are_counted() -> None:
    def rain(n: int, variable: str = "rainfall") -> Candidate:
        return Candidate("usgs", f"G{n}", variable, "mm", {"station": str(n)}, float(n), None, None)

    target = rain(0, "reservoir_level")
    series = [target, *(rain(n) for n in range(1, 9)), rain(9, "temperature")]
    drivers = drivers_near(series, target)
    assert [one.name for one in drivers] == ["G1", "G2", "G3", "G4", "G5", "G9"]
    assert far_notes(series, target, drivers) == ["3 more of rainfall within the radius; the nearest 5 are ranked"]


def test_the_weather_point_is_a_valid_gauge() -> None:
    (point,) = weather_points(-33.9, 150.6)
    assert point.table()["station"] == "-33.9,150.6"
    assert point.table()["role"] == "rainfall"


def test_gains_of_known_drivers() -> None:
    """A driver of the next change gains much; noise, and a driver with too few days, gain nothing."""
    random_numbers = np.random.default_rng(1)
    days = 900
    rain, noise = random_numbers.exponential(5, days), random_numbers.exponential(5, days)
    change = 0.01 * np.roll(rain, 1) + random_numbers.normal(0, 0.02, days)
    few = np.where(np.arange(days) < days - 150, np.nan, rain)
    dam = load_dam("demo")
    columns = [gauge.column for gauge in dam.gauges]
    values = dict.fromkeys(columns, noise) | {dam.target_gauge.column: 100 + np.cumsum(change - change.mean())}
    drivers = [column for column in columns if column != dam.target_gauge.column]
    values |= {drivers[0]: rain, drivers[1]: few}
    daily = pl.DataFrame({name: pl.Series(array, nan_to_null=True) for name, array in values.items()})
    daily = daily.with_columns(date=pl.date(2020, 1, 1) + pl.duration(days=pl.int_range(pl.len())))
    daily = daily.with_columns([pl.lit(None, pl.String).alias(f"{name}_flag") for name in columns])
    scores = rank_drivers(daily, dam)
    assert next(iter(scores)) == drivers[0]
    assert scores[drivers[0]].gain > 0.3
    # three lagged changes, the first of them missing, and the change to the next day
    assert scores[drivers[0]].overlap == f"{days - 4} days from 2020-01-04 to {date(2020, 1, 1) + timedelta(days - 2)}"
    assert (scores[drivers[0]].lag, scores[drivers[0]].correlation > 0.8) == (0, True)
    next_change = np.diff(values[dam.target_gauge.column])
    assert scores[drivers[0]].correlation == pytest.approx(np.corrcoef(rain[:-1], next_change)[0, 1])
    assert np.isnan(scores[drivers[1]].gain) and not scores[drivers[1]].is_useful
    assert list(scores)[-1] == drivers[1], "a driver that is not ranked stands below all others"
    first, last = (date(2020, 1, 1) + timedelta(days - back) for back in (148, 2))
    assert scores[drivers[1]].sentence == (
        f"not ranked: 147 days from {first} to {last} with all values, at least 200 needed; "
        "correlation +0.00 0 d before"
    )
    gains = [score.gain for score in scores.values() if np.isfinite(score.gain)]
    assert scores[drivers[0]].sentence.startswith(f"lowers the error of the next change by {gains[0]:.1%} on ")
    assert gains == sorted(gains, reverse=True) and len(gains) == len(scores) - 1
    assert all(abs(scores[column].gain) < 0.01 and not scores[column].is_useful for column in drivers[2:])


def test_the_ranking_tests_on_other_days_than_it_fits() -> None:
    """A driver of noise lowers the error of its own fit, but not that of other days."""
    random_numbers = np.random.default_rng(4)
    days = 230
    change = random_numbers.normal(0, 0.02, days)
    dam = load_dam("demo")
    columns = [gauge.column for gauge in dam.gauges]
    drivers = [column for column in columns if column != dam.target_gauge.column]
    values = {column: random_numbers.normal(0, 1, days) for column in drivers}
    values[dam.target_gauge.column] = 100 + np.cumsum(change)
    daily = pl.DataFrame(values).with_columns([pl.lit(None, pl.String).alias(f"{name}_flag") for name in columns])
    daily = daily.with_columns(date=pl.date(2020, 1, 1) + pl.duration(days=pl.int_range(pl.len())))
    gains = [score.gain for score in rank_drivers(daily, dam).values()]
    assert len(gains) > 3
    assert np.mean(gains) < 0, "noise makes forecasts of other days worse"


def test_the_commands_of_the_page_make_a_forecast_from_a_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is simulated on loopback."""
    page = (PROJECT / "docs" / "new_dam.md").read_text("utf-8")
    (block,) = re.findall(r"^```bash\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    agency = agency_of(simulated_lake())
    with loopback_server(agency.answer) as (url, _):
        monkeypatch.setenv("FOREBAY_SOURCES__UK_EA__URL", f"{url}{agency.base}")
        for command in block.splitlines():
            program, *arguments = shlex.split(command)
            assert program == "forebay"
            result = forebay(*arguments)
            assert (result.code, result.err) == (0, ""), command
    assert result.out.endswith("Report: runs/grey/report.html\n")
    assert (folder / "runs" / "grey" / "forecast.csv").exists()
