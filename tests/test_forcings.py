"""Forcings: the newest issue at the init time, the inputs from it, and the gain of forecasts that use it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from forebay.dams.dam import Dam
from forebay.dams.hindcast import Hindcast
from forebay.dams.local_time import init_time
from forebay.days.daily import usable_values
from forebay.features import forcings, known_ahead, samples
from forebay.features.samples import Samples, make_samples
from forebay.models import models_for
from forebay.tables import FORCINGS
from forebay.verify import hindcast
from forebay.verify.default import with_default
from tests import synthetic
from tests.synthetic import FIRST_DAY, ar1_series, daily_frame, frame_from_changes, rain_gauge, random_rain, small_dam

RAIN = {"kind": "rain", "id": "outlook", "unit": "mm"}
RELEASE = {"kind": "release", "id": "plan", "unit": "m3/s"}


def day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


def noon(number: int, hours: float = 0.0) -> datetime:
    """Noon of day `number` (station-local) plus `hours`."""
    return init_time(day(number), "+10:00") + timedelta(hours=hours - 12)


def issued(*rows: tuple[str, datetime, int, float | None], latency_h: float = 0.0) -> pl.DataFrame:
    """`tables.FORCINGS` of (forcing, issue time, valid day, value)."""
    latency = timedelta(hours=latency_h)
    content = [(forcing, time, time + latency, day(valid), value) for forcing, time, valid, value in rows]
    return FORCINGS.check(pl.DataFrame(content, FORCINGS.columns, orient="row"))


def newest_values(
    table: pl.DataFrame, dam: Dam, days: int = 3, ahead: range = range(0, 3)
) -> dict[tuple[int, int], float]:
    """(Init day, day ahead) → value of the newest issue."""
    dates = pl.Series([day(k) for k in range(days)])
    rows = forcings.newest_issues(table, dam, dates, ahead)
    return {((init - FIRST_DAY).days, k): value for init, k, value in rows.select("init_date", "day", "value").rows()}


def test_the_newest_issue_up_to_the_init_time_is_used() -> None:
    dam = small_dam(forcings=[RAIN])
    table = issued(
        ("outlook", noon(0), 1, 5.0),
        ("outlook", noon(0), 2, 6.0),
        ("outlook", noon(1), 2, 7.0),
        ("outlook", noon(1, 12), 3, 8.0),  # at the init time itself
        ("outlook", noon(1, 12.1), 2, 99.0),  # later: only the forecast of day 2 uses it
    )
    assert newest_values(table, dam) == {(0, 1): 5, (0, 2): 6, (1, 0): 5, (1, 1): 7, (1, 2): 8, (2, 0): 99, (2, 1): 8}


def test_latency_delays_an_issue() -> None:
    dam = small_dam(forcings=[RAIN | {"latency_h": 13}])
    table = issued(("outlook", noon(0), 2, 5.0), latency_h=13)
    assert newest_values(table, dam) == {(1, 1): 5, (2, 0): 5}


def test_a_newer_issue_can_withdraw_a_value() -> None:
    dam = small_dam(forcings=[RAIN])
    table = issued(("outlook", noon(0), 2, 5.0), ("outlook", noon(1), 2, None))
    assert newest_values(table, dam) == {(0, 2): 5}


def samples_from(dam: Dam, table: pl.DataFrame, days: int = 10, **columns: list[float | None]) -> Samples:
    level: list[float | None] = [95.0 + 0.01 * (k % 3) for k in range(days)]
    frame = daily_frame(dam, {"reservoir_level": level} | columns)
    return make_samples(frame, frame, dam, table)


def test_forecast_rain_is_summed_and_null_unless_all_days_are_covered() -> None:
    dam = small_dam(rain_gauge(), forcings=[RAIN], hindcast={"leads": (1, 2, 5)})
    table = issued(*(("outlook", noon(4), 4 + k, float(10**k)) for k in range(5)))
    samples = samples_from(dam, table, rainfall_r1=[1.0] * 10)
    wetness = samples.inputs["api"][4]
    assert samples.forcing_inputs[1].columns == ["forcing_outlook_lead", "forcing_outlook_lead_api"]
    assert samples.forcing_inputs[1].row(4) == (10, pytest.approx(10 * wetness))
    assert samples.forcing_inputs[2].row(4) == (10, 110, pytest.approx(10 * wetness), pytest.approx(110 * wetness))
    assert samples.forcing_inputs[5].columns[:4] == [f"forcing_outlook_{span}" for span in ("1d", "2d", "3d", "lead")]
    assert samples.forcing_inputs[5].row(4)[:4] == (10, 110, 1110, None), "no issue covers the fifth day"
    assert samples.forcing_inputs[5].row(3) == (None,) * 8, "no issue exists yet"
    totals = samples.forcing_inputs[2]["forcing_outlook_lead"].to_list()
    assert totals[4:8] == [110, 1100, 11000, None], "values of older issues stay in use"


def test_a_planned_release_in_the_unit_of_the_target() -> None:
    """Storage 1 ML per mm at every level: 1 m3/s takes 86.4 ML a day, .0864 m."""
    curve = {"level_unit": "m", "storage_unit": "ML", "points": [(0.0, 0.0), (200.0, 200_000.0)]}
    gauge = {"role": "release", "station": "r", "variable": "release", "unit": "m3/s"}
    dam = small_dam(gauge, forcings=[RELEASE], storage_curves=[curve], hindcast={"leads": (1, 3)})
    plan = [2.0, 2.0, 5.0, 5.0]  # today and the next three days
    table = issued(*(("plan", noon(4), 4 + k, value) for k, value in enumerate(plan)))
    row = samples_from(dam, table, release_r=[2.0] * 10).forcing_inputs[3].row(4, named=True)
    assert row["forcing_plan_lead"] == pytest.approx(-0.0864 * 12)
    volume = 2 / 2 + 2 + 5 + 5 / 2  # from the mean of today to the mean of day 3
    assert row["forcing_plan_step"] == pytest.approx(-0.0864 * (volume - 3 * 2))
    assert row["balance_release_ahead"] == pytest.approx(0.0864 * volume / 3)


@pytest.mark.parametrize(("read_at", "later_share"), [("08:00", 2 / 3), ("20:30", 3.5 / 24), ("00:00", 1.0)])
def test_after_the_reading_the_rest_of_todays_flow_follows(read_at: str, later_share: float) -> None:
    level = {"role": "target", "station": "lake", "variable": "storage", "unit": "ML"}
    reading = {"reading": "instantaneous", "reading_at": read_at}
    dam = small_dam(level | reading, unit="ML", forcings=[RELEASE], hindcast={"leads": (1,)})
    table = issued(("plan", noon(3), 4, 3.0), ("plan", noon(3), 5, 6.0))
    frame = daily_frame(dam, {"storage": [100.0 + k for k in range(10)]})
    row = make_samples(frame, frame, dam, table).forcing_inputs[1].row(4, named=True)
    assert row["forcing_plan_step"] == pytest.approx(-86.4 * (later_share * 3 + (1 - later_share) * 6 - 3))


@pytest.mark.parametrize("read_at", ["", "08:00", "02:30"])  # 02:30 does not exist on 8 March, and twice on 1 November
def test_a_column_of_init_dates_has_the_instants_of_single_days(read_at: str) -> None:
    level = {"role": "target", "station": "lake", "variable": "reservoir_level", "unit": "m"}
    reading = {"reading": "instantaneous", "reading_at": read_at} if read_at else {}
    dam = small_dam(level | reading, time_zone="America/Chicago")
    dates = pl.date_range(date(2020, 3, 6), date(2020, 11, 3), eager=True)
    assert forcings.known_by(dates, dam).to_list() == [dam.known_by(each) for each in dates]
    hours = {"": 30, "08:00": 14, "02:30": 8.5}[read_at]  # after midnight UTC, in winter
    assert dam.known_by(date(2020, 1, 2)) == datetime(2020, 1, 2, tzinfo=UTC) + timedelta(hours=hours)


@pytest.mark.parametrize(("kind", "sign"), [("release", -1), ("transfer", 1), ("upstream_release", 1)])
def test_a_release_takes_water_and_other_flows_bring_it(kind: str, sign: int) -> None:
    level = {"role": "target", "station": "lake", "variable": "storage", "unit": "ML"}
    dam = small_dam(level, unit="ML", forcings=[{"kind": kind, "id": "f", "unit": "m3/s"}], hindcast={"leads": (1, 2)})
    table = issued(*(("f", noon(4), 4 + k, value) for k, value in enumerate((1.0, 3.0, 5.0))))
    frame = daily_frame(dam, {"storage": [100.0 + k for k in range(10)]})
    inputs = make_samples(frame, frame, dam, table).forcing_inputs
    assert [inputs[lead]["forcing_f_lead"][4] for lead in (1, 2)] == pytest.approx([sign * 86.4 * 3, sign * 86.4 * 8])


def test_upstream_releases_arrive_after_the_travel_time() -> None:
    """Travel time 36 h: half of the release of a day arrives one day later, half two days later."""
    upstream = {"kind": "upstream_release", "id": "up", "unit": "m3/s", "travel_time_h": 36}
    level = {"role": "target", "station": "lake", "variable": "storage", "unit": "ML"}
    dam = small_dam(level, unit="ML", forcings=[upstream], hindcast={"leads": (1, 2)})
    table = issued(*(("up", noon(4), valid, value) for valid, value in ((2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0))))
    frame = daily_frame(dam, {"storage": [100.0 + k for k in range(10)]})
    ahead = make_samples(frame, frame, dam, table).forcing_inputs
    today, one, two = (1 + 2) / 2, (2 + 4) / 2, (4 + 8) / 2
    assert ahead[1]["forcing_up_lead"][4] == pytest.approx(86.4 * one)
    assert ahead[2]["forcing_up_lead"][4] == pytest.approx(86.4 * (one + two))
    assert ahead[2]["forcing_up_step"][4] == pytest.approx(86.4 * ((today + one) / 2 + (one + two) / 2 - 2 * today))
    assert ahead[2]["forcing_up_lead"][5] is None, "no issue covers day 6, and half of its release arrives on day 7"


def test_three_quarters_of_a_release_arrive_after_30_hours_within_a_day_and_one_quarter_a_day_later() -> None:
    """Water that passes in the first 18 hours of a day arrives on the next day, the rest on the day after that."""
    upstream = {"kind": "upstream_release", "id": "up", "unit": "m3/s", "travel_time_h": 30}
    level = {"role": "target", "station": "lake", "variable": "storage", "unit": "ML"}
    dam = small_dam(level, unit="ML", forcings=[upstream], hindcast={"leads": (1, 3)})
    table = issued(*(("up", noon(4), valid, 1.0 if valid == 4 else 0.0) for valid in range(2, 8)))
    frame = daily_frame(dam, {"storage": [100.0 + k for k in range(10)]})
    ahead = make_samples(frame, frame, dam, table).forcing_inputs
    assert ahead[1]["forcing_up_lead"][4] == pytest.approx(86.4 * 0.75)
    assert ahead[3]["forcing_up_lead"][4] == pytest.approx(86.4), "the whole release"


INFLOW = {"kind": "inflow", "id": "ens", "unit": "m3/s"}


def test_a_forecast_inflow_as_a_mean_change_per_day_and_its_spread() -> None:
    """1 m3/s is 86.4 ML a day."""
    level = {"role": "target", "station": "lake", "variable": "storage", "unit": "ML"}
    file = {"path": "e.csv", "issued": "i", "valid": "d", "value": "mean", "q10": "low", "q90": "high"}
    dam = small_dam(level, unit="ML", forcings=[INFLOW | {"file": file}], hindcast={"leads": (1, 2)})
    series = {"ens": (3.0, 5.0), "ens:q10": (1.0, 2.0), "ens:q90": (4.0, 9.0)}
    rows = ((name, noon(4), 5 + k, value) for name, values in series.items() for k, value in enumerate(values))
    table = issued(*rows)
    frame = daily_frame(dam, {"storage": [100.0 + k for k in range(10)]})
    samples = make_samples(frame, frame, dam, table)
    assert samples.forcing_inputs[2].row(4, named=True) == {
        "balance_ahead_ens_mean": pytest.approx(86.4 * 4),
        "balance_ahead_ens_q10": pytest.approx(86.4 * 1.5),
        "balance_ahead_ens_q90": pytest.approx(86.4 * 6.5),
        "balance_ahead_ens_spread": pytest.approx(86.4 * 5),
    }
    assert samples.has_forecasts(2).tolist() == [day == 4 for day in range(10)]
    assert samples.has_forecasts(1).tolist() == [day in (4, 5) for day in range(10)], "the issue before stays in force"


def test_an_issue_that_is_too_old_is_not_used() -> None:
    """At the end of day 4 the noon issue of day 4 is 12 hours old, that of day 3 36 hours."""
    dam = small_dam(forcings=[RAIN | {"max_age_h": 36}])
    table = issued(("outlook", noon(3), 5, 5.0), ("outlook", noon(3), 6, 6.0), ("outlook", noon(5), 6, 7.0))
    assert newest_values(table, dam, days=7, ahead=range(1, 3)) == {(3, 2): 5, (5, 1): 7}
    assert (4, 1) in newest_values(table, small_dam(forcings=[RAIN]), days=7, ahead=range(1, 3))


def test_a_level_read_at_eight_uses_no_issue_of_later_hours() -> None:
    """At noon of day 4 the reading of day 4 is past: only the forecast of day 5 uses the issue."""
    level = {"role": "target", "station": "lake", "variable": "reservoir_level", "unit": "m"}
    reading = {"reading": "instantaneous", "reading_at": "08:00"}
    dam = small_dam(level | reading, forcings=[RAIN])
    table = issued(("outlook", noon(3), 5, 5.0), ("outlook", noon(4), 5, 6.0), ("outlook", noon(4, -4), 6, 7.0))
    assert newest_values(table, dam, days=6, ahead=range(1, 3)) == {(4, 1): 5, (4, 2): 7, (5, 1): 7}


def test_without_forcings_the_inputs_do_not_change() -> None:
    samples = samples_from(small_dam(), FORCINGS.empty())
    assert samples.forcing_inputs == {}
    assert samples.inputs_at(1) is samples.inputs


DAYS = 900
START = Hindcast(leads=(1, 3), start=day(500))


def maes(dam: Dam, frame: pl.DataFrame, table: pl.DataFrame | None = None) -> dict[int, float]:
    """Lead time → MAE of `default`."""
    dam = dam.model_copy(update={"hindcast": START})
    samples = make_samples(frame, frame, dam, table)
    points = with_default(hindcast.point_forecasts(samples, dam, models_for(dam)), samples)
    scored = slice(500, None)
    return {
        lead: float(np.nanmean(np.abs(changes - samples.change(samples.observed, lead))[scored]))
        for lead, changes in points["default"].changes.items()
    }


def test_a_rain_forecast_reduces_the_error_and_perfect_rain_more() -> None:
    rain = random_rain(DAYS)
    previous_rain = np.concatenate([[0.0], rain[:-1]])
    dam_without = small_dam(rain_gauge())
    frame = frame_from_changes(dam_without, 0.002 * rain + 0.001 * previous_rain, {"rainfall_r1": rain})
    dam = dam_without.model_copy(update={"forcings": small_dam(forcings=[RAIN]).forcings})
    rain_forecast = synthetic.forcing_issues(dam, rain, forcing="outlook", error=0.5)
    with_forecast, without = maes(dam, frame, rain_forecast), maes(dam_without, frame)
    perfect_dam, perfect_rain = known_ahead.perfect_rain(usable_values(frame, dam_without), dam_without, 3)
    perfect = maes(perfect_dam, frame, perfect_rain)
    for lead in (1, 3):
        assert with_forecast[lead] < 0.75 * without[lead]
        assert perfect[lead] < 0.8 * with_forecast[lead]


@pytest.mark.parametrize("gauged", [True, False])
def test_a_planned_release_reduces_the_error(gauged: bool) -> None:
    """The gates move about once a week; before they move, only the plan shows it."""
    rng = np.random.default_rng(2)
    flow = np.repeat(rng.uniform(0, 20, DAYS), rng.integers(4, 10, DAYS))[:DAYS]
    gauges = [{"role": "release", "station": "r", "variable": "release", "unit": "m3/s"}] if gauged else []
    curve = {"level_unit": "m", "storage_unit": "ML", "points": [(0.0, 0.0), (200.0, 4_000_000.0)]}
    dam_without = small_dam(*gauges, storage_curves=[curve])
    dam = small_dam(*gauges, storage_curves=[curve], forcings=[RELEASE])
    falls = -86.4 / 20_000 * (flow + np.concatenate([flow[:1], flow[:-1]])) / 2  # between daily means
    frame = frame_from_changes(dam_without, falls, {"release_r": flow} if gauged else {})
    plan = synthetic.forcing_issues(dam, flow, forcing="plan", error=0.02)
    with_plan, without = maes(dam, frame, plan), maes(dam_without, frame)
    for lead in (1, 3):
        assert with_plan[lead] < 0.6 * without[lead]


ENSEMBLE = {"path": "ens.csv", "issued": "issued", "valid": "day", "value": "mean", "q50": "median"}
ALL_FORCINGS = [
    RAIN | {"latency_h": 5},
    RELEASE,
    {"kind": "transfer", "id": "canal", "unit": "ML/d"},
    {"kind": "upstream_release", "id": "up", "unit": "ft3/s", "travel_time_h": 30},
    {"kind": "inflow", "id": "ens", "unit": "m3/s", "file": ENSEMBLE},
]
FORCED = small_dam(
    rain_gauge(),
    {"role": "release", "station": "r", "variable": "release", "unit": "m3/s"},
    forcings=ALL_FORCINGS,
    full_supply=100.0,
    hindcast={"leads": (1, 3)},
)
LEAK_DAYS = 520


def all_issues() -> pl.DataFrame:
    """Daily issues of every forcing of `FORCED`, with values that are independent of the level."""

    def values(seed: int) -> np.ndarray:
        return np.abs(ar1_series(LEAK_DAYS, mean=5.0, sd=3.0, seed=seed))

    parts = [
        synthetic.forcing_issues(FORCED, values(k), forcing=forcing.id, error=0.3).with_columns(forcing=pl.lit(series))
        for k, forcing in enumerate(FORCED.forcings)
        for series in forcing.series
    ]
    return pl.concat(parts)


def change_later_issues(table: pl.DataFrame, until: datetime, seed: int) -> pl.DataFrame:
    """`table` with random or missing values in all issues known after `until`, and with additional issues."""
    rng = np.random.default_rng(seed)
    later = pl.col("known_time") > until
    values = np.where(rng.random(len(table)) < 0.2, np.nan, np.abs(rng.normal(0, 100, len(table))))
    value = pl.when(later).then(pl.Series(values, nan_to_null=True)).otherwise("value")
    changed = table.with_columns(value.alias("value"))
    additional = changed.filter(later).head(50).with_columns(
        pl.col("issue_time", "known_time") + timedelta(minutes=1), pl.col("value") + 50
    )  # fmt: skip
    return pl.concat([changed, additional]).sample(fraction=1.0, shuffle=True, seed=seed)


def inputs_until(frame: pl.DataFrame, table: pl.DataFrame, last: int) -> pl.DataFrame:
    """The inputs of both lead times up to day `last`."""
    samples = make_samples(frame, frame, FORCED, table)
    return pl.concat([samples.inputs_at(h).head(last + 1) for h in (1, 3)], how="diagonal")


def forecasts_until(frame: pl.DataFrame, table: pl.DataFrame, last: int) -> pl.DataFrame:
    """All forecasts up to day `last`, also those of the blend."""
    samples = make_samples(frame, frame, FORCED, table)
    points = with_default(hindcast.point_forecasts(samples, FORCED, models_for(FORCED)), samples)
    return hindcast.forecast_table(samples, FORCED, points).filter(pl.col("init_date") <= day(last))


Builder = Callable[[pl.DataFrame, pl.DataFrame, int], pl.DataFrame]


def check_no_look_ahead(last: int, seed: int, build: Builder = inputs_until) -> None:
    """Fail if the result of `build` up to day `last` changes with later issues or later values of gauges."""
    frame = synthetic.daily(FORCED, days=LEAK_DAYS)
    rng = np.random.default_rng(seed)
    later = pl.int_range(len(frame)) > last
    changed = frame.with_columns(
        pl.when(later).then(pl.Series(rng.normal(0, 50, len(frame)))).otherwise(gauge.column).alias(gauge.column)
        for gauge in FORCED.gauges
    )
    table = all_issues()
    changed_issues = change_later_issues(table, init_time(day(last), FORCED.time_zone), seed)
    assert_frame_equal(build(frame, table, last), build(changed, changed_issues, last), check_exact=True)


@pytest.mark.slow
@settings(max_examples=6)
@given(last=st.integers(10, LEAK_DAYS - 1), seed=st.integers(0, 2**32 - 1))
def test_inputs_do_not_change_with_later_issues_or_values(last: int, seed: int) -> None:
    check_no_look_ahead(last, seed)


def test_forecasts_do_not_change_with_later_issues_or_values() -> None:
    check_no_look_ahead(400, 1, forecasts_until)


def test_an_issue_used_a_day_too_early_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_early(table: pl.DataFrame, *arguments: object) -> pl.DataFrame:
        return newest(table.with_columns(pl.col("known_time") - timedelta(hours=24)), *arguments)  # type: ignore[arg-type]

    newest = forcings.newest_issues
    monkeypatch.setattr(forcings, "newest_issues", too_early)
    with pytest.raises(AssertionError):
        check_no_look_ahead(410, 1)


def test_without_a_gauge_perfect_forecasts_have_the_value_that_was_known_last() -> None:
    """The run of day 0 was stored a second time with other values after the run of day 1."""
    table = pl.concat([
        issued(("outlook", noon(1), 2, 7.0), ("outlook", noon(1), 3, None), ("outlook", noon(0), 2, 5.0)),
        issued(("outlook", noon(0), 3, 6.0), ("outlook", noon(0), 1, 4.0), latency_h=36),
    ])  # fmt: skip
    newest = synthetic.daily_frame(dam := small_dam(forcings=[RAIN]), {"reservoir_level": [1.0] * 4})
    perfect = forcings.perfect_forecasts(table, newest, dam)
    assert perfect.drop("value").equals(table.drop("value"))
    assert perfect["value"].to_list() == [7.0, None, 7.0, 6.0, 4.0]
    late = issued(("outlook", noon(0), 2, 8.0), latency_h=36)
    assert forcings.perfect_forecasts(pl.concat([table, late]), newest, dam)["value"][0] == 8.0


def test_perfect_forecasts_are_a_leak_and_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    make_samples = samples.make_samples

    def with_perfect_forecasts(frame: pl.DataFrame, newest: pl.DataFrame, dam: Dam, table: pl.DataFrame) -> Samples:
        perfect = forcings.perfect_forecasts(table, usable_values(newest, dam), dam)
        return make_samples(frame, newest, dam, perfect)

    monkeypatch.setattr(sys.modules[__name__], "make_samples", with_perfect_forecasts)
    with pytest.raises(AssertionError):
        check_no_look_ahead(410, 1)


def test_perfect_rain_is_a_leak_and_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """This diagnostic uses later rain, and the same check must detect it."""

    make_samples = samples.make_samples

    def with_perfect_rain(frame: pl.DataFrame, newest: pl.DataFrame, dam: Dam, table: pl.DataFrame) -> Samples:
        perfect_dam, rain = known_ahead.perfect_rain(usable_values(newest, dam), dam, 3)
        return make_samples(frame, newest, perfect_dam, pl.concat([table, rain]))

    monkeypatch.setattr(sys.modules[__name__], "make_samples", with_perfect_rain)
    with pytest.raises(AssertionError):
        check_no_look_ahead(410, 1)

