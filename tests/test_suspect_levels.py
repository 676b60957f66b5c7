"""Questions about suspect levels: what may have happened, and the keys of the dam file that state it."""

from datetime import date, timedelta

import polars as pl
import pytest

from forebay.forecasts.suspect_levels import no_forecast, questions
from forebay.screen.flags import FLAGS
from tests.synthetic import FIRST_DAY, daily_frame, small_dam

DAYS = 40
LEVEL = 100.0


def day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


def record(factor: float = 1.0, *, since: int = 37, last: int = DAYS, unit: str = "m") -> pl.DataFrame:
    """A constant level, which is read as `factor` times as high on the days from `since` to the day before `last`."""
    levels = [LEVEL * (factor if number >= since else 1.0) if number < last else None for number in range(DAYS)]
    return daily_frame(small_dam(unit=unit), {"reservoir_level": levels})


def flags_of(*runs: tuple[int, int, str, float, float | None]) -> pl.DataFrame:
    """Flags of the level: first day, day after the last, reason, value, expected value."""
    rows = [
        ("reservoir_level", day(number), reason, day(number), None, value, expected)
        for first, after, reason, value, expected in runs
        for number in range(first, after)
    ]
    return pl.DataFrame(rows, schema=FLAGS.columns, orient="row")


@pytest.mark.parametrize(
    ("unit", "factor", "what", "times", "keys"),
    [
        ("m", 1 / 0.3048, "a unit that changed from m to ft", "3.281", 'unit = "ft"'),
        ("ft", 0.3048, "a unit that changed from ft to m", "0.3048", 'unit = "m"'),
        ("m", 0.3048, "another unit, or a shifted decimal point", "0.3048", "scale = 3.28084"),
        ("m", 10.0, "another unit, or a shifted decimal point", "10", "scale = 0.1"),
        ("ft", 0.001, "another unit, or a shifted decimal point", "0.001", "scale = 1000"),
    ],
)
def test_a_slip_of_the_unit_is_a_question_with_the_keys_that_state_it(
    unit: str, factor: float, what: str, times: str, keys: str
) -> None:
    """The readings differ a little from the exact multiple, since the level changes."""
    flags = flags_of((37, DAYS, "unit", LEVEL * factor, LEVEL * 1.01))
    (text,) = questions(record(factor, unit=unit), flags, small_dam(unit=unit))
    assert text == (
        f"Is it {what}? The readings since {day(37)} (3 days, {LEVEL * factor:,.6g} {unit}) are about {times} times "
        f"the expected value: if so, state it in the dam file's target gauge: readings_from = [{{ from = {day(37)}, "
        f'{keys} }}]; if they are right, accept them: accept = [{{ from = {day(37)}, reason = "…" }}].'
    )


def test_only_suspect_runs_up_to_the_newest_reading_are_asked_about() -> None:
    jump = (39, DAYS, "jump", 150.0, 100.0)
    others = ((10, 12, "jump", 130.0, 100.0), (5, DAYS, "still", 100.0, None), (38, DAYS, "range", 99999.0, None))
    assert questions(record(1.5), flags_of(jump, *others), small_dam()) == [
        f"Are the readings since {day(39)} (1 day, 150 m) real? The screen flags them as 'jump': if they are right, "
        f'accept them: accept = [{{ from = {day(39)}, reason = "…" }}] in the dam file\'s target gauge.'
    ]
    assert questions(record(1.5), flags_of(*others), small_dam()) == []
    withdrawn = flags_of(jump).with_columns(pl.lit(day(39)).alias("withdrawn_on"))
    assert questions(record(1.5), withdrawn, small_dam()) == []
    older = record(1.5, since=30, last=35)
    assert len(questions(older, flags_of((30, 35, "jump", 150.0, 100.0)), small_dam())) == 1, "the newest reading"


@pytest.mark.parametrize(
    ("first", "start"), [(5, f"the last level that can be used is of {day(4)}"), (0, "no level can be used")]
)
def test_without_a_forecast_the_reason_names_the_last_usable_level(first: int, start: str) -> None:
    text = no_forecast(record(1.5, since=first), flags_of((first, DAYS, "jump", 150.0, 100.0)), small_dam())
    assert text.startswith(
        f"Small Dam: no forecast from {day(39)} is possible, because {start} and a forecast starts from a level that "
        f"is at most 30 days old. Are the readings since {day(first)} ({DAYS - first} days, 150 m) real?"
    )


def test_a_value_that_means_none_has_a_question_only_without_a_forecast() -> None:
    flags = flags_of((5, DAYS, "range", 99999.0, None))
    assert questions(record(999.99, since=5), flags, small_dam()) == []
    assert "They lie outside the plausible range" in no_forecast(record(999.99, since=5), flags, small_dam())
