"""Questions about levels that the screen still flags as suspect, and the reason where no forecast is possible."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import polars as pl

from forebay.features.level_change import OLDEST_LEVEL_DAYS
from forebay.screen.checks import SLIPS
from forebay.screen.flags import VALID_REASONS, daily_known_on, flag_runs, screen_daily

if TYPE_CHECKING:
    from datetime import date

    from forebay.dams.dam import Dam

_SLIP_NAMES = {1 / 0.3048: "metres read as feet", 0.3048: "feet read as metres"}


def questions(daily: pl.DataFrame, dam: Dam) -> tuple[str, ...]:
    """Questions about the newest readings of the target that are still suspect, with the keys that answer them.

    Parameters
    ----------
    daily
        Daily table of the newest versions.
    """
    column = dam.target_gauge.column
    readings = daily.filter(pl.col(column).is_not_null())["date"]
    flags = screen_daily(daily, dam).filter(pl.col("gauge") == column, ~pl.col("reason").is_in(VALID_REASONS))
    runs = flag_runs(flags).filter(pl.col("to") == readings.last()) if readings.len() else flag_runs(flags.clear())
    return tuple(_question(row, dam) for row in runs.iter_rows(named=True))


def _question(row: dict[str, object], dam: Dam) -> str:
    """The question about one spell of suspect levels, a row of `flag_runs`."""
    first, value, expected = row["from"], row["value"], row["expected"]
    accept = f'if they are right, accept them: accept = [{{ from = {first}, reason = "…" }}]'
    unit = dam.target.unit
    assert isinstance(value, float)
    readings = f"the readings since {first} ({row['days']} days, {value:,.6g} {unit})"
    if row["reason"] == "unit" and isinstance(expected, float):
        factor = min(SLIPS, key=lambda slip: abs(log(abs(expected / value)) - log(slip)))
        text = _SLIP_NAMES.get(factor, "another unit, or a shifted decimal point")
        return (
            f"Is it {text}? T{readings[1:]} are about {1 / factor:,.4g} times the expected value: if so, state it in "
            f"the dam file's target gauge: readings_from = [{{ from = {first}, scale = {factor:.6g} }}]; {accept}."
        )
    if row["reason"] in ("range", "sentinel"):
        return (
            f"Are {readings} real? They lie outside the plausible range or are declared as no value: state "
            "valid_range, sentinels or the unit in the dam file's target gauge."
        )
    return f"Are {readings} real? The screen flags them as {row['reason']!r}: {accept} in the dam file's target gauge."


def no_forecast(daily: pl.DataFrame, dam: Dam) -> str:
    """Reason why there is no forecast from the last day of `daily`, with the questions that may resolve it."""
    init_date: date = daily["date"][-1]
    known = daily_known_on(daily, screen_daily(daily, dam), init_date, dam)
    last: date | None = known.filter(pl.col(dam.target.variable).is_not_null())["date"].last()  # type: ignore[assignment]  # a column of dates
    start = "no level can be used" if last is None else f"the last level that can be used is of {last}"
    reason = (
        f"{dam.name}: no forecast from {init_date} is possible, because {start} and a forecast starts from a level "
        f"that is at most {OLDEST_LEVEL_DAYS} days old."
    )
    return " ".join([reason, *questions(daily, dam)])
