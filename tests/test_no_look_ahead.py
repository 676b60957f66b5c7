"""No look-ahead: values after an init time change nothing that was known or issued before it.

All values after a day are replaced by other values, flags and gaps, in all gauges including the target; for late
gauges, also values that were not available on that day. The dam file gets a storage curve and a full supply level that
apply later. Inputs, regimes, forecasts (also of the blend) and intervals up to that day must stay equal to the last
bit. Each day is an event on which a leak shows. Deliberate leaks must be detected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from typing import Any, Self

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forebay.dams.curves import StorageCurve
from forebay.dams.dam import Dam
from forebay.dams.hindcast import Hindcast
from forebay.dams.thresholds import ReferenceLevel
from forebay.features import inputs, known_inputs, outages, samples
from forebay.features.experience import experience, outside_days
from forebay.features.samples import Samples, make_samples
from forebay.models import FLOW_MODELS, MODELS, NETS
from forebay.models.blend import blend
from forebay.models.intervals import State, error_quantiles
from forebay.models.model import Array, Model
from forebay.models.references import Climatology, DampedChange, LastChange
from forebay.models.regression import Huber
from forebay.screen import evidence
from forebay.screen.findings import Bools, Floats
from forebay.screen.flags import active_flags, screen_daily
from forebay.tables import FORECASTS, PROBABILITIES, flag_of
from forebay.verify import default, hindcast, uncertainty
from forebay.verify.default import with_default
from forebay.verify.exceedance import probability_table, threshold_forecasts
from forebay.verify.point_forecasts import PointForecasts
from tests import synthetic

DAYS = 520
LEADS = (1, 3)
FLAGS = (None, None, None, "poor", "unknown", "range", "unavailable", "absent", "sentinel", "incomplete")
STREAM = {"role": "stream", "station": "s", "variable": "stream_level", "unit": "m"}
DAMS = {
    "rain and a river": synthetic.dam(),
    "a river alone": synthetic.small_dam(STREAM, full_supply=100.0),
    "late rain, an inflow, feet": synthetic.small_dam(
        synthetic.rain_gauge(day_start="09:00", latency_h=30),
        {"role": "inflow", "station": "i", "variable": "inflow", "unit": "m3/s", "latency_h": 5},
        unit="ft",
        full_supply=100.0,
    ),
    "snow, evaporation, a dam upstream, a curve": synthetic.small_dam(
        synthetic.rain_gauge(),
        {"role": "temperature", "station": "t", "variable": "temperature", "unit": "degC", "latency_h": 3},
        {"role": "snow", "station": "w", "variable": "snow_water_equivalent", "unit": "mm"},
        {"role": "evaporation", "station": "e", "variable": "evaporation", "unit": "mm"},
        {"role": "upstream_level", "station": "u", "variable": "reservoir_level", "unit": "m", "travel_time_h": 50},
        {"role": "upstream_release", "station": "u", "variable": "release", "unit": "m3/s", "travel_time_h": 30},
        storage_curves=[{"level_unit": "m", "storage_unit": "ML", "points": [(60.0, 0.0), (100.0, 9e4), (140.0, 9e5)]}],
        full_supply=100.0,
    ),
}
LATE_DAYS = {
    "late rain, an inflow, feet": {"rainfall_r1": 1, "inflow_i": 1},
    "snow, evaporation, a dam upstream, a curve": {"temperature_t": 1},
}
"""Dam → the gauges whose value of a day is known a day later, by hand from `latency_h` and `day_start`.

