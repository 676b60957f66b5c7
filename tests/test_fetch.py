"""Fetches into an archive, from files and from sources that fail."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from forebay.archive.fetch import FETCHES, REQUESTS, FetchRequest, fetch_dam, plan_dam
from forebay.archive.store import Archive, open_archive
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.dams.local_time import day_start, local_date
from forebay.errors import ConfigError, ForebayError, SourceError
from forebay.settings import HttpSettings, Settings
from forebay.tables import READINGS
from tests import synthetic
from tests.loopback import loopback_server
from tests.readings import readings
from tests.services import usgs
from tests.shared import PROJECT, needs_shared

ZONE = "+10:00"
TODAY = date(2024, 3, 10)
NOW = day_start(TODAY, ZONE) + timedelta(hours=6)
SETTINGS = Settings(provisional_days=10)
ALL = FetchRequest(NOW)


class Agency:
    """A gauge service in the test's process: one number per day since `FIRST`, with settable revisions and failures."""

    FIRST = date(2024, 1, 1)

    def __init__(self) -> None:
        self.requests: dict[str, tuple[date | None, date]] = {}
        self.spans: list[tuple[str, date | None, date]] = []
        self.broken: dict[str, Exception] = {}
        self.revised: dict[date, float] = {}
        self.without_reading: set[date] = set()
        self.unavailable: set[date] = set()

    def fetch(
        self, gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
    ) -> pl.DataFrame:
        self.requests[gauge.station] = (since, until)
        self.spans.append((gauge.station, since, until))
        if gauge.station in self.broken:
            raise self.broken[gauge.station]
        last = min(until, local_date(now, dam.time_zone) - timedelta(days=1))
        first = max(since or self.FIRST, self.FIRST)
        days = [first + timedelta(days=k) for k in range((last - first).days + 1)]
        contents = {}
        for day in days:
            if day in self.without_reading:
                continue
            value = self.revised.get(day, float(day.toordinal() % 100))
            content = (None, "0.000", "missing", "255") if day in self.unavailable else (value, str(value), "good", "1")
            contents[day_start(day, dam.time_zone)] = content
        return readings(gauge, contents)


def test_readings_are_stamped_with_the_time_of_their_arrival(tmp_path: Path, agency: Agency) -> None:
    dam = load_dam("warragamba")
    calls = [NOW + timedelta(seconds=k) for k in range(len(dam.gauges))]
    times = iter(calls)
    request = FetchRequest(NOW, clock=lambda: next(times))
    with open_archive(f"sqlite:///{tmp_path}/forebay.db") as archive:
        fetch_dam(dam, archive, settings=SETTINGS, request=request, fetch=agency.fetch)
        for number, instant in enumerate(calls, 1):
            stored = archive.as_of(dam.gauges, instant)
            assert stored["station"].n_unique() == number, "every gauge has a later time"
        early = FetchRequest(NOW + timedelta(days=2), clock=lambda: NOW)  # a clock that was set back
        fetch_dam(dam, archive, settings=SETTINGS, request=early, fetch=agency.fetch)
        assert archive.as_of(dam.gauges)["fetched_at"].max() == early.now


@pytest.fixture
def agency() -> Agency:
    return Agency()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with open_archive(f"sqlite:///{tmp_path}/forebay.db") as opened:
        yield opened


@pytest.fixture
def dam() -> Dam:
    return synthetic.dam()


def report(dam: Dam, archive: Archive, agency: Agency, request: FetchRequest = ALL) -> pl.DataFrame:
    """The table of a fetch."""
    return fetch_dam(dam, archive, settings=SETTINGS, request=request, fetch=agency.fetch).table


