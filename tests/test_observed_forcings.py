"""A forcing whose values are the observations of their days is refused; a good forecast is not.

All data are simulated.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.archive.store import open_archive
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.errors import DataError
from forebay.features.daily_tables import read_daily_tables
from forebay.features.observed_forcings import MIN_DAYS, check_forcings, observed_shares
from forebay.settings import Settings
from forebay.tables import FORCINGS
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam, write_dam

DAY = timedelta(days=1)
RAIN = {"kind": "rain", "id": "outlook", "unit": "mm"}
INFLOW = {"kind": "inflow", "id": "outlook", "unit": "m3/s"}
DAYS = 120
Values = list[float]


def inflow_gauge() -> dict[str, object]:
    return {"role": "inflow", "station": "in", "variable": "inflow", "unit": "m3/s"}


def record(dam: Dam, **drivers: Values) -> pl.DataFrame:
    """A daily frame with a simulated level and these drivers."""
    return daily_frame(dam, {"reservoir_level": [95 + 0.01 * k for k in range(DAYS)], **drivers})


def issues(values: Values, *, ahead: int = 1, hours: float = -6) -> pl.DataFrame:
    """`tables.FORCINGS` of a value per day, each issued so many days ahead and known so many hours after its issue day.

    The issue day ends at 14:00 UTC, in the zone +10:00 of the dam.
    """
    rows = []
    for k, value in enumerate(values):
        valid = FIRST_DAY + k * DAY
        end = datetime.combine(valid - ahead * DAY, datetime.min.time(), UTC) + timedelta(hours=14)
        rows.append(("outlook", end - timedelta(hours=7), end + timedelta(hours=hours), valid, value))
    return FORCINGS.check(pl.DataFrame(rows, schema=FORCINGS.columns, orient="row"))


def is_refused(table: pl.DataFrame, frame: pl.DataFrame, dam: Dam) -> bool:
    """Whether the check raises."""
    try:
        check_forcings(table, frame, dam)
    except DataError:
        return True
    return False


def flows(seed: int) -> Values:
    return np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.2, DAYS))).tolist()


@pytest.mark.parametrize("ahead", [1, 3])
def test_observed_inflow_to_rounding_is_refused_at_any_lead(ahead: int) -> None:
    dam = small_dam(inflow_gauge(), forcings=[INFLOW])
    observed = flows(1)
    frame = record(dam, inflow_in=observed)
    table = issues([round(value, 3) for value in observed], ahead=ahead)
    message = rf"forcing 'outlook' for day {ahead} after the issue are the observed inflow of that day \(median diff"
    with pytest.raises(DataError, match=message) as caught:
        check_forcings(table, frame, dam)
    assert "never use an observation as a forecast: name the column of the forecast in" in str(caught.value)


def test_a_very_good_forecast_is_accepted() -> None:
    """Its error is a fifth of that of persistence on the median day."""
    dam = small_dam(inflow_gauge(), forcings=[INFLOW])
    observed = np.array(flows(2))
    change = np.abs(np.diff(observed, prepend=observed[0]))
    frame = record(dam, inflow_in=observed.tolist())
    table = issues((observed + 0.2 * change * np.random.default_rng(3).choice([-1, 1], DAYS)).tolist())
    assert not is_refused(table, frame, dam)
    (share,) = observed_shares(table, frame, dam.forcings[0], dam)["share"]
    assert share == pytest.approx(0.2, rel=0.1)


def test_exact_forecasts_of_dry_days_and_of_a_constant_flow_are_no_observations() -> None:
    """A storm every third day: the dry days are forecast exactly, the storms are not."""
    dam = small_dam(rain_gauge(), forcings=[RAIN])
    rng = np.random.default_rng(4)
    rain = [float(rng.gamma(2, 10)) if k % 3 == 0 else 0.0 for k in range(DAYS)]
    forecast = [value * float(rng.uniform(0.4, 1.8)) for value in rain]
    assert not is_refused(issues(forecast), record(dam, rainfall_r1=rain), dam)
    with pytest.raises(DataError, match="are the observed rainfall of that day"):
        check_forcings(issues(rain), record(dam, rainfall_r1=rain), dam)
    constant = small_dam(inflow_gauge(), forcings=[INFLOW])
    assert not is_refused(issues([5.0] * DAYS), record(constant, inflow_in=[5.0] * DAYS), constant)


def test_values_that_are_known_after_their_day_began_are_not_compared() -> None:
    """An analysis of the day itself may equal the observation: no forecast uses it as one."""
    dam = small_dam(inflow_gauge(), forcings=[INFLOW])
    observed = flows(5)
    frame = record(dam, inflow_in=observed)
    assert not is_refused(issues(observed, hours=0.1), frame, dam)
    assert not is_refused(issues(observed, ahead=0), frame, dam)
    assert is_refused(issues(observed, hours=0.0), frame, dam)


def test_too_few_days_are_not_compared() -> None:
    dam = small_dam(inflow_gauge(), forcings=[INFLOW])
    observed = flows(6)
    frame = record(dam, inflow_in=observed)
    table = issues(observed)
    assert not is_refused(table.slice(1, MIN_DAYS - 1), frame, dam)
    assert is_refused(table.slice(1, MIN_DAYS), frame, dam)


def test_a_plan_may_be_followed_exactly_and_relative_rain_has_no_unit_to_compare() -> None:
    release = {"role": "release", "station": "out", "variable": "release", "unit": "m3/s"}
    dam = small_dam(release, forcings=[{"kind": "release", "id": "outlook", "unit": "m3/s"}])
    observed = flows(7)
    assert not is_refused(issues(observed), record(dam, release_out=observed), dam)
    dam = small_dam(rain_gauge(), forcings=[RAIN | {"unit": "1"}])
    assert not is_refused(issues(observed), record(dam, rainfall_r1=observed), dam)


def test_a_dam_file_with_an_observed_column_as_a_forecast_gives_no_forecast(tmp_path: Path) -> None:
    """The file has both; the dam file names the wrong column, and then the right one."""
    dam = small_dam(rain_gauge())
    rng = np.random.default_rng(8)
    rain = [round(float(value), 1) for value in rng.gamma(0.5, 10.0, DAYS)]
    path = write_dam(dam, record(dam, rainfall_r1=rain), tmp_path)
    lines = ["issued,valid,forecast,observed"]
    for k, value in enumerate(rain):
        day = FIRST_DAY + k * DAY
        lines.append(f"{day - DAY} 12:00,{day},{value * rng.uniform(0.3, 2):.1f},{value:.1f}")
    (tmp_path / "rain.csv").write_text("\n".join(lines) + "\n")
    own = path.read_text("utf-8")
    for column in ("observed", "forecast"):
        file = f'file = {{ path = "rain.csv", issued = "issued", valid = "valid", value = "{column}" }}\n'
        path.write_text(f'{own}\n[[forcings]]\nkind = "rain"\nid = "outlook"\nunit = "mm"\n{file}', "utf-8")
        read = load_dam(str(path))
        now = datetime(2019, 1, 1, tzinfo=UTC)
        with open_archive(f"sqlite:///{tmp_path}/{column}.db") as archive:
            fetch_dam(read, archive, settings=Settings(), request=FetchRequest(now))
            if column == "observed":
                with pytest.raises(DataError, match="'outlook' for day 1 after the issue are the observed rain"):
                    read_daily_tables(read, archive, now=now)
                early = read_daily_tables(read, archive, now=now, init_date=date(2018, 1, 20))
                assert early.forcings.height == DAYS, "the check reads nothing after the init date"
            else:
                assert read_daily_tables(read, archive, now=now).forcings.height == DAYS
