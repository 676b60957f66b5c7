"""Effects of each fault of a service, from a real fetch into a real archive, as a table.

The fetch covers 30 days of three gauges in requests of at most 10 days. The service misbehaves on one request for the
rain gauge only. As a script it writes `docs/faults.md`::

    python -m tests.faults
"""

from __future__ import annotations

import gzip
import re
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path

import polars as pl
import trustme

from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.archive.store import Archive, open_archive
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.settings import Settings
from forebay.sources import Fetch, fetch_readings
from tests import faulty_server as on
from tests.faulty_server import FaultyHandler, Misbehave
from tests.hydstra_server import Json, hydstra_server
from tests.shared import PROJECT

PAGE = PROJECT / "docs" / "faults.md"
BAD_STATION = "563035"
AFFECTED_START = "20200210000000"
"""Start of the affected request."""
RECORD_START = "20080130000000"
"""Start of the affected request where it is the first of the whole record."""
SINCE, UNTIL = date(2020, 2, 1), date(2020, 3, 1)
NOW = datetime(2020, 3, 3, tzinfo=UTC)
LATER = NOW + timedelta(days=2)
LIMITS = {
    "first_wait_s": 0,
    "longest_wait_s": 0.05,
    "attempts": 3,
    "connect_timeout_s": 20,
    "read_timeout_s": 20,
    "deadline_s": 40,
    "max_bytes": 1_000_000,
    "days_per_request": 10,
}
ERRORS = {
    21: "Invalid date",
    22: "Invalid time",
    23: "End time is before start time",
    80: "Invalid datasource",
    83: "Invalid site",
    84: "Invalid site list",
    100: "Unknown function",
    120: "Missing top-level item",
    126: "No data within specified period",
    999: "Something new",
}
SHORT_READ_TIMEOUT, TOO_LATE_S = (("read_timeout_s", 2.0),), 4.0
SHORT_DEADLINE = (("deadline_s", 2.0),)


@dataclass(frozen=True)
class Fault:
    """Misbehaviour of the service on requests for `function`: on the first `times` of them, or on all.

    `limits` are settings of the gauge's fetch. `tls` means that the gauge's service uses https. With `whole_record`
    the fetch covers the whole record in two requests, and the first is affected.
    """

    group: str
    name: str
    misbehave: Misbehave
    times: int | None = None
    tls: bool = False
    function: str = "get_ts_traces"
    limits: tuple[tuple[str, float], ...] = ()
    whole_record: bool = False


def _connections() -> Iterator[Fault]:
    fault = partial(Fault, "The connection")
    yield fault("resets the connection within an answer, once", on.reset, times=1)
    yield fault("resets the connection within every answer", on.reset)
    yield fault("closes the connection early: Content-Length is too large", on.wrong_length(+50))
    yield fault("truncates the answer: Content-Length is too small", on.wrong_length(-50))
    yield fault("stops sending in the middle of an answer", on.stall(TOO_LATE_S), limits=SHORT_READ_TIMEOUT)
    slow_start = on.slow_first_byte(TOO_LATE_S)
    yield fault("sends the first byte too late, once", slow_start, times=1, limits=SHORT_READ_TIMEOUT)
    yield fault("sends the first byte too late, always", slow_start, limits=SHORT_READ_TIMEOUT)
    yield fault("sends one byte at a time, for longer than `http.deadline_s`", on.slow_drip, limits=SHORT_DEADLINE)
    yield fault("sends an endless answer", on.endless)
    yield fault("redirects to another path on its host", on.redirect("/cgi/webservice.exe?moved"), times=1)
    yield fault("redirects to another host", on.redirect("https://elsewhere.test/"))
    yield fault("redirects in a loop", on.redirect("/cgi/webservice.exe"))
    yield fault("has a certificate that is not trusted", on.correct, tls=True)


def _statuses() -> Iterator[Fault]:
    fault = partial(Fault, "The status")
    yield fault("answers 502 to a request without User-Agent", on.correct)
    yield fault(
        "answers 429 (too many requests) once, with Retry-After: 3600", on.status(429, Retry_After="3600"), times=1
    )
    yield fault("answers 429 always", on.status(429, Retry_After="0"))
    yield fault("answers 503 twice, then correctly", on.status(503), times=2)
    for code in (408, 502, 503, 504):
        yield fault(f"answers {code} always", on.status(code))
    for code in (400, 403, 404, 500):
        yield fault(f"answers {code}", on.status(code))


