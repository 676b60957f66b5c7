"""Intervals from past errors: only those known on the day, never crossing, the point in the middle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.models.intervals import MIN_ERRORS, error_quantiles
from forebay.models.model import Array
from forebay.tables import QUANTILES

DAYS = np.arange(np.datetime64("2020-01-15"), np.datetime64("2021-03-01"))
MIDDLE = QUANTILES.index(0.5)
DRY = np.zeros(len(DAYS), bool)


def errors_of(seed: int) -> Array:
    """Errors with gaps and a shift, so that no side is short of them."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(DAYS)) < 0.1, np.nan, rng.normal(rng.normal(), 1.0, len(DAYS)))


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 7]), st.floats(0, 1))
def test_quantiles_never_cross_and_the_median_is_the_point(seed: int, lead: int, share: float) -> None:
    wet = np.random.default_rng(seed + 1).random(len(DAYS)) < share
    made = error_quantiles(errors_of(seed), wet, DAYS, lead_time=lead)
    assert made.shape == (len(DAYS), len(QUANTILES))
    assert (made[:, MIDDLE] == 0).all()
    given_ = np.isfinite(made).all(axis=1)
    assert (np.diff(made[given_], axis=1) >= 0).all()
    assert np.isnan(np.delete(made[~given_], MIDDLE, axis=1)).all(), "all of an interval or nothing of it"


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 7]), st.integers(0, len(DAYS) - 1))
def test_an_error_is_used_only_once_it_is_known(seed: int, lead: int, init: int) -> None:
    """On day `init` the errors of days up to `init` − lead are known; all later ones may be anything."""
    errors = errors_of(seed)
    changed = errors.copy()
    changed[init - lead + 1 if init >= lead else 0 :] = 1e6
    wet = np.random.default_rng(seed).random(len(DAYS)) < 0.3
    made, again = (error_quantiles(e, wet, DAYS, lead_time=lead) for e in (errors, changed))
    np.testing.assert_array_equal(made[: init + 1], again[: init + 1])


def test_from_the_first_of_the_month_on_which_twenty_errors_are_known() -> None:
    """From 15 January, at lead 1: on 1 February the errors of 17 days are known, on 1 March of 46."""
    made = error_quantiles(np.arange(len(DAYS), dtype=float), DRY, DAYS, lead_time=1)
    march = int(np.flatnonzero(np.datetime64("2020-03-01") == DAYS)[0])
    assert np.isnan(made[:march, 0]).all()
    assert np.isfinite(made[march:]).all()
    known = np.arange(march, dtype=float)  # of days 0 … march − 1: the last of them is valid on 1 March itself
    assert made[march, -1] == pytest.approx(np.quantile(known, 0.95))
    assert (made[march : march + 31] == made[march]).all(), "renewed on the first of a month only"


def test_twenty_errors_do_and_nineteen_do_not() -> None:
    days = np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-02-02"))
    for known, told in ((MIN_ERRORS - 1, False), (MIN_ERRORS, True)):
        errors = np.full(len(days), np.nan)
        errors[:known] = np.linspace(-1, 1, known)
        made = error_quantiles(errors, np.zeros(len(days), bool), days, lead_time=1)
        assert np.isfinite(made[-1]).all() == told


def test_wet_days_learn_from_wet_days_where_there_are_enough() -> None:
    wet = np.arange(len(DAYS)) % 2 == 0
    made = error_quantiles(np.where(wet, 5.0, -1.0), wet, DAYS, lead_time=1)
    last = made[-31:]
    np.testing.assert_array_equal(last[wet[-31:], -1], 5.0)
    np.testing.assert_array_equal(last[wet[-31:], 0], 0.0)
    np.testing.assert_array_equal(last[~wet[-31:], 0], -1.0)
    rare = np.arange(len(DAYS)) == len(DAYS) - 1
    alone = error_quantiles(np.linspace(-1, 1, len(DAYS)), rare, DAYS, lead_time=1)
    np.testing.assert_array_equal(alone[-1], alone[-2], err_msg="too few wet days: all days' errors serve")
