"""Questions about levels that the screen still flags as suspect, and the reason where no forecast is possible."""

from __future__ import annotations

from datetime import date
from math import log
from typing import TYPE_CHECKING

import polars as pl

from forebay.features.level_change import OLDEST_LEVEL_DAYS
from forebay.screen.checks import SLIPS
from forebay.screen.flags import VALID_REASONS, daily_known_on, flag_runs

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

FOOT = 0.3048
_VALUE_CHECKS = ("range", "sentinel")
"""Reasons with a note of their own (`screen.gauge_notes`)."""


def questions(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam) -> list[str]:
    """Questions about the newest readings of the target that are still suspect, with the keys that answer them.

    Parameters
    ----------
    daily, flags
        Daily table of the newest versions, and its flags (`screen.flags.FLAGS`).
    """
    runs = _newest_runs(daily, flags, dam).filter(~pl.col("reason").is_in(_VALUE_CHECKS))
    return [_question(row, dam) for row in runs.iter_rows(named=True)]


def no_forecast(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam) -> str:
    """Reason why there is no forecast from the last day of `daily`, with the questions that may resolve it."""
    init_date: date = daily["date"][-1]
    known = daily_known_on(daily, flags, init_date, dam)
    last = known.filter(pl.col(dam.target.variable).is_not_null())["date"].last()
    start = "no level can be used" if last is None else f"the last level that can be used is of {last!s}"
    reason = (
        f"{dam.name}: no forecast from {init_date} is possible, because {start} and a forecast starts from a level "
        f"that is at most {OLDEST_LEVEL_DAYS} days old."
    )
    return " ".join([reason, *(_question(row, dam) for row in _newest_runs(daily, flags, dam).iter_rows(named=True))])


def _newest_runs(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """Runs of suspect levels (`flag_runs`) that end with the newest reading of the target."""
    column = dam.target_gauge.column
    newest = daily.filter(pl.col(column).is_not_null())["date"].last()
    suspect = flags.filter(pl.col("gauge") == column, ~pl.col("reason").is_in(VALID_REASONS))
    return flag_runs(suspect).filter(pl.col("to") == newest)


def _question(row: dict[str, object], dam: Dam) -> str:
    """The question about one run of suspect levels, a row of `flag_runs`."""
    first, value, expected, days = row["from"], row["value"], row["expected"], row["days"]
    assert isinstance(value, float)
    count = "1 day" if days == 1 else f"{days} days"
    readings = f"readings since {first} ({count}, {value:,.6g} {dam.target.unit})"
    accept = f'if they are right, accept them: accept = [{{ from = {first}, reason = "…" }}]'
    if row["reason"] == "unit" and isinstance(expected, float):
        factor = min(SLIPS, key=lambda slip: abs(log(abs(expected / value)) - log(slip)))
        text, keys = _slip(factor, dam)
        return (
            f"Is it {text}? The {readings} are about {1 / factor:,.4g} times the expected value: if so, state it in "
            f"the dam file's target gauge: readings_from = [{{ from = {first}, {keys} }}]; {accept}."
        )
    if row["reason"] in _VALUE_CHECKS:
        return (
            f"Are the {readings} real? They lie outside the plausible range, or are numbers that mean no value: state "
            "valid_range, sentinels or the unit in the dam file's target gauge."
        )
    reason = f"The screen flags them as {row['reason']!r}"
    return f"Are the {readings} real? {reason}: {accept} in the dam file's target gauge."


def _slip(factor: float, dam: Dam) -> tuple[str, str]:
    """Name of a slip, and the keys of `readings_from` that state it."""
    unit = {("m", FOOT): "ft", ("ft", 1 / FOOT): "m"}.get((dam.target_gauge.unit, factor))
    if unit is not None:
        return f"a unit that changed from {dam.target_gauge.unit} to {unit}", f'unit = "{unit}"'
    return "another unit, or a shifted decimal point", f"scale = {factor:.6g}"
