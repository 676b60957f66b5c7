"""The saved form of a fitted model: JSON text without any code in it, from which the same model comes back.

What a model was made with are its attributes without a trailing underscore, what it learned those with one. Numbers,
text, lists, arrays, trees (as LightGBM's own text) and other models are understood, so that a model that keeps to the
contract needs nothing of its own to be saved.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import numpy as np

from forebay.errors import ModelError
from forebay.models import FLOW_MODELS, MODELS, NETS
from forebay.models.model import Model

Form: TypeAlias = dict[str, Any]  # Any: what JSON holds

CLASSES: dict[str, type[Model]] = {
    kind.__name__: kind for kind in (*MODELS.values(), *FLOW_MODELS.values(), *NETS.values()) if isinstance(kind, type)
}
"""Every class of model that can come back, by name: no other is ever made from a file."""


def can_be_saved(model: Model) -> bool:
    """Whether `model` is one of those that can come back."""
    return CLASSES.get(type(model).__name__) is type(model)


def to_json(model: Model) -> str:
    """The saved form of a fitted model.

    Raises
    ------
    TypeError
        If it is not of a class in `CLASSES`, or learned something that has no saved form: a fault of its code.

    Examples
    --------
    >>> from forebay.models.references import NoChange
    >>> to_json(NoChange(3))
    '{"class": "NoChange", "given": {"lead_time": 3}, "learned": {}}'
    """
    return json.dumps(_form(model))


def from_json(text: str) -> Model:
    """The fitted model that `to_json` told, with the same numbers to the last digit.

    Raises
    ------
    ModelError
        If the text is no saved model.
    """
    try:
        return _model(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"a saved model cannot be read ({type(error).__name__}: {error}); it must be as `saved.to_json` wrote it"
        ) from None


def _form(model: Model) -> Form:
    if not can_be_saved(model):
        raise TypeError(f"{type(model).__name__} has no saved form; those that have are {', '.join(CLASSES)}")
    held = vars(model)
    return {
        "class": type(model).__name__,
        "given": {name: value for name, value in held.items() if not name.endswith("_")},
        "learned": {name: _told(value) for name, value in held.items() if name.endswith("_")},
    }


def _model(form: Form) -> Model:
    model = CLASSES[form["class"]](**form["given"])
    for name, told in form["learned"].items():
        setattr(model, name, _value(told))
    return model


def _told(value: object) -> object:
    """`value` as JSON holds it; what JSON does not know, as a dict of one key that says what it is."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [_told(item) for item in value]
    if isinstance(value, np.ndarray):
        return {"array": value.ravel().tolist(), "dtype": value.dtype.name, "shape": value.shape}
    if type(value).__name__ in CLASSES:
        return {"model": _form(value)}  # type: ignore[arg-type]  # _form checks that it is one
    from lightgbm import Booster

    if isinstance(value, Booster):
        return {"trees": value.model_to_string()}
    raise TypeError(f"a learned {type(value).__name__} has no saved form; keep numbers, arrays, trees or models")


def _value(told: Any) -> object:  # Any: see Form
    """What `_told` was told of."""
    if isinstance(told, list):
        return [_value(item) for item in told]
    if not isinstance(told, dict):
        return told
    if "array" in told:
        return np.array(told["array"], np.dtype(told["dtype"])).reshape(told["shape"])
    if "trees" in told:
        from lightgbm import Booster
        from lightgbm.basic import LightGBMError

        try:
            return Booster(model_str=told["trees"])
        except LightGBMError as error:
            raise ValueError(error) from None
    return _model(told["model"])
