"""Forecasts smoothed over the lead times: one curve from the present level, as smooth as the dam's past is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.models.lead_curve import (
    PENALTIES,
    curve_weights,
    curves,
    daily_curves,
    has_curve,
    offset_curve,
    smoothed,
    smoothed_leads,
)
from forebay.models.model import Array

LEADS = (1, 2, 3, 4, 5, 6, 7)


def kink(changes: Array) -> float:
    """Mean size of the second difference along the leads, from the present level on."""
    return float(np.abs(np.diff(np.insert(changes, 0, 0.0, axis=1), 2, axis=1)).mean())


@pytest.mark.parametrize("leads", [(1,), (1, 2), (1, 3, 7), LEADS, (1, 2, 3, 10, 30), tuple(range(1, 31))])
def test_a_straight_line_from_the_present_level_is_kept(leads: tuple[int, ...]) -> None:
    line = 0.3 * np.array(leads, float)
    for matrix in curves(leads):
        np.testing.assert_allclose(matrix @ line, line, rtol=1e-8)
    np.testing.assert_allclose(offset_curve(leads) @ line, line, rtol=1e-8)


@pytest.mark.parametrize(
    ("leads", "count"), [((1, 3, 7), 0), ((1, 14), 0), ((2, 3, 4), 0), ((1,), 0), ((1, 2, 3, 10, 30), 3), (LEADS, 7)]
)
def test_a_lead_time_after_a_gap_stays_as_it_is(leads: tuple[int, ...], count: int) -> None:
    """Across a gap the curve would extrapolate: with 30 days on it, the forecast of 30 days is made of that of 1."""
    for matrix in (*curves(leads), offset_curve(leads)):
        np.testing.assert_array_equal(matrix[count:], np.eye(len(leads))[count:])
        np.testing.assert_array_equal(matrix[:, count:], np.eye(len(leads))[:, count:])
    assert smoothed_leads(leads) == count


def test_right_forecasts_of_a_change_that_ends_stay_right() -> None:
    """Simulated: a rise that dies away within ten days, forecast to a tenth of its size up to 30 days ahead."""
    leads = tuple(range(1, 31))
    rng = np.random.default_rng(2)
    outcome = rng.normal(0, 1, (600, 1)) * (1 - 0.7 ** np.array(leads))
    forecast = outcome + rng.normal(0, 0.1, outcome.shape)
    weights = curve_weights(forecast, outcome, leads=leads)
    curve = smoothed(forecast, daily_curves(weights, np.ones(len(forecast), bool), leads=leads))
    error = np.abs(curve - outcome)[100:].mean(axis=0)
    assert (error < 1.1 * np.abs(forecast - outcome)[100:].mean(axis=0)).all()


@given(st.lists(st.floats(-2, 2), min_size=7, max_size=7))
def test_each_curve_minimises_distance_and_curvature(values: list[float]) -> None:
    """Oracle: no small change of the curve lowers the objective, written out here day by day."""
    forecast, leads = np.array(values), np.array(LEADS, float)
    rng = np.random.default_rng(1)

    def objective(curve: Array, penalty: float) -> float:
        bends = np.diff(np.insert(curve, 0, 0.0), 2)
        return float((leads**-5 * (curve - forecast) ** 2).sum() + penalty * (bends**2).sum())

    for matrix, penalty in zip(curves(LEADS), PENALTIES, strict=True):
        curve = matrix @ forecast
        best = objective(curve, penalty)
        for _ in range(5):
            assert objective(curve + rng.normal(0, 0.01, 7), penalty) >= best - 1e-12


def test_the_next_day_hardly_moves() -> None:
    for matrix in curves(LEADS):
        assert matrix[0, 0] > 0.9


def test_the_first_penalty_leaves_the_forecasts_as_they_are() -> None:
    np.testing.assert_array_equal(curves(LEADS)[0], np.eye(7))


def jittering(size: float, days: int = 600, seed: int = 3) -> tuple[Array, Array]:
    """Forecasts and outcomes (days, leads) of simulated straight rises; the forecasts jitter by `size` per lead."""
    rng = np.random.default_rng(seed)
    outcome = rng.normal(0, 1, (days, 1)) * np.array(LEADS, float)
    return outcome + rng.normal(0, size, outcome.shape) * np.array(LEADS), outcome


def test_jitter_is_removed_and_the_error_falls() -> None:
    forecast, outcome = jittering(0.3)
    weights = curve_weights(forecast, outcome, leads=LEADS)
    curve = smoothed(forecast, daily_curves(weights, np.ones(len(forecast), bool), leads=LEADS))
    assert kink(curve) < 0.3 * kink(forecast)
    assert np.abs(curve - outcome)[:, 3:].mean() < 0.8 * np.abs(forecast - outcome)[:, 3:].mean()


def test_a_dam_with_real_kinks_is_smoothed_least() -> None:
    """Simulated: the level rises on every other day, and the forecasts are right."""
    rng = np.random.default_rng(5)
    steps = np.abs(rng.normal(0, 1, (600, 7))) * np.array([1, 0, 1, 0, 1, 0, 1])
    outcome = np.cumsum(steps, axis=1)
    weights = curve_weights(outcome, outcome, leads=LEADS)
    assert weights[-1].argmax() == 0
    assert weights[-1][0] > 0.8
    straight, smooth = jittering(0.3)
    assert curve_weights(straight, smooth, leads=LEADS)[-1].argmax() == len(PENALTIES) - 1


def test_weights_use_outcomes_of_the_longest_lead_time_only_when_they_are_known() -> None:
    forecast, outcome = jittering(0.3)
    later = outcome.copy()
    later[300:] += 5.0
    same = curve_weights(forecast, outcome, leads=LEADS)
    changed = curve_weights(forecast, later, leads=LEADS)
    np.testing.assert_array_equal(changed[:307], same[:307])
    assert not np.array_equal(changed[307], same[307])


def test_a_day_with_a_missing_forecast_is_unchanged_and_an_unknown_outcome_is_left_out() -> None:
    forecast, outcome = jittering(0.3)
    outcome[100:200, 6] = np.nan
    forecast[50, 2] = np.nan
    weights = curve_weights(forecast, outcome, leads=LEADS)
    assert not np.array_equal(weights[107], weights[206]), "the other lead times still teach"
    curve = smoothed(forecast, daily_curves(weights, np.ones(len(forecast), bool), leads=LEADS))
    np.testing.assert_array_equal(curve[50], forecast[50])
    assert np.isfinite(curve[51]).all()


def test_a_level_that_is_read_once_a_week_is_not_smoothed() -> None:
    """Its outcome at most lead times is never known, so nothing shows that the forecasts of one day belong together."""
    forecast, outcome = jittering(0.3)
    outcome[:, :6] = np.nan
    weights = curve_weights(forecast, outcome, leads=LEADS)
    assert np.isnan(weights).all()
    curve = smoothed(forecast, daily_curves(weights, np.ones(len(forecast), bool), leads=LEADS))
    np.testing.assert_array_equal(curve, forecast)


def test_a_level_that_is_read_on_working_days_is_smoothed() -> None:
    """No day has an outcome at all lead times, but each lead time has outcomes."""
    forecast, outcome = jittering(0.3)
    valid_day = np.arange(len(outcome))[:, None] + np.array(LEADS)
    outcome[valid_day % 7 >= 5] = np.nan
    weights = curve_weights(forecast, outcome, leads=LEADS)
    assert np.isfinite(weights[100:]).all()
    assert weights[-1].argmax() == len(PENALTIES) - 1


def test_days_that_are_not_smoothed_keep_their_forecasts() -> None:
    forecast, outcome = jittering(0.3)
    weights = curve_weights(forecast, outcome, leads=LEADS)
    is_smoothed = np.arange(len(forecast)) % 2 == 0
    curve = smoothed(forecast, daily_curves(weights, is_smoothed, leads=LEADS))
    np.testing.assert_array_equal(curve[1::2], forecast[1::2])
    np.testing.assert_array_equal(has_curve(daily_curves(weights, is_smoothed, leads=LEADS))[40:], is_smoothed[40:])
    assert not np.array_equal(curve[::2], forecast[::2])