def _bodies() -> Iterator[Fault]:
    fault = partial(Fault, "The body")
    gzipped = partial(on.transformed, Content_Encoding="gzip")
    yield fault("compresses the body with gzip", gzipped(gzip.compress))
    truncated = gzipped(lambda answer: on.half(gzip.compress(answer)))
    yield fault("compresses the body with gzip and truncates it", truncated)
    yield fault("declares gzip but does not compress", gzipped(bytes))
    yield fault("compresses 64 MB of blanks with gzip", gzipped(on.bomb))
    yield fault("sends half of the JSON", on.transformed(on.half))
    yield fault("sends half of the JSON, once", on.transformed(on.half), times=1)
    yield fault("sends HTML, with status 200", on.body(on.MAINTENANCE))
    yield fault("sends an empty body, with status 200", on.body(b""))
    yield fault("sends JSON of another kind", on.body(b"[1, 2]"))
    code_page = on.transformed(lambda answer: answer.replace(b"STATION", b"GAUGE 5\xb0"))
    yield fault("encodes the body in the Windows code page", code_page)
    yield fault("starts the body with a byte order mark", on.transformed(lambda answer: b"\xef\xbb\xbf" + answer))


def _envelopes() -> Iterator[Fault]:
    fault = partial(Fault, "The envelope")
    for error_key in ("error_num", "err_num", "_error_num"):
        for result_key in ("return", "_return"):
            yield fault(f"`{result_key}` with `{error_key}`", on.renamed_keys(result_key, error_key))
    for number, text in ERRORS.items():
        yield fault(f"error {number}", on.error(number, text=text))
    for error_key in ("err_num", "_error_num"):
        yield fault(f"error 80, as `{error_key}`", on.error(80, key=error_key, text=ERRORS[80]))
    yield fault("an error number that is not a number", on.error("many"))
    yield fault("neither a result nor an error", on.body(b'{"error_num": 0}'))


def _lists() -> Iterator[Fault]:
    fault = partial(Fault, "The list of variables", function="get_variable_list")
    yield fault("does not list the site", on.sites(lambda _: []))
    yield fault("lists the site without variables", on.sites(lambda rows: [row | {"variables": []} for row in rows]))
    yield fault("lists another variable", on.variable(variable="130.00", name="Reservoir Water Level"))
    yield fault("lists an invalid period", on.variable(period_start="", period_end=""))
    yield fault("sends half of the list", on.transformed(on.half))
    yield fault("sends half of the list, once", on.transformed(on.half), times=1)
    yield fault("answers 503 twice, then correctly", on.status(503), times=2)
    yield fault("reports no data (error 126)", on.error(126, text=ERRORS[126]))


def _contents() -> Iterator[Fault]:
    fault = partial(Fault, "Traces and points")
    yield fault("omits the site", on.traces(lambda _: []))
    yield fault("sends another site instead", on.trace(site="999999"))
    yield fault("reports an error in the trace", on.trace(error_num=83, error_msg="Invalid site"))
    yield fault("reports error 126 in the trace", on.trace(error_num=126, error_msg="No data"))
    yield fault("sends another variable", on.trace(varto_details={"variable": "100.00", "units": "Metres"}))
    yield fault("sends an unknown unit", on.trace(varto_details={"variable": "10.00", "units": "Furlongs"}))
    yield fault("sends an invalid time zone", on.trace(site_details={"timezone": "99"}))
    yield fault("sends every point twice", on.points(lambda rows: rows + rows))
    yield fault("sends two values for one time", on.points(lambda rows: [*rows, rows[2] | {"v": "99.0"}]))
    yield fault("sends the points unordered", on.points(lambda rows: rows[5:] + rows[:5][::-1]))
    beyond = {"t": 20300101000000}
    yield fault("sends a point outside of the requested span", on.points(lambda rows: [*rows, rows[0] | beyond]))
    yield fault("omits a point", on.points(lambda rows: rows[:2] + rows[3:]))
    yield fault('sends the value ""', on.third_point(v=""))
    yield fault('sends the value "NaN"', on.third_point(v="NaN"))
    yield fault("sends the value NaN, without quotes", on.third_point(v=float("nan")))
    yield fault('sends the value "1e999"', on.third_point(v="1e999"))
    yield fault("sends the value null", on.third_point(v=None))
    yield fault('sends the value "1,5"', on.third_point(v="1,5"))
    yield fault("sends a time of 13 digits", on.third_point(t=2020021200000))
    yield fault("sends a date that does not exist", on.third_point(t=20200230000000))
    yield fault("sends a point without a time", on.points(lambda rows: [{"v": "1.0", "q": 1}, *rows[1:]]))


