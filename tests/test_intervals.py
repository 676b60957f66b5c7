"""Intervals from past errors: only those known on the day, as wide as the day asks, never crossing."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.models.intervals import MIN_ERRORS, State, error_quantiles, quiet_median, state_from_inputs
from forebay.models.model import Array
from forebay.tables import QUANTILES

DAYS = np.arange(np.datetime64("2020-01-15"), np.datetime64("2021-03-01"))
MIDDLE = QUANTILES.index(0.5)
DRY = np.zeros(len(DAYS), bool)


def same_every_day(wet: Array = DRY, days: Array = DAYS) -> State:
    """A state that tells nothing about the size of errors."""
    return State(days, wet, np.ones((len(days), 1)))


def errors_of(seed: int) -> Array:
    """Errors with gaps and a shift, so that no side is short of them."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(DAYS)) < 0.1, np.nan, rng.normal(rng.normal(), 1.0, len(DAYS)))


def state_of_seed(seed: int, share: float = 0.3) -> State:
    """Days of which `share` are wet, and sizes with zeros, gaps and outliers."""
    rng = np.random.default_rng(seed + 1)
    sizes = rng.gamma(0.5, 10.0, (len(DAYS), 3)) * rng.choice([0.0, 1.0, 1.0, np.nan, 1e6], (len(DAYS), 3))
    return State(DAYS, rng.random(len(DAYS)) < share, sizes)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([1, 3, 7]), st.floats(0, 1))
def test_quantiles_never_cross_and_the_median_is_the_point(seed: int, lead: int, share: float) -> None:
    made = error_quantiles(errors_of(seed), state_of_seed(seed, share), lead_time=lead)
    assert made.shape == (len(DAYS), len(QUANTILES))
    given_ = np.isfinite(made).all(axis=1)
    assert given_[-300:].all()
    assert (made[:, MIDDLE] == 0).all()
    assert (np.diff(made[given_], axis=1) >= 0).all()
    assert (made[given_, -1] - made[given_, 0] > 0).all(), "errors are expected to have some size on every day"
    assert np.isnan(np.delete(made[~given_], MIDDLE, axis=1)).all(), "all of an interval or nothing of it"


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([1, 3, 7]), st.integers(0, len(DAYS) - 1))
def test_an_error_is_used_only_once_it_is_known(seed: int, lead: int, init: int) -> None:
    """On day `init` the errors of days up to `init` − lead are known; all later ones, and later states, may differ."""
    errors, state = errors_of(seed), state_of_seed(seed)
    changed = errors.copy()
    changed[init - lead + 1 if init >= lead else 0 :] = 1e6
    later = np.arange(len(DAYS)) > init
    other = State(DAYS, state.wet ^ later, np.where(later[:, None], 1e3, state.sizes))
    for learned in (error_quantiles, quiet_median):
        made = learned(errors, state, lead_time=lead)
        again = learned(changed, other, lead_time=lead)
        np.testing.assert_array_equal(made[: init + 1], again[: init + 1])


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([0.3048, 1000.0]))
def test_a_unit_changes_nothing_but_the_unit(seed: int, unit: float) -> None:
    errors, state = errors_of(seed), state_of_seed(seed)
    made = error_quantiles(errors, state, lead_time=3)
    scaled = error_quantiles(unit * errors, State(DAYS, state.wet, unit * state.sizes), lead_time=3)
    np.testing.assert_allclose(scaled, unit * made, rtol=1e-6, atol=1e-9)
    shift = quiet_median(unit * errors, State(DAYS, state.wet, unit * state.sizes), lead_time=3)
    np.testing.assert_allclose(shift, unit * quiet_median(errors, state, lead_time=3), rtol=1e-6, atol=1e-9)


def test_the_median_of_quiet_days_is_learned_from_quiet_days() -> None:
    """Simulated errors: quiet days end .01 lower than forecast, lively ones anywhere; those keep their forecast."""
    days = np.arange(np.datetime64("2015-01-01"), np.datetime64("2021-01-01"))
    rng = np.random.default_rng(3)
    activity = rng.gamma(0.5, 2.0, len(days))
    quiet = activity < np.median(activity)
    errors = np.where(quiet, rng.normal(-0.01, 0.002, len(days)), rng.normal(0.3, 0.5, len(days)))
    shift = quiet_median(errors, State(days, np.zeros(len(days), bool), activity[:, None]), lead_time=1)
    last = np.arange(len(days)) > len(days) - 365
    assert np.median(shift[last & quiet]) == pytest.approx(-0.01, abs=0.003)
    assert (shift[activity > np.quantile(activity, 0.75)] == 0).all()
    assert np.abs(errors - shift)[last & quiet].mean() < 0.5 * np.abs(errors)[last & quiet].mean()
    assert (shift[:100] == 0).all(), "nothing is known yet"


def widened(probability: float, errors: int, lead: int) -> float:
    """The share asked of `errors` past errors for `probability`: as if they were `errors` / 3h independent ones.

    0.4 of the tail beyond stays, however few they are.
    """
    n = errors / (3 * lead)
    return min(1 - 0.4 * (1 - probability), 0.5 + (probability - 0.5) * (n + 1) / n)


def test_from_the_first_of_the_month_on_which_twenty_errors_are_known() -> None:
    """From 15 January, at lead 1: on 1 February the errors of 17 days are known, on 1 March of 46."""
    made = error_quantiles(np.arange(len(DAYS), dtype=float), same_every_day(), lead_time=1)
    march = int(np.flatnonzero(np.datetime64("2020-03-01") == DAYS)[0])
    assert np.isnan(made[:march, 0]).all()
    assert np.isfinite(made[march:]).all()
    known = np.arange(march, dtype=float)  # of days 0 … march − 1: the last of them is valid on 1 March itself
    assert made[march, -1] == pytest.approx(np.quantile(known, widened(0.95, march, 1)))
    assert (made[march : march + 31] == made[march]).all(), "renewed on the first of a month only"


