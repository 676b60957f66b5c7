"""Diagnostics of a hindcast as tables: reliability, PIT histogram, coverage over time, peaks and largest misses.

All tables come from the forecasts of the model `default` on the scored days of the window `all`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay import metrics
from forebay.days.labels import gauge_labels
from forebay.features.inputs import AHEAD, FORCING
from forebay.tables import DEFAULT_MODEL, QUANTILES, flag_of
from forebay.verify.scorecard import EVENT_GAP, Forecasts, pair, windows

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples

ROLLING_DAYS = 365
LARGEST = 10
"""Number of misses listed for each lead time."""
_INPUTS = ("last_change", "rain_lag0", "rain_3d", "api", "degree_days", "context_degree_days", "evaporation", "snow")
_FLOW_ROLES = ("stream", "inflow", "release", "upstream_level", "upstream_release")
_REGIMES = ("all", "wet")
_QUANTILE_COLUMNS = {f"q{round(100 * q):02d}": QUANTILES.index(q) for q in (0.05, 0.1, 0.5, 0.9, 0.95)}


@dataclass(frozen=True)
class Diagnostics:
    """Diagnostic tables; changes in the target's unit, lead_time in days, shares between 0 and 1.

    Attributes
    ----------
    reliability
        regime, lead_time, quantile, observed (share of observed changes at or below the quantile), n.
    pit_histogram
        regime, lead_time, low, high (probabilities at the ends of the bin), expected, observed (share of observed
        changes), n.
    coverage_by_year
        year, lead_time, n, coverage_80, coverage_90.
    rolling_coverage
        init_date, lead_time, n, coverage_90 of the scored days in the 365 days that end on init_date. The first row is
        the first day with a full window.
    peaks
        init_date, lead_time, observed, q05, q50, q95: the days of the 5% largest observed changes.
    largest_misses
        init_date, lead_time, observed, q05, q50, q95, miss (observed − forecast), start_level, the inputs of each group
        known on init_date (last change, rain, weather, flows, forcings over the lead time; canonical units), and
        `flags`: the flagged gauges of that day. One day of each event.
    """

    reliability: pl.DataFrame
    pit_histogram: pl.DataFrame
    coverage_by_year: pl.DataFrame
    rolling_coverage: pl.DataFrame
    peaks: pl.DataFrame
    largest_misses: pl.DataFrame

    def by_name(self) -> dict[str, pl.DataFrame]:
        """Name → table."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def diagnose(forecasts: Forecasts, samples: Samples, dam: Dam, *, daily: pl.DataFrame) -> Diagnostics:
    """Diagnostics of the model `default` at every lead time of the dam.

    Parameters
    ----------
    daily
        The daily table that the inputs of `samples` come from; it holds the flags.
    """
    scored = pl.concat([_scored(forecasts, samples, dam, lead) for lead in dam.hindcast.leads])
    with_interval = scored.drop_nulls(["q05", "q95"])
    by_regime = [
        with_interval.filter(pl.col(f"is_{regime}")).with_columns(pl.lit(regime).alias("regime"))
        for regime in _REGIMES
        if f"is_{regime}" in scored.columns
    ]
    regimes = pl.concat(by_regime)
    return Diagnostics(
        reliability=_reliability(regimes),
        pit_histogram=_pit_histogram(regimes),
        coverage_by_year=_coverage_by_year(with_interval),
        rolling_coverage=_rolling_coverage(with_interval),
        peaks=_peaks(scored),
        largest_misses=_largest_misses(scored, samples, dam, daily),
    )


def _scored(forecasts: Forecasts, samples: Samples, dam: Dam, lead: int) -> pl.DataFrame:
    """init_date, lead_time, observed, each quantile as "0.05" …, q05 …, and is_<regime>; one row per scored day."""
    inside = windows(samples, dam).get("all", np.zeros(len(samples.dates), bool))
    paired = pair(forecasts, samples, lead)
    paired = paired.rows(inside if DEFAULT_MODEL in paired.quantiles else np.zeros(len(inside), bool))
    quantiles = paired.quantiles.get(DEFAULT_MODEL, np.full((0, len(QUANTILES)), np.nan))
    return pl.DataFrame(
        {
            "init_date": pl.Series(samples.dates[paired.days]).cast(pl.Date),
            "lead_time": pl.Series([lead], dtype=pl.Int32).new_from_index(0, len(paired.days)),
            "observed": paired.observed,
            **{str(q): pl.Series(quantiles[:, k], nan_to_null=True) for k, q in enumerate(QUANTILES)},
            **{name: pl.Series(quantiles[:, k], nan_to_null=True) for name, k in _QUANTILE_COLUMNS.items()},
            **{f"is_{r}": samples.regimes[r][paired.days] for r in _REGIMES if r in samples.regimes},
        }
    )


def _reliability(scored: pl.DataFrame) -> pl.DataFrame:
    """Share of observed changes at or below each quantile, per regime and lead time."""
    below = [(pl.col("observed") <= pl.col(str(q))).mean().alias(str(q)) for q in QUANTILES]
    wide = scored.group_by("regime", "lead_time", maintain_order=True).agg(pl.len().cast(pl.Int64).alias("n"), *below)
    long = wide.unpivot(on=[str(q) for q in QUANTILES], index=["regime", "lead_time", "n"], variable_name="quantile",
                        value_name="observed")  # fmt: skip
    return long.select("regime", "lead_time", pl.col("quantile").cast(pl.Float64), "observed", "n").sort(
        "regime", "lead_time", "quantile"
    )


