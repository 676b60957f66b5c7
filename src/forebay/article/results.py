"""Content of the article's page: results of the recipes, costs of the faults, scores on the same days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    baselines
        MAE of each of `BASELINES` on the rows that `baselines_on` names: the test rows, or all rows where every seed
        has a different test.
    baselines_test
        The same on the test rows; the mean over the seeds where every seed has a different test.
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
        """Title of the recipe and its variant."""
        return f"{RECIPE_TITLES[self.recipe]}, {self.variant}"

    @property
    def stem(self) -> str:
        """First part of its files' names."""
        return f"{self.recipe}-{self.variant}"

    def mean(self) -> float:
        """Mean test MAE over the seeds."""
        return sum(self.mae) / len(self.mae)

    def deviation(self) -> float:
        """Standard deviation of the test MAE over the seeds (n − 1); 0 for one seed."""
        if len(self.mae) == 1:
            return 0.0
        return float((sum((m - self.mean()) ** 2 for m in self.mae) / (len(self.mae) - 1)) ** 0.5)


@dataclass(frozen=True)
class Fault:
    """Cost of one fault of the article: the MAE (m) with the fault and without it, everything else equal.

    Attributes
    ----------
    name
        Block of the page's template with the fault's title and text.
    values
        Numbers of that text.
    """

    number: int
    name: str
    published: float
    corrected: float
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def cost(self) -> float:
        """MAE without the fault minus MAE with it."""
        return self.corrected - self.published


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
