"""Late readings and learned latency in a real archive: files that grow day by day, fetched every morning."""

import shutil
import sqlite3
from contextlib import closing
from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forebay.archive import upkeep
from forebay.archive.database import SCHEMA_VERSION
from forebay.archive.fetch import FetchReport, FetchRequest, fetch_dam
from forebay.archive.latency import MIN_FETCHES, LearnedLatency, last_misses, latency_note, learned_latency
from forebay.archive.store import open_archive
from forebay.cli import terminal
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.local_time import day_start
from forebay.features.daily_tables import DailyTables, read_daily_tables
from forebay.features.samples import Samples, make_samples
from forebay.settings import Settings
from tests.postgres import Cluster
from tests.readings import RAIN
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam, write_dam

BULK, DAYS = 223, 243
"""Day of the first fetch, which brings in the whole record, and number of days until the last one."""
LEARNED_DAYS = 256
"""The same for enough fetches to learn the latency."""
LATE_BY = {225: 1, 230: 3, 231: 1, 240: 2, 250: 1}
"""Day → mornings on which the rain of that day at r1 is not in its file yet."""
ZONE = "+10:00"


def day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


def morning_after(number: int, hour: int = 9) -> datetime:
    return day_start(day(number + 1), ZONE, time(hour))


def record(dam: Dam) -> pl.DataFrame:
    """A level that follows the rain; r1 has about 80% of the rain at r2."""
    rng, days = np.random.default_rng(3), LEARNED_DAYS
    rain = np.where(rng.random(days) < 0.4, rng.gamma(1.0, 10.0, days), 0.0)
    level = 50 + np.cumsum(0.01 * np.append(0.0, rain[:-1]) - 0.03 + rng.normal(0, 0.01, days))
    at_r1 = np.round(rain * rng.uniform(0.7, 0.9, days), 2)
    return daily_frame(dam, {"reservoir_level": level, "rainfall_r1": at_r1, "rainfall_r2": np.round(rain, 2)})


def rainy_dam(**keys: object) -> Dam:
    return small_dam(rain_gauge("r1", **keys), rain_gauge("r2"), hindcast={"leads": (1,)})


SUBSTITUTED = rainy_dam(substitute=("r2",))


class Place:
    """A folder with a dam file, a growing data file of each gauge, and an archive.

    late_as: "absent" if the file has no line of a late day, "empty" if the line has an empty cell.
    """

    def __init__(self, folder: Path, dam: Dam, late_as: str = "absent") -> None:
        self.folder, self.frame, self.late_as = folder, record(dam), late_as
        path = write_dam(dam, self.frame, folder)
        text = path.read_text()
        for gauge in dam.gauges:
            text = text.replace('path = "small.csv"', f'path = "{gauge.column}.csv"', 1)
        path.write_text(text)
        self.dam = load_dam(str(path))
        self.url = f"sqlite:///{folder}/archive.db"

    def publish(self, until: int, arrived: int) -> None:
        """Write the files as on the morning after day `arrived`: days up to `until`, without the late rain."""
        late = [day(number) for number, mornings in LATE_BY.items() if number <= arrived < number + mornings]
        for gauge in self.dam.gauges:
            table = self.frame.head(until + 1).select("date", gauge.column)
            if gauge.station == "r1" and self.late_as == "absent":
                table = table.filter(~pl.col("date").is_in(late))
            elif gauge.station == "r1":
                table = table.with_columns(pl.when(~pl.col("date").is_in(late)).then(gauge.column).alias(gauge.column))
            table.write_csv(self.folder / f"{gauge.column}.csv")

    def fetch(self, now: datetime) -> FetchReport:
        with open_archive(self.url) as archive:
            return fetch_dam(self.dam, archive, settings=Settings(), request=FetchRequest(now))

    def tables(self, now: datetime, init: date | None = None) -> DailyTables:
        with open_archive(self.url) as archive:
            return read_daily_tables(self.dam, archive, now=now, init_date=init)


def samples_of(tables: DailyTables, dam: Dam) -> Samples:
    return make_samples(tables.known, tables.newest, dam, late=tables.late)


LIVE = (224, 225, 226, 230, 231, 232, 233, 234, 240, 242)


@pytest.fixture(scope="module", params=["empty", pytest.param("absent", marks=pytest.mark.slow)])
def mornings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Place, dict[int, Samples]]:
    """The place after all fetches, and the samples of the live forecasts on the mornings of `LIVE`."""
    place, live = Place(tmp_path_factory.mktemp("late"), SUBSTITUTED, request.param), {}
    for number in range(BULK, DAYS):
        place.publish(number, number)
        place.fetch(morning_after(number))
        if number in LIVE:
            live[number] = samples_of(place.tables(morning_after(number)), place.dam)
    return place, live


