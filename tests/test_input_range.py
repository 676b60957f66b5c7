"""Inputs far outside the range of the training rows, and models that disagree wildly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.dams.dam import Dam
from forebay.features.input_range import RESERVE, InputRange
from forebay.features.samples import Samples, make_samples
from forebay.forecasts.explain import explain
from forebay.forecasts.limitations import far_outside_experience
from forebay.models import models_for
from forebay.models.blend import ROBUST, WILD_DAYS, WILD_FACTOR, disagrees_wildly, robust_weights
from forebay.tables import DEFAULT_MODEL, REFERENCES
from forebay.verify import hindcast, uncertainty
from forebay.verify.default import with_default
from forebay.verify.point_forecasts import PointForecasts
from tests.synthetic import daily_frame, rain_gauge, small_dam

TRAINING = pl.DataFrame(
    {"flow": [1.0, 3.0, None], "constant": [2.0, 2.0, 2.0], "unknown": [None] * 3, "day": [1, 2, 3]},
    schema_overrides={"unknown": pl.Float64},
)
DAYS = 900
INFLOW = {"role": "inflow", "station": "river", "variable": "inflow", "unit": "m3/s"}


def test_inputs_are_moved_to_the_nearest_accepted_value() -> None:
    accepted = InputRange.of(TRAINING)
    low, high = 1.0 - RESERVE * 2.0, 3.0 + RESERVE * 2.0
    inputs = pl.DataFrame(
        {"flow": [low - 1, low, None, high, 1e9], "constant": [9.0] * 5, "unknown": [9.0] * 5, "day": [400] * 5,
         "other": [1e9] * 5}
    )  # fmt: skip
    winsorised = accepted.winsorised(inputs)
    assert winsorised["flow"].to_list() == [low, low, None, high, high]
    assert winsorised.drop("flow").equals(inputs.drop("flow"))
    assert accepted.far_outside(inputs).tolist() == [True, False, False, False, True]
    assert accepted.columns_far_outside(inputs) == ["flow"]
    assert accepted.columns_far_outside(inputs[1:4]) == []


def test_without_training_rows_nothing_is_far_outside() -> None:
    accepted = InputRange.of(TRAINING.clear())
    assert accepted.bounds == {}
    assert not accepted.far_outside(TRAINING).any()
    assert accepted.winsorised(TRAINING).equals(TRAINING)


@given(st.lists(st.floats(0, 10), min_size=WILD_DAYS + 5, max_size=WILD_DAYS + 5), st.floats(0, 1000))
def test_wild_disagreement_is_relative_to_the_past(ranges: list[float], last: float) -> None:
    model_range = np.array([*ranges, last])
    wild = disagrees_wildly(model_range)
    assert not wild[:WILD_DAYS].any()
    for day in range(WILD_DAYS, len(model_range)):
        assert wild[day] == (model_range[day] > WILD_FACTOR * model_range[:day].max())
    unknown = np.where(np.arange(len(model_range)) < 10, np.nan, model_range)
    assert not disagrees_wildly(unknown)[: WILD_DAYS + 10].any()


def test_on_wild_days_the_robust_models_keep_their_proportions() -> None:
    weights = {name: np.array([share, share]) for name, share in (("no_change", 0.1), ("trees", 0.3), ("huber", 0.6))}
    robust = robust_weights(weights, np.array([False, True]))
    assert {name: daily.tolist() for name, daily in robust.items()} == {
        "no_change": [0.1, pytest.approx(0.25)],
        "trees": [0.3, pytest.approx(0.75)],
        "huber": [0.6, 0.0],
    }


@pytest.mark.parametrize(("day", "is_last"), [(-1, True), (-2, False)])
def test_only_the_last_day_is_reported_as_far_outside_experience(day: int, is_last: bool) -> None:
    """Rain is far outside the training range and, at a lead time of 3 days, the models disagree as never before."""
    days = WILD_DAYS + 50
    rain, apart = np.ones(days), np.ones(days)
    rain[day], apart[day] = 99.0, 10 * WILD_FACTOR
    zero = np.zeros(days)
    dates = np.datetime64("2020-01-01") + np.arange(days)
    samples = Samples(dates, pl.DataFrame({"rain_lag0": rain}), zero, zero, zero, {})
    accepted = InputRange({"rain_lag0": (0.0, 9.0)})
    main = PointForecasts({1: zero, 3: zero}, input_range={1: accepted, 3: accepted})
    points = {hindcast.MAIN_MODEL: main, "huber": PointForecasts({1: np.ones(days), 3: apart})}
    sentences = far_outside_experience(samples, small_dam(rain_gauge()), points)
    starts = ("Far outside experience: rain. The", "The models disagree as never before at lead times 3 days:")
    assert len(sentences) == (2 if is_last else 0)
    assert all(text.startswith(start) for text, start in zip(sentences, starts, strict=False))


@pytest.fixture(scope="module")
def river() -> tuple[Samples, Dam]:
    """A simulated lake that rises with its inflow."""
    dam = small_dam(INFLOW, hindcast={"leads": (1, 3)})
    rng = np.random.default_rng(11)
    inflow = 20.0 + 380.0 * rng.random(DAYS) ** 6
    level = 100.0 + np.cumsum(0.001 * (inflow - inflow.mean()) + rng.normal(0, 0.005, DAYS))
    columns = {dam.target.variable: level.tolist(), dam.columns("inflow")[0]: inflow.tolist()}
    frame = daily_frame(dam, columns)
    return make_samples(frame, frame, dam), dam


def with_last_inflow(samples: Samples, dam: Dam, value: float) -> Samples:
    """The samples with other inputs of the last day, as an inflow that no check doubts would make them."""
    column = dam.columns("inflow")[0]
    last = pl.int_range(pl.len()) == pl.len() - 1
    changes = {column: value, f"{column}_root": value**0.5, f"{column}_rise": value - samples.inputs[column][-2]}
    columns = [pl.when(last).then(pl.lit(v)).otherwise(name).alias(name) for name, v in changes.items()]
    return replace(samples, inputs=samples.inputs.with_columns(columns))


def forecast(samples: Samples, dam: Dam) -> dict[str, PointForecasts]:
    return with_default(hindcast.point_forecasts(samples, dam, models_for(dam)), samples)


def test_an_absurd_flow_does_not_determine_the_forecast(river: tuple[Samples, Dam]) -> None:
    samples, dam = river
    highest = float(samples.inputs[dam.columns("inflow")[0]].max())  # type: ignore[arg-type]  # a number
    flood, absurd = (with_last_inflow(samples, dam, value) for value in (highest, 50 * highest))
    points, absurd_points = forecast(flood, dam), forecast(absurd, dam)
    for lead in (1, 3):
        change = points[DEFAULT_MODEL].changes[lead]
        absurd_change = absurd_points[DEFAULT_MODEL].changes[lead]
        np.testing.assert_array_equal(absurd_change[:-1], change[:-1])
        largest = float(np.nanmax(np.abs(samples.observed_change(lead))))
        assert abs(absurd_change[-1]) < 2 * largest, "without the limit it is more than 10 times as large"
        assert absurd_points["huber"].far_outside[lead][-1]
        assert not points["huber"].far_outside[lead][-1]
        for its_samples, its_points, is_unusual in ((flood, points, False), (absurd, absurd_points, True)):
            changes = its_points[DEFAULT_MODEL].changes[lead][:, None]
            state = uncertainty.error_state(its_samples, its_points, changes, lead)
            assert state.is_unusual[-1] == is_unusual, "such a day is as uncertain as the most uncertain ones"
    assert far_outside_experience(flood, dam, points) == ()
    sentences = far_outside_experience(absurd, dam, absurd_points)
    assert len(sentences) == 1, "the models do not disagree, because their inputs are bounded"
    assert sentences[0].startswith("Far outside experience: Inflow. The models use the nearest value that they accept")


def test_the_explanation_of_an_absurd_flow_sums_to_the_forecast(river: tuple[Samples, Dam]) -> None:
    samples, dam = river
    absurd = with_last_inflow(samples, dam, 1e6)
    points = forecast(absurd, dam)
    parts = explain(absurd, dam, points, yesterday=True)
    for lead in (1, 3):
        total = parts.filter(pl.col("lead_time") == lead)["contribution"].sum()
        assert total == pytest.approx(points[DEFAULT_MODEL].changes[lead][-1], abs=1e-9)


def test_models_that_disagree_wildly_leave_the_robust_ones(river: tuple[Samples, Dam]) -> None:
    samples, dam = river
    points = hindcast.point_forecasts(samples, dam, models_for(dam))
    for lead in (1, 3):
        points["huber"].changes[lead][-1] = 1e4
    wild = with_default(points, samples)
    for lead in (1, 3):
        weights = wild[DEFAULT_MODEL].weights[lead]
        assert {name for name, weight in weights.items() if weight > 0} <= set(ROBUST)
        assert sum(weights.values()) == pytest.approx(1.0)
        assert abs(wild[DEFAULT_MODEL].changes[lead][-1]) < 2.0
    sentences = far_outside_experience(samples, dam, wild)
    assert sentences[-1].startswith("The models disagree as never before at lead times 1, 3 days:")


def test_references_keep_their_definition(river: tuple[Samples, Dam]) -> None:
    samples, dam = river
    last = pl.int_range(pl.len()) == pl.len() - 1
    inputs = samples.inputs.with_columns(pl.when(last).then(pl.lit(77.0)).otherwise("last_change").alias("last_change"))
    points = forecast(replace(samples, inputs=inputs), dam)
    assert points["last_change"].changes[3][-1] == 3 * 77.0
    assert abs(points["huber"].changes[3][-1]) < 20.0
    assert set(REFERENCES) <= set(points)