def test_a_first_fetch_stores_the_complete_record(dam: Dam, archive: Archive, agency: Agency) -> None:
    agency.without_reading = {date(2024, 2, 1), date(2024, 2, 2)}
    agency.unavailable = {TODAY - timedelta(days=1), date(2024, 1, 5)}
    table = report(dam, archive, agency)
    assert table.schema == FETCHES.empty().schema
    assert table["gauge"].to_list() == [gauge.column for gauge in dam.gauges]
    assert agency.requests == {gauge.station: (None, TODAY) for gauge in dam.gauges}
    days = (TODAY - Agency.FIRST).days - 2
    assert table.row(0, named=True) == {
        "gauge": "reservoir_level",
        "source": "simulated",
        "station": "lake",
        "rows": days,
        "new": days,
        "revised": 0,
        "withdrawn": 0,
        "future": 0,
        "missing": 2,
        "unavailable": 2,
        "newest": day_start(TODAY - timedelta(days=2), ZONE),  # yesterday's reading has no value
        "age": 2,
        "latency_h": 0.0,
        "learned_least_h": None,
        "learned_most_h": None,
        "fetches": 1,
        "error": None,
        "note": None,
    }


def test_the_next_fetch_resumes_and_stores_late_revisions(
    dam: Dam, archive: Archive, agency: Agency
) -> None:
    report(dam, archive, agency, FetchRequest(NOW - timedelta(days=3), until=date(2024, 3, 1)))
    agency.revised = {date(2024, 1, 20): -1.0, date(2024, 2, 25): -2.0}  # the first is older than provisional_days
    table = report(dam, archive, agency)
    assert set(agency.requests.values()) == {(date(2024, 2, 20), TODAY)}
    assert table.select("rows", "new", "revised", "age").row(0) == (19, 8, 1, 1)
    unchanged = report(dam, archive, agency)
    assert unchanged.select("new", "revised").rows() == [(0, 0)] * len(dam.gauges)


def test_a_gap_is_requested_again_and_filled(dam: Dam, archive: Archive, agency: Agency) -> None:
    agency.without_reading = {date(2024, 1, 20), date(2024, 1, 21)}
    early = day_start(date(2024, 3, 1), ZONE)
    assert report(dam, archive, agency, FetchRequest(early))["missing"].to_list() == [2] * 4
    for later, due in ((1, True), (1.5, False), (2, True), (3, False)):
        agency.spans.clear()
        table = report(dam, archive, agency, FetchRequest(early + timedelta(days=later)))
        lake = [(since, until) for station, since, until in agency.spans if station == "lake"]
        assert lake[1:] == ([(date(2024, 1, 20), date(2024, 1, 21))] if due else [])
        assert table["missing"].to_list() == [2] * 4
    agency.without_reading.clear()
    filled = report(dam, archive, agency, FetchRequest(early + timedelta(days=4)))
    assert filled.select("new", "missing").rows() == [(3, 0)] * 4  # one new day and two days of the gap
    agency.spans.clear()
    report(dam, archive, agency, FetchRequest(early + timedelta(days=8)))
    assert len(agency.spans) == len(dam.gauges)


def test_a_gap_that_fails_costs_no_newer_day(dam: Dam, archive: Archive, agency: Agency) -> None:
    agency.without_reading = {date(2024, 1, 20)}
    early = day_start(date(2024, 3, 1), ZONE)
    report(dam, archive, agency, FetchRequest(early))

    def without_the_gap(
        gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
    ) -> pl.DataFrame:
        if until < date(2024, 2, 1):
            raise SourceError("that day makes the service ill")
        return agency.fetch(gauge, dam, since, until, settings=settings, now=now)

    request = FetchRequest(early + timedelta(days=1))
    result = fetch_dam(dam, archive, settings=SETTINGS, request=request, fetch=without_the_gap)
    assert [str(error) for error in result.errors.values()] == ["that day makes the service ill"] * 4
    assert result.table.select("new", "missing").rows() == [(1, 1)] * 4


def test_after_a_span_that_fails_no_further_one_is_requested(dam: Dam, archive: Archive, agency: Agency) -> None:
    agency.without_reading = {date(2024, 1, 20)}
    early = day_start(date(2024, 3, 1), ZONE)
    report(dam, archive, agency, FetchRequest(early))
    agency.spans.clear()
    agency.broken = {"lake": SourceError("the service is down")}
    report(dam, archive, agency, FetchRequest(early + timedelta(days=1)))
    spans = [station for station, _, _ in agency.spans]
    assert {station: spans.count(station) for station in set(spans)} == {
        gauge.station: 1 if gauge.station == "lake" else 2 for gauge in dam.gauges
    }


