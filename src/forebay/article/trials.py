"""Nets and baselines on a recipe's rows: what each reaches on the rows it is judged on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from forebay import metrics
from forebay.article.recipes import TARGET, Array, Recipe, RecipeRows, Rows, Split, split_rows
from forebay.article.results import BASELINES, Result
from forebay.nets import networks
from forebay.nets.networks import Fit, Network

Told = Callable[[int, int], None]
"""Told how many nets are fitted, and of how many."""


@dataclass(frozen=True)
class Trial:
    """A net to be fitted: on which rows, split how, with which seed."""

    recipe: Recipe
    rows: RecipeRows
    split: Split
    seed: int


@dataclass(frozen=True)
class Tried:
    """A fitted net and its predictions (m) for all rows of its trial."""

    trial: Trial
    network: Network
    prediction: Array

    def mae(self, judged: Rows | None = None) -> float:
        """MAE on the rows `judged`, each with its own label; by default on the test as the recipe has it."""
        target = self.trial.rows.target()
        if judged is None:
            return metrics.mae(self.prediction[self.trial.split.test], self.trial.split.labels(target)[2])
        return metrics.mae(self.prediction[judged], target[judged])


def trials(recipe: Recipe, rows: RecipeRows, seeds: int) -> list[Trial]:
    """One trial per seed."""
    return [Trial(recipe, rows, split_rows(recipe, len(rows.table), seed), seed) for seed in range(seeds)]


def try_all(given: Sequence[Trial], *, backend: str, told: Told | None = None) -> list[Tried]:
    """Every trial's net and predictions, all from one process; raises as `networks.fit_all`."""
    jobs = [_job(trial) for trial in given]
    nets = networks.fit_all(jobs, backend=backend, progress=(lambda done: told(done, len(jobs))) if told else None)
    pairs = [(net, trial.rows.inputs()) for net, trial in zip(nets, given, strict=True)]
    predictions = networks.predict_all(pairs, backend=backend)
    return [Tried(*one) for one in zip(given, nets, predictions, strict=True)]


def _job(trial: Trial) -> Fit:
    recipe, split = trial.recipe, trial.split
    every = networks.arrays(trial.rows.table, inputs=trial.rows.input_names, target=TARGET)
    fitted_labels, validating_labels, _ = split.labels(every.target.astype(np.float64))
    fitted = replace(every.take(split.fitted), target=fitted_labels.astype(np.float32))
    validating = replace(every.take(split.validating), target=validating_labels.astype(np.float32))
    scale = networks.normalisation(every.take(split.train) if recipe.adapt == "all" else fitted)
    return Fit(recipe.layers, recipe.training, fitted, validating, scale, trial.seed)


def result(tried: Sequence[Tried], backend: str) -> Result:
    """What one recipe reached over its seeds."""
    first = tried[0].trial
    recipe, rows, split = first.recipe, first.rows, first.split
    apart = recipe.split in ("shuffle", "shuffle in pairs")  # the livebook counts its validation rows apart
    everywhere = recipe.split == "shuffle"
    on_test = _baselines_of([one.trial for one in tried] if everywhere else [first])
    return Result(
        recipe=recipe.name,
        variant=recipe.variant,
        backend=backend,
        epochs=recipe.training.epochs,
        rows=len(rows.table),
        train=len(split.fitted if apart else split.train),
        validation=len(split.validating),
        test=len(split.test),
        mae=tuple(one.mae() for one in tried),
        spread=tuple(float(np.std(one.prediction[one.trial.split.test])) for one in tried),
        baselines=baselines_on_all(rows) if everywhere else on_test,
        baselines_on="all rows, the fitted ones in 5 random folds" if everywhere else "test rows",
        baselines_test=on_test,
        history=pl.concat(one.network.history.select(pl.lit(one.trial.seed).alias("seed"), pl.all()) for one in tried),
        predictions=_predictions(tried[0]),
    )


