"""The issued forecast: its rows and its age."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from forebay.forecasts.issue import IssuedForecast, issue
from forebay.tables import FORECASTS
from tests import synthetic


@pytest.mark.parametrize(
    ("hours", "age", "stale"),
    [(-5, 0, False), (0, 0, False), (23, 0, False), (72, 3, False), (95, 3, False), (96, 4, True)],
)
def test_age(hours: int, age: int, stale: bool) -> None:
    init_time = datetime(2020, 5, 2, 14, tzinfo=UTC)
    day, issue_time = date(2020, 5, 2), init_time + timedelta(hours=hours)
    issued = IssuedForecast(day, init_time, issue_time, day, FORECASTS.empty(), ())
    assert (issued.age_days, issued.stale) == (age, stale)


@pytest.mark.parametrize(("hours", "is_retrospective"), [(1, False), (23, False), (24, True), (24 * 365, True)])
def test_ages_count_from_a_requested_init_date(hours: int, is_retrospective: bool) -> None:
    day, init_time = date(2020, 5, 2), datetime(2020, 5, 2, 14, tzinfo=UTC)
    issue_time = init_time + timedelta(hours=hours)
    issued = IssuedForecast(day, init_time, issue_time, day, FORECASTS.empty(), (), is_requested=True)
    assert (issued.age_days, issued.stale, issued.reference_time) == (0, False, init_time)
    assert issued.is_retrospective == is_retrospective
    default = IssuedForecast(day, init_time, issue_time, day, FORECASTS.empty(), ())
    assert not default.is_retrospective and default.reference_time == issue_time


def test_a_forecast_has_the_hindcast_rows_of_its_init_date() -> None:
    dam = synthetic.dam()
    frame = synthetic.daily(dam)
    table = synthetic.forecasts(dam, frame, [date(2021, 4, 13), date(2021, 4, 14)])
    issued = issue(table, dam, date(2021, 4, 14), now=synthetic.NOW, limitations=("Rain.",))
    assert set(issued.table["init_date"]) == {date(2021, 4, 14)}
    assert set(issued.table["model"]) == set(synthetic.MODELS)
    assert issued.init_time == datetime(2021, 4, 14, 14, tzinfo=UTC)
    assert (issued.age_days, issued.stale, issued.limitations) == (0, False, ("Rain.",))


@pytest.mark.parametrize(("age", "stale"), [(0, False), (2, False), (3, True)])
def test_the_age_of_the_level_counts_with_that_of_the_forecast(age: int, stale: bool) -> None:
    """A day after the init date, a level that is three days older is too old."""
    dam, day = synthetic.dam(), date(2021, 4, 14)
    level_date = pl.lit(day - timedelta(age)).alias("level_date")
    table = synthetic.forecasts(dam, synthetic.daily(dam), [day]).with_columns(level_date)
    issued = issue(table, dam, day, now=synthetic.NOW + timedelta(days=1), limitations=())
    assert (issued.level_date, issued.level_age_days, issued.age_days) == (day - timedelta(age), age, 1)
    assert issued.stale == stale
    assert issue(table.clear(), dam, day, now=synthetic.NOW, limitations=()).level_date == day


def test_warnings_begin_with_what_is_outside_experience() -> None:
    day, time = date(2020, 5, 2), datetime(2020, 5, 2, 14, tzinfo=UTC)
    issued = IssuedForecast(day, time, time, day, FORECASTS.empty(), ("No rain gauge.",), ("Outside experience.",))
    assert issued.warnings == ("Outside experience.", "No rain gauge.")
