"""The init date of a forecast, and the day of the level that it starts from."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from forebay.errors import DataError
from forebay.features.daily_tables import Reading, choose_init_date, newest_reading
from forebay.tables import READINGS
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam


def day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


LEVELS: list[float | None] = [1.0, None, 2.0, 3.0, 99.0, None]
FLAGS = [None, "absent", "poor", None, "sentinel", "unavailable"]


def test_the_init_date_is_the_last_day_with_a_usable_level() -> None:
    dam = small_dam()
    frame = daily_frame(dam, {"reservoir_level": LEVELS, "reservoir_level_flag": FLAGS})
    assert choose_init_date(frame, dam, None, due=day(5)) == (day(3), day(3))
    assert choose_init_date(frame, dam, day(2), due=day(5)) == (day(2), day(2)), "a poor value is usable"
    assert choose_init_date(frame, dam, day(5), due=day(5)) == (day(5), day(3)), "day 5, from the last level"


def test_days_with_rain_extend_the_record_beyond_the_last_level() -> None:
    dam = small_dam(rain_gauge())
    frame = daily_frame(dam, {
        "reservoir_level": [*LEVELS, None, None],
        "reservoir_level_flag": [*FLAGS, "absent", "absent"],
        "rainfall_r1": [0.0] * 7 + [None],
    })  # fmt: skip
    assert choose_init_date(frame, dam, None, due=day(9)) == (day(6), day(3))
    assert choose_init_date(frame, dam, None, due=day(5)) == (day(5), day(3)), "the level of day 6 is not due yet"


@pytest.mark.parametrize(("number", "nearest"), [(9, 3), (-400, 0)])
def test_an_init_date_without_a_level_is_refused_with_the_nearest(number: int, nearest: int) -> None:
    dam = small_dam()
    frame = daily_frame(dam, {"reservoir_level": LEVELS, "reservoir_level_flag": FLAGS})
    with pytest.raises(DataError) as error:
        choose_init_date(frame, dam, day(number), due=day(5))
    assert str(error.value) == (
        f"Small Dam has no usable reservoir_level on {day(number)} or the 30 days before, but a forecast starts from a "
        f"level that is at most 30 days old; the nearest day that has one is {day(nearest)} "
        f"(the record runs from {day(0)} to {day(3)})"
    )


def test_a_level_that_is_too_old_is_refused() -> None:
    dam = small_dam(rain_gauge())
    frame = daily_frame(dam, {"reservoir_level": [1.0] * 5 + [None] * 31, "rainfall_r1": [0.0] * 36})
    assert choose_init_date(frame.head(35), dam, None, due=day(99)) == (day(34), day(4))
    with pytest.raises(DataError, match=f"the last usable reservoir_level is of {day(4)}, 31 days before the newest"):
        choose_init_date(frame, dam, None, due=day(99))


def test_no_usable_level() -> None:
    dam = small_dam()
    frame = daily_frame(dam, {"reservoir_level": [None, None]})
    with pytest.raises(DataError, match="Small Dam: gauge lake has no usable reservoir_level; nothing can be forecast"):
        choose_init_date(frame, dam, None, due=day(1))


class _Readings:
    """An archive of readings (hour, value in m) of the target, each known at once, and of none by hand."""

    def __init__(self, *readings: tuple[int, float | None]) -> None:
        self.readings = readings

    def known_at(self, gauges: object, until: datetime, time_zone: str) -> pl.DataFrame:
        del gauges, time_zone
        rows = [{"time": noon(hour), "value": value, "quality": "good"} for hour, value in self.readings]
        table = pl.DataFrame(rows, schema={name: READINGS.columns[name] for name in ("time", "value", "quality")})
        return table.filter(pl.col("time") <= until)

    def as_of(self, gauges: object, until: datetime) -> pl.DataFrame:
        """Readings by hand: none."""
        del gauges
        return self.known_at(None, until, "").clear()


def noon(hours: int) -> datetime:
    return datetime(2020, 5, 1, 12, tzinfo=UTC) + timedelta(hours=hours)


def test_the_newest_reading_is_plausible_known_and_in_the_unit_of_the_target() -> None:
    dam = small_dam(unit="ft")
    archive = _Readings((0, 30.48), (1, 60.96), (2, None), (3, 99999.0), (4, 3.048))
    for hours, expected in ((0, (0, 100.0)), (3, (1, 200.0)), (9, (4, 10.0))):
        reading = newest_reading(dam, archive, until=noon(hours))  # type: ignore[arg-type]  # it has these methods
        assert reading == Reading(noon(expected[0]), pytest.approx(expected[1]), "good", dam.target.datum)
    assert newest_reading(dam, archive, until=noon(-1)) is None  # type: ignore[arg-type]
