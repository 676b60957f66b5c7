"""Intervals from past errors: they use known errors only, depend on the state of the day, and never cross."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.models.day_kinds import NEAR_FULL, WET
from forebay.models.intervals import (
    MIN_ERRORS,
    State,
    _error_weights,
    error_quantiles,
    quiet_median,
    state_from_inputs,
)
from forebay.models.model import Array
from forebay.tables import QUANTILES

DAYS = np.arange(np.datetime64("2020-01-15"), np.datetime64("2021-03-01"))
MIDDLE = QUANTILES.index(0.5)
DRY = np.zeros(len(DAYS), bool)


def state_of(days: Array, kind: Array, sizes: Array) -> State:
    return State(days, kind, sizes, np.zeros(len(days), bool))


def constant_state(wet: Array = DRY, days: Array = DAYS) -> State:
    """A state that is the same on all days."""
    return state_of(days, wet, np.ones((len(days), 1)))


def random_errors(seed: int) -> Array:
    """Errors with gaps and a shift, with many errors on both sides."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(DAYS)) < 0.1, np.nan, rng.normal(rng.normal(), 1.0, len(DAYS)))


def random_state(seed: int, share: float = 0.3) -> State:
    """Days of which `share` are wet, and sizes with zeros, gaps and outliers."""
    rng = np.random.default_rng(seed + 1)
    sizes = rng.gamma(0.5, 10.0, (len(DAYS), 3)) * rng.choice([0.0, 1.0, 1.0, np.nan, 1e6], (len(DAYS), 3))
    return state_of(DAYS, rng.random(len(DAYS)) < share, sizes)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([1, 3, 7]), st.floats(0, 1))
def test_quantiles_never_cross_and_the_median_is_the_point(seed: int, lead: int, share: float) -> None:
    offsets = error_quantiles(random_errors(seed), random_state(seed, share), lead_time=lead)
    assert offsets.shape == (len(DAYS), len(QUANTILES))
    has_interval = np.isfinite(offsets).all(axis=1)
    assert has_interval[-300:].all()
    assert (offsets[:, MIDDLE] == 0).all()
    assert (np.diff(offsets[has_interval], axis=1) >= 0).all()
    assert (offsets[has_interval, -1] - offsets[has_interval, 0] > 0).all(), "every interval has a positive width"
    assert np.isnan(np.delete(offsets[~has_interval], MIDDLE, axis=1)).all(), "an interval is complete or absent"


def test_models_together_have_the_quantiles_of_each_alone() -> None:
    """Their errors share the sizes of the inputs, and each has the size of its own forecast."""
    state = random_state(1)
    sizes = np.abs(np.random.default_rng(2).normal(size=(len(DAYS), 3))) * [1.0, 10.0, 0.0]
    gaps = np.where(np.isnan(random_errors(3)), np.nan, 0.0)
    errors = np.column_stack([random_errors(seed) for seed in (4, 5, 6)])
    errors = np.where(np.isnan(errors), 0.1, errors) * (1 + sizes) + gaps[:, None]
    together = error_quantiles(errors, state.with_sizes_by_model(sizes).with_sizes(sizes[:, 0]), lead_time=3)
    assert together.shape == (len(DAYS), 3, len(QUANTILES))
    for model in range(3):
        alone = error_quantiles(errors[:, model], state.with_sizes(sizes[:, model], sizes[:, 0]), lead_time=3)
        np.testing.assert_array_equal(together[:, model], alone)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([1, 3, 7]), st.integers(0, len(DAYS) - 1))
