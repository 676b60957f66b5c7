"""A simulated CWMS Data API: time series in pages, catalogs, errors; values of Arbuckle Lake from the recordings.

It converts units, cuts pages at `page-size`, states the total, and lists each series once per unit. With the parameter
`datum` it loses the pages after the first, as the real service does.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.loopback import Received, Reply

Json = Any  # Any: a JSON value
SI_FACTORS = {"ft": ("m", 0.3048), "ac-ft": ("m3", 1233.48183754752), "cfs": ("cms", 0.028316846592), "in": ("mm", 25.4)}
"""English unit → SI unit, and the factor to it."""
NOT_FOUND = {"message": "Time series not found", "incidentIdentifier": "7093912200091449908", "details": {}}
NGVD_29 = {
    "office": "SWT",
    "location": "ARBU",
    "native-datum": "NGVD-29",
    "elevation": 243.8,
    "offsets": [{"estimate": True, "to-datum": "NAVD-88", "value": 0.0632}],
}
MAX_PAGE = 500_000


@dataclass(frozen=True)
class Series:
    """A time series: rows [instant, value in the English unit or None, quality code]."""

    name: str
    rows: Sequence[tuple[datetime, float | None, int]]
    unit: str = "ft"
    office: str = "SWT"
    datum: Json = None

    @property
    def extents(self) -> Json:
        """First and last instant with a row."""
        if not self.rows:
            return []
        ends = {"earliest-time": self.rows[0][0], "latest-time": self.rows[-1][0]}
        return [{key: f"{instant:%Y-%m-%dT%H:%M:%SZ}" for key, instant in ends.items()}]


@dataclass
class CwmsService:
    """The service with its series and locations (catalog entries)."""

    series: Sequence[Series]
    locations: Sequence[Json] = ()
    max_page: int = MAX_PAGE
    changes: dict[str, Json] = field(default_factory=dict)  # keys of every page of values that are replaced

    def __call__(self, request: Received) -> Reply:
        """Answer of a request."""
        if "version=2" not in request.headers.get("accept", ""):
            return Reply(b'{"time-series":{"query-info":{}}}')  # the older format, which has other keys
        if request.path.endswith("/timeseries"):
            return self._timeseries(request.query)
        if request.path.endswith("/catalog/TIMESERIES"):
            return self._catalog(request.query, self._listed_series())
        if request.path.endswith("/catalog/LOCATIONS"):
            kind = request.query.get("location-kind-like", ".*")
            return self._catalog(request.query, [entry for entry in self.locations if re.search(kind, entry["kind"])])
        return _reply({"message": "Not found.", "incidentIdentifier": "1", "details": {}}, 404)

    def _timeseries(self, query: Any) -> Reply:
        if not {"name", "office"} <= set(query):
            return _reply({"message": "bad request", "incidentIdentifier": "1", "details": {"office": "missing"}}, 400)
        begin, end = (datetime.fromisoformat(query[key]) for key in ("begin", "end"))
        own = [
            series
            for series in self.series
            if (series.name.lower(), series.office) == (query["name"].lower(), query["office"].upper())
        ]
        rows = [row for row in own[0].rows if begin <= row[0] <= end] if own else []
        if not rows:
            return _reply(NOT_FOUND, 404)
        start, total = 0, len(rows)
        size = min(int(query.get("page-size", 500)), self.max_page)
        if "page" in query:
            first = int(base64.b64decode(query["page"]).decode().split("||")[0])
            start = next(k for k, row in enumerate(rows) if _ms(row[0]) == first)
        following = rows[start + size : start + size + 1]
        cursor = base64.b64encode(f"{_ms(following[0][0])}||{total}||{size}".encode()).decode() if following else None
        if "datum" in query:
            cursor = None
        page = self._page(own[0], rows[start : start + size], query) | {"total": total}
        return _reply(page | ({"next-page": cursor} if cursor else {}) | self.changes)

    def _page(self, series: Series, rows: Sequence[tuple[datetime, float | None, int]], query: Any) -> Json:
        si_unit, factor = SI_FACTORS[series.unit]
        is_si = query.get("unit") == "SI"
        page: Json = {
            "begin": query["begin"],
            "end": query["end"],
            "interval": "PT0S",
            "name": series.name,
            "office-id": series.office,
            "units": si_unit if is_si else series.unit,
            "value-columns": [
                {"name": name, "ordinal": k + 1, "datatype": "java"}
                for k, name in enumerate(("date-time", "value", "quality-code"))
            ],
            "values": [
                [_ms(time), value if value is None or not is_si else value * factor, quality]
                for time, value, quality in rows
            ],
        }
        if series.datum is not None:
            page["vertical-datum-info"] = series.datum | {"unit": page["units"]}
        return page

    def _listed_series(self) -> list[Json]:
        return [
            {"office": series.office, "name": series.name, "units": unit, "extents": series.extents}
            for series in self.series
            for unit in (SI_FACTORS[series.unit][0], series.unit)
        ]

    def _catalog(self, query: Any, entries: Sequence[Json]) -> Reply:
        pattern, office = query.get("like", ".*"), query.get("office")
        chosen = [
            entry
            for entry in entries
            if re.search(pattern, entry["name"], re.IGNORECASE) and office in (None, entry["office"])
        ]
        start, size = int(query.get("page", 0)), min(int(query.get("page-size", 500)), self.max_page)
        after = {"next-page": str(start + size)} if start + size < len(chosen) else {}
        return _reply({"total": len(chosen), "page-size": size, "entries": chosen[start : start + size]} | after)


def hourly(first: datetime, values: Sequence[float | None], quality: int = 3) -> list[tuple[datetime, float | None, int]]:
    """Rows of hourly values."""
    return [(first + timedelta(hours=k), value, quality) for k, value in enumerate(values)]


def _ms(instant: datetime) -> int:
    return round((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def _reply(content: Json, status: int = 200) -> Reply:
    return Reply(json.dumps(content).encode(), status, {"Content-Type": "application/json;version=2"})