def test_twenty_errors_do_and_nineteen_do_not() -> None:
    days = np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-02-02"))
    for known, told in ((MIN_ERRORS - 1, False), (MIN_ERRORS, True)):
        errors = np.full(len(days), np.nan)
        errors[:known] = np.linspace(-1, 1, known)
        made = error_quantiles(errors, same_every_day(np.zeros(len(days), bool), days), lead_time=1)
        assert np.isfinite(made[-1]).all() == told


@pytest.mark.parametrize("lead", [1, 3, 7])
def test_errors_of_neighbouring_days_count_for_less(lead: int) -> None:
    """n errors are trusted as n/3h: 14 months of them give a .95 quantile a little further out than theirs."""
    errors = np.random.default_rng(6).normal(size=len(DAYS))
    made = error_quantiles(errors, same_every_day(), lead_time=lead)[-1]
    known = errors[: int(np.flatnonzero(np.datetime64("2021-02-01") == DAYS)[0]) - lead + 1]
    for place, probability in ((-1, 0.95), (-2, 0.9)):
        asked = widened(probability, len(known), lead)
        assert made[place] == pytest.approx(np.quantile(known, asked))
        assert made[place] > np.quantile(known, probability)


def test_few_errors_give_wider_intervals_at_longer_leads() -> None:
    errors = np.random.default_rng(7).normal(size=len(DAYS))
    april = int(np.flatnonzero(np.datetime64("2020-04-01") == DAYS)[0])
    width = [np.ptp(error_quantiles(errors, same_every_day(), lead_time=lead)[april]) for lead in (1, 3)]
    assert width[1] > width[0]


def test_wet_days_learn_from_wet_days_where_there_are_enough() -> None:
    wet = np.arange(len(DAYS)) % 2 == 0
    last = error_quantiles(np.where(wet, 5.0, -1.0), same_every_day(wet), lead_time=1)[-31:]
    np.testing.assert_allclose(last[wet[-31:], -1], 5.0)
    np.testing.assert_array_equal(last[wet[-31:], 0], 0.0)
    np.testing.assert_allclose(last[~wet[-31:], 0], -1.0)
    rare = np.arange(len(DAYS)) == len(DAYS) - 1
    alone = error_quantiles(np.linspace(-1, 1, len(DAYS)), same_every_day(rare), lead_time=1)
    np.testing.assert_array_equal(alone[-1], alone[-2], err_msg="too few wet days: all days' errors serve")


def test_a_day_beyond_all_experience_counts_as_its_extreme() -> None:
    sizes = np.random.default_rng(3).gamma(2.0, 1.0, (len(DAYS), 1))
    huge, vast = (State(DAYS, DRY, np.vstack([sizes[:-1], [[size]]])) for size in (1e12, 1e15))
    made, same = (error_quantiles(errors_of(3), state, lead_time=1)[-1] for state in (huge, vast))
    assert np.isfinite(made).all()
    np.testing.assert_array_equal(made, same)


@pytest.mark.parametrize("never", [0.0, np.nan])
def test_a_state_in_which_nothing_ever_happened(never: float) -> None:
    state = State(DAYS, DRY, np.full((len(DAYS), 2), never))
    told = error_quantiles(errors_of(4), same_every_day(), lead_time=1)
    np.testing.assert_allclose(error_quantiles(errors_of(4), state, lead_time=1), told)
    level = error_quantiles(np.zeros(len(DAYS)), state, lead_time=1)
    assert (level[-1] == 0).all(), "a forecast that was never wrong"


LONG = np.arange(np.datetime64("2008-01-01"), np.datetime64("2020-01-01"))


@pytest.mark.parametrize("lead", [1, 7])
def test_errors_whose_size_depends_on_the_day_are_covered_on_quiet_and_on_lively_days(lead: int) -> None:
    """Simulated: an error is normal, as large as a log-normal state of its day, which is known within some 20%."""
    rng = np.random.default_rng(8)
    scale = np.exp(rng.normal(0, 0.7, len(LONG)))
    errors = scale * rng.normal(size=len(LONG))
    seen = np.column_stack([scale * np.exp(rng.normal(0, 0.2, len(LONG))), rng.gamma(1, 1, len(LONG))])
    made = error_quantiles(errors, State(LONG, np.zeros(len(LONG), bool), seen), lead_time=lead)
    judged = np.arange(len(LONG)) > 1000
    thirds = np.searchsorted(np.quantile(scale, [1 / 3, 2 / 3]), scale)
    for low, high, share in ((0, -1, 0.9), (1, -2, 0.8)):
        inside = (errors >= made[:, low]) & (errors <= made[:, high])
        assert inside[judged].mean() == pytest.approx(share, abs=0.02)
        for third in range(3):
            covered = inside[judged & (thirds == third)].mean()
            assert share - 0.06 < covered < share + 0.1, "on quiet days rather too wide than too narrow"
    width = made[:, -1] - made[:, 0]
    assert width[judged & (thirds == 2)].mean() > 3 * width[judged & (thirds == 0)].mean()


def test_the_state_of_a_day_is_what_is_going_on() -> None:
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
    state = state_from_inputs(inputs, np.array([True, False]), DAYS[:2])
    np.testing.assert_array_equal(state.sizes, [[0.5, 12.0, 1.0], [np.nan, 0.0, 0.1]])
    extended = state.with_sizes(np.array([7.0, 8.0]))
    np.testing.assert_array_equal(extended.sizes[:, -1], [7.0, 8.0])
    assert extended.wet is state.wet
