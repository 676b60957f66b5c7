"""The blend: weights by hand, from errors that were known on the day, whatever the unit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.models.blend import LEARNING_RATE, PRIOR, blend
from forebay.models.model import Array

DAYS = 200


def made_up(seed: int, days: int = DAYS) -> tuple[dict[str, Array], Array]:
    """Forecasts of three models that are off by more and more, and what came; all with gaps."""
    rng = np.random.default_rng(seed)
    came = rng.normal(size=days)
    each = {name: came + rng.normal(0, size, days) for name, size in (("near", 0.2), ("off", 0.5), ("far", 2.0))}
    for series in (*each.values(), came):
        series[rng.random(days) < 0.05] = np.nan
    return each, came


def test_two_models_on_two_days_by_hand() -> None:
    """Day 0: the blend of 1 and 0 is 0.5, below the 1 that comes. Towards `right` costs −0.5, towards `wrong` +0.5."""
    mixed, weights = blend(
        {"right": np.array([1.0, 1.0]), "wrong": np.array([0.0, 0.0])}, np.array([1.0, np.nan]), lead_time=1
    )
    of_right = 1 / (1 + math.exp(-2 * LEARNING_RATE * 0.5 / math.sqrt(0.5**2)))
    assert weights["right"].tolist() == pytest.approx([0.5, of_right])
    assert weights["wrong"].tolist() == pytest.approx([0.5, 1 - of_right])
    assert mixed.tolist() == pytest.approx([0.5, of_right])


def test_at_a_longer_lead_weights_move_more_slowly() -> None:
    """The same two models four days ahead: the first error is known on day 4, and counts half."""
    right, wrong = np.ones(5), np.zeros(5)
    weights = blend({"right": right, "wrong": wrong}, np.array([1.0] + [np.nan] * 4), lead_time=4)[1]
    assert weights["right"].tolist() == pytest.approx([0.5] * 4 + [1 / (1 + math.exp(-LEARNING_RATE))])


def test_each_kind_of_day_has_weights_of_its_own() -> None:
    """What comes on a day of kind 1 says nothing of kind 0."""
    right, wrong, came = np.ones(6), np.zeros(6), np.array([1.0, np.nan, np.nan, 1.0, 1.0, 1.0])
    kind = np.array([1, 1, 0, 0, 1, 0])
    of_right = blend({"right": right, "wrong": wrong}, came, lead_time=1, regimes=kind)[1]["right"]
    assert of_right[[0, 2, 3]].tolist() == [0.5] * 3
    assert of_right[1] == of_right[4] > 0.5
    assert of_right[5] == pytest.approx(of_right[1])


def test_before_any_error_is_known_weights_are_the_prior() -> None:
    """Three days' lead: the error of day 0 is known on day 3."""
    names = ["trees", "wet_ridge", "huber", "no_change"]
    each = {name: np.full(5, float(k)) for k, name in enumerate(names)}
    weights = blend(each, np.zeros(5), lead_time=3)[1]
    prior = np.array([PRIOR.get(name, 1.0) for name in names])
    for name, share in zip(names, prior / prior.sum(), strict=True):
        assert weights[name][:3].tolist() == pytest.approx([share] * 3)
        assert weights[name][3] != pytest.approx(share)


def test_models_that_agree_keep_their_weights() -> None:
    same = np.arange(5.0)
    mixed, weights = blend({"a": same, "b": same}, np.zeros(5), lead_time=1)
    assert weights["a"].tolist() == [0.5] * 5
    assert mixed.tolist() == same.tolist()


@pytest.mark.parametrize("other", ["no_change", "trees"])  # which starts with 30 times the weight of any other
def test_a_model_that_is_always_right_gains_the_weight(other: str) -> None:
    each, came = made_up(1, 1000)
    weights = blend({"right": came, other: each["off"]}, came, lead_time=1)[1]
    gained = weights["right"][np.isfinite(weights["right"])]
    assert gained[0] == pytest.approx(1 / (1 + PRIOR.get(other, 1.0)))
    assert gained[-1] > 0.95


def test_a_model_that_gets_bad_loses_it_again() -> None:
    rng = np.random.default_rng(2)
    came, noise = rng.normal(size=1000), rng.normal(size=1000)
    first = np.arange(1000) < 300
    each = {"early": came + np.where(first, 0.1, 2.0) * noise, "late": came + np.where(first, 2.0, 0.1) * noise[::-1]}
    weights = blend(each, came, lead_time=1)[1]
    assert weights["early"][299] > 0.9
    assert weights["late"][-1] > 0.9


