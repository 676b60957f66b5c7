"""Fitted models as JSON text without code.

A model's arguments are its attributes without a trailing underscore; its learned attributes end in one. Numbers, text,
lists, arrays, trees (as LightGBM's own text) and nested models are supported. A model that follows the contract in
`models.model` therefore needs no serialisation code of its own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from forebay.errors import ModelError
from forebay.models import FLOW_MODELS, FORECAST_MODELS, MODELS, NETS
from forebay.models.monotone import SCENARIO_MODELS, PlannedRelease
from forebay.models.tree_library import load_lightgbm

if TYPE_CHECKING:
    from forebay.models.model import Model

JsonObject: TypeAlias = dict[str, Any]  # Any: values of JSON

CLASSES: dict[str, type[Model]] = {
    maker.__name__: maker
    for maker in (*(MODELS | FLOW_MODELS | FORECAST_MODELS | NETS).values(), *SCENARIO_MODELS.values(), PlannedRelease)
    if isinstance(maker, type)
}
"""Class name → class of every model that can be read; a file cannot create any other class."""


def is_serialisable(model: Model) -> bool:
    """Whether the model's class is one of `CLASSES`."""
    return CLASSES.get(type(model).__name__) is type(model)


def to_json(model: Model) -> str:
    """JSON text of a fitted model.

    Raises
    ------
    TypeError
        If the model's class is not in `CLASSES`, or a learned attribute has an unsupported type (a programming error).

    Examples
    --------
    >>> from forebay.models.references import NoChange
    >>> to_json(NoChange(3))
    '{"class": "NoChange", "arguments": {"lead_time": 3}, "learned": {}}'
    """
    return json.dumps(model_content(model))


def from_json(text: str) -> Model:
    """The fitted model in the text of `to_json`; all numbers are identical to the last digit.

    Raises
    ------
    ModelError
        If the text is not a serialised model.
    """
    try:
        return model_of_content(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"a stored model cannot be read ({type(error).__name__}: {error}); the text must be the output of "
            "`serialisation.to_json`"
        ) from None


def model_content(model: Model) -> JsonObject:
    """What `to_json` writes, as values of JSON; raises as it does."""
    if not is_serialisable(model):
        raise TypeError(f"{type(model).__name__} cannot be serialised; serialisable classes are {', '.join(CLASSES)}")
    attributes = vars(model)
    return {
        "class": type(model).__name__,
        "arguments": {name: value for name, value in attributes.items() if not name.endswith("_")},
        "learned": {name: _encode(value) for name, value in attributes.items() if name.endswith("_")},
    }


def model_of_content(content: JsonObject) -> Model:
    """The fitted model of `model_content`; another content raises `ValueError`, `KeyError`, `TypeError` or the like."""
    model = CLASSES[content["class"]](**content["arguments"])
    for name, value in content["learned"].items():
        setattr(model, name, _decode(value))
    return model


def _encode(value: object) -> object:
    """`value` as JSON; a type that JSON does not have becomes an object whose first key names the type."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [_encode(item) for item in value]
    if isinstance(value, np.ndarray):
        return {"array": value.ravel().tolist(), "dtype": value.dtype.name, "shape": value.shape}
    if type(value).__name__ in CLASSES:
        return {"model": model_content(value)}  # type: ignore[arg-type]  # model_content checks the class
    if isinstance(value, load_lightgbm().Booster):
        return {"trees": value.model_to_string()}
    raise TypeError(
        f"a learned attribute of type {type(value).__name__} cannot be serialised; use numbers, text, lists, arrays, "
        "trees or models"
    )


def _decode(content: Any) -> object:  # Any: see JsonObject
    """The inverse of `_encode`."""
    if isinstance(content, list):
        return [_decode(item) for item in content]
    if not isinstance(content, dict):
        return content
    if "array" in content:
        return np.array(content["array"], np.dtype(content["dtype"])).reshape(content["shape"])
    if "trees" in content:
        lightgbm = load_lightgbm()
        try:
            return lightgbm.Booster(model_str=content["trees"])
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(error) from None
    return model_of_content(content["model"])
