"""What comes of each fault of a service: every one is tried on a real fetch into a real archive, and told in a table.

A dam of three gauges is fetched, 30 days in requests of at most 10 days; the service misbehaves on one request for the
rain gauge only. `docs/faults.md` is made of what is seen::

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
BAD = "563035"
STRUCK = "20200210000000"
"""Where the request that the service misbehaves on starts."""
RECORD_START = "20080130000000"
"""The same where it is the first of the whole record."""
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
IMPATIENT, TOO_LATE_S = (("read_timeout_s", 2.0),), 4.0
HURRIED = (("deadline_s", 2.0),)


@dataclass(frozen=True)
class Fault:
    """What the service does when it is asked for `function`, on the first `times` such requests or on all.

    `limits` are settings of the gauge's fetch, `tls` means that the gauge's service is asked over https. `whole` means
    that the whole record is fetched, in two requests, and the first of them is struck.
    """

    group: str
    name: str
    misbehave: Misbehave
    times: int | None = None
    tls: bool = False
    function: str = "get_ts_traces"
    limits: tuple[tuple[str, float], ...] = ()
    whole: bool = False


def _connections() -> Iterator[Fault]:
    connection = partial(Fault, "The connection")
    yield connection("resets it in the middle of an answer, once", on.reset, times=1)
    yield connection("resets it in the middle of every answer", on.reset)
    yield connection("closes it in the middle: Content-Length is too long", on.of_length(+50))
    yield connection("cuts the answer: Content-Length is too short", on.of_length(-50))
    yield connection("falls silent in the middle of an answer", on.falls_silent(TOO_LATE_S), limits=IMPATIENT)
    late = on.slow_first_byte(TOO_LATE_S)
    yield connection("sends the first byte too late, once", late, times=1, limits=IMPATIENT)
    yield connection("sends the first byte too late, always", late, limits=IMPATIENT)
    yield connection("sends a byte at a time, for longer than `http.deadline_s`", on.slow_drip, limits=HURRIED)
    yield connection("sends an answer without end", on.without_end)
    yield connection("redirects to another place on its host", on.redirect("/cgi/webservice.exe?moved"), times=1)
    yield connection("redirects to another host", on.redirect("https://elsewhere.test/"))
    yield connection("redirects in a circle", on.redirect("/cgi/webservice.exe"))
    yield connection("shows a certificate that nobody vouches for", on.nothing_wrong, tls=True)


def _statuses() -> Iterator[Fault]:
    said = partial(Fault, "The status")
    yield said("answers 502 to whoever does not name itself (User-Agent)", on.nothing_wrong)
    yield said("says 429 (too many requests) once, with Retry-After: 3600", on.status(429, Retry_After="3600"), times=1)
    yield said("says 429 always", on.status(429, Retry_After="0"))
    yield said("says 503 twice, then answers", on.status(503), times=2)
    for code in (408, 502, 503, 504):
        yield said(f"says {code} always", on.status(code))
    for code in (400, 403, 404, 500):
        yield said(f"says {code}", on.status(code))


def _bodies() -> Iterator[Fault]:
    packed = partial(Fault, "The body")
    gzipped = partial(on.changed, Content_Encoding="gzip")
    yield packed("packs it with gzip", gzipped(gzip.compress))
    yield packed("packs it with gzip, and cuts that", gzipped(lambda whole: on.half(gzip.compress(whole))))
    yield packed("says gzip where it is not", gzipped(bytes))
    yield packed("packs 64 MB of blanks with gzip", gzipped(on.bomb))
    yield packed("sends half of the JSON", on.changed(on.half))
    yield packed("sends half of the JSON, once", on.changed(on.half), times=1)
    yield packed("sends HTML, with status 200", on.body(on.MAINTENANCE))
    yield packed("sends nothing, with status 200", on.body(b""))
    yield packed("sends JSON of another kind", on.body(b"[1, 2]"))
    code_page = on.changed(lambda whole: whole.replace(b"STATION", b"GAUGE 5\xb0"))
    yield packed("writes it in the Windows code page", code_page)
    yield packed("begins it with a byte order mark", on.changed(lambda whole: b"\xef\xbb\xbf" + whole))


def _envelopes() -> Iterator[Fault]:
    envelope = partial(Fault, "The envelope")
    for error_key in ("error_num", "err_num", "_error_num"):
        for result_key in ("return", "_return"):
            yield envelope(f"`{result_key}` beside `{error_key}`", on.enveloped(result_key, error_key))
    for number, text in ERRORS.items():
        yield envelope(f"error {number}", on.error(number, text=text))
    for error_key in ("err_num", "_error_num"):
        yield envelope(f"error 80, as `{error_key}`", on.error(80, key=error_key, text=ERRORS[80]))
    yield envelope("an error number that is no number", on.error("many"))
    yield envelope("neither a result nor an error", on.body(b'{"error_num": 0}'))


def _lists() -> Iterator[Fault]:
    listed = partial(Fault, "The list of variables", function="get_variable_list")
    yield listed("does not list the site", on.sites(lambda _: []))
    yield listed("lists the site without variables", on.sites(lambda given: [one | {"variables": []} for one in given]))
    yield listed("lists another variable", on.variable(variable="130.00", name="Reservoir Water Level"))
    yield listed("lists a period that is none", on.variable(period_start="", period_end=""))
    yield listed("sends half of it", on.changed(on.half))
    yield listed("sends half of it, once", on.changed(on.half), times=1)
    yield listed("says 503 twice, then answers", on.status(503), times=2)
    yield listed("says that there is no data (error 126)", on.error(126, text=ERRORS[126]))


def _contents() -> Iterator[Fault]:
    held = partial(Fault, "Traces and points")
    yield held("leaves the site out", on.traces(lambda _: []))
    yield held("sends another site in its place", on.trace(site="999999"))
    yield held("gives the trace an error of its own", on.trace(error_num=83, error_msg="Invalid site"))
    yield held("gives the trace error 126 of its own", on.trace(error_num=126, error_msg="No data"))
    yield held("sends another variable", on.trace(varto_details={"variable": "100.00", "units": "Metres"}))
    yield held("sends a unit that nobody knows", on.trace(varto_details={"variable": "10.00", "units": "Furlongs"}))
    yield held("sends a time zone that is none", on.trace(site_details={"timezone": "99"}))
    yield held("sends every point twice", on.points(lambda given: given + given))
    yield held("sends two values for one time", on.points(lambda given: [*given, given[2] | {"v": "99.0"}]))
    yield held("sends the points in no order", on.points(lambda given: given[5:] + given[:5][::-1]))
    beyond = {"t": 20300101000000}
    yield held("sends a point that was not asked for", on.points(lambda given: [*given, given[0] | beyond]))
    yield held("leaves a point out", on.points(lambda given: given[:2] + given[3:]))
    yield held('sends the value ""', on.third_point(v=""))
    yield held('sends the value "NaN"', on.third_point(v="NaN"))
    yield held("sends the value NaN, bare", on.third_point(v=float("nan")))
    yield held('sends the value "1e999"', on.third_point(v="1e999"))
    yield held("sends the value null", on.third_point(v=None))
    yield held('sends the value "1,5"', on.third_point(v="1,5"))
    yield held("sends a time of 13 digits", on.third_point(t=2020021200000))
    yield held("sends a day that is not in the calendar", on.third_point(t=20200230000000))
    yield held("sends a point without a time", on.points(lambda given: [{"v": "1.0", "q": 1}, *given[1:]]))


def _starts() -> Iterator[Fault]:
    begun = partial(Fault, "The first part of a record", whole=True)
    yield begun("says that there is no data (error 126)", on.error(126, text=ERRORS[126]))
    yield begun("leaves the site out", on.traces(lambda _: []))
    yield begun("sends no point", on.points(lambda _: []))
    yield begun("sends half of it", on.changed(on.half))
    yield begun("sends half of it, once", on.changed(on.half), times=1)


FAULTS = (*_connections(), *_statuses(), *_bodies(), *_envelopes(), *_lists(), *_contents(), *_starts())


@dataclass(frozen=True)
class Seen:
    """What came of a fault.

    Attributes
    ----------
    asked
        How often the struck request was made.
    stored, wanted
        The bad gauge's readings in the archive afterwards, and those of a service without a fault.
    others_whole
        Whether the other gauges' readings are all there.
    errors
        What was told, by the gauge's column.
    completed
        Whether the next fetch, of a service without a fault, left the archive as if there had never been one.
    """

    asked: int
    stored: pl.DataFrame
    wanted: pl.DataFrame
    others_whole: bool
    errors: dict[str, str]
    completed: bool

    @property
    def told(self) -> str:
        """The bad gauge's error, without the words of others, which differ; empty if there was none."""
        text = self.errors.get(f"rainfall_{BAD}", "")
        text = re.sub(r"127\.0\.0\.1:\d+", "HOST", text)
        text = re.sub(r"(broke off its answer|that is not trusted|cannot be reached) \(.*\);", r"\1 (…);", text)
        return text.partition(f"station {BAD}: ")[2] if f"station {BAD}: " in text else text

    @property
    def outcome(self) -> str:
        """What is in the archive, in a few words."""
        if self.stored.is_empty():
            return "nothing stored"
        if self.stored.equals(self.wanted):
            return "all stored"
        absent = len(self.wanted) - len(self.stored)
        emptied = self.stored["value"].null_count() - self.wanted.tail(len(self.stored))["value"].null_count()
        if absent:
            return f"{absent} days not stored" if absent > 1 else "1 day not stored"
        return f"all stored, {emptied} as missing" if emptied else "other readings stored"


