"""The model `inflow_ahead` by hand, its days in the blend, and the gain of an inflow forecast."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.dams.hindcast import Hindcast
from forebay.errors import ModelError
from forebay.features.daily_tables import DailyTables
from forebay.features.samples import make_samples
from forebay.jobs.forecast_value import other_inputs
from forebay.models import models_for
from forebay.models.inflow_ahead import MIN_FORECASTS, InflowAhead
from forebay.models.references import DampedChange
from forebay.verify import hindcast, uncertainty
from forebay.verify.default import with_default
from forebay.verify.forecast_value import forecast_value
from tests import synthetic
from tests.synthetic import ar1_series, daily_frame, small_dam

MEAN, MEDIAN, RELEASE, LAST = "balance_ahead_f_mean", "balance_ahead_f_q50", "balance_release", "last_change"


def rows(count: int, seed: int = 1) -> tuple[pl.DataFrame, np.ndarray]:
    """Inputs with a forecast on every second row, and changes 3 · (.8 forecast − release) over 3 days."""
    rng = np.random.default_rng(seed)
    inflow, release, last = (rng.normal(5, 2, count) for _ in range(3))
    forecast = np.where(np.arange(count) % 2, inflow, np.nan)
    inputs = pl.DataFrame({MEAN: pl.Series(forecast, nan_to_null=True), RELEASE: release, LAST: last})
    return inputs, 3 * (0.8 * inflow - release)


def test_the_regression_finds_the_bias_of_the_forecast() -> None:
    inputs, target = rows(400)
    model = InflowAhead(3).fit(inputs, target)
    with_forecast = np.arange(400) % 2 == 1
    np.testing.assert_allclose(model.predict(inputs)[with_forecast], target[with_forecast], atol=0.02)
    without = DampedChange(3).fit(inputs, target).predict(inputs)
    np.testing.assert_array_equal(model.predict(inputs)[~with_forecast], without[~with_forecast])


def test_a_few_forecasts_are_used_by_the_water_balance() -> None:
    """3 days · (forecast − release), by the ensemble's median where there is one; a missing release is its mean."""
    inputs, target = rows(2 * MIN_FORECASTS - 2)
    new = pl.DataFrame({MEAN: [7.0, 7.0, None], RELEASE: [2.0, None, 2.0], LAST: [0.5, 0.5, 0.5]})
    mean_release = inputs[RELEASE].mean()
    assert isinstance(mean_release, float)
    model = InflowAhead(3).fit(inputs, target)
    assert model.predict(new)[:2] == pytest.approx([3 * (7 - 2), 3 * (7 - mean_release)])
    assert model.predict(new)[2] == DampedChange(3).fit(inputs, target).predict(new)[2]
    with_median = InflowAhead(3).fit(inputs.with_columns(pl.col(MEAN).alias(MEDIAN)), target)
    assert with_median.predict(new.with_columns(pl.Series(MEDIAN, [6.0, 6.0, None])))[0] == pytest.approx(3 * (6 - 2))


def test_too_few_forecasts_are_refused_where_the_water_balance_is_unknown() -> None:
    inputs, target = rows(20)
    with pytest.raises(ModelError, match="at least 60 past days with an inflow forecast, but there are 10"):
        InflowAhead(3, min_forecasts=MIN_FORECASTS).fit(inputs, target)
    with pytest.raises(ModelError, match="the dam has none"):
        InflowAhead(3).fit(inputs.drop(MEAN), target)
    constant = rows(400)[0].with_columns(pl.lit(1.0).alias(RELEASE), pl.lit(1.0).alias(LAST))
    constant = constant.with_columns(pl.when(pl.col(MEAN).is_not_null()).then(1.0).alias(MEAN))
    with pytest.raises(ModelError, match="constant"):
        InflowAhead(3).fit(constant, rows(400)[1])


@pytest.mark.parametrize("count", [400, 40])
def test_contributions_sum_to_the_forecast(count: int) -> None:
    inputs, target = rows(count)
    model = InflowAhead(3).fit(inputs, target)
    np.testing.assert_allclose(model.contributions(inputs).sum_horizontal(), model.predict(inputs), rtol=1e-9)


STORAGE = {"role": "target", "station": "lake", "variable": "storage", "unit": "ML"}
GATES = {"role": "release", "station": "r", "variable": "release", "unit": "m3/s"}
DAYS = 900


