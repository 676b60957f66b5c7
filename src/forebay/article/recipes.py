"""The article's recipes as tables: rows, inputs, label and split.

"Elixir vs Python for real world AI/ML" (Alembic, 2023) predicts the daily change of Warragamba Dam's level three times:
in a Python notebook, in an Elixir livebook and in a Python notebook over several days. The fields of a `Recipe` define
each of them, faults included; `corrected` returns the recipe without the faults. Lengths are metres, rain is
millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.errors import DataError
from forebay.nets.networks import Layers, Training
from forebay.nets.rows import sample

Rows = NDArray[np.intp]
Array = NDArray[np.float64]

UNAVAILABLE = (201, 255)
"""Quality codes for "no value"; the number of such a reading is meaningless."""
SPLIT_SEED = 12345
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.2
PUBLISHED_MAE = {"python": 0.0208, "elixir": 0.0245}
"""Test MAE in metres that the article reports; it reports none for several days."""

TARGET, PAST = "change", "past_change"
NOT_INPUTS = ("date", TARGET, "last_change")


@dataclass(frozen=True)
class Recipe:
    """Definition of one notebook of the article.

    Attributes
    ----------
    label
        "nowcast" is L(d) − L(d−1), "forecast" is L(d+1) − L(d).
    no_level_before
        Quality codes that make a level missing before the label is computed.
    no_level_after
        Quality codes of day d whose row is dropped after its label is computed.
    least_change
        Rows with a label at or below this value are dropped (m); None keeps all.
    no_driver
        Treatment of an unavailable driver: "zero", or "left out" with its row.
    lags
        The drivers of this many days are inputs: day d and those before it.
    past_change
        Whether L(d) − L(d−1) is an input too, for as many days.
    split
        "sample" is the split of pandas. "shuffle" separates inputs from their labels, "shuffle in pairs" does not.
        "chronological" tests on the last days.
    layers, training
        The net and its training.
    adapt
        Rows for the normalisation: "all" training rows, or "fitted" (without the validation rows).
    """

    name: str
    variant: str
    label: Literal["nowcast", "forecast"]
    no_level_before: tuple[int, ...]
    no_level_after: tuple[int, ...]
    least_change: float | None
    no_driver: Literal["zero", "left out"]
    lags: int
    split: Literal["sample", "shuffle", "shuffle in pairs", "chronological"]
    layers: Layers
    training: Training
    past_change: bool = False
    adapt: Literal["all", "fitted"] = "all"


def net(hidden: int) -> Layers:
    """The net of the two Python notebooks with `hidden` units."""
    return (("normalisation", 0), ("dropout", 0.5), ("dense", hidden), ("relu", 0), ("dropout", 0.5), ("dense", 1))


PYTHON = Recipe(
    name="python",
    variant="published",
    label="nowcast",
    no_level_before=(),
    no_level_after=(201, 205),  # the article's error: 205 instead of 255, so levels with code 255 remain
    least_change=-0.3,
    no_driver="zero",
    lags=1,
    split="sample",
    layers=net(16),
    training=Training(epochs=30, batch=32),
)
MULTI_DAY = replace(
    PYTHON,
    name="multi-day",
    no_level_before=UNAVAILABLE,
    no_level_after=(),
    least_change=None,
    lags=3,
    layers=net(32),
    training=Training(epochs=50, batch=32),
)
ELIXIR = replace(
    PYTHON,
    name="elixir",
    label="forecast",
    no_level_after=UNAVAILABLE,
    least_change=None,
    split="shuffle",
    layers=(("dropout", 0.5), ("dense", 16), ("dropout", 0.5), ("relu", 0), ("dense", 1)),
    training=Training(epochs=30, batch=8, leftover="dropped", reshuffle=False),
)
PUBLISHED = {recipe.name: recipe for recipe in (PYTHON, ELIXIR, MULTI_DAY)}
"""The recipes of the article's code, by name."""


def corrected(recipe: Recipe) -> Recipe:
    """`recipe` without its faults: inputs known in time, days with a reading, a test on later days.

    The net is the article's. A net without a normalisation layer gets one.
    """
    layers = recipe.layers if recipe.layers[0][0] == "normalisation" else (("normalisation", 0), *recipe.layers)
    return replace(
        recipe,
        variant="corrected",
        label="forecast",
        no_level_before=UNAVAILABLE,
        no_level_after=(),
        least_change=None,
        no_driver="left out",
        past_change=True,
        split="chronological",
        layers=layers,
        adapt="fitted",
    )


@dataclass(frozen=True)
class RecipeRows:
    """The rows of a recipe, in the order of their dates.

    Attributes
    ----------
    table
        date, one column per input, `change` (the label, m) and `last_change` (m): the last daily change known when the
        label's day begins, 0 where one of its two levels is unavailable.
    """

    table: pl.DataFrame

    @property
    def input_names(self) -> list[str]:
        """Names of the input columns."""
        return [name for name in self.table.columns if name not in NOT_INPUTS]

    def inputs(self) -> pl.DataFrame:
        """The input columns."""
        return self.table.select(self.input_names)

    def target(self) -> Array:
        """The label of each row, m."""
        return self.table[TARGET].to_numpy()


