"""The ridge regression of wet days, and cached fits. `test_models` tests the contract of every model."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import Ridge

from forebay.errors import ModelError
from forebay.models import regression
from forebay.models.regression import MAX_CACHED_FITS, MIN_WET_ROWS, WET_MM, Huber, WetRidge

N = 1000
RNG = np.random.default_rng(21)
RAIN = np.where(RNG.random(N) < 0.15, RNG.gamma(1.0, 20.0, N), 0.0)
INPUTS = pl.DataFrame({"last_change": RNG.normal(0, 0.01, N), "rain_3d": RAIN, "api": RNG.gamma(2, 5, N)})
TARGET = 0.7 * INPUTS["last_change"].to_numpy() + 0.001 * RAIN + np.where(RAIN > 40, 0.02 * (RAIN - 40), 0.0)
TARGET = TARGET + RNG.normal(0, 0.005, N)


def test_wet_days_have_the_mean_of_huber_and_ridge_and_other_days_huber() -> None:
    model, huber = WetRidge(1).fit(INPUTS, TARGET), Huber(1).fit(INPUTS, TARGET)
    last_change = np.abs(INPUTS["last_change"].to_numpy())
    wet = (WET_MM < RAIN) | (last_change > np.quantile(last_change, 0.85))
    prediction, huber_prediction = model.predict(INPUTS), huber.predict(INPUTS)
    np.testing.assert_array_equal(prediction[~wet], huber_prediction[~wet])
    ridge = Ridge(alpha=30.0).fit(huber.design(INPUTS)[wet], TARGET[wet])
    np.testing.assert_allclose(prediction[wet], (huber_prediction[wet] + ridge.predict(huber.design(INPUTS)[wet])) / 2)


def test_floods_have_smaller_errors_than_with_huber_alone() -> None:
    """The Huber loss gives little weight to the few large rises."""
    flood = RAIN > 60
    huber, ridge = (model(1).fit(INPUTS, TARGET).predict(INPUTS)[flood] for model in (Huber, WetRidge))
    assert np.abs(ridge - TARGET[flood]).mean() < 0.9 * np.abs(huber - TARGET[flood]).mean()


def test_without_rain_gauges_a_day_is_wet_by_its_last_change() -> None:
    level_only = INPUTS.select("last_change")
    prediction = WetRidge(1).fit(level_only, TARGET).predict(level_only)
    differs = prediction != Huber(1).fit(level_only, TARGET).predict(level_only)
    last_change = np.abs(INPUTS["last_change"].to_numpy())
    np.testing.assert_array_equal(differs, last_change > np.quantile(last_change, 0.85))


def test_a_day_with_missing_rain_or_change_is_not_wet() -> None:
    empty = pl.DataFrame({c: [None] for c in INPUTS.columns}, schema=INPUTS.schema)
    model = WetRidge(1).fit(INPUTS, TARGET)
    assert model.predict(empty).tolist() == model.huber_.predict(empty).tolist()


def test_too_few_wet_days_are_refused() -> None:
    steady = INPUTS.with_columns(pl.lit(0.01).alias("last_change"))
    wet = RAIN > WET_MM
    days = np.flatnonzero(~wet | (np.cumsum(wet) < MIN_WET_ROWS))
    with pytest.raises(ModelError, match="wet_ridge needs at least 50 wet days to learn from, but there are 49"):
        WetRidge(1).fit(steady[days], TARGET[days])


@pytest.fixture
def _empty_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regression, "_CACHE", {})


@pytest.mark.usefixtures("_empty_cache")
def test_the_same_rows_are_fitted_once_for_all_lead_times() -> None:
    first = Huber(1).fit(INPUTS, TARGET)
    second_lead = Huber(2).fit(INPUTS.clone().rechunk(), TARGET.copy())
    assert second_lead.coefficients_ is first.coefficients_
    assert (second_lead.lead_time, first.lead_time) == (2, 1)
    np.testing.assert_array_equal(first.predict(INPUTS), second_lead.predict(INPUTS))


CHANGED_TARGET = TARGET.copy()
CHANGED_TARGET[500] += 1e-12
CHANGED_ROWS = {
    "one value": (INPUTS.with_columns(pl.when(pl.int_range(N) != 500).then("api").otherwise(3.0)), TARGET),
    "one gap": (INPUTS.with_columns(pl.when(pl.int_range(N) != 500).then("api").alias("api")), TARGET),
    "a name": (INPUTS.rename({"api": "other"}), TARGET),
    "two names swapped": (INPUTS.rename({"api": "rain_3d", "rain_3d": "api"}), TARGET),
    "target": (INPUTS, CHANGED_TARGET),
    "fewer rows": (INPUTS.head(-1), TARGET[:-1]),
}


@pytest.mark.parametrize(("inputs", "target"), CHANGED_ROWS.values(), ids=CHANGED_ROWS)
def test_changed_rows_are_fitted_again(
    inputs: pl.DataFrame, target: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regression, "_CACHE", {})
    first = Huber(1).fit(INPUTS, TARGET)
    second = Huber(1).fit(inputs, target)
    assert second.coefficients_ is not first.coefficients_
    monkeypatch.setattr(regression, "_CACHE", {})
    np.testing.assert_array_equal(second.predict(inputs), Huber(1).fit(inputs, target).predict(inputs))


@pytest.mark.usefixtures("_empty_cache")
def test_only_the_last_fits_are_cached() -> None:
    first = Huber(1).fit(INPUTS, TARGET)
    for rows in range(MAX_CACHED_FITS):
        Huber(1).fit(INPUTS.head(300 + rows), TARGET[: 300 + rows])
    assert len(regression._CACHE) == MAX_CACHED_FITS
    assert Huber(1).fit(INPUTS, TARGET).coefficients_ is not first.coefficients_


@pytest.mark.slow
@pytest.mark.usefixtures("_empty_cache")
def test_concurrent_fits_give_the_fit_of_their_own_rows() -> None:
    """The hindcast fits lead times in threads; the test has more fits than the cache can store."""
    spans = [300 + k % 40 for k in range(200)]
    one_step = INPUTS.head(339)

    def intercept(rows: int) -> float:
        return Huber(1).fit(one_step.head(rows), TARGET[:rows]).intercept_

    expected = {rows: Huber(1)._fit_rows(one_step.head(rows), TARGET[:rows]).intercept_ for rows in set(spans)}
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(intercept, spans)) == [expected[rows] for rows in spans]
