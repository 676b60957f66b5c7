"""What a forecast says of the forcings that it used, and of those that it lacks."""

from datetime import UTC, datetime, timedelta

import polars as pl

from forebay.forecasts.forcing_notes import forcing_notes
from forebay.tables import FORCINGS
from tests.synthetic import FIRST_DAY, dam_of

DAM = dam_of(
    forcings=[
        {"kind": "rain", "id": "outlook", "name": "The bureau's outlook", "unit": "in"},
        {"kind": "release", "id": "plan", "unit": "m3/s"},
    ],
    hindcast={"leads": (1, 3)},
)
NINE = datetime(2018, 1, 9, 23, tzinfo=UTC)  # 09:00 station-local on the tenth


def issued(forcing: str, at: datetime, values: dict[int, float]) -> pl.DataFrame:
    rows = [(forcing, at, at, FIRST_DAY + timedelta(days=9 + ahead), value) for ahead, value in values.items()]
    return pl.DataFrame(rows, FORCINGS.columns, orient="row")


def test_what_was_used_with_its_issue_time_and_what_is_lacking() -> None:
    rain = issued("outlook", NINE, {1: 25.4, 2: 0.0, 3: 50.8})
    used, lacking = forcing_notes(rain, DAM, FIRST_DAY + timedelta(days=9))
    assert used == ("Used: The bureau's outlook, issued 2018-01-10 09:00: 3 in altogether, 2018-01-11 to 2018-01-13.",)
    assert lacking == ("release plan: nothing had been issued for the days to come; the models do without it.",)


def test_a_plan_of_some_days_from_two_issues() -> None:
    plan = pl.concat([
        issued("plan", NINE - timedelta(days=1), {1: 2.0}), issued("plan", NINE, {2: 4.0}),
        issued("plan", NINE + timedelta(days=1), {3: 9.0}),  # too late
    ])  # fmt: skip
    used, lacking = forcing_notes(plan, DAM, FIRST_DAY + timedelta(days=9))
    assert used == (
        "Used: release plan, issued 2018-01-10 09:00 (some days 2018-01-09 09:00): 3 m3/s on average, 2018-01-11 to "
        "2018-01-12.",
    )
    assert lacking[1] == "release plan: nothing had been issued for day 3; leads that need it do without it."


def test_a_dam_without_forcings_says_nothing() -> None:
    assert forcing_notes(FORCINGS.empty(), dam_of(), FIRST_DAY) == ((), ())
