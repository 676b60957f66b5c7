"""A Hydstra web service on loopback with the real data and recordings of `../shared`.

It serves daily values of Warragamba's eight gauges like the real service, and answers each recorded request with its
recorded answer. As a script it prints its URL and serves until it is stopped::

    python -m tests.hydstra_server [LAST_DAY]
"""

from __future__ import annotations

import csv
import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from tests.shared import SHARED

Json = Any  # Any: a JSON value
PATH = "/cgi/webservice.exe"
CLOCK = "%Y%m%d%H%M%S"
DATASOURCES = ("CP", "A")
LEVEL = {"variable": "130.00", "name": "Reservoir Water Level", "units": "Metres", "precision": "0.001000"}
STAGE = {"variable": "100.00", "name": "Stream Water Level", "units": "Metres", "precision": "0.001000"}
RAIN = {"variable": "10.00", "name": "Rainfall", "units": "Millimetres", "precision": "0.010000"}
DATA_TYPES = {"130.00": ("mean",), "100.00": ("mean",), "10.00": ("tot", "mean")}  # the article uses `mean` for rain
PADDED = ("0.000", 4)
"""Value and code that the service sends for days beyond the period of record."""
RECORDED_TEXTS = {
    "11": "TS-Synthetic or Artificial Data. Data which does not relate directly to the measured variable but for "
    "which a valid code is required",
    "40": "Pre 21 Aug 2004 - TS - Fair measured data",
    "100": "Quality unknown",
    "130": "Not quality coded - subject to change",
    "140": "RATINGS - Current rating - may be subject to change.",
    "201": "Data unavailable",
    "255": "Data Unavailable",
}


@dataclass(frozen=True)
class Series:
    """Daily values (as text) and quality codes of one station."""

    details: Mapping[str, str]
    days: Mapping[date, tuple[str, int]]


class ServiceError(Exception):
    """An error that the service reports: its number and text."""


