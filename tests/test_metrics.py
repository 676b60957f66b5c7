"""Scores equal values by hand and values of other packages, and have the properties of a score."""

import math
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
import xarray as xr
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scores import continuous, probability
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error, r2_score
from utilsforecast import losses

from forebay import metrics
from forebay.metrics import Array
from forebay.tables import QUANTILES

FORECAST = np.array([1.0, 2.0, 4.0, 3.0])
OBSERVED = np.array([1.0, 3.0, 2.0, 2.0])  # errors 0, −1, 2, 1; mean 2; squared deviations 1, 1, 0, 0

levels = st.floats(-50, 50, allow_nan=False).map(lambda x: round(x, 3))  # gauges give millimetres
pairs = st.integers(2, 40).flatmap(
    lambda n: st.tuples(arrays(float, n, elements=levels), arrays(float, n, elements=levels))
)


def test_scores_equal_values_by_hand() -> None:
    assert metrics.mae(FORECAST, OBSERVED) == 1.0
    assert metrics.rmse(FORECAST, OBSERVED) == pytest.approx(math.sqrt(1.5))
    assert metrics.bias(FORECAST, OBSERVED) == 0.5
    assert metrics.nse(FORECAST, OBSERVED) == 1 - 6 / 2
    assert metrics.skill(0.03, 0.04) == pytest.approx(0.25)
    assert metrics.coverage(np.array([0.0, 3.0, 2.0, 5.0]), np.array([2.0, 4.0, 3.0, 6.0]), OBSERVED) == 0.75
    assert metrics.width(np.array([0.0, 3.0]), np.array([2.0, 4.0])) == 1.5
    assert metrics.share_above(np.array([1.0, 2.0, 2.5, 1.0]), OBSERVED) == 0.5


def test_kge_equals_the_value_by_hand() -> None:
    """Forecast 2·o − 1: correlation 1, spread ratio 2, shift (2·2 − 1 − 2)/σ_o with σ_o = √½."""
    assert metrics.kge(2 * OBSERVED - 1, OBSERVED) == pytest.approx(1 - math.sqrt(1 + 2))


def test_pinball_loss_equals_the_value_by_hand() -> None:
    """o = 3 above q = 1 by 2, o = 0 below q = 1 by 1, at p = .9: (.9·2 + .1·1)/2."""
    assert metrics.pinball(np.array([[1.0], [1.0]]), np.array([3.0, 0.0]), [0.9]) == pytest.approx(0.95)


@given(
    arrays(float, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=levels | st.just(math.nan)),
)
def test_column_medians_agree_with_numpy(values: Array) -> None:
    expected = [np.nanmedian(column) if np.isfinite(column).any() else math.nan for column in values.T]
    np.testing.assert_array_equal(metrics.column_medians(values), expected)


def test_largest_rounds_up_and_prefers_the_earlier() -> None:
    observed = np.array([1.0, 5.0, 5.0, 0.0, 2.0])
    assert metrics.largest(observed, 0.05).tolist() == [1]
    assert metrics.largest(observed, 0.41).tolist() == [1, 2, 4]


@pytest.mark.slow
@given(pairs)
def test_errors_agree_with_the_losses_of_mlforecast(pair: tuple[Array, Array]) -> None:
    """mlforecast uses the losses of utilsforecast."""
    forecast, observed = pair
    low, high = np.minimum(forecast, forecast - 1.5), forecast + 2.5
    series = pl.DataFrame({"unique_id": ["dam"] * len(observed), "y": observed, "f": forecast})
    series = series.with_columns(pl.Series("f-lo-90", low), pl.Series("f-hi-90", high))

    def peer_losses(loss: Callable[..., pl.DataFrame], **keys: object) -> float:
        return float(loss(series, **{"models": ["f"]} | keys)["f"][0])

    assert metrics.mae(forecast, observed) == pytest.approx(peer_losses(losses.mae), abs=1e-9)
    assert metrics.rmse(forecast, observed) == pytest.approx(peer_losses(losses.rmse), abs=1e-9)
    assert metrics.bias(forecast, observed) == pytest.approx(peer_losses(losses.bias), abs=1e-9)
    assert metrics.coverage(low, high, observed) == pytest.approx(peer_losses(losses.coverage, level=90), abs=1e-9)
    for p in QUANTILES:
        expected = peer_losses(losses.quantile_loss, models={"f": "f"}, q=p)
        assert metrics.pinball(forecast[:, None], observed, [p]) == pytest.approx(expected, abs=1e-9)


