"""Answers of the Environment Agency's services, as tables: pure parsers without any transport.

Both services answer `{"meta": …, "items": […]}`. A property that usually has one value may have a list of several, a
link may be a text or an object with "@id", and any property may be absent.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from forebay.errors import SourceError
from forebay.sources.answers import Json, answer_parser, json_of
from forebay.sources.points import POINTS, instants

MEASURES: dict[str, pl.DataType] = {
    "measure": pl.String(),  # its notation, which names it in requests
    "station": pl.String(),  # notation of its station
    "parameter": pl.String(),  # "flow", "level", "rainfall" …
    "value_type": pl.String(),  # "instantaneous", "mean", "total", "min", "max" …
    "period": pl.Int64(),  # seconds; null where it has none
    "unit": pl.String(),  # as published; empty where there is none
    "name": pl.String(),
}
"""Columns of a list of measures."""


@dataclass(frozen=True)
class Page:
    """One page of an answer: its items, and the limit of items that the service applied, where it states one."""

    items: list[dict[str, Json]]
    limit: int | None


@answer_parser
def page_of(answer: bytes) -> Page:
    """The items of an answer.

    Raises
    ------
    SourceError
        If the answer is not JSON, or has no items.
    """
    envelope = json_of(answer)
    items = envelope.get("items") if isinstance(envelope, dict) else None
    items = [items] if isinstance(items, dict) else items  # the answer for a single measure
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise SourceError(f"the answer {str(envelope)[:60]!r} has no list of items; check the service's URL")
    meta = envelope.get("meta")
    limit = meta.get("limit") if isinstance(meta, dict) else None
    is_count = isinstance(limit, int) and not isinstance(limit, bool) and limit > 0
    return Page(items, limit if is_count else None)


@answer_parser
def parse_measures(answer: bytes) -> pl.DataFrame:
    """Measures (`MEASURES`) of an answer to `id/measures`."""
    rows = [
        {
            "measure": text_of(item.get("notation")) or last_segment(item.get("@id")),
            "station": text_of(item.get("stationReference")) or last_segment(item.get("station")),
            "parameter": text_of(item.get("parameter")),
            "value_type": text_of(item.get("valueType")),
            "period": _seconds(item.get("period")),
            "unit": text_of(item.get("unitName")),
            "name": text_of(item.get("label")),
        }
        for item in page_of(answer).items
    ]
    if unnamed := [row for row in rows if not row["measure"]]:
        raise SourceError(f"the answer has a measure without a notation ({str(unnamed[0])[:80]}); try again later")
    return pl.DataFrame(rows, schema=MEASURES)


def _seconds(value: Json) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 < value < 1 << 31 else None


@answer_parser
def parse_readings(answer: bytes, measure: str) -> pl.DataFrame:
    """Points (`POINTS`) of an answer to `id/measures/MEASURE/readings`.

    A stamp without a zone is UTC. The quality code is the quality, with "/" and the completeness where that is another
    than "Complete". A reading with several values has none: no value shows which is right.

    Raises
    ------
    SourceError
        If a reading is of another measure, or its time is not one.
    """
    rows = []
    for item in page_of(answer).items:
        if "dateTime" not in item:
            raise SourceError(f"the answer lacks 'dateTime' in {str(item)[:80]!r}; try again later")
        if "measure" in item and last_segment(item["measure"]) != measure:
            raise SourceError(
                f"the answer has a reading of measure {last_segment(item['measure'])[:80]!r} instead of {measure!r}; "
                "try again later"
            )
        value = item.get("value")
        rows.append({
            "time": str(item["dateTime"]),
            "raw_value": None if value is None or isinstance(value, list) else str(value),
            "quality_code": _quality(item),
        })  # fmt: skip
    frame = pl.DataFrame(rows, schema=dict.fromkeys(POINTS, pl.String()))
    return frame.with_columns(instants(frame["time"], default_offset="+00:00"))


def _quality(item: dict[str, Json]) -> str | None:
    quality, completeness = text_of(item.get("quality")), text_of(item.get("completeness"))
    if not quality:
        return None
    return quality if completeness in ("", "Complete") else f"{quality}/{completeness}"


def text_of(value: Json) -> str:
    """The text of a property, of its first value or of its label; empty where there is none."""
    value = value[0] if isinstance(value, list) and value else value
    value = value.get("label", "") if isinstance(value, dict) else value
    return value.strip() if isinstance(value, str) else ""


def last_segment(link: Json) -> str:
    """The last part of the path of a link, which is a text or an object with "@id"; empty where there is none.

    >>> last_segment({"@id": "http://environment.data.gov.uk/flood-monitoring/id/stations/52208"})
    '52208'
    """
    link = link[0] if isinstance(link, list) and link else link
    link = link.get("@id", "") if isinstance(link, dict) else link
    return link.rstrip("/").rpartition("/")[2] if isinstance(link, str) else ""
