"""The global model: trees that learned scale-free changes from other dams, for a dam with little data of its own."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from forebay.dams.global_model import GlobalModelFile, Vintage, read_global_model
from forebay.errors import ConfigError, ModelError
from forebay.features.scale_free import DAY, GLOBAL, SCALE, SLOPE_LEADS
from forebay.models.tree_library import load_lightgbm
from forebay.models.tree_text import bare_trees, check_trees

if TYPE_CHECKING:
    from lightgbm import Booster

    from forebay.models.model import Array

PARAMETERS = {
    "objective": "l1",
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "max_bin": 63,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}
ROUNDS = 200
MIN_ROWS = 2000
"""Rows from which trees can learn: two dams have as many in some years."""
BY_LEAD = ("persistence", "own", "rain", "inflow")
"""Inputs of which each lead time has its own, between those of `SLOPE_LEADS`."""
LEAD = "lead_time"


class GlobalTrees:
    """Trees of a file (`dams.global_model`) on the scale-free inputs; nothing is fitted on the dam's own days.

    Each day has the forecast of the newest vintage that was known on it. Before the first one, the forecast is the
    dam's own persistence of the last change, and 0 while too few changes are known for a scale.
    """

    def __init__(self, lead_time: int, file: GlobalModelFile) -> None:
        self.lead_time = lead_time
        self.file = file

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """The model itself; the dam's own days are in the statistics of its inputs."""
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row, in the target's unit."""
        values, own = design(inputs, np.full(len(inputs), self.lead_time))
        scaled, days = own.copy(), inputs[DAY].to_numpy()
        model = read_global_model(self.file)
        if model.inputs != input_names(inputs):
            raise ConfigError(
                f"global_model {self.file.path} has the inputs of another forebay; write it again with `forebay fleet "
                "train`"
            )
        vintages = model.vintages
        known = np.searchsorted([_day_number(v.until) for v in vintages], days, side="right") - 1
        for number in np.unique(known[known >= 0]):
            rows = known == number
            trees = _booster(self.file, int(number))
            scaled[rows] += np.asarray(trees.predict(values[rows], num_threads=1), float)
        return np.asarray(np.nan_to_num(scaled * inputs[SCALE].to_numpy().astype(float), nan=0.0))


def design(inputs: pl.DataFrame, leads: Array) -> tuple[Array, Array]:
    """The inputs of the trees, shape (n, inputs), and the part of the scaled change without them, shape (n,).

    Parameters
    ----------
    leads
        Lead time of each row in days, shape (n,).
    """
    values = inputs.select(f"{GLOBAL}{name}" for name in _common(inputs)).to_numpy()
    by_lead = [_at(inputs, name, leads) for name in BY_LEAD]
    return np.column_stack([values, *by_lead, leads]), by_lead[BY_LEAD.index("own")]


def input_names(inputs: pl.DataFrame) -> tuple[str, ...]:
    """Names of the inputs of the trees, as `design` has them."""
    return (*_common(inputs), *BY_LEAD, LEAD)


def _common(inputs: pl.DataFrame) -> list[str]:
    by_lead = {f"{GLOBAL}{name}_{lead}" for name in BY_LEAD for lead in SLOPE_LEADS}
    names = (name for name in inputs.columns if name.startswith(GLOBAL))
    return sorted(name.removeprefix(GLOBAL) for name in names if name not in {DAY, SCALE} | by_lead)


def _at(inputs: pl.DataFrame, name: str, leads: Array) -> Array:
    """One of `BY_LEAD` at the lead time of each row, on a line between those of `SLOPE_LEADS`."""
    known = np.stack([inputs[f"{GLOBAL}{name}_{lead}"].to_numpy() for lead in SLOPE_LEADS])
    shares = [np.interp(leads, SLOPE_LEADS, share) for share in np.eye(len(SLOPE_LEADS))]
    return np.asarray(np.einsum("ln,ln->n", known, shares))


@lru_cache(maxsize=64)
def _booster(file: GlobalModelFile, number: int) -> Booster:
    """The trees of a vintage."""
    model = read_global_model(file)
    text = model.vintages[number].trees
    try:
        check_trees(text, model.inputs)
    except ModelError as error:
        raise ConfigError(f"global_model {file.path}: {error}; write it again with `forebay fleet train`") from None
    trees: Booster = load_lightgbm().Booster(model_str=text)
    return trees


def grow(rows: pl.DataFrame, names: tuple[str, ...]) -> str:
    """LightGBM's text of trees that learned from `rows` (`training_arrays`).

    Parameters
    ----------
    rows
        `global_rows.GLOBAL_ROWS`: inputs, dam, lead_time, change.
    names
        `input_names` of the inputs.

    Raises
    ------
    ModelError
        With fewer than `MIN_ROWS` rows, or if nothing in them can be learned.
    """
    if len(rows) < MIN_ROWS:
        raise ModelError(f"a global model needs at least {MIN_ROWS} rows of other dams, but there are {len(rows)}")
    values, labels, weight = training_arrays(rows)
    lightgbm = load_lightgbm()
    data = lightgbm.Dataset(values, labels, weight=weight / weight.mean(), feature_name=list(names))
    text = bare_trees(lightgbm.train(PARAMETERS, data, ROUNDS).model_to_string())
    check_trees(text, names)
    return text


def training_arrays(rows: pl.DataFrame) -> tuple[Array, Array, Array]:
    """Inputs (n, inputs), label (n,) and weight (n,) of the rows whose label is known.

    The label is what the dam's own persistence leaves of the change. It is unknown on a day without a last change.
    Every dam and lead time has the weight of the root of its number of rows, in units of its mean change: floods of one
    dam do not outweigh the others.
    """
    values, own = design(rows, rows["lead_time"].to_numpy().astype(float))
    labels = rows["change"].to_numpy() - own
    is_known = np.isfinite(labels)
    size = pl.col("change").abs()
    groups = ("dam", "lead_time")
    weight = 1 / (size.mean().over(groups) * pl.len().over(groups).sqrt())
    weights = rows.filter(is_known).select(weight).to_series().to_numpy()
    return values[is_known], labels[is_known], np.where(np.isfinite(weights), weights, 0.0)


def vintage(rows: pl.DataFrame, until: date, *, without: str | None = None) -> Vintage:
    """The trees that were known on a day, from the rows of all dams but `without` whose `known_date` is not after it.

    Raises
    ------
    ModelError
        As `grow`.
    """
    past = rows.filter(pl.col("known_date") <= until, pl.col("dam") != (without or ""))
    return Vintage(until, len(past), tuple(sorted(past["dam"].unique())), grow(past, input_names(rows)))


def _day_number(day: date) -> int:
    return int(np.datetime64(day, "D").astype(int))
