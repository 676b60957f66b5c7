"""Reference levels of a dam: full supply and thresholds, constant or changing over time."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Self

import numpy as np
import polars as pl
from pydantic import Field, field_validator, model_validator

from forebay.dams.fields import FrozenModel, check_unique


class DatedValue(FrozenModel):
    """A value that is in force from a day on."""

    from_: Annotated[date, Field(alias="from")]
    value: float


class RulePoint(FrozenModel):
    """A point of a day-of-year rule curve, `day` as "MM-DD"."""

    day: str
    value: float

    @property
    def day_of_year(self) -> int:
        """Day of a leap year, 1 to 366."""
        return datetime.strptime(f"2000-{self.day}", "%Y-%m-%d").timetuple().tm_yday

    @model_validator(mode="after")
    def _check_day(self) -> Self:
        try:
            _ = self.day_of_year
        except ValueError:
            raise ValueError(f"day {self.day!r} must be a day of the year like '03-31'") from None
        return self


_FORMS = (
    'give a number, or one of dated = [{from = DAY, value = …}, …] and rule_curve = [{day = "MM-DD", value = …}, …]'
)


class ReferenceLevel(FrozenModel):
    """A level (or storage) that is constant, changes on dates, or follows a rule curve over the year.

    A dam file gives just one of the three; a number alone is a constant. A rule curve is linear between its points and
    continues over the new year.
    """

    value: float | None = None
    dated: tuple[DatedValue, ...] = ()
    rule_curve: tuple[RulePoint, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: object) -> object:
        if isinstance(value, dict | ReferenceLevel):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{value!r} is not a level; {_FORMS}")
        return {"value": value}

    @model_validator(mode="after")
    def _check_one_form(self) -> Self:
        if (self.value is not None) + bool(self.dated) + bool(self.rule_curve) != 1:
            raise ValueError(_FORMS)
        check_unique("dated: day", (step.from_ for step in self.dated))
        check_unique("rule_curve: day", (point.day for point in self.rule_curve))
        return self

    @property
    def values(self) -> tuple[float, ...]:
        """Every value that the dam file gives."""
        constant = () if self.value is None else (self.value,)
        return (*constant, *(step.value for step in self.dated), *(point.value for point in self.rule_curve))

    def on(self, days: pl.Series) -> pl.Series:
        """The value in force on each of `days` (dates); null before the first dated value."""
        if self.value is not None:
            return pl.Series([self.value], dtype=pl.Float64).new_from_index(0, len(days))
        if self.dated:
            steps = sorted(self.dated, key=lambda step: step.from_)
            starts = np.array([step.from_ for step in steps], "datetime64[D]")
            values = np.array([np.nan, *(step.value for step in steps)])
            return pl.Series(values[np.searchsorted(starts, days.to_numpy(), side="right")], nan_to_null=True)
        points = sorted((point.day_of_year, point.value) for point in self.rule_curve)
        first, last = points[0], points[-1]
        periodic = [(last[0] - 366, last[1]), *points, (first[0] + 366, first[1])]
        day_of_leap_year = days.dt.replace(year=2000).dt.ordinal_day()
        return pl.Series(np.interp(day_of_leap_year.to_numpy(), *np.array(periodic).T))

    def expected_on(self, days: pl.Series, lead_time: int) -> pl.Series:
        """The value that is known on each of `days` for the day `lead_time` days later.

        A rule curve is known ahead. A dated value is not: on the day itself the value in force is all that is known.
        """
        return self.known_on(days, days.dt.offset_by(f"{lead_time}d"))

    def known_on(self, days: pl.Series, valid_dates: pl.Series) -> pl.Series:
        """The value that is known on each of `days` for the valid date in the same place; as `expected_on`."""
        return self.on(valid_dates if self.rule_curve else days)


FULL_SUPPLY, RISE = "full_supply", "level+"
"""Name of full supply among the thresholds of an outlook, and the beginning of the names of rises."""


class Threshold(FrozenModel):
    """A level (or storage) with a meaning for operation, such as minor flood or dead storage."""

    name: Annotated[str, Field(min_length=1)]
    level: ReferenceLevel

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name == FULL_SUPPLY or name.startswith(RISE):
            raise ValueError(
                f"threshold name {name!r} is a name of forebay itself; choose one that is not {FULL_SUPPLY!r} and does "
                f"not begin with {RISE!r}"
            )
        return name