A day's rain ends at 09:00 and is known 30 hours later, at 15:00 of the next day. Inflow and temperature are known 5
and 3 hours after midnight, the level at midnight.
"""

Models = Mapping[str, Callable[[int], Model]]
FEW_MODELS = {name: MODELS[name] for name in ("damped_change", "climatology", "boosted_huber")}
"""Enough models for a blend, for the tests of leaks that do not depend on a model."""
DRY, FLOOD, NEW_YEAR, NO_DRIVERS, NO_LEVEL, STEP, RISE = 200, 301, 365, 396, 455, 474, 495
CASES = {
    # No rain for 25 days and steady flows; later the level is stuck at one value.
    "end of a dry spell, then a stuck level": (DRY, 2),
    # The second day of a flood, after the largest rise of the record, which the screen may flag and release later.
    # Later values are noise far outside the record.
    "second day of a flood, then noise": (FLOOD, 9),
    # 1 January: models, intervals and weights are renewed; the regime near_full applies. Later values have gaps.
    "near full supply on a refit day, then gaps": (NEW_YEAR, 6),
    # 1 February, in the third week without any driver: intervals from simulated outages are renewed. No gauge
    # contradicts the level, which leaps on this day. The screen knows the spike on the next day.
    "a spike in the third week without drivers, then noise": (NO_DRIVERS, 25),
    # 1 April, in the third week without level: the forecast starts from the last level, and intervals from simulated
    # outages are renewed.
    "third week without level, then a stuck level": (NO_LEVEL, 3),
    # The level fell to another datum 8 days ago. The fall is a jump until the step is known, after 10 days. Later the
    # level is missing for good.
    "two days before a step of datum is known, then no level at all": (STEP + 8, 1),
    # No rain for 25 days: the rise of this day is a jump. The heavy rain of the next day withdraws the flag.
    "a rise on the day before its rain, then another level": (RISE, 0),
}
"""Case → the day after which all values are replaced, and the seed of the new values.