def test_since_and_until_are_passed_on_and_counted_within(dam: Dam, archive: Archive, agency: Agency) -> None:
    agency.without_reading = {date(2024, 1, 10), date(2024, 2, 10)}
    agency.unavailable = {date(2024, 1, 11), date(2024, 2, 11)}
    report(dam, archive, agency)
    table = report(dam, archive, agency, FetchRequest(NOW, date(2024, 2, 5), date(2024, 2, 20)))
    assert set(agency.requests.values()) == {(date(2024, 2, 5), date(2024, 2, 20))}
    assert table.select("rows", "new", "missing", "unavailable").row(0) == (15, 0, 1, 1)
    report(dam, archive, agency, FetchRequest(NOW, date(2024, 2, 5), date(2030, 1, 1)))
    assert set(agency.requests.values()) == {(date(2024, 2, 5), TODAY)}


def test_no_request_for_days_before_the_record(dam: Dam, archive: Archive, agency: Agency) -> None:
    report(dam, archive, agency)
    agency.requests.clear()
    assert report(dam, archive, agency, FetchRequest(NOW, until=date(2024, 1, 31)))["rows"].sum() == 0
    assert agency.requests == {}


def test_the_failure_of_one_gauge_does_not_stop_others(dam: Dam, archive: Archive, agency: Agency) -> None:
    agency.broken = {"r1": SourceError("station r1 is unknown to the service")}
    calls: list[tuple[str, int]] = []
    result = fetch_dam(
        dam,
        archive,
        settings=SETTINGS,
        request=ALL,
        progress=lambda gauge, before: calls.append((gauge.station, before)),
        fetch=agency.fetch,
    )
    assert calls == [("lake", 0), ("r1", 1), ("r2", 2), ("creek", 3)]
    assert result.errors == {"rainfall_r1": agency.broken["r1"]}
    assert result.failure is None
    failed = result.table.filter(pl.col("error").is_not_null())
    assert failed.select("gauge", "error", "rows", "missing", "newest", "age").rows() == [
        ("rainfall_r1", "station r1 is unknown to the service", 0, 0, None, None)
    ]
    assert result.table["rows"].to_list() == [69, 0, 69, 69]


UNEXPECTED = (TypeError("a\x1b[2J"), OverflowError(), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "x"))


@pytest.mark.parametrize("error", UNEXPECTED)
def test_an_unexpected_error_of_one_gauge_does_not_stop_others(
    dam: Dam, archive: Archive, agency: Agency, error: Exception
) -> None:
    agency.broken["r2"] = error
    try:
        result = fetch_dam(dam, archive, settings=SETTINGS, request=ALL, fetch=agency.fetch)
    except type(error):
        pytest.fail("the error of one gauge ended the fetch")
    assert result.failure is None
    table = result.table
    stored = dict(table.select("gauge", "new").iter_rows())
    sentence = table.filter(pl.col("gauge").str.contains("r2"))["error"][0]
    assert sentence.startswith(f"simulated, station r2: {type(error).__name__}")
    assert sentence.endswith("; please report it")
    assert sentence.isprintable() or "\ufffd" in sentence
    assert "\x1b" not in sentence
    assert [gauge for gauge, new in stored.items() if not new] == [table["gauge"][2]]


