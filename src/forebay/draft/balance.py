"""Flows that are computed from the change of storage, which a forecast must not use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.variables import DAY_S

if TYPE_CHECKING:
    from forebay.draft.gauges import GaugeDraft

_ML_PER_M3S_DAY = DAY_S / 1000
_MIN_DAYS = 60
_EXACT_SHARE = 0.02
"""The residual of a computed inflow is rounding: its median is below this share of the median change."""


@dataclass(frozen=True)
class Balance:
    """Inflow that a series is computed from: `inflow` = change of `storage` + release, of the same or the next day."""

    inflow: GaugeDraft
    storage: GaugeDraft
    is_next_day: bool


def computed_inflows(gauges: Sequence[GaugeDraft]) -> list[Balance]:
    """Inflows that equal, but for rounding, the change of a storage plus the release of a line.

    The change is that to the line (`is_next_day` false), or that from the line to the next one: then the storage of a
    line is that at the start of its day, or the inflow contains the future.
    """
    storages = [gauge for gauge in gauges if gauge.variable == "storage"]
    releases = [gauge for gauge in gauges if gauge.role == "release"]
    balances = []
    for inflow in (gauge for gauge in gauges if gauge.role == "inflow"):
        for storage in storages:
            for release in [*releases, None]:
                days = _days(inflow, storage, release)
                if len(days) < _MIN_DAYS:
                    continue
                change = float(days["before"].abs().median() or 0)  # type: ignore[arg-type]
                for name in ("before", "after"):
                    residual = float((days["net"] - days[name]).abs().median() or 0)  # type: ignore[arg-type]
                    if change > 0 and residual <= _EXACT_SHARE * change:
                        balances.append(Balance(inflow, storage, name == "after"))
    return balances


def _days(inflow: GaugeDraft, storage: GaugeDraft, release: GaugeDraft | None) -> pl.DataFrame:
    """net inflow, change from the day before, change to the day after (ML), on days that have all of them."""
    days = inflow.daily.rename({"value": "inflow"}).join(storage.daily, on="date").drop_nulls().sort("date")
    if release is not None:
        days = days.join(release.daily.rename({"value": "release"}), on="date").drop_nulls().sort("date")
    else:
        days = days.with_columns(pl.lit(0.0).alias("release"))
    one_day = pl.duration(days=1)
    return days.select(
        ((pl.col("inflow") - pl.col("release")) * _ML_PER_M3S_DAY).alias("net"),
        pl.when(pl.col("date").diff() == one_day).then(pl.col("value").diff()).alias("before"),
        pl.when(pl.col("date").diff().shift(-1) == one_day).then(pl.col("value").diff().shift(-1)).alias("after"),
    ).drop_nulls()
