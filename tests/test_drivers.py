"""Every driver on a simulated dam whose level depends on it: the driver's gauge reduces the error of forecasts.

The level follows one driver plus small noise. A model forecasts it with the driver's gauge in the dam file and without
it. The model is the linear `Huber`, or `Trees` where linear models do not get the input. The tests show that the input
exists and has the right content.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.dams.hindcast import Hindcast
from forebay.features.samples import make_samples
from forebay.models.boosting import Trees
from forebay.models.references import DampedChange
from forebay.models.regression import Huber
from forebay.verify import hindcast
from tests.synthetic import FIRST_DAY, ar1_series, daily_frame, frame_from_changes, rain_gauge, random_rain, small_dam

DAYS = 900
Columns = dict[str, np.ndarray]


def gauge(role: str, variable: str, unit: str, **keys: object) -> dict[str, object]:
    return {"role": role, "station": "g", "variable": variable, "unit": unit} | keys


def mae(dam: Dam, frame: pl.DataFrame, lead: int = 1, model: type[Huber | Trees] = Huber) -> float:
    """MAE of one model over the hindcast of `frame`."""
    dam = dam.model_copy(update={"hindcast": Hindcast(leads=(lead,), start=FIRST_DAY + timedelta(days=500))})
    samples = make_samples(frame, frame, dam)
    points = hindcast.point_forecasts(samples, dam, {"tested": model, "damped_change": DampedChange})["tested"]
    assert not points.fallback_until, "no other model replaces the tested one"
    return float(np.nanmean(np.abs(points.changes[lead] - samples.change(samples.observed, lead))))


def lagged(values: np.ndarray, days: int = 1) -> np.ndarray:
    """`values` of `days` earlier; the first value fills the start."""
    return np.concatenate([np.full(days, values[0]), values[:-days]])


def rain() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    rainfall = random_rain(DAYS)
    return [rain_gauge()], {"rainfall_r1": rainfall}, 0.002 * lagged(rainfall) + 0.001 * lagged(rainfall, 2)


def wetness() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    """Only rain × wetness produces flow; the wetness decreases by a tenth a day."""
    rainfall = random_rain(DAYS)
    wet = np.zeros(DAYS)
    for day in range(1, DAYS):
        wet[day] = 0.9 * wet[day - 1] + rainfall[day]
    return [rain_gauge()], {"rainfall_r1": rainfall}, 3e-5 * lagged(rainfall * wet)


def stream() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    stage = ar1_series(DAYS, mean=3.0, sd=0.3)
    return [gauge("stream", "stream_level", "m")], {"stream_level_g": stage}, 0.05 * (lagged(stage) - 3)


def rising_stream() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    stage = np.cumsum(ar1_series(DAYS, sd=0.05)) + 20
    return [gauge("stream", "stream_level", "m")], {"stream_level_g": stage}, 0.2 * lagged(np.diff(stage, prepend=20))


def discharge() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    flow = np.exp(ar1_series(DAYS, mean=2.0, sd=0.6))
    return [gauge("stream", "discharge", "m3/s")], {"discharge_g": flow}, 0.001 * lagged(flow)


def inflow() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    flow = np.exp(ar1_series(DAYS, mean=2.0, sd=0.6))
    return [gauge("inflow", "inflow", "m3/s")], {"inflow_g": flow}, 0.001 * lagged(flow)


def release() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    flow = np.exp(ar1_series(DAYS, mean=2.0, sd=0.6))
    return [gauge("release", "release", "m3/s")], {"release_g": flow}, -0.001 * lagged(flow)


def temperature() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    """A glacier: ice melts with degree-days above 0 °C, independent of snowfall."""
    degrees = ar1_series(DAYS, mean=0.0, sd=6.0)
    return [gauge("temperature", "temperature", "degC")], {"temperature_g": degrees}, 0.003 * lagged(degrees.clip(0))


def evaporation() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    loss = ar1_series(DAYS, mean=6.0, sd=1.5).clip(0)
    return [gauge("evaporation", "evaporation", "mm")], {"evaporation_g": loss}, -0.005 * lagged(loss)


def upstream_level() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    """The reservoir upstream spills above 50 m, and the water arrives after 2 days."""
    level = ar1_series(DAYS, mean=50.0, sd=0.4)
    upstream = gauge("upstream_level", "reservoir_level", "m", travel_time_h=48)
    return [upstream], {"reservoir_level_g": level}, 0.05 * lagged(level - 50, 2)


def upstream_release() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    flow = np.exp(ar1_series(DAYS, mean=2.0, sd=0.6))
    upstream = gauge("upstream_release", "release", "m3/s", travel_time_h=48)
    return [upstream], {"release_g": flow}, 0.001 * lagged(flow, 2)


DRIVERS = {
    driver.__name__: driver
    for driver in (
        rain, wetness, stream, rising_stream, discharge, inflow, release, temperature, evaporation, upstream_level,
        upstream_release,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", DRIVERS)
def test_the_gauge_of_a_driver_reduces_the_error(name: str) -> None:
    """Only trees get temperature without snow: linear models confuse it with the season."""
    gauges, columns, change = DRIVERS[name]()
    dam, dam_without = small_dam(*gauges), small_dam()
    frame = frame_from_changes(dam, change, columns)
    model = Trees if name == "temperature" else Huber
    with_gauge, without = (mae(known, frame, model=model) for known in (dam, dam_without))
    assert with_gauge < 0.5 * without, f"{with_gauge:.5f} against {without:.5f}"
    assert with_gauge < 1.6 * 0.002 * (2 / np.pi) ** 0.5 + 0.15 * without, "near the noise, which cannot be forecast"


def test_snow_limits_the_melt() -> None:
    """Warm days raise the level only while snow exists, so temperature alone does not determine the melt."""
    degrees = ar1_series(DAYS, mean=0.0, sd=6.0)
    snowfall = np.where(np.random.default_rng(8).random(DAYS) < 0.15, 40.0, 0.0)
    snow, melt = np.zeros(DAYS), np.zeros(DAYS)
    for day in range(1, DAYS):
        melt[day] = min(snow[day - 1], 4.0 * max(degrees[day - 1], 0.0))
        snow[day] = snow[day - 1] - melt[day] + snowfall[day]
    gauges = [
        gauge("temperature", "temperature", "degC"),
        gauge("snow", "snow_water_equivalent", "mm", station="s"),
    ]
    dam, without_snow = small_dam(*gauges), small_dam(gauges[0])
    frame = frame_from_changes(dam, 0.003 * melt, {"temperature_g": degrees, "snow_water_equivalent_s": snow})
    assert mae(dam, frame) < 0.5 * mae(without_snow, frame)


def test_the_slope_of_the_storage_curve_scales_the_effect_of_rain() -> None:
    """A funnel: the same volume raises the level 25 times as much near the bottom as near the rim.

    Only trees get the slope. They also have the level and learn most of the effect from it; the slope reduces their
    error by 4%.
    """
    rainfall = random_rain(DAYS)
    operation = 95 + 10 * np.sin(np.arange(DAYS) / 30)  # controlled filling and emptying
    wet, above, level = np.zeros(DAYS), np.zeros(DAYS), operation.copy()
    for day in range(1, DAYS):
        wet[day] = 0.9 * wet[day - 1] + rainfall[day]
        water = 20.0 * rainfall[day - 1] * wet[day - 1]
        above[day] = 0.8 * above[day - 1] + water / (3000 * (level[day - 1] - 80) ** 2)
        level[day] = operation[day] + above[day]
    points = [(float(height), 1000.0 * (height - 80) ** 3) for height in np.arange(80, 121)]
    curve = {"level_unit": "m", "storage_unit": "ML", "points": points}
    dam, flat = small_dam(rain_gauge(), storage_curves=[curve]), small_dam(rain_gauge())
    frame = daily_frame(dam, {"reservoir_level": level.tolist(), "rainfall_r1": rainfall.tolist()})
    assert mae(dam, frame, model=Trees) < 0.98 * mae(flat, frame, model=Trees)


def test_the_travel_time_dates_the_arrival_of_water() -> None:
    """Travel time 3 days: at lead 3 all arriving water has passed the gauge; without it the model uses today's flow."""
    gauges, _, _ = upstream_release()
    flow = np.exp(ar1_series(DAYS, mean=2.0, sd=0.6))
    timed, untimed = small_dam(gauges[0] | {"travel_time_h": 72}), small_dam(gauges[0] | {"travel_time_h": 0})
    frame = frame_from_changes(timed, 0.001 * lagged(flow, 3), {"release_g": flow})
    assert mae(timed, frame, lead=3) < 0.7 * mae(untimed, frame, lead=3)