def test_an_error_is_not_used_before_it_is_known(seed: int, lead: int, init: int) -> None:
    """On day `init` the errors of days up to `init` − lead are known; later errors and states are arbitrary."""
    errors, state = random_errors(seed), random_state(seed)
    changed = errors.copy()
    changed[init - lead + 1 if init >= lead else 0 :] = 1e6
    later = np.arange(len(DAYS)) > init
    changed_state = state_of(DAYS, state.kind ^ later, np.where(later[:, None], 1e3, state.sizes))
    for function in (error_quantiles, quiet_median):
        offsets = function(errors, state, lead_time=lead)
        changed_offsets = function(changed, changed_state, lead_time=lead)
        np.testing.assert_array_equal(offsets[: init + 1], changed_offsets[: init + 1])


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([0.3048, 1000.0]))
def test_a_change_of_unit_changes_only_the_unit(seed: int, unit: float) -> None:
    errors, state = random_errors(seed), random_state(seed)
    offsets = error_quantiles(errors, state, lead_time=3)
    scaled = error_quantiles(unit * errors, state_of(DAYS, state.kind, unit * state.sizes), lead_time=3)
    np.testing.assert_allclose(scaled, unit * offsets, rtol=1e-6, atol=1e-9)
    shift = quiet_median(unit * errors, state_of(DAYS, state.kind, unit * state.sizes), lead_time=3)
    np.testing.assert_allclose(shift, unit * quiet_median(errors, state, lead_time=3), rtol=1e-6, atol=1e-9)


def test_the_median_of_quiet_days_is_learned_from_quiet_days() -> None:
    """Simulated errors: −.01 on quiet days, with a large spread on active days, which have no correction."""
    days = np.arange(np.datetime64("2015-01-01"), np.datetime64("2021-01-01"))
    rng = np.random.default_rng(3)
    activity = rng.gamma(0.5, 2.0, len(days))
    quiet = activity < np.median(activity)
    errors = np.where(quiet, rng.normal(-0.01, 0.002, len(days)), rng.normal(0.3, 0.5, len(days)))
    shift = quiet_median(errors, state_of(days, np.zeros(len(days), bool), activity[:, None]), lead_time=1)
    last = np.arange(len(days)) > len(days) - 365
    assert np.median(shift[last & quiet]) == pytest.approx(-0.01, abs=0.003)
    assert (shift[activity > np.quantile(activity, 0.75)] == 0).all()
    assert np.abs(errors - shift)[last & quiet].mean() < 0.5 * np.abs(errors)[last & quiet].mean()
    assert (shift[:100] == 0).all(), "no error is known"


def widened(probability: float, errors: int, lead: int) -> float:
    """The widened probability for `errors` past errors, which count as `errors` / 3h independent errors.

    At least 0.4 of the nominal tail remains.
    """
    n = errors / (3 * lead)
    return min(1 - 0.4 * (1 - probability), 0.5 + (probability - 0.5) * (n + 1) / n)


def test_intervals_start_on_the_first_of_the_month_with_twenty_known_errors() -> None:
    """From 15 January, at lead 1: on 1 February the errors of 17 days are known, on 1 March of 46."""
    offsets = error_quantiles(np.arange(len(DAYS), dtype=float), constant_state(), lead_time=1)
    march = int(np.flatnonzero(np.datetime64("2020-03-01") == DAYS)[0])
    assert np.isnan(offsets[:march, 0]).all()
    assert np.isfinite(offsets[march:]).all()
    known = np.arange(march, dtype=float)  # of days 0 … march − 1: the last of them is valid on 1 March itself
    assert offsets[march, -1] == pytest.approx(np.quantile(known, widened(0.95, march, 1)))
    assert (offsets[march : march + 31] == offsets[march]).all(), "computed on the first of a month only"


def test_twenty_errors_are_enough_and_nineteen_are_not() -> None:
    days = np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-02-02"))
    for known, expected in ((MIN_ERRORS - 1, False), (MIN_ERRORS, True)):
        errors = np.full(len(days), np.nan)
        errors[:known] = np.linspace(-1, 1, known)
        offsets = error_quantiles(errors, constant_state(np.zeros(len(days), bool), days), lead_time=1)
        assert np.isfinite(offsets[-1]).all() == expected


