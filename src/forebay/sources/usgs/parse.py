"""Answers of the USGS Water Data API, as tables: pure parsers without any transport."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.errors import SourceError
from forebay.sources.answers import Json, answer_parser, json_of, text_at
from forebay.sources.datums import datum_of
from forebay.sources.points import instants, readings_of_points, starts_of_dates
from forebay.sources.stations import degrees
from forebay.sources.units import gauge_unit, unit_of
from forebay.tables import INSTANT

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge

DAILY, CONTINUOUS = "daily", "continuous"
COLLECTIONS = {"Daily": DAILY, "Points": CONTINUOUS}
"""Period of a series in the metadata → collection of its values. Other series, such as annual peaks, have none."""
MIDNIGHT = "32400"
"""Statistic of values at 24:00: the instant belongs to the next day."""
VALUES = dict.fromkeys(("series", "unit", "time", "raw_value", "quality_code"), pl.String())
"""Columns of the values of an answer, all as published; `quality_code` is the approval status and the qualifiers."""

_DAY = r"^\d{4}-\d{2}-\d{2}$"
_WORD = re.compile(r"[^\s,;\[\]'\"]+")


@dataclass(frozen=True)
class Page:
    """One page of a collection.

    `rows` has the properties of each feature, and its `id`, `longitude` and `latitude` (None without a place). `total`
    is the number of features of all pages; None where the answer does not state it.
    """

    rows: Sequence[Mapping[str, Json]]
    next_url: str | None
    total: int | None


@dataclass(frozen=True)
class Series:
    """A time series of a station, from `time-series-metadata`; `statistic` is empty where it has none."""

    id: str
    station: str
    parameter: str
    statistic: str
    collection: str
    unit: str
    name: str
    description: str
    is_primary: bool
    first_day: date | None
    last_day: date | None
    latitude: float | None
    longitude: float | None

    @property
    def title(self) -> str:
        """Parameter, collection and statistic, such as "62614 daily 32400"."""
        return f"{self.parameter} {self.collection} {self.statistic}".strip()

    @property
    def datum(self) -> str | None:
        """Vertical datum that its texts name (`datums.DATUMS`)."""
        return datum_of(f"{self.name} {self.description}")


def error_of(_status: int, body: bytes) -> SourceError | None:
    """The error that an error's body names and what to do; None if it is not an error of this service."""
    try:
        text = _error_text(json_of(body))
    except SourceError:
        return None
    return SourceError(text) if text else None


def _error_text(envelope: Json) -> str:
    """The sentence for an error: `{code, type, description}`, or `{"error": {code, message}}` of the gateway."""
    inner = envelope.get("error") if isinstance(envelope, dict) else None
    error = inner if isinstance(inner, dict) else envelope
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(code, str) or not code:
        return ""
    text = " ".join(str(error.get("description") or error.get("message") or "no text").split())[:200].rstrip(".")
    if code.startswith("API_KEY"):
        advice = "correct API_USGS_PAT in the environment, or unset it to request without a key"
        return f"the service refuses the API key ({code}: {text}); {advice}"
    if code == "OVER_RATE_LIMIT":
        advice = "try again in an hour, or set API_USGS_PAT: a free key allows 1,000 requests an hour instead of 50"
        return f"the limit of requests is reached ({code}: {text}); {advice}"
    advice = "check the gauge's request in the dam file, and the service's URL in the settings"
    return f"the service reports {code} ({text}); {advice}"


@answer_parser
def parse_page(answer: str | bytes) -> Page:
    """One page of any collection, from its GeoJSON.

    Raises
    ------
    SourceError
        If the answer is not a page of features, reports an error, or is not complete.
    """
    envelope = json_of(answer)
    if text := _error_text(envelope):
        raise SourceError(text)
    features = envelope.get("features") if isinstance(envelope, dict) else None
    if not isinstance(features, list):
        start = str(envelope)[:60]
        raise SourceError(
            f"the answer {start!r} has no list of features; check the service's URL and version in the settings"
        )
    returned = envelope.get("numberReturned", len(features))
    if returned != len(features):
        raise SourceError(
            f"the answer has {len(features)} features but counts {str(returned)[:20]!r}; try again later",
            retryable=True,
        )
    total = envelope.get("numberMatched")
    if total is not None and type(total) is not int:
        raise SourceError(f"the answer's numberMatched {str(total)[:20]!r} is not a whole number; try again later")
    return Page([_row(feature) for feature in features], _next_url(envelope.get("links")), total)


def _row(feature: Json) -> dict[str, Json]:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict):
        raise SourceError(f"the answer has {str(feature)[:60]!r} instead of a feature; try again later")
    geometry = feature.get("geometry")
    place = geometry.get("coordinates") if isinstance(geometry, dict) else None
    longitude, latitude = place[:2] if isinstance(place, list) and len(place) >= 2 else (None, None)
    place_cells = {"longitude": degrees(longitude, 180), "latitude": degrees(latitude, 90)}
    return {**properties, "id": feature.get("id"), **place_cells}


def _next_url(links: Json) -> str | None:
    if links is None:
        return None
    if not isinstance(links, list) or not all(isinstance(link, dict) for link in links):
        raise SourceError(f"the answer's links {str(links)[:60]!r} are not a list of links; try again later")
    for link in links:
        if link.get("rel") == "next":
            return text_at(link, "href")
    return None


def _optional(row: Mapping[str, Json], key: str) -> str:
    """A text that a row may have; empty where it has none."""
    return "" if row.get(key) in (None, "") else text_at(row, key)


