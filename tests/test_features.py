"""Inputs of the models, against values computed by hand, and the delay of late gauges in days."""

import math
from collections.abc import Mapping, Sequence

import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.dams.delays import delay_days, with_late_drivers
from forebay.features.inputs import (
    CONTEXT,
    antecedent_precipitation_index,
    build_inputs,
)
from tests.synthetic import daily_frame, rain_gauge, small_dam

Column = list[float | None]


def column(dam: Dam, name: str, columns: Mapping[str, Sequence[float | None]]) -> Column:
    """Input `name` of a daily frame with `columns`."""
    values: Column = build_inputs(daily_frame(dam, columns), dam)[name].to_list()
    return values


LEVEL_ONLY = small_dam()


def test_the_last_change_fades_in_a_gap_and_is_the_change_per_day_across_it() -> None:
    level = {"reservoir_level": [1.0, 1.5, None, 3.0, 3.25, 3.0]}
    assert column(LEVEL_ONLY, "last_change", level) == [None, 0.5, 0.45, 0.75, 0.25, -0.25]
    assert column(LEVEL_ONLY, "change_lag1", level) == [None, None, 0.5, None, 0.75, 0.25]
    assert column(LEVEL_ONLY, "change_lag2", level) == [None, None, None, 0.5, None, 0.75]


def test_the_median_change_needs_five_changes() -> None:
    level = {"reservoir_level": [0.0, 1.0, 1.0, 3.0, 3.5, 6.5, 6.6]}  # changes 1, 0, 2, .5, 3, .1
    medians = column(LEVEL_ONLY, "median_change_30d", level)
    assert medians[:5] == [None] * 5
    assert medians[5:] == pytest.approx([1.0, 0.75])


def test_the_season_is_continuous_over_the_new_year() -> None:
    inputs = build_inputs(daily_frame(LEVEL_ONLY, {"reservoir_level": [1.0] * 366}), LEVEL_ONLY)
    assert inputs["day_of_year"].to_list() == [*range(1, 366), 1]  # synthetic days start on 1 January of a common year
    angle = 2 * math.pi * 32 / 365.25
    assert inputs.row(31, named=True)["season_sin"] == pytest.approx(math.sin(angle))
    assert inputs.row(31, named=True)["season_cos"] == pytest.approx(math.cos(angle))


TWO_GAUGES = small_dam(rain_gauge("a"), rain_gauge("b"))
RAIN = {"rainfall_a": [0.0, 10.0, None, None, 4.0], "rainfall_b": [2.0, 20.0, 6.0, None, None]}


def test_missing_rain_is_not_zero() -> None:
    assert column(TWO_GAUGES, "rain_lag0", RAIN) == [1.0, 15.0, 6.0, None, 4.0]
    assert column(TWO_GAUGES, "rain_lag1", RAIN) == [None, 1.0, 15.0, 6.0, None]
    assert column(TWO_GAUGES, "rain_lag2", RAIN) == [None, None, 1.0, 15.0, 6.0]


def test_three_day_rain_needs_two_readings() -> None:
    assert column(TWO_GAUGES, "rain_3d", RAIN) == [None, 16.0, 22.0, 21.0, 10.0]
    assert column(TWO_GAUGES, "rain_3d", {"rainfall_a": [5.0, None, None, 1.0]}) == [None, None, None, None]


def test_the_wetness_index_continues_over_a_day_without_rain_readings() -> None:
    """API(d) = .9·API(d−1) + rain(d); on day 4 the mean of 1, 15 and 6 mm replaces the missing rain."""
    first = [1.0, 0.9 + 15, 0.9 * 15.9 + 6]
    fourth = 0.9 * first[2] + 22 / 3
    api = [*first, fourth, 0.9 * fourth + 4]
    assert column(TWO_GAUGES, "api", RAIN) == pytest.approx(api)
    assert column(TWO_GAUGES, "rain_api", RAIN)[:3] == pytest.approx([1.0, 15 * api[1], 6 * api[2]])
    assert column(TWO_GAUGES, "rain_api", RAIN)[3] is None
    assert column(TWO_GAUGES, "rain_api_lag1", RAIN)[2] == pytest.approx(15 * api[1])
    assert column(TWO_GAUGES, "rain_3d_api", RAIN)[1] == pytest.approx(16 * api[1])