@pytest.mark.parametrize("lead", [1, 3, 7])
def test_correlated_errors_count_as_fewer_errors(lead: int) -> None:
    """n errors count as n/3h: with 14 months of errors the .95 quantile is slightly above the empirical quantile."""
    errors = np.random.default_rng(6).normal(size=len(DAYS))
    offsets = error_quantiles(errors, constant_state(), lead_time=lead)[-1]
    known = errors[: int(np.flatnonzero(np.datetime64("2021-02-01") == DAYS)[0]) - lead + 1]
    for place, probability in ((-1, 0.95), (-2, 0.9)):
        level = widened(probability, len(known), lead)
        assert offsets[place] == pytest.approx(np.quantile(known, level))
        assert offsets[place] > np.quantile(known, probability)


def test_few_errors_give_wider_intervals_at_longer_leads() -> None:
    errors = np.random.default_rng(7).normal(size=len(DAYS))
    april = int(np.flatnonzero(np.datetime64("2020-04-01") == DAYS)[0])
    width = [np.ptp(error_quantiles(errors, constant_state(), lead_time=lead)[april]) for lead in (1, 3)]
    assert width[1] > width[0]


def test_wet_days_use_errors_of_wet_days_if_there_are_enough() -> None:
    wet = np.arange(len(DAYS)) % 2 == 0
    last = error_quantiles(np.where(wet, 5.0, -1.0), constant_state(wet), lead_time=1)[-31:]
    np.testing.assert_allclose(last[wet[-31:], -1], 5.0)
    np.testing.assert_array_equal(last[wet[-31:], 0], 0.0)
    np.testing.assert_allclose(last[~wet[-31:], 0], -1.0)
    single_day = np.arange(len(DAYS)) == len(DAYS) - 1
    offsets = error_quantiles(np.linspace(-1, 1, len(DAYS)), constant_state(single_day), lead_time=1)
    np.testing.assert_array_equal(offsets[-1], offsets[-2], err_msg="too few wet days: the errors of all days are used")


def test_a_size_outside_the_past_range_is_clipped_to_it() -> None:
    sizes = np.random.default_rng(3).gamma(2.0, 1.0, (len(DAYS), 1))
    large, larger = (state_of(DAYS, DRY, np.vstack([sizes[:-1], [[size]]])) for size in (1e12, 1e15))
    offsets, larger_offsets = (error_quantiles(random_errors(3), state, lead_time=1)[-1] for state in (large, larger))
    assert np.isfinite(offsets).all()
    np.testing.assert_array_equal(offsets, larger_offsets)


def test_no_interval_is_much_wider_than_those_of_the_largest_past_days() -> None:
    """Two causes each double the errors, never together. On the last day both have their largest value."""
    rng = np.random.default_rng(6)
    sizes = rng.gamma(1.0, 5.0, (len(DAYS), 2)) * (np.arange(len(DAYS)) % 2 == np.array([[0], [1]])).T
    sizes[-1] = sizes[:-1].max(axis=0)
    errors = rng.normal(size=len(DAYS)) * (1 + sizes.sum(axis=1))
    offsets = error_quantiles(errors, state_of(DAYS, DRY, sizes), lead_time=1)
    width = offsets[:, -1] - offsets[:, 0]
    assert np.nanmedian(width) < width[-1] < 8 * (1 + sizes.max())


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        (0, (1.0, 0.0, 1.0)),
        (WET, (0.0, 1.0, 0.0)),
        (NEAR_FULL, (60 / 40, 0.0, 1 + 60 / 40)),
        (NEAR_FULL | WET, (0.0, 60 / 25, 0.0)),
    ],
)
@pytest.mark.parametrize("wet_days", [25, MIN_ERRORS - 1])
def test_errors_of_the_same_kind_count_more_and_those_of_the_same_wetness_together_like_sixty(
    kind: int, weights: tuple[float, ...], wet_days: int
) -> None:
    """30 ordinary dry days, 25 or 19 wet days, 10 dry days near full supply."""
    kinds = np.repeat([0, WET, NEAR_FULL], [30, wet_days, 10])
    if kind & WET and wet_days < MIN_ERRORS:  # too few errors have this wetness: all count
        weights = (1.0, 1.0, 1.0) if kind == WET else (60 / len(kinds),) * 3
    expected = np.repeat(weights, [30, wet_days, 10])
    np.testing.assert_allclose(_error_weights(kinds, kind, 60.0), expected)


