"""Scored windows, regimes and errors for the pictures, and the days that each gauge delivered."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from forebay.charts.forecast_tables import DAY
from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.models import REFERENCES
from forebay.tables import flag_of
from forebay.verify.point_forecasts import DEFAULT

GOOD = "good"
"""The state of a day without a flag."""
_YEAR = re.compile(r"y\d{4}")


def scored_windows(scores: pl.DataFrame, dam: Dam) -> list[tuple[str, str]]:
    """Every (window, "all"): the whole, the last fifth, then the dam file's windows."""
    known = ("all", "last20", *(w.name for w in dam.hindcast.windows))
    return [(window, "all") for window in _known_first(scores["window"], known)]


def scored_regimes(scores: pl.DataFrame) -> list[tuple[str, str]]:
    """Every ("all", regime) but the years."""
    return [("all", r) for r in _regimes(scores) if r != "all" and not _YEAR.fullmatch(r)]


def scored_years(scores: pl.DataFrame) -> list[tuple[str, str]]:
    """Every ("all", "y2012") and so on."""
    return [("all", r) for r in _regimes(scores) if _YEAR.fullmatch(r)]


def _regimes(scores: pl.DataFrame) -> list[str]:
    return _known_first(scores.filter(pl.col("window") == "all")["regime"], ("all", "wet", "dry", "near_full"))


def _known_first(names: pl.Series, known: Sequence[str]) -> list[str]:
    present = set(names.to_list())
    return [n for n in dict.fromkeys(known) if n in present] + sorted(present - set(known))


def errors_by_lead(scores: pl.DataFrame, window: str, regime: str) -> pl.DataFrame:
    """model, lead_time, mae, n: the default first, then the references, then models that are not the default itself."""
    own = scores.filter((pl.col("window") == window) & (pl.col("regime") == regime) & (pl.col("metric") == "mae"))
    own = own.select("model", "lead_time", mae="value", n="n").drop_nulls("mae")
    names = [m for m in _known_first(own["model"], (DEFAULT, *REFERENCES)) if m not in models_equal_to_default(scores)]
    return own.filter(pl.col("model").is_in(names)).sort(
        pl.col("model").replace_strict(names, range(len(names)), return_dtype=pl.Int32), "lead_time"
    )


def models_equal_to_default(scores: pl.DataFrame) -> list[str]:
    """Models whose MAE equals the default's at every lead, window and regime: the default goes by their name too."""
    keys = ["window", "regime", "lead_time"]
    mae = scores.filter(pl.col("metric") == "mae").select("model", *keys, "value")
    default = mae.filter(pl.col("model") == DEFAULT).drop("model")
    paired = mae.filter(pl.col("model") != DEFAULT).join(default, on=keys, suffix="_default")
    same = paired.group_by("model").agg(same=(pl.col("value") == pl.col("value_default")).all())
    return sorted(same.filter(pl.col("same"))["model"].to_list())


def gauge_labels(dam: Dam) -> dict[str, str]:
    """A distinct name for people of every gauge, by its column of the daily frame."""
    titles = [g.title for g in dam.gauges]
    return {g.column: g.title if titles.count(g.title) == 1 else f"{g.title} ({g.column})" for g in dam.gauges}


def gauges_in(daily: pl.DataFrame, dam: Dam) -> list[Gauge]:
    """The dam's gauges that have a column in the daily frame, in the dam file's order."""
    return [g for g in dam.gauges if g.column in daily.columns]


def coverage_spells(daily: pl.DataFrame, dam: Dam, most: int = 3000) -> tuple[pl.DataFrame, int]:
    """Runs of days on which a gauge's readings were in one state, and how many days one step of them stands for.

    Parameters
    ----------
    most
        Runs that the picture may hold. Where there are more, days are put together by 2, 4, 8 …; such a step has the
        state that is most frequent among its flagged days, so that no flagged day disappears.

    Returns
    -------
    spells
        gauge, state, start, end (the day after its last), days. State "good" is a day without a flag.
    step_days
        1, or how many days were put together.
    """
    labels = gauge_labels(dam)
    frames = [
        daily.sort("date").select(
            pl.lit(labels[g.column]).alias("gauge"), "date", state=pl.col(flag_of(g.column)).fill_null(GOOD)
        )
        for g in gauges_in(daily, dam)
    ]
    step = 1
    while True:
        spells = pl.concat([_runs(frame, step) for frame in frames])
        if len(spells) <= most or step >= 512:
            return spells, step
        step *= 2


def _runs(states: pl.DataFrame, step: int) -> pl.DataFrame:
    if step > 1:
        flagged = pl.col("state").filter(pl.col("state") != GOOD)
        commonest = flagged.mode().sort().first()
        states = states.group_by(pl.col("date").dt.truncate(f"{step}d"), maintain_order=True).agg(
            pl.col("gauge").first(), state=commonest.fill_null(GOOD), last=pl.col("date").last()
        )
    else:
        states = states.with_columns(last=pl.col("date"))
    return (
        states.group_by(pl.col("state").rle_id().alias("run"), maintain_order=True)
        .agg(pl.col("gauge").first(), pl.col("state").first(), start=pl.col("date").first(), end=pl.col("last").last())
        .with_columns(pl.col("end") + DAY)
        .select("gauge", "state", "start", "end", days=(pl.col("end") - pl.col("start")).dt.total_days())
    )


def coverage_counts(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """gauge, days, with_value, and one column per flag: how many days of the daily frame each gauge has of each."""
    labels = gauge_labels(dam)
    rows = []
    for gauge in gauges_in(daily, dam):
        flags = daily[flag_of(gauge.column)].fill_null(GOOD).value_counts().iter_rows()
        has_value = int(daily[gauge.column].is_not_null().sum())
        rows.append({"gauge": labels[gauge.column], "days": len(daily), "with_value": has_value} | dict(flags))
    counts = pl.DataFrame(rows, infer_schema_length=None)
    states = [c for c in counts.columns[3:] if c != GOOD]
    good = [GOOD] if GOOD in counts.columns else []
    return counts.select("gauge", "days", "with_value", *good, *sorted(states)).fill_null(0)
