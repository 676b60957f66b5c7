"""The first weights and the learning rate of the response near full supply, chosen without the dam that is judged.

Run: ``python benchmarks/response_prior.py [DAM FILE …]``; all dams of `tests/dams` by default, two at a time.

The models forecast each dam once. Then every setting in `SETTINGS` answers near and above full supply. For each dam,
the best setting of the other dams is compared with the one in `models.response`: by the ratio of its pinball loss and
of its error, as geometric means over lead times and regimes with at least `MIN_DAYS` days.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from dam_records import DAM_FILES, record
from forebay.metrics import mae, pinball
from forebay.models import models_for, response
from forebay.tables import DEFAULT_MODEL, QUANTILES
from forebay.verify import hindcast, scorecard, uncertainty
from forebay.verify.default import with_default

LEADS = (1, 3, 7)
MIN_DAYS = 50
SETTINGS = [(weight, rate) for weight in (2.0, 4.0, 8.0) for rate in (1.0, 2.0, 4.0)]
"""First weight of "no response" and learning rate."""
Losses = dict[tuple[float, float], dict[tuple[str, int], tuple[float, float]]]
"""Setting → (regime, lead time) → pinball loss and MAE."""


def losses(path: Path) -> Losses:
    """Losses of each setting at one dam."""
    dam, samples = record(path, LEADS)
    models = hindcast.point_forecasts(samples, dam, models_for(dam))
    scored = scorecard.windows(samples, dam)["all"]
    shipped = response.RESPONSES
    by_setting: Losses = {}
    for weight, rate in SETTINGS:
        response.RESPONSES = (shipped[0]._replace(weight=weight), *shipped[1:])
        response.LEARNING_RATE = rate
        points = with_default(models, samples)
        quantiles = uncertainty.quantile_changes(samples, points, [DEFAULT_MODEL])[DEFAULT_MODEL]
        cells = {}
        for column, lead in enumerate(LEADS):
            observed = samples.observed_change(lead)
            for regime in ("near_full", "above_full"):
                known = np.isfinite(observed) & np.isfinite(quantiles[:, column]).all(axis=1)
                rows = np.flatnonzero(samples.regimes.get(regime, np.zeros(len(known), bool)) & known & scored)
                if len(rows) >= MIN_DAYS:
                    values = quantiles[rows, column]
                    median = values[:, QUANTILES.index(0.5)]
                    cells[regime, lead] = pinball(values, observed[rows], QUANTILES), mae(median, observed[rows])
        by_setting[weight, rate] = cells
    return by_setting


def main() -> None:
    """Print the best setting of the other dams, and its losses against those of the shipped setting."""
    paths = [Path(name) for name in sys.argv[1:]] or DAM_FILES
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        measured = dict(zip((path.stem for path in paths), pool.map(losses, paths), strict=True))
    measured = {dam: by_setting for dam, by_setting in measured.items() if by_setting[SETTINGS[0]]}
    shipped = (response.RESPONSES[0].weight, response.LEARNING_RATE)

    def ratio(dam: str, setting: tuple[float, float], kind: int) -> float:
        cells = measured[dam]
        return float(np.mean([np.log(cells[setting][c][kind] / cells[shipped][c][kind]) for c in cells[shipped]]))

    print("| dam | best setting of the others | pinball | MAE |\n| --- | --- | --- | --- |")
    changes = []
    for dam in measured:
        others = [other for other in measured if other != dam]
        best = min(SETTINGS, key=lambda setting: np.mean([ratio(other, setting, 0) for other in others]))
        changes.append((ratio(dam, best, 0), ratio(dam, best, 1)))
        print(f"| {dam} | weight {best[0]:g}, rate {best[1]:g} | {_percent(changes[-1])} |")
    print(f"| all | | {_percent(np.mean(changes, axis=0))} |")


def _percent(changes: Sequence[float]) -> str:
    return " | ".join(f"{np.expm1(change):+.1%}" for change in changes)


if __name__ == "__main__":
    main()