def recipe_rows(recipe: Recipe, level: pl.DataFrame, drivers: pl.DataFrame) -> RecipeRows:
    """The rows of `recipe`.

    Parameters
    ----------
    level
        date, v, q: a row per calendar day.
    drivers
        date, then v_<station>_<variable> and q_<station>_<variable> of each driver: a row per calendar day.

    Raises
    ------
    DataError
        If no row is left.
    """
    labelled = _labelled(recipe, level)
    joined = labelled.join(_driver_inputs(recipe, drivers), on="date", how="inner").sort("date")
    if recipe.past_change:
        joined = joined.join(_past_changes(level, recipe.lags), on="date", how="left")
    table = joined.drop_nulls()
    if table.is_empty():
        raise DataError(
            f"recipe {recipe.name} ({recipe.variant}): none of {len(level)} level days has a label and all inputs; "
            "level and drivers must share at least some days"
        )
    return RecipeRows(table)


def _labelled(recipe: Recipe, level: pl.DataFrame) -> pl.DataFrame:
    """date, change, last_change of the recipe's level rows."""
    v, q = pl.col("v"), pl.col("q")
    usable = pl.when(~q.is_in(recipe.no_level_before)).then(v)
    good = pl.when(~q.is_in(UNAVAILABLE)).then(v)
    ahead = recipe.label == "forecast"
    last = good - good.shift(1)
    table = level.sort("date").select(
        "date",
        "q",
        change=(usable.shift(-1) - usable) if ahead else (usable - usable.shift(1)),
        last_change=(last if ahead else last.shift(1)).fill_null(0.0),
    )
    table = table.filter(~q.is_in(recipe.no_level_after) & pl.col(TARGET).is_not_null())
    if recipe.least_change is not None:
        table = table.filter(pl.col(TARGET) > recipe.least_change)
    return table.drop("q")


def _driver_inputs(recipe: Recipe, drivers: pl.DataFrame) -> pl.DataFrame:
    """date and the drivers' values of the calendar days d, d−1, …; null drops the row."""
    substitute = pl.lit(0.0) if recipe.no_driver == "zero" else pl.lit(None, pl.Float64)
    names = [name for name in drivers.columns if name.startswith("v_")]
    values = [
        pl.when(pl.col("q" + name[1:]).is_in(UNAVAILABLE)).then(substitute).otherwise(pl.col(name)).alias(name)
        for name in names
    ]
    return _with_lags(drivers.select("date", *values), recipe.lags)


def _past_changes(level: pl.DataFrame, lags: int) -> pl.DataFrame:
    good = pl.when(~pl.col("q").is_in(UNAVAILABLE)).then(pl.col("v"))
    return _with_lags(level.sort("date").select("date", (good - good.shift(1)).alias(PAST)), lags)


def _with_lags(table: pl.DataFrame, lags: int) -> pl.DataFrame:
    """`table` (a row per calendar day) with the values of previous days as columns …_dm1, …_dm2."""
    table = table.sort("date")
    names = table.columns[1:]
    shifted = [pl.col(name).shift(lag).alias(f"{name}_dm{lag}") for lag in range(1, lags) for name in names]
    return table.with_columns(shifted)


@dataclass(frozen=True)
class Split:
    """Row numbers of one split.

    `fitted`, `validating` and `test` are rows of the inputs. Labels come from the same rows, unless the split separates
    them: then `label_rows` has the rows of the labels for each of the three.
    """

    fitted: Rows
    validating: Rows
    test: Rows
    label_rows: tuple[Rows, Rows, Rows] | None = field(default=None)

    @property
    def train(self) -> Rows:
        """Fitted and validating rows."""
        return np.concatenate([self.fitted, self.validating])

    def labels(self, target: Array) -> tuple[Array, Array, Array]:
        """Labels for fitting, validation and test."""
        fitted, validating, test = self.label_rows or (self.fitted, self.validating, self.test)
        return target[fitted], target[validating], target[test]


def split_rows(recipe: Recipe, count: int, seed: int) -> Split:
    """Split of `count` rows by `recipe`; only the livebook's shuffle depends on `seed`.

    Examples
    --------
    >>> split = split_rows(PYTHON, 4717, 0)
    >>> len(split.train), len(split.fitted), len(split.test)
    (3774, 3019, 943)
    """
    if recipe.split == "sample":
        train = sample(count, 1 - TEST_SHARE, SPLIT_SEED)
        return _validated(train, np.setdiff1d(np.arange(count), train))
    if recipe.split == "chronological":
        order = np.arange(count)
        test = round(TEST_SHARE * count)
        return _validated(order[: count - test], order[count - test :])
    return _livebook(count, seed, in_pairs=recipe.split == "shuffle in pairs")


def _validated(train: Rows, test: Rows) -> Split:
    """Keras' `validation_split`: the last 20% of the training rows, without a shuffle, are for validation."""
    fitted = int(len(train) * (1 - VALIDATION_SHARE))
    return Split(train[:fitted], train[fitted:], test)


def _livebook(count: int, seed: int, *, in_pairs: bool) -> Split:
    """Features in one random order, labels in a second one: the livebook shuffles them separately."""
    random = np.random.RandomState(seed)
    features = random.permutation(count)
    labels = features if in_pairs else random.permutation(count)
    train = round((1 - TEST_SHARE) * count)
    cuts = [round((1 - VALIDATION_SHARE) * train), train]
    fitted, validating, test = np.split(features, cuts)
    one, two, three = np.split(labels, cuts)
    return Split(fitted, validating, test, None if in_pairs else (one, two, three))