def dam(*, apart: bool) -> Dam:
    """Warragamba's level, a rain gauge and a river; `apart`, the rain gauge is of another service."""
    whole = load_dam("warragamba")
    kept = [gauge for gauge in whole.gauges if gauge.station in ("212242", BAD, "212250")]
    if apart:
        kept = [g.model_copy(update={"source": "vicwater"}) if g.station == BAD else g for g in kept]
    return whole.model_copy(update={"gauges": tuple(kept)})


def settings_for(url: str, *, whole: bool, bad_url: str = "") -> Settings:
    """Settings for a fetch from `url`, and from `bad_url` where the bad gauge is of another service."""
    sources = {"waternsw": {"url": url}, "vicwater": {"url": bad_url or url}}
    http = LIMITS | ({"days_per_request": 3660} if whole else {})
    return Settings.model_validate({"sources": sources, "http": http, "provisional_days": 5})


def limited(fetch: Fetch, limits: Mapping[str, float]) -> Fetch:
    """`fetch`, in which `limits` hold for the bad gauge: on a slow machine the others may take their time."""

    def fetched(
        gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
    ) -> pl.DataFrame:
        if gauge.station == BAD:
            settings = settings.model_copy(update={"http": settings.http.model_copy(update=limits)})
        return fetch(gauge, dam, since, until, settings=settings, now=now)

    return fetched


