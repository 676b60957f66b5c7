"""Samples: levels and changes for training and verification, regimes, and flags that exclude a value."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.errors import DataError
from forebay.features.known_inputs import (
    extended_inputs_as_known,
    in_date_ranges,
    inputs_as_known,
    screen_versions,
)
from forebay.features.samples import NO_VALUE_FLAGS, Samples, _level_to_start_from, make_samples
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam
from tests.test_flags import lake

EXCLUDED = {"from": FIRST_DAY + timedelta(days=3), "to": FIRST_DAY + timedelta(days=4), "reason": "stuck"}
INFLOW = {"role": "inflow", "station": "i", "variable": "inflow", "unit": "m3/s"}
STREAM = {"role": "stream", "station": "s", "variable": "stream_level", "unit": "m"}


def samples_from(dam: Dam, **columns: list[float | None] | list[str | None]) -> Samples:
    """Samples of a frame without revisions."""
    frame = daily_frame(dam, columns)
    return make_samples(frame, frame, dam)


def test_changes_by_lead_time() -> None:
    samples = samples_from(small_dam(), reservoir_level=[1.0, 1.5, None, 3.0])
    np.testing.assert_array_equal(samples.change(samples.level, 1), [0.5, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(samples.change(samples.level, 2), [np.nan, 1.5, np.nan, np.nan])
    assert np.isnan(samples.change(samples.level, 4)).all()
    assert np.isnan(samples.change(samples.level, 9)).all()


def test_positions_are_clipped_to_the_record() -> None:
    samples = samples_from(small_dam(), reservoir_level=[1.0] * 5)
    days = (FIRST_DAY - timedelta(days=9), FIRST_DAY, FIRST_DAY + timedelta(days=4), date(2050, 1, 1))
    assert [samples.position(day) for day in days] == [0, 0, 4, 5]
    assert samples.dates[0] == np.datetime64(FIRST_DAY)


def test_observed_levels_include_values_that_the_screen_flags_and_exclude_no_data() -> None:
    flags = [None, "range", "poor", "unknown", "spike", *NO_VALUE_FLAGS, None]
    level = [float(k) for k in range(len(flags))]
    samples = samples_from(small_dam(), reservoir_level=level, reservoir_level_flag=flags)
    has_value = np.array([flag not in NO_VALUE_FLAGS for flag in flags])
    np.testing.assert_array_equal(samples.observed, np.where(has_value, level, np.nan))
    assert np.isnan(samples.level[1]), "a value out of range starts no forecast"
    np.testing.assert_array_equal(np.isfinite(samples.level), has_value & (np.arange(len(flags)) != 1))


@pytest.mark.parametrize("flag", ["unavailable", "absent", "sentinel", "range", "incomplete"])
def test_a_day_without_a_whole_value_is_no_target(flag: str) -> None:
    samples = samples_from(small_dam(), reservoir_level=[1.0, 2.0, 4.0], reservoir_level_flag=[None, flag, None])
    for values in (samples.observed, samples.level, samples.trusted):
        np.testing.assert_array_equal(values, [1.0, np.nan, 4.0])


def test_excluded_periods_are_not_scored_and_not_learned_but_start_forecasts() -> None:
    dam = small_dam(hindcast={"verification_exclude": [EXCLUDED]})
    samples = samples_from(dam, reservoir_level=[1.0, 2.0, 3.0, 50.0, 51.0, 3.5])
    np.testing.assert_array_equal(samples.observed, [1.0, 2.0, 3.0, np.nan, np.nan, 3.5])
    np.testing.assert_array_equal(samples.trusted, samples.observed)
    np.testing.assert_array_equal(samples.level, [1.0, 2.0, 3.0, 50.0, 51.0, 3.5])
    assert samples.inputs["last_change"].to_list() == pytest.approx([None, 1.0, 1.0, 0.9, 0.81, 0.5 / 3])


def test_date_ranges_include_both_ends() -> None:
    dam = small_dam(hindcast={"verification_exclude": [EXCLUDED]})
    days = np.datetime64(FIRST_DAY) + np.arange(7)
    assert in_date_ranges(days, dam.hindcast.verification_exclude).tolist() == [False] * 3 + [True] * 2 + [False] * 2
    assert not in_date_ranges(days, ()).any()


def test_only_the_last_day_uses_revisions() -> None:
    dam = small_dam(rain_gauge("a"))
    level = [1.0, 2.0, 2.5, 2.75]
    known = daily_frame(dam, {"reservoir_level": level, "rainfall_a": [0.0, 1.0, 2.0, 3.0]})
    newest = daily_frame(dam, {"reservoir_level": [1.0, 2.0, 2.25, 2.875], "rainfall_a": [7.0, 8.0, 9.5, 9.0]})
    samples = make_samples(known, newest, dam)
    np.testing.assert_array_equal(samples.level, [1.0, 2.0, 2.5, 2.875])
    np.testing.assert_array_equal(samples.observed, [1.0, 2.0, 2.25, 2.875])
    assert samples.inputs["last_change"].to_list() == [None, 1.0, 0.5, 0.625]
    assert samples.inputs["rain_lag0"].to_list() == [0.0, 1.0, 2.0, 9.0]


def test_a_change_is_scored_between_the_newest_levels_or_from_the_level_that_its_forecast_starts_from() -> None:
    dam = small_dam()
    known = daily_frame(dam, {"reservoir_level": [1.0, 2.0, None, 4.0, 5.0]})
    newest = daily_frame(dam, {"reservoir_level": [1.5, 2.5, 3.5, 4.5, 5.5]})
    samples = make_samples(known, newest, dam)
    assert samples.level_age.tolist() == [0, 0, 1, 0, 0]
    np.testing.assert_array_equal(samples.observed_change(1), [1.0, 1.0, 4.5 - 2.0, 1.0, np.nan])
    np.testing.assert_array_equal(samples.observed_change(2), [2.0, 2.0, 5.5 - 2.0, np.nan, np.nan])


@pytest.mark.parametrize(
    ("first", "newest", "reason"), [(-30.0, 0.0, None), (0.0, -30.0, "jump"), (-30.0, -30.0, "jump")]
)
def test_the_last_level_is_suspect_by_its_newest_version(first: float, newest: float, reason: str | None) -> None:
    dam = small_dam()
    level = lake(days=500)
    versions = [daily_frame(dam, {"reservoir_level": [*level[:-1], level[-1] + rise]}) for rise in (first, newest)]
    samples = make_samples(*versions, dam)
    assert samples.suspect_reason == reason
    assert samples.level_age[-1] == (0 if reason is None else 1)
    assert samples.level[-1] == level[-1] + newest


def test_a_forecast_starts_from_the_level_of_a_stuck_gauge_and_from_no_other_suspect_one() -> None:
    reasons = [None, "stuck", "jump", "spike", "unit"]
    np.testing.assert_array_equal(_level_to_start_from(np.arange(5.0), reasons), [0.0, 1.0, np.nan, np.nan, np.nan])


def test_the_datum_of_the_last_day_is_that_of_its_newest_version() -> None:
    """A step of 4 m, 15 days before the end, is in the newest versions alone, or in the first ones alone."""
    dam, level, stepped = small_dam(full_supply=96.0), lake(days=500), lake((485, -4.0), days=500)
    plain, step = (daily_frame(dam, {"reservoir_level": values}) for values in (level, stepped))
    samples = make_samples(plain, step, dam)
    assert samples.withheld is not None and samples.full_supply is not None
    assert np.flatnonzero(samples.withheld).tolist() == [499]
    assert np.flatnonzero(np.isnan(samples.full_supply.level)).tolist() == [499]
    withheld = make_samples(step, plain, dam).withheld
    assert withheld is not None
    assert np.flatnonzero(withheld).tolist() == list(range(495, 499))


def test_days_after_the_last_init_date_are_dropped() -> None:
    dam = small_dam()
    newest = daily_frame(dam, {"reservoir_level": [1.0, 2.0, 4.0, 8.0]})
    samples = make_samples(newest.head(3), newest, dam)
    assert len(samples.dates) == len(samples.inputs) == len(samples.observed) == 3
    assert np.isnan(samples.change(samples.observed, 1)[-1])


CURVE = {"level_unit": "m", "storage_unit": "ML", "points": [(0.0, 0.0), (95.0, 9e3), (200.0, 9e5)]}


@pytest.mark.parametrize("facts", [{}, {"full_supply": 96.0}, {"full_supply": 96.0, "storage_curves": [CURVE]}])
def test_on_an_unknown_datum_no_input_depends_on_the_datum(facts: dict[str, object]) -> None:
    """An input depends on the datum if it changes when all levels are 3 m higher; then it is withheld."""
    dam = small_dam(rain_gauge(), INFLOW, **facts)
    level = np.array(lake(days=60))
    rain, inflow = np.random.default_rng(1).gamma(2, 2, (2, 60)).tolist()
    columns = {"rainfall_r1": rain, "inflow_i": inflow}
    frames = [daily_frame(dam, columns | {"reservoir_level": (level + shift).tolist()}) for shift in (0.0, 3.0)]
    withheld = np.arange(60) >= 50
    screened = [replace(screen_versions(frame, frame, dam), withheld=withheld) for frame in frames]
    for build in (inputs_as_known, extended_inputs_as_known):
        first, second = (build(versions, dam).drop("start_level", strict=False) for versions in screened)
        dependent = [name for name in first.columns if not _close(first[name][:50], second[name][:50])]
        assert len(dependent) >= 1
        for name in dependent:
            assert first[name][50:].is_null().all(), name
            assert not first[name][:50].is_null().all(), name
        for name in ("last_change", "rain_lag0", "rain_api", "inflow_i", "context_rain_7d"):
            assert not first[name][50:].is_null().any(), name


def _close(first: pl.Series, second: pl.Series) -> bool:
    values = (column.cast(pl.Float64).to_numpy() for column in (first.to_physical(), second.to_physical()))
    return bool(np.allclose(*values, atol=1e-9, equal_nan=True))


def test_no_usable_level_at_all() -> None:
    with pytest.raises(DataError, match="Small Dam: reservoir_level has no usable value in 3 days"):
        samples_from(small_dam(), reservoir_level=[None, None, None])


def test_wet_and_dry_regimes_from_three_day_rain() -> None:
    rain: list[float | None] = [0.0, 0.5, 0.4, 14.0, 1.0, 0.2, 0.3, None, None, None]
    samples = samples_from(small_dam(rain_gauge("a")), reservoir_level=[1.0] * 10, rainfall_a=rain)
    #  three-day sums: –, .5, .9, 14.9, 15.4, 15.2, 1.5, .5, –, – (two of the three days must have a reading)
    assert samples.regimes["wet"].tolist() == [False] * 4 + [True] * 2 + [False] * 4
    assert samples.regimes["dry"].tolist() == [False, True, True, False, False, False, False, True, False, False]
    assert samples.regimes["all"].all()


def test_near_full_uses_the_full_supply_level_of_that_day() -> None:
    full_supply = {
        "dated": [
            {"from": FIRST_DAY + timedelta(days=1), "value": 10.0},
            {"from": FIRST_DAY + timedelta(days=3), "value": 12.0},
        ]
    }
    dam = small_dam(full_supply=full_supply, hindcast={"near_full_margin": 0.5})
    samples = samples_from(dam, reservoir_level=[10.0, 9.5, 9.25, 11.0, 11.5, None])
    # the last day has no level, so its regime follows from the last known level
    assert samples.regimes["near_full"].tolist() == [False, True, False, False, True, True]


def test_a_regime_without_data_is_absent() -> None:
    level = [1.0 + 0.1 * k for k in range(20)]
    assert set(samples_from(small_dam(), reservoir_level=level).regimes) == {"all"}
    assert set(samples_from(small_dam(STREAM), reservoir_level=level).regimes) == {"all"}, "a gauge without any reading"
    late = [None] * 10 + [1.0, 2.0] * 5
    assert set(samples_from(small_dam(STREAM), reservoir_level=level, stream_level_s=late).regimes) == {"all"}
    assert "dry" not in samples_from(small_dam(STREAM), reservoir_level=level, stream_level_s=level).regimes


def test_without_rain_gauges_steep_rises_mark_wet_days() -> None:
    """Of rises of 0.1 … 0.9, 90% are below about 0.8; no rise is steep before 100 are known."""
    rises = [0.1 * (1 + k % 9) for k in range(104)] + [0.5, 0.95] * 8
    stream = np.cumsum(rises).tolist()
    wet = samples_from(small_dam(STREAM), reservoir_level=[1.0] * 120, stream_level_s=stream).regimes["wet"]
    assert wet[104:].tolist() == [False, True] * 8
    assert not wet[:100].any()


def test_a_steep_rise_stays_steep_when_the_record_grows() -> None:
    stream = np.cumsum(np.random.default_rng(1).gamma(0.5, 1.0, 400) - 0.5)

    def wet(days: int) -> list[bool]:
        dam = small_dam(STREAM)
        samples = samples_from(dam, reservoir_level=[1.0] * days, stream_level_s=stream[:days].tolist())
        return samples.regimes["wet"].tolist()

    assert wet(250) == wet(400)[:250]
    assert any(wet(250))


@pytest.mark.parametrize(("read_in", "metres"), [("ft", 0.3048), ("m", 1.0)])
@pytest.mark.parametrize(("unit", "size"), [("ft", 0.3048), ("m", 1.0)])
def test_the_resolution_is_that_of_the_readings_in_the_unit_of_the_target(
    read_in: str, metres: float, unit: str, size: float
) -> None:
    target = {"role": "target", "station": "lake", "variable": "reservoir_level", "unit": read_in}
    level = np.random.default_rng(1).integers(0, 40, 60) * 0.5 * metres / size
    resolution = samples_from(small_dam(target, unit=unit), reservoir_level=level.tolist()).resolution
    assert resolution is not None
    assert resolution[-1] == pytest.approx(0.5 * metres / size)


def test_the_last_change_does_not_depend_on_the_unit() -> None:
    level = [1.0, 1.2, 1.1]
    feet = samples_from(small_dam(unit="ft"), reservoir_level=[x / 0.3048 for x in level])
    metres = samples_from(small_dam(), reservoir_level=level)
    assert pl.Series(feet.inputs["last_change"] * 0.3048).to_list()[1:] == pytest.approx(
        metres.inputs["last_change"].to_list()[1:]
    )


def test_a_level_outside_the_plausible_range_is_no_target_and_no_start() -> None:
    level = [1.0, 2.0, -999999.0, 3.0, 9999.0, 4.0]
    flags: list[str | None] = [None, None, "sentinel", None, "range", None]
    samples = samples_from(small_dam(), reservoir_level=level, reservoir_level_flag=flags)
    for values in (samples.observed, samples.level, samples.trusted):
        np.testing.assert_array_equal(values, [1.0, 2.0, np.nan, 3.0, np.nan, 4.0])
    np.testing.assert_array_equal(samples.start_level, [1.0, 2.0, 2.0, 3.0, 3.0, 4.0])