def test_the_failure_of_all_gauges_is_one_sentence(
    dam: Dam, archive: Archive, agency: Agency
) -> None:
    def failure() -> SourceError | None:
        return fetch_dam(dam, archive, settings=SETTINGS, request=ALL, fetch=agency.fetch).failure

    down = SourceError("the service is down", retryable=True, retry_after=60)
    agency.broken = {gauge.station: down for gauge in dam.gauges}
    failure_error = failure()
    assert str(failure_error) == "none of the 4 gauges of synthetic could be fetched; the first: the service is down"
    assert failure_error is not None
    assert (failure_error.retryable, failure_error.retry_after) == (True, 60)

    agency.broken = {"lake": down}
    assert str(failure()) == (
        "the target gauge of synthetic could not be fetched, and the archive has no reading of it: the service is down"
    )
    agency.broken = {}
    assert failure() is None
    agency.broken = {"lake": down}
    assert failure() is None  # the stored readings of the target suffice


def test_readings_of_another_series_are_refused(dam: Dam, archive: Archive, agency: Agency) -> None:
    def answer_of_another_series(
        gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
    ) -> pl.DataFrame:
        readings = agency.fetch(gauge, dam, since, until, settings=settings, now=now)
        return readings.with_columns(station=pl.lit("creek"))

    result = fetch_dam(dam, archive, settings=SETTINGS, request=ALL, fetch=answer_of_another_series)
    assert "gave station 'creek' where gauge reservoir_level has 'lake'" in str(result.errors["reservoir_level"])
    assert result.table["rows"].to_list() == [0, 0, 0, 69]


def test_invalid_requests_are_refused(dam: Dam, archive: Archive, agency: Agency) -> None:
    with pytest.raises(ConfigError, match=r"until \(2024-01-01\) must not be before since \(2024-02-01\)"):
        FetchRequest(NOW, since=date(2024, 2, 1), until=date(2024, 1, 1))
    with pytest.raises(ConfigError, match="has no time zone"):
        FetchRequest(datetime(2024, 1, 1))
    with pytest.raises(ConfigError, match=r"since \(2024-03-11\) must not be after today \(2024-03-10"):
        report(dam, archive, agency, FetchRequest(NOW, since=date(2024, 3, 11)))


def service_dam() -> Dam:
    """A dam with gauges of a service."""
    dam = synthetic.dam()
    return dam.model_copy(update={"gauges": tuple(g.model_copy(update={"source": "waternsw"}) for g in dam.gauges)})


def test_gauges_are_fetched_at_the_same_time_and_stored_in_order(archive: Archive, agency: Agency) -> None:
    """The first two gauges respond only after both requests, the second before the first."""
    both_requested, second_fetched = threading.Barrier(2, timeout=10), threading.Event()

    def slow(
        gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
    ) -> pl.DataFrame:
        if gauge.station in ("lake", "r1"):
            both_requested.wait()
        if gauge.station == "lake":
            assert second_fetched.wait(10)
        readings = agency.fetch(gauge, dam, since, until, settings=settings, now=now)
        if gauge.station == "r1":
            second_fetched.set()
        return readings

    calls: list[str] = []
    dam = service_dam()
    result = fetch_dam(
        dam,
        archive,
        settings=SETTINGS,
        request=ALL,
        progress=lambda gauge, before: calls.append(gauge.station),
        fetch=slow,
    )
    assert result.errors == {}
    assert calls == ["lake", "r1", "r2", "creek"]
    assert archive.as_of(dam.gauges)["station"].unique(maintain_order=True).to_list() == calls
    assert result.table["rows"].to_list() == [69] * 4


def test_an_error_in_the_dam_file_stops_the_fetch_of_a_service(archive: Archive) -> None:
    def refuse(
        gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
    ) -> pl.DataFrame:
        raise ConfigError("no such variable")

    with pytest.raises(ConfigError, match="no such variable"):
        fetch_dam(service_dam(), archive, settings=SETTINGS, request=ALL, fetch=refuse)


