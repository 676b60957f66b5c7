"""WaterNSW's Hydstra service, with the real data of `../shared`."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote

import polars as pl

from forebay.dams.dam_file import catalogue
from forebay.sources.hydstra import parse
from forebay.sources.quality import grades
from tests.conformance import TRUTH, ContentFault, ServiceCase
from tests.hydstra_server import PATH, RECORDED_TEXTS, answer_to, gauges
from tests.loopback import Answer, Received, Reply
from tests.shared import SHARED

LAST = date(2020, 3, 1)
STATIONS = ("212242", "563035", "212250")


def _answer(request: Received) -> Reply:
    return Reply(answer_to(_call(request), last_day=LAST))


def _call(request: Received) -> dict[str, object]:
    call: dict[str, object] = json.loads(request.body or unquote(next(iter(request.query), "{}")))
    return call


def _is_data(request: Received, station: str) -> bool:
    call = _call(request)
    params = call["params"]
    return call["function"] == "get_ts_traces" and isinstance(params, dict) and params["site_list"] == station


def _answer_without(rows: Collection[int]) -> Answer:
    """The service without some days of the gauge 563035."""
    days = {int(f"{day:%Y%m%d}000000") for k, day in enumerate(gauges()["563035"].days) if k in rows}

    def answer(request: Received) -> Reply:
        if not _is_data(request, "563035"):
            return _answer(request)
        envelope = json.loads(_answer(request).body)
        for trace in envelope["return"]["traces"]:
            trace["trace"] = [point for point in trace["trace"] if point["t"] not in days]
        return Reply(json.dumps(envelope).encode())

    return answer


def _truth(station: str) -> pl.DataFrame:
    rows = []
    for day, (text, code) in gauges()[station].days.items():
        if day <= LAST:
            grade = grades("waternsw").get(str(code), "unknown")
            is_missing = grade == "missing" or "unavailable" in RECORDED_TEXTS.get(str(code), "").lower() or not text
            time = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=10)
            rows.append((time, None if is_missing else float(text), "missing" if is_missing else grade))
    return pl.DataFrame(rows, schema=TRUTH, orient="row")


def _dam_file() -> str:
    head, *tables = catalogue()["warragamba"].split("[[gauges]]")
    chosen = [next(table for table in tables if f'"{station}"' in table) for station in STATIONS]
    return "[[gauges]]".join([head, *chosen])


def cases() -> list[ServiceCase]:
    """WaterNSW."""
    if not (SHARED / "data" / "warragamba").is_dir():
        return []
    correct = answer_to(
        {"function": "get_ts_traces", "version": "2", "params": {
            "site_list": "563035", "datasource": "CP", "start_time": "20200201000000", "end_time": "20200205000000",
            "var_list": "10.00", "interval": "day", "multiplier": 1, "data_type": "tot"}},
        last_day=LAST,
    )  # fmt: skip
    return [
        ServiceCase(
            service="waternsw",
            dam_file=_dam_file(),
            answer=_answer,
            truth={station: _truth(station) for station in STATIONS},
            now=datetime(2020, 3, 3, tzinfo=UTC),
            is_data=_is_data,
            answer_without=_answer_without,
            base=PATH,
            content_faults=[
                ContentFault("another unit", lambda body: body.replace(b"Millim", b"Kilom"), "nothing", "Kilometres"),
                ContentFault("half of a date", lambda body: body.replace(b"20200", b"202"), "nothing", "not 14 digits"),
            ],
            parsers={"get_ts_traces": (correct, parse.parse_ts_traces)},
            needs_shared=True,
        )
    ]
