"""Scored windows, regimes and years of a hindcast, and its errors by model and lead time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from forebay.tables import DEFAULT_MODEL, REFERENCES

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

_YEAR = re.compile(r"y\d{4}")


def scored_windows(scores: pl.DataFrame, dam: Dam) -> list[tuple[str, str]]:
    """Every (window, "all"): all days, the last fifth, then the windows of the dam file."""
    order = ("all", "last20", *(window.name for window in dam.hindcast.windows))
    return [(window, "all") for window in _ordered(scores["window"], order)]


def scored_regimes(scores: pl.DataFrame) -> list[tuple[str, str]]:
    """Every ("all", regime) apart from "all" and the years."""
    return [("all", regime) for regime in _regimes(scores) if regime != "all" and not _YEAR.fullmatch(regime)]


def scored_years(scores: pl.DataFrame) -> list[tuple[str, str]]:
    """Every ("all", year), such as ("all", "y2012")."""
    return [("all", regime) for regime in _regimes(scores) if _YEAR.fullmatch(regime)]


def without_repeats(
    scores: pl.DataFrame, cells: Sequence[tuple[str, str]]
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """The cells (window, regime) without those that have the same days as an earlier one, and the windows left out.

    Two cells have the same days if all models have the same MAE on the same number of days at every lead time.

    Returns
    -------
    cells
        The cells of distinct days, in the same order.
    repeated
        Window that is left out → window with the same days.
    """
    first: dict[tuple[object, ...], tuple[str, str]] = {}
    repeated = {}
    mae = scores.filter(pl.col("metric") == "mae").sort("model", "lead_time")
    for window, regime in cells:
        rows = mae.filter(pl.col("window") == window, pl.col("regime") == regime)
        days = tuple(rows.select("model", "lead_time", "n", "value").iter_rows())
        earlier = first.setdefault(days, (window, regime))
        if earlier != (window, regime):
            repeated[window] = earlier[0]
    return list(first.values()), repeated


def _regimes(scores: pl.DataFrame) -> list[str]:
    order = ("all", "wet", "dry", "near_full", "above_full")
    return _ordered(scores.filter(pl.col("window") == "all")["regime"], order)


def _ordered(names: pl.Series, order: Sequence[str]) -> list[str]:
    """Distinct names: those of `order` first, then the rest alphabetically."""
    present = set(names.to_list())
    return [name for name in dict.fromkeys(order) if name in present] + sorted(present - set(order))


def errors_by_lead(scores: pl.DataFrame, window: str, regime: str) -> pl.DataFrame:
    """model, lead_time, mae, n: `default` first, then the references, then models that differ from `default`."""
    rows = scores.filter((pl.col("window") == window) & (pl.col("regime") == regime) & (pl.col("metric") == "mae"))
    errors = rows.select("model", "lead_time", mae="value", n="n").drop_nulls("mae")
    equal = models_equal_to_default(scores)
    models = [model for model in _ordered(errors["model"], (DEFAULT_MODEL, *REFERENCES)) if model not in equal]
    return errors.filter(pl.col("model").is_in(models)).sort(
        pl.col("model").replace_strict(models, range(len(models)), return_dtype=pl.Int32), "lead_time"
    )


def models_equal_to_default(scores: pl.DataFrame) -> list[str]:
    """Models whose MAE equals that of `default` at every lead time, window and regime: `default` is this model."""
    keys = ["window", "regime", "lead_time"]
    mae = scores.filter(pl.col("metric") == "mae").select("model", *keys, "value")
    default = mae.filter(pl.col("model") == DEFAULT_MODEL).drop("model")
    pairs = mae.filter(pl.col("model") != DEFAULT_MODEL).join(default, on=keys, suffix="_default")
    equal = pairs.group_by("model").agg(equal=(pl.col("value") == pl.col("value_default")).all())
    return sorted(equal.filter(pl.col("equal"))["model"].to_list())
