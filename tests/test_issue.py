"""The init date of a forecast, its age, and its limitations."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from forebay.dams.dam import Dam
from forebay.errors import DataError
from forebay.features.daily_tables import choose_init_date
from forebay.features.samples import make_samples
from forebay.forecasts.issue import IssuedForecast, issue
from forebay.forecasts.limitations import limitations
from forebay.models import MODELS
from forebay.tables import FORECASTS
from forebay.verify import hindcast
from forebay.verify.point_forecasts import DEFAULT
from tests import synthetic
from tests.synthetic import FIRST_DAY, dam_of, frame_of, rain_gauge


def day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


LEVELS: list[float | None] = [1.0, None, 2.0, 3.0, 99.0, None]
FLAGS = [None, "absent", "poor", None, "sentinel", "unavailable"]


def test_the_last_day_with_a_usable_level() -> None:
    dam = dam_of()
    frame = frame_of(dam, {"reservoir_level": LEVELS, "reservoir_level_flag": FLAGS})
    assert choose_init_date(frame, dam, None, due=day(5)) == (day(3), day(3))
    assert choose_init_date(frame, dam, day(2), due=day(5)) == (day(2), day(2)), "a poor value is usable"
    assert choose_init_date(frame, dam, day(5), due=day(5)) == (day(5), day(3)), "as wanted, from the last good level"


def test_the_newest_day_known_of_from_the_last_good_level() -> None:
    dam = dam_of(rain_gauge())
    frame = frame_of(dam, {
        "reservoir_level": [*LEVELS, None, None],
        "reservoir_level_flag": [*FLAGS, "absent", "absent"],
        "rainfall_r1": [0.0] * 7 + [None],
    })  # fmt: skip
    assert choose_init_date(frame, dam, None, due=day(9)) == (day(6), day(3))
    assert choose_init_date(frame, dam, None, due=day(5)) == (day(5), day(3)), "a later level is not missing yet"


@pytest.mark.parametrize(("wanted", "nearest"), [(9, 3), (-400, 0)])
def test_a_wanted_day_without_a_level_names_the_nearest(wanted: int, nearest: int) -> None:
    dam = dam_of()
    frame = frame_of(dam, {"reservoir_level": LEVELS, "reservoir_level_flag": FLAGS})
    with pytest.raises(DataError) as told:
        choose_init_date(frame, dam, day(wanted), due=day(5))
    assert str(told.value) == (
        f"Small Dam has no usable reservoir_level on {day(wanted)} or the 30 days before, but a forecast starts from a "
        f"level that is at most 30 days old; the nearest day that has one is {day(nearest)} "
        f"(the record runs from {day(0)} to {day(3)})"
    )


def test_a_level_that_is_too_old_is_refused() -> None:
    dam = dam_of(rain_gauge())
    frame = frame_of(dam, {"reservoir_level": [1.0] * 5 + [None] * 31, "rainfall_r1": [0.0] * 36})
    assert choose_init_date(frame.head(35), dam, None, due=day(99)) == (day(34), day(4))
    with pytest.raises(DataError, match=f"the last usable reservoir_level is of {day(4)}, 31 days before the newest"):
        choose_init_date(frame, dam, None, due=day(99))


def test_no_usable_level() -> None:
    dam = dam_of()
    frame = frame_of(dam, {"reservoir_level": [None, None]})
    with pytest.raises(DataError, match="Small Dam: gauge lake has no usable reservoir_level; nothing can be forecast"):
        choose_init_date(frame, dam, None, due=day(1))


@pytest.mark.parametrize(
    ("hours", "age", "stale"),
    [(-5, 0, False), (0, 0, False), (23, 0, False), (72, 3, False), (95, 3, False), (96, 4, True)],
)
def test_age(hours: int, age: int, stale: bool) -> None:
    ends = datetime(2020, 5, 2, 14, tzinfo=UTC)
    day, issue_time = date(2020, 5, 2), ends + timedelta(hours=hours)
    issued = IssuedForecast(day, ends, issue_time, day, FORECASTS.empty(), ())
    assert (issued.age_days, issued.stale) == (age, stale)


def test_the_forecast_is_the_hindcast_of_its_day() -> None:
    dam = synthetic.dam()
    frame = synthetic.daily(dam)
    table = synthetic.forecasts(dam, frame, [date(2021, 4, 13), date(2021, 4, 14)])
    issued = issue(table, dam, date(2021, 4, 14), now=synthetic.NOW, limitations=("Rain.",))
    assert set(issued.table["init_date"]) == {date(2021, 4, 14)}
    assert set(issued.table["model"]) == set(synthetic.MODELS)
    assert issued.init_time == datetime(2021, 4, 14, 14, tzinfo=UTC)
    assert (issued.age_days, issued.stale, issued.limitations) == (0, False, ("Rain.",))


STREAM = {"role": "stream", "station": "s", "name": "Coxs River", "variable": "stream_level", "unit": "m"}
FULL = {"full_supply": 100.0}


def limitations_of(dam: Dam, days: int, **columns: list[float | None]) -> tuple[str, ...]:
    """Limitations of a forecast from the last of `days` days; a gauge not in `columns` reports every day."""
    rng = np.random.default_rng(1)
    values = {gauge.column: rng.gamma(2, 2, days).tolist() for gauge in dam.gauges}
    frame = frame_of(dam, values | columns)
    samples = make_samples(frame, frame, dam)
    points = hindcast.with_default(hindcast.point_forecasts(samples, dam, MODELS), samples)
    table = hindcast.forecast_table(samples, dam, points)
    return limitations(frame, samples, dam, points[DEFAULT], table)


def test_no_limitation() -> None:
    assert limitations_of(dam_of(rain_gauge(), STREAM, hindcast={"leads": (1, 7)}, **FULL), 700) == ()


def test_a_short_record_has_no_regression_and_no_intervals() -> None:
    sentences = limitations_of(dam_of(rain_gauge(), hindcast={"leads": (1, 7)}, **FULL), 30)
    assert sentences == (
        "The record (30 days) is too short for the regression: damped_change replaces it at lead times 1, 7.",
        "No intervals at lead times 1, 7: at the start of the month fewer than 20 past forecasts had an observed "
        "level.",
    )


def test_lead_times_without_intervals() -> None:
    """37 days to 6 February, the first forecast on day 7: on 1 February the errors of 24 days are known at lead 1."""
    sentences = limitations_of(dam_of(rain_gauge(), hindcast={"leads": (1, 7)}, **FULL), 37)
    assert "No intervals at lead times 7: at the start of the month" in sentences[1]


def test_a_level_that_never_changes() -> None:
    sentences = limitations_of(dam_of(rain_gauge(), hindcast={"leads": (1,)}, **FULL), 60, reservoir_level=[3.0] * 60)
    assert "The level did not change in 60 days: the gauge may be stuck." in sentences


def test_gauges_without_recent_values() -> None:
    dam = dam_of(rain_gauge(), rain_gauge("r2"), STREAM, hindcast={"leads": (1,)}, **FULL)
    sentences = limitations_of(
        dam, 700, rainfall_r1=[None] * 700, rainfall_r2=[1.0] * 699 + [None], stream_level_s=[1.0] * 690 + [None] * 10
    )
    rest = "; the models take the gap into account, and nothing fills it."
    assert sentences == (
        f"No rain is known since {day(698)} (1 day): the intervals come from past forecasts without rain and "
        "flows, if at least 20 of them had an observed level.",
        "Rainfall r1 has no usable value; the models work without it.",
        f"Rainfall r2 has no value since {day(698)} (1 day){rest}",
        f"Coxs River has no value since {day(689)} (10 days){rest}",
    )


def test_missing_kinds_of_gauge() -> None:
    assert limitations_of(dam_of(hindcast={"leads": (1,)}), 700) == (
        "No gauge of rain or flow: the forecast uses the past levels only.",
        "The dam file has no full supply level: distance to full supply and spills are unknown.",
    )
    assert limitations_of(dam_of(STREAM, hindcast={"leads": (1,)}, **FULL), 700) == (
        "No rain gauge: the forecast notices rain only when the inflow or the level rises.",
    )


def test_a_level_read_at_an_hour() -> None:
    target = {"role": "target", "station": "lake", "variable": "reservoir_level", "unit": "m"}
    dam = dam_of(
        target | {"reading": "instantaneous", "reading_at": "08:00"}, rain_gauge(), hindcast={"leads": (1,)}, **FULL
    )
    assert limitations_of(dam, 700) == (
        "The level is read at 08:00: a lead time of 1 day reaches the next reading, and the level does not yet include "
        "the rain since the last reading.",
    )
