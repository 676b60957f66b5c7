"""Losses of a hindcast by blocks of 60 days: a small table from which two versions of forebay are compared in pairs.

A row has the sums over the scored days of one dam, window, regime, lead time and block. Scores are sums of losses
divided by sums of days, so a stored table gives every score of its version, and the paired bootstrap of the blocks
gives the band of a difference. The table holds no reading and no forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay import metrics
from forebay.tables import DEFAULT_MODEL, QUANTILES, REFERENCES
from forebay.verify import scorecard

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.models.model import Array

KEY = ["dam", "window", "regime", "lead_time", "block"]
LOSSES = ("mae", *(f"mae_{name}" for name in REFERENCES), "pinball", "inside_80", "inside_90", "below_05", "above_95",
          "width_90")  # fmt: skip
FULL = ("n_full", "brier", "full")
"""Days on which it is known whether full supply was reached by the last lead time; sums over these days of the squared
error of its probability, and of whether it was reached."""
REGIMES = ("all", "wet", "near_full", "above_full", "falling", "onset")
RESAMPLES, SEED = 1000, 20120101


def block_sums(
    forecasts: pl.DataFrame, samples: Samples, dam: Dam, *, reaches_full: tuple[Array, Array] | None = None
) -> pl.DataFrame:
    """`KEY`, n, `LOSSES` and `FULL` of a hindcast; `top5`, the largest 5% of rises, is a regime too.

    Parameters
    ----------
    reaches_full
        Per day, the probability that full supply is reached by the last lead time, and whether it was; NaN if unknown.
    """
    regimes = {name: samples.regimes[name] for name in REGIMES if name in samples.regimes}
    spans = {name: mask for name, mask in scorecard.windows(samples, dam).items() if name != "last20"}
    parts = []
    for lead in dam.hindcast.leads:
        paired = scorecard.pair(forecasts, samples, lead)
        losses = daily_losses(paired.quantiles, paired.observed)
        if reaches_full is not None and lead == max(dam.hindcast.leads):
            losses |= _full_losses(*(values[paired.days] for values in reaches_full))
        else:
            losses |= dict.fromkeys(FULL, np.zeros(len(paired.days)))
        table = pl.DataFrame({"block": paired.days // scorecard.BLOCK_DAYS, **losses})
        for window, inside in spans.items():
            in_window = inside[paired.days]
            masks = {name: in_window & mask[paired.days] for name, mask in regimes.items()}
            masks["top5"] = _largest_rises(paired.observed, in_window)
            for regime, mask in masks.items():
                rows = table.filter(pl.Series(mask)).group_by("block").agg(pl.len().alias("n"), *_sums(table.columns))
                parts.append(rows.with_columns(window=pl.lit(window), regime=pl.lit(regime), lead_time=pl.lit(lead)))
    joined = pl.concat(parts).with_columns(pl.lit(dam.id).alias("dam")).sort(KEY)
    return joined.select(*KEY, "n", *LOSSES, *FULL).with_columns(
        pl.col("lead_time", "block", "n").cast(pl.Int32), pl.col(LOSSES + FULL).cast(pl.Float32)
    )


def daily_losses(quantiles: Mapping[str, Array], observed: Array) -> dict[str, Array]:
    """Loss → its value on each scored day: errors of `default` and the references, and scores of the quantiles."""
    default = quantiles[DEFAULT_MODEL]
    middle = QUANTILES.index(0.5)
    losses = {"mae": np.abs(default[:, middle] - observed)}
    losses |= {f"mae_{name}": np.abs(quantiles[name][:, middle] - observed) for name in REFERENCES}
    levels = np.asarray(QUANTILES)
    over = observed[:, None] - default
    losses["pinball"] = np.maximum(levels * over, (levels - 1) * over).mean(axis=1)
    known = np.isfinite(default).all(axis=1)
    low, high = default[:, QUANTILES.index(0.05)], default[:, QUANTILES.index(0.95)]
    inside_80 = (observed >= default[:, QUANTILES.index(0.1)]) & (observed <= default[:, QUANTILES.index(0.9)])
    shares = {"inside_80": inside_80, "inside_90": (observed >= low) & (observed <= high), "below_05": observed < low,
              "above_95": observed > high}  # fmt: skip
    losses |= {name: np.where(known, share, np.nan) for name, share in shares.items()}
    return losses | {"width_90": high - low}


def _full_losses(probability: Array, reached: Array) -> dict[str, Array]:
    known = np.isfinite(probability) & np.isfinite(reached)
    values = (known, (probability - reached) ** 2, reached)
    return {name: np.where(known, column, 0.0) for name, column in zip(FULL, values, strict=True)}


def _largest_rises(observed: Array, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    mask = np.zeros(len(observed), bool)
    rows = np.flatnonzero(inside)
    if len(rows):
        mask[rows[metrics.largest(observed[rows], 0.05)]] = True
    return mask


def _sums(columns: Sequence[str]) -> list[pl.Expr]:
    """Sum of each loss; null if a day of the block has none, so that a missing interval is no perfect one."""
    losses = [name for name in columns if name != "block"]
    return [pl.when(pl.col(n).is_nan().any()).then(None).otherwise(pl.col(n).sum()).alias(n) for n in losses]


def block_scores(table: pl.DataFrame) -> pl.DataFrame:
    """dam, window, regime, lead_time, n, each loss per day, best_reference and its MAE, and the Brier skill.

    The Brier skill is relative to the share of the same days on which full supply was reached.
    """
    cells = table.group_by(KEY[:-1], maintain_order=True).agg(
        pl.col("n").sum(), *(_mean(name) for name in LOSSES), pl.col(FULL).cast(pl.Float64).sum()
    )
    share, brier = pl.col("full") / pl.col("n_full"), pl.col("brier") / pl.col("n_full")
    return cells.with_columns(
        best_mae=pl.min_horizontal(f"mae_{name}" for name in REFERENCES),
        brier_skill=pl.when(pl.col("n_full") > 0, share * (1 - share) > 0).then(1 - brier / (share * (1 - share))),
    )


def _mean(name: str) -> pl.Expr:
    known = pl.col(name).is_not_null()
    total = pl.when(known).then("n").sum()
    return pl.when(total > 0).then(pl.col(name).cast(pl.Float64).sum() / total).alias(name)


def compare(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Each score before and after, and the 90% band of the change, on the blocks that both tables score alike.

    Returns
    -------
    DataFrame
        dam, window, regime, lead_time, n, metric, before, after, change (ratio for errors, difference for shares), low,
        high, same_days (whether both tables score the same numbers of days in every block).
    """
    rows = []
    both = before.join(after, on=KEY, how="full", suffix="_after", coalesce=True).sort(KEY)
    for key, cell in both.group_by(KEY[:-1], maintain_order=True):
        equal = cell.filter(pl.col("n") == pl.col("n_after"))
        if equal.is_empty():
            continue
        counts = _resampled_counts(len(equal))
        for metric, is_ratio in COMPARED.items():
            days = "n_full" if metric == "brier" else "n"
            pair = equal.select(days, metric, f"{metric}_after").cast(pl.Float64).to_numpy()
            known = np.isfinite(pair).all(axis=1)
            n, old, new = pair[known].T
            if not len(n) or n.sum() == 0 or (is_ratio and old.sum() == 0):
                continue
            drawn = counts[:, known]
            with np.errstate(divide="ignore", invalid="ignore"):
                sums = drawn @ np.column_stack([n, old, new])
                change = sums[:, 2] / sums[:, 1] if is_ratio else (sums[:, 2] - sums[:, 1]) / sums[:, 0]
            finite = change[np.isfinite(change)]
            low, high = metrics.quantiles(finite, scorecard.BAND) if len(finite) else (None, None)
            value = new.sum() / old.sum() if is_ratio else (new.sum() - old.sum()) / n.sum()
            rows.append((*key, int(n.sum()), metric, old.sum() / n.sum(), new.sum() / n.sum(), value, low, high,
                         len(equal) == len(cell)))  # fmt: skip
    columns = [*KEY[:-1], "n", "metric", "before", "after", "change", "low", "high", "same_days"]
    return pl.DataFrame(rows, schema=columns, orient="row")


COMPARED = {"mae": True, "pinball": True, "inside_80": False, "inside_90": False, "below_05": False, "above_95": False,
            "width_90": True, "brier": True}  # fmt: skip
"""Metric of a comparison → whether its change is a ratio."""


def _resampled_counts(blocks: int) -> Array:
    """How often each block is drawn in each resample, shape (1000, blocks). Seeded."""
    random = np.random.default_rng(SEED)
    return random.multinomial(blocks, np.full(blocks, 1 / blocks), size=RESAMPLES).astype(float)