@lru_cache(maxsize=1)
def gauges() -> dict[str, Series]:
    """The eight gauges of Warragamba by site."""
    folder = SHARED / "data" / "warragamba"
    level = {"212242": (LEVEL, "v", "q")}
    rain = {s: (RAIN, f"v_{s}_10", f"q_{s}_10") for s in ("563035", "563046", "563079", "568045", "568051")}
    stage = {s: (STAGE, f"v_{s}_100", f"q_{s}_100") for s in ("212250", "212270")}
    files = {
        "warragamba_dam_level_raw_2008_2022.csv": level,
        "rainfall_within_0.2_lat_degrees_of_warragamba_dam_2008_2022.csv": rain,
        "cox_and_wollon_stream_level_2008-2022.csv": stage,
    }
    series_by_site = {}
    for name, columns in files.items():
        with (folder / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        for site, (details, value, code) in columns.items():
            days = {datetime.strptime(r["t"], CLOCK).date(): (r[value], int(r[code])) for r in rows}
            series_by_site[site] = Series(details, days)
    return series_by_site


@lru_cache(maxsize=1)
def recordings() -> dict[str, bytes]:
    """Recorded answers by request (JSON with sorted keys); "" is the request without a body."""
    folder = SHARED / "recordings" / "hydstra"
    entries = json.loads((folder / "MANIFEST.json").read_text("utf-8"))
    return {_sorted(entry.get("request_body")): (folder / entry["file"]).read_bytes() for entry in entries}


def _sorted(call: Json) -> str:
    return json.dumps(call, sort_keys=True) if call else ""


def answer_to(call: Json, *, last_day: date) -> bytes:
    """The service's answer to a call."""
    recorded = recordings().get(_sorted(call))
    if recorded is not None:
        return recorded
    try:
        lacking = [key for key in ("function", "version", "params") if key not in call]
        if lacking:
            raise ServiceError(120, "\r\n".join(f'Missing top-level "{key}" item' for key in lacking))
        functions: dict[str, Callable[[Json], Json]] = {
            "get_ts_traces": partial(_traces, last_day=last_day),
            "get_variable_list": partial(_variables, last_day=last_day),
            "get_datasources_by_site": _datasources,
        }
        if call["function"] not in functions:
            raise ServiceError(100, f"Unknown function {call['function']}")
        envelope: Json = {"error_num": 0, "return": functions[call["function"]](call["params"])}
    except ServiceError as error:
        envelope = {"error_num": error.args[0], "error_msg": error.args[1]}
    return json.dumps(envelope, indent=4).encode()


def _sites(params: Json) -> list[str]:
    sites = [site.strip() for site in str(params.get("site_list", "")).split(",") if site.strip()]
    if not sites:
        raise ServiceError(84, "Invalid site list")
    return sites


def _site_details(site: str) -> dict[str, str]:
    return {"timezone": "10.0", "short_name": site, "name": f"STATION {site}"}


def _datasources(params: Json) -> Json:
    return {"sites": [{"site": s, "datasources": list(DATASOURCES)} for s in _sites(params) if s in gauges()]}


def _variables(params: Json, *, last_day: date) -> Json:
    """An unknown site is not listed; an unknown datasource has no variables."""
    sites = []
    for site in _sites(params):
        if site not in gauges():
            continue
        days = [day for day in gauges()[site].days if day <= last_day]
        variables = []
        if params.get("datasource") in DATASOURCES and days:
            period = {"period_start": f"{min(days):%Y%m%d}000000", "period_end": f"{max(days):%Y%m%d}234500"}
            variables = [{**gauges()[site].details, "subdesc": "", **period}]
        sites.append({"site": site, "site_details": _site_details(site), "variables": variables})
    return {"sites": sites}


def _traces(params: Json, *, last_day: date) -> Json:
    sites = _sites(params)
    if params.get("datasource") not in DATASOURCES:
        raise ServiceError(80, f"Invalid datasource {params.get('datasource')}")
    if not any(site in gauges() for site in sites):
        raise ServiceError(83, f"Invalid site {sites[0]}")
    start, end = _clock(params, "start_time"), _clock(params, "end_time")
    if end < start:
        raise ServiceError(23, "End time is before start time")
    if (params.get("interval"), int(params.get("multiplier", 1)), f"{start:%H%M%S}") != ("day", 1, "000000"):
        raise ServiceError(120, "This server holds the values of calendar days only")
    requested = [code for code in str(params.get("var_list", params.get("varto", ""))).split(",") if code]
    traces = [
        _trace(site, start.date(), end.date(), last_day)
        for site in sites
        if site in gauges() and _is_requested(gauges()[site].details["variable"], requested, params.get("data_type"))
    ]
    traces = [trace for trace in traces if trace]
    if not traces:
        raise ServiceError(126, "No data within specified period")
    return {"traces": traces}


def _clock(params: Json, key: str) -> datetime:
    text = str(params.get(key))
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        raise ServiceError(21, f"Invalid date {text}") from None
    try:
        return datetime.strptime(text, CLOCK)
    except ValueError:
        raise ServiceError(22, f"Invalid time {text}") from None


def _is_requested(code: str, requested: list[str], data_type: str | None) -> bool:
    if not any(float(number) == float(code) for number in requested):
        return False
    if data_type not in DATA_TYPES[code]:
        raise ServiceError(120, f"This server holds {DATA_TYPES[code]} of variable {code}, not {data_type}")
    return True


def _trace(site: str, start: date, end: date, last_day: date) -> Json | None:
    """One site's trace, with zeros beyond the period of record; None if the requested period lies completely beyond."""
    series = gauges()[site]
    record = [day for day in series.days if day <= last_day]
    first, last = min(record, default=date.max), max(record, default=date.min)
    if end < first or start > last:
        return None
    days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
    values = {day: series.days[day] for day in record} | {d: PADDED for d in days if not first <= d <= last}
    points = [{"v": values[d][0], "t": int(f"{d:%Y%m%d}000000"), "q": values[d][1]} for d in days if d in values]
    codes = {str(point["q"]) for point in points}
    return {
        "error_num": 0,
        "compressed": "0",
        "site_details": {**_site_details(site), "longitude": "", "latitude": "", "org_name": "WaterNSW"},
        "quality_codes": {code: RECORDED_TEXTS.get(code, f"Code {code}") for code in codes},
        "trace": points,
        "varfrom_details": {**series.details, "short_name": series.details["name"], "subdesc": ""},
        "site": site,
        "varto_details": {**series.details, "short_name": series.details["name"], "subdesc": ""},
    }


class Handler(BaseHTTPRequestHandler):
    """POST with the call as body, or GET with the call after the question mark."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *connection: Any, last_day: date) -> None:  # Any: the server's arguments
        self.last_day = last_day
        super().__init__(*connection)

    def do_POST(self) -> None:
        """Answer a call in the body."""
        self.reply(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

    def do_GET(self) -> None:
        """Answer a call in the URL; the call can end with `&ver=2`."""
        self.reply(unquote(self.path.partition("?")[2]))

    def reply(self, text: str) -> None:
        """Answer `text` as the real service does: status 200 and text/html, errors too."""
        if not self.headers.get("User-Agent"):
            self.send_whole(502, b"Bad Gateway")
            return
        try:
            call = json.JSONDecoder().raw_decode(text.lstrip())[0] if text.strip() else {}
        except ValueError:
            call = {}
        self.answer(call if isinstance(call, dict) else {})

    def answer(self, call: Json) -> None:
        """Answer a call; a server with faults overrides this."""
        self.send_whole(200, answer_to(call, last_day=self.last_day))

    def send_whole(self, status: int, body: bytes, **headers: str) -> None:
        """Send a whole answer; an underscore in a header's name means a hyphen."""
        self.send_response(status)
        for name, value in {"Content_Type": "text/html", "Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep test output quiet."""


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    def handle_error(self, request: Any, client_address: Any) -> None:  # Any: as in the base class
        """Ignore a client that disconnects; report any other error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def hydstra_server(
    *,
    last_day: date = date.max,
    handler: Callable[..., Handler] = Handler,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """The service's URL; it serves until the block ends, with data up to `last_day`."""
    server = Server(("127.0.0.1", port), partial(handler, last_day=last_day))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}{PATH}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    newest = date.fromisoformat(sys.argv[1]) if len(sys.argv) > 1 else date.max
    with hydstra_server(last_day=newest) as address:
        print(address, flush=True)
        threading.Event().wait()
