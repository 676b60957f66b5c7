"""The issued forecast: its rows and its age."""

from datetime import UTC, date, datetime, timedelta

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


def test_a_forecast_has_the_hindcast_rows_of_its_init_date() -> None:
    dam = synthetic.dam()
    frame = synthetic.daily(dam)
    table = synthetic.forecasts(dam, frame, [date(2021, 4, 13), date(2021, 4, 14)])
    issued = issue(table, dam, date(2021, 4, 14), now=synthetic.NOW, limitations=("Rain.",))
    assert set(issued.table["init_date"]) == {date(2021, 4, 14)}
    assert set(issued.table["model"]) == set(synthetic.MODELS)
    assert issued.init_time == datetime(2021, 4, 14, 14, tzinfo=UTC)
    assert (issued.age_days, issued.stale, issued.limitations) == (0, False, ("Rain.",))
