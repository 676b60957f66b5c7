"""The conformance suite: every gauge service does what `forebay.sources.Fetch` promises, and no fault breaks it."""

from __future__ import annotations

import gzip
import json
import re
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest
import trustme
from polars.testing import assert_frame_equal

from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.cli.terminal import late_gauge_lines
from forebay.errors import SourceError
from forebay.services import SERVICES
from forebay.settings import load_settings
from forebay.sources import PROTOCOLS, fetch_readings, plan_requests
from forebay.tables import READINGS
from tests import faulty_server as on
from tests.conformance import TRUTH, ContentFault, ServiceCase, cases, is_one_sentence, stored, temporary_archive
from tests.junk import JUNK, with_junk
from tests.loopback import Misbehave, Received, loopback_server

CASES = cases()
every_service = pytest.mark.parametrize("case", CASES, ids=lambda case: case.service)
ONE_CASE_EACH = {case.service: case for case in CASES}
one_case_per_service = pytest.mark.parametrize("case", ONE_CASE_EACH.values(), ids=ONE_CASE_EACH)
"""For faults of the transport, which all cases of a service share."""

WITHOUT_CASE = {"vicwater": "as waternsw", "qldwater": "as waternsw", "csv": "no service", "simulated": "no service"}


def assert_same(readings: pl.DataFrame, expected: list[tuple[object, ...]]) -> None:
    """Check times and grades exactly, values but for rounding."""
    truth = pl.DataFrame(expected, schema=TRUTH, orient="row")
    assert_frame_equal(readings.select(*TRUTH), truth, check_exact=False, rel_tol=1e-12, abs_tol=0)


def test_every_service_has_a_case() -> None:
    missing = SERVICES.keys() - {case.service for case in CASES} - WITHOUT_CASE.keys()
    assert not missing or not CASES, "add a module to tests/services"


@every_service
def test_a_case_has_enough_to_check(case: ServiceCase) -> None:
    assert len(case.dam.gauges) >= 2
    first, last = case.days
    assert len(case.expected(case.bad_gauge, first, last)) >= 30
    assert len(case.expected(case.bad_gauge, None, first)) >= 10, "the record begins before the 30 days"


@every_service
def test_a_fetch_gives_what_the_service_holds(case: ServiceCase) -> None:
    first, last = case.days
    with loopback_server(case.answer) as (url, received):
        for gauge in case.dam.gauges:
            readings = case.fetched(url, gauge, first, last)
            assert_same(readings, case.expected(gauge, first, last))
            assert dict(readings.select(*gauge.series).unique().row(0, named=True)) == gauge.series
            assert readings.filter(readings["value"].is_not_null())["raw_value"].null_count() == 0
    assert received


@every_service
def test_without_a_first_day_the_fetch_starts_with_the_record(case: ServiceCase) -> None:
    with loopback_server(case.answer) as (url, _):
        readings = case.fetched(url, case.bad_gauge, None, case.days[1])
    assert_same(readings, case.expected(case.bad_gauge, None, case.days[1]))


@every_service
@pytest.mark.parametrize(("start", "end"), [(0, 0), (29, 29), (3, 11), (-3, 2), (25, 40)])
def test_both_days_of_the_span_are_included_and_no_other(case: ServiceCase, start: int, end: int) -> None:
    since, until = (case.days[0] + timedelta(days=days) for days in (start, end))
    with loopback_server(case.answer) as (url, _):
        readings = case.fetched(url, case.bad_gauge, since, until)
    assert_same(readings, case.expected(case.bad_gauge, since, until))


@every_service
def test_an_interval_that_has_not_ended_is_left_out(case: ServiceCase) -> None:
    gauge = case.bad_gauge
    rows = case.truth[gauge.station].sort("time").tail(5)
    length = timedelta(seconds=gauge.table_interval)
    now = rows["time"][2] + length / 2
    with loopback_server(case.answer) as (url, _):
        readings = case.fetched(url, gauge, *case.days, now=now)
    assert readings["time"].max() == (rows["time"][1] if length else rows["time"][2])


@every_service
def test_a_span_without_readings_is_an_empty_table(case: ServiceCase) -> None:
    first = case.truth[case.bad_gauge.station]["time"].min()
    assert first is not None
    before = first.date() - timedelta(days=400)  # type: ignore[union-attr]  # an instant
    with loopback_server(case.answer) as (url, _):
        readings = case.fetched(url, case.bad_gauge, before, before + timedelta(days=20))
    assert readings.is_empty()
    assert readings.schema == READINGS.columns


