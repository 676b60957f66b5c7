"""The article's seven faults, each with the number that it costs: one change at a time, on equal rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from forebay import metrics
from forebay.article.gauges import Record
from forebay.article.recipes import ELIXIR, PYTHON, UNAVAILABLE, Recipe, RecipeRows, Rows, Split, corrected, rows_of
from forebay.article.results import Fault, Result
from forebay.article.trials import Told, Trial, Tried, blocks, lightgbm, random_folds, trials, try_all
from forebay.nets import networks

FOLDS = 5
FOLD_SEEDS = 2
"""Nets per fold: 2 × 5 × 2 fits show what the folds cost, as every row is judged in each."""

_GOOD_ENDS = replace(PYTHON, no_level_before=UNAVAILABLE, no_level_after=())
_AHEAD = replace(PYTHON, label="forecast", no_level_before=PYTHON.no_level_after, no_level_after=())
_NO_ZEROS = replace(PYTHON, no_driver="left out")


def weigh(
    record: Record, tried: Mapping[str, Sequence[Tried]], *, seeds: int, backend: str, told: Told | None = None
) -> list[Fault]:
    """The faults of the recipes in `tried` (recipe name → its published nets), weighed with further nets.

    Faults 1 to 5 are weighed on the recipe python, 6 on elixir; a recipe that is not in `tried` leaves its faults out.

    Raises
    ------
    ConfigError, ModelError
        As `networks.fit_all`.
    """
    plans: dict[str, list[Trial]] = {}
    if "python" in tried:
        rows = tried["python"][0].trial.rows
        split = tried["python"][0].trial.split
        plans |= {
            "label": _like(_AHEAD, record, rows, split, seeds),
            "codes": _like(_GOOD_ENDS, record, rows, split, seeds),
            "zeros": _like(_NO_ZEROS, record, rows, split, seeds),
            "random": _folded(rows, random_folds(len(rows.table), FOLDS), seeds),
            "blocks": _folded(rows, blocks(len(rows.table), FOLDS), seeds),
        }
    if "elixir" in tried:
        rows = tried["elixir"][0].trial.rows
        paired = replace(ELIXIR, split="shuffle in pairs")
        plans |= {
            "pairs": trials(paired, rows, seeds),
            "normalised": trials(replace(paired, layers=corrected(ELIXIR).layers), rows, seeds),
        }
    every = [trial for plan in plans.values() for trial in plan]
    made = iter(try_all(every, backend=backend, told=told))
    nets = {name: [next(made) for _ in plan] for name, plan in plans.items()}
    faults: list[Fault] = []
    if "python" in tried:
        faults += _of_python(record, tried["python"], nets)
    if "elixir" in tried:
        faults.append(_pairs(tried["elixir"], nets["pairs"], nets["normalised"]))
    return faults


def _like(recipe: Recipe, record: Record, rows: RecipeRows, split: Split, seeds: int) -> list[Trial]:
    """Trials of `recipe`, split as `rows` are: each day stays in the part and the order where it was."""
    own = rows_of(recipe, record.level, record.drivers)
    mine = RecipeRows(own.table.join(rows.table.select("date"), on="date", how="semi"))
    fitted, validating, test = (_rows_on(mine, rows.table["date"].gather(part)) for part in
                                (split.fitted, split.validating, split.test))  # fmt: skip
    return [Trial(recipe, mine, Split(fitted, validating, test), seed) for seed in range(seeds)]


def _rows_on(rows: RecipeRows, days: pl.Series) -> Rows:
    """Row numbers of `days`, in their order; days that have no row are left out."""
    numbered = rows.table.select("date", row=pl.int_range(pl.len()))
    found = pl.DataFrame({"date": days}).join(numbered, on="date", how="inner", maintain_order="left")
    return found["row"].to_numpy().astype(np.intp)


def _folded(rows: RecipeRows, folds: list[Rows], seeds: int) -> list[Trial]:
    every = np.arange(len(rows.table))
    made = []
    for seed in range(min(seeds, FOLD_SEEDS)):
        for test in folds:
            # in a random order, so that the validation rows are of all years in both cases
            train = np.random.default_rng(seed).permutation(np.setdiff1d(every, test))
            cut = int(0.8 * len(train))
            made.append(Trial(PYTHON, rows, Split(train[:cut], train[cut:], test), seed))
    return made


def _of_python(record: Record, published: Sequence[Tried], nets: Mapping[str, Sequence[Tried]]) -> list[Fault]:
    return [
        _label(published, nets["label"]),
        _folds(nets["random"], nets["blocks"]),
        _codes(published, nets["codes"]),
        _zeros(published, nets["zeros"]),
        _outcome(record, published),
    ]


def _test_days(tried: Tried) -> pl.Series:
    return tried.trial.rows.table["date"].gather(tried.trial.split.test)


def _on(nets: Sequence[Tried], days: pl.Series) -> float:
    """Mean MAE over the nets on `days`, each with its own label."""
    return float(np.mean([net.mae(_rows_on(net.trial.rows, days)) for net in nets]))


def _last_change(tried: Tried, days: pl.Series) -> float:
    judged = _rows_on(tried.trial.rows, days)
    return metrics.mae(tried.trial.rows.table["last_change"].to_numpy()[judged], tried.trial.rows.target()[judged])


def _label(published: Sequence[Tried], ahead: Sequence[Tried]) -> Fault:
    days = _test_days(ahead[0])
    then, now = _last_change(published[0], days), _last_change(ahead[0], days)
    return Fault(
        1,
        "The label is known when it is predicted",
        "L(d) − L(d−1) from day d's inputs → L(d+1) − L(d)",
        _on(published, days),
        _on(ahead, days),
        f"the {len(days)} test days that have both labels",
        "The day's rain and the change it brings are both known at the end of the day: that is a nowcast. "
        "“Yesterday's "
        f"change again” reaches {then:.4f} m on the first label and {now:.4f} m on the second. Rain takes a day or "
        "more to "
        "reach the dam, so its inputs tell a net no less of tomorrow's change than of today's.",
    )


def _folds(random: Sequence[Tried], blocked: Sequence[Tried]) -> Fault:
    rows = random[0].trial.rows
    every = np.arange(len(rows.table))
    trees = []
    for nets in (random, blocked):
        tests = [net.trial.split.test for net in nets[:FOLDS]]
        trees.append(
            float(np.concatenate(
                [np.abs(lightgbm(rows, np.setdiff1d(every, t), t) - rows.target()[t]) for t in tests]
            ).mean())
        )  # fmt: skip
    return Fault(
        2,
        "Neighbours of test days are trained on",
        "random folds → contiguous blocks of time",
        _pooled(random),
        _pooled(blocked),
        f"all {len(every)} rows, each judged once per seed, {FOLDS} folds either way",
        f"LightGBM, which learns more by heart, goes from {trees[0]:.4f} to {trees[1]:.4f} m. The split of the article "
        "also puts the flood of 10 February 2020 (+6.77 m) into training.",
    )


def _pooled(nets: Sequence[Tried]) -> float:
    """Mean absolute error over the test rows of all nets."""
    errors = [np.abs(n.prediction[n.trial.split.test] - n.trial.rows.target()[n.trial.split.test]) for n in nets]
    return float(np.concatenate(errors).mean())


def _codes(published: Sequence[Tried], good: Sequence[Tried]) -> Fault:
    rows, kept = published[0].trial.rows, good[0].trial.rows
    bad = rows.table.join(kept.table, on="date", how="anti")
    jumps = bad.sort(pl.col("change").abs(), descending=True)["change"].head(3).to_list()
    after = float(np.mean([metrics.mae(n.prediction[n.trial.split.test], n.trial.rows.target()[n.trial.split.test])
                           for n in good]))  # fmt: skip
    return Fault(
        3,
        "Levels marked unavailable stay in",
        "levels with codes 201 and 205 dropped (205 is a slip for 255) → 201 and 255, on either day of a change",
        float(np.mean([net.mae() for net in published])),
        after,
        f"{len(published[0].trial.split.test)} test rows → the {len(good[0].trial.split.test)} of them that are real",
        f"{len(bad)} of {len(rows.table)} labels rest on a level that is marked unavailable, most of them flat "
        "stretches "
        f"that are easy to hit; the largest fake changes are {', '.join(f'{j:+.2f}' for j in jumps)} m. On the real "
        "rows "
        f"the published net reaches {_on(published, _test_days(good[0])):.4f} m.",
    )


def _zeros(published: Sequence[Tried], without: Sequence[Tried]) -> Fault:
    rows, kept = published[0].trial.rows, without[0].trial.rows
    days = _test_days(without[0])
    filled = rows.table.join(kept.table, on="date", how="anti")["date"]
    test = _test_days(published[0])
    return Fault(
        4,
        "A broken gauge reads as no rain",
        "unavailable rain and stream set to 0.0 → their rows left out",
        _on(published, days),
        _on(without, days),
        f"the {len(days)} test days with all gauges",
        f"{len(filled)} of {len(rows.table)} rows have at least one such zero; on the "
        f"{len(test) - len(days)} of them in the test the published net reaches "
        f"{_on(published, test.filter(test.is_in(filled.implode()))):.4f} m.",
    )


def _outcome(record: Record, published: Sequence[Tried]) -> Fault:
    first = published[0].trial
    unfiltered = rows_of(replace(PYTHON, least_change=None), record.level, record.drivers)
    dropped = unfiltered.table.join(first.rows.table, on="date", how="anti")["date"]
    days = pl.concat([_test_days(published[0]), dropped])
    # the nets know these days as little as the other test days, so no net is fitted anew
    inputs = unfiltered.inputs()
    judged = _rows_on(unfiltered, days)
    predictions = networks.predict_all([(net.network, inputs[judged]) for net in published])
    target = unfiltered.target()[judged]
    return Fault(
        5,
        "Rows are chosen by their outcome",
        "rows with a fall of 0.3 m or more dropped → kept",
        float(np.mean([net.mae() for net in published])),
        float(np.mean([metrics.mae(one, target) for one in predictions])),
        f"{len(first.split.test)} test rows → the same and the {len(dropped)} that were dropped",
        f"The filter hides {', '.join(f'a fall of {-c:.2f} m on {d}' for d, c in _changes(unfiltered, dropped))}.",
    )


def _changes(rows: RecipeRows, days: pl.Series) -> list[tuple[object, float]]:
    return [
        (d, c) for d, c in rows.table.filter(pl.col("date").is_in(days.implode())).select("date", "change").iter_rows()
    ]


def _pairs(published: Sequence[Tried], paired: Sequence[Tried], normalised: Sequence[Tried]) -> Fault:
    def reached(nets: Sequence[Tried]) -> float:
        return float(np.mean([net.mae(net.trial.split.test) for net in nets]))

    def spread(nets: Sequence[Tried]) -> float:
        return float(np.mean([np.std(net.prediction[net.trial.split.test]) for net in nets]))

    target = published[0].trial.rows.target()
    median = np.mean([metrics.mae(np.full(len(n.trial.split.test), np.median(target[n.trial.split.train])),
                                  target[n.trial.split.test]) for n in published])  # fmt: skip
    return Fault(
        6,
        "Features and labels are shuffled apart",
        "two shuffles → one, and a normalising layer",
        reached(published),
        reached(normalised),
        "the test rows of each seed with their own labels",
        "The livebook's net predicts a constant: its predictions have a standard deviation of "
        f"{spread(published):.5f} m, "
        f"and the median of the training labels reaches {median:.4f} m. Pairs kept alone: {reached(paired):.4f} m, "
        f"standard deviation {spread(paired):.4f} m; with normalisation {spread(normalised):.4f} m.",
    )


def baseline_fault(results: Sequence[Result], own: pl.DataFrame) -> Fault:
    """Fault 7, from what is known already: the first published recipe against the last change."""
    first = results[0]
    on = "the tests of all seeds" if first.recipe == "elixir" else f"the {first.test} test rows"
    leads = "; ".join(
        f"{lead} d ahead {mae:.4f} m ({coverage:.0%} inside its 90% interval)"
        for lead, mae, coverage in own.select("lead_time", "mae", "coverage_90").iter_rows()
    )
    return Fault(
        7,
        "No baseline, no interval, one day only",
        "the net → “yesterday's change again”, which needs no net",
        first.mean(),
        first.baselines_test["last_change"],
        f"{on} of the recipe {first.recipe}",
        f"The project's own forecast over its hindcast: {leads}.",
    )
