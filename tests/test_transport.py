"""The transport on a real loopback server with scripted answers."""

import gzip
import itertools
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import stamina
import trustme

import forebay
from forebay.errors import SourceError
from forebay.settings import HttpSettings
from forebay.sources.http_errors import seconds_to_wait
from forebay.sources.request import Request
from forebay.sources.transport import open_transport

QUICK = HttpSettings(first_wait_s=0, connect_timeout_s=20, read_timeout_s=20, deadline_s=30)  # quick retries


@dataclass
class Script:
    """Steps of a server for its first, second, … request, and the requests that it received."""

    steps: list[Callable[[BaseHTTPRequestHandler], None]]
    requests: list[tuple[str, str, bytes, str | None]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *connection: Any, script: Script) -> None:  # Any: the server's arguments
        self.script = script
        super().__init__(*connection)

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        script = self.script
        step = script.steps[min(len(script.requests), len(script.steps) - 1)]
        script.requests.append((self.command, self.path, body, self.headers.get("User-Agent")))
        script.times.append(time.monotonic())
        step(self)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(
    *steps: Callable[[BaseHTTPRequestHandler], None], tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, Script]]:
    script = Script(list(steps))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, script=script))
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients may disconnect
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/service", script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def status(code: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def step(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return step


def drip(piece: bytes, *, head: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> Callable[[BaseHTTPRequestHandler], None]:
    """Step that sends `piece` repeatedly, so often that no single read times out."""

    def step(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        try:
            handler.wfile.write(head)
            for _ in range(400):
                handler.wfile.write(piece)
                time.sleep(0.02)
        except OSError:
            pass  # the client has closed the connection

    return step


def close_connection(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


def never_answer(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    time.sleep(0.6)


def send_request(url: str, limits: HttpSettings = QUICK, body: bytes | None = b"{}") -> bytes:
    with open_transport(limits) as send:
        return send(Request(url, body))


def test_a_post_carries_its_body_and_names_the_program() -> None:
    with serving(status(200, b"answer")) as (url, script):
        assert send_request(url, body=b'{"a":1}') == b"answer"
    assert script.requests == [("POST", "/service", b'{"a":1}', f"forebay/{forebay.__version__}")]


def test_a_request_without_a_body_is_a_get() -> None:
    with serving(status(200, b"answer")) as (url, script):
        assert send_request(f"{url}?x=1", body=None) == b"answer"
    assert script.requests[0][:2] == ("GET", "/service?x=1")


def test_one_connection_serves_several_requests() -> None:
    peers = set()

    def step(handler: BaseHTTPRequestHandler) -> None:
        peers.add(handler.client_address)
        status(200, b"x")(handler)

    with serving(step) as (url, script), open_transport(QUICK) as send:
        assert [send(Request(url)) for _ in range(3)] == [b"x"] * 3
    assert (len(script.requests), len(peers)) == (3, 1)


@pytest.mark.parametrize("code", [408, 429, 502, 503, 504])
def test_a_request_to_a_busy_service_is_repeated(code: int) -> None:
    with serving(status(code), status(code), status(200, b"at last")) as (url, script):
        assert send_request(url) == b"at last"
    assert len(script.requests) == 3


@pytest.mark.parametrize("fault", [close_connection, never_answer])
def test_a_broken_or_unanswered_connection_is_tried_again(fault: Callable[[BaseHTTPRequestHandler], None]) -> None:
    limits = QUICK.model_copy(update={"read_timeout_s": 0.3})
    with serving(fault, status(200, b"at last")) as (url, _):
        assert send_request(url, limits) == b"at last"


def test_a_request_ends_after_the_set_number_of_attempts() -> None:
    limits = QUICK.model_copy(update={"attempts": 3})
    message = r"127\.0\.0\.1:\d+ .*status 503"
    with serving(status(503)) as (url, script), pytest.raises(SourceError, match=message) as caught:
        send_request(url, limits)
    assert len(script.requests) == 3
    assert caught.value.retryable


@pytest.mark.parametrize("code", [400, 404, 500, 501])
def test_another_status_is_an_error_at_once(code: int) -> None:
    with serving(status(code)) as (url, script), pytest.raises(SourceError, match=f"status {code}.*settings") as caught:
        send_request(url)
    assert len(script.requests) == 1
    assert not caught.value.retryable


def test_waits_have_jitter_so_that_clients_do_not_return_together() -> None:
    """The waits of ten clients of one service, from the hooks of stamina."""
    waits: list[tuple[float, ...]] = []
    limits = QUICK.model_copy(update={"first_wait_s": 0.001, "attempts": 3})
    before = stamina.instrumentation.get_on_retry_hooks()
    try:
        for _ in range(10):
            hook_waits: list[float] = []
            stamina.instrumentation.set_on_retry_hooks(
                [lambda details, hook_waits=hook_waits: hook_waits.append(details.wait_for)]
            )
            with serving(status(503)) as (url, _), pytest.raises(SourceError):
                send_request(url, limits)
            waits.append(tuple(hook_waits))
    finally:
        stamina.instrumentation.set_on_retry_hooks(before)
    assert all(0.001 <= first <= 0.002 and 0.002 <= second <= 0.003 for first, second in waits), waits
    assert len(set(waits)) > 1


def test_waits_double_with_each_attempt() -> None:
    limits = QUICK.model_copy(update={"first_wait_s": 0.1, "attempts": 4})
    with serving(status(503)) as (url, script), pytest.raises(SourceError):
        send_request(url, limits)
    waits = [later - earlier for earlier, later in itertools.pairwise(script.times)]
    # first wait × 2, × 4, …, each plus up to 0.1 s of jitter
    assert all(wait >= least for wait, least in zip(waits, (0.1, 0.2, 0.4), strict=True)), waits


@pytest.mark.parametrize(
    ("retry_after_s", "longest_s", "waited_s"), [("1", 60.0, 1.0), ("6", 0.4, 0.4), ("0", 60.0, 0.0)]
)
def test_retry_after_is_honoured_up_to_the_longest_wait(retry_after_s: str, longest_s: float, waited_s: float) -> None:
    limits = QUICK.model_copy(update={"longest_wait_s": longest_s})
    with serving(status(429, Retry_After=retry_after_s), status(200, b"ok")) as (url, script):
        assert send_request(url, limits) == b"ok"
    assert waited_s <= script.times[1] - script.times[0] < waited_s + 5


def test_the_error_has_the_wait_of_the_service() -> None:
    limits = QUICK.model_copy(update={"attempts": 1})
    with serving(status(503, Retry_After="3600")) as (url, _), pytest.raises(SourceError) as caught:
        send_request(url, limits)
    assert caught.value.retry_after == 3600


def test_retry_after_may_be_a_date_and_nonsense_is_ignored() -> None:
    now = datetime(2020, 1, 1, tzinfo=UTC)
    assert seconds_to_wait("Wed, 01 Jan 2020 00:02:00 GMT", now) == 120
    assert seconds_to_wait("Wed, 01 Jan 2020 00:00:30 -0000", now) == 30
    assert seconds_to_wait("Tue, 31 Dec 2019 00:00:00 GMT", now) == 0
    assert seconds_to_wait("soon", now) is None


@pytest.mark.parametrize(
    "slow",
    [
        drip(b" "),
        drip(b"X-A: b\r\n", head=b"HTTP/1.1 200 OK\r\n"),
        drip(b"1\r\nx\r\n", head=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ],
    ids=["body", "headers", "chunks"],
)
def test_a_slow_drip_ends_at_the_deadline(slow: Callable[[BaseHTTPRequestHandler], None]) -> None:
    limits = QUICK.model_copy(update={"deadline_s": 0.5, "attempts": 1})
    with serving(slow) as (url, _):
        began = time.monotonic()
        with pytest.raises(SourceError, match=r"within 0\.5 s \(http\.deadline_s\)") as caught:
            send_request(url, limits)
        assert time.monotonic() - began < 5  # the drip takes 8 s
    assert caught.value.retryable


def test_the_deadline_of_an_answer_ends_with_it() -> None:
    limits = QUICK.model_copy(update={"deadline_s": 60})
    with serving(status(200, b"whole")) as (url, _):
        assert send_request(url, limits) == b"whole"
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for timer in timers:
        timer.join(1)
    assert not any(timer.is_alive() for timer in timers), "it would cut a later answer"


def test_after_a_deadline_the_next_attempt_has_a_fresh_one() -> None:
    limits = QUICK.model_copy(update={"deadline_s": 0.5})
    with serving(drip(b" "), status(200, b"whole")) as (url, _):
        assert send_request(url, limits) == b"whole"


def test_a_refused_answer_is_requested_again_if_that_may_help() -> None:
    def check(body: bytes) -> None:
        if body != b"whole":
            raise SourceError(f"{body!r} is not whole", retryable=body == b"half")

    for first, attempts in ((b"half", 2), (b"wrong", 1)):
        with serving(status(200, first), status(200, b"whole")) as (url, script), open_transport(QUICK) as send:
            if first == b"wrong":
                with pytest.raises(SourceError, match="b'wrong' is not whole"):
                    send(Request(url, check=check))
            else:
                assert send(Request(url, check=check)) == b"whole"
        assert len(script.requests) == attempts


def test_an_answer_after_a_redirect_is_checked_too() -> None:
    def check(body: bytes) -> None:
        if body != b"whole":
            raise SourceError("the answer is not whole", retryable=True)

    moved = status(302, Location="/moved")
    steps = (moved, status(200, b"half"), moved, status(200, b"whole"))
    with serving(*steps) as (url, script), open_transport(QUICK) as send:
        assert send(Request(url, check=check)) == b"whole"
    assert [step[1] for step in script.requests] == ["/service", "/moved", "/service", "/moved"]


ANSWERS_WITH_ERRORS = {
    "unknown path": {"code": 404},
    "refused": {"code": 401},
    "busy": {"code": 503},
    "another host": {"code": 302, "Location": "http://me:Zq7@localhost:1/?token=Zq8"},
    "a loop": {"code": 302, "Location": "?token=Zq8"},
    "no URL": {"code": 302, "Location": "http://me:Zq7@[x/?token=Zq8"},
    "too long": {"code": 200, "body": b"x" * 2000},
}


@pytest.mark.parametrize("answer", ANSWERS_WITH_ERRORS.values(), ids=ANSWERS_WITH_ERRORS)
def test_no_error_of_an_answer_has_a_secret_of_the_url(answer: dict[str, Any]) -> None:
    limits = QUICK.model_copy(update={"attempts": 1, "max_bytes": 1000})
    with serving(status(**answer)) as (url, _), pytest.raises(SourceError) as caught:
        send_request(f"{url.replace('://', '://me:Zq7@')}?token=Zq8", limits)
    assert "Zq" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_concurrent_requests_to_a_host_are_limited(at_once: int) -> None:
    """Six threads send requests on separate connections. The server delays each answer until the allowed number of
    requests has arrived, and a moment longer to detect one request too many."""
    active, peak, lock = 0, 0, threading.Condition()

    def step(handler: BaseHTTPRequestHandler) -> None:
        nonlocal active, peak
        with lock:
            active += 1
            peak = max(peak, active)
            lock.notify_all()
            lock.wait_for(lambda: peak >= at_once, timeout=10)
            lock.wait_for(lambda: peak > at_once, timeout=0.1)
            active -= 1
        status(200, b"x")(handler)

    limits = QUICK.model_copy(update={"requests_at_once": at_once})
    with serving(step) as (url, script), ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda _: send_request(url, limits), range(6))) == [b"x"] * 6
    assert len(script.requests) == 6
    assert peak == at_once


def test_a_request_that_waits_for_its_next_attempt_keeps_its_slot() -> None:
    limits = QUICK.model_copy(update={"requests_at_once": 1})
    with serving(status(503, Retry_After="1"), status(200, b"x")) as (url, script), ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda n: send_request(f"{url}?{n}", limits, None), range(2))) == [b"x", b"x"]
    paths = [path for _, path, *_ in script.requests]
    assert paths[0] == paths[1] != paths[2]


@pytest.mark.parametrize("headers", [{}, {"Content_Encoding": "gzip"}])
def test_an_answer_that_is_too_long_is_refused(headers: dict[str, str]) -> None:
    body = gzip.compress(b"x" * 500_000) if headers else b"x" * 500_000
    limits = QUICK.model_copy(update={"max_bytes": 100_000})
    message = "more than 100000 bytes"
    with serving(status(200, body, **headers)) as (url, script), pytest.raises(SourceError, match=message):
        send_request(url, limits)
    assert len(script.requests) == 1


@pytest.mark.parametrize("times", [1, 2])
def test_a_compressed_answer_is_unpacked_only_up_to_the_limit(times: int) -> None:
    body = b"0" * 200_000_000
    for _ in range(times):
        body = gzip.compress(body, 1)
    limits = QUICK.model_copy(update={"max_bytes": 1_000_000})
    packed = status(200, body, Content_Encoding=", ".join(["gzip"] * times))
    with serving(packed) as (url, _):
        tracemalloc.start()
        try:
            with pytest.raises(SourceError, match="more than 1000000 bytes"):
                send_request(url, limits)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 16_000_000  # the unpacked size is 200 MB; the limit is 1 MB, and the client reads pieces of 1 MB


def test_a_redirect_on_the_same_host_keeps_method_and_body() -> None:
    with serving(status(302, Location="/moved"), status(200, b"here")) as (url, script):
        assert send_request(url, body=b"{}") == b"here"
    assert [step[:3] for step in script.requests] == [("POST", "/service", b"{}"), ("POST", "/moved", b"{}")]


@pytest.mark.parametrize(
    "target", ["http://localhost:1/x", "https://localhost:1/x", "//127.0.0.1:1/x", "ftp://127.0.0.1/x"]
)
def test_a_redirect_to_another_host_is_not_followed(target: str) -> None:
    away = status(301, Location=target)
    with serving(away) as (url, script), pytest.raises(SourceError, match="another host") as caught:
        send_request(url)
    assert len(script.requests) == 1
    assert not caught.value.retryable


def test_a_redirect_to_an_invalid_url_is_an_error() -> None:
    with serving(status(301, Location="http://[x/")) as (url, _), pytest.raises(SourceError, match="which is not a"):
        send_request(url)


def test_redirects_in_a_loop_are_an_error() -> None:
    message = "more than 5 times"
    with serving(status(307, Location="/service")) as (url, script), pytest.raises(SourceError, match=message):
        send_request(url)
    assert len(script.requests) == 6


def test_a_host_that_does_not_listen_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SourceError, match=f"127.0.0.1:{port} cannot be reached") as caught:
        send_request(f"http://127.0.0.1:{port}/", QUICK.model_copy(update={"attempts": 2}))
    assert caught.value.retryable


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:port/", "gopher://127.0.0.1/", "http://", "http://me:secret@h:port/", "http://me:secret/@h/"],
)
def test_an_invalid_url_is_not_tried_again(url: str) -> None:
    with pytest.raises(SourceError) as caught:
        send_request(url)
    assert not caught.value.retryable
    assert "secret" not in str(caught.value)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def tls_of(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_a_certificate_that_is_not_trusted_is_not_tried_again(authority: trustme.CA) -> None:
    message = "certificate that is not trusted"
    with (
        serving(status(200), tls=tls_of(authority)) as (url, script),
        pytest.raises(SourceError, match=message) as caught,
    ):
        send_request(url)
    assert script.requests == []
    assert not caught.value.retryable


def test_the_deadline_applies_over_tls_too(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    limits = QUICK.model_copy(update={"deadline_s": 0.5})
    with serving(drip(b" "), status(200, b"whole"), tls=tls_of(authority)) as (url, script):
        assert send_request(url, limits) == b"whole"
    assert len(script.requests) == 2


def test_a_password_in_the_url_is_not_repeated() -> None:
    assert Request("https://me:secret@gauges.test:8080/x").host == "gauges.test:8080"