def test_the_wetness_index_before_any_reading_is_zero() -> None:
    dry = antecedent_precipitation_index(pl.Series([None, None, 3.0, None], dtype=pl.Float64))
    assert dry.to_list() == pytest.approx([0.0, 0.0, 3.0, 0.9 * 3 + 3])


def test_streams_and_flows_give_value_rise_and_root() -> None:
    dam = small_dam(
        {"role": "stream", "station": "s", "variable": "stream_level", "unit": "m"},
        {"role": "release", "station": "r", "variable": "release", "unit": "m3/s"},
        {"role": "inflow", "station": "i", "variable": "inflow", "unit": "m3/s"},
        {"role": "temperature", "station": "t", "variable": "temperature", "unit": "degC"},
    )
    columns = {"stream_level_s": [1.0, 1.5, None, 2.0], "inflow_i": [4.0, -9.0, 0.0, 25.0], "temperature_t": [20.0] * 4}
    inputs = build_inputs(daily_frame(dam, columns), dam)
    assert inputs["stream_level_s"].to_list() == [1.0, 1.5, None, 2.0]
    assert inputs["stream_level_s_rise"].to_list() == [None, 0.5, None, None]
    assert inputs["inflow_i_root"].to_list() == [2.0, -3.0, 0.0, 5.0]
    assert "stream_level_s_root" not in inputs.columns
    assert inputs["release_r_rise"].null_count() == 4
    assert not any("temperature" in name or "rain" in name for name in inputs.columns)


LATE = {
    "in time": ({}, {}, 0),
    "as late as the target": ({"latency_h": 30}, {"latency_h": 30}, 0),
    "six hours late": ({"latency_h": 6}, {}, 1),
    "a day late": ({"latency_h": 24}, {}, 1),
    "25 hours late": ({"latency_h": 25}, {}, 2),
    "target six hours late too": ({"latency_h": 6}, {"latency_h": 6}, 0),
    "rain day ends at nine on its day": ({"day_start": "09:00"}, {}, 0),
    "rain day ends at nine, known by midnight": ({"day_start": "09:00", "latency_h": 15}, {}, 0),
    "rain day ends at nine, known after midnight": ({"day_start": "09:00", "latency_h": 15.5}, {}, 1),
    "stamped at its end": ({"day_start": "09:00", "stamp": "end"}, {}, 0),
    "hours of the calendar day": ({"interval": "hour", "day_start": "09:00"}, {}, 0),
    "hours of the calendar day, the last one late": ({"interval": "hour", "day_start": "09:00", "latency_h": 9}, {}, 1),
    "read at eight, known in time": ({"reading": "instantaneous", "reading_at": "08:00", "latency_h": 16}, {}, 0),
    "read at eight, known later": ({"reading": "instantaneous", "reading_at": "08:00", "latency_h": 17}, {}, 1),
}


@pytest.mark.parametrize(("rain", "level", "days"), LATE.values(), ids=LATE)
def test_late_drivers_have_one_more_day_of_delay(rain: dict[str, object], level: dict[str, object], days: int) -> None:
    target = {"role": "target", "station": "lake", "variable": "reservoir_level", "unit": "m"}
    late = with_late_drivers(small_dam(target | level, rain_gauge("a", **rain)))
    assert delay_days(late.gauges[1], late) == days + 1
    assert delay_days(late.target_gauge, late) == 0
    columns = {"rainfall_a": [1.0, 2.0, 3.0, 4.0]}
    assert column(late, "rain_lag0", columns) == ([None] * (days + 1) + [1.0, 2.0, 3.0])[:4]