def _starts() -> Iterator[Fault]:
    fault = partial(Fault, "The first part of a record", whole_record=True)
    yield fault("reports no data (error 126)", on.error(126, text=ERRORS[126]))
    yield fault("omits the site", on.traces(lambda _: []))
    yield fault("sends no point", on.points(lambda _: []))
    yield fault("sends half of the answer", on.transformed(on.half))
    yield fault("sends half of the answer, once", on.transformed(on.half), times=1)


FAULTS = (*_connections(), *_statuses(), *_bodies(), *_envelopes(), *_lists(), *_contents(), *_starts())


@dataclass(frozen=True)
class Outcome:
    """Effects of a fault.

    Attributes
    ----------
    requests
        Number of attempts of the affected request.
    stored, expected
        The bad gauge's readings in the archive after the fetch, and its readings from a service without a fault.
    other_gauges_complete
        Whether the archive has all readings of the other gauges.
    errors
        Error message by the gauge's column.
    recovered
        Whether the next fetch, from a service without a fault, leaves the archive as if there had been no fault.
    """

    requests: int
    stored: pl.DataFrame
    expected: pl.DataFrame
    other_gauges_complete: bool
    errors: dict[str, str]
    recovered: bool

    @property
    def message(self) -> str:
        """The bad gauge's error without texts of the network and its libraries, which vary; empty without an error."""
        text = self.errors.get(f"rainfall_{BAD_STATION}", "")
        text = re.sub(r"127\.0\.0\.1:\d+", "HOST", text)
        text = re.sub(r"(broke off its answer|that is not trusted|cannot be reached) \(.*\);", r"\1 (…);", text)
        return text.partition(f"station {BAD_STATION}: ")[2] if f"station {BAD_STATION}: " in text else text

    @property
    def summary(self) -> str:
        """Content of the archive in a few words."""
        if self.stored.is_empty():
            return "nothing stored"
        if self.stored.equals(self.expected):
            return "all stored"
        absent_days = len(self.expected) - len(self.stored)
        missing_values = self.stored["value"].null_count() - self.expected.tail(len(self.stored))["value"].null_count()
        if absent_days:
            return f"{absent_days} days not stored" if absent_days > 1 else "1 day not stored"
        return f"all stored, {missing_values} as missing" if missing_values else "other readings stored"


def make_dam(*, separate_service: bool) -> Dam:
    """Warragamba's level, a rain gauge and a river; with `separate_service` the rain gauge has another service."""
    dam = load_dam("warragamba")
    gauges = [gauge for gauge in dam.gauges if gauge.station in ("212242", BAD_STATION, "212250")]
    if separate_service:
        gauges = [g.model_copy(update={"source": "vicwater"}) if g.station == BAD_STATION else g for g in gauges]
    return dam.model_copy(update={"gauges": tuple(gauges)})


def settings_for(url: str, *, whole_record: bool, bad_url: str = "") -> Settings:
    """Settings for a fetch from `url`, and from `bad_url` where the bad gauge has another service."""
    sources = {"waternsw": {"url": url}, "vicwater": {"url": bad_url or url}}
    http = LIMITS | ({"days_per_request": 3660} if whole_record else {})
    return Settings.model_validate({"sources": sources, "http": http, "provisional_days": 5})


def limited(fetch: Fetch, limits: Mapping[str, float]) -> Fetch:
    """`fetch`, with `limits` for the bad gauge only: on a slow machine the other gauges may be slow."""

    def limited_fetch(
        gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
    ) -> pl.DataFrame:
        if gauge.station == BAD_STATION:
            settings = settings.model_copy(update={"http": settings.http.model_copy(update=limits)})
        return fetch(gauge, dam, since, until, settings=settings, now=now)

    return limited_fetch


def fetch(
    dam: Dam,
    archive: Archive,
    settings: Settings,
    *,
    now: datetime,
    first: date | None,
    limits: Sequence[tuple[str, float]] = (),
) -> dict[str, str]:
    """Errors of a fetch by column. It starts on `first`, or continues from the archive if that has all gauges.

    `limits` apply to the bad gauge.
    """
    since = first if any(archive.newest(gauge) is None for gauge in dam.gauges) else None
    request = FetchRequest(now, since=since, until=UNTIL)
    report = fetch_dam(dam, archive, settings=settings, request=request, fetch=limited(fetch_readings, dict(limits)))
    return {column: str(error) for column, error in report.errors.items()}


@contextmanager
def temporary_archive() -> Iterator[Archive]:
    """A temporary archive in SQLite."""
    with tempfile.TemporaryDirectory() as folder, open_archive(f"sqlite:///{folder}/forebay.db") as opened:
        yield opened


def stored_readings(archive: Archive, gauges: Sequence[Gauge]) -> pl.DataFrame:
    """Readings in the archive, independent of the time and order of fetches."""
    return archive.as_of(gauges).drop("fetched_at").sort("source", "station", "time")


