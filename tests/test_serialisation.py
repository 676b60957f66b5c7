"""Models as JSON: refused models and texts. `test_models` checks that every model is read back unchanged."""

import json
from typing import Self

import numpy as np
import polars as pl
import pytest

from forebay.errors import ModelError
from forebay.models import serialisation
from forebay.models.boosting import Trees
from forebay.models.model import Array
from forebay.models.references import DampedChange, NoChange

INPUTS = pl.DataFrame({"last_change": np.random.default_rng(3).normal(0, 0.1, 300)})
TARGET = INPUTS["last_change"].to_numpy() * 0.5


class ForeignModel:
    """A model that is not in the registry."""

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """The model with one learned number."""
        self.learned_ = target.mean()
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Zeros."""
        return np.zeros(len(inputs))


def test_the_text_is_plain_json() -> None:
    content = json.loads(serialisation.to_json(DampedChange(3).fit(INPUTS, TARGET)))
    assert content == {"class": "DampedChange", "arguments": {"lead_time": 3}, "learned": {"factor_": 0.5}}


def test_arguments_are_read_back() -> None:
    restored = serialisation.from_json(serialisation.to_json(Trees(1, rounds=7).fit(INPUTS, TARGET)))
    assert isinstance(restored, Trees)
    assert restored.rounds == restored.booster_.num_trees() == 7


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(3, 2)),
        np.array([1, 255], np.uint8),
        np.array([0.1, np.nan, np.inf], np.float32),
        np.array([True, False]),
        np.zeros((0, 3), np.int64),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_an_array_keeps_its_type_shape_and_order(array: np.ndarray) -> None:
    model = DampedChange(1)
    model.factor_ = array  # type: ignore[assignment]  # any learned attribute may be an array
    restored = serialisation.from_json(serialisation.to_json(model))
    assert isinstance(restored, DampedChange)
    read = np.asarray(restored.factor_)
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(read, array)


def test_a_foreign_class_is_not_serialised() -> None:
    assert serialisation.is_serialisable(NoChange(1))
    assert not serialisation.is_serialisable(ForeignModel(1))
    message = "ForeignModel cannot be serialised; serialisable classes are NoChange, LastChange"
    with pytest.raises(TypeError, match=message):
        serialisation.to_json(ForeignModel(1))


def test_a_foreign_class_with_the_name_of_a_model_is_not_serialised() -> None:
    same_named_model = type("NoChange", (ForeignModel,), {})
    assert not serialisation.is_serialisable(same_named_model(1))


def test_an_unsupported_type_is_named() -> None:
    model = NoChange(1)
    model.odd_ = {1, 2}  # type: ignore[attr-defined]  # the test adds an attribute that the model does not have
    with pytest.raises(TypeError, match="a learned attribute of type set cannot be serialised"):
        serialisation.to_json(model)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"class": "os.system", "arguments": {}, "learned": {}}',
        '{"class": "ForeignModel", "arguments": {"lead_time": 1}, "learned": {}}',
        '{"class": "NoChange", "arguments": {"days": 1}, "learned": {}}',
        '{"class": "NoChange", "arguments": {"lead_time": 1}}',
        '{"class": "Climatology", "arguments": {"lead_time": 1}, '
        '"learned": {"medians_": {"array": [1.0], "dtype": "x"}}}',
        '{"class": "Trees", "arguments": {"lead_time": 1}, "learned": {"booster_": {"trees": "no trees"}}}',
    ],
)
def test_a_text_that_is_not_a_serialised_model_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"^a stored model cannot be read \(.*output of `serialisation.to_json`$"):
        serialisation.from_json(text)
