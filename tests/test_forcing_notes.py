"""Sentences on the forcings that a forecast uses, and on missing forcings."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from forebay.forecasts.forcing_notes import forcing_notes
from forebay.tables import FORCINGS
from tests.synthetic import FIRST_DAY, small_dam

DAM = small_dam(
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


def test_a_forcing_in_use_and_a_missing_one() -> None:
    rain = issued("outlook", NINE, {1: 25.4, 2: 0.0, 3: 50.8})
    used, lacking = forcing_notes(rain, DAM, FIRST_DAY + timedelta(days=9))
    assert used == ("Used: The bureau's outlook, issued 2018-01-10T09:00+10:00: total 3 in, 2018-01-11 to 2018-01-13.",)
    assert lacking == ("release plan: no issue covers the coming days; the models work without it.",)


def test_a_plan_of_some_days_from_two_issues() -> None:
    plan = pl.concat([
        issued("plan", NINE - timedelta(days=1), {1: 2.0}), issued("plan", NINE, {2: 4.0}),
        issued("plan", NINE + timedelta(days=1), {3: 9.0}),  # too late
    ])  # fmt: skip
    used, lacking = forcing_notes(plan, DAM, FIRST_DAY + timedelta(days=9))
    assert used == (
        "Used: release plan, issued 2018-01-10T09:00+10:00 (some days 2018-01-09T09:00+10:00): mean 3 m3/s, "
        "2018-01-11 to 2018-01-12.",
    )
    assert lacking[1] == "release plan: no issue covers day 3; lead times that need it work without it."


@pytest.mark.parametrize("kind", ["rain", "release", "transfer", "upstream_release"])
def test_rain_adds_up_and_flows_have_a_mean(kind: str) -> None:
    unit = "mm" if kind == "rain" else "m3/s"
    dam = small_dam(forcings=[{"kind": kind, "id": "f", "name": "Plan", "unit": unit}], hindcast={"leads": (1, 3)})
    used, _ = forcing_notes(issued("f", NINE, {1: 2.0, 2: 4.0, 3: 6.0}), dam, FIRST_DAY + timedelta(days=9))
    assert f": {'total 12 mm' if kind == 'rain' else 'mean 4 m3/s'}, 2018-01-11 to 2018-01-13." in used[0]


def test_a_dam_without_forcings_has_no_notes() -> None:
    assert forcing_notes(FORCINGS.empty(), small_dam(), FIRST_DAY) == ((), ())
