"""Screening of a dam's daily table: flags of suspect values, each with a reason and the day from which it is known.

A forecast from day t may use only flags that are known on t. `daily_known_on`, `daily_known_after` and
`daily_by_period` give the daily table without the values that are suspect at that time. The table itself keeps every
value. docs/screening.md describes each check.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.dams.delays import delay_days
from forebay.days.daily import usable_values
from forebay.log import add_counts, step
from forebay.screen.checks import jumps, stuck, thresholds
from forebay.screen.evidence import evidence_for, values_known_with
from forebay.screen.flows import unlikely_flows, without_unlikely_flows
from forebay.screen.neighbours import rain_findings
from forebay.tables import LEVEL_BREAK, Table, flag_of

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.screen.findings import Finding, Floats

REASONS = {
    "jump": "a change that neither the gauge's past nor other gauges support; not yet explained",
    "spike": "left its level and returned in one leap",
    "unit": "a factor of 10, 100 or 1000, or a foot-metre slip, gives the expected value",
    "stuck": "did not move in a flood, or leapt to catch up after standing still, or repeated its rain",
    "neighbours": "the neighbouring rain gauges disagree",
    "scale": "its running sum bends against that of its neighbours (double mass)",
    "sentinel": "a number that means no value, by the dam file or by the custom of agencies",
    "range": "beyond what the gauge can measure",
    "still": "hardly moved for 15 days or more: stuck, or at rest",
    "step": "first day of another datum: both sides are valid, the change across is missing",
}
"""Every reason of a flag, and its meaning."""

VALID_REASONS = frozenset({"still", "step"})
"""Reasons that leave the value in use."""

NOT_SUSPECT = VALID_REASONS | {"sentinel", "range"}
"""Reasons that make no reading suspect: the value is in use, or it is no reading at all."""

FLAGS = Table(
    "flags",
    {
        "gauge": pl.String(),  # column of the daily table
        "date": pl.Date(),
        "reason": pl.String(),
        "known_on": pl.Date(),  # the flag is known at the end of this day
        "withdrawn_on": pl.Date(),  # the flag is withdrawn at the end of this day; null: it remains
        "value": pl.Float64(),
        "expected": pl.Float64(),  # approximate true value; null where there is no estimate
    },
    ("gauge", "date", "reason", "known_on"),
)
"""Flags: one row per gauge, day and reason."""

LAKE = ("reservoir_level", "storage", "storage_percent")
RIVER = ("stream_level", "discharge", "inflow")
WEATHER = ("temperature",)


@step("screen")
def screen_daily(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """Flags of all gauges of a daily table (`FLAGS`), by gauge, date and the day on which they are known.

    A flag with `known_on` = k depends on rows with date ≤ k only, and so does its withdrawal by then.

    Parameters
    ----------
    daily
        As from `days.daily.daily_table`: one row per day without a gap, a flag column for each value column.
    """
    ordered = daily.sort("date")
    usable = usable_values(ordered, dam)
    values = {gauge.column: _floats(usable[gauge.column]) for gauge in dam.gauges}
    flow_findings = unlikely_flows(dam, values)
    trusted = without_unlikely_flows(values, flow_findings)
    parts = []
    for gauge in dam.gauges:
        known = trusted | {gauge.column: values[gauge.column]}
        findings = [*flow_findings.get(gauge.column, []), *_findings(gauge, dam, known)]
        flags = _flag_rows(findings, gauge, ordered["date"], values[gauge.column])
        both = pl.concat([_value_flags(ordered, gauge), flags.filter(_not_accepted(gauge))])
        parts.append(_known_later(both, delay_days(gauge, dam)))
    # Of two flags of one day for one reason, the one that holds longer counts
    longest = pl.concat(parts).sort("withdrawn_on", descending=True, nulls_last=False)
    flags = longest.unique(FLAGS.key, keep="first", maintain_order=True)
    add_counts({"days": len(daily), "flags": len(flags)})
    return FLAGS.check(flags.sort("gauge", "date", "known_on", "reason"))


def _findings(gauge: Gauge, dam: Dam, values: dict[str, Floats]) -> list[Finding]:
    """Findings of all checks that apply to the gauge's variable and role."""
    value = values[gauge.column]
    if gauge.variable == "rainfall":
        known = values_known_with(gauge, dam, values)
        neighbours = [known[column] for column in dam.columns("rainfall") if column != gauge.column]
        return rain_findings(value, neighbours, known[dam.target_gauge.column])
    kinds = {"lake": LAKE, "river": RIVER, "weather": WEATHER}
    kind = next((name for name, variables in kinds.items() if gauge.variable in variables), None)
    if kind is None or "release" in gauge.role:
        return []  # operators decide on releases: only their record sets a bound
    evidence = evidence_for(gauge, dam, values)
    bounds = thresholds(value, evidence, kind=kind)
    findings = jumps(value, bounds, evidence, kind=kind)
    return findings + (stuck(value, bounds.typical, evidence) if kind == "lake" else [])


