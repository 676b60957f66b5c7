"""The saved form of models: what it refuses; that every model comes back the same stands in test_models."""

import json
from typing import Self

import numpy as np
import polars as pl
import pytest

from forebay.errors import ModelError
from forebay.models import saved
from forebay.models.boosting import Trees
from forebay.models.model import Array
from forebay.models.references import DampedChange, NoChange

INPUTS = pl.DataFrame({"last_change": np.random.default_rng(3).normal(0, 0.1, 300)})
TARGET = INPUTS["last_change"].to_numpy() * 0.5


class Foreign:
    """A model of somebody else's."""

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Learn something."""
        self.learned_ = target.mean()
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Zeros."""
        return np.zeros(len(inputs))


def test_the_form_can_be_read_by_anyone() -> None:
    told = json.loads(saved.to_json(DampedChange(3).fit(INPUTS, TARGET)))
    assert told == {"class": "DampedChange", "given": {"lead_time": 3}, "learned": {"factor_": 0.5}}


def test_what_a_model_was_made_with_comes_back() -> None:
    again = saved.from_json(saved.to_json(Trees(1, rounds=7).fit(INPUTS, TARGET)))
    assert isinstance(again, Trees)
    assert again.rounds == again.booster_.num_trees() == 7


def test_a_class_of_somebody_elses_is_not_saved() -> None:
    assert saved.can_be_saved(NoChange(1))
    assert not saved.can_be_saved(Foreign(1))
    with pytest.raises(TypeError, match="Foreign has no saved form; those that have are NoChange, LastChange"):
        saved.to_json(Foreign(1))


def test_a_class_that_only_bears_a_models_name_is_not_saved() -> None:
    namesake = type("NoChange", (Foreign,), {})
    assert not saved.can_be_saved(namesake(1))


def test_what_has_no_saved_form_is_named() -> None:
    model = NoChange(1)
    model.odd_ = {1, 2}  # type: ignore[attr-defined]  # that it is none of the model's is what is tested
    with pytest.raises(TypeError, match="a learned set has no saved form"):
        saved.to_json(model)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"class": "os.system", "given": {}, "learned": {}}',
        '{"class": "Foreign", "given": {"lead_time": 1}, "learned": {}}',
        '{"class": "NoChange", "given": {"days": 1}, "learned": {}}',
        '{"class": "NoChange", "given": {"lead_time": 1}}',
        '{"class": "Climatology", "given": {"lead_time": 1}, "learned": {"medians_": {"array": [1.0], "dtype": "x"}}}',
        '{"class": "Trees", "given": {"lead_time": 1}, "learned": {"booster_": {"trees": "no trees"}}}',
    ],
)
def test_a_text_that_is_no_saved_model_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"^a saved model cannot be read \(.*as `saved.to_json` wrote it$"):
        saved.from_json(text)
