"""Fitted models as plain numbers: coefficients, tables and trees as lists (docs/export.md).

A model is an object with its `kind` and the numbers from which a short program in any language computes its forecast.
Numbers that are not finite have no form in JSON: they are None.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from forebay.errors import ModelError
from forebay.features.inputs import AHEAD, BALANCE
from forebay.models.balance import Balance
from forebay.models.boosting import BoostedHuber, Trees
from forebay.models.inflow_ahead import InflowAhead
from forebay.models.references import DAY, LAST, Climatology, DampedChange, LastChange, NoChange
from forebay.models.regression import WET_MM, Huber, WetRidge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forebay.models.model import Array, Model

Plain: TypeAlias = dict[str, Any]  # Any: JSON


def plain_model(model: Model, inputs: Sequence[str]) -> Plain:  # noqa: PLR0911  # one per class
    """The model as plain numbers.

    Parameters
    ----------
    inputs
        Names of all inputs of its lead time.

    Raises
    ------
    ModelError
        If the model has no such form.
    """
    match model:
        case NoChange():
            return _factor(0.0)
        case LastChange():
            return _factor(float(model.lead_time))
        case DampedChange():
            return _factor(model.factor_)
        case Climatology():
            return {"kind": "day_table", "input": DAY, "changes": numbers(model.medians_)}
        case Huber():
            return _linear(model, model.coefficients_, model.intercept_)
        case WetRidge():
            return {
                "kind": "wet_mean",
                "all": _linear(model.huber_, model.huber_.coefficients_, model.huber_.intercept_),
                "wet": _linear(model.huber_, model.coefficients_, model.intercept_),
                "large_change": number(model.large_change_),
                "rain_3d": WET_MM if "rain_3d" in inputs else None,
            }
        case Trees():
            return _trees(model)
        case BoostedHuber():
            huber = plain_model(model.huber_, inputs)
            return {
                "kind": "sum",
                "parts": [huber, _trees(model.correction_)],
                "low": _trees(model.low_),
                "high": _trees(model.high_),
            }
        case Balance():
            return _balance(model, inputs)
        case InflowAhead():
            return {
                "kind": "inflow_ahead",
                "needs": [name for name in inputs if name.startswith(AHEAD)],
                "inputs": model.columns_,
                "mean": numbers(model.typical_),
                "coefficients": numbers(model.coefficients_),
                "intercept": float(model.intercept_),
                "otherwise": plain_model(model.without_, inputs),
            }
    raise ModelError(
        f"the model {type(model).__name__} has no plain form, so a default that blends it cannot be exported; set "
        "`nets = false` in the dam file, or use the program itself"
    )


def number(value: float) -> float | None:
    """The number, None if it is not finite."""
    return float(value) if math.isfinite(value) else None


def numbers(values: Array | Iterable[float]) -> list[Any]:
    """An array as nested lists, with None for each number that is not finite."""
    array = np.asarray(values, float)
    return [number(value) for value in array] if array.ndim == 1 else [numbers(row) for row in array]


def _factor(factor: float) -> Plain:
    return {"kind": "factor", "input": LAST, "factor": float(factor)}


def _linear(design: Huber, coefficients: Array, intercept: float) -> Plain:
    """A regression on the design of `design`: first the coefficients of its inputs, then those of absence."""
    count = len(design.columns_)
    return {
        "kind": "linear",
        "inputs": design.columns_,
        "mean": numbers(design.mean_),
        "deviation": numbers(design.deviation_),
        "coefficients": numbers(coefficients[:count]),
        "missing": [design.columns_[column] for column in design.missing_],
        "missing_coefficients": numbers(coefficients[count:]),
        "intercept": float(intercept),
    }


def _balance(model: Balance, inputs: Sequence[str]) -> Plain:
    """The water balance; the weights of its parts are those of the lead time."""
    days = model.lead_time
    remaining = model.recession_ ** np.arange(days + 1)
    flows = (name + end for name in ("inflow", "release", "expected", "change") for end in ("", "_10d"))
    return {
        "kind": "balance",
        "flows": [name if name in inputs else None for name in (BALANCE + flow for flow in flows)],
        "otherwise": "median_change_30d",
        "factor": model.factor_,
        "course": model.persistence_ * days,
        "inflow": float((remaining[:-1] + remaining[1:]).sum() / 2),
        "release": float(days),
        "error": float((model.memory_ ** np.arange(1, days + 1)).sum()),
    }


def _trees(model: Trees) -> Plain:
    return {
        "kind": "trees",
        "inputs": model.columns_,
        "typical": numbers(model.typical_),
        "scale": model.scale_,
        "trees": [_tree(tree["tree_structure"]) for tree in model.booster_.dump_model()["tree_info"]],
    }


def _tree(root: Plain) -> Plain:
    """A tree as lists with an entry per node or per leaf.

    A missing value or one up to the threshold goes left or right as `missing_left` says. A child of at least 0 is the
    number of a node, a child c below 0 is leaf −1 − c.
    """
    nodes: list[Plain] = []
    leaves: list[float] = []

    def add(content: Plain) -> int:
        if "leaf_value" in content:
            leaves.append(float(content["leaf_value"]))
            return -len(leaves)
        node: Plain = {}
        nodes.append(node)
        position = len(nodes) - 1
        threshold = float(content["threshold"])
        node.update(feature=int(content["split_feature"]), threshold=threshold, missing_left=_missing_left(content))
        node["left"] = add(content["left_child"])
        node["right"] = add(content["right_child"])
        return position

    add(root)
    names = ("feature", "threshold", "missing_left", "left", "right")
    return {**{name: [node[name] for node in nodes] for name in names}, "leaves": leaves}


def _missing_left(node: Plain) -> int:
    """1 if a missing value goes left, otherwise 0; LightGBM takes it as 0 where no training row had one."""
    if node["decision_type"] != "<=" or node["missing_type"] not in ("NaN", "None"):
        raise ModelError(
            f"a tree splits by {node['decision_type']!r} with missing values as {node['missing_type']!r}, which has no "
            "plain form; report this dam"
        )
    return int(node["default_left"] if node["missing_type"] == "NaN" else float(node["threshold"]) >= 0)
