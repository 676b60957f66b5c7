"""`forebay.forecasts.net_inflow`: the balance of lakes whose inflow is known, its closure error, and its reasons."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from forebay.dams.curves import StorageCurve
from forebay.dams.dam import Dam
from forebay.forecasts.net_inflow import net_inflow
from forebay.tables import LEVEL_BREAK
from tests.synthetic import small_dam

DAYS = 400
FIRST = date(2020, 1, 1)
LAST = FIRST + timedelta(days=DAYS - 1)
ML_PER_FLOW = 86.4
CURVE = StorageCurve(level_unit="m", storage_unit="ML", points=((0.0, 0.0), (1000.0, 864_000.0)))
"""One metre is 864 ML: the flow of 10 m³/s over a day."""


def gauge(role: str, unit: str = "m3/s") -> dict[str, str]:
    return {"role": role, "station": role[:2], "variable": role, "unit": unit}


def target(aggregate: str) -> dict[str, str]:
    return {"role": "target", "station": "lake", "variable": "reservoir_level", "unit": "m", "aggregate": aggregate}


def lake(aggregate: str = "last", **roles: str) -> Dam:
    gauges = [gauge(role, unit) for role, unit in roles.items()]
    return small_dam(target(aggregate), *gauges, full_supply=900.0, storage_curves=[CURVE.model_dump()])


def flows(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return 20 + 5 * rng.random(DAYS), 15 + 10 * rng.random(DAYS)


def daily(level: np.ndarray, **columns: np.ndarray) -> pl.DataFrame:
    dates = pl.date_range(FIRST, LAST, eager=True)
    return pl.DataFrame({"date": dates, "reservoir_level": level, **columns})


def level_at_day_end(inflow: np.ndarray, release: np.ndarray) -> np.ndarray:
    return 500 + np.cumsum((inflow - release) / 10)


def test_a_balance_of_all_terms_closes() -> None:
    inflow, release = flows()
    table = daily(level_at_day_end(inflow, release), inflow_in=inflow, release_re=release)
    result = net_inflow(table, lake(inflow="m3/s", release="m3/s"), LAST)
    assert result.inflow == pytest.approx(inflow[-1])
    assert result.measured == pytest.approx(inflow[-1])
    assert result.release == pytest.approx(release[-1])
    assert result.storage_change == pytest.approx(inflow[-1] - release[-1])
    assert (result.mean, result.mean_days) == (pytest.approx(inflow[-7:].mean()), 7)
    assert result.closure.mean == pytest.approx(0, abs=1e-6) and result.closure.days == 365
    assert result.closure.note == "the measured inflow is itself this balance"


def test_losses_are_the_closure_error() -> None:
    inflow, release = flows()
    losses = np.linspace(1.0, 3.0, DAYS)
    table = daily(level_at_day_end(inflow - losses, release), inflow_in=inflow, release_re=release)
    closure = net_inflow(table, lake(inflow="m3/s", release="m3/s"), LAST).closure
    last = -losses[-365:]
    assert closure.mean == pytest.approx(last.mean())
    assert [closure.low, closure.high] == pytest.approx(np.quantile(last, [0.1, 0.9]))
    assert closure.note == ""


def test_a_daily_mean_is_in_the_middle_of_its_day() -> None:
    """The mean level of a day lies half a day back: the change to it is half of each day's flow."""
    inflow, release = flows()
    end = level_at_day_end(inflow, release)
    mean = (np.append(500.0, end[:-1]) + end) / 2
    table = daily(mean, inflow_in=inflow, release_re=release)
    result = net_inflow(table, lake("mean", inflow="m3/s", release="m3/s"), LAST)
    assert result.inflow == pytest.approx((inflow[-1] + inflow[-2]) / 2)
    assert result.release == pytest.approx((release[-1] + release[-2]) / 2)
    assert result.closure.high == pytest.approx(0, abs=1e-6)


def test_a_reading_at_a_clock_time() -> None:
    inflow, release = flows()
    end = level_at_day_end(inflow, release)
    at_six = np.append(500.0, end[:-1]) * 0.75 + end * 0.25
    reading = target("last") | {"reading": "instantaneous", "reading_at": "06:00"}
    gauges = [reading, gauge("inflow"), gauge("release")]
    dam = small_dam(*gauges, storage_curves=[CURVE.model_dump()])
    result = net_inflow(daily(at_six, inflow_in=inflow, release_re=release), dam, LAST)
    assert result.inflow == pytest.approx(0.25 * inflow[-1] + 0.75 * inflow[-2])