def test_a_day_without_a_model_has_no_blend_and_teaches_nothing() -> None:
    each = {"a": np.array([1.0, np.nan, 1.0, 1.0]), "b": np.zeros(4)}
    mixed, weights = blend(each, np.array([np.nan, 5.0, 1.0, np.nan]), lead_time=1)
    assert np.isnan(mixed).tolist() == [False, True, False, False]
    assert np.isnan(weights["a"][1])
    assert weights["a"][[0, 2]].tolist() == [0.5, 0.5]
    assert weights["a"][3] > 0.5


def test_a_day_can_be_given_the_weights_of_another_kind() -> None:
    """What is learned does not change with it."""
    each, came = made_up(5)
    kind = np.arange(DAYS) % 2
    own, as_zero, as_one = (
        blend(each, came, lead_time=1, regimes=kind, weight_regimes=weight_regimes)[1]["near"]
        for weight_regimes in (None, np.zeros(DAYS, int), np.ones(DAYS, int))
    )
    np.testing.assert_array_equal(own, np.where(kind == 0, as_zero, as_one))
    assert not np.allclose(as_zero[-20:], as_one[-20:], equal_nan=True)


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 7]))
def test_weights_share_one_and_the_blend_lies_among_its_models(seed: int, lead: int) -> None:
    each, came = made_up(seed)
    mixed, weights = blend(each, came, lead_time=lead)
    all_ = np.stack(list(each.values()))
    there = np.isfinite(all_).all(axis=0)
    np.testing.assert_array_equal(np.isfinite(mixed), there)
    np.testing.assert_allclose(sum(weights.values())[there], 1.0)
    assert (mixed[there] >= all_[:, there].min(axis=0) - 1e-12).all()
    assert (mixed[there] <= all_[:, there].max(axis=0) + 1e-12).all()


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 7]), st.integers(0, DAYS - 1), st.floats(-1e6, 1e6))
def test_no_weight_changes_with_what_comes_later(seed: int, lead: int, day: int, other: float) -> None:
    """On `day` the changes of days up to `day` − lead have come; later ones, and later forecasts, may be anything."""
    each, came = made_up(seed)
    changed = came.copy()
    changed[max(0, day - lead + 1) :] = other
    later = {name: np.where(np.arange(DAYS) > day, other, forecast) for name, forecast in each.items()}
    kind = np.random.default_rng(seed).integers(0, 4, DAYS)
    other_kind = np.where(np.arange(DAYS) > day, 3 - kind, kind)
    mixed, weights = blend(each, came, lead_time=lead, regimes=kind)
    again, their = blend(later, changed, lead_time=lead, regimes=other_kind)
    np.testing.assert_array_equal(mixed[: day + 1], again[: day + 1])
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight[: day + 1], their[name][: day + 1])


@given(st.integers(0, 10_000), st.sampled_from([1 / 0.3048, 1000.0, 1e-6]))
def test_a_unit_changes_nothing_but_the_unit(seed: int, unit: float) -> None:
    each, came = made_up(seed)
    mixed, weights = blend(each, came, lead_time=1)
    scaled, same = blend({name: unit * forecast for name, forecast in each.items()}, unit * came, lead_time=1)
    np.testing.assert_allclose(scaled, unit * mixed, rtol=1e-6, atol=1e-9 * unit)
    for name, weight in weights.items():
        np.testing.assert_allclose(same[name], weight, rtol=1e-6, atol=1e-9)


def test_the_order_of_the_models_does_not_matter() -> None:
    each, came = made_up(3)
    mixed = blend(each, came, lead_time=1)[0]
    np.testing.assert_allclose(blend(dict(reversed(each.items())), came, lead_time=1)[0], mixed)


def test_it_is_hardly_worse_than_the_best_of_its_models() -> None:
    """Regret grows as the root of the days: within 2% of the best after 1500 days."""
    rng = np.random.default_rng(4)
    came = rng.normal(size=1500)
    sizes = {"good": 0.30, "fair": 0.33, "bad": 1.5}
    each = {name: came + rng.laplace(0, size, 1500) for name, size in sizes.items()}
    mixed = blend(each, came, lead_time=1)[0]
    best = min(np.abs(forecast - came).mean() for forecast in each.values())
    assert np.abs(mixed - came).mean() < 1.02 * best
