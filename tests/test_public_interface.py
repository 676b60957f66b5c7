"""`import forebay`: nine functions, imported on first use; results convert to tables, datasets, pages and files."""

import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xarray

import forebay
from forebay.archive.fetch import FETCHES, FetchReport
from forebay.errors import ConfigError, DataError, ForebayError, SourceError
from forebay.jobs import alert_trial, curve, export, long_outlook, refresh, replay, scenario, score_record
from forebay.jobs.datasets import daily_dataset, forecast_dataset, write_netcdf
from forebay.jobs.forecast import ForecastResult
from forebay.jobs.observations import FetchResult
from forebay.settings import Settings
from forebay.tables import FORECASTS
from tests import synthetic
from tests.long_outlook_dams import STORAGE_DAM as VOLUME_DAM
from tests.synthetic import daily_frame, rain_gauge, small_dam
from tests.test_storage_pairs import dam_with

PUBLIC = {"brief", "daily", "fetch", "forecast", "hindcast", "load_dam", "observe", "open_archive", "outlook"}
PACKAGES = {package.name for package in pkgutil.iter_modules(forebay.__path__)}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dam file with two gauges in a CSV file, 520 days (simulated)."""
    folder = tmp_path_factory.mktemp("lake")
    rng = np.random.default_rng(520)
    dam = small_dam(rain_gauge(), full_supply=1.0, hindcast={"leads": (1, 3)})
    levels, rain = np.cumsum(rng.normal(0, 0.05, 520)).tolist(), rng.gamma(0.3, 10.0, 520).tolist()
    return synthetic.write_dam(dam, daily_frame(dam, {"reservoir_level": levels, "rainfall_r1": rain}), folder)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of an archive that the tests of this module share."""
    return f"sqlite:///{tmp_path_factory.mktemp('archive')}/forebay.db"


@pytest.fixture(scope="module")
def forecast(lake: Path, archive: str) -> Iterator[ForecastResult]:
    """The lake's forecast."""
    yield forebay.forecast(lake, archive=archive, init_date=None)


def test_the_public_names_are_listed_and_no_package_has_one_of_them() -> None:
    assert set(forebay.__all__) == PUBLIC
    assert set(dir(forebay)) >= PUBLIC | {"__version__"}
    assert PUBLIC.isdisjoint(PACKAGES)


def test_an_unknown_name_is_an_error_that_lists_the_public_ones() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'foercast'; public are brief, daily, fetch"):
        _ = forebay.foercast  # type: ignore[attr-defined]  # the error is the test


