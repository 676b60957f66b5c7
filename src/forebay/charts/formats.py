"""Numbers, days and units as text, the same in charts, report and terminal."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from math import floor, isnan, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

_DECIMALS = {"m": 3, "ft": 2, "cm": 1, "mm": 0, "%": 2}
_DECIMALS |= {"GL": 2, "hm3": 2, "MCM": 2, "Mcum": 2, "BCM": 5, "kac-ft": 2, "TAF": 2, "Mft3": 1, "TMC": 3}
NO_VALUE = "–"


def format_number(value: float | None, decimals: int, *, signed: bool = False) -> str:
    """A number with a true minus sign and grouped thousands; a dash for None and NaN.

    >>> format_number(-1234.5, 1)
    '−1,234.5'
    """
    if value is None or isnan(value):
        return NO_VALUE
    text = f"{value:{'+' if signed else ''},.{decimals}f}"
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def format_percent(share: float | None) -> str:
    """A share as whole percent.

    >>> format_percent(0.904), format_percent(None)
    ('90%', '–')
    """
    return NO_VALUE if share is None else f"{100 * share:.0f}%"


def format_day(day: date) -> str:
    """A day by ISO 8601.

    >>> format_day(date(2020, 2, 9))
    '2020-02-09'
    """
    return day.isoformat()


def format_time(instant: datetime, zone: tzinfo = UTC) -> str:
    """An instant by ISO 8601, to the minute, with the offset of `zone`.

    >>> format_time(datetime(2020, 2, 9, 14, tzinfo=UTC))
    '2020-02-09T14:00+00:00'
    """
    return instant.astimezone(zone).isoformat(timespec="minutes")


def format_value(value: float | None) -> str:
    """A number of any size to about four digits, never finer than three decimals, without an exponent.

    >>> format_value(12345.6), format_value(0.01234), format_value(-3.0)
    ('12,346', '0.012', '−3')
    """
    if value is None or isnan(value):
        return NO_VALUE
    decimals = 3 if value == 0 else min(3, max(0, 3 - floor(log10(abs(value)))))
    text = format_number(value, decimals)
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_decimals(unit: str) -> int:
    """Decimals of a level or storage in `unit`.

    >>> format_decimals("m"), format_decimals("ML")
    (3, 0)
    """
    return _DECIMALS.get(unit, 0)


def format_level(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A level with the decimals of its unit, without the unit.

    >>> format_level(2284.1261, "ft"), format_level(139.0, "m", signed=True)
    ('2,284.13', '+139.000')
    """
    return format_number(value, format_decimals(unit), signed=signed)


def format_count(count: int, noun: str) -> str:
    """A count with its noun, plural where needed.

    >>> format_count(1, "day"), format_count(1200, "day")
    ('1 day', '1,200 days')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_name(name: str) -> str:
    """A name of code as words.

    >>> format_name("no_change")
    'no change'
    """
    return name.replace("_", " ")


class TargetFormat:
    """How values of a dam's target are written: decimals, unit, and what one daily value is.

    Attributes
    ----------
    unit, decimals
        The target's unit; decimals of its levels and changes.
    daily_value
        What a daily value is: "daily mean", "reading at 08:00".
    value_of_day
        The same before "of" and a day: "mean", "08:00 reading".
    axis
        Axis title: "reservoir level (daily mean), m".
    """

    def __init__(self, dam: Dam) -> None:
        self.unit = dam.target.unit
        self.decimals = format_decimals(self.unit)
        gauge = dam.target_gauge
        at_clock = gauge.reading_at is not None
        self.daily_value = f"reading at {gauge.reading_at:%H:%M}" if at_clock else f"daily {gauge.aggregate}"
        self.value_of_day = f"{gauge.reading_at:%H:%M} reading" if at_clock else gauge.aggregate
        self.axis = f"{gauge.kind.title.lower()} ({self.daily_value}), {self.unit}"

    def number(self, value: float | None, *, signed: bool = False) -> str:
        """A level or change without its unit."""
        return format_number(value, self.decimals, signed=signed)

    def quantity(self, value: float | None, *, signed: bool = False) -> str:
        """A level or change with its unit."""
        return f"{self.number(value, signed=signed)} {self.unit}"

    def interval(self, low: float | None, high: float | None, *, signed: bool = False) -> str:
        """An interval without its unit."""
        if low is None or high is None:
            return NO_VALUE
        return f"{self.number(low, signed=signed)} to {self.number(high, signed=signed)}"

    def error(self, value: float | None) -> str:
        """An error, with one decimal more than a level."""
        return format_number(value, self.decimals + 1)