@every_service
def test_a_long_span_is_requested_in_parts_with_the_same_result(case: ServiceCase) -> None:
    first, last = case.days
    gauge = case.bad_gauge
    with loopback_server(case.answer) as (url, at_once):
        whole = case.fetched(url, gauge, first, last)
        count = len(at_once)
        parts = case.fetched(url, gauge, first, last, **case.small)
    assert parts.equals(whole)
    if case.pages:
        assert len(at_once) - count > count


@every_service
def test_a_later_fetch_continues_the_archive(case: ServiceCase) -> None:
    first, last = case.days
    gauge = case.bad_gauge
    with loopback_server(case.answer) as (url, received), temporary_archive() as archive:
        assert case.fetch_all(archive, url, first, last - timedelta(days=9)) == {}
        assert_same(stored(archive, gauge), case.expected(gauge, first, last - timedelta(days=9)))
        count = len(received)
        assert case.fetch_all(archive, url, None, last) == {}
        assert len(received) > count
        assert_same(stored(archive, gauge), case.expected(gauge, first, last))


@every_service
def test_the_plan_names_the_host_and_sends_nothing(case: ServiceCase) -> None:
    first, last = case.days
    with loopback_server(case.answer) as (url, received):
        settings = case.settings(url)
        for gauge in case.dam.gauges:
            plan = plan_requests(gauge, case.dam, first, last, settings=settings, now=case.now)
            assert {request.host for request in plan} == {url.partition("://")[2]}
            assert all(request.asks for request in plan)
    assert received == []


@every_service
def test_every_request_has_a_user_agent_and_the_key_if_there_is_one(case: ServiceCase) -> None:
    service, key = SERVICES[case.service], "Zq7-secret-Zq8"
    with loopback_server(case.answer) as (url, received):
        case.fetched(url, case.bad_gauge, *case.days)
        assert all(request.headers["user-agent"].startswith("forebay/") for request in received)
        assert not any(key in str(request) for request in received)
        if service.key_header:
            received.clear()
            environ = {f"FOREBAY_SOURCES__{case.service.upper()}__API_KEY": key}
            with_key = load_settings(Path("/nonexistent"), environ)[0].sources[case.service].api_key
            settings = case.settings(url)
            source = settings.sources[case.service].model_copy(update={"api_key": with_key})
            settings = settings.model_copy(update={"sources": {case.service: source}})
            fetch = PROTOCOLS[service.protocol].fetch
            fetch(case.bad_gauge, case.dam, *case.days, settings=settings, now=case.now)
            assert {request.headers.get(service.key_header.lower()) for request in received} == {key}
            assert not any(key in request.path + str(request.query) for request in received)


@every_service
def test_licence_and_attribution_are_known(case: ServiceCase) -> None:
    assert SERVICES[case.service].licence
    assert SERVICES[case.service].attribution


@every_service
def test_readings_that_are_published_late_are_requested_again(case: ServiceCase) -> None:
    """The newest day, one among the provisional days, and a gap that lies further back."""
    (first, last), bad = case.days, case.bad_gauge
    truth = case.truth[bad.station]
    days = truth.select(bad.local_day(case.dam.time_zone).alias("day"))["day"]
    late_days = [first + timedelta(days=10), last - timedelta(days=3), last]
    is_late = days.is_in(late_days)
    late = case.answer_without(is_late.arg_true().to_list())
    with temporary_archive() as archive:
        with loopback_server(late) as (url, _):
            assert case.fetch_all(archive, url, first, last) == {}
            early = truth.filter(~is_late & days.is_between(first, last)).sort("time")
            assert_same(stored(archive, bad), early.select(*TRUTH).rows())
        with loopback_server(case.answer) as (url, _):
            assert case.fetch_all(archive, url, None, last, now=case.now + timedelta(minutes=1)) == {}
            is_gap = days == late_days[0]
            no_gap = truth.filter(~is_gap & days.is_between(first, last)).sort("time")
            assert_same(stored(archive, bad), no_gap.select(*TRUTH).rows())
            assert case.fetch_all(archive, url, None, last, now=case.now + timedelta(days=1)) == {}
            assert_same(stored(archive, bad), case.expected(bad, first, last))