def test_a_live_forecast_has_the_inputs_of_its_later_hindcast_row(mornings: tuple[Place, dict[int, Samples]]) -> None:
    place, live = mornings
    hindcast = samples_of(place.tables(morning_after(DAYS + 10)), place.dam)
    for number, samples in live.items():
        assert len(samples.dates) == number + 1
        assert_frame_equal(samples.inputs.tail(1), hindcast.inputs[number : number + 1], check_exact=True)
        rows = [s.substitutions.filter(pl.col("init_date") == day(number)) for s in (samples, hindcast)]
        assert_frame_equal(*rows, check_exact=True)
        assert rows[0].height == (number in LATE_BY)


def test_a_late_value_is_used_from_the_day_of_its_arrival(mornings: tuple[Place, dict[int, Samples]]) -> None:
    place, live = mornings
    rain = {name: place.frame[name].to_list() for name in ("rainfall_r1", "rainfall_r2")}
    factor = sum(rain["rainfall_r1"][:230]) / sum(rain["rainfall_r2"][:230])
    estimate, value, second = factor * rain["rainfall_r2"][230], rain["rainfall_r1"][230], rain["rainfall_r2"][230]
    for number in (230, 231, 232):
        lag = live[number].inputs[f"rain_lag{number - 230}"][-1]
        assert lag == pytest.approx((estimate + second) / 2)
        assert lag != pytest.approx((value + second) / 2)
    assert live[233].inputs["rain_3d"][-1] == pytest.approx(
        sum(rain[name][k] for name in rain for k in (231, 232, 233)) / 2
    )
    assert live[233].inputs["api"][-2] == live[232].inputs["api"][-1], "the row of day 232 keeps the estimate"


def test_a_requested_init_date_has_what_its_first_fetch_had(mornings: tuple[Place, dict[int, Samples]]) -> None:
    place, live = mornings
    later = samples_of(place.tables(morning_after(DAYS + 10), day(230)), place.dam)
    assert_frame_equal(later.inputs.tail(1), live[230].inputs.tail(1), check_exact=True)


def test_a_second_fetch_on_the_same_day_gives_the_value_to_the_live_forecast(tmp_path: Path) -> None:
    place = Place(tmp_path, SUBSTITUTED)
    for number in range(BULK, 226):
        place.publish(number, number)
        place.fetch(morning_after(number))
    place.publish(225, 226)  # the rain of day 225 has arrived
    place.fetch(morning_after(225, 15))
    now = samples_of(place.tables(morning_after(225, 16)), place.dam)
    assert now.substitutions.filter(pl.col("init_date") == day(225)).is_empty()
    assert now.inputs["rain_lag0"][-1] == pytest.approx(place.frame.select(
        pl.mean_horizontal("rainfall_r1", "rainfall_r2"))[225].item())  # fmt: skip
    first = samples_of(place.tables(morning_after(225, 16), day(225)), place.dam)
    assert first.substitutions["date"][-1] == day(225), "the hindcast has what the first fetch had"


def test_a_dam_without_substitutes_knows_every_reading_on_time(tmp_path: Path) -> None:
    place = Place(tmp_path, rainy_dam())
    for number in range(BULK, 228):
        place.publish(number, number)
        place.fetch(morning_after(number))
    tables = place.tables(morning_after(228))
    assert tables.late.is_empty()
    on_time = make_samples(place.frame.head(228), place.frame.head(228), place.dam)
    assert_frame_equal(samples_of(tables, place.dam).inputs, on_time.inputs, check_exact=True)


def test_an_interrupted_fetch_proves_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, SUBSTITUTED)
    place.publish(BULK, BULK)
    place.fetch(morning_after(BULK))
    file = place.folder / "rainfall_r1.csv"
    file.write_text(file.read_text() + "no date,1\n")
    assert place.fetch(morning_after(BULK + 1)).errors
    with open_archive(place.url) as archive:
        assert [archive.fetches(gauge)["fetched_at"].n_unique() for gauge in place.dam.gauges] == [2, 1, 2]


# --- the archive's table of fetches ----------------------------------------------------------------------------------


def fetch_twice(folder: Path) -> Place:
    place = Place(folder, SUBSTITUTED)
    for number in (BULK, BULK + 1):
        place.publish(number, number)
        place.fetch(morning_after(number))
    return place


def recorded(url: str, dam: Dam) -> list[pl.DataFrame]:
    with open_archive(url, create=False) as archive:
        return [archive.fetches(gauge) for gauge in dam.gauges]