@pytest.mark.slow
def test_public_functions_work_after_every_module_is_imported(lake: Path, tmp_path: Path) -> None:
    """In a process of its own: an import of a submodule sets an attribute of its package."""
    program = """
import importlib, pkgutil, sys, forebay
for module in pkgutil.walk_packages(forebay.__path__, "forebay."):
    importlib.import_module(module.name)
path, url = sys.argv[1:]
dam = forebay.load_dam(path)
with forebay.open_archive(url) as store:
    results = [forebay.fetch(dam, archive=store), forebay.daily(dam, archive=store)]
    results += [forebay.hindcast(dam, archive=store), forebay.forecast(dam, archive=store)]
    results += [forebay.outlook(dam, archive=store)]
print(*(type(result).__name__ for result in results))
"""
    command = [sys.executable, "-c", program, str(lake), f"sqlite:///{tmp_path}/archive.db"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["FetchResult", "DailyResult", "HindcastResult", "ForecastResult", "OutlookResult"]


def test_objects_have_a_short_form_for_a_notebook(lake: Path, archive: str, forecast: ForecastResult) -> None:
    dam = forebay.load_dam(str(lake))
    assert repr(dam) == "<Dam: Small Dam (SIMULATED), reservoir_level (m), 2 gauges>"
    with forebay.open_archive(archive) as store:
        assert repr(store) == f"<Archive: {archive}>"
        for value in (dam, store, forecast, forebay.fetch(dam, archive=store), forebay.daily(dam, archive=store)):
            assert len(repr(value)) < 200
            assert value._repr_html_().startswith("<p>")


def test_the_import_loads_no_library() -> None:
    program = "import sys; before = set(sys.modules); import forebay; print(*sorted(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"polars", "numpy", "pydantic", "sqlalchemy", "lightgbm", "altair", "cyclopts"}
    assert heavy & set(result.stdout.split()) == set()


@pytest.mark.slow
def test_a_type_checker_sees_the_functions(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import forebay\n"
        "result = forebay.forecast('demo')\n"
        "reveal_type(result.to_frame())\n"
        "reveal_type(forebay.load_dam('demo'))\n"
        "forebay.forecast(3.5)\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", script.name]
    text = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert 'Revealed type is "polars.dataframe.frame.DataFrame"' in text
    assert 'Revealed type is "forebay.dams.dam.Dam"' in text
    assert 'Argument 1 to "forecast" has incompatible type "float"' in text


def test_a_forecast_is_a_table_of_every_lead_and_quantile(forecast: ForecastResult) -> None:
    table = forecast.to_frame()
    assert list(table.columns) == list(FORECASTS.columns)
    assert table["model"].unique().to_list() == ["default"]
    assert len(table) == 2 * 7
    assert repr(forecast).startswith("<ForecastResult: Small Dam (SIMULATED), ")
    assert len(repr(forecast)) < 200
    assert "Small Dam" in forecast._repr_html_()
    assert "<table" in forecast._repr_html_()


def test_a_forecast_as_pandas_has_the_same_rows(forecast: ForecastResult) -> None:
    table = forecast.to_pandas()
    assert table["level"].tolist() == forecast.to_frame()["level"].to_list()


def test_a_forecast_as_a_dataset_has_cf_names_and_the_same_numbers(forecast: ForecastResult) -> None:
    dataset = forecast.to_xarray()
    assert dataset["level"].dims == ("init_time", "lead_time", "quantile")
    assert dataset["level"].attrs["standard_name"] == "water_surface_height_above_reference_datum"
    assert dataset["level"].attrs["units"] == "m"
    assert dataset["init_time"].attrs["standard_name"] == "forecast_reference_time"
    assert dataset["lead_time"].attrs["standard_name"] == "forecast_period"
    assert dataset.attrs["Conventions"] == "CF-1.11"
    assert dataset.attrs["title"].startswith("SIMULATED: ")
    for row in forecast.to_frame().iter_rows(named=True):
        cells = dataset.sel(lead_time=np.timedelta64(row["lead_time"], "D"), quantile=row["quantile"])
        cell = cells["level"]
        assert (cell.item(), cells["change"].item()) == (row["level"], row["change"])
        assert cell["level_date"].values == np.datetime64(row["level_date"])
        assert cell["valid_date"].values == np.datetime64(row["valid_date"])
        assert cell["valid_time"].values == cell["init_time"].values + np.timedelta64(row["lead_time"], "D")


@pytest.mark.parametrize(
    ("variable", "unit", "udunits"),
    [
        ("reservoir_level", "ft", "foot"),
        ("reservoir_level", "cm", "cm"),
        ("storage", "GL", "gigaliter"),
        ("storage", "MG", "1e6 US_liquid_gallon"),
        ("storage", "Mgal", "1e6 US_liquid_gallon"),
        ("storage", "MCM", "hm3"),
        ("storage", "Mcum", "hm3"),
        ("storage", "BCM", "km3"),
        ("storage", "TAF", "1e3 acre_foot"),
        ("storage", "TMC", "1e9 foot3"),
        ("storage", "ac-ft", "acre_foot"),
        ("storage_percent", "%", "percent"),
    ],
)
def test_a_dataset_has_the_units_of_udunits_and_each_gauge_its_canonical_one(
    variable: str, unit: str, udunits: str
) -> None:
    target = {"role": "target", "station": "lake", "variable": variable, "unit": unit}
    dam = small_dam(target, rain_gauge(unit="in"), unit=unit)
    days = daily_frame(dam, {dam.target_gauge.column: [1.0, 2.0], "rainfall_r1": [25.4, 0.0]})
    daily = daily_dataset(days, dam)
    issued = synthetic.forecasts(dam, days, [synthetic.FIRST_DAY]).filter(pl.col("model") == "default")
    forecasts = forecast_dataset(issued, dam)
    units = [data.attrs["units"] for data in (forecasts["level"], forecasts["change"], daily[dam.target_gauge.column])]
    assert units == [udunits] * 3
    assert daily["rainfall_r1"].attrs["units"] == "mm" and daily["rainfall_r1"].values.tolist() == [25.4, 0.0]
    assert (daily.attrs["dam"], forecasts.attrs["dam"]) == ("small", "small")


def test_a_missing_value_of_a_dataset_is_missing() -> None:
    dam = small_dam(rain_gauge())
    days = daily_frame(dam, {"reservoir_level": [None, 2.0], "rainfall_r1": [25.4, None]})
    dataset = daily_dataset(days, dam)
    np.testing.assert_array_equal(dataset["reservoir_level"].values, [np.nan, 2.0])
    np.testing.assert_array_equal(dataset["rainfall_r1"].values, [25.4, np.nan])


def test_a_dataset_states_the_licence_of_the_dam() -> None:
    dam = small_dam()
    days = daily_frame(dam, {"reservoir_level": [1.0]})
    assert daily_dataset(days, dam.model_copy(update={"licence": "CC BY 4.0"})).attrs["license"] == "CC BY 4.0"
    assert daily_dataset(days, dam.model_copy(update={"licence": ""})).attrs["license"] == "not stated"


def test_a_dataset_has_the_day_of_the_level_and_the_time_of_writing_in_utc(tmp_path: Path) -> None:
    dam = small_dam()
    first, second = (synthetic.FIRST_DAY + timedelta(days=k) for k in range(2))
    table = synthetic.forecasts(dam, daily_frame(dam, {"reservoir_level": [1.0, 2.0]}), [first, second])
    table = table.filter(pl.col("model") == "default").with_columns(level_date=pl.lit(first))
    path = tmp_path / "forecast.nc"
    write_netcdf(forecast_dataset(table, dam), path, now=datetime.fromisoformat("2026-01-02T08:00:00+10:00"))
    with xarray.open_dataset(path, decode_timedelta=True) as dataset:
        assert dataset["level_date"].values.astype("datetime64[D]").tolist() == [first, first]
        assert dataset["valid_date"].values.astype("datetime64[D]")[1, 2] == np.datetime64(second + timedelta(days=3))
        assert dataset.attrs["history"].startswith("2026-01-01T22:00:00Z written by forebay ")


def test_the_title_of_a_fetch_counts_new_readings() -> None:
    counts = {"gauge": ["a", "b"], "rows": [40, 30], "new": [3, 1], "revised": [7, 0]}
    rows = pl.DataFrame(counts, schema={name: FETCHES.columns[name] for name in counts})
    title = FetchResult(small_dam(), FetchReport(rows, {}, None)).title()
    assert title == "Small Dam (SIMULATED), 2 gauges, 4 new readings"
    forecasts = {"id": "icon", "model": "icon_global", "points": "0.5,0.5"}
    with_weather = FetchResult(small_dam(weather=[forecasts]), FetchReport(rows, {}, None)).title()
    assert with_weather == "Small Dam (SIMULATED), 1 gauge, 3 new readings", "values of forecasts are no readings"


def test_a_report_is_one_file(forecast: ForecastResult, tmp_path: Path) -> None:
    path = forecast.report(tmp_path / "report.html")
    assert path == tmp_path / "report.html"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    text = path.read_text("utf-8")
    assert "Small Dam" in text
    assert "SIMULATED" in text


def test_the_hindcast_has_the_forecast_of_the_same_day(forecast: ForecastResult, lake: Path, archive: str) -> None:
    hindcast = forebay.hindcast(lake, archive=archive)
    day = forecast.issued.init_date
    assert hindcast.to_frame().filter(pl.col("init_date") == day).equals(forecast.to_frame())
    assert {"mae", "crps", "coverage_90"} <= set(hindcast.scores["metric"])
    dataset = hindcast.to_xarray()
    assert dataset.sizes["init_time"] == hindcast.to_frame()["init_date"].n_unique()


def test_a_table_of_days_and_a_fetch(forecast: ForecastResult, lake: Path, archive: str) -> None:
    second = forebay.fetch(lake, archive=archive)
    assert second.to_frame()["new"].to_list() == [0, 0]
    assert "0 new readings" in repr(second)
    daily = forebay.daily(lake, archive=archive)
    assert len(daily.to_frame()) == 520
    dataset = daily.to_xarray()
    assert dataset["rainfall_r1"].attrs["units"] == "mm"
    np.testing.assert_array_equal(dataset["reservoir_level"], daily.to_frame()["reservoir_level"].to_numpy())


def test_an_open_archive_stays_open(lake: Path, archive: str) -> None:
    dam = forebay.load_dam(str(lake))
    with forebay.open_archive(archive) as store:
        assert len(forebay.daily(dam, archive=store).to_frame()) == len(forebay.daily(dam, archive=store).to_frame())


def test_without_readings_the_error_names_the_next_step(lake: Path, tmp_path: Path) -> None:
    empty = f"sqlite:///{tmp_path}/empty.db"
    with forebay.open_archive(empty):
        pass
    with pytest.raises(DataError, match=r"holds no reading of Small Dam; fetch it first"):
        forebay.daily(lake, archive=empty)
    with pytest.raises(ForebayError, match=r"holds no level of Small Dam; fetch it first"):
        forebay.hindcast(lake, archive=empty)


def test_a_fetch_that_reaches_no_service_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller of the function has no exit code: only an exception says that nothing was stored."""
    monkeypatch.setenv("FOREBAY_SOURCES__WATERNSW__URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("FOREBAY_HTTP__ATTEMPTS", "1")
    with pytest.raises(SourceError, match="cannot be reached"):
        forebay.fetch("warragamba", archive=f"sqlite:///{tmp_path}/empty.db")


def test_an_extra_that_is_not_installed_is_named(forecast: ForecastResult, monkeypatch: pytest.MonkeyPatch) -> None:
    results = import_module("forebay.jobs.results")
    monkeypatch.setattr(results, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pandas, pyarrow are not installed; .*pip install 'forebay\[pandas\]'"):
        forecast.to_pandas()
    with pytest.raises(ConfigError, match=r"pip install 'forebay\[xarray\]'"):
        forecast.to_xarray()


CALLS = {
    "fetch": forebay.fetch,
    "daily": forebay.daily,
    "forecast": lambda dam, **settings: forebay.forecast(dam, update=False, **settings),
    "hindcast": forebay.hindcast,
    "observe": lambda dam, **settings: forebay.observe(dam, 0.0, at="2019-01-01T06:00", **settings),
    "export": export.export,
    "long_outlook": lambda dam, **settings: long_outlook.long_outlook(VOLUME_DAM, **settings),
    "score_record": score_record.score_record,
    "replay": lambda dam, **settings: replay.replay("small-1", **settings),
    "scenario": scenario.load_scenarios,
    "curve": lambda dam, **settings: curve.curve(dam_with(), **settings),
    "alert_trial": lambda dam, **settings: alert_trial.try_alerts(VOLUME_DAM, **settings),
    "refresh": lambda dam, **settings: refresh.refresh([dam], **settings),
}


@pytest.mark.parametrize("name", CALLS)
def test_settings_that_are_given_replace_those_of_the_working_folder(
    name: str, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive of the settings is a folder, so that each function stops there, and says so."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "given.db").mkdir()
    with pytest.raises(ForebayError, match="given\\.db"):
        CALLS[name](lake, settings=Settings(archive=f"sqlite:///{tmp_path}/given.db"))
