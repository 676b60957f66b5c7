"""Every driver on a simulated lake that it truly moves: with its gauge the forecasts are better, by how much is known.

Each lake's level is what one driver does to it plus small noise; the same forecasts are made with the driver's gauge in
the dam file and without it. One model is asked, the line or, where lines are not told, the trees: what is tested is
that the input is there and tells what it should.
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
    """MAE of one model, by default the line, over the hindcast of `frame`."""
    dam = dam.model_copy(update={"hindcast": Hindcast(leads=(lead,), start=FIRST_DAY + timedelta(days=500))})
    samples = make_samples(frame, frame, dam)
    made = hindcast.point_forecasts(samples, dam, {"it": model, "damped_change": DampedChange})["it"]
    assert not made.fallback_until, "the model itself, nothing in its place"
    return float(np.nanmean(np.abs(made.changes[lead] - samples.change(samples.observed, lead))))


def before(values: np.ndarray, days: int = 1) -> np.ndarray:
    """Each day's value of `days` ago."""
    return np.concatenate([np.full(days, values[0]), values[:-days]])


def rain() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    fallen = random_rain(DAYS)
    return [rain_gauge()], {"rainfall_r1": fallen}, 0.002 * before(fallen) + 0.001 * before(fallen, 2)


def wetness() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    """Rain on dry ground makes no flow: only rain × wetness does, and the ground forgets a tenth a day."""
    fallen = random_rain(DAYS)
    wet = np.zeros(DAYS)
    for day in range(1, DAYS):
        wet[day] = 0.9 * wet[day - 1] + fallen[day]
    return [rain_gauge()], {"rainfall_r1": fallen}, 3e-5 * before(fallen * wet)


def stream() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    stage = ar1_series(DAYS, mean=3.0, sd=0.3)
    return [gauge("stream", "stream_level", "m")], {"stream_level_g": stage}, 0.05 * (before(stage) - 3)


def rising_stream() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    stage = np.cumsum(ar1_series(DAYS, sd=0.05)) + 20
    return [gauge("stream", "stream_level", "m")], {"stream_level_g": stage}, 0.2 * before(np.diff(stage, prepend=20))


def discharge() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    flow = np.exp(ar1_series(DAYS, mean=2.0, sd=0.6))
    return [gauge("stream", "discharge", "m3/s")], {"discharge_g": flow}, 0.001 * before(flow)


def inflow() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    flow = np.exp(ar1_series(DAYS, mean=2.0, sd=0.6))
    return [gauge("inflow", "inflow", "m3/s")], {"inflow_g": flow}, 0.001 * before(flow)


def release() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    flow = np.exp(ar1_series(DAYS, mean=2.0, sd=0.6))
    return [gauge("release", "release", "m3/s")], {"release_g": flow}, -0.001 * before(flow)


def warmth() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    """A glacier: ice melts with degree-days above 0 °C, whatever has snowed."""
    warm = ar1_series(DAYS, mean=0.0, sd=6.0)
    return [gauge("temperature", "temperature", "degC")], {"temperature_g": warm}, 0.003 * before(warm.clip(0))


def evaporation() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    loss = ar1_series(DAYS, mean=6.0, sd=1.5).clip(0)
    return [gauge("evaporation", "evaporation", "mm")], {"evaporation_g": loss}, -0.005 * before(loss)


def upstream_level() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    """The lake upstream spills above 50 m, and the water takes 2 days."""
    level = ar1_series(DAYS, mean=50.0, sd=0.4)
    upstream = gauge("upstream_level", "reservoir_level", "m", travel_time_h=48)
    return [upstream], {"reservoir_level_g": level}, 0.05 * before(level - 50, 2)


def upstream_release() -> tuple[list[dict[str, object]], Columns, np.ndarray]:
    flow = np.exp(ar1_series(DAYS, mean=2.0, sd=0.6))
    upstream = gauge("upstream_release", "release", "m3/s", travel_time_h=48)
    return [upstream], {"release_g": flow}, 0.001 * before(flow, 2)