The seeds give the target one future of each kind of `change_later_values`: constant, wide noise, narrow noise with and
without gaps, no value. The futures of the remaining gauges differ by gauge.
"""
DAY_OF_CASE = {day: case for case, (day, _) in CASES.items()}


@dataclass(frozen=True)
class HindcastResult:
    """Inputs and regimes of each day, all forecasts, sample paths of the default model, and its probabilities."""

    days: pl.DataFrame
    forecasts: pl.DataFrame
    paths: Array
    probabilities: pl.DataFrame

    def until(self, day: int, first_day: date = synthetic.FIRST_DAY) -> HindcastResult:
        """The part of the result up to day number `day`, counted from `first_day`."""
        last = first_day + timedelta(days=day)
        forecasts = self.forecasts.filter(pl.col("init_date") <= last)
        probabilities = self.probabilities.filter(pl.col("init_date") <= last)
        return HindcastResult(self.days.head(day + 1), forecasts, self.paths[: day + 1], probabilities)


def run_forecasts(samples: Samples, dam: Dam, models: Models = MODELS | FLOW_MODELS) -> pl.DataFrame:
    """All forecasts of a hindcast, also those of the blend."""
    points = hindcast.point_forecasts(samples, dam, models)
    return hindcast.forecast_table(samples, dam, with_default(points, samples))


def run_hindcast(
    frame: pl.DataFrame, dam: Dam, models: Models, issues: pl.DataFrame | None = None
) -> HindcastResult:
    """The result of a hindcast over `frame`, with forecasts and plans (`tables.FORCINGS`) from `issues`."""
    samples = make_samples(frame, frame, dam, issues)
    points = with_default(hindcast.point_forecasts(samples, dam, models), samples)
    paths = uncertainty.sample_paths(samples, points, uncertainty.marginals(samples, points, "default"), "default")
    starts = hindcast.refit_days(samples.dates, hindcast.first_origin(samples, dam))
    outside = outside_days(experience(samples, dam, starts, max(LEADS)), len(samples.dates))
    days = days_of(samples).with_columns(outside_experience=pl.Series(outside))
    forecasts = hindcast.forecast_table(samples, dam, points)
    probabilities = probability_table(threshold_forecasts(samples, dam, paths), samples, dam)
    return HindcastResult(days, forecasts, paths, probabilities)


def days_of(samples: Samples) -> pl.DataFrame:
    """Inputs, regimes and levels of each day."""
    regimes = {f"is {name}": pl.Series(mask) for name, mask in samples.regimes.items()}
    levels = {"level": samples.level, "trusted": samples.trusted, "start_level": samples.start_level}
    return samples.inputs.with_columns(**regimes, **levels)


def daily_with_events(dam: Dam) -> pl.DataFrame:
    """The synthetic daily table of `dam` with the events of `CASES`.

    Until `DRY` and until `RISE` no water arrives for 25 days. A flood raises the level by 5.6 m to about 100, the full
    supply level; from `NEW_YEAR` on it falls again. Three single changes of 3 m are a spike on `NO_DRIVERS`, a fall on
    `STEP` and a rise on `RISE`. All drivers are missing for 5 weeks, and the level for 4 weeks.
    """
    frame, day = synthetic.daily(dam, days=DAYS), np.arange(DAYS)
    days = [FLOOD - 2, FLOOD - 1, FLOOD, FLOOD + 1, NEW_YEAR, NEW_YEAR + 60]
    rise = np.interp(day, days, [0, 3.5, 5.2, 5.6, 5.6, 0])
    rise += 3.0 * ((day == NO_DRIVERS).astype(int) - (day >= STEP) + (day >= RISE))
    has_level = pl.Series((day < NO_LEVEL - 14) | (day >= NO_LEVEL + 14))
    has_drivers = pl.Series((day < NO_DRIVERS - 20) | (day >= NO_DRIVERS + 15))
    dry = ((day > DRY - 25) & (day <= DRY)) | ((day > RISE - 25) & (day <= RISE))
    wet = (day == RISE + 1) | ((day >= FLOOD - 2) & (day <= FLOOD))
    columns = []
    for gauge in dam.gauges:
        value = pl.col(gauge.column)
        if gauge.role == "target":
            columns.append(pl.when(has_level).then(value + pl.Series(rise)).alias(gauge.column))
            continue
        if gauge.role not in ("temperature", "snow", "evaporation"):
            low = 0.0 if gauge.role == "rainfall" else 1.0
            changed = pl.when(pl.Series(dry)).then(low).when(pl.Series(wet)).then(120.0).otherwise(value)
            value = pl.when(value.is_not_null()).then(changed)
        columns.append(pl.when(has_drivers).then(value).alias(gauge.column))
    return frame.with_columns(columns)


@cache
def unchanged_result(name: str) -> HindcastResult:
    """The hindcast of a dam of `DAMS` over its daily table with events, computed once."""
    dam = with_two_leads(DAMS[name])
    return run_hindcast(daily_with_events(dam), dam, MODELS | FLOW_MODELS)


def with_two_leads(dam: Dam) -> Dam:
    """`dam` with a hindcast at two lead times."""
    return dam.model_copy(update={"hindcast": Hindcast(leads=LEADS)})


def change_later_values(
    frame: pl.DataFrame, dam: Dam, day: int, seed: int, *, late_days: Mapping[str, int] | None = None
) -> pl.DataFrame:
    """`frame` with random values, flags and gaps in all cells that are not known at the end of day number `day`.

    late_days: column → days by which its values are known late; 0 for a column that it does not name.
    """
    rng = np.random.default_rng(seed)
    columns = []
    for gauge in dam.gauges:
        later = pl.Series(np.arange(len(frame)) > day - (late_days or {}).get(gauge.column, 0))
        values = rng.normal(rng.normal(0, 100), rng.choice([0.0, 0.1, 50.0]), len(frame))
        values = np.where(rng.random(len(frame)) < rng.choice([0.0, 0.3, 1.0]), np.nan, values)
        flags = pl.Series(rng.choice(np.array(FLAGS, object), len(frame)).tolist(), dtype=pl.String)
        columns += [
            pl.when(later).then(pl.Series(values, nan_to_null=True)).otherwise(gauge.column).alias(gauge.column),
            pl.when(later).then(flags).otherwise(flag_of(gauge.column)).alias(flag_of(gauge.column)),
        ]
    return frame.with_columns(columns)


def with_later_entries(dam: Dam, day: int) -> Dam:
    """`dam` with another storage curve and another full supply level from the day after day number `day` on."""
    next_day = synthetic.FIRST_DAY + timedelta(days=day + 1)
    changes: dict[str, object] = {}
    if dam.full_supply is not None:
        values = [{"from": synthetic.FIRST_DAY, "value": dam.full_supply.value}, {"from": next_day, "value": 160.0}]
        changes["full_supply"] = ReferenceLevel.model_validate({"dated": values})
    if dam.storage_curves:
        points = ((0.0, 0.0), (90.0, 1e4), (200.0, 9e6))
        curve = StorageCurve(level_unit="m", storage_unit="ML", valid_from=next_day, points=points)
        changes["storage_curves"] = (*dam.storage_curves, curve)
    return dam.model_copy(update=changes)


def changed_world(name: str, day: int, seed: int) -> tuple[pl.DataFrame, Dam]:
    """Daily table and dam of `DAMS` with other values and other entries of the dam file after day number `day`."""
    dam = with_two_leads(DAMS[name])
    changed = change_later_values(daily_with_events(dam), dam, day, seed, late_days=LATE_DAYS.get(name))
    return changed, with_later_entries(dam, day)


def check_no_look_ahead(day: int, *, name: str = "rain and a river", models: Models = FEW_MODELS) -> None:
    """Fail if anything up to the `day` of a case changes in a hindcast over its changed table."""
    dam, seed = with_two_leads(DAMS[name]), CASES[DAY_OF_CASE[day]][1]
    before = run_hindcast(daily_with_events(dam), dam, models)
    compare_until(day, before, run_hindcast(*changed_world(name, day, seed), models))


def check_inputs(day: int, *, name: str = "rain and a river") -> None:
    """Fail if inputs, levels or regimes up to the `day` of a case change with later values. No model is fitted."""
    dam, seed = with_two_leads(DAMS[name]), CASES[DAY_OF_CASE[day]][1]
    results = []
    for frame, its_dam in ((daily_with_events(dam), dam), changed_world(name, day, seed)):
        days = days_of(make_samples(frame, frame, its_dam))
        results.append(HindcastResult(days, FORECASTS.empty(), np.empty(0), PROBABILITIES.empty()))
    compare_until(day, *results)


def compare_until(
    day: int, first: HindcastResult, second: HindcastResult, *, first_day: date = synthetic.FIRST_DAY
) -> None:
    """Fail if two hindcasts differ in anything up to day number `day`, counted from `first_day`."""
    before, after = first.until(day, first_day), second.until(day, first_day)
    common = [name for name in before.days.columns if name in after.days.columns]
    assert_frame_equal(before.days.select(common), after.days.select(common), check_exact=True)
    # a regime without data is absent; then no day up to `day` belongs to it in the other result
    for days in (before.days, after.days):
        assert not any(days[name].any() for name in days.columns if name not in common)
    assert_frame_equal(before.forecasts, after.forecasts, check_exact=True)
    np.testing.assert_array_equal(before.paths, after.paths)
    keys = ["threshold", "direction", "kind", "lead_time", "init_date"]
    assert_frame_equal(before.probabilities.sort(keys), after.probabilities.sort(keys), check_exact=True)


@pytest.mark.parametrize("case", [case for case, (day, _) in CASES.items() if day not in (STEP + 8, RISE)])
@pytest.mark.parametrize("name", DAMS)
def test_later_values_change_no_earlier_result(name: str, case: str) -> None:
    day, seed = CASES[case]
    compare_until(day, unchanged_result(name), run_hindcast(*changed_world(name, day, seed), MODELS | FLOW_MODELS))


@pytest.mark.parametrize("day", [STEP + 8, RISE])
@pytest.mark.parametrize("name", DAMS)
def test_later_values_change_no_earlier_input(name: str, day: int) -> None:
    """The two cases that concern the screen only: inputs, levels and regimes, without forecasts."""
    check_inputs(day, name=name)


@pytest.mark.parametrize("name", DAMS)
def test_the_days_of_the_cases_have_their_events(name: str) -> None:
    dam = with_two_leads(DAMS[name])
    frame, days = daily_with_events(dam), unchanged_result(name).days
    level, samples = frame[dam.target_gauge.column].cast(pl.Float64), make_samples(frame, frame, dam)
    origin = hindcast.first_origin(samples, dam)
    assert origin < DRY
    assert level[FLOOD] - level[FLOOD - 1] > 1.0
    assert days["is near_full"][NEW_YEAR]
    assert NEW_YEAR in hindcast.refit_days(samples.dates, origin)
    assert [frame["date"][day].day for day in (NEW_YEAR, NO_DRIVERS, NO_LEVEL)] == [1, 1, 1]
    assert samples.outages is not None
    assert (samples.outages.level_age[NO_LEVEL], samples.outages.level_age[NO_DRIVERS]) == (15, 0)
    assert samples.outages.drivers_age[NO_DRIVERS] >= 20
    if "rain_3d" in days.columns:
        assert max(days["rain_3d"][day] or 0.0 for day in (DRY, RISE)) < 1e-9
        assert days["is wet"][FLOOD]


@pytest.mark.parametrize("name", DAMS)
def test_flags_of_the_level_become_known_and_are_withdrawn_on_the_days_of_the_cases(name: str) -> None:
    dam = with_two_leads(DAMS[name])
    flags = screen_daily(daily_with_events(dam), dam).filter(pl.col("gauge") == dam.target_gauge.column)

    def reasons(day: int, known_on: int) -> list[str]:
        dates = [synthetic.FIRST_DAY + timedelta(days=number) for number in (day, known_on)]
        return active_flags(flags, dates[1]).filter(pl.col("date") == dates[0])["reason"].to_list()

    assert [reasons(STEP, STEP + k) for k in (0, 8, 9, 10)] == [["jump"], ["jump"], ["jump"], ["step"]]
    rain_known = 2 if "inflow_i" in LATE_DAYS.get(name, {}) else 1  # days after the rise
    assert [reasons(RISE, RISE + k) for k in (rain_known - 1, rain_known)] == [["jump"], []]
    assert [reasons(NO_DRIVERS, NO_DRIVERS + k) for k in (0, 1)] == [[], ["spike"]]


@pytest.mark.slow
def test_the_article_net_uses_no_later_day() -> None:
    """The day on which nets are fitted again; one case only, because a net takes seconds."""
    check_no_look_ahead(NEW_YEAR, models={**FEW_MODELS, **NETS})


@pytest.mark.parametrize("seed", [9, 6])
def test_revisions_change_only_the_last_forecast(seed: int) -> None:
    """The newest versions may differ from the first on every day: only the last forecast uses them."""
    dam = with_two_leads(DAMS["rain and a river"])
    known = daily_with_events(dam)
    revised = change_later_values(known, dam, -1, seed)
    before = unchanged_result("rain and a river").forecasts
    after = run_forecasts(make_samples(known, revised, dam), dam)
    is_earlier = pl.col("init_date") < known["date"][-1]
    assert_frame_equal(*(table.filter(is_earlier) for table in (before, after)), check_exact=True)


def test_a_hindcast_learns_from_the_levels_that_were_known_then() -> None:
    """The newest levels are for scores: models, weights, curves, response, intervals and paths do not use them."""
    dam = DAMS["rain and a river"].model_copy(update={"hindcast": Hindcast.model_validate({"leads": (1, 2, 3)})})
    daily = daily_with_events(dam)
    known = make_samples(daily, daily, dam)
    revised = replace(known, observed=known.level + np.random.default_rng(1).normal(0, 0.2, len(daily)))
    models = {"damped_change": DampedChange, "climatology": Climatology, "boosted_huber": LastChange}
    members = np.sort(np.random.default_rng(2).normal(size=(len(daily), 3, 50)), axis=2)
    results = []
    for result in (known, revised):
        points = with_default(hindcast.point_forecasts(result, dam, models), result)
        forecast = points["default"]
        assert forecast.curves is not None
        results.append(
            {
                "models": np.stack(list(points["damped_change"].changes.values())),
                "weights": np.array([list(weights.values()) for weights in forecast.weights.values()]),
                "curves": forecast.curves,
                "response": np.stack(list(forecast.changes.values())),
                "intervals": uncertainty.quantile_changes(result, points, ["default"])["default"],
                "paths": uncertainty.sample_paths(result, points, members),
            }
        )
    for name, before in results[0].items():
        np.testing.assert_array_equal(before, results[1][name], err_msg=name)


class CentredHuber(Huber):
    """A leak: subtracts the mean of all rows of the inputs, which include later days."""

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Forecast from the inputs minus their mean."""
        numbers = [name for name in inputs.columns if name != "day_of_year"]
        return super().predict(inputs.with_columns(pl.col(numbers) - pl.col(numbers).mean()))


