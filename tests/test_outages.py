"""Outages of the level and drivers: the extended level, ages, simulated outages, the change since the last level."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from forebay.features.level_change import OLDEST_LEVEL_DAYS, change_per_day, last_change
from forebay.features.outages import (
    Outages,
    SimulatedOutage,
    build_extended_inputs,
    days_since,
    drivers_age,
    hidden_values,
    outages_of,
)
from forebay.features.samples import Samples, make_samples
from forebay.models import MODELS
from forebay.models.lead_curve import has_curve, offset_curve
from forebay.models.references import LastChange
from forebay.verify import default as default_model
from forebay.verify import hindcast, point_forecasts, uncertainty
from forebay.verify.default import with_default
from tests.synthetic import daily_frame, rain_gauge, small_dam
from tests.test_bad_input import LEADS, RAINY, record, with_gap

BARE = small_dam()
CHEAP = {"damped_change": MODELS["damped_change"], "climatology": MODELS["climatology"], "boosted_huber": LastChange}
"""Enough models for a blend."""


def test_ages_count_from_the_last_value_and_are_zero_before_the_first() -> None:
    assert days_since(np.array([False, True, False, False, True, False])).tolist() == [0, 0, 1, 2, 0, 1]


def test_a_missing_level_continues_with_its_damped_last_change() -> None:
    """A rise of .1 m on day 2; the inputs continue with .09, .081 and .0729 m, and the forecast starts from 1.1 m."""
    levels = [1.0, 1.0, 1.1, None, None, None]
    inputs = build_extended_inputs(daily_frame(BARE, {"reservoir_level": levels}), BARE)
    assert inputs["start_level"].to_list() == pytest.approx([1.0, 1.0, 1.1, 1.1, 1.1, 1.1])
    assert inputs["level_age"].to_list() == [0, 0, 0, 1, 2, 3]
    assert inputs["last_change"].to_list()[3:] == pytest.approx([0.09, 0.081, 0.0729])


def test_only_a_day_with_a_level_of_its_own_has_the_age_zero() -> None:
    """Also where the record begins without a level."""
    levels = [None, None, 1.0, 1.1, None]
    extended = build_extended_inputs(daily_frame(BARE, {"reservoir_level": levels}), BARE)
    own = np.array([np.nan, np.nan, 1.0, 1.1, np.nan])
    outages = outages_of(extended, BARE, level=own, extended=extended)
    assert outages.level_age.tolist() == [1, 1, 0, 0, 1]
    np.testing.assert_array_equal(outages.start_level, [np.nan, np.nan, 1.0, 1.1, 1.1])


def test_a_level_that_is_too_old_starts_no_forecast() -> None:
    levels = [1.0, 1.0] + [None] * 40
    inputs = build_extended_inputs(daily_frame(BARE, {"reservoir_level": levels}), BARE)
    assert inputs["start_level"].is_null().to_list() == [False] * (2 + OLDEST_LEVEL_DAYS) + [True] * 10


def test_a_change_across_a_long_gap_is_unknown_and_an_old_one_no_longer_used() -> None:
    for gap, is_known in ((OLDEST_LEVEL_DAYS, True), (OLDEST_LEVEL_DAYS + 1, False)):
        level = pl.DataFrame({"level": [1.0, 1.5, *[None] * (gap - 1), 1.5 + gap]})
        change = change_per_day(level, "level")
        assert change[-1] == (1.0 if is_known else None)
        newest = last_change(pl.Series([None, 0.5, *[None] * gap], dtype=pl.Float64))
        assert (newest[-1] is not None) == is_known


@pytest.mark.parametrize(
    ("kind", "hidden"),
    [
        ("level", {"reservoir_level"}),
        ("drivers", {"rainfall_r1", "inflow_i"}),
        ("both", {"reservoir_level", "rainfall_r1", "inflow_i"}),
    ],
)
def test_a_simulated_outage_hides_the_gauges_of_its_kind_on_every_other_thirty_days(
    kind: str, hidden: set[str]
) -> None:
    dam = small_dam(rain_gauge(), {"role": "inflow", "station": "i", "variable": "inflow", "unit": "m3/s"})
    values = hidden_values(kind, dam, 100)
    assert set(values.columns) == hidden
    assert np.flatnonzero(values.days).tolist() == [*range(30, 60), *range(90, 100)]


def test_drivers_are_missing_where_all_rain_gauges_are_missing() -> None:
    dam = small_dam(rain_gauge(), rain_gauge("r2"))
    rain = {"rainfall_r1": [1.0, None, None, None], "rainfall_r2": [None, 2.0, None, None]}
    inputs = pl.DataFrame({"rain_lag0": pl.DataFrame(rain).mean_horizontal()})
    assert drivers_age(inputs, dam).tolist() == [0, 0, 1, 2]
    assert drivers_age(inputs.drop("rain_lag0"), BARE).tolist() == [0, 0, 0, 0], "this dam has no drivers"


def test_the_change_since_the_last_level_is_the_sum_of_daily_changes() -> None:
    daily_changes = np.array([0.1, 0.2, 0.4, np.nan, 0.8])
    changes = point_forecasts.change_since_level(daily_changes, np.array([0, 1, 2, 0, 1]))
    np.testing.assert_allclose(changes, [0.0, 0.1, 0.3, 0.0, np.nan])


@pytest.mark.parametrize("leads", [(1, 3), (2, 4), (5,)])
def test_the_days_since_the_last_level_count_by_the_change_of_a_day(leads: tuple[int, ...]) -> None:
    """Forecasts of 0.1 a day; in simulated outages 0.2 a day."""
    real, simulated = np.array([0, 1, 2, 3, 0, 0]), np.array([0, 0, 0, 0, 1, 2])
    level, no_days = np.ones(6), np.zeros(6, int)
    outage = SimulatedOutage(real > 0, pl.DataFrame(), level, simulated, no_days)
    outages = Outages(level, real, no_days, {"level": outage})
    dates = np.datetime64("2020-01-01") + np.arange(6)
    samples = Samples(dates, pl.DataFrame(), level, level, level, {}, outages=outages)
    points = point_forecasts.PointForecasts(
        {lead: np.full(6, 0.1 * lead) for lead in leads},
        outage_changes={"level": {lead: np.full(6, 0.2 * lead) for lead in leads}},
    )
    from_start = point_forecasts.from_start_level(points, samples)
    for lead in leads:
        np.testing.assert_allclose(from_start.changes[lead], 0.1 * (lead + real))
        in_outage = from_start.outage_changes["level"][lead]
        np.testing.assert_allclose(in_outage[4:], 0.2 * lead + np.array([0.1, 0.1 + 0.2]), err_msg="day 3 is no outage")


def test_a_simulated_outage_beside_a_real_one_of_another_kind_starts_no_forecast() -> None:
    frame = with_gap(with_gap(record(RAINY, days=500), "reservoir_level", 400, 412), "rainfall_r1", 450, 462)
    outages = make_samples(frame, frame, RAINY).outages
    assert outages is not None
    for kind, age in (("level", outages.drivers_age), ("drivers", outages.level_age)):
        simulated = outages.simulated[kind]
        assert (age > 0).sum() == 12
        assert np.isnan(simulated.start_level[age > 0]).all(), kind
        assert np.isfinite(simulated.start_level[(age == 0) & (simulated.level_age <= 30)]).all(), kind


def test_a_simulated_outage_has_the_response_of_the_level_that_it_leaves() -> None:
    """Far below full supply no gate acts, whatever the real level is; above full supply gates hold a rise back."""
    frame = with_gap(record(RAINY, days=500), "reservoir_level", 450, 462)
    samples = make_samples(frame, frame, RAINY)
    assert samples.outages is not None and samples.full_supply is not None
    points = hindcast.point_forecasts(samples, RAINY, CHEAP)
    changes = {}
    for name, start in (("far below", samples.full_supply.level - 50), ("full", samples.full_supply.level)):
        outage = replace(samples.outages.simulated["level"], start_level=start)
        outages = replace(samples.outages, simulated={"level": outage})
        changes[name] = with_default(points, replace(samples, outages=outages))["default"].outage_changes["level"]
    free = with_default(points, replace(samples, full_supply=None))["default"].outage_changes["level"]
    hidden = samples.outages.simulated["level"].rows
    for lead, expected in free.items():
        np.testing.assert_allclose(changes["far below"][lead][hidden], expected[hidden], atol=1e-12)
        rising = hidden[expected[hidden] > 0.01]
        assert len(rising) > 5
        assert (changes["full"][lead][rising] < expected[rising]).all()


def test_without_rain_data_no_day_is_known_to_be_wet() -> None:
    """The weights of a day that hides its rain do not depend on it; those of a day that hides its level do."""
    frame = with_gap(with_gap(record(RAINY, days=500), "reservoir_level", 470, 480), "rainfall_r1", 485, 495)
    samples = make_samples(frame, frame, RAINY)
    assert samples.outages is not None
    points = hindcast.point_forecasts(samples, RAINY, CHEAP)
    day = 460
    assert all(day in outage.rows for outage in samples.outages.simulated.values())
    wet = samples.regimes["wet"].copy()
    wet[day] = ~wet[day]
    other = replace(samples, regimes=samples.regimes | {"wet": wet})
    first, second = (with_default(points, version)["default"] for version in (samples, other))
    for lead in (1, 3):
        drivers, level = (
            [default.outage_changes[kind][lead][day] for default in (first, second)] for kind in ("drivers", "level")
        )
        assert drivers[0] == drivers[1]
        assert level[0] != level[1]
        assert first.changes[lead][day] != second.changes[lead][day]


@pytest.mark.parametrize("gap", [None, "reservoir_level", "rainfall_r1"])
def test_an_outage_is_no_quiet_day(gap: str | None) -> None:
    """The median error of quiet days corrects the forecasts of days with a level and rain only."""
    frame = record(RAINY, days=500, seed=7)
    frame = frame if gap is None else with_gap(frame, gap, 498, 500)
    samples = make_samples(frame, frame, RAINY)
    default = with_default(hindcast.point_forecasts(samples, RAINY, CHEAP), samples)["default"]
    assert any(default.shift.values()) == (gap is None)


def test_the_correction_of_quiet_days_learns_from_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days without rain data have errors of another kind, which correct no day with rain data."""
    samples = make_samples(*[with_gap(record(RAINY, days=500, seed=7), "rainfall_r1", 300, 340)] * 2, RAINY)
    assert samples.outages is not None and (samples.outages.drivers_age[300:340] > 0).all()
    learned: list[np.ndarray] = []
    learn = default_model.quiet_median

    def watched(errors: np.ndarray, *arguments: Any, **options: Any) -> np.ndarray:  # Any: passed on
        learned.append(errors)
        return learn(errors, *arguments, **options)

    monkeypatch.setattr(default_model, "quiet_median", watched)
    with_default(hindcast.point_forecasts(samples, RAINY, CHEAP), samples)
    whole = [errors for errors in learned if len(errors) == 500]
    assert whole
    for errors in whole:
        assert np.isnan(errors[300:340]).all() and np.isfinite(errors[200:300]).all()