def test_undefined_scores_are_nan() -> None:
    assert math.isnan(metrics.nse(FORECAST, np.ones(4)))
    assert math.isnan(metrics.kge(np.ones(4), OBSERVED))
    assert math.isnan(metrics.kge(FORECAST, np.ones(4)))
    assert math.isnan(metrics.skill(0.1, 0.0))


@given(pairs)
def test_errors_agree_with_scikit_learn(pair: tuple[Array, Array]) -> None:
    forecast, observed = pair
    assert metrics.mae(forecast, observed) == pytest.approx(mean_absolute_error(observed, forecast), abs=1e-9)
    squared = mean_squared_error(observed, forecast)
    assert metrics.rmse(forecast, observed) == pytest.approx(math.sqrt(squared), abs=1e-9)
    if np.ptp(observed) > 0:
        assert metrics.nse(forecast, observed) == pytest.approx(r2_score(observed, forecast), rel=1e-9, abs=1e-9)
    quantiles = forecast[:, None] + np.linspace(-1, 1, len(QUANTILES))
    peer_losses = [mean_pinball_loss(observed, quantiles[:, k], alpha=p) for k, p in enumerate(QUANTILES)]
    assert metrics.pinball(quantiles, observed, QUANTILES) == pytest.approx(np.mean(peer_losses), abs=1e-9)


@pytest.mark.slow
@given(pairs)
def test_scores_agree_with_the_package_scores(pair: tuple[Array, Array]) -> None:
    """KGE is not compared: its bias term is (μ_f − μ_o)/σ_o in forebay and μ_f/μ_o in `scores` (see `metrics.kge`)."""
    forecast, observed = pair
    f, o = (xr.DataArray(values, dims="day") for values in pair)
    peer_losses = {
        metrics.mae: continuous.mae(f, o),
        metrics.rmse: continuous.rmse(f, o),
        metrics.bias: continuous.additive_bias(f, o),
    }
    for ours, value in peer_losses.items():
        assert ours(forecast, observed) == pytest.approx(float(value), abs=1e-9)
    if np.ptp(observed) > 0:
        assert metrics.nse(forecast, observed) == pytest.approx(float(continuous.nse(f, o)), rel=1e-9, abs=1e-9)
    quantiles = forecast[:, None] + np.linspace(-1, 1, len(QUANTILES))
    losses_by_quantile = [
        float(continuous.quantile_score(xr.DataArray(quantiles[:, k], dims="day"), o, alpha=p))
        for k, p in enumerate(QUANTILES)
    ]
    assert metrics.pinball(quantiles, observed, QUANTILES) == pytest.approx(np.mean(losses_by_quantile), abs=1e-9)


@pytest.mark.slow
@given(pairs, st.integers(0, 1000), st.integers(1, 60))
def test_crps_agrees_with_the_package_scores(pair: tuple[Array, Array], seed: int, members: int) -> None:
    forecast, observed = pair
    ensemble = forecast[:, None] + np.random.default_rng(seed).normal(scale=3, size=(len(forecast), members))
    crps = metrics.crps_ensemble(ensemble, observed)
    expected = probability.crps_for_ensemble(
        xr.DataArray(ensemble, dims=("day", "member")),
        xr.DataArray(observed, dims="day"),
        "member",
        method="ecdf",
        preserve_dims="day",
    )
    np.testing.assert_allclose(crps, expected.to_numpy(), rtol=0, atol=1e-9)


@given(pairs, st.integers(2, 60))
def test_crps_of_equally_likely_quantiles_is_twice_their_pinball_loss(pair: tuple[Array, Array], members: int) -> None:
    forecast, observed = pair
    levels = (np.arange(members) + 0.5) / members
    quantiles = forecast[:, None] + np.linspace(-4, 4, members)
    expected = 2 * metrics.pinball(quantiles, observed, levels.tolist())
    assert metrics.crps_ensemble(quantiles, observed).mean() == pytest.approx(expected, abs=1e-9)


