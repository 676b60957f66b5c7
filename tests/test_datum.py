"""Datum steps: detected if the dam file does not state them, subtracted if it does."""

from datetime import date, timedelta

import pytest

from forebay.dams.dam import Dam
from forebay.days.datum import on_one_datum, withheld_days, withheld_from
from forebay.errors import ForebayError
from forebay.screen.flags import screen_daily
from tests import synthetic
from tests.test_flags import LEVEL, LEVEL_ONLY, lake

STEP = synthetic.FIRST_DAY + timedelta(days=600)
END = synthetic.FIRST_DAY + timedelta(days=899)
FRAME = synthetic.daily_frame(LEVEL_ONLY, {LEVEL: lake((600, -4.0))})


def dam_with_offsets(*offsets: tuple[date, float]) -> Dam:
    return synthetic.small_dam(datum_offsets=[{"from": day, "offset": offset} for day, offset in offsets])


def test_thresholds_are_withheld_from_an_unstated_step_once_it_is_known() -> None:
    flags = screen_daily(FRAME, LEVEL_ONLY)
    assert withheld_from(flags, LEVEL_ONLY, STEP + timedelta(days=9)) is None
    assert withheld_from(flags, LEVEL_ONLY, STEP + timedelta(days=10)) == STEP


@pytest.mark.parametrize("steps", [(), ((600, -4.0),), ((450, -4.0), (650, -9.0))], ids=["none", "one", "two"])
def test_a_day_is_withheld_if_a_step_is_known_at_its_end(steps: tuple[tuple[int, float], ...]) -> None:
    frame = synthetic.daily_frame(LEVEL_ONLY, {LEVEL: lake(*steps)})
    flags = screen_daily(frame, LEVEL_ONLY)
    known = [withheld_from(flags, LEVEL_ONLY, day) is not None for day in frame["date"]]
    assert withheld_days(frame, flags, LEVEL_ONLY).to_list() == known
    assert sum(known) == (900 - steps[0][0] - 10 if steps else 0)


def test_of_two_unstated_steps_the_first_counts() -> None:
    flags = screen_daily(synthetic.daily_frame(LEVEL_ONLY, {LEVEL: lake((450, -4.0), (650, -9.0))}), LEVEL_ONLY)
    assert flags.filter(reason="step")["date"].n_unique() > 1
    assert withheld_from(flags, LEVEL_ONLY, END) == synthetic.FIRST_DAY + timedelta(days=450)


def test_a_stated_offset_puts_all_readings_on_one_datum() -> None:
    dam = dam_with_offsets((STEP, -4.0))
    frame = on_one_datum(FRAME, dam)
    assert frame[LEVEL].to_list() == pytest.approx(lake())
    flags = screen_daily(frame, dam)
    assert flags.is_empty()
    assert withheld_from(flags, dam, END) is None


def test_an_offset_is_valid_until_the_next_one() -> None:
    day = synthetic.FIRST_DAY
    frame = synthetic.daily_frame(LEVEL_ONLY, {LEVEL: [1.0, 3.0, 3.0, 1.0]})
    dam = dam_with_offsets((day + timedelta(days=3), 0.0), (day + timedelta(days=1), 2.0))
    assert on_one_datum(frame, dam)[LEVEL].to_list() == [1.0, 1.0, 1.0, 1.0]
    assert on_one_datum(frame, LEVEL_ONLY) is frame


def test_two_offsets_from_one_day_are_refused() -> None:
    with pytest.raises((ForebayError, ValueError), match="datum_offsets: from 2019-08-24 occurs twice"):
        dam_with_offsets((date(2019, 8, 24), 1.0), (date(2019, 8, 24), 2.0))