def active_flags(flags: pl.DataFrame, day: date) -> pl.DataFrame:
    """The flags (`FLAGS`) that hold at the end of `day`."""
    return flags.filter(pl.col("known_on") <= day, _not_withdrawn_by(day))


def suspect_values(flags: pl.DataFrame, gauge: str, day: date) -> pl.DataFrame:
    """date, reason of the values of a gauge that are suspect at the end of `day`, by date."""
    suspect = active_flags(flags, day).filter(pl.col("gauge") == gauge, ~pl.col("reason").is_in(VALID_REASONS))
    return suspect.select("date", "reason").unique("date", keep="first", maintain_order=True).sort("date")


def daily_known_on(daily: pl.DataFrame, flags: pl.DataFrame, day: date, dam: Dam) -> pl.DataFrame:
    """Usable values of the daily table up to `day`, without those that are suspect at the end of `day`.

    The first day after a step of datum is missing too, so that no change is computed across the step.
    """
    return _without_flagged(usable_values(daily.filter(pl.col("date") <= day), dam), active_flags(flags, day), dam)


def daily_known_after(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam, *, lag: int) -> pl.DataFrame:
    """Usable values of the daily table, without those that are suspect `lag` days after their own day.

    Inputs of that lag may use them.
    """
    day = pl.col("date") + timedelta(days=lag)
    known = flags.filter(pl.col("known_on") <= day, _not_withdrawn_by(day))
    return _without_flagged(usable_values(daily, dam), known, dam)


def daily_by_period(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam) -> Iterator[tuple[date, pl.DataFrame]]:
    """Periods without news of the past: first day, and the daily table up to the last day as known in the period.

    Knowledge of the past changes only on days on which a flag becomes known late or is withdrawn. Between two such days
    one table serves all days. A period's table gives the inputs of its own days, as long as inputs depend on the same
    and earlier days only.
    """
    late = flags.filter(pl.col("known_on") > pl.col("date"))["known_on"]
    news = pl.concat([late, flags["withdrawn_on"].drop_nulls()]).unique().sort()
    first, end = daily["date"][0], daily["date"][-1] + timedelta(days=1)
    starts = [first, *(day for day in news if first < day < end)]
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        known_same_day = (pl.col("known_on") == pl.col("date")) & pl.col("date").is_between(start, stop, closed="left")
        known = flags.filter((pl.col("known_on") <= start) | known_same_day, _not_withdrawn_by(start))
        yield start, _without_flagged(usable_values(daily.filter(pl.col("date") < stop), dam), known, dam)


def flag_runs(flags: pl.DataFrame) -> pl.DataFrame:
    """Flags that are not withdrawn, as runs of days: gauge, from, to, days, reason, known_on, value, expected.

    `known_on` belongs to the run's first day; `value` and `expected` are medians over the run.
    """
    valid = flags.filter(pl.col("withdrawn_on").is_null()).sort("gauge", "reason", "date")
    after_gap = (pl.col("date").diff().dt.total_days() > 3).fill_null(False)
    run = (after_gap | (pl.struct("gauge", "reason") != pl.struct("gauge", "reason").shift())).fill_null(True).cum_sum()
    return (
        valid.with_columns(run.alias("run"))
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("gauge").first(),
            pl.col("date").first().alias("from"),
            pl.col("date").last().alias("to"),
            pl.col("date").n_unique().alias("days"),
            pl.col("reason").first(),
            pl.col("known_on").first(),
            pl.col("value").median(),
            pl.col("expected").median(),
        )
        .drop("run")
        .sort("gauge", "from")
    )