def test_units_of_the_flow_gauge() -> None:
    inflow, release = flows()
    table = daily(level_at_day_end(inflow, release), inflow_in=inflow, release_re=release)
    metric = net_inflow(table, lake(inflow="m3/s", release="m3/s"), LAST)
    result = net_inflow(table, lake(inflow="ft3/s", release="ML/d"), LAST)
    assert result.unit == "ft3/s" and metric.inflow is not None
    assert result.inflow == pytest.approx(metric.inflow / 0.3048**3)
    assert result.release == pytest.approx(release[-1] / 0.3048**3)


def test_without_a_release_gauge_it_is_net_and_cannot_be_closed() -> None:
    inflow, release = flows()
    level = level_at_day_end(inflow, release)
    result = net_inflow(daily(level, inflow_in=inflow), lake(inflow="m3/s"), LAST)
    assert result.inflow == pytest.approx(inflow[-1] - release[-1]) and not result.includes_release
    assert result.closure.note == "the balance cannot be closed, because the dam file has no release gauge"
    bare = net_inflow(daily(level), lake(), LAST)
    assert bare.closure.note == (
        "the balance cannot be closed, because the dam file has no inflow gauge and no release gauge"
    )
    assert bare.unit == "m3/s" and bare.release is None and bare.measured is None


def test_one_step_of_the_level() -> None:
    inflow, release = flows()
    table = daily(level_at_day_end(inflow, release))
    step = net_inflow(table, lake(), LAST, resolution=0.05).step
    assert step is not None and not step.is_assumed
    assert (step.volume, step.volume_unit, step.flow) == (pytest.approx(43.2), "ML", pytest.approx(0.5))
    assumed = net_inflow(table, lake(), LAST).step
    assert assumed is not None and assumed.is_assumed and assumed.flow == pytest.approx(0.1)


def test_a_missing_term_is_named_and_never_filled() -> None:
    inflow, release = flows()
    level = level_at_day_end(inflow, release)
    dam = lake(inflow="m3/s", release="m3/s")
    no_release = np.where(np.arange(DAYS) == DAYS - 1, np.nan, release)
    table = daily(level, inflow_in=inflow, release_re=no_release).with_columns(pl.col("release_re").fill_nan(None))
    result = net_inflow(table, dam, LAST)
    assert (result.inflow, result.note) == (None, "a release of these days is unknown")
    assert result.mean_days == 6
    gap = daily(level, inflow_in=inflow, release_re=release).with_columns(
        pl.when(pl.col("date") != LAST - timedelta(days=1)).then("reservoir_level").alias("reservoir_level")
    )
    assert net_inflow(gap, dam, LAST).note == "the level of the day before is unknown"
    end = gap.with_columns(pl.lit(None, pl.Float64).alias("reservoir_level"))
    assert net_inflow(end, dam, LAST).note == "the newest level is missing or suspect"


def test_no_change_is_taken_across_a_break_of_the_level() -> None:
    inflow, release = flows()
    table = daily(level_at_day_end(inflow, release), inflow_in=inflow, release_re=release)
    broken = table.with_columns((pl.col("date") == LAST).alias(LEVEL_BREAK))
    result = net_inflow(broken, lake(inflow="m3/s", release="m3/s"), LAST)
    assert result.inflow is None and result.mean_days == 6


def test_days_after_the_level_are_not_used() -> None:
    inflow, release = flows()
    level = level_at_day_end(inflow, release)
    dam, day = lake(inflow="m3/s", release="m3/s"), LAST - timedelta(days=5)
    table = daily(level, inflow_in=inflow, release_re=release)
    later = pl.col("date") > day
    columns = (pl.col(name) for name in table.columns[1:])
    changed = table.with_columns(pl.when(later).then(column * 2 + 1).otherwise(column) for column in columns)
    assert net_inflow(table, dam, day) == net_inflow(changed, dam, day)