@every_service
def test_a_gauge_that_has_ended_is_no_error_and_named_as_late(case: ServiceCase) -> None:
    """So is a service whose clock, or whose newest reading, is far behind."""
    (first, last), bad = case.days, case.bad_gauge
    later = case.now + timedelta(days=45)
    answer = case.answer if case.answer_later is None else case.answer_later(later)
    with temporary_archive() as archive, loopback_server(case.answer) as (url, _), loopback_server(answer) as (end, _):
        assert case.fetch_all(archive, url, first, last) == {}
        before = stored(archive, bad)
        request = FetchRequest(later)
        report = fetch_dam(case.dam, archive, settings=case.settings(end), request=request)
        assert report.errors == {}
        assert_same(stored(archive, bad).filter(stored(archive, bad)["time"].is_in(before["time"])), before.rows())
    lines = late_gauge_lines(case.dam, report.table.to_dicts())
    assert len(lines) == len(case.dam.gauges)
    age = next(row["age"] for row in report.table.to_dicts() if row["gauge"] == bad.column)
    assert 45 <= age <= 50
    assert any(f"{bad.station}): the newest value is {age} days old; if the gauge has ended" in text for text in lines)


@every_service
def test_a_clock_that_is_behind_that_of_the_service_loses_no_reading(case: ServiceCase) -> None:
    (first, last), bad = case.days, case.bad_gauge
    behind = datetime.combine(last - timedelta(days=3), time(13), UTC)
    with temporary_archive() as archive, loopback_server(case.answer) as (url, _):
        assert case.fetch_all(archive, url, first, last, now=behind) == {}
        early = stored(archive, bad)["time"].max()
        assert early is not None and early <= behind  # type: ignore[operator]  # an instant
        assert case.fetch_all(archive, url, None, last) == {}
        assert_same(stored(archive, bad), case.expected(bad, first, last))


def hydstra_zeros(answer: bytes) -> bytes:
    envelope = json.loads(answer)
    for trace in envelope["return"]["traces"]:
        trace["trace"] = [point | {"v": "0.0", "q": 151} for point in trace["trace"]]
    return json.dumps(envelope).encode()


def uk_ea_zeros(answer: bytes) -> bytes:
    page = json.loads(answer)
    zero = {"value": 0.0, "quality": "Suspect", "completeness": "Complete"}
    return json.dumps(page | {"items": [item | zero for item in page["items"]]}).encode()


def cdec_zeros(answer: bytes) -> bytes:
    return json.dumps([row | {"value": 0.0, "dataFlag": "N"} for row in json.loads(answer)]).encode()


ZEROS = {"waternsw": hydstra_zeros, "uk_ea": uk_ea_zeros, "cdec": cdec_zeros}


@pytest.mark.parametrize("case", [case for case in CASES if case.service in ZEROS], ids=lambda case: case.service)
def test_zeros_with_a_bad_grade_stay_what_the_service_says(case: ServiceCase) -> None:
    """Their grade is poor; no other service says, as the Bureau does, that nothing was measured."""
    first, last = case.days
    zeros = case.misbehaving(on.transformed(ZEROS[case.service]))
    with loopback_server(case.answer, choose=zeros) as (url, _):
        readings = case.fetched(url, case.bad_gauge, first, last)
    assert len(readings) >= 30
    assert readings["value"].unique().to_list() == [0.0]
    assert readings["quality"].unique().to_list() == ["poor"]


@pytest.mark.parametrize("case", [case for case in CASES if case.service == "waternsw"], ids=lambda case: case.service)
@pytest.mark.parametrize(("unit", "is_refused"), [("Metres", False), ("mAHD", False), ("mASD", True)])
def test_the_datum_in_a_unit_of_hydstra_must_be_that_of_the_dam(case: ServiceCase, unit: str, is_refused: bool) -> None:
    """No recorded answer has a datum in its unit."""
    first, last = case.days
    target = case.dam.target.model_copy(update={"datum": "metres above the Australian Height Datum"})
    dam, gauge = case.dam.model_copy(update={"target": target}), case.dam.target_gauge
    renamed = on.transformed(lambda body: body.replace(b'"Metres"', f'"{unit}"'.encode()))

    def choose(request: Received) -> Misbehave | None:
        return renamed if case.is_data(request, gauge.station) else None

    with loopback_server(case.answer, choose=choose) as (url, _):
        settings = case.settings(url)
        if is_refused:
            with pytest.raises(SourceError, match="the unit 'mASD' names the datum ASD, but target"):
                fetch_readings(gauge, dam, first, last, settings=settings, now=case.now)
        else:
            assert len(fetch_readings(gauge, dam, first, last, settings=settings, now=case.now)) == 30


def with_degree_sign(answer: bytes) -> bytes:
    """The answer with a text that is not ASCII in its first object, in the Windows code page."""
    text = answer.decode().replace("{", '{"note": "5 \u00b0C", ', 1)
    return json.dumps(json.loads(text), ensure_ascii=False).encode("cp1252")


def truncated_gzip(answer: bytes) -> bytes:
    return on.half(gzip.compress(answer))


