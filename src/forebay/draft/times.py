"""Intervals of a table's readings: their length, and which part of it a stamp names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from forebay.draft.answers import Answers, Question
from forebay.draft.tables import UserTable, usual_step

_DAY = timedelta(days=1)
_HOUR_24 = r"24:?00|\s24(?::|$)"


@dataclass(frozen=True)
class TableTimes:
    """Keys of the dam file on the times of a table's readings."""

    interval: str = "day"
    stamp: str = "start"
    is_instantaneous: bool = False
    clock: str | None = None

    def keys(self, aggregate: str) -> dict[str, object]:
        """Keys of a gauge of a variable with this daily aggregate ("mean" or "total")."""
        keys: dict[str, object] = {}
        if self.interval != "day":
            keys["interval"] = self.interval
        if self.stamp != "start":
            keys["stamp"] = self.stamp
        if self.is_instantaneous and aggregate == "mean":
            keys["reading"] = "instantaneous"
            if self.interval == "day":
                keys["reading_at"] = self.clock or "00:00"
        elif self.clock is not None:
            keys["day_start"] = self.clock
        return keys


def table_times(table: UserTable, answers: Answers) -> TableTimes:
    """Times of the readings of a table; asks what a stamp names where this changes daily values.

    Raises
    ------
    ConfigError
        If a question has no answer, or the readings have no usable step.
    """
    step = usual_step(table.stamps)
    if step is None or step >= timedelta(hours=20) or not table.dates.has_clock:
        return _daily_times(table, answers)
    minutes = int(step.total_seconds() // 60)
    interval = "hour" if minutes == 60 else f"{minutes}min"
    answers.note(f"{table.stem}:interval", interval, "the most frequent step between two stamps")
    question = Question(
        f"{table.stem}:stamp",
        f"What does a time in {table.stem} name, such as {table.stamps.drop_nulls()[0]:%H:%M} of the first line",
        {
            "start": f"the start of an interval of {interval}, whose mean or total the number is",
            "end": f"the end of an interval of {interval}, whose mean or total the number is",
            "instant": "the instant at which the number was read",
        },
    )
    has_hour_24 = any(table.rows[name].str.contains(_HOUR_24).any() for name in table.dates.columns)
    conclusion = "end" if has_hour_24 else None
    stamp = answers.decide(question, conclusion, "midnight is written as 24:00 of the day that ends")
    if stamp == "instant":
        return TableTimes(interval, is_instantaneous=True)
    return TableTimes(interval, stamp)


def _daily_times(table: UserTable, answers: Answers) -> TableTimes:
    """Times of daily readings: the day, or a clock time that all stamps have."""
    clocks = _clock_stamps(table).drop_nulls().dt.strftime("%H:%M").unique()
    if not table.dates.has_clock or len(clocks) != 1 or clocks[0] == "00:00":
        return TableTimes()
    question = Question(
        f"{table.stem}:stamp",
        f"What does the time {clocks[0]} in {table.stem} name",
        {
            "start": f"the start of a day from {clocks[0]}, whose mean or total the number is",
            "end": f"the end of a day until {clocks[0]}, whose mean or total the number is",
            "instant": f"the reading at {clocks[0]}",
        },
    )
    stamp = answers.decide(question)
    return TableTimes("day", "start" if stamp == "instant" else stamp, stamp == "instant", clocks[0])


def _clock_stamps(table: UserTable) -> pl.Series:
    """Stamps as clock times of their own offset; none where they depend on the dam's zone."""
    if "%z" not in table.dates.form:
        return table.stamps
    offset = stamp_offset(table)
    if offset is None:
        return table.stamps.clear()
    hours, minutes = int(offset[:3]), int(offset[0] + offset[-2:])
    return table.stamps.dt.replace_time_zone(None) + timedelta(hours=hours, minutes=minutes)


def stamp_offset(table: UserTable) -> str | None:
    """The offset from UTC that all stamps of a table carry, such as "+10:00"; None without one, or with UTC."""
    if "%z" not in table.dates.form:
        return None
    texts = table.rows[table.dates.columns[-1]].drop_nulls().str.extract(r"([+-]\d\d:?\d\d)$").unique()
    if len(texts) != 1 or texts[0] is None or re.fullmatch(r"[+-]00:?00", texts[0]):
        return None
    return f"{texts[0][:3]}:{texts[0][-2:]}"


def are_accumulated(numbers: pl.Series) -> bool:
    """Whether numbers, by rising time, look like totals since a reset: they rise or stay, and fall to zero rarely.

    At least 90 numbers, of which few fall; a fall goes down to a tenth of the number before or lower.
    """
    values = numbers.drop_nulls()
    if len(values) < 90 or values.n_unique() < 10:
        return False
    before, after = values.shift()[1:], values[1:]
    falls = after < before
    to_zero = after.filter(falls) <= 0.1 * before.filter(falls)
    return bool(falls.mean() <= 0.01 and to_zero.all() and values.max() > 5 * (after - before).abs().mean())  # type: ignore[operator]
