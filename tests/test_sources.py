"""Sources with the real data of Warragamba, and the simulation; `tests/test_conformance.py` has every service."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.services import SERVICES, default_urls
from forebay.settings import Settings
from forebay.sources import fetch_readings
from forebay.tables import READINGS
from tests.hydstra_server import hydstra_server
from tests.shared import needs_shared

NOW = datetime(2022, 1, 20, tzinfo=UTC)
COMPARABLE = [name for name, service in SERVICES.items() if service.protocol in ("hydstra", "csv", "simulated")]
"""Services with the data of Warragamba Dam; `test_conformance` has the others."""
QUALITIES = {"good", "fair", "poor", "estimated", "unknown", "missing"}


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with hydstra_server() as url:
        sources = {name: {"url": url} for name in default_urls() if name in COMPARABLE}
        yield Settings.model_validate({"sources": sources, "http": {"first_wait_s": 0, "deadline_s": 20}})


def dam_of(source: str) -> Dam:
    """A dam with gauges of `source`."""
    if source == "simulated":
        return load_dam("demo")
    if source == "csv":
        return load_dam(str(Path(__file__).parent / "dams" / "warragamba.toml"))
    live = load_dam("warragamba")
    return live.model_copy(update={"gauges": tuple(g.model_copy(update={"source": source}) for g in live.gauges)})


def fetch(gauge: Gauge, dam: Dam, since: date | None, until: date, settings: Settings) -> pl.DataFrame:
    return fetch_readings(gauge, dam, since, until, settings=settings, now=NOW)


def local_days(readings: pl.DataFrame) -> pl.Series:
    """Local days of readings; all gauges have calendar days at +10:00."""
    return (readings["time"].dt.replace_time_zone(None) + timedelta(hours=10)).dt.date()


@pytest.fixture(
    params=[pytest.param(name, marks=needs_shared if name != "simulated" else ()) for name in COMPARABLE]
)
def dam(request: pytest.FixtureRequest) -> Dam:
    return dam_of(request.param)


def test_the_table_has_the_contract_of_readings(dam: Dam, settings: Settings) -> None:
    for gauge in (dam.target_gauge, dam.gauges[1], dam.gauges[-1]):
        readings = fetch(gauge, dam, date(2019, 1, 1), date(2020, 12, 31), settings)
        assert readings.schema == READINGS.columns
        assert READINGS.check(readings, unique=True).height > 600  # of 731 days, less outages
        assert readings["time"].is_sorted()
        for column, value in gauge.series.items():
            assert readings[column].unique().to_list() == [value]
        assert set(readings["quality"]) <= QUALITIES
        assert not readings.filter(pl.col("quality") != "missing")["value"].is_null().any()
        assert readings.filter(pl.col("quality") == "missing")["value"].is_null().all()


def test_both_ends_of_the_period_are_included(dam: Dam, settings: Settings) -> None:
    readings = fetch(dam.target_gauge, dam, date(2020, 2, 25), date(2020, 3, 5), settings)
    assert local_days(readings).to_list() == pl.date_range(date(2020, 2, 25), date(2020, 3, 5), eager=True).to_list()


def test_a_period_of_one_day_gives_one_reading(dam: Dam, settings: Settings) -> None:
    readings = fetch(dam.target_gauge, dam, date(2020, 3, 1), date(2020, 3, 1), settings)
    assert local_days(readings).to_list() == [date(2020, 3, 1)]


def test_without_a_first_day_the_fetch_begins_with_the_record(dam: Dam, settings: Settings) -> None:
    whole = fetch(dam.target_gauge, dam, None, date(2015, 1, 1), settings)
    early = fetch(dam.target_gauge, dam, date(1900, 1, 1), date(2015, 1, 1), settings)
    assert whole.equals(early)
    assert len(whole) > 1800  # five years: the shortest record (`demo`) starts in 2010


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (date(1950, 1, 1), date(1950, 12, 31)),
        (date(2030, 1, 1), date(2030, 1, 31)),
        (date(2020, 2, 2), date(2020, 2, 1)),
    ],
)
def test_a_period_without_readings_gives_an_empty_table(dam: Dam, settings: Settings, since: date, until: date) -> None:
    assert fetch(dam.target_gauge, dam, since, until, settings).equals(READINGS.empty())


def test_a_second_fetch_gives_the_same(dam: Dam, settings: Settings) -> None:
    first, second = (fetch(dam.gauges[1], dam, date(2019, 1, 1), date(2020, 1, 1), settings) for _ in range(2))
    assert first.equals(second)


@needs_shared
def test_service_and_files_agree(settings: Settings) -> None:
    """Warragamba's readings over HTTP equal the readings from CSV files."""
    live, files = dam_of("waternsw"), dam_of("csv")
    for over_http, from_file in zip(live.gauges, files.gauges, strict=True):
        first, second = (
            fetch(gauge, dam, None, date(2022, 1, 12), settings)
            .drop("source", "rules")
            .with_columns(pl.col("raw_value").fill_null(""))  # an empty cell is null in files and "" in answers
            for gauge, dam in ((over_http, live), (from_file, files))
        )
        assert first.equals(second), over_http.station
