"""A constant added to levels, full supply, limits and curves together shifts every forecast by just that constant."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.features.samples import make_samples
from forebay.models import models_for
from forebay.verify import hindcast
from forebay.verify.default import with_default
from tests.synthetic import daily_frame, rain_gauge, small_dam

DAYS = 1300
STEP = 1 / 1024
"""Levels are multiples of it and the shift is a power of two, so that no difference of levels is rounded."""
CURVE = {"survey_date": date(2017, 1, 1), "level_unit": "m", "storage_unit": "ML", "source": "simulated"}


def forecasts_of(shift: float, **keys: float) -> pl.DataFrame:
    """Simulated: a lake below full supply that a storm fills now and then, with gates that hold it there."""
    rng = np.random.default_rng(5)
    rain = np.where(rng.random(DAYS) < 0.06, rng.gamma(1.5, 20.0, DAYS), 0.0)
    level = np.empty(DAYS)
    level[0] = 98.0
    for day in range(1, DAYS):
        rise = 0.02 * rain[day - 1] - 0.012 + rng.normal(0, 0.004)
        level[day] = min(level[day - 1] + rise, 100.0 + 0.1 * rng.random())
    level = np.round(level / STEP) * STEP + shift
    dam: Dam = small_dam(
        rain_gauge(),
        full_supply=100.0 + shift,
        storage_curves=[CURVE | {"points": ((80.0 + shift, 0.0), (96.0 + shift, 4000.0), (104.0 + shift, 9000.0))}],
        hindcast={"leads": (1, 7)},
        **{name: value + shift for name, value in keys.items()},
    )
    frame = daily_frame(dam, {dam.target.variable: level.tolist(), dam.columns("rainfall")[0]: rain.tolist()})
    samples = make_samples(frame, frame, dam)
    points = with_default(hindcast.point_forecasts(samples, dam, models_for(dam)), samples)
    return hindcast.forecast_table(samples, dam, points)


@pytest.mark.parametrize("keys", [{}, {"crest_level": 100.25, "lowest_level": 90.0}])
def test_a_shifted_datum_shifts_every_forecast(keys: dict[str, float]) -> None:
    before, after = forecasts_of(0.0, **keys), forecasts_of(512.0, **keys)
    assert before.select("model", "init_date", "lead_time", "quantile").equals(
        after.select("model", "init_date", "lead_time", "quantile")
    )
    np.testing.assert_allclose(after["level"].to_numpy(), before["level"].to_numpy() + 512.0, rtol=0, atol=1e-6)
    np.testing.assert_allclose(after["change"].to_numpy(), before["change"].to_numpy(), rtol=0, atol=1e-6)
    near = before.filter(pl.col("model") == "default", pl.col("quantile") == 0.95)["level"]
    assert (near > 99.5).mean() > 0.1, "the lake is often near full supply"