def _pit_histogram(scored: pl.DataFrame) -> pl.DataFrame:
    """Share of observed changes between neighbouring quantiles; a value on a quantile belongs to the bin below."""
    bounds = [0.0, *QUANTILES, 1.0]
    bins = pl.DataFrame({"bin": range(len(bounds) - 1), "low": bounds[:-1], "high": bounds[1:]})
    bins = bins.with_columns(pl.col("bin").cast(pl.Int32), expected=pl.col("high") - pl.col("low"))
    rank = pl.sum_horizontal((pl.col("observed") > pl.col(str(q))).cast(pl.Int32) for q in QUANTILES)
    cells = scored.group_by("regime", "lead_time", maintain_order=True).agg(pl.len().cast(pl.Int64).alias("n"))
    counts = scored.group_by("regime", "lead_time", rank.alias("bin")).agg(pl.len().alias("count"))
    full = cells.join(bins, how="cross").join(counts, on=["regime", "lead_time", "bin"], how="left")
    return full.select(
        "regime", "lead_time", "low", "high", "expected", observed=pl.col("count").fill_null(0) / pl.col("n"), n="n"
    ).sort("regime", "lead_time", "low")


def _inside(low: str, high: str) -> pl.Expr:
    """Whether the observed change lies in an interval, its ends included."""
    return pl.col("observed").is_between(pl.col(low), pl.col(high))


def _coverage_by_year(scored: pl.DataFrame) -> pl.DataFrame:
    return (
        scored.group_by(pl.col("init_date").dt.year().alias("year"), "lead_time")
        .agg(
            pl.len().cast(pl.Int64).alias("n"),
            coverage_80=_inside("q10", "q90").mean(),
            coverage_90=_inside("q05", "q95").mean(),
        )
        .sort("year", "lead_time")
    )


def _rolling_coverage(scored: pl.DataFrame) -> pl.DataFrame:
    hits = scored.sort("lead_time", "init_date").with_columns(hit=_inside("q05", "q95").cast(pl.Float64))
    rolled = hits.rolling("init_date", period=f"{ROLLING_DAYS}d", group_by="lead_time").agg(
        pl.len().cast(pl.Int64).alias("n"), coverage_90=pl.col("hit").mean()
    )
    first_full = pl.col("init_date").min().over("lead_time") + timedelta(days=ROLLING_DAYS - 1)
    return rolled.filter(pl.col("init_date") >= first_full).select("init_date", "lead_time", "n", "coverage_90")


_PEAK_COLUMNS = ("init_date", "lead_time", "observed", "q05", "q50", "q95")


def _peaks(scored: pl.DataFrame) -> pl.DataFrame:
    """The days of the 5% largest observed changes of each lead time."""
    parts = []
    for (_,), rows in scored.group_by("lead_time", maintain_order=True):
        parts.append(rows[metrics.largest(rows["observed"].to_numpy(), 0.05).tolist()].select(_PEAK_COLUMNS))
    return pl.concat(parts).sort("lead_time", "init_date") if parts else scored.select(_PEAK_COLUMNS)


def _largest_misses(scored: pl.DataFrame, samples: Samples, dam: Dam, daily: pl.DataFrame) -> pl.DataFrame:
    """The largest misses of each lead time, with the inputs and flags of their init dates."""
    misses = scored.select(*_PEAK_COLUMNS, miss=pl.col("observed") - pl.col("q50"))
    largest = [
        _largest_by_event(rows).join(_inputs_by_date(samples, dam, int(str(lead))), on="init_date", how="left")
        for (lead,), rows in misses.group_by("lead_time", maintain_order=True)
    ]
    table = pl.concat(largest) if largest else misses
    return table.join(_flag_texts(daily, dam), left_on="init_date", right_on="date", how="left")


def _inputs_by_date(samples: Samples, dam: Dam, lead: int) -> pl.DataFrame:
    """init_date, start_level, and the inputs of each group at one lead time."""
    inputs = samples.inputs_at(lead)
    forcings = (name for f in dam.forcings for name in (f"{FORCING}{f.id}_lead", f"{AHEAD}{f.id}_mean"))
    columns = [*_INPUTS, *dam.columns(*_FLOW_ROLES), *forcings]
    days = pl.Series(samples.dates).cast(pl.Date)
    level = pl.Series(samples.start_level, nan_to_null=True)
    return inputs.select(
        days.alias("init_date"), level.alias("start_level"), *(name for name in columns if name in inputs.columns)
    )


def _flag_texts(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """date, flags: the flagged gauges of each day with their flags, as text."""
    labels = gauge_labels(dam)
    texts = [
        pl.when(pl.col(flag_of(g.column)).is_not_null()).then(
            pl.format("{}: {}", pl.lit(labels[g.column]), pl.col(flag_of(g.column)))
        )
        for g in dam.gauges
        if flag_of(g.column) in daily.columns
    ]
    return daily.select("date", flags=pl.concat_str(texts, separator="; ", ignore_nulls=True))


def _largest_by_event(misses: pl.DataFrame) -> pl.DataFrame:
    """The largest misses of one lead time, at most one within `EVENT_GAP` days."""
    ordered = misses.sort(pl.col("miss").abs(), descending=True, maintain_order=True)
    days = ordered["init_date"].to_list()
    rows: list[int] = []
    for row, day in enumerate(days):
        if len(rows) == LARGEST:
            break
        if all(abs((day - days[previous]).days) > EVENT_GAP for previous in rows):
            rows.append(row)
    return ordered[rows]
