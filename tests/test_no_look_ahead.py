"""No look-ahead: values after an init time change nothing that was known or issued before it.

All values after a day are replaced by other values, flags and gaps, in all gauges including the target; for late
gauges, also values that were not available on that day. Inputs, regimes, forecasts (also of the blend) and intervals up
to that day must stay equal to the last bit. Deliberate leaks must be detected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Self

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forebay.dams.dam import Dam
from forebay.dams.hindcast import Hindcast
from forebay.features import known_inputs, outages, samples
from forebay.features.experience import experience, outside_days
from forebay.features.inputs import delay_days
from forebay.features.samples import WARM_UP, Samples, make_samples
from forebay.models import FLOW_MODELS, MODELS, NETS
from forebay.models.blend import blend
from forebay.models.intervals import State, error_quantiles
from forebay.models.model import Array, Model
from forebay.models.regression import Huber
from forebay.tables import flag_of
from forebay.verify import hindcast, uncertainty
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
Models = Mapping[str, Callable[[int], Model]]
DRY, FLOOD, NEAR_FULL, NO_LEVEL = 200, 301, 334, 433
CASES = {
    # The warm-up ends on day 208: until then regimes come from the past of the warm-up only. No rain for 25 days and
    # steady flows; later the level is stuck at one value.
    "end of a dry spell, in the warm-up, then a stuck level": (DRY, 2),
    # The second day of a flood, after the largest rise of the record, which the screen may flag and release later.
    # Later values are noise far outside the record.
    "second day of a flood, then noise": (FLOOD, 9),
    # 1 December: models, intervals and weights are renewed; the regime near_full applies. Later values have gaps.
    "near full supply on a refit day, then gaps": (NEAR_FULL, 6),
    # The second of three days without level: the forecast starts from the last level, its intervals come from simulated
    # outages. Later the level is missing for good.
    "a day without level, then no level at all": (NO_LEVEL, 1),
}
"""Case → the day after which all values are replaced, and the seed of the new values.