def test_a_plan_lists_each_request_and_sends_none(archive: Archive, agency: Agency) -> None:
    dam = service_dam()
    first = plan_dam(dam, None, settings=SETTINGS, request=ALL)
    assert first.schema == REQUESTS.empty().schema
    host = "realtimedata.waternsw.com.au"
    assert first.rows()[:2] == [
        ("reservoir_level", "waternsw", "lake", host, "get_variable_list", None, None),
        ("reservoir_level", "waternsw", "lake", host, "get_ts_traces from the record's start, 3660 readings each", None,
         datetime(2024, 3, 9)),
    ]  # fmt: skip
    assert plan_dam(dam, archive, settings=SETTINGS, request=ALL).equals(first)

    agency.without_reading = {date(2024, 1, 20)}
    fetch_dam(dam, archive, settings=SETTINGS, request=ALL, fetch=agency.fetch)
    shorter = Settings(provisional_days=10, http=HttpSettings(days_per_request=8))
    next_day = FetchRequest(NOW + timedelta(days=1))
    planned = plan_dam(dam, archive, settings=shorter, request=next_day).filter(gauge="reservoir_level")
    assert planned.select("asks", "first", "last").rows() == [
        ("get_variable_list", None, None),
        ("get_ts_traces", datetime(2024, 2, 27), datetime(2024, 3, 5)),
        ("get_ts_traces", datetime(2024, 3, 6), datetime(2024, 3, 10)),
        ("get_variable_list", None, None),
        ("get_ts_traces", datetime(2024, 1, 19), datetime(2024, 1, 21)),
    ]
    past = FetchRequest(NOW, until=date(2024, 1, 10))
    assert plan_dam(dam, archive, settings=SETTINGS, request=past).is_empty()


def test_a_plan_lists_gauges_without_a_service(tmp_path: Path, dam: Dam) -> None:
    spans = FetchRequest(NOW, date(2024, 1, 1), date(2024, 1, 31))
    (plan,) = plan_dam(dam_with_file(tmp_path), None, settings=SETTINGS, request=spans).rows()
    end = (datetime(2024, 1, 1), datetime(2024, 1, 31))
    assert plan == ("reservoir_level", "csv", "lake", None, f"file {tmp_path / 'level.csv'}", *end)
    simulated = plan_dam(dam, None, settings=SETTINGS, request=spans)
    assert simulated.row(0) == ("reservoir_level", "simulated", "lake", None, "simulated: no service", *end)


def dam_with_file(folder: Path) -> Dam:
    """A dam with the level in `level.csv`."""
    path = folder / "dam.toml"
    path.write_text(
        """
        id = "file_dam"
        name = "A dam of a file"
        country = "Nowhere"
        latitude = 0.0
        longitude = 0.0
        time_zone = "+10:00"
        target = { variable = "reservoir_level", unit = "m", datum = "metres above nothing" }
        [[gauges]]
        role = "target"
        source = "csv"
        station = "lake"
        variable = "reservoir_level"
        unit = "m"
        file = { path = "level.csv", date = "day", value = "level" }
        """
    )
    return load_dam(str(path))


def test_a_file_is_read_completely_so_that_any_correction_is_stored(archive: Archive, tmp_path: Path) -> None:
    def fetch(now: datetime) -> dict[str, object]:
        result = fetch_dam(dam, archive, settings=SETTINGS, request=FetchRequest(now))
        return result.table.select("rows", "new", "revised").row(0, named=True)

    lines = [f"{date(2020, 1, 1) + timedelta(days=k)},{k / 100}" for k in range(400)]
    dam = dam_with_file(tmp_path)
    (tmp_path / "level.csv").write_text("\n".join(["day,level", *lines]))
    assert fetch(NOW) == {"rows": 400, "new": 400, "revised": 0}
    lines[3] = "2020-01-04,7.5"
    (tmp_path / "level.csv").write_text("\n".join(["day,level", *lines, "2021-02-04,4.0"]))
    assert fetch(NOW + timedelta(days=1)) == {"rows": 401, "new": 1, "revised": 1}
    assert archive.first_known(dam.gauges)["value"][3] == 0.03
    assert archive.as_of(dam.gauges)["value"][3] == 7.5


