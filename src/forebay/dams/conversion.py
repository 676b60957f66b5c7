"""From a published number to the canonical unit: scale, offset and unit, which may change on a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, NamedTuple

import polars as pl
from pydantic import AfterValidator, Field

from forebay.dams.fields import FrozenModel
from forebay.dams.local_time import to_local

if TYPE_CHECKING:
    from forebay.dams.variables import Variable


def _check_scale(scale: float) -> float:
    if scale == 0:
        raise ValueError("scale must not be 0; it multiplies the published numbers")
    return scale


Scale = Annotated[float, AfterValidator(_check_scale)]


class ReadingsFrom(FrozenModel):
    """How published numbers are to be read from a local day on: value in `unit` = scale × number + offset.

    `unit` is the gauge's where it is omitted; `scale` and `offset` are 1 and 0, whatever the gauge's are.
    """

    from_: Annotated[date, Field(alias="from")]
    unit: str | None = None
    scale: Scale = 1.0
    offset: float = 0.0
    reason: str = ""


class Conversion(NamedTuple):
    """Conversion of published numbers: (scale × number + offset), then × factor + shift to the canonical unit."""

    scale: float
    offset: float
    factor: float
    shift: float

    def canonical(self, numbers: pl.Series) -> pl.Series:
        """Published numbers in the canonical unit; a step that changes nothing is left out, so that it is exact."""
        for multiplier, addend in ((self.scale, self.offset), (self.factor, self.shift)):
            numbers = numbers if multiplier == 1 else numbers * multiplier
            numbers = numbers if addend == 0 else numbers + addend
        return numbers


def conversions(
    variable: Variable, unit: str, numbers_in: tuple[float, float], changes: Sequence[ReadingsFrom]
) -> list[tuple[date, Conversion]]:
    """First day and conversion of each part of a series, by rising day.

    Parameters
    ----------
    unit, numbers_in
        Unit, and scale and offset, until the first change.
    """
    first = (date.min, Conversion(*numbers_in, *variable.conversion(unit)))
    return [first] + [
        (change.from_, Conversion(change.scale, change.offset, *variable.conversion(change.unit or unit)))
        for change in sorted(changes, key=lambda change: change.from_)
    ]


def canonical_values(
    numbers: pl.Series, times: pl.Series, parts: Sequence[tuple[date, Conversion]], time_zone: str
) -> pl.Series:
    """Published numbers in the canonical unit, each by the conversion that applies on the local day of its time."""
    converted = [(first_day, conversion.canonical(numbers)) for first_day, conversion in parts]
    return by_day(converted, times, time_zone)


def by_day(parts: Sequence[tuple[date, pl.Series]], times: pl.Series, time_zone: str) -> pl.Series:
    """Each element of the last part whose first day is not after the local day of its time."""
    series = parts[0][1]
    if len(parts) == 1:
        return series
    days = times.to_frame("time").select(to_local(pl.col("time"), time_zone).dt.date()).to_series()
    for first_day, part in parts[1:]:
        series = part.zip_with(days >= first_day, series)
    return series