def _predictions(tried: Tried) -> pl.DataFrame:
    """date, part, actual, prediction; the actual is the label that the recipe holds against the prediction."""
    split, target = tried.trial.split, tried.trial.rows.target()
    rows = np.concatenate([split.fitted, split.validating, split.test])
    sizes = {"train": len(split.fitted), "validation": len(split.validating), "test": len(split.test)}
    return pl.DataFrame(
        {
            "date": tried.trial.rows.table["date"].gather(rows),
            "part": [name for name, size in sizes.items() for _ in range(size)],
            "actual": np.concatenate(split.labels(target)),
            "prediction": tried.prediction[rows],
        }
    ).sort("date")


def _baselines_of(given: Sequence[Trial]) -> dict[str, float]:
    """Mean MAE of each baseline over the trials' tests, on the rows that the test's labels are of."""
    reached = []
    for trial in given:
        fitted, validating, test = trial.split.label_rows or (
            trial.split.fitted,
            trial.split.validating,
            trial.split.test,
        )
        reached.append(baselines(trial.rows, np.concatenate([fitted, validating]), test))
    return {name: float(np.mean([one[name] for one in reached])) for name in BASELINES}


def baselines(rows: RecipeRows, train: Rows, test: Rows) -> dict[str, float]:
    """MAE (m) of each baseline on the `test` rows, fitted on the `train` rows with their own labels.

    No change; the median of the training labels; the last daily change again; Huber regression (ε = 1.35) on
    standardised inputs; LightGBM with L1 loss and its defaults.
    """
    target = rows.target()
    made = _baseline_predictions(rows, train, test)
    return {name: metrics.mae(made[name], target[test]) for name in BASELINES}


def baselines_on_all(rows: RecipeRows, folds: int = 5) -> dict[str, float]:
    """The same on all rows: those that learn predict each of `folds` random folds from the others."""
    target = rows.target()
    every = np.arange(len(target))
    made = {name: np.empty(len(target)) for name in BASELINES}
    for test in random_folds(len(target), folds):
        of_fold = _baseline_predictions(rows, np.setdiff1d(every, test), test)
        for name in BASELINES:
            made[name][test] = of_fold[name]
    made["train_median"] = np.full(len(target), np.median(target))
    return {name: metrics.mae(made[name], target) for name in BASELINES}


def random_folds(count: int, folds: int) -> list[Rows]:
    """`count` rows in a random order (seed 0), cut into `folds`."""
    return list(np.array_split(np.random.default_rng(0).permutation(count), folds))


def blocks(count: int, folds: int) -> list[Rows]:
    """`count` rows as they stand, cut into `folds`."""
    return list(np.array_split(np.arange(count), folds))


def _baseline_predictions(rows: RecipeRows, train: Rows, test: Rows) -> dict[str, Array]:
    target = rows.target()
    return {
        "no_change": np.zeros(len(test)),
        "train_median": np.full(len(test), np.median(target[train])),
        "last_change": rows.table["last_change"].to_numpy()[test],
        "huber": huber(rows, train, test),
        "lightgbm": lightgbm(rows, train, test),
    }


def huber(rows: RecipeRows, train: Rows, test: Rows) -> Array:
    """Huber regression's predictions (m) for the `test` rows."""
    from sklearn.linear_model import HuberRegressor
    from sklearn.preprocessing import StandardScaler

    inputs, target = rows.inputs().to_numpy(), rows.target()
    scaler = StandardScaler().fit(inputs[train])
    model = HuberRegressor(epsilon=1.35, max_iter=1000).fit(scaler.transform(inputs[train]), target[train])
    made: Array = model.predict(scaler.transform(inputs[test]))
    return made


def lightgbm(rows: RecipeRows, train: Rows, test: Rows) -> Array:
    """LightGBM's predictions (m) for the `test` rows: L1 loss, its defaults otherwise."""
    import lightgbm as package

    inputs, target = rows.inputs().to_numpy(), rows.target()
    given = {"objective": "l1", "verbose": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True}
    booster = package.train(given, package.Dataset(inputs[train], target[train]))
    made: Array = np.asarray(booster.predict(inputs[test]))
    return made