class FutureHuber(Huber):
    """A leak: learns from all rows, including later ones."""

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Fit to all rows, not to the arguments."""
        del inputs, target
        rows = np.flatnonzero(np.isfinite(self.whole_record[1]))
        return super().fit(self.whole_record[0][rows], self.whole_record[1][rows])

    whole_record: tuple[pl.DataFrame, Array]


@pytest.mark.slow
def test_a_model_that_uses_later_rows_is_detected() -> None:
    with pytest.raises(AssertionError):
        check_no_look_ahead(NEW_YEAR, models={**FEW_MODELS, "leaky": CentredHuber})


def test_a_regime_from_later_days_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def quantile_of_the_whole_record(rise: pl.Series, share: float, _count: int) -> Array:
        return np.full(len(rise), rise.quantile(share))

    monkeypatch.setattr(samples, "quantile_so_far", quantile_of_the_whole_record)
    with pytest.raises(AssertionError):
        check_inputs(DRY, name="a river alone")


@pytest.mark.slow
def test_a_model_that_learns_from_the_future_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    point_forecasts = hindcast.point_forecasts

    def leaky(samples: Samples, dam: Dam, models: Models) -> dict[str, PointForecasts]:
        FutureHuber.whole_record = (samples.inputs, samples.change(samples.trusted, 1))
        return point_forecasts(samples, dam, models)

    monkeypatch.setattr(hindcast, "point_forecasts", leaky)
    with pytest.raises(AssertionError):
        check_no_look_ahead(NEW_YEAR, models={**FEW_MODELS, "leaky": FutureHuber})


@pytest.mark.slow
@pytest.mark.parametrize("leak", ["shift(-1)", "backward fill", "centred mean", "mean of all"])
def test_an_input_from_later_days_is_detected(monkeypatch: pytest.MonkeyPatch, leak: str) -> None:
    build = known_inputs.build_inputs
    rain = pl.col("rain_lag0")
    leaks = {
        "shift(-1)": rain.shift(-1),
        "backward fill": rain.backward_fill(),
        "centred mean": rain.rolling_mean(3, min_samples=1, center=True),
        "mean of all": rain - rain.mean(),
    }
    for module in (known_inputs, outages):
        monkeypatch.setattr(module, "build_inputs", lambda *args: build(*args).with_columns(leaks[leak].alias("leak")))
    with pytest.raises(AssertionError, match="leak"):
        check_inputs(NO_DRIVERS if leak == "backward fill" else FLOOD)  # a fill shows only on a day with a gap


def test_the_newest_storage_curve_on_earlier_days_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    change_per_flow = inputs.change_per_flow

    def by_newest_curve(known: pl.DataFrame, dam: Dam) -> pl.Series:
        newest = dam.storage_curves[-1].model_copy(update={"valid_from": None})
        return change_per_flow(known, dam.model_copy(update={"storage_curves": (newest,)}))

    monkeypatch.setattr(inputs, "change_per_flow", by_newest_curve)
    with pytest.raises(AssertionError, match="context_rise_per_flow"):
        check_inputs(FLOOD, name="snow, evaporation, a dam upstream, a curve")


def test_evidence_of_the_next_day_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    any_above = evidence._any_above

    def a_day_early(indicators: list[list[Floats]], quantile: float, *, days: int) -> Bools:
        return np.roll(any_above(indicators, quantile, days=days), -1)

    monkeypatch.setattr(evidence, "_any_above", a_day_early)
    with pytest.raises(AssertionError):
        check_inputs(RISE)


@pytest.mark.parametrize("day", [NO_DRIVERS, STEP + 8])
def test_inputs_screened_with_hindsight_are_detected(monkeypatch: pytest.MonkeyPatch, day: int) -> None:
    """Leak: a flag that is known or withdrawn later counts from its own day on."""

    def with_hindsight(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
        return screen_daily(daily, dam).filter(pl.col("withdrawn_on").is_null()).with_columns(known_on="date")

    monkeypatch.setattr(known_inputs, "screen_daily", with_hindsight)
    with pytest.raises(AssertionError):
        check_inputs(day)


@pytest.mark.slow
def test_errors_of_simulated_outages_used_too_early_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leak: at every lead time, errors of simulated outages are used as soon as those of one day."""

    def after_a_day(errors: Array, state: State, *, lead_time: int, **options: Any) -> Array:
        lead = lead_time if options["mask"] is None else 1  # with a mask: on the days of an outage only
        return error_quantiles(errors, state, lead_time=lead, **options)

    monkeypatch.setattr(uncertainty, "error_quantiles", after_a_day)
    with pytest.raises(AssertionError):
        check_no_look_ahead(NO_DRIVERS)