def test_a_fetch_is_recorded_with_its_days(tmp_path: Path) -> None:
    place = fetch_twice(tmp_path)
    for table in recorded(place.url, place.dam):
        assert table["fetched_at"].to_list() == [morning_after(BULK), morning_after(BULK + 1)]
        assert table["first_day"].to_list() == [None, None], "a file is read completely"
        assert table["last_day"].to_list() == [day(BULK + 1), day(BULK + 2)]


def test_a_copy_and_a_backup_have_the_fetches(tmp_path: Path, postgres: Cluster) -> None:
    place = fetch_twice(tmp_path)
    server, back = postgres.new(), f"sqlite:///{tmp_path}/back.db"
    upkeep.copy(place.url, server)
    upkeep.copy(server, back)
    upkeep.backup(back, tmp_path / "backup.db")
    expected = recorded(place.url, place.dam)
    for url in (server, back, f"sqlite:///{tmp_path}/backup.db"):
        for table, original in zip(recorded(url, place.dam), expected, strict=True):
            assert_frame_equal(table, original)
        assert not upkeep.check(url, morning_after(BULK + 1)).fault_summary


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("series = 99", "a fetch of no series"),
        ("first_day = last_day + 1", "a fetch whose days are in the wrong order"),
        ("fetched_at = fetched_at + 86400000000 * 100", "a recorded fetch in the future"),
    ],
)
def test_a_check_counts_wrong_fetches(tmp_path: Path, change: str, fault: str) -> None:
    place = fetch_twice(tmp_path)
    with closing(sqlite3.connect(tmp_path / "archive.db")) as connection, connection:
        connection.execute(f"UPDATE gauge_fetch SET {change} WHERE series = 1 AND fetched_at IN "
                           "(SELECT max(fetched_at) FROM gauge_fetch)")  # fmt: skip
    check = upkeep.check(place.url, morning_after(BULK + 1))
    assert {name: count for name, count in check.faults.items() if count} == {fault: 1}


def test_an_archive_without_the_table_of_fetches_has_none_until_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "forebay.db"
    shutil.copy(Path(__file__).parent / "archives" / "schema_4.db", path)
    with open_archive(f"sqlite:///{path}", create=False) as archive:
        assert archive.fetches(RAIN).is_empty()
        assert archive.missed(RAIN, ZONE).is_empty()
    with open_archive(f"sqlite:///{path}") as archive, archive.lease():
        pass
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM archive_schema").fetchall() == [(SCHEMA_VERSION,)]
        assert connection.execute("SELECT count(*) FROM gauge_fetch").fetchall() == [(0,)]


def test_a_clock_that_went_back_records_no_fetch(tmp_path: Path) -> None:
    place = fetch_twice(tmp_path)
    with open_archive(place.url) as archive:
        archive.record_fetch(place.dam.gauges[0], [(None, day(BULK))], morning_after(BULK))
        assert archive.fetches(place.dam.gauges[0]).height == 2


# --- learned latency -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_latency_is_learned_from_the_fetches_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(tmp_path, SUBSTITUTED)
    for number in range(BULK, LEARNED_DAYS):
        place.publish(number, number)
        table = place.fetch(morning_after(number)).table
    with open_archive(place.url) as archive:
        learned = {gauge.station: archive.learned_latency(gauge, ZONE) for gauge in place.dam.gauges}
        bulk = archive.first_known([place.dam.gauges[1]]).filter(pl.col("fetched_at") == morning_after(BULK)).height
    assert bulk == BULK + 1
    count = LEARNED_DAYS - BULK
    # a fetch 15 h before the end of the day has no bound above 0; the first fetch had years of readings at once
    assert learned["r2"] == LearnedLatency(count, count - 1, 0.0, 9.0)
    assert learned["r1"] == LearnedLatency(count, count - 1, 9.0, 33.0)
    assert latency_note(place.dam.gauges[2], "Rain B", learned["r2"]) is None
    note = latency_note(place.dam.gauges[1], "Rain A", learned["r1"])
    assert note is not None
    assert "Rain A arrives 9 to 33 h after the end of its interval (learned from 33 fetches), but the dam" in note
    assert "latency_h = 0, so" in note
    assert note.endswith("set latency_h = 33")
    assert table["learned_most_h"].to_list() == [9.0, 33.0, 9.0]
    assert table["latency_h"].to_list() == [0.0, 0.0, 0.0]
    terminal.print_fetch(place.dam, table.to_dicts())
    out = capsys.readouterr().out
    assert out.count("learned 9–33 h") == 1
    assert out.count("33 fetches") == 4  # a cell of each gauge, and the sentence
    assert "set latency_h = 33" in out
    assert "learned_most_h" not in out