@lru_cache(maxsize=3)
def faultless_readings(dam: Dam, whole_record: bool) -> pl.DataFrame:
    """Readings of a service without a fault: the whole record, or from `SINCE` on."""
    with temporary_archive() as store, hydstra_server() as url:
        settings = settings_for(url, whole_record=whole_record)
        assert fetch(dam, store, settings, now=NOW, first=None if whole_record else SINCE) == {}
        return stored_readings(store, dam.gauges)


def is_for_bad_gauge(call: Json) -> bool:
    """Whether a call is for the bad gauge."""
    return bool(call.get("params", {}).get("site_list") == BAD_STATION)


def try_fault(fault: Fault, affects: Callable[[Json], bool] | None = None) -> Outcome:
    """Effects of `fault` on the calls that `affects` selects; by default one call of the bad gauge."""

    def one_call(call: Json) -> bool:
        affected_start = RECORD_START if fault.whole_record else AFFECTED_START
        start = call["params"].get("start_time", affected_start)
        return is_for_bad_gauge(call) and call["function"] == fault.function and start == affected_start

    dam, first = make_dam(separate_service=fault.tls), None if fault.whole_record else SINCE
    expected = faultless_readings(dam, fault.whole_record)
    affected: list[Json] = []
    affected_gauges = [gauge for gauge in dam.gauges if gauge.station == BAD_STATION]
    other_gauges = [gauge for gauge in dam.gauges if gauge.station != BAD_STATION]
    handler = partial(
        FaultyHandler, misbehave=fault.misbehave, affects=affects or one_call, times=fault.times, affected=affected
    )
    with temporary_archive() as store, hydstra_server() as good_url:
        with hydstra_server(handler=handler, tls=_untrusted_certificate() if fault.tls else None) as url:
            settings = settings_for(good_url if fault.tls else url, whole_record=fault.whole_record, bad_url=url)
            errors = fetch(dam, store, settings, now=NOW, first=first, limits=fault.limits)
        stored, other_readings = stored_readings(store, affected_gauges), stored_readings(store, other_gauges)
        next_errors = fetch(dam, store, settings_for(good_url, whole_record=fault.whole_record), now=LATER, first=first)
        final_readings = stored_readings(store, dam.gauges)
    is_bad_gauge = pl.col("station") == BAD_STATION
    return Outcome(
        requests=len(affected),
        stored=stored,
        expected=expected.filter(is_bad_gauge),
        other_gauges_complete=other_readings.equals(expected.filter(~is_bad_gauge)),
        errors=errors,
        recovered=next_errors == {} and final_readings.equals(expected),
    )


def _untrusted_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


def table_row(fault: Fault, outcome: Outcome) -> str:
    """The fault's row in `docs/faults.md`."""
    cells = (fault.name, str(outcome.requests), outcome.summary, outcome.message)
    return f"| {' | '.join(_cell(cell) for cell in cells)} |\n"


def page(lines: Mapping[Fault, str]) -> str:
    """`docs/faults.md`, from one row per fault."""
    parts = [HEAD]
    for group in dict.fromkeys(fault.group for fault in lines):
        parts.append(f"\n## {group}\n\n{TABLE_HEAD}")
        parts += [text for fault, text in lines.items() if fault.group == group]
    return "".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


TABLE_HEAD = "| the service | requests | archive | error message |\n| --- | --- | --- | --- |\n"
HEAD = """# Faults of a service and their effects

Each line is an experiment. A server on loopback has the fault on one request for one gauge, while the fetch covers two
more gauges. The affected request is the second request for the gauge's 30 days, or the request for its list of
variables. In every line

- the archive has all readings of the other gauges;
- the archive has the bad gauge's whole span, or nothing of it if any part failed. Days that a complete answer omits are
  not filled. They count as missing, and a later fetch [requests them again](fetching.md#requested-days);
- after the next fetch, from a service without a fault, the archive is the same as without any fault. There is one
  exception: a value that was sent as missing stays missing, unless it is among the newest `provisional_days`.

"Requests" is the number of attempts of the affected request. With the settings of this table the maximum is 3
(`http.attempts`; the default is 4). The error message follows the gauge's name; "(…)" replaces texts of the network and
its libraries. In the last table the fetch covers the whole record in two requests, and the first is affected. If the
archive stored the second part, the next fetch would continue after it, and the first part would be lost.

`python -m tests.faults` writes this page, and a test compares it with the results.
"""

if __name__ == "__main__":
    PAGE.write_text(page({fault: table_row(fault, try_fault(fault)) for fault in FAULTS}), "utf-8")
    print(Path(PAGE).relative_to(PROJECT))