def test_a_late_gauge_reduces_the_error_less_than_a_gauge_in_time() -> None:
    rainfall = random_rain(DAYS)
    in_time, late = small_dam(rain_gauge()), small_dam(rain_gauge(latency_h=20))
    frame = frame_from_changes(in_time, 0.002 * lagged(rainfall), {"rainfall_r1": rainfall})
    assert mae(in_time, frame) < 0.5 * mae(late, frame)


def test_full_supply_limits_the_rises_that_trees_forecast() -> None:
    """Inflow raises the level to full supply, and the rest spills."""
    flow = np.exp(ar1_series(DAYS, mean=2.0, sd=0.9))
    level = np.full(DAYS, 90.0)
    for day in range(1, DAYS):
        level[day] = min(100.0, level[day - 1] + 0.05 * flow[day - 1]) - 0.4 + 0.002 * (day % 2)
    inflow_gauge = gauge("inflow", "inflow", "m3/s")
    dam, unlimited = small_dam(inflow_gauge, full_supply=100.0), small_dam(inflow_gauge)
    frame = daily_frame(dam, {"reservoir_level": level.tolist(), "inflow_g": flow.tolist()})
    assert "context_below_full" in make_samples(frame, frame, dam).inputs.columns
    assert mae(dam, frame, model=Trees) < 0.6 * mae(dam, frame, model=Huber)
    assert "context_level" in make_samples(frame, frame, unlimited).inputs.columns