LAKES = {
    made.__name__: made
    for made in (
        rain, wetness, stream, rising_stream, discharge, inflow, release, warmth, evaporation, upstream_level,
        upstream_release,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", LAKES)
def test_a_driver_that_moves_the_lake_makes_forecasts_better(name: str) -> None:
    """Of temperature without snow trees alone are told: lines took it for the season, and went astray."""
    gauges, columns, change = LAKES[name]()
    dam, blind = small_dam(*gauges), small_dam()
    frame = frame_from_changes(dam, change, columns)
    model = Trees if name == "warmth" else Huber
    with_gauge, without = (mae(of, frame, model=model) for of in (dam, blind))
    assert with_gauge < 0.5 * without, f"{with_gauge:.5f} against {without:.5f}"
    assert with_gauge < 1.6 * 0.002 * (2 / np.pi) ** 0.5 + 0.15 * without, "near the noise, which nobody can know"


def test_snow_tells_how_much_can_melt() -> None:
    """Warm days move the lake only while there is snow: temperature alone does not tell."""
    warm = ar1_series(DAYS, mean=0.0, sd=6.0)
    falls = np.where(np.random.default_rng(8).random(DAYS) < 0.15, 40.0, 0.0)
    snow, melt = np.zeros(DAYS), np.zeros(DAYS)
    for day in range(1, DAYS):
        melt[day] = min(snow[day - 1], 4.0 * max(warm[day - 1], 0.0))
        snow[day] = snow[day - 1] - melt[day] + falls[day]
    gauges = [
        gauge("temperature", "temperature", "degC"),
        gauge("snow", "snow_water_equivalent", "mm", station="s"),
    ]
    dam, without_snow = small_dam(*gauges), small_dam(gauges[0])
    frame = frame_from_changes(dam, 0.003 * melt, {"temperature_g": warm, "snow_water_equivalent_s": snow})
    assert mae(dam, frame) < 0.5 * mae(without_snow, frame)


def test_the_slope_of_the_storage_curve_tells_what_rain_does_to_the_level() -> None:
    """A funnel: the same water lifts the level 25 times as much near its bottom as near its rim.

    Trees, which alone are told, also have the level itself and can learn much of it: the slope saves them 4%.
    """
    fallen = random_rain(DAYS)
    held = 95 + 10 * np.sin(np.arange(DAYS) / 30)  # people fill and empty it
    wet, above, level = np.zeros(DAYS), np.zeros(DAYS), held.copy()
    for day in range(1, DAYS):
        wet[day] = 0.9 * wet[day - 1] + fallen[day]
        water = 20.0 * fallen[day - 1] * wet[day - 1]
        above[day] = 0.8 * above[day - 1] + water / (3000 * (level[day - 1] - 80) ** 2)
        level[day] = held[day] + above[day]
    points = [(float(at), 1000.0 * (at - 80) ** 3) for at in np.arange(80, 121)]
    curve = {"level_unit": "m", "storage_unit": "ML", "points": points}
    dam, flat = small_dam(rain_gauge(), storage_curves=[curve]), small_dam(rain_gauge())
    frame = daily_frame(dam, {"reservoir_level": level.tolist(), "rainfall_r1": fallen.tolist()})
    assert mae(dam, frame, model=Trees) < 0.98 * mae(flat, frame, model=Trees)


def test_the_travel_time_says_when_the_water_comes() -> None:
    """Three days of travel: at lead 3 all that will come has passed the gauge; without it the line sees today only."""
    gauges, _, _ = upstream_release()
    flow = np.exp(ar1_series(DAYS, mean=2.0, sd=0.6))
    timed, untimed = small_dam(gauges[0] | {"travel_time_h": 72}), small_dam(gauges[0] | {"travel_time_h": 0})
    frame = frame_from_changes(timed, 0.001 * before(flow, 3), {"release_g": flow})
    assert mae(timed, frame, lead=3) < 0.7 * mae(untimed, frame, lead=3)


def test_a_gauge_that_is_late_helps_less_than_one_in_time() -> None:
    fallen = random_rain(DAYS)
    in_time, late = small_dam(rain_gauge()), small_dam(rain_gauge(latency_h=20))
    frame = frame_from_changes(in_time, 0.002 * before(fallen), {"rainfall_r1": fallen})
    assert mae(in_time, frame) < 0.5 * mae(late, frame)


def test_full_supply_tells_trees_where_rises_end() -> None:
    """Inflow lifts the lake to full supply, and what comes beyond it spills."""
    flow = np.exp(ar1_series(DAYS, mean=2.0, sd=0.9))
    level = np.full(DAYS, 90.0)
    for day in range(1, DAYS):
        level[day] = min(100.0, level[day - 1] + 0.05 * flow[day - 1]) - 0.4 + 0.002 * (day % 2)
    of = gauge("inflow", "inflow", "m3/s")
    dam, unlimited = small_dam(of, full_supply=100.0), small_dam(of)
    frame = daily_frame(dam, {"reservoir_level": level.tolist(), "inflow_g": flow.tolist()})
    told = make_samples(frame, frame, dam).inputs
    assert "context_below_full" in told.columns
    assert mae(dam, frame, model=Trees) < 0.6 * mae(dam, frame, model=Huber)
    assert "context_level" in make_samples(frame, frame, unlimited).inputs.columns