@answer_parser
def parse_values(rows: Sequence[Mapping[str, Json]]) -> pl.DataFrame:
    """Values (`VALUES`) of the rows of a page of the collections `daily` and `continuous`."""
    columns: dict[str, list[str | None]] = {
        "series": [text_at(row, "time_series_id") for row in rows],
        "unit": [text_at(row, "unit_of_measure") for row in rows],
        "time": [text_at(row, "time") for row in rows],
        "raw_value": [_number_text(row.get("value")) for row in rows],
        "quality_code": [_quality_code(row) for row in rows],
    }
    return pl.DataFrame(columns, schema=VALUES)


def _number_text(value: Json) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SourceError(f"the answer's value {str(value)[:60]!r} is not a number; try again later")
    return str(value)[:400]


def _quality_code(row: Mapping[str, Json]) -> str | None:
    """Approval status and qualifiers as words, such as "Provisional ESTIMATED ICE"; None where there is none."""
    qualifiers = row.get("qualifier")
    listed = qualifiers if isinstance(qualifiers, list) else _WORD.findall(_optional(row, "qualifier"))
    words = [_optional(row, "approval_status"), *(text_at({"qualifier": word}, "qualifier") for word in listed)]
    return " ".join("_".join(word.split()) for word in words if word) or None


@answer_parser
def parse_series(rows: Sequence[Mapping[str, Json]]) -> list[Series]:
    """The series with daily or continuous values, from the rows of a page of `time-series-metadata`."""
    return [
        Series(
            id=text_at(row, "id"),
            station=text_at(row, "monitoring_location_id"),
            parameter=text_at(row, "parameter_code"),
            statistic=_optional(row, "statistic_id"),
            collection=COLLECTIONS[_optional(row, "computation_period_identifier")],
            unit=_optional(row, "unit_of_measure"),
            name=_optional(row, "parameter_name"),
            description=_optional(row, "parameter_description"),
            is_primary=_optional(row, "primary") == "Primary",
            first_day=_day(row, "begin"),
            last_day=_day(row, "end"),
            latitude=row.get("latitude"),
            longitude=row.get("longitude"),
        )
        for row in rows
        if _optional(row, "computation_period_identifier") in COLLECTIONS
    ]


def _day(row: Mapping[str, Json], key: str) -> date | None:
    """The local day of a time such as "2013-10-01T06:00:00.000001"; None where there is none."""
    text = _optional(row, key)
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        raise SourceError(f"the answer's {key} {text[:60]!r} is not a time; try again later") from None


@answer_parser
def parse_locations(rows: Sequence[Mapping[str, Json]]) -> dict[str, tuple[str, str | None]]:
    """Station → its name and its vertical datum, from the rows of a page of `monitoring-locations`."""
    return {
        text_at(row, "id"): (
            _optional(row, "monitoring_location_name"),
            datum_of(f"{_optional(row, 'vertical_datum')} {_optional(row, 'vertical_datum_name')}"),
        )
        for row in rows
    }


@answer_parser
def readings_of(values: pl.DataFrame, gauge: Gauge, series: Series) -> pl.DataFrame:
    """Values (`VALUES`) of a series as readings (`tables.READINGS`), in time order.

    Raises
    ------
    SourceError
        If a value is of another series, unit or form than expected.
    """
    others = values.filter(pl.col("series") != series.id)
    if len(others):
        raise SourceError(
            f"the answer has series {others['series'][0]!r} instead of {series.id!r}; check the service's URL in the "
            "settings"
        )
    unit = _unit_of_values(values, series) or series.unit
    is_daily = series.collection == DAILY
    times = _day_starts(values, gauge, series) if is_daily else instants(values["time"])
    points = values.select(times.cast(INSTANT).alias("time"), "raw_value", "quality_code")
    name = gauge_unit(unit, gauge) if unit else gauge.unit
    return readings_of_points(points, gauge, name, times="starts" if is_daily else "stamps")


def _unit_of_values(values: pl.DataFrame, series: Series) -> str | None:
    """The one unit of the values, as published; None without values.

    A series in two units must not be converted as if it had one, nor in another unit than its metadata state.
    """
    units = list(dict.fromkeys(values.sort("time")["unit"]))
    stated = [series.unit] if series.unit else []
    different = {unit_of(unit) or unit for unit in (*stated, *units)}
    if len(different) > 1:
        day = values.filter(pl.col("unit") == units[-1])["time"].min()
        raise SourceError(
            f"series {series.id} changes its unit: its values are in {units[-1]!r} from {day!s} on, not in "
            f"{(stated + units)[0]!r}; start on that day (--since), or give request.series of the other part"
        )
    return units[0] if units else None


def _day_starts(values: pl.DataFrame, gauge: Gauge, series: Series) -> pl.Series:
    """Starts of the intervals of daily values, whose times are local days."""
    text = pl.col("time")
    day = pl.when(text.str.contains(_DAY)).then(text.str.to_date("%Y-%m-%d", strict=False))
    days = values.select("time", day.alias("day"))
    wrong = days.filter(pl.col("day").is_null())
    if len(wrong):
        raise SourceError(f"the answer's time {wrong['time'][0][:60]!r} is not a date like 2024-05-31; try again later")
    shift = timedelta(days=1 if series.statistic == MIDNIGHT else 0)
    return days.select(starts_of_dates(pl.col("day") + shift, gauge)).to_series()