FAULTS: dict[str, tuple[Misbehave, int | None, bool, dict[str, float]]] = {
    "resets the connection, once": (on.reset, 1, True, {}),
    "resets the connection": (on.reset, None, False, {}),
    "closes the connection early": (on.wrong_length(+50), None, False, {}),
    "truncates the answer": (on.wrong_length(-50), None, False, {}),
    "never ends": (on.endless, None, False, {}),
    "redirects to another host": (on.redirect("https://elsewhere.test/"), None, False, {}),
    "redirects in a loop": (on.redirect("/again"), None, False, {}),
    "answers 429 once": (on.status(429, Retry_After="3600"), 1, True, {}),
    "answers 503 twice": (on.status(503), 2, True, {}),
    "answers 503 always": (on.status(503), None, False, {}),
    "answers 403": (on.status(403), None, False, {}),
    "answers 500 with HTML": (lambda handler, _: handler.send_whole(500, on.MAINTENANCE), None, False, {}),
    "compresses the answer": (on.transformed(gzip.compress, Content_Encoding="gzip"), None, True, {}),
    "truncates the compressed answer": (on.transformed(truncated_gzip, Content_Encoding="gzip"), None, False, {}),
    "declares gzip but does not compress": (on.transformed(bytes, Content_Encoding="gzip"), None, False, {}),
    "encodes the answer in the Windows code page": (on.transformed(with_degree_sign), None, True, {}),
    "compresses 64 MB of blanks": (on.transformed(on.bomb, Content_Encoding="gzip"), None, False, {}),
    "sends half of the answer": (on.transformed(on.half), None, False, {}),
    "sends half of the answer, once": (on.transformed(on.half), 1, True, {}),
    "sends a page of maintenance": (on.body(on.MAINTENANCE), None, False, {}),
    "sends nothing": (on.body(b""), None, False, {}),
    "sends JSON of another kind": (on.body(b"[1, 2]"), None, False, {}),
    "sends a byte order mark": (on.transformed(lambda answer: b"\xef\xbb\xbf" + answer), None, True, {}),
}
"""Name → misbehaviour, how often, whether the fetch succeeds all the same, and limits of the requests."""

SHORT_WAIT, SHORT_WAITS = {"read_timeout_s": 1.0, "attempts": 6}, {"read_timeout_s": 0.7, "attempts": 2}
SHORT_DEADLINES = {"deadline_s": 0.7, "attempts": 2}
"""Limits for the slow faults, so that they end soon."""
SLOW_FAULTS = {
    "stops sending": (on.stall(1.0), None, False, SHORT_WAITS),
    "sends the first byte too late, once": (on.slow_first_byte(1.4), 1, True, SHORT_WAIT),
    "sends the first byte too late": (on.slow_first_byte(1.0), None, False, SHORT_WAITS),
    "sends one byte at a time": (on.slow_drip, None, False, SHORT_DEADLINES),
}


def server_context(authority: trustme.CA, **certificate: datetime) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", **certificate).configure_cert(context)
    return context


@one_case_per_service
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_stops_no_other_gauge_and_loses_nothing(case: ServiceCase, name: str) -> None:
    misbehave, times, succeeds, limits = FAULTS[name]
    check_fault(case, misbehave, times, limits, stored_after="all" if succeeds else "nothing")


@one_case_per_service
def test_each_error_status_is_one_sentence_and_repeated_if_that_may_help(case: ServiceCase) -> None:
    """Without an archive, because what it then has is the same as for 503 and 403."""
    # Open-Meteo's 400 has JSON that says why; one without JSON is a broken answer.
    for code, attempts in ((408, 3), (502, 3), (504, 3), (400, 3 if case.service == "open_meteo" else 1)):
        with loopback_server(case.answer, choose=case.misbehaving(on.status(code))) as (url, received):
            with pytest.raises(SourceError) as caught:
                case.fetched(url, case.bad_gauge, *case.days)
            assert sum(case.is_data(request, case.bad_gauge.station) for request in received) == attempts, code
        assert is_one_sentence(str(caught.value))
        assert caught.value.retryable == (attempts > 1), code


@one_case_per_service
def test_a_slow_service_stops_no_other_gauge_and_loses_nothing(case: ServiceCase) -> None:
    """All at once, because most of the time they wait."""

    def check(name: str) -> str:
        misbehave, times, succeeds, limits = SLOW_FAULTS[name]
        return check_fault(case, misbehave, times, limits, stored_after="all" if succeeds else "nothing")

    with ThreadPoolExecutor(len(SLOW_FAULTS)) as pool:
        errors = dict(zip(SLOW_FAULTS, pool.map(check, SLOW_FAULTS), strict=True))
    assert "sent nothing for 0.7 s (http.read_timeout_s)" in errors["stops sending"]
    assert "sent nothing for 0.7 s (http.read_timeout_s)" in errors["sends the first byte too late"]
    assert "did not complete its answer within 0.7 s (http.deadline_s)" in errors["sends one byte at a time"]


