"""What the article's page tells, as tables and figures: made by `article`, drawn and worded in this room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

BASELINES = ("no_change", "train_median", "last_change", "huber", "lightgbm")


@dataclass(frozen=True)
class Result:
    """One recipe, as published or corrected, on all its seeds. Lengths are metres.

    Attributes
    ----------
    rows, train, validation, test
        Numbers of rows; `train` holds the validation rows where Keras splits them off (all but the livebook).
    mae
        Test MAE of the net, one per seed.
    spread
        Standard deviation of the net's test predictions, one per seed: near 0 is a constant.
    baselines
        MAE of each of `BASELINES` on the rows that `baselines_on` names: the test rows, or all where every seed has
        another test.
    baselines_test
        The same on the test rows; the mean over the seeds where every seed has another test.
    history
        seed, epoch, loss, val_loss.
    predictions
        date, part (train, validation, test), actual, prediction: all rows, the net of the first seed.
    """

    recipe: str
    variant: str
    backend: str
    epochs: int
    rows: int
    train: int
    validation: int
    test: int
    mae: tuple[float, ...]
    spread: tuple[float, ...]
    baselines: Mapping[str, float]
    baselines_on: str
    baselines_test: Mapping[str, float]
    history: pl.DataFrame = field(repr=False)
    predictions: pl.DataFrame = field(repr=False)

    @property
    def title(self) -> str:
        """How it is named on the page."""
        return f"{RECIPE_TITLES[self.recipe]}, {self.variant}"

    @property
    def stem(self) -> str:
        """How its files' names begin."""
        return f"{self.recipe}-{self.variant}"

    def mean(self) -> float:
        """Mean test MAE over the seeds."""
        return sum(self.mae) / len(self.mae)

    def deviation(self) -> float:
        """Standard deviation of the test MAE over the seeds (n − 1; 0 for one seed)."""
        if len(self.mae) == 1:
            return 0.0
        return float((sum((m - self.mean()) ** 2 for m in self.mae) / (len(self.mae) - 1)) ** 0.5)


RECIPE_TITLES = {"python": "Python", "elixir": "Elixir", "multi-day": "Multi-day"}


@dataclass(frozen=True)
class Fault:
    """One of the article's faults and what it costs: the MAE (m) with it and without it, all else being equal.

    `rows` says on which rows both numbers were taken, `told` what else is to be known.
    """

    number: int
    title: str
    changed: str
    published: float
    corrected: float
    rows: str
    told: str

    @property
    def cost(self) -> float:
        """Without the fault minus with it."""
        return self.corrected - self.published


@dataclass(frozen=True)
class SameDays:
    """The corrected net and others at one day ahead, on the same `n` days from `first` to `last`, all in metres.

    `mae`, `bias` (mean of forecast minus observed) and `top5` (MAE on the 5% largest rises) by name: "net" is the mean
    over the seeds, "default" the project's own forecast.
    """

    recipe: str
    n: int
    first: str
    last: str
    mae: Mapping[str, float]
    bias: Mapping[str, float]
    top5: Mapping[str, float]


@dataclass(frozen=True)
class Story:
    """All that the page tells.

    `own` is a row per lead of the project's own forecast: lead_time, n, mae, no_change, last_change, coverage_90.
    """

    results: tuple[Result, ...]
    published: Mapping[str, float]
    faults: tuple[Fault, ...]
    same_days: tuple[SameDays, ...]
    own: pl.DataFrame
    own_window: str
    licence: str
