"""Silent levels and drivers: a level that goes on and fades, ages, drills, what the days since the last level add."""

import numpy as np
import polars as pl
import pytest

from forebay.features import outages
from forebay.features.samples import make_samples
from forebay.models import MODELS
from forebay.verify import hindcast, point_forecasts
from tests.synthetic import daily_frame, rain_gauge, small_dam
from tests.test_bad_input import LEADS, RAINY, record, without

BARE = small_dam()


def test_ages_count_from_the_last_word_and_from_nothing_before_the_first() -> None:
    assert outages.days_since(np.array([False, True, False, False, True, False])).tolist() == [0, 0, 1, 2, 0, 1]


def test_a_silent_level_goes_on_with_its_last_change_which_fades() -> None:
    """Up .1 m on day 2; then the inputs see .09, .081 and .0729 m more, and the forecast starts from 1.1 m."""
    levels = [1.0, 1.0, 1.1, None, None, None]
    made = outages.build_extended_inputs(daily_frame(BARE, {"reservoir_level": levels}), BARE)
    assert made["start_level"].to_list() == pytest.approx([1.0, 1.0, 1.1, 1.1, 1.1, 1.1])
    assert made["level_age"].to_list() == [0, 0, 0, 1, 2, 3]
    assert made["last_change"].to_list()[3:] == pytest.approx([0.09, 0.081, 0.0729])


def test_a_level_that_is_too_old_starts_nothing() -> None:
    levels = [1.0, 1.0] + [None] * 40
    made = outages.build_extended_inputs(daily_frame(BARE, {"reservoir_level": levels}), BARE)
    assert made["start_level"].is_null().to_list() == [False] * (2 + outages.OLDEST_LEVEL_DAYS) + [True] * 10


def test_drivers_are_silent_where_no_rain_gauge_speaks() -> None:
    dam = small_dam(rain_gauge(), rain_gauge("r2"))
    given = {"rainfall_r1": [1.0, None, None, None], "rainfall_r2": [None, 2.0, None, None]}
    inputs = pl.DataFrame({"rain_lag0": pl.DataFrame(given).mean_horizontal()})
    assert outages.drivers_age(inputs, dam).tolist() == [0, 0, 1, 2]
    assert outages.drivers_age(inputs.drop("rain_lag0"), BARE).tolist() == [0, 0, 0, 0], "a dam that has no drivers"


def test_the_days_since_the_last_level_are_added_up() -> None:
    daily = np.array([0.1, 0.2, 0.4, np.nan, 0.8])
    made = point_forecasts.change_since_level(daily, np.array([0, 1, 2, 0, 1]))
    np.testing.assert_allclose(made, [0.0, 0.1, 0.3, 0.0, np.nan])


def test_there_are_drills_of_those_silences_that_there_are_and_they_hide_what_is_silent() -> None:
    frame = record(RAINY, days=500)
    assert make_samples(frame, frame, RAINY).outages.simulated == {}  # type: ignore[union-attr]  # it always looks
    silent = make_samples(*(without(frame, "rainfall_r1", 450, 470),) * 2, RAINY).outages
    assert silent is not None
    assert set(silent.simulated) == {"drivers"}
    drill = silent.simulated["drivers"]
    assert drill.days.nonzero()[0].tolist() == list(range(450, 470))
    assert drill.inputs["rain_lag0"][drill.rows.tolist()].is_null().all()
    assert (drill.level_age == 0).all()
    assert drill.drivers_age[30:60].tolist() == list(range(1, 31))


def test_drivers_that_come_late_fall_silent_late_in_a_drill_too() -> None:
    """Rain of a day is known two days later: the first two days of a drill still know that of the days before it."""
    late = small_dam(rain_gauge(latency_h=40.0), hindcast=LEADS, full_supply=110.0)
    frame = record(late, days=500)
    silent = make_samples(*(without(frame, "rainfall_r1", 450, 470),) * 2, late).outages
    assert silent is not None
    drill = silent.simulated["drivers"]
    assert drill.drivers_age[28:65].tolist() == [0] * 4 + list(range(1, 31)) + [0] * 3
    told = drill.inputs["rain_lag0"].is_null().to_numpy()
    assert (told[:450] == (drill.drivers_age[:450] > 0))[2:].all()


def test_no_drill_nor_silent_day_knows_what_comes_later() -> None:
    """Another future of rain and level leaves the drills, the silent days and their forecasts as they were."""
    until = 430
    frame = without(without(record(RAINY, days=520), "reservoir_level", 400, 412), "rainfall_r1", 380, 392)
    later = pl.int_range(pl.len()) > until
    other = frame.with_columns(
        pl.when(later).then(pl.lit(91.0)).otherwise("reservoir_level").alias("reservoir_level"),
        pl.when(later).then(pl.lit(77.0)).otherwise("rainfall_r1").alias("rainfall_r1"),
    )
    seen = []
    for of in (frame, other):
        made = make_samples(of, of, RAINY)
        table = hindcast.with_default(hindcast.point_forecasts(made, RAINY, MODELS), made)
        assert made.outages is not None
        drilled = [table["default"].outage_changes[kind][1][: until + 1] for kind in ("level", "drivers")]
        seen.append([*drilled, table["default"].changes[3][: until + 1], made.outages.start_level[: until + 1]])
    for before, after in zip(*seen, strict=True):
        np.testing.assert_array_equal(before, after)
