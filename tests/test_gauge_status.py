"""`forebay.charts.gauge_status`: the age of every gauge, flags of the last days, and bounds beyond the record."""

from datetime import date, timedelta

import polars as pl
import pytest

from forebay.charts.forecast_tables import QUANTILE_COLUMNS
from forebay.charts.gauge_status import beyond_record, gauge_status, recorded_range
from forebay.screen.flags import FLAGS
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam

DAM = small_dam(rain_gauge("a", unit="in", name="North rain"), rain_gauge("b", latency_h=48))
DAYS = [FIRST_DAY + timedelta(days=k) for k in range(5)]
LEVELS = [3.0, 9.0, 1.0, 4.0, 5.0]


def frame(**columns: list[float | None] | list[str | None]) -> pl.DataFrame:
    values = {"reservoir_level": LEVELS, "rainfall_a": [25.4] * 5, "rainfall_b": [0.0, 0.0, 0.0, None, None]}
    return daily_frame(DAM, values | columns)


def flag(gauge: str, day: date, reason: str, withdrawn: date | None = None) -> pl.DataFrame:
    row = (gauge, day, reason, day, withdrawn, 1.0, None)
    return pl.DataFrame([row], schema=FLAGS.columns, orient="row")


def test_every_gauge_has_its_newest_value_in_its_unit_and_its_age() -> None:
    status = gauge_status(frame(), FLAGS.empty(), DAM)
    columns = ["gauge", "last_date", "value", "unit", "age_days", "is_late"]
    assert status.select(columns).rows() == [
        ("Reservoir level", DAYS[4], 5.0, "m", 0, False),
        ("North rain", DAYS[4], pytest.approx(1.0), "in", 0, False),
        ("Rainfall", DAYS[2], 0.0, "mm", 2, False),  # its latency is two days
    ]


def test_a_gauge_is_late_if_its_value_is_older_than_its_latency() -> None:
    status = gauge_status(frame(rainfall_a=[None] * 5), FLAGS.empty(), DAM, age_days=1)
    assert status["age_days"].to_list() == [1, None, 3]
    assert status["is_late"].to_list() == [True, True, True]


@pytest.mark.parametrize(("latency_h", "is_late"), [(0, True), (1, False), (24, False), (25, False)])
def test_a_latency_of_hours_allows_an_age_of_a_whole_day(latency_h: int, is_late: bool) -> None:
    """The value of the day before is one day old."""
    dam = small_dam(rain_gauge("a", latency_h=latency_h))
    values = {"reservoir_level": LEVELS, "rainfall_a": [0.0, 0.0, 0.0, 0.0, None]}
    status = gauge_status(daily_frame(dam, values), FLAGS.empty(), dam)
    assert (status["age_days"][1], status["is_late"][1]) == (1, is_late)


def test_flags_of_the_last_days_state_whether_the_value_is_used() -> None:
    flags = pl.concat([
        flag("rainfall_a", DAYS[3], "neighbours"), flag("rainfall_a", DAYS[4], "neighbours"),
        flag("rainfall_b", DAYS[3], "scale", withdrawn=DAYS[4]), flag("rainfall_b", DAYS[0], "scale"),
        flag("rainfall_b", DAYS[1], "spike"), flag("rainfall_a", DAYS[1], "range"),
        flag("reservoir_level", DAYS[4], "spike"),
    ])  # fmt: skip
    graded = frame(rainfall_b_flag=[None, None, "poor", "absent", "absent"])
    status = gauge_status(graded, flags, DAM)
    assert status["flag"].to_list() == [
        f"spike on {DAYS[4]}",
        f"neighbours on {DAYS[3]} to {DAYS[4]} (not used)",
        f"poor on {DAYS[2]} (still used)",
    ]


def test_the_recorded_range_has_no_suspect_levels() -> None:
    assert recorded_range(frame(), FLAGS.empty(), DAM).rows() == [(DAYS[2], 1.0), (DAYS[1], 9.0)]
    flags = pl.concat([flag("reservoir_level", DAYS[1], "spike"), flag("reservoir_level", DAYS[2], "still")])
    assert recorded_range(frame(), flags, DAM).rows() == [(DAYS[2], 1.0), (DAYS[4], 5.0)]
    unusable = frame(reservoir_level_flag=[None, "range", None, None, None])
    assert recorded_range(unusable, FLAGS.empty(), DAM)["level"].to_list() == [1.0, 5.0]


def fan_of(*bounds: tuple[float, float]) -> pl.DataFrame:
    """A fan with the 0.05 and 0.95 quantiles of consecutive leads."""
    middle = {name: [(low + high) / 2 for low, high in bounds] for name in QUANTILE_COLUMNS[1:-1]}
    ends = {"q05": [float(low) for low, _ in bounds], "q95": [float(high) for _, high in bounds]}
    days = [DAYS[4] + timedelta(days=k) for k in range(len(bounds))]
    return pl.DataFrame({"lead_time": range(len(bounds)), "valid_date": days, **ends, **middle})


def test_bounds_beyond_the_record_are_reported_per_side() -> None:
    record = recorded_range(frame(), FLAGS.empty(), DAM)
    assert beyond_record(fan_of((5, 5), (4, 8.9), (1.0, 9.0)), record).is_empty()
    rows = beyond_record(fan_of((5, 5), (4, 9.5), (0.5, 10.0), (2, 9.1)), record).to_dicts()
    assert [(row["side"], row["level"], row["limit"], row["limit_date"]) for row in rows] == [
        ("below", 0.5, 1.0, DAYS[2]),
        ("above", 10.0, 9.0, DAYS[1]),
    ]
    assert not rows[1]["start_outside"]
    assert beyond_record(fan_of((9.2, 9.2)), record)["start_outside"].to_list() == [True]


def test_without_forecast_or_record_nothing_is_beyond_it() -> None:
    record = recorded_range(frame(), FLAGS.empty(), DAM)
    assert beyond_record(fan_of((5, 5)).clear(), record).is_empty()
    assert beyond_record(fan_of((5, 5)), record.clear()).is_empty()


def test_a_suspect_value_is_not_the_newest_one() -> None:
    flags = flag("reservoir_level", DAYS[4], "unit")
    level = gauge_status(frame(), flags, DAM).row(0, named=True)
    assert (level["last_date"], level["value"], level["is_late"]) == (DAYS[3], 4.0, True)
    withdrawn = flag("reservoir_level", DAYS[3], "jump", withdrawn=DAYS[4])
    assert gauge_status(frame(), withdrawn, DAM)["last_date"][0] == DAYS[4]
    assert gauge_status(frame(), flag("reservoir_level", DAYS[4], "still"), DAM)["last_date"][0] == DAYS[4]
