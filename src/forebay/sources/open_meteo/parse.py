"""Answers of Open-Meteo as tables: one point or a list of points, hourly or daily, with members or earlier runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import cos, radians
from typing import TYPE_CHECKING

import polars as pl

from forebay.errors import MissingRunError, SourceError
from forebay.sources.answers import Json, answer_parser, decode_answer, json_of
from forebay.text import printable

if TYPE_CHECKING:
    from forebay.dams.weather import Point

SERIES: dict[str, pl.DataType] = {
    "point": pl.Int32(),  # position among the requested points, from 0
    "days_before": pl.Int32(),  # N of `_previous_dayN`; null: the newest run
    "member": pl.Int32(),  # 0: the control or the only forecast; N of `_memberN`
    "unit": pl.String(),  # as published
    "time": pl.Datetime("us"),  # as published, in the zone of the answer
    "value": pl.Float64(),
}
"""Columns of the values of one variable."""

MAX_CELL_DEG = 2.0
"""Largest distance between a point and the centre of its cell: twice the size of the cells of the coarsest models."""

_NAN = re.compile(r"(?<=[:\[,])(\s*)-?nan(?=\s*[,}\]])")
_LIMIT = re.compile(r"(minutely|hourly|daily|monthly)\b.*\blimit exceeded", re.IGNORECASE)
_KEY = re.compile(r"\bapi[ _-]?key\b", re.IGNORECASE)
_MAX_REASON = 200
_LATER = "try again later"
_ADVICE = "check points, model and variable in the dam file"


@answer_parser
def check_answer(answer: bytes, places: Sequence[Point]) -> None:
    """Raise a `SourceError` unless the answer has the data of each requested point, in their order."""
    points = points_of(answer)
    if len(points) != len(places):
        raise SourceError(f"the answer has {len(points)} points instead of {len(places)}; {_LATER}")
    for number, (point, place) in enumerate(zip(points, places, strict=True), start=1):
        cell = [point.get(name) for name in ("latitude", "longitude")]
        if _is_far(cell, place):
            where = f"{', '.join(map(_short, cell))} instead of {place[0]:g}, {place[1]:g}"
            raise SourceError(f"the answer's point {number} is at {where}; {_LATER}")


def _is_far(cell: Sequence[Json], place: Point) -> bool:
    """Whether a model's cell is no place, or too far from the point to contain it."""
    if not all(isinstance(degrees, int | float) for degrees in cell):
        return True
    north, east = abs(cell[0] - place[0]), abs(cell[1] - place[1]) % 360
    return not (north <= MAX_CELL_DEG and min(east, 360 - east) * cos(radians(place[0])) <= MAX_CELL_DEG)


def points_of(answer: bytes) -> list[dict[str, Json]]:
    """The object of each point of an answer, in the order of the request.

    Raises
    ------
    SourceError
        If the answer is an error (with any status), or a point lies outside the model's domain.
    MissingRunError
        If the service does not have the run.
    """
    text = decode_answer(answer)
    if "modelRunUnavailable" in text:
        raise MissingRunError("the service does not have this run of the model")
    content = json_of(_NAN.sub(r"\1null", text))
    if isinstance(content, dict) and content.get("error"):
        raise _refusal(content.get("reason"))
    points = content if isinstance(content, list) else [content]
    for place, point in enumerate(points, start=1):
        if not isinstance(point, dict):
            raise SourceError(f"the answer has {_short(point)} where the data of point {place} should be; {_LATER}")
        if point.get("latitude") is None and not {"hourly", "daily"} & set(point):
            raise SourceError(
                f"point {place} lies outside the domain of the model; choose another point or model in the dam file"
            )
    return points


def _refusal(reason: Json) -> SourceError:
    text = printable(" ".join(reason.split()))[:_MAX_REASON].rstrip(".") if isinstance(reason, str) else "no reason"
    if _KEY.search(text):
        return SourceError(
            f"the service refuses the API key ({text}); correct OPEN_METEO_API_KEY in the environment, or unset it to "
            "request without a key (free use is non-commercial)"
        )
    limit = _LIMIT.search(text)
    if limit is None:
        return SourceError(f"the service refused the request ({text}); {_ADVICE}")
    if limit[1].lower() == "minutely":
        return SourceError(
            f"the service's limit of requests per minute is reached ({text})", retryable=True, retry_after=60.0
        )
    return SourceError(f"the service's limit of requests is reached ({text}); run the command again after that time")