@every_service
def test_each_fault_of_the_content_has_its_outcome(case: ServiceCase, subtests: pytest.Subtests) -> None:
    assert len(case.content_faults) >= 2
    for fault in case.content_faults:
        with subtests.test(fault.name):
            misbehave = _content(fault)
            error = check_fault(case, misbehave, None, {}, stored_after=fault.stored)
            assert bool(fault.message) == bool(error)
            assert re.search(fault.message, error), error


def _content(fault: ContentFault) -> Misbehave:
    headers = {name.replace("-", "_"): value for name, value in fault.headers.items()}
    return lambda handler, answer: handler.send_whole(fault.status, fault.change(answer), **headers)


def check_fault(
    case: ServiceCase, misbehave: Misbehave, times: int | None, limits: dict[str, float], *, stored_after: str
) -> str:
    """The bad gauge's error, after the checks that hold for every fault."""
    first, last = case.days
    bad, *others = (case.bad_gauge, *(gauge for gauge in case.dam.gauges if gauge != case.bad_gauge))
    whole = case.expected(bad, first, last)
    with temporary_archive() as archive, loopback_server(case.answer) as (good_url, _):
        with loopback_server(case.answer, choose=case.misbehaving(misbehave, times)) as (url, received):
            errors = case.fetch_all(archive, url, first, last, **limits)
            assert len(received) < 60, "requests are bounded"
        for gauge in others:
            assert_same(stored(archive, gauge), case.expected(gauge, first, last))
        assert errors.keys() <= {bad.column}
        kept = stored(archive, bad)
        if stored_after != "other":
            assert_same(kept, whole if stored_after == "all" else [])
        assert bool(errors) == (stored_after == "nothing")
        assert all(is_one_sentence(message) for message in errors.values()), errors
        if stored_after != "other":
            assert case.fetch_all(archive, good_url, first, last) == {}
            assert_same(stored(archive, bad), whole)
    return errors.get(bad.column, "")


@every_service
def test_a_certificate_that_is_not_trusted_is_an_error(case: ServiceCase) -> None:
    unknown = server_context(trustme.CA())
    with loopback_server(case.answer, tls=unknown) as (url, received), pytest.raises(SourceError) as caught:
        case.fetched(url, case.bad_gauge, *case.days)
    assert "certificate that is not trusted" in str(caught.value)
    assert received == []


@every_service
def test_a_certificate_that_has_expired_is_an_error(
    case: ServiceCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    old, past = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 3, 1, tzinfo=UTC)
    expired = server_context(authority, not_before=old, not_after=past)
    with loopback_server(case.answer, tls=expired) as (url, _), pytest.raises(SourceError) as caught:
        case.fetched(url, case.bad_gauge, *case.days)
    assert "certificate that has expired; try again later" in str(caught.value)
    with loopback_server(case.answer, tls=server_context(authority)) as (url, _):
        assert len(case.fetched(url, case.bad_gauge, *case.days)), "the authority is trusted"


def junk_answers(answer: bytes) -> Iterator[bytes]:
    """The answer with junk in each place: JSON values, or lines and cells of another text."""
    text = answer.decode("utf-8-sig")
    with suppress(ValueError):
        json.loads(text)
        for _, _, junk in with_junk(text):
            yield junk.encode("utf-8", errors="surrogatepass")
        return
    lines = text.splitlines()[:6]
    for row, line in enumerate(lines):
        cells = line.split(",")
        for column in range(len(cells)):
            for junk in JUNK:
                changed = ",".join([*cells[:column], junk, *cells[column + 1 :]])
                yield "\n".join([*lines[:row], changed, *lines[row + 1 :]]).encode("utf-8", errors="surrogatepass")


@every_service
def test_junk_in_each_place_of_an_answer_raises_only_source_errors(case: ServiceCase) -> None:
    assert case.parsers
    for name, (answer, parse) in case.parsers.items():
        parse(answer)
        count = 0
        for junk in junk_answers(answer):
            count += 1
            try:
                parse(junk)
            except SourceError as error:
                assert is_one_sentence(str(error)), (name, junk)
        assert count > 100, name


@every_service
def test_stations_are_offered_by_the_protocol_or_not_at_all(case: ServiceCase) -> None:
    service = SERVICES[case.service]
    assert ("stations" in service.offers) == (PROTOCOLS[service.protocol].search_stations is not None)
