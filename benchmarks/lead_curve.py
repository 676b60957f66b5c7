"""What the curve over the lead times (`models.lead_curve`) changes: errors and kinks of `default`, with and without it.

Run: ``python benchmarks/lead_curve.py [DAM FILE …]``; all dams of `tests/dams` by default, two at a time.

For each dam: the change of MAE and pinball loss at each lead time, in percent, and the kink of the median and of the
0.95 quantile without and with the curve. The kink is the mean size of the second difference along the lead times from
the present level on, divided by a seventh of the mean size of the change at 7 days. A straight line has 0.
"""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dam_records import DAM_FILES, record
from forebay.dams.dam import Dam
from forebay.features.samples import Samples
from forebay.metrics import mae, pinball
from forebay.models import models_for
from forebay.models.model import Array
from forebay.tables import DEFAULT_MODEL, QUANTILES
from forebay.verify import default, hindcast, scorecard, uncertainty
from forebay.verify.point_forecasts import PointForecasts

LEADS = tuple(range(1, 8))


class Losses(NamedTuple):
    """MAE and pinball loss at each lead time, and the kink of the median and of the 0.95 quantile."""

    mae: Array
    pinball: Array
    kinks: tuple[float, float]


def losses(path: Path) -> tuple[Losses, Losses]:
    """Losses of one dam without and with the curve."""
    dam, samples = record(path, LEADS)
    models = hindcast.point_forecasts(samples, dam, models_for(dam))
    smoothed = [(module, module.smoothed) for module in (default, uncertainty)]
    for module, _ in smoothed:
        module.smoothed = _unchanged
    without = _measured(dam, samples, models)
    for module, function in smoothed:
        module.smoothed = function
    return without, _measured(dam, samples, models)


def _unchanged(values: Array, *_: object) -> Array:
    return values


def _measured(dam: Dam, samples: Samples, models: dict[str, PointForecasts]) -> Losses:
    points = default.with_default(models, samples)
    quantiles = uncertainty.quantile_changes(samples, points, [DEFAULT_MODEL])[DEFAULT_MODEL]
    observed = np.stack([samples.observed_change(lead) for lead in LEADS], axis=1)
    known = np.isfinite(quantiles).all(axis=(1, 2)) & np.isfinite(observed).all(axis=1)
    rows = known & scorecard.windows(samples, dam)["all"]
    values, outcomes = quantiles[rows], observed[rows]
    median = values[:, :, QUANTILES.index(0.5)]
    return Losses(
        np.array([mae(median[:, k], outcomes[:, k]) for k in range(len(LEADS))]),
        np.array([pinball(values[:, k], outcomes[:, k], QUANTILES) for k in range(len(LEADS))]),
        (_kink(median), _kink(values[:, :, -1])),
    )


def _kink(changes: Array) -> float:
    bends = np.diff(np.insert(changes, 0, 0.0, axis=1), 2, axis=1)
    return float(np.abs(bends).mean() / np.abs(changes[:, -1]).mean() * len(LEADS))


def main() -> None:
    """Print one row per dam."""
    paths = [Path(name) for name in sys.argv[1:]] or DAM_FILES
    print("| dam | MAE at 1 to 7 days, % | pinball loss, % | kink of the median | kink of the .95 quantile |")
    print("| --- | --- | --- | --- | --- |")
    changes = []
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for path, (before, after) in zip(paths, pool.map(losses, paths), strict=True):
            changes.append([100 * (after.mae / before.mae - 1), 100 * (after.pinball / before.pinball - 1)])
            kinks = [f"{a:.2f} → {b:.2f}" for a, b in zip(before.kinks, after.kinks, strict=True)]
            print("|", " | ".join([path.stem, *map(_row, changes[-1]), *kinks]), "|", flush=True)
    mean = np.mean(changes, axis=0)
    print(f"| mean | {_row(mean[0])} | {_row(mean[1])} | | |")


def _row(changes: Array) -> str:
    return " ".join(f"{change:+.1f}" for change in changes)


if __name__ == "__main__":
    main()
