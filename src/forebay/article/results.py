"""Content of the article's page: results of the recipes, costs of the faults, scores on the same days."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Literal

import polars as pl

BASELINES = ("no_change", "train_median", "last_change", "huber", "lightgbm")
RECIPE_TITLES = {"python": "Python", "elixir": "Elixir", "multi-day": "Multi-day"}


@dataclass(frozen=True)
class RecipeResult:
    """Result of one recipe, as published or corrected, for all its seeds. Lengths are metres.

    Attributes
    ----------
    rows, train, validation, test
        Numbers of rows. `train` contains the validation rows where Keras splits them off (all but the livebook).
    mae
        Test MAE of the net, one per seed.
    spread
        Standard deviation of the net's test predictions, one per seed; near 0 the prediction is a constant.
    seed_baselines
        MAE of each of `BASELINES` on the test rows, one mapping per seed; equal if the seeds have the same test.
    all_row_baselines
        MAE of each of `BASELINES` on all rows, where every seed has a different test; otherwise None.
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
    seed_baselines: tuple[Mapping[str, float], ...]
    all_row_baselines: Mapping[str, float] | None
    history: pl.DataFrame = field(repr=False)
    predictions: pl.DataFrame = field(repr=False)

    @property
    def title(self) -> str:
        """Title of the recipe and its variant."""
        return f"{RECIPE_TITLES[self.recipe]}, {self.variant}"

    @property
    def stem(self) -> str:
        """First part of its files' names."""
        return f"{self.recipe}-{self.variant}"

    @property
    def baselines(self) -> dict[str, float]:
        """MAE of each of `BASELINES` on the test rows of the net: the mean over the seeds."""
        return {name: fmean(maes[name] for maes in self.seed_baselines) for name in BASELINES}

    @property
    def baselines_on(self) -> str:
        """Rows of `baselines`."""
        return "test rows" if self.all_row_baselines is None else "test rows of each seed, mean over the seeds"

    def mean(self) -> float:
        """Mean test MAE over the seeds."""
        return fmean(self.mae)

    def deviation(self) -> float:
        """Standard deviation of the test MAE over the seeds (n − 1); 0 for one seed."""
        return stdev(self.mae) if len(self.mae) > 1 else 0.0


@dataclass(frozen=True)
class Fault:
    """Cost of one fault of the article: the MAE (m) with the fault and without it, everything else equal.

    Attributes
    ----------
    name
        Block of the page's template with the fault's title and text.
    published, corrected
        MAE with the fault and without it, one per seed; the two of a seed are a pair.
    values
        Numbers of that text.
    """

    number: int
    name: str
    published: tuple[float, ...]
    corrected: tuple[float, ...]
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def costs(self) -> tuple[float, ...]:
        """MAE without the fault minus MAE with it, one per seed."""
        return tuple(after - before for before, after in zip(self.published, self.corrected, strict=True))

    @property
    def cost(self) -> float:
        """Mean of `costs`."""
        return fmean(self.costs)

    @property
    def half_width(self) -> float | None:
        """Half width of the 95% interval of `cost` over the seeds (Student's t); None for one seed.

        The rows are fixed. The interval therefore shows the effect of the seed, not that of other days.
        """
        count = len(self.costs)
        if count == 1:
            return None
        from scipy.stats import t

        return float(t.ppf(0.975, count - 1)) * stdev(self.costs) / math.sqrt(count)

    @property
    def verdict(self) -> Literal["higher", "lower", "undecided", "one seed"]:
        """The MAE without the fault against that with it; "undecided" where the interval of the cost contains 0."""
        if self.half_width is None:
            return "one seed"
        if abs(self.cost) <= self.half_width:
            return "undecided"
        return "higher" if self.cost > 0 else "lower"


@dataclass(frozen=True)
class SameDayScores:
    """Scores of the corrected net and of other models one day ahead, on the same `n` days, in metres.

    `mae`, `bias` (mean of forecast minus observed) and `top5` (MAE on the 5% largest rises) by model: "net" is the mean
    over the seeds, "default" the project's forecast. The days lie between `first` and `last`.
    """

    recipe: str
    n: int
    first: str
    last: str
    mae: Mapping[str, float]
    bias: Mapping[str, float]
    top5: Mapping[str, float]


@dataclass(frozen=True)
class ArticlePage:
    """Content of the page.

    Attributes
    ----------
    published
        Recipe → test MAE that the article reports.
    hindcast
        Scores of the project's forecast, a row per lead: lead_time, n, mae, no_change, last_change, coverage_90.
    hindcast_window
        Window of those scores.
    """

    results: tuple[RecipeResult, ...]
    published: Mapping[str, float]
    faults: tuple[Fault, ...]
    same_days: tuple[SameDayScores, ...]
    hindcast: pl.DataFrame
    hindcast_window: str
    licence: str