The seeds give the target one future of each kind of `change_later_values`: constant, wide noise, narrow noise with
gaps, no value. The futures of the remaining gauges differ by gauge.
"""


@dataclass(frozen=True)
class HindcastResult:
    """Inputs and regimes of each day, all forecasts, and sample paths of the default model."""

    days: pl.DataFrame
    forecasts: pl.DataFrame
    paths: Array

    def until(self, day: int) -> HindcastResult:
        """The part of the result up to day number `day`."""
        last = synthetic.FIRST_DAY + timedelta(days=day)
        forecasts = self.forecasts.filter(pl.col("init_date") <= last)
        return HindcastResult(self.days.head(day + 1), forecasts, self.paths[: day + 1])


def run_forecasts(samples: Samples, dam: Dam, models: Models = MODELS | FLOW_MODELS) -> pl.DataFrame:
    """All forecasts of a hindcast, also those of the blend."""
    points = hindcast.point_forecasts(samples, dam, models)
    return hindcast.forecast_table(samples, dam, hindcast.with_default(points, samples))


def run_hindcast(frame: pl.DataFrame, dam: Dam, models: Models) -> HindcastResult:
    """The result of a hindcast over `frame`."""
    samples = make_samples(frame, frame, dam)
    points = hindcast.with_default(hindcast.point_forecasts(samples, dam, models), samples)
    paths = uncertainty.sample_paths(samples, points, uncertainty.marginals(samples, points, "default"), "default")
    starts = hindcast.refit_days(samples.dates, hindcast.first_origin(samples, dam))
    outside = outside_days(experience(samples, starts, max(LEADS)), len(samples.dates))
    regimes = {f"is {name}": pl.Series(mask) for name, mask in samples.regimes.items()}
    days = samples.inputs.with_columns(
        **regimes, level=samples.level, trusted=samples.trusted, outside_experience=pl.Series(outside)
    )
    return HindcastResult(days, hindcast.forecast_table(samples, dam, points), paths)


def daily_with_events(dam: Dam) -> pl.DataFrame:
    """The synthetic daily table of `dam` with a dry spell up to `DRY`, a flood around `FLOOD`, then a full reservoir.

    The flood raises the level by 5.6 to about 100, the full supply level; from `NEAR_FULL` on the level falls again.
    """
    frame, day = synthetic.daily(dam, days=DAYS), np.arange(DAYS)
    days = [FLOOD - 2, FLOOD - 1, FLOOD, FLOOD + 1, NEAR_FULL, NEAR_FULL + 60]
    rise = np.interp(day, days, [0, 3.5, 5.2, 5.6, 5.6, 0])
    dry, flood = (day > DRY - 25) & (day <= DRY), (day >= FLOOD - 2) & (day <= FLOOD)
    columns = [(pl.col(dam.target_gauge.column) + pl.Series(rise)).alias(dam.target_gauge.column)]
    for gauge in dam.gauges:
        if gauge.role in ("rainfall", "stream", "inflow"):
            low = 0.0 if gauge.role == "rainfall" else 1.0
            value = pl.when(pl.Series(dry)).then(low).when(pl.Series(flood)).then(120.0).otherwise(gauge.column)
            columns.append(pl.when(pl.col(gauge.column).is_not_null()).then(value).alias(gauge.column))
    return frame.with_columns(columns)


@cache
def unchanged_result(name: str) -> HindcastResult:
    """The hindcast of a dam of `DAMS` over its daily table with events, computed once."""
    dam = with_two_leads(DAMS[name])
    return run_hindcast(daily_with_events(dam), dam, MODELS | FLOW_MODELS)


def with_two_leads(dam: Dam) -> Dam:
    """`dam` with a hindcast at two lead times."""
    return dam.model_copy(update={"hindcast": Hindcast(leads=LEADS)})


def change_later_values(frame: pl.DataFrame, dam: Dam, day: int, seed: int) -> pl.DataFrame:
    """`frame` with random values, flags and gaps in all cells that are not known at the end of day number `day`."""
    rng = np.random.default_rng(seed)
    columns = []
    for gauge in dam.gauges:
        later = pl.Series(np.arange(len(frame)) > day - delay_days(gauge, dam))
        values = rng.normal(rng.normal(0, 100), rng.choice([0.0, 0.1, 50.0]), len(frame))
        values = np.where(rng.random(len(frame)) < rng.choice([0.0, 0.3, 1.0]), np.nan, values)
        flags = pl.Series(rng.choice(np.array(FLAGS, object), len(frame)).tolist(), dtype=pl.String)
        columns += [
            pl.when(later).then(pl.Series(values, nan_to_null=True)).otherwise(gauge.column).alias(gauge.column),
            pl.when(later).then(flags).otherwise(flag_of(gauge.column)).alias(flag_of(gauge.column)),
        ]
    return frame.with_columns(columns)


def check_no_look_ahead(dam: Dam, day: int, seed: int, *, models: Models = MODELS | FLOW_MODELS) -> None:
    """Fail if anything up to `day` of a hindcast over the synthetic table changes with later values."""
    dam = with_two_leads(dam)
    frame = synthetic.daily(dam, days=DAYS)
    changed = change_later_values(frame, dam, day, seed)
    compare_until(day, run_hindcast(frame, dam, models), run_hindcast(changed, dam, models))


def compare_until(day: int, first: HindcastResult, second: HindcastResult) -> None:
    """Fail if two hindcasts differ in anything up to `day`."""
    before, after = first.until(day), second.until(day)
    common = [name for name in before.days.columns if name in after.days.columns]
    assert_frame_equal(before.days.select(common), after.days.select(common), check_exact=True)
    # a regime without data is absent; then no day up to `day` belongs to it in the other result
    for days in (before.days, after.days):
        assert not any(days[name].any() for name in days.columns if name not in common)
    assert_frame_equal(before.forecasts, after.forecasts, check_exact=True)
    np.testing.assert_array_equal(before.paths, after.paths)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", DAMS)
def test_later_values_change_no_earlier_result(name: str, case: str) -> None:
    dam, (day, seed) = with_two_leads(DAMS[name]), CASES[case]
    changed = run_hindcast(change_later_values(daily_with_events(dam), dam, day, seed), dam, MODELS | FLOW_MODELS)
    compare_until(day, unchanged_result(name), changed)


@pytest.mark.parametrize("name", DAMS)
def test_the_days_of_the_cases_have_their_events(name: str) -> None:
    dam = with_two_leads(DAMS[name])
    frame, days = daily_with_events(dam), unchanged_result(name).days
    level = frame[dam.target_gauge.column].cast(pl.Float64)
    assert hindcast.first_origin(make_samples(frame, frame, dam), dam) < DRY < int(WARM_UP * DAYS)
    assert level[FLOOD] - level[FLOOD - 1] > 1.0
    assert days["is near_full"][NEAR_FULL]
    assert frame["date"][NEAR_FULL].day == 1
    assert level[NO_LEVEL - 2 : NO_LEVEL + 2].is_null().to_list() == [False, True, True, True]
    if "rain_3d" in days.columns:
        assert days["rain_3d"][DRY] in (0.0, None)
        assert days["is wet"][FLOOD]


@pytest.mark.slow
@pytest.mark.parametrize(("day", "seed"), [(300, 1), (450, 2)])
def test_the_article_net_uses_no_later_day(day: int, seed: int) -> None:
    """Two cases only, because a net takes seconds."""
    check_no_look_ahead(DAMS["rain and a river"], day, seed, models={**MODELS, **NETS})


@pytest.mark.parametrize("seed", [seed for _, seed in CASES.values()])
def test_revisions_change_only_the_last_forecast(seed: int) -> None:
    """The newest versions may differ from the first on every day: only the last forecast uses them."""
    dam = with_two_leads(DAMS["rain and a river"])
    known = daily_with_events(dam)
    revised = change_later_values(known, dam, -1, seed)
    has_level = known.filter(pl.col("reservoir_level").is_not_null()).head(-1)["date"].implode()
    before = unchanged_result("rain and a river").forecasts
    after = run_forecasts(make_samples(known, revised, dam), dam)
    assert_frame_equal(
        *(table.filter(pl.col("init_date").is_in(has_level)) for table in (before, after)), check_exact=True
    )


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
        check_no_look_ahead(DAMS["rain and a river"], 400, 1, models={**MODELS, "leaky": CentredHuber})


def test_a_regime_from_later_days_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def steep_in_whole_record(rise: pl.Series, warm_up: int) -> Array:
        del warm_up
        return np.asarray((rise > rise.quantile(0.9)).fill_null(False).to_numpy())

    monkeypatch.setattr(samples, "_is_steep", steep_in_whole_record)
    with pytest.raises(AssertionError):
        check_no_look_ahead(DAMS["a river alone"], 150, 1)


@pytest.mark.slow
def test_a_model_that_learns_from_the_future_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    point_forecasts = hindcast.point_forecasts

    def leaky(samples: Samples, dam: Dam, models: Models) -> dict[str, PointForecasts]:
        FutureHuber.whole_record = (samples.inputs, samples.change(samples.trusted, 1))
        return point_forecasts(samples, dam, models)

    monkeypatch.setattr(hindcast, "point_forecasts", leaky)
    with pytest.raises(AssertionError):
        check_no_look_ahead(DAMS["rain and a river"], 400, 1, models={**MODELS, "leaky": FutureHuber})


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
        monkeypatch.setattr(
            module, "build_inputs", lambda *args: build(*args).with_columns(leaks[leak].alias("leak"))
        )
    day = 250
    if leak == "backward fill":  # visible only if the day itself has a gap
        monkeypatch.setattr(
            synthetic, "daily", lambda *a, daily=synthetic.daily, **k: _without_rain(daily(*a, **k), day)
        )
    with pytest.raises(AssertionError, match="leak"):
        check_no_look_ahead(DAMS["rain and a river"], day, 1)


def _without_rain(frame: pl.DataFrame, day: int) -> pl.DataFrame:
    """`frame` without rain on day number `day`."""
    columns = [name for name in frame.columns if name.startswith("rainfall") and not name.endswith("flag")]
    return frame.with_columns(pl.when(pl.int_range(len(frame)) != day).then(pl.col(columns)).name.keep())


@pytest.mark.slow
def test_intervals_from_later_errors_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_all_errors(errors: Array, state: State, *, probabilities: Sequence[float], **options: Any) -> Array:
        del state, options  # Any: the remaining keywords of error_quantiles
        return np.tile(np.nanquantile(errors, probabilities), (len(errors), 1))

    monkeypatch.setattr(uncertainty, "error_quantiles", from_all_errors)
    with pytest.raises(AssertionError):
        check_no_look_ahead(DAMS["rain and a river"], 400, 1)


@pytest.mark.slow
def test_errors_used_a_day_too_early_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A common mistake: at lead time h the errors of the last h days are not known yet."""

    def too_early(errors: Array, state: State, **options: Any) -> Array:  # Any: keywords of error_quantiles
        earlier = np.append(errors[1:], np.nan)  # as if each error were known a day before its valid date
        return error_quantiles(earlier, state, **options)

    monkeypatch.setattr(uncertainty, "error_quantiles", too_early)
    renewal_day = 365 + 31  # the first of a month, on which intervals are renewed
    with pytest.raises(AssertionError):
        check_no_look_ahead(DAMS["rain and a river"], renewal_day, 1)