def world(*gauges: dict[str, object], unit: str = "m3/s") -> tuple[Dam, pl.DataFrame, pl.DataFrame]:
    """A lake with a changing inflow, forecast each noon of the last 400 days; its daily table and its issues."""
    inflow = np.abs(ar1_series(DAYS, mean=40.0, sd=25.0, seed=3))
    release = pl.Series(inflow).rolling_mean(15, min_samples=1).to_numpy()
    forcing = {"kind": "inflow", "id": "ens", "unit": unit}
    dam = small_dam(STORAGE, *gauges, unit="ML", forcings=[forcing], hindcast={"leads": (1, 3)})
    noise = np.random.default_rng(4).normal(0, 20, DAYS)
    values = {"release_r": release.tolist()} if gauges else {}
    storage = 1e6 + np.cumsum(86.4 * (inflow - release)) + noise
    frame = daily_frame(dam, {"storage": storage.tolist()} | values)
    issues = synthetic.forcing_issues(dam, inflow, forcing="ens", error=0.1)
    return dam, frame, issues.filter(pl.col("issue_time") > issues["issue_time"].unique().sort()[DAYS - 400])


def test_an_inflow_forecast_reduces_the_error_and_a_perfect_one_more() -> None:
    dam, frame, issues = world(GATES)
    start = Hindcast(leads=(1, 3), start=frame["date"][450])
    dam = dam.model_copy(update={"hindcast": start})
    tables = DailyTables(frame, frame, frame["date"][-1], None, issues)
    known = make_samples(frame, frame, dam, issues)
    assert "inflow_ahead" in models_for(dam)
    points = with_default(hindcast.point_forecasts(known, dam, models_for(dam)), known)
    others = other_inputs(dam, tables)
    value = forecast_value(known, dam, points, others)
    assert value["lead_time"].to_list() == [1, 3]
    assert (value["mae_as_issued"] < 0.7 * value["mae_without"]).all()
    assert (value["mae_perfect"] < 0.8 * value["mae_as_issued"]).all()
    assert (value["gain_low"] > 0.2).all() and (value["gain_low"] < value["gain"]).all()
    assert value["coverage_90"].null_count() == 2, "no intervals were given"
    scored = known.has_forecasts(3) & (np.arange(DAYS) >= 450) & np.isfinite(known.observed_change(3))
    assert value["n"][1] == scored.sum() < 440, "the first 50 days of the window have no forecast"
    by_hand = {
        name: np.abs(inputs["default"].changes[3] - known.observed_change(3))[scored].mean()
        for name, inputs in {"without": others.without, "as_issued": points, "perfect": others.perfect}.items()
    }
    row = value.row(1, named=True)
    assert {name: row[f"mae_{name}"] for name in by_hand} == pytest.approx(by_hand)
    gains = {name: 1 - by_hand[name] / by_hand["without"] for name in ("as_issued", "perfect")}
    assert (row["gain"], row["gain_perfect"]) == pytest.approx((gains["as_issued"], gains["perfect"]))
    flag = uncertainty.FORECAST
    np.testing.assert_array_equal((uncertainty.day_kinds(known, points, 3) & flag) > 0, known.has_forecasts(3))
    assert points["default"].weights[3]["inflow_ahead"] < 1e-6, "the last day has no forecast"


def test_days_without_a_forecast_have_the_forecasts_of_the_dam_without_any() -> None:
    """Every model is equal to the last digit, and until the first issue the blend to nine digits of its weights."""
    dam, frame, issues = world(GATES)
    bare = dam.model_copy(update={"forcings": ()})
    results = []
    for its_dam, table in ((dam, issues), (bare, None)):
        known = make_samples(frame, frame, its_dam, table)
        results.append(with_default(hindcast.point_forecasts(known, its_dam, models_for(its_dam)), known))
    before = DAYS - 410
    for lead in (1, 3):
        for name in models_for(bare):
            np.testing.assert_array_equal(*(points[name].changes[lead] for points in results))
        first, second = (points["default"].changes[lead][:before] for points in results)
        np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-6)


def test_without_a_gauged_release_the_model_waits_for_enough_forecasts() -> None:
    dam, frame, issues = world()
    known = make_samples(frame, frame, dam, issues)
    points = hindcast.point_forecasts(known, dam, models_for(dam))
    until = points["inflow_ahead"].fallback_until[1]
    kinds = uncertainty.day_kinds(known, points, 1)
    used = known.has_forecasts(1) & (known.dates > np.datetime64(until))
    np.testing.assert_array_equal((kinds & uncertainty.FORECAST) > 0, used)
    assert 0 < used.sum() < known.has_forecasts(1).sum()