def test_an_archive_that_cannot_be_written_stops_the_fetch(dam: Dam, tmp_path: Path, agency: Agency) -> None:
    path = tmp_path / "forebay.db"
    with open_archive(f"sqlite:///{path}") as archive:
        report(dam, archive, agency, FetchRequest(NOW, until=date(2024, 2, 1)))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(ForebayError, match="is damaged"), open_archive(f"sqlite:///{path}") as archive:
        report(dam, archive, agency)


@needs_shared
def test_the_warragamba_files_are_stored_completely(archive: Archive) -> None:
    dam = load_dam(str(PROJECT / "tests" / "dams" / "warragamba.toml"))
    now = datetime(2022, 1, 20, tzinfo=UTC)
    first = fetch_dam(dam, archive, settings=Settings(), request=FetchRequest(now))
    assert first.errors == {}
    level = first.table.row(0, named=True)
    # shared/domain.md, 2: 5097 level days to 2022-01-12, 457 of them unavailable; 5096 rain and stream days
    assert (level["rows"], level["new"], level["missing"], level["unavailable"]) == (5097, 5097, 0, 457)
    assert first.table["rows"].to_list()[1:] == [5096] * 7
    assert level["age"] == (date(2022, 1, 20) - local_date(level["newest"], dam.time_zone)).days
    unchanged = fetch_dam(dam, archive, settings=Settings(), request=FetchRequest(now))
    assert unchanged.table.select("new", "revised").sum().row(0) == (0, 0)
    assert archive.as_of(dam.gauges).select(READINGS.key).is_duplicated().any() is False


def test_readings_of_a_service_in_the_future_are_counted_reported_and_not_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The simulated service has values until 10 April 2026; a fetch asks it for a day more than today."""
    case, now = usgs.cases()[0], datetime(2026, 2, 20, 12, tzinfo=UTC)
    gauge = case.bad_gauge
    caplog.set_level("INFO", logger="forebay.fetch")
    with loopback_server(case.answer) as (url, _), open_archive(f"sqlite:///{tmp_path}/forebay.db") as archive:
        report = fetch_dam(case.dam, archive, settings=case.settings(url), request=FetchRequest(now))
        stored = archive.as_of([gauge])
    row = report.table.filter(pl.col("gauge") == gauge.column).row(0, named=True)
    assert (row["rows"], row["new"], row["future"], row["error"]) == (19, 19, 1, None)
    assert row["note"] == (
        "source usgs: 1 reading lies in the future and is left out, the first of 2026-02-21; correct the clock of this "
        "machine if it is wrong, or report it to the service"
    )
    assert stored["time"].max() == datetime(2026, 2, 19, 7, tzinfo=UTC), "20 February has not ended: no line"
    records = [record.__dict__["fields"] for record in caplog.records if record.name == "forebay.fetch"]
    assert [fields["future"] for fields in records] == [1, 1]


def test_a_service_with_readings_of_the_future_only_is_an_error_and_a_missing_one_before_it_is_none(
    tmp_path: Path,
) -> None:
    tomorrow = day_start(TODAY + timedelta(days=1), ZONE)
    contents: dict[datetime, tuple[float | None, str, str, str]] = {tomorrow: (1.0, "1", "good", "1")}

    def fetch(
        gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
    ) -> pl.DataFrame:
        return readings(gauge, contents)

    dam = load_dam("warragamba")
    with open_archive(f"sqlite:///{tmp_path}/forebay.db") as archive:
        report = fetch_dam(dam, archive, settings=SETTINGS, request=ALL, fetch=fetch)
        assert "every reading lies in the future (1, the first of 2024-03-11); correct the clock" in str(report.failure)
        assert archive.as_of(dam.gauges).is_empty()
        contents[NOW - timedelta(days=1)] = (None, "", "missing", "255")
        contents[tomorrow + timedelta(days=1)] = (None, "-9999", "missing", "255")
        report = fetch_dam(dam, archive, settings=SETTINGS, request=ALL, fetch=fetch)
        assert report.errors == {} and set(report.table["future"]) == {1}, "a cell without a value is no reading"
        assert archive.as_of(dam.gauges).height == len(dam.gauges)