def test_the_errors_of_one_simulated_outage_count_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer independent errors make wider intervals than if each day of an outage counted for itself."""
    frame = with_gap(record(RAINY, days=500), "reservoir_level", 480, 490)
    samples = make_samples(frame, frame, RAINY)
    points = hindcast.point_forecasts(samples, RAINY, CHEAP)

    def widths() -> np.ndarray:
        offsets = uncertainty.interval_offsets(samples, points, ["damped_change"], lead_time=1)[:, 0]
        return np.asarray(offsets[480:490, -1] - offsets[480:490, 0])

    as_one = widths()
    monkeypatch.setattr(uncertainty, "SIMULATED_OUTAGE_DAYS", 0)
    assert (as_one > 1.05 * widths()).all()


def test_a_real_outage_of_the_drivers_adds_simulated_outages_that_hide_rain() -> None:
    frame = record(RAINY, days=500)
    assert make_samples(frame, frame, RAINY).outages.simulated == {}  # type: ignore[union-attr]  # make_samples sets it
    outages = make_samples(*(with_gap(frame, "rainfall_r1", 450, 470),) * 2, RAINY).outages
    assert outages is not None
    assert set(outages.simulated) == {"drivers"}
    simulated = outages.simulated["drivers"]
    assert simulated.days.nonzero()[0].tolist() == list(range(450, 470))
    assert simulated.inputs["rain_lag0"][simulated.rows.tolist()].is_null().all()
    assert (simulated.level_age == 0).all()
    assert simulated.drivers_age[30:60].tolist() == list(range(1, 31))


def test_late_drivers_are_missing_later_in_a_simulated_outage() -> None:
    """Rain is known two days later: the first two days of a simulated outage use the rain of the days before it."""
    late = small_dam(rain_gauge(latency_h=40.0), hindcast=LEADS, full_supply=110.0)
    frame = record(late, days=500)
    outages = make_samples(*(with_gap(frame, "rainfall_r1", 450, 470),) * 2, late).outages
    assert outages is not None
    simulated = outages.simulated["drivers"]
    assert simulated.drivers_age[28:65].tolist() == [0] * 4 + list(range(1, 31)) + [0] * 3
    is_missing = simulated.inputs["rain_lag0"].is_null().to_numpy()
    assert (is_missing[:450] == (simulated.drivers_age[:450] > 0))[2:].all()


def test_outages_and_their_forecasts_use_no_later_values() -> None:
    """Other later values of rain and level change no simulated outage, no missing day and no forecast before."""
    until = 430
    frame = with_gap(with_gap(record(RAINY, days=520), "reservoir_level", 400, 412), "rainfall_r1", 380, 392)
    later = pl.int_range(pl.len()) > until
    changed = frame.with_columns(
        pl.when(later).then(pl.lit(91.0)).otherwise("reservoir_level").alias("reservoir_level"),
        pl.when(later).then(pl.lit(77.0)).otherwise("rainfall_r1").alias("rainfall_r1"),
    )
    results = []
    for daily in (frame, changed):
        samples = make_samples(daily, daily, RAINY)
        points = with_default(hindcast.point_forecasts(samples, RAINY, MODELS), samples)["default"]
        assert samples.outages is not None
        outage_changes = [points.outage_changes[kind][1][: until + 1] for kind in ("level", "drivers")]
        results.append([*outage_changes, points.changes[3][: until + 1], samples.outages.start_level[: until + 1]])
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


def test_forecasts_of_an_older_level_are_not_smoothed() -> None:
    """Their changes include those since that level, so they do not start at 0."""
    dam = small_dam(rain_gauge(), hindcast={"leads": (1, 2, 3)})
    frame = with_gap(record(dam, days=520), "reservoir_level", 400, 412)
    samples = make_samples(frame, frame, dam)
    curves = with_default(hindcast.point_forecasts(samples, dam, MODELS), samples)["default"].curves
    assert curves is not None
    unit = np.eye(3)
    assert (samples.level_age[400:412] > 0).all()
    np.testing.assert_array_equal(curves[400:412], np.broadcast_to(unit, (12, *unit.shape)))
    assert all(np.abs(curves[day] - unit).max() > 0.01 for day in (399, 412))


def test_offsets_lie_on_their_curve_on_the_days_that_are_smoothed() -> None:
    """And on no other: days without a level, and days before enough outcomes are known."""
    leads = (1, 2, 3, 4)
    dam = small_dam(rain_gauge(), hindcast={"leads": leads})
    frame = with_gap(record(dam, days=520), "reservoir_level", 400, 412)
    samples = make_samples(frame, frame, dam)
    points = with_default(hindcast.point_forecasts(samples, dam, MODELS), samples)
    default = points["default"]
    assert default.curves is not None
    median = np.stack([default.changes[lead] for lead in leads], axis=1)
    offsets = uncertainty.quantile_changes(samples, points, ["default"])["default"] - median[:, :, None]
    by_lead = [uncertainty.interval_offsets(samples, points, ["default"], lead_time=lead)[:, 0] for lead in leads]
    raw = np.stack(by_lead, axis=1)
    is_smoothed = has_curve(default.curves)
    on_curve = np.sort(np.einsum("lj,njk->nlk", offset_curve(leads), raw), axis=2)
    has_interval = np.isfinite(raw).all(axis=(1, 2))
    assert (is_smoothed & has_interval).sum() > 300
    assert (~is_smoothed & has_interval).sum() >= 12
    for rows, expected in ((is_smoothed & has_interval, on_curve), (~is_smoothed & has_interval, raw)):
        assert np.isclose(offsets[rows], expected[rows], atol=1e-12).mean() > 0.98, "all but what the limits change"
    assert np.abs(on_curve - raw)[is_smoothed & has_interval].max() > 0.001