def fetch(
    of: Dam,
    archive: Archive,
    settings: Settings,
    *,
    now: datetime,
    first: date | None,
    limits: Sequence[tuple[str, float]] = (),
) -> dict[str, str]:
    """Errors of a fetch by column. It starts on `first`, or where all gauges are held goes on from what is held.

    `limits` hold for the bad gauge.
    """
    since = first if any(archive.newest(gauge) is None for gauge in of.gauges) else None
    request = FetchRequest(now, since=since, until=UNTIL)
    limited_fetch = limited(fetch_readings, dict(limits))
    report = fetch_dam(of, archive, settings=settings, request=request, fetch=limited_fetch)
    return {column: str(error) for column, error in report.errors.items()}


@contextmanager
def archive() -> Iterator[Archive]:
    """A new archive, in SQLite, which is gone at the end."""
    with tempfile.TemporaryDirectory() as folder, open_archive(f"sqlite:///{folder}/forebay.db") as opened:
        yield opened


def contents(of: Archive, gauges: Sequence[Gauge]) -> pl.DataFrame:
    """What is held, whenever and in whatever order it was fetched."""
    return of.as_of(gauges).drop("fetched_at").sort("source", "station", "time")


@lru_cache(maxsize=3)
def faultless(of: Dam, whole: bool) -> pl.DataFrame:
    """What the archive holds of a service without a fault: the whole record, or from `SINCE` on."""
    with archive() as held, hydstra_server() as url:
        assert fetch(of, held, settings_for(url, whole=whole), now=NOW, first=None if whole else SINCE) == {}
        return contents(held, of.gauges)