def test_independent_events_equal_the_count_by_hand() -> None:
    assert metrics.independent_events(np.array([], dtype=int), 10) == 0
    assert metrics.independent_events(np.array([5]), 10) == 1
    assert metrics.independent_events(np.array([15, 5]), 10) == 1, "a gap of exactly 10 days does not separate events"
    assert metrics.independent_events(np.array([16, 5]), 10) == 2


@given(pairs)
def test_scores_stay_in_their_ranges(pair: tuple[Array, Array]) -> None:
    forecast, observed = pair
    assert abs(metrics.bias(forecast, observed)) <= metrics.mae(forecast, observed) + 1e-12
    assert metrics.mae(forecast, observed) <= metrics.rmse(forecast, observed) * (1 + 1e-12) + 1e-12
    for score in (metrics.nse(forecast, observed), metrics.kge(forecast, observed)):
        assert math.isnan(score) or score <= 1
    assert 0 <= metrics.coverage(forecast - 1, forecast + 1, observed) <= 1
    assert metrics.pinball(forecast[:, None], observed, [0.5]) == pytest.approx(metrics.mae(forecast, observed) / 2)


@pytest.mark.parametrize("score", [metrics.mae, metrics.rmse, metrics.bias, metrics.nse, metrics.kge])
@given(pair=pairs, unit=st.sampled_from([0.3048, 3.2808, 1000.0]), datum=st.floats(-10, 10))
def test_a_unit_scales_errors_and_leaves_efficiencies(
    score: Callable[[Array, Array], float], pair: tuple[Array, Array], unit: float, datum: float
) -> None:
    forecast, observed = pair
    assume(np.ptp(observed) > 0.01 and np.ptp(forecast) > 0.01)
    factor = 1.0 if score in (metrics.nse, metrics.kge) else unit
    before, after = score(forecast, observed), score(forecast * unit + datum, observed * unit + datum)
    assert after == pytest.approx(before * factor, rel=1e-6, abs=1e-9 * unit)


@given(pairs)
def test_a_perfect_forecast_has_the_best_scores(pair: tuple[Array, Array]) -> None:
    observed = pair[0]
    assume(np.ptp(observed) > 0.01)
    assert metrics.mae(observed, observed) == metrics.rmse(observed, observed) == 0
    assert metrics.nse(observed, observed) == 1
    assert metrics.kge(observed, observed) == pytest.approx(1, abs=1e-7)
    assert metrics.skill(metrics.mae(observed, observed), 0.5) == 1


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), probability=st.floats(0, 1))
def test_quantiles_agree_with_numpy(values: list[float], probability: float) -> None:
    probabilities = [0.0, probability, 0.5, 1.0]
    result = metrics.quantiles(np.array(values), probabilities)
    np.testing.assert_allclose(result, np.quantile(values, probabilities), rtol=1e-12, atol=1e-9)


@given(
    st.lists(
        st.tuples(levels, st.integers(0, 5)), min_size=2, max_size=30, unique_by=lambda pair: pair[0]
    ).filter(lambda pairs: sum(weight > 0 for _, weight in pairs) > 1)
)
def test_weighted_quantiles_treat_both_ends_alike(pairs: list[tuple[float, int]]) -> None:
    values, weights = (np.array([column], float) for column in zip(*sorted(pairs), strict=True))
    probabilities = np.array([0.0, 0.05, 0.25, 0.5, 0.9, 1.0])
    result = metrics.weighted_quantiles(values, weights, probabilities)
    mirrored = metrics.weighted_quantiles(-values[:, ::-1], weights[:, ::-1], 1 - probabilities)
    np.testing.assert_allclose(result, -mirrored, rtol=1e-9, atol=1e-9)
    assert (result[0, 0], result[0, -1]) == (values[weights > 0].min(), values[weights > 0].max())
    assert (np.diff(result) >= -1e-9).all()
