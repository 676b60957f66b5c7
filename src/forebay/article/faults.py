"""Cost of each of the article's seven faults: one change at a time, on equal rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

from forebay import metrics
from forebay.article.recipes import (
    ELIXIR,
    PYTHON,
    UNAVAILABLE,
    Recipe,
    RecipeRows,
    Rows,
    Split,
    corrected,
    recipe_rows,
)
from forebay.article.results import Fault
from forebay.article.trials import (
    Progress,
    TrainedNet,
    Trial,
    blocks,
    lightgbm,
    random_folds,
    seed_trials,
    train_all,
)
from forebay.log import step
from forebay.nets import networks

if TYPE_CHECKING:
    from forebay.article.gauges import Record

Maes: TypeAlias = tuple[float, ...]
"""Mean absolute errors in metres, one per seed."""

FOLDS = 5

_GOOD_LEVELS = replace(PYTHON, no_level_before=UNAVAILABLE, no_level_after=())
_NEXT_DAY = replace(PYTHON, label="forecast", no_level_before=PYTHON.no_level_after, no_level_after=())
_NO_ZEROS = replace(PYTHON, no_driver="left out")


@step("fault_costs")
def fault_costs(
    record: Record,
    published: Mapping[str, Sequence[TrainedNet]],
    *,
    seeds: int,
    backend: str,
    progress: Progress | None = None,
) -> list[Fault]:
    """Faults 1 to 6 with their costs; trains more nets.

    Parameters
    ----------
    published
        Recipe → its published nets. Faults 1 to 5 need the recipe python, fault 6 elixir; a recipe that is absent
        leaves its faults out.

    Raises
    ------
    ConfigError, ModelError
        As `networks.fit_all`.
    """
    plans: dict[str, list[Trial]] = {}
    if "python" in published:
        plans |= _python_trials(record, published["python"][0].trial, seeds)
    if "elixir" in published:
        plans |= _elixir_trials(published["elixir"][0].trial, seeds)
    trials = [trial for plan in plans.values() for trial in plan]
    trained = iter(train_all(trials, backend=backend, progress=progress))
    nets = {name: [next(trained) for _ in plan] for name, plan in plans.items()}
    faults: list[Fault] = []
    if "python" in published:
        python = published["python"]
        faults += [
            _known_label(python, nets["label"]),
            _neighbours(nets["random"], nets["blocks"]),
            _quality_codes(python, nets["codes"]),
            _zeros(python, nets["zeros"]),
            _selected_rows(record, python),
        ]
    if "elixir" in published:
        faults.append(_separate_shuffles(published["elixir"], nets["pairs"], nets["normalised"]))
    return faults


def _python_trials(record: Record, trial: Trial, seeds: int) -> dict[str, list[Trial]]:
    """The trials for faults 1 to 5, by the fault that they correct."""
    rows, count = trial.rows, len(trial.rows.table)
    return {
        "label": _same_split(_NEXT_DAY, record, trial, seeds),
        "codes": _same_split(_GOOD_LEVELS, record, trial, seeds),
        "zeros": _same_split(_NO_ZEROS, record, trial, seeds),
        "random": _fold_trials(rows, random_folds(count, FOLDS), seeds),
        "blocks": _fold_trials(rows, blocks(count, FOLDS), seeds),
    }


def _elixir_trials(trial: Trial, seeds: int) -> dict[str, list[Trial]]:
    """The trials for fault 6: one shuffle only, then with a normalisation layer too."""
    paired = replace(ELIXIR, split="shuffle in pairs")
    normalised = replace(paired, layers=corrected(ELIXIR).layers)
    return {"pairs": seed_trials(paired, trial.rows, seeds), "normalised": seed_trials(normalised, trial.rows, seeds)}


def _same_split(recipe: Recipe, record: Record, published: Trial, seeds: int) -> list[Trial]:
    """Trials of `recipe` with the split of `published`: each day stays in its part, in the same order."""
    days, split = published.rows.table["date"], published.split
    table = recipe_rows(recipe, record.level, record.drivers).table
    rows = RecipeRows(table.join(days.to_frame(), on="date", how="semi"))
    fitted, validating, test = (
        _row_numbers(rows, days.gather(part)) for part in (split.fitted, split.validating, split.test)
    )
    return [Trial(recipe, rows, Split(fitted, validating, test), seed) for seed in range(seeds)]


def _row_numbers(rows: RecipeRows, days: pl.Series) -> Rows:
    """Row numbers of `days`, in their order, without days that have no row."""
    numbers = rows.table.select("date", row=pl.int_range(pl.len()))
    joined = pl.DataFrame({"date": days}).join(numbers, on="date", how="inner", maintain_order="left")
    return joined["row"].to_numpy().astype(np.intp)


def _fold_trials(rows: RecipeRows, folds: list[Rows], seeds: int) -> list[Trial]:
    numbers = np.arange(len(rows.table))
    trials = []
    for seed in range(seeds):
        for test in folds:
            # In a random order, so that the validation rows come from all years in both cases.
            train = np.random.default_rng(seed).permutation(np.setdiff1d(numbers, test))
            cut = int(0.8 * len(train))
            trials.append(Trial(PYTHON, rows, Split(train[:cut], train[cut:], test), seed))
    return trials


def _test_days(net: TrainedNet) -> pl.Series:
    return net.trial.rows.table["date"].gather(net.trial.split.test)


def _maes_on(nets: Sequence[TrainedNet], days: pl.Series) -> Maes:
    """MAE of each net on `days`, with its own label."""
    return tuple(net.mae(_row_numbers(net.trial.rows, days)) for net in nets)


def _test_maes(nets: Sequence[TrainedNet]) -> Maes:
    """MAE of each net on its test rows, each with its own label."""
    return tuple(net.mae(net.trial.split.test) for net in nets)


def _last_change_mae(net: TrainedNet, days: pl.Series) -> float:
    rows = _row_numbers(net.trial.rows, days)
    return metrics.mae(net.trial.rows.table["last_change"].to_numpy()[rows], net.trial.rows.target()[rows])


def _known_label(published: Sequence[TrainedNet], next_day: Sequence[TrainedNet]) -> Fault:
    days = _test_days(next_day[0])
    values = {
        "days": len(days),
        "last_change_today": _last_change_mae(published[0], days),
        "last_change_next_day": _last_change_mae(next_day[0], days),
    }
    return Fault(1, "known_label", _maes_on(published, days), _maes_on(next_day, days), values)


def _neighbours(random: Sequence[TrainedNet], blocked: Sequence[TrainedNet]) -> Fault:
    rows = random[0].trial.rows
    trees_random, trees_blocks = (_tree_mae(rows, nets[:FOLDS]) for nets in (random, blocked))
    values = {
        "rows": len(rows.table), "folds": FOLDS, "trees_random": trees_random, "trees_blocks": trees_blocks
    }  # fmt: skip
    return Fault(2, "neighbours", _pooled_maes(random), _pooled_maes(blocked), values)


def _tree_mae(rows: RecipeRows, nets: Sequence[TrainedNet]) -> float:
    """MAE of LightGBM on the test rows of all nets, fitted on the remaining rows."""
    numbers = np.arange(len(rows.table))
    tests = [net.trial.split.test for net in nets]
    errors = [np.abs(lightgbm(rows, np.setdiff1d(numbers, test), test) - rows.target()[test]) for test in tests]
    return float(np.concatenate(errors).mean())


def _pooled_maes(nets: Sequence[TrainedNet]) -> Maes:
    """Per seed, the mean absolute error over the test rows of all its nets, one net per fold."""
    errors = [np.abs(n.prediction[n.trial.split.test] - n.trial.rows.target()[n.trial.split.test]) for n in nets]
    return tuple(float(np.concatenate(errors[k : k + FOLDS]).mean()) for k in range(0, len(errors), FOLDS))


def _quality_codes(published: Sequence[TrainedNet], good: Sequence[TrainedNet]) -> Fault:
    rows, good_rows = published[0].trial.rows, good[0].trial.rows
    wrong = rows.table.join(good_rows.table, on="date", how="anti")
    values = {
        "test": len(published[0].trial.split.test),
        "good_test": len(good[0].trial.split.test),
        "wrong_labels": len(wrong),
        "rows": len(rows.table),
        "largest": wrong.sort(pl.col("change").abs(), descending=True)["change"].head(3).to_list(),
        "published_on_good": fmean(_maes_on(published, _test_days(good[0]))),
    }
    return Fault(3, "quality_codes", _test_maes(published), _test_maes(good), values)


def _zeros(published: Sequence[TrainedNet], complete: Sequence[TrainedNet]) -> Fault:
    rows, complete_rows = published[0].trial.rows, complete[0].trial.rows
    days, test = _test_days(complete[0]), _test_days(published[0])
    with_zero = rows.table.join(complete_rows.table, on="date", how="anti")["date"]
    values = {
        "days": len(days),
        "with_zero": len(with_zero),
        "rows": len(rows.table),
        "test_with_zero": len(test) - len(days),
        "published_with_zero": fmean(_maes_on(published, test.filter(test.is_in(with_zero.implode())))),
    }
    return Fault(4, "zeros", _maes_on(published, days), _maes_on(complete, days), values)


def _selected_rows(record: Record, published: Sequence[TrainedNet]) -> Fault:
    first = published[0].trial
    rows = recipe_rows(replace(PYTHON, least_change=None), record.level, record.drivers)
    dropped = rows.table.join(first.rows.table, on="date", how="anti")["date"]
    # No net has seen these days, just as the test days: the published nets can be scored on them.
    numbers = _row_numbers(rows, pl.concat([_test_days(published[0]), dropped]))
    inputs, target = rows.inputs()[numbers], rows.target()[numbers]
    predictions = networks.predict_all([(net.network, inputs) for net in published])
    falls = rows.table.filter(pl.col("date").is_in(dropped.implode())).select("date", "change").rows()
    values = {"test": len(first.split.test), "dropped": len(dropped), "falls": falls}
    errors = tuple(metrics.mae(prediction, target) for prediction in predictions)
    return Fault(5, "selected_rows", _test_maes(published), errors, values)


def _separate_shuffles(
    published: Sequence[TrainedNet], paired: Sequence[TrainedNet], normalised: Sequence[TrainedNet]
) -> Fault:
    def spread(nets: Sequence[TrainedNet]) -> float:
        return float(np.mean([np.std(net.prediction[net.trial.split.test]) for net in nets]))

    target = published[0].trial.rows.target()
    median_errors = [
        metrics.mae(np.full(len(split.test), np.median(target[split.train])), target[split.test])
        for split in (net.trial.split for net in published)
    ]
    values = {
        "spread": spread(published),
        "median": float(np.mean(median_errors)),
        "paired": fmean(_test_maes(paired)),
        "paired_spread": spread(paired),
        "normalised_spread": spread(normalised),
    }
    return Fault(6, "separate_shuffles", _test_maes(published), _test_maes(normalised), values)


def baseline_fault(published: Sequence[TrainedNet], hindcast: pl.DataFrame) -> Fault:
    """Fault 7, from existing nets: a published recipe against the last change, on the rows of the test labels.

    Parameters
    ----------
    hindcast
        `ArticlePage.hindcast`.
    """
    first = published[0].trial
    values = {"recipe": first.recipe.name, "test": len(first.split.test), "leads": hindcast.to_dicts()}
    maes = []
    for trial in (net.trial for net in published):
        rows = trial.split.label_rows[2] if trial.split.label_rows else trial.split.test
        maes.append(metrics.mae(trial.rows.table["last_change"].to_numpy()[rows], trial.rows.target()[rows]))
    return Fault(7, "baseline", tuple(net.mae() for net in published), tuple(maes), values)