@pytest.mark.parametrize(("rain", "level", "days"), LATE.values(), ids=LATE)
def test_delay(rain: dict[str, object], level: dict[str, object], days: int) -> None:
    target = {"role": "target", "station": "lake", "variable": "reservoir_level", "unit": "m"}
    dam = small_dam(target | level, rain_gauge("a", **rain))
    assert delay_days(dam.gauges[1], dam) == days
    assert delay_days(dam.target_gauge, dam) == 0
    columns = {"rainfall_a": [1.0, 2.0, 3.0, 4.0]}
    assert column(dam, "rain_lag0", columns) == ([None] * days + [1.0, 2.0, 3.0, 4.0])[:4]


def test_context_inputs_by_hand() -> None:
    stream = {"role": "stream", "station": "s", "variable": "stream_level", "unit": "m"}
    dam = small_dam(rain_gauge("a"), stream, full_supply=10.0)
    days = 40
    level = [9.0 + 0.25 * (day % 2) for day in range(days)]  # changes alternate between +.25 and −.25
    flow = [float(day) for day in range(days)]
    columns = {"reservoir_level": level, "rainfall_a": [2.0] * 30 + [None] * 10, "stream_level_s": flow}
    inputs = build_inputs(daily_frame(dam, columns), dam)
    context = inputs.select(name for name in inputs.columns if name.startswith(CONTEXT))
    assert [name.removeprefix(CONTEXT) for name in context.columns] == [
        "change_3d", "change_7d", "median_change_90d", "below_full", "rain_7d", "rain_14d", "rain_30d",
        "stream_level_s_rise_3d", "stream_level_s_anomaly_30d",
    ]  # fmt: skip
    last = {name.removeprefix(CONTEXT): value for name, value in context.row(-1, named=True).items()}
    assert last["change_3d"] == pytest.approx(0.25 / 3)
    assert last["change_7d"] == pytest.approx(0.25 / 7)
    assert last["median_change_90d"] == pytest.approx(0.25)  # 20 rises and 19 falls in 39 days
    assert last["below_full"] == pytest.approx((10.0 - 9.25) / 0.5)
    assert (last["rain_7d"], last["rain_14d"], last["rain_30d"]) == (None, None, None), "10 days without a reading"
    assert context["context_rain_7d"][31] == 10.0, "5 readings in 7 days are enough, and missing days are not filled"
    assert last["stream_level_s_rise_3d"] == 3.0
    assert last["stream_level_s_anomaly_30d"] == pytest.approx(14.5)


def test_context_inputs_without_full_supply() -> None:
    inputs = build_inputs(daily_frame(LEVEL_ONLY, {"reservoir_level": [1.0, 2.0]}), LEVEL_ONLY)
    assert inputs["context_level"].to_list() == [1.0, 2.0]
    assert "context_below_full" not in inputs.columns


def test_the_distance_to_full_supply_is_bounded() -> None:
    dam = small_dam(full_supply=10.0)
    assert column(dam, "context_below_full", {"reservoir_level": [-500.0, 10.0, 60.0]}) == [20.0, 0.0, -2.0]


def test_rise_per_flow_from_the_storage_curve() -> None:
    """1 m3/s is 86.4 ML a day: 0.0864 m at 1,000 ML per metre of level, a tenth of it at 10,000 ML per metre."""
    curve = {"level_unit": "m", "storage_unit": "ML", "points": [(0.0, 0.0), (10.0, 10_000.0), (20.0, 110_000.0)]}
    dam = small_dam(rain_gauge("a"), storage_curves=[curve])
    columns = {"reservoir_level": [5.0, 15.0, 25.0], "rainfall_a": [10.0, 10.0, 10.0]}
    assert column(dam, "context_rise_per_flow", columns) == [pytest.approx(0.0864), pytest.approx(0.00864), None]
    api = column(dam, "api", columns)
    assert api[1] is not None
    assert column(dam, "context_rain_api_rise", columns)[1] == pytest.approx(10 * api[1] * 0.00864)


UNIT_SIZES = {"m": 1.0, "ft": 0.3048, "ML": 1.0, "GL": 1000.0, "hm3": 1000.0, "ac-ft": 1.23348184}
"""In m and in ML."""


