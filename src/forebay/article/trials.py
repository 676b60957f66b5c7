"""Nets and baselines on a recipe's rows, and their errors on the test rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from forebay import metrics
from forebay.article.recipes import TARGET, Array, Recipe, RecipeRows, Rows, Split, split_rows
from forebay.article.results import BASELINES, RecipeResult
from forebay.log import add_counts, step
from forebay.models.tree_library import load_lightgbm
from forebay.nets import networks
from forebay.nets.networks import Fit, Network

Progress = Callable[[int, int], None]
"""Callback with the number of fitted nets and the number of all nets."""


@dataclass(frozen=True)
class Trial:
    """A net to fit: the rows, their split and the seed."""

    recipe: Recipe
    rows: RecipeRows
    split: Split
    seed: int


@dataclass(frozen=True)
class TrainedNet:
    """A fitted net and its predictions (m) for all rows of its trial."""

    trial: Trial
    network: Network
    prediction: Array

    def mae(self, rows: Rows | None = None) -> float:
        """MAE on `rows`, each with its label; by default on the test rows with the recipe's labels."""
        target = self.trial.rows.target()
        if rows is None:
            return metrics.mae(self.prediction[self.trial.split.test], self.trial.split.labels(target)[2])
        return metrics.mae(self.prediction[rows], target[rows])


def seed_trials(recipe: Recipe, rows: RecipeRows, seeds: int) -> list[Trial]:
    """One trial per seed."""
    return [Trial(recipe, rows, split_rows(recipe, len(rows.table), seed), seed) for seed in range(seeds)]


@step("nets")
def train_all(trials: Sequence[Trial], *, backend: str, progress: Progress | None = None) -> list[TrainedNet]:
    """The net and the predictions of every trial, from one process; raises as `networks.fit_all`."""
    add_counts({"nets": len(trials), "backend": backend})
    jobs = [_job(trial) for trial in trials]
    nets = networks.fit_all(
        jobs, backend=backend, progress=(lambda count: progress(count, len(jobs))) if progress else None
    )
    pairs = [(net, trial.rows.inputs()) for net, trial in zip(nets, trials, strict=True)]
    predictions = networks.predict_all(pairs)
    return [TrainedNet(*parts) for parts in zip(trials, nets, predictions, strict=True)]


def _job(trial: Trial) -> Fit:
    recipe, split = trial.recipe, trial.split
    arrays = networks.arrays(trial.rows.table, inputs=trial.rows.input_names, target=TARGET)
    fitted_labels, validating_labels, _ = split.labels(arrays.target.astype(np.float64))
    fitted = replace(arrays.take(split.fitted), target=fitted_labels.astype(np.float32))
    validating = replace(arrays.take(split.validating), target=validating_labels.astype(np.float32))
    scale = networks.normalisation(arrays.take(split.train) if recipe.adapt == "all" else fitted)
    return Fit(recipe.layers, recipe.training, fitted, validating, scale, trial.seed)


def recipe_result(nets: Sequence[TrainedNet], backend: str) -> RecipeResult:
    """Result of one recipe over its seeds."""
    first = nets[0].trial
    recipe, rows, split = first.recipe, first.rows, first.split
    is_livebook = recipe.split in ("shuffle", "shuffle in pairs")  # it does not count validation rows as training rows
    changes_by_seed = recipe.split == "shuffle"
    one = trial_baselines(first)
    seed_baselines = [trial_baselines(net.trial) if changes_by_seed and net is not nets[0] else one for net in nets]
    return RecipeResult(
        recipe=recipe.name,
        variant=recipe.variant,
        backend=backend,
        epochs=recipe.training.epochs,
        rows=len(rows.table),
        train=len(split.fitted if is_livebook else split.train),
        validation=len(split.validating),
        test=len(split.test),
        mae=tuple(net.mae() for net in nets),
        spread=tuple(float(np.std(net.prediction[net.trial.split.test])) for net in nets),
        seed_baselines=tuple(seed_baselines),
        all_row_baselines=baselines_on_all(rows) if changes_by_seed else None,
        history=pl.concat(net.network.history.select(pl.lit(net.trial.seed).alias("seed"), pl.all()) for net in nets),
        predictions=_predictions(nets[0]),
    )