def test_a_dam_without_a_curve_uses_its_storage_gauge_or_says_why_not() -> None:
    inflow, release = flows()
    level = level_at_day_end(inflow, release)
    gauges = [target("last"), gauge("inflow"), gauge("release")]
    result = net_inflow(daily(level, inflow_in=inflow, release_re=release), small_dam(*gauges), LAST)
    assert (result.inflow, result.note) == (None, "the dam file has no storage curve")
    storage = {"role": "storage", "station": "st", "name": "Office", "variable": "storage", "unit": "ML"}
    dam = small_dam(*gauges, storage)
    table = daily(level, inflow_in=inflow, release_re=release, storage_st=level * 864)
    result = net_inflow(table, dam, LAST)
    assert result.inflow == pytest.approx(inflow[-1]) and result.storage_from == "Office"


def test_a_storage_as_target() -> None:
    inflow, release = flows()
    storage = level_at_day_end(inflow, release) * 0.864
    gauges = [
        {"role": "target", "station": "s", "variable": "storage", "unit": "GL", "aggregate": "last"},
        gauge("release"),
    ]
    dam = small_dam(*gauges, target={"variable": "storage", "unit": "GL", "datum": "none"})
    table = daily(storage, release_re=release).rename({"reservoir_level": "storage"})
    result = net_inflow(table, dam, LAST)
    assert result.inflow == pytest.approx(inflow[-1]) and result.storage_from == "the target"
    assert result.step is None


def test_the_scatter_is_that_of_days_around_their_own_week() -> None:
    inflow, release = flows()
    table = daily(level_at_day_end(inflow, release), inflow_in=inflow, release_re=release)
    result = net_inflow(table, lake(inflow="m3/s", release="m3/s"), LAST)
    known = inflow[-365:]
    differences = [abs(known[k] - known[k - 6 : k + 1].mean()) for k in range(6, len(known))]
    assert result.scatter == pytest.approx(np.median(differences)) and result.note == ""


@pytest.mark.parametrize(("days", "is_known"), [(30, True), (29, False)])
def test_a_closure_error_needs_30_days(days: int, is_known: bool) -> None:
    inflow, release = flows()
    table = daily(level_at_day_end(inflow, release), inflow_in=inflow, release_re=release).tail(days + 1)
    result = net_inflow(table, lake(inflow="m3/s", release="m3/s"), LAST)
    assert result.closure.days == days and (result.closure.mean is not None) is is_known
    assert (result.closure.note == "unknown, because only 29 days have all terms") is not is_known
    assert result.scatter is None, f"only {days - 6} days have a week"
    assert net_inflow(daily(level_at_day_end(inflow, release)).tail(37), lake(), LAST).scatter is not None


@pytest.mark.parametrize(("share", "is_same"), [(0.019, True), (0.021, False), (0.1, False)])
def test_a_measured_inflow_is_the_balance_itself_below_two_percent_of_the_change(share: float, is_same: bool) -> None:
    days = np.arange(DAYS)
    release = np.full(DAYS, 15.0)
    inflow = release + np.where(days % 2, 4.0, -4.0)
    errors = np.where(days % 3, 4.0, -4.0) * share
    table = daily(level_at_day_end(inflow, release), inflow_in=inflow + errors, release_re=release)
    closure = net_inflow(table, lake(inflow="m3/s", release="m3/s"), LAST).closure
    assert (closure.note == "the measured inflow is itself this balance") is is_same


def test_a_gauge_of_the_percentage_gives_no_volume() -> None:
    inflow, release = flows()
    level = level_at_day_end(inflow, release)
    percent = {"role": "storage", "station": "st", "variable": "storage_percent", "unit": "%"}
    dam = small_dam(target("last"), gauge("inflow"), gauge("release"), percent)
    table = daily(level, inflow_in=inflow, release_re=release, storage_percent_st=level / 10)
    result = net_inflow(table, dam, LAST)
    assert (result.inflow, result.note) == (None, "the dam file has no storage curve")


def test_the_step_of_a_storage_is_one_of_its_gauge_and_not_of_its_numbers() -> None:
    inflow, release = flows()
    volume = {"role": "target", "station": "s", "variable": "storage", "unit": "ML", "aggregate": "last"}
    dam = small_dam(volume, target={"variable": "storage", "unit": "ML", "datum": "none"}, unit="ML")
    table = daily(level_at_day_end(inflow, release) * 864).rename({"reservoir_level": "storage"})
    assert net_inflow(table, dam, LAST, resolution=1.0).step is None, "a hundred thousandth of the storage or less"
    step = net_inflow(table, dam, LAST, resolution=86.4).step
    assert step is not None and step.flow == pytest.approx(1.0) and not step.is_assumed