@pytest.mark.parametrize(
    ("unit", "level_unit", "storage_unit"),
    [("m", "ft", "ML"), ("ft", "m", "GL"), ("ft", "ft", "ac-ft"), ("m", "m", "hm3")],
)
def test_the_units_of_the_storage_curve_and_of_the_level_may_differ(
    unit: str, level_unit: str, storage_unit: str
) -> None:
    """1,000 ML per metre of level in all units: 1 m3/s lifts the lake by 0.0864 m a day."""
    points = [(metres / UNIT_SIZES[level_unit], 1000 * metres / UNIT_SIZES[storage_unit]) for metres in (0.0, 20.0)]
    curve = {"level_unit": level_unit, "storage_unit": storage_unit, "points": points}
    dam = small_dam(unit=unit, storage_curves=[curve])
    rises = column(dam, "context_rise_per_flow", {"reservoir_level": [5.0 / UNIT_SIZES[unit]]})
    assert rises == [pytest.approx(0.0864 / UNIT_SIZES[unit])]


@pytest.mark.parametrize(("unit", "margin"), [("m", None), ("m", 2.0), ("ft", None), ("ft", 2.0)])
def test_the_distance_to_full_supply_counts_in_margins(unit: str, margin: float | None) -> None:
    dam = small_dam(unit=unit, full_supply=10.0, hindcast={} if margin is None else {"near_full_margin": margin})
    size = 0.5 / UNIT_SIZES[unit] if margin is None else margin
    assert column(dam, "context_below_full", {"reservoir_level": [10.0 - 3 * size, 10.0 + size]}) == pytest.approx(
        [3.0, -1.0]
    )


def test_weather_inputs_by_hand() -> None:
    dam = small_dam(
        {"role": "temperature", "station": "t", "variable": "temperature", "unit": "degC"},
        {"role": "temperature", "station": "u", "variable": "temperature", "unit": "degC"},
        {"role": "snow", "station": "s", "variable": "snow_water_equivalent", "unit": "mm"},
        {"role": "evaporation", "station": "e", "variable": "evaporation", "unit": "mm"},
    )
    columns: dict[str, Column] = {
        "temperature_t": [2.0, -6.0, None, 5.0],
        "temperature_u": [4.0, 2.0, None, None],
        "snow_water_equivalent_s": [20.0, 30.0, 8.0, 8.0],
        "evaporation_e": [3.0, None, 5.0, 1.0],
    }
    assert column(dam, "degree_days", columns) == [3.0, 0.0, None, 5.0]
    assert column(dam, "degree_days_3d", columns) == [None, 3.0, 3.0, 5.0]
    assert column(dam, "snow_melt", columns) == [12.0, 0.0, None, 8.0], "4 mm per degree-day, at most the snow"
    assert column(dam, "snow_change", columns) == [None, 10.0, -22.0, 0.0]
    assert column(dam, "evaporation", columns) == [3.0, None, 5.0, 1.0]
    assert column(dam, "evaporation_7d", columns) == [None] * 4, "at least 4 readings are needed"


TRAVELS = [(24, 0, 16.0), (30, 0, 14.0), (36, 0, 12.0), (48, 0, 8.0), (48, 20, 8.0)]


@pytest.mark.parametrize(("hours", "latency_h", "tomorrow"), TRAVELS)
def test_water_in_transit_from_upstream(hours: float, latency_h: float, tomorrow: float) -> None:
    """The release doubles every day, up to 16; the water arrives `hours` later."""
    upstream = {"role": "upstream_release", "station": "u", "variable": "release", "unit": "m3/s"}
    dam = small_dam(upstream | {"travel_time_h": hours, "latency_h": latency_h})
    columns: dict[str, Column] = {"release_u": [1.0, 2.0, 4.0, 8.0, 16.0]}
    assert column(dam, "release_u_due_1d", columns)[-1] == tomorrow
    assert column(dam, "release_u_arriving", columns)[-1] == tomorrow / 2
    if (hours, latency_h) == (48, 0):
        assert column(dam, "release_u_due_2d", columns)[-1] == (8 + 16) / 2
    else:
        assert "release_u_due_2d" not in build_inputs(daily_frame(dam, columns), dam).columns