def fetches_at(hours: list[float], *, last_day: date = date(2024, 12, 31)) -> pl.DataFrame:
    start = day_start(date(2024, 1, 1), ZONE)
    rows = [(start + timedelta(hours=hour), last_day, None) for hour in hours]
    columns = {"fetched_at": pl.Datetime("us", "UTC"), "last_day": pl.Date(), "first_day": pl.Date()}
    return pl.DataFrame(rows, schema=columns, orient="row")


def readings_at(hours: dict[int, float]) -> pl.DataFrame:
    """time and fetched_at of daily readings: number of the day → hours after the start of 2024."""
    start = day_start(date(2024, 1, 1), ZONE, RAIN.day_start)
    midnight = day_start(date(2024, 1, 1), ZONE)
    rows = [(start + timedelta(days=k), midnight + timedelta(hours=hour)) for k, hour in hours.items()]
    return pl.DataFrame(rows, schema=dict.fromkeys(("time", "fetched_at"), pl.Datetime("us", "UTC")), orient="row")


@pytest.mark.parametrize("latency", [0.0, 6.0, 20.0, 31.0, 50.0])
def test_the_bounds_contain_the_true_latency(latency: float) -> None:
    """An oracle: each reading appears in the first fetch after its day's end plus the latency."""
    fetch_hours = [11.0 + 24 * k for k in range(80)]
    arrival = {k: 33.0 + 24 * k + latency for k in range(60)}  # RAIN's day ends at 09:00 on the next day
    seen = {k: min(hour for hour in fetch_hours if hour >= arrival[k]) for k in arrival}
    learned = learned_latency(readings_at(seen), fetches_at(fetch_hours), RAIN, ZONE)
    assert learned.least_h is not None
    assert learned.most_h is not None
    assert learned.least_h <= latency <= learned.most_h
    assert learned.most_h - learned.least_h <= 24


@pytest.mark.parametrize(("count", "is_learned"), [(MIN_FETCHES - 1, False), (MIN_FETCHES, True)])
def test_a_latency_needs_thirty_fetches(count: int, is_learned: bool) -> None:
    """Two readings a fetch, so that the number of fetches alone decides."""
    fetch_hours = [11.0 + 24 * k for k in range(count)]
    arrived = {k: 35.0 + 24 * k for k in range(count - 1)}
    twice = pl.concat([readings_at(arrived)] * 2)
    learned = learned_latency(twice, fetches_at(fetch_hours), RAIN, ZONE)
    assert (learned.fetches, learned.most_h is not None) == (count, is_learned)


def test_rare_fetches_and_fetches_of_other_days_show_no_latency() -> None:
    every_second_day = [11.0 + 48 * k for k in range(40)]
    arrived = {2 * k: min(hour for hour in every_second_day if hour >= 34.0 + 48 * k) for k in range(39)}
    learned = learned_latency(readings_at(arrived), fetches_at(every_second_day), RAIN, ZONE)
    assert learned == LearnedLatency(40, 39, 0.0, 26.0), "26 h after an end that lies 22 h after a fetch"
    every_third_day = [11.0 + 72 * k for k in range(40)]
    arrived = {3 * k: min(hour for hour in every_third_day if hour >= 34.0 + 72 * k) for k in range(39)}
    assert learned_latency(readings_at(arrived), fetches_at(every_third_day), RAIN, ZONE) == LearnedLatency(40, 0)
    of_last_year = fetches_at([11.0 + 24 * k for k in range(40)], last_day=date(2023, 12, 31))
    assert last_misses(readings_at({20: 700.0}), of_last_year, RAIN, ZONE).to_list() == [None]


def test_the_last_miss_is_the_newest_fetch_that_requested_the_day() -> None:
    start = day_start(date(2024, 1, 1), ZONE)
    spans = [(0, None, 40), (48, 1, 3), (50, 10, 11), (60, 1, 3), (90, 1, 4)]  # hour, first and last day of January
    rows = [
        (start + timedelta(hours=hour), date(2024, 1, 1) + timedelta(days=last - 1), first and date(2024, 1, first))
        for hour, first, last in spans
    ]
    columns = {"fetched_at": pl.Datetime("us", "UTC"), "last_day": pl.Date(), "first_day": pl.Date()}
    fetches = pl.DataFrame(rows, schema=columns, orient="row")
    # the reading of day 0 belongs to 2 January
    for hour, miss in ((95.0, 90), (90.0, 60), (60.0, 48), (48.0, 0), (0.0, None)):
        (found,) = last_misses(readings_at({0: hour}), fetches, RAIN, ZONE).to_list()
        assert found == (None if miss is None else start + timedelta(hours=miss)), hour