def _predictions(net: TrainedNet) -> pl.DataFrame:
    """date, part, actual, prediction; the actual is the change of that day, also where the recipe loses the pairs."""
    split, target = net.trial.split, net.trial.rows.target()
    rows = np.concatenate([split.fitted, split.validating, split.test])
    sizes = {"train": len(split.fitted), "validation": len(split.validating), "test": len(split.test)}
    return pl.DataFrame(
        {
            "date": net.trial.rows.table["date"].gather(rows),
            "part": [name for name, size in sizes.items() for _ in range(size)],
            "actual": target[rows],
            "prediction": net.prediction[rows],
        }
    ).sort("date")


def trial_baselines(trial: Trial) -> dict[str, float]:
    """MAE of each baseline on the rows of the test labels, fitted on those of the other labels."""
    split = trial.split
    fitted, validating, test = split.label_rows or (split.fitted, split.validating, split.test)
    return baselines(trial.rows, np.concatenate([fitted, validating]), test)


def baselines(rows: RecipeRows, train: Rows, test: Rows) -> dict[str, float]:
    """MAE (m) of each baseline on the `test` rows, fitted on the `train` rows.

    No change; the median of the training labels; the last daily change; Huber regression (ε = 1.35) on standardised
    inputs; LightGBM with L1 loss and its defaults.
    """
    target = rows.target()
    predictions = _baseline_predictions(rows, train, test)
    return {name: metrics.mae(predictions[name], target[test]) for name in BASELINES}


def baselines_on_all(rows: RecipeRows, folds: int = 5) -> dict[str, float]:
    """MAE (m) of each baseline on all rows; the fitted baselines predict each of `folds` random folds from the rest."""
    target = rows.target()
    numbers = np.arange(len(target))
    predictions = {name: np.empty(len(target)) for name in BASELINES}
    for test in random_folds(len(target), folds):
        fold_predictions = _baseline_predictions(rows, np.setdiff1d(numbers, test), test)
        for name in BASELINES:
            predictions[name][test] = fold_predictions[name]
    predictions["train_median"] = np.full(len(target), np.median(target))
    return {name: metrics.mae(predictions[name], target) for name in BASELINES}


def random_folds(count: int, folds: int) -> list[Rows]:
    """`count` rows in a random order (seed 0), cut into `folds`."""
    return list(np.array_split(np.random.default_rng(0).permutation(count), folds))


def blocks(count: int, folds: int) -> list[Rows]:
    """`count` rows in their order, cut into `folds`."""
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
    """Predictions (m) of Huber regression for the `test` rows."""
    from sklearn.linear_model import HuberRegressor
    from sklearn.preprocessing import StandardScaler

    inputs, target = rows.inputs().to_numpy(), rows.target()
    scaler = StandardScaler().fit(inputs[train])
    model = HuberRegressor(epsilon=1.35, max_iter=1000).fit(scaler.transform(inputs[train]), target[train])
    predictions: Array = model.predict(scaler.transform(inputs[test]))
    return predictions


def lightgbm(rows: RecipeRows, train: Rows, test: Rows) -> Array:
    """Predictions (m) of LightGBM for the `test` rows: L1 loss, otherwise its defaults."""
    package = load_lightgbm()
    inputs, target = rows.inputs().to_numpy(), rows.target()
    parameters = {"objective": "l1", "verbose": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True}
    booster = package.train(parameters, package.Dataset(inputs[train], target[train]))
    predictions: Array = np.asarray(booster.predict(inputs[test]))
    return predictions