@pytest.mark.slow
def test_paths_joined_by_unknown_errors_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    join = uncertainty.join_leads

    def too_early(members: Array, errors: Array, *, leads: Sequence[int], days: Array, wet: Array) -> Array:
        return join(members, errors, leads=[0 for _ in leads], days=days, wet=wet)

    monkeypatch.setattr(uncertainty, "join_leads", too_early)
    with pytest.raises(AssertionError):
        check_no_look_ahead(DAMS["rain and a river"], 365 + 31, 1)


@pytest.mark.slow
def test_intervals_from_the_spread_of_later_days_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_tomorrow(errors: Array, state: State, **options: Any) -> Array:  # Any: keywords of error_quantiles
        return error_quantiles(errors, state.with_sizes(np.roll(state.sizes, -1, axis=0)), **options)

    monkeypatch.setattr(uncertainty, "error_quantiles", with_tomorrow)
    with pytest.raises(AssertionError):
        check_no_look_ahead(DAMS["rain and a river"], 400, 1)


@pytest.mark.slow
def test_weights_from_unknown_errors_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """At lead time 3, weights that use the change of 3 days after 2 days."""

    def too_early(
        forecasts: Mapping[str, Array], observed: Array, *, lead_time: int, **options: Any
    ) -> tuple[Array, dict[str, Array]]:  # Any: the remaining keywords of blend
        return blend(forecasts, observed, lead_time=max(1, lead_time - 1), **options)

    monkeypatch.setattr(hindcast, "blend", too_early)
    with pytest.raises(AssertionError):
        check_no_look_ahead(DAMS["rain and a river"], 400, 1)


@pytest.mark.slow
def test_a_quiet_median_of_later_errors_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_all_errors(errors: Array, state: State, *, lead_time: int) -> Array:
        del state, lead_time
        return np.full(len(errors), np.nanmedian(errors))

    monkeypatch.setattr(hindcast, "quiet_median", from_all_errors)
    with pytest.raises(AssertionError):
        check_no_look_ahead(DAMS["rain and a river"], 400, 1)