@pytest.mark.slow
def test_intervals_from_later_errors_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_all_errors(errors: Array, state: State, *, probabilities: Sequence[float], **options: Any) -> Array:
        del state, options  # Any: the remaining keywords of error_quantiles
        return np.tile(np.nanquantile(errors, probabilities), (*errors.shape, 1))

    monkeypatch.setattr(uncertainty, "error_quantiles", from_all_errors)
    with pytest.raises(AssertionError):
        check_no_look_ahead(NEW_YEAR)


@pytest.mark.slow
def test_errors_used_a_day_too_early_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A common mistake: at lead time h the errors of the last h days are not known yet."""

    def too_early(errors: Array, state: State, **options: Any) -> Array:  # Any: keywords of error_quantiles
        unknown = np.full_like(errors[:1], np.nan)
        earlier = np.concatenate([errors[1:], unknown])  # as if each error were known a day before its valid date
        return error_quantiles(earlier, state, **options)

    monkeypatch.setattr(uncertainty, "error_quantiles", too_early)
    with pytest.raises(AssertionError):
        check_no_look_ahead(NEW_YEAR)  # the first of a month, on which intervals are renewed


@pytest.mark.slow
def test_paths_joined_by_unknown_errors_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    join = uncertainty.join_leads

    def too_early(members: Array, errors: Array, *, leads: Sequence[int], days: Array, wet: Array) -> Array:
        return join(members, errors, leads=[0 for _ in leads], days=days, wet=wet)

    monkeypatch.setattr(uncertainty, "join_leads", too_early)
    with pytest.raises(AssertionError):
        check_no_look_ahead(NEW_YEAR)


@pytest.mark.slow
def test_intervals_from_the_spread_of_later_days_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_tomorrow(errors: Array, state: State, **options: Any) -> Array:  # Any: keywords of error_quantiles
        return error_quantiles(errors, state.with_sizes(np.roll(state.sizes, -1, axis=0)), **options)

    monkeypatch.setattr(uncertainty, "error_quantiles", with_tomorrow)
    with pytest.raises(AssertionError):
        check_no_look_ahead(NEW_YEAR)


@pytest.mark.slow
def test_weights_from_unknown_errors_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """At lead time 3, weights that use the change of 3 days after 2 days."""

    def too_early(
        forecasts: Mapping[str, Array], observed: Array, *, lead_time: int, **options: Any
    ) -> tuple[Array, dict[str, Array]]:  # Any: the remaining keywords of blend
        return blend(forecasts, observed, lead_time=max(1, lead_time - 1), **options)

    monkeypatch.setattr(default, "blend", too_early)
    with pytest.raises(AssertionError):
        check_no_look_ahead(NEW_YEAR)


@pytest.mark.slow
def test_a_quiet_median_of_later_errors_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_all_errors(errors: Array, state: State, **options: Any) -> Array:
        del state, options  # Any: the keywords of quiet_median
        return np.full(len(errors), np.nanmedian(errors))

    monkeypatch.setattr(default, "quiet_median", from_all_errors)
    with pytest.raises(AssertionError):
        check_no_look_ahead(NEW_YEAR)