def _value_flags(daily: pl.DataFrame, gauge: Gauge) -> pl.DataFrame:
    """Flags "sentinel" and "range" of the daily table as rows of `FLAGS`, known on their own day."""
    flag = pl.col(flag_of(gauge.column))
    return daily.filter(flag.is_in(["sentinel", "range"])).select(
        pl.lit(gauge.column).alias("gauge"),
        "date",
        flag.alias("reason"),
        pl.col("date").alias("known_on"),
        pl.lit(None, pl.Date).alias("withdrawn_on"),
        pl.col(gauge.column).cast(pl.Float64).alias("value"),
        pl.lit(None, pl.Float64).alias("expected"),
    )


def _flag_rows(findings: list[Finding], gauge: Gauge, dates: pl.Series, value: Floats) -> pl.DataFrame:
    """Findings of one gauge as rows of `FLAGS`, without those that are withdrawn before they are known."""
    days = np.concatenate([np.zeros(0, int), *(finding.days for finding in findings)])
    count = [len(finding.days) for finding in findings]
    known = np.maximum(days, np.repeat([finding.known for finding in findings], count).astype(int))
    withdrawn = np.repeat([-1 if f.withdrawn is None else f.withdrawn for f in findings], count).astype(int)
    expected = np.repeat([finding.expected for finding in findings], count).astype(float)
    reasons = pl.Series([f.reason for f in findings for _ in f.days], dtype=pl.String)
    calendar = dates.to_numpy()
    is_ever_known = (withdrawn < 0) | (withdrawn > known)
    frame = pl.DataFrame(
        {
            "gauge": pl.Series([gauge.column] * len(days), dtype=pl.String),
            "date": pl.Series(calendar[days], dtype=pl.Date),
            "reason": reasons,
            "known_on": pl.Series(calendar[known], dtype=pl.Date),
            "withdrawn_on": pl.Series(calendar[np.maximum(withdrawn, 0)], dtype=pl.Date),
            "value": pl.Series(value[days], dtype=pl.Float64),
            "expected": pl.Series(expected, dtype=pl.Float64).fill_nan(None),
        }
    )
    with_none = pl.when(pl.Series(withdrawn >= 0)).then("withdrawn_on").alias("withdrawn_on")
    return frame.with_columns(with_none).filter(pl.Series(is_ever_known))


def _known_later(flags: pl.DataFrame, days: int) -> pl.DataFrame:
    """`flags` of a gauge whose values are known `days` late: they become known, and are withdrawn, as late."""
    return flags.with_columns(pl.col("known_on", "withdrawn_on").dt.offset_by(f"{days}d"))


def _not_accepted(gauge: Gauge) -> pl.Expr:
    """Whether a flag's date lies in no spell that the dam file accepts."""
    spells = (pl.col("date").is_between(spell.from_, spell.to or date.max) for spell in gauge.accept)
    return ~pl.any_horizontal(pl.lit(False), *spells)


def _not_withdrawn_by(day: date | pl.Expr) -> pl.Expr:
    return pl.col("withdrawn_on").is_null() | (pl.col("withdrawn_on") > day)


def _without_flagged(frame: pl.DataFrame, known: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """`frame` with null instead of each value that has a flag in `known`; "still" alone leaves the value."""
    known = known.filter(pl.col("reason") != "still")
    if frame.is_empty():
        return frame
    first = frame["date"][0]
    breaks = _level_breaks(known.filter(pl.col("gauge") == dam.target_gauge.column))
    frame = frame.with_columns(pl.col("date").is_in(breaks.implode()).alias(LEVEL_BREAK))
    nulled = []
    for (column,), rows in known.group_by("gauge"):
        at = (rows["date"] - first).dt.total_days().to_numpy()
        is_suspect = np.zeros(len(frame), bool)
        is_suspect[at[(at >= 0) & (at < len(frame))]] = True
        nulled.append(pl.when(~pl.Series(is_suspect)).then(pl.col(str(column))).alias(str(column)))
    return frame.with_columns(nulled)


def _level_breaks(flags: pl.DataFrame) -> pl.Series:
    """The days across whose begin no change of the level is taken: steps of datum, suspect days and the days after."""
    suspect = flags.filter(~pl.col("reason").is_in(NOT_SUSPECT))["date"]
    steps = flags.filter(pl.col("reason") == "step")["date"]
    return pl.concat([steps, suspect, suspect.dt.offset_by("1d")]).unique()


def _floats(values: pl.Series) -> Floats:
    return values.cast(pl.Float64).to_numpy().astype(float)
