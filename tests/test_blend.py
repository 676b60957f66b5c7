"""The blend: weights by hand, from errors known on the day, independent of the unit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.models.blend import LEARNING_RATE, NEAR_FULL_PRIOR, PRIOR, blend, range_of_models
from forebay.models.day_kinds import ABOVE_FULL, NEAR_FULL, WET
from forebay.models.model import Array

DAYS = 200


def random_forecasts(seed: int, days: int = DAYS) -> tuple[dict[str, Array], Array]:
    """Forecasts of three models with small, medium and large errors, and the observed change; all with gaps."""
    rng = np.random.default_rng(seed)
    observed = rng.normal(size=days)
    sizes = {"near": 0.2, "off": 0.5, "far": 2.0}
    forecasts = {name: observed + rng.normal(0, size, days) for name, size in sizes.items()}
    for series in (*forecasts.values(), observed):
        series[rng.random(days) < 0.05] = np.nan
    return forecasts, observed


def test_two_models_on_two_days_by_hand() -> None:
    """Day 0: the blend of 1 and 0 is 0.5 and 1 is observed. The loss of `right` is −0.5, of `wrong` +0.5."""
    blended, weights = blend(
        {"right": np.array([1.0, 1.0]), "wrong": np.array([0.0, 0.0])}, np.array([1.0, np.nan]), lead_time=1
    )
    right_weight = 1 / (1 + math.exp(-2 * LEARNING_RATE * 0.5 / math.sqrt(0.5**2)))
    assert weights["right"].tolist() == pytest.approx([0.5, right_weight])
    assert weights["wrong"].tolist() == pytest.approx([0.5, 1 - right_weight])
    assert blended.tolist() == pytest.approx([0.5, right_weight])


def test_weights_change_more_slowly_at_a_longer_lead_time() -> None:
    """The same two models at a lead time of 4 days: the first error is known on day 4 and has half the effect."""
    right, wrong = np.ones(5), np.zeros(5)
    weights = blend({"right": right, "wrong": wrong}, np.array([1.0] + [np.nan] * 4), lead_time=4)[1]
    assert weights["right"].tolist() == pytest.approx([0.5] * 4 + [1 / (1 + math.exp(-LEARNING_RATE))])


def test_each_regime_has_separate_weights() -> None:
    """Observations on days of regime 1 do not change the weights of regime 0."""
    right, wrong, observed = np.ones(6), np.zeros(6), np.array([1.0, np.nan, np.nan, 1.0, 1.0, 1.0])
    regimes = np.array([1, 1, 0, 0, 1, 0])
    right_weight = blend({"right": right, "wrong": wrong}, observed, lead_time=1, regimes=regimes)[1]["right"]
    assert right_weight[[0, 2, 3]].tolist() == [0.5] * 3
    assert right_weight[1] == right_weight[4] > 0.5
    assert right_weight[5] == pytest.approx(right_weight[1])


def test_before_any_error_is_known_weights_are_the_prior() -> None:
    """Lead time 3 days: the error of day 0 is known on day 3."""
    names = ["trees", "wet_ridge", "huber", "no_change"]
    forecasts = {name: np.full(5, float(k)) for k, name in enumerate(names)}
    weights = blend(forecasts, np.zeros(5), lead_time=3)[1]
    prior = np.array([PRIOR.get(name, 1.0) for name in names])
    for name, share in zip(names, prior / prior.sum(), strict=True):
        assert weights[name][:3].tolist() == pytest.approx([share] * 3)
        assert weights[name][3] != pytest.approx(share)


@pytest.mark.parametrize("kind", [0, WET, NEAR_FULL, ABOVE_FULL, NEAR_FULL | WET, ABOVE_FULL | WET])
def test_near_full_supply_models_of_the_routine_have_more_weight_at_first(kind: int) -> None:
    names = ["trees", "climatology", "damped_change", "huber"]
    forecasts = {name: np.full(2, float(k)) for k, name in enumerate(names)}
    weights = blend(forecasts, np.zeros(2), lead_time=2, regimes=np.full(2, kind))[1]
    special = NEAR_FULL_PRIOR if kind & NEAR_FULL else {}
    prior = np.array([special.get(name, PRIOR.get(name, 1.0)) for name in names])
    assert [weights[name][0] for name in names] == pytest.approx((prior / prior.sum()).tolist())


@pytest.mark.parametrize(("kind", "factor"), [(0, 1), (WET, 1), (NEAR_FULL, 2), (ABOVE_FULL, 2), (ABOVE_FULL | WET, 2)])
def test_near_and_above_full_supply_weights_change_twice_as_fast(kind: int, factor: int) -> None:
    right, observed = np.ones(2), np.array([1.0, np.nan])
    weights = blend({"right": right, "wrong": np.zeros(2)}, observed, lead_time=1, regimes=np.full(2, kind))[1]
    assert weights["right"][1] == pytest.approx(1 / (1 + math.exp(-2 * factor * LEARNING_RATE)))


def test_the_range_of_the_models_leaves_out_the_references() -> None:
    changes = {"no_change": [0.0, 0.0], "last_change": [9.0, -9.0], "huber": [1.0, 3.0], "trees": [2.0, 1.0]}
    arrays = {name: np.array(values) for name, values in changes.items()}
    assert range_of_models(arrays).tolist() == [1.0, 2.0]
    assert range_of_models({"no_change": np.zeros(2), "last_change": np.ones(2)}).tolist() == [0.0, 0.0]


def test_weights_of_equal_forecasts_do_not_change() -> None:
    equal = np.arange(5.0)
    blended, weights = blend({"a": equal, "b": equal}, np.zeros(5), lead_time=1)
    assert weights["a"].tolist() == [0.5] * 5
    assert blended.tolist() == equal.tolist()


@pytest.mark.parametrize("competitor", ["no_change", "trees"])  # trees start with 30 times the weight
def test_a_model_that_is_always_right_gains_the_weight(competitor: str) -> None:
    forecasts, observed = random_forecasts(1, 1000)
    weights = blend({"right": observed, competitor: forecasts["off"]}, observed, lead_time=1)[1]
    right_weights = weights["right"][np.isfinite(weights["right"])]
    assert right_weights[0] == pytest.approx(1 / (1 + PRIOR.get(competitor, 1.0)))
    assert right_weights[-1] > 0.95


def test_a_model_that_becomes_worse_loses_its_weight() -> None:
    rng = np.random.default_rng(2)
    observed, noise = rng.normal(size=1000), rng.normal(size=1000)
    first = np.arange(1000) < 300
    early = observed + np.where(first, 0.1, 2.0) * noise
    late = observed + np.where(first, 2.0, 0.1) * noise[::-1]
    forecasts = {"early": early, "late": late}
    weights = blend(forecasts, observed, lead_time=1)[1]
    assert weights["early"][299] > 0.9
    assert weights["late"][-1] > 0.9


def test_a_day_with_a_missing_forecast_has_no_blend_and_no_loss() -> None:
    forecasts = {"a": np.array([1.0, np.nan, 1.0, 1.0]), "b": np.zeros(4)}
    blended, weights = blend(forecasts, np.array([np.nan, 5.0, 1.0, np.nan]), lead_time=1)
    assert np.isnan(blended).tolist() == [False, True, False, False]
    assert np.isnan(weights["a"][1])
    assert weights["a"][[0, 2]].tolist() == [0.5, 0.5]
    assert weights["a"][3] > 0.5


def test_a_day_can_have_the_weights_of_a_different_regime() -> None:
    """The regime of the output does not change the learning."""
    forecasts, observed = random_forecasts(5)
    regimes = np.arange(DAYS) % 2
    weights, as_zero, as_one = (
        blend(forecasts, observed, lead_time=1, regimes=regimes, weight_regimes=weight_regimes)[1]["near"]
        for weight_regimes in (None, np.zeros(DAYS, int), np.ones(DAYS, int))
    )
    np.testing.assert_array_equal(weights, np.where(regimes == 0, as_zero, as_one))
    assert not np.allclose(as_zero[-20:], as_one[-20:], equal_nan=True)


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 7]))
def test_weights_sum_to_one_and_the_blend_lies_within_the_forecasts(seed: int, lead: int) -> None:
    forecasts, observed = random_forecasts(seed)
    blended, weights = blend(forecasts, observed, lead_time=lead)
    all_ = np.stack(list(forecasts.values()))
    complete = np.isfinite(all_).all(axis=0)
    np.testing.assert_array_equal(np.isfinite(blended), complete)
    np.testing.assert_allclose(sum(weights.values())[complete], 1.0)
    assert (blended[complete] >= all_[:, complete].min(axis=0) - 1e-12).all()
    assert (blended[complete] <= all_[:, complete].max(axis=0) + 1e-12).all()


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 7]), st.integers(0, DAYS - 1), st.floats(-1e6, 1e6))
def test_no_weight_depends_on_later_values(seed: int, lead: int, day: int, value: float) -> None:
    """On `day` the changes of days up to `day` − lead are known; later changes and forecasts are arbitrary."""
    forecasts, observed = random_forecasts(seed)
    changed = observed.copy()
    changed[max(0, day - lead + 1) :] = value
    later = {name: np.where(np.arange(DAYS) > day, value, forecast) for name, forecast in forecasts.items()}
    regimes = np.random.default_rng(seed).integers(0, 4, DAYS)
    later_regimes = np.where(np.arange(DAYS) > day, 3 - regimes, regimes)
    blended, weights = blend(forecasts, observed, lead_time=lead, regimes=regimes)
    later_blended, later_weights = blend(later, changed, lead_time=lead, regimes=later_regimes)
    np.testing.assert_array_equal(blended[: day + 1], later_blended[: day + 1])
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight[: day + 1], later_weights[name][: day + 1])


@given(st.integers(0, 10_000), st.sampled_from([1 / 0.3048, 1000.0, 1e-6]))
def test_a_change_of_unit_changes_only_the_unit(seed: int, unit: float) -> None:
    forecasts, observed = random_forecasts(seed)
    blended, weights = blend(forecasts, observed, lead_time=1)
    scaled, equal = blend({name: unit * forecast for name, forecast in forecasts.items()}, unit * observed, lead_time=1)
    np.testing.assert_allclose(scaled, unit * blended, rtol=1e-6, atol=1e-9 * unit)
    for name, weight in weights.items():
        np.testing.assert_allclose(equal[name], weight, rtol=1e-6, atol=1e-9)


def test_the_order_of_the_models_does_not_matter() -> None:
    forecasts, observed = random_forecasts(3)
    blended = blend(forecasts, observed, lead_time=1)[0]
    np.testing.assert_allclose(blend(dict(reversed(forecasts.items())), observed, lead_time=1)[0], blended)


def test_the_blend_is_nearly_as_good_as_the_best_model() -> None:
    """Regret grows with the root of the number of days: within 2% of the best model after 1500 days."""
    rng = np.random.default_rng(4)
    observed = rng.normal(size=1500)
    sizes = {"good": 0.30, "fair": 0.33, "bad": 1.5}
    forecasts = {name: observed + rng.laplace(0, size, 1500) for name, size in sizes.items()}
    blended = blend(forecasts, observed, lead_time=1)[0]
    best = min(np.abs(forecast - observed).mean() for forecast in forecasts.values())
    assert np.abs(blended - observed).mean() < 1.02 * best