def of_bad_gauge(call: Json) -> bool:
    """Whether a call is for the bad gauge."""
    return bool(call.get("params", {}).get("site_list") == BAD)


def seen(fault: Fault, strikes: Callable[[Json], bool] | None = None) -> Seen:
    """What comes of `fault`, tried on the calls that `strikes` picks; without it, on one call of the bad gauge."""

    def one_call(call: Json) -> bool:
        wanted_start = RECORD_START if fault.whole else STRUCK
        start = call["params"].get("start_time", wanted_start)
        return of_bad_gauge(call) and call["function"] == fault.function and start == wanted_start

    of, first = dam(apart=fault.tls), None if fault.whole else SINCE
    wanted = faultless(of, fault.whole)
    struck: list[Json] = []
    bad, others = [g for g in of.gauges if g.station == BAD], [g for g in of.gauges if g.station != BAD]
    picks = strikes or one_call
    handler = partial(FaultyHandler, misbehave=fault.misbehave, strikes=picks, times=fault.times, struck=struck)
    with archive() as held, hydstra_server() as good:
        with hydstra_server(handler=handler, tls=_untrusted() if fault.tls else None) as url:
            settings = settings_for(good if fault.tls else url, whole=fault.whole, bad_url=url)
            errors = fetch(of, held, settings, now=NOW, first=first, limits=fault.limits)
        stored, rest = contents(held, bad), contents(held, others)
        later = fetch(of, held, settings_for(good, whole=fault.whole), now=LATER, first=first)
        whole = contents(held, of.gauges)
    of_bad = pl.col("station") == BAD
    return Seen(
        asked=len(struck),
        stored=stored,
        wanted=wanted.filter(of_bad),
        others_whole=rest.equals(wanted.filter(~of_bad)),
        errors=errors,
        completed=later == {} and whole.equals(wanted),
    )


def _untrusted() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


def line(fault: Fault, found: Seen) -> str:
    """The fault's line in `docs/faults.md`."""
    cells = (fault.name, str(found.asked), found.outcome, found.told)
    return f"| {' | '.join(_cell(cell) for cell in cells)} |\n"


def page(lines: Mapping[Fault, str]) -> str:
    """`docs/faults.md`, of a line for each fault."""
    parts = [HEAD]
    for group in dict.fromkeys(fault.group for fault in lines):
        parts.append(f"\n## {group}\n\n{TABLE_HEAD}")
        parts += [text for fault, text in lines.items() if fault.group == group]
    return "".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


TABLE_HEAD = "| the service | requests | archive | what is told |\n| --- | --- | --- | --- |\n"
HEAD = """# Faults of a service, and what comes of them

Each line was tried: a server on this machine misbehaves in this way on one request of one gauge, the second of those
for its 30 days (or that for its list of variables), while two other gauges are fetched; then the archive is looked at.
In every line

- the other gauges came in whole;
- what the archive holds of the bad gauge are readings that the service gave in a whole answer: all of the span, or
  nothing of it where anything of it failed. Days that a whole answer does not have are not filled: they count as
  missing, and are [asked for again](fetching.md#requested-days) later;
- the next fetch, of a service that is well again, left the archive as if there had been no fault. (But a value that was
  sent as missing is held as missing: it is asked for again among the newest `provisional_days` only.)

"requests" is how often the struck request was made. With the settings of this table a request is tried 3 times
(`http.attempts`; 4 by default). A sentence is given as it is told, after the gauge's name; "(…)" stands for the words
of the network or of its libraries. In the last table the whole record is fetched, in two requests, of which the first
is struck: had its second part been kept, the next fetch would go on from there, and the first would be lost.

This page is written by `python -m tests.faults`, and a test compares it with what it sees.
"""

if __name__ == "__main__":
    PAGE.write_text(page({fault: line(fault, seen(fault)) for fault in FAULTS}), "utf-8")
    print(Path(PAGE).relative_to(PROJECT))