@pytest.mark.parametrize("empty_size", [0.0, np.nan])
def test_a_state_without_any_size_gives_constant_intervals(empty_size: float) -> None:
    state = state_of(DAYS, DRY, np.full((len(DAYS), 2), empty_size))
    expected = error_quantiles(random_errors(4), constant_state(), lead_time=1)
    np.testing.assert_allclose(error_quantiles(random_errors(4), state, lead_time=1), expected)
    level = error_quantiles(np.zeros(len(DAYS)), state, lead_time=1)
    assert (level[-1] == 0).all(), "a forecast without errors"


LONG = np.arange(np.datetime64("2008-01-01"), np.datetime64("2020-01-01"))


@pytest.mark.parametrize("lead", [1, 7])
def test_intervals_cover_errors_on_quiet_and_on_active_days(lead: int) -> None:
    """Simulated: normal errors with a log-normal scale per day, which is known to within 20%."""
    rng = np.random.default_rng(8)
    scale = np.exp(rng.normal(0, 0.7, len(LONG)))
    errors = scale * rng.normal(size=len(LONG))
    sizes = np.column_stack([scale * np.exp(rng.normal(0, 0.2, len(LONG))), rng.gamma(1, 1, len(LONG))])
    offsets = error_quantiles(errors, state_of(LONG, np.zeros(len(LONG), bool), sizes), lead_time=lead)
    scored = np.arange(len(LONG)) > 1000
    thirds = np.searchsorted(np.quantile(scale, [1 / 3, 2 / 3]), scale)
    for low, high, share in ((0, -1, 0.9), (1, -2, 0.8)):
        inside = (errors >= offsets[:, low]) & (errors <= offsets[:, high])
        assert inside[scored].mean() == pytest.approx(share, abs=0.02)
        for third in range(3):
            covered = inside[scored & (thirds == third)].mean()
            assert share - 0.06 < covered < share + 0.1, "intervals of quiet days may be a little too wide"
    width = offsets[:, -1] - offsets[:, 0]
    assert width[scored & (thirds == 2)].mean() > 3 * width[scored & (thirds == 0)].mean()


def test_the_state_has_the_magnitudes_of_changes_rain_and_rises() -> None:
    inputs = pl.DataFrame(
        {
            "last_change": [-0.5, None],
            "rain_3d": [12.0, 0.0],
            "stream_level_s": [3.0, 3.1],
            "stream_level_s_rise": [-1.0, 0.1],
            "season_sin": [0.5, 0.5],
            "context_level": [90.0, 91.0],
        }
    )
    state = state_from_inputs(inputs, np.array([True, False]), DAYS[:2], np.zeros(2, bool))
    np.testing.assert_array_equal(state.sizes, [[0.5, 12.0, 1.0], [np.nan, 0.0, 0.1]])
    extended = state.with_sizes(np.array([7.0, 8.0]))
    np.testing.assert_array_equal(extended.sizes[:, -1], [7.0, 8.0])
    assert extended.kind is state.kind


def test_an_unusual_day_is_as_uncertain_as_the_largest_past_days() -> None:
    """Sizes of all days are equal but on 2% of them, where errors are ten times as large."""
    rng = np.random.default_rng(8)
    large = rng.random(len(DAYS)) < 0.02
    errors = rng.normal(0, np.where(large, 10.0, 1.0))
    sizes = np.where(large, 100.0, 1.0)[:, None] * np.exp(rng.normal(0, 0.1, (len(DAYS), 1)))
    large[-1], sizes[-1] = False, 1.0
    calm = state_of(DAYS, DRY, sizes)
    unusual = State(DAYS, DRY, sizes, np.arange(len(DAYS)) == len(DAYS) - 1)
    widths = [np.ptp(error_quantiles(errors, state, lead_time=1), axis=1) for state in (calm, unusual)]
    np.testing.assert_array_equal(widths[0][:-1], widths[1][:-1])
    assert widths[1][-1] > 3 * widths[0][-1]