@answer_parser
def parse_series(answer: bytes, variable: str, model: str = "", *, block: str = "hourly") -> pl.DataFrame:
    """Values of one variable (`SERIES`) of each point, by point, days_before, member and time.

    Parameters
    ----------
    variable
        The service's name of the variable, without `_previous_dayN`, `_memberN` and model.
    model
        Name of the model, which the keys of an answer have if it is one of several; keys of other models are left out.
    block
        "hourly" or "daily".

    Raises
    ------
    SourceError
        If the answer is an error, has no such variable, or has a value that is no number.
    """
    parts = [pl.DataFrame(schema=SERIES)]
    for place, point in enumerate(points_of(answer)):
        parts += _series_of_point(point, variable, model, block=block, place=place)
    return pl.concat(parts).sort("point", "days_before", "member", "time", nulls_last=False)


def _series_of_point(
    point: dict[str, Json], variable: str, model: str, *, block: str, place: int
) -> list[pl.DataFrame]:
    table, units = point.get(block), point.get(f"{block}_units")
    if not isinstance(table, dict) or not isinstance(units, dict):
        raise SourceError(f"the answer has no {block} values for point {place + 1}; {_ADVICE}")
    suffix = f"(?:_{re.escape(model)})?" if model else ""
    name = re.compile(rf"{re.escape(variable)}(?:_previous_day(\d))?(?:_member(\d{{1,3}}))?{suffix}")
    matches = [(match, key) for key in table if (match := name.fullmatch(key))]
    if not matches:
        names = ", ".join(_short(key) for key in table if key != "time")
        raise SourceError(f"the answer has no {block} {variable}, but {names or 'nothing'}; {_ADVICE}")
    times = _times(table.get("time"), block)
    parts = []
    for match, key in matches:
        unit = units.get(key)
        if not isinstance(unit, str):
            raise SourceError(f"the answer has the unit {_short(unit)} for {key}; {_LATER}")
        parts.append(
            pl.DataFrame(
                {
                    "point": pl.Series([place], dtype=pl.Int32).new_from_index(0, len(times)),
                    "days_before": pl.Series([_number(match[1])], dtype=pl.Int32).new_from_index(0, len(times)),
                    "member": pl.Series([_number(match[2]) or 0], dtype=pl.Int32).new_from_index(0, len(times)),
                    "unit": pl.Series([unit], dtype=pl.String).new_from_index(0, len(times)),
                    "time": times,
                    "value": _values(table[key], key, len(times)),
                }
            )
        )
    return parts


def _number(digits: str | None) -> int | None:
    return None if digits is None else int(digits)


def _times(texts: Json, block: str) -> pl.Series:
    form = "%Y-%m-%dT%H:%M" if block == "hourly" else "%Y-%m-%d"
    if not isinstance(texts, list):
        raise SourceError(f"the answer has {_short(texts)} instead of a list of times; {_LATER}")
    times = pl.Series([text if isinstance(text, str) else None for text in texts], dtype=pl.String)
    times = times.str.to_datetime(form, time_unit="us", strict=False)
    if times.null_count():
        wrong = texts[times.is_null().arg_max() or 0]
        raise SourceError(f"the answer has the time {_short(wrong)}, which is not {form}; {_LATER}")
    if not times.is_sorted() or times.n_unique() < len(times):
        raise SourceError(f"the times of the answer do not rise; {_LATER}")
    return times


def _values(values: Json, key: str, count: int) -> pl.Series:
    if not isinstance(values, list) or len(values) != count:
        raise SourceError(f"the answer has not one value of {_short(key)} for each of its {count} times; {_LATER}")
    for value in values:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
        if value is not None and not is_number:  # NaN fails the comparison too
            raise SourceError(f"the answer's value {_short(value)} of {_short(key)} is not a number; {_LATER}")
    return pl.Series(values, dtype=pl.Float64)


def _short(value: Json) -> str:
    """A value of an answer for an error message."""
    text = printable(repr(value))
    return text if len(text) <= 60 else f"{text[:59]}…"


@answer_parser
def check_zone(answer: bytes) -> None:
    """Raise unless the answer's times are UTC: `utc_offset_seconds` is that of today, so no other zone is exact."""
    for point in points_of(answer):
        offset = point.get("utc_offset_seconds")
        if isinstance(offset, bool) or offset != 0:
            raise SourceError(f"the answer's times have the offset {_short(offset)} s instead of 0; {_LATER}")
