"""Sample paths: the same quantiles at each lead, joined by past errors that were known, and what they say of "by"."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.models.model import Array
from forebay.models.paths import LEVELS, MEMBERS, join_leads, reached_by

DAYS = np.arange(np.datetime64("2020-01-15"), np.datetime64("2021-03-01"))
LEADS = (1, 2, 5)


def made_of(seed: int) -> tuple[Array, Array, np.ndarray]:
    """Rising members, errors of a common cause with gaps, and wet days."""
    rng = np.random.default_rng(seed)
    members = np.sort(rng.normal(size=(len(DAYS), len(LEADS), MEMBERS)), axis=2)
    members[:60] = np.nan
    common = rng.normal(size=(len(DAYS), 1))
    errors = common + rng.normal(scale=0.3, size=(len(DAYS), len(LEADS)))
    errors[rng.random(errors.shape) < 0.05] = np.nan
    return members, errors, rng.random(len(DAYS)) < 0.3


@given(st.integers(0, 10_000))
def test_each_leads_members_are_its_quantiles_to_the_last_bit(seed: int) -> None:
    members, errors, wet = made_of(seed)
    paths = join_leads(members, errors, leads=LEADS, days=DAYS, wet=wet)
    np.testing.assert_array_equal(np.sort(paths, axis=2), members)


@given(st.integers(0, 10_000), st.integers(0, len(DAYS) - 1))
def test_an_error_joins_paths_only_once_its_last_day_is_over(seed: int, init: int) -> None:
    members, errors, wet = made_of(seed)
    changed = errors.copy()
    changed[max(0, init - max(LEADS) + 1) :] = np.random.default_rng(seed).normal(size=len(LEADS))
    made, again = (join_leads(members, e, leads=LEADS, days=DAYS, wet=wet) for e in (errors, changed))
    np.testing.assert_array_equal(made[: init + 1], again[: init + 1])


def test_errors_that_go_on_make_paths_that_go_on_and_those_that_turn_paths_that_turn() -> None:
    members, _, wet = made_of(1)
    cause = np.random.default_rng(2).normal(size=len(DAYS))
    errors = np.column_stack([cause, cause, -cause])
    last = join_leads(members, errors, leads=LEADS, days=DAYS, wet=wet)[-1]
    order = last[0].argsort()
    assert (np.diff(last[1, order]) >= 0).all()
    assert (np.diff(last[2, order]) <= 0).all()


def test_before_enough_errors_are_known_the_lowest_goes_with_the_lowest() -> None:
    members, errors, wet = made_of(3)
    errors[MEMBERS - 1 :] = np.nan
    np.testing.assert_array_equal(join_leads(members, errors, leads=LEADS, days=DAYS, wet=wet), members)


def test_levels_are_equally_likely_quantiles() -> None:
    assert len(LEVELS) == MEMBERS
    assert pytest.approx(1 - LEVELS[::-1]) == LEVELS
    for quantile in (0.05, 0.25, 0.75, 0.95):
        assert np.isclose(LEVELS, quantile).any(), "quantiles of the forecast that are members themselves"


def test_reached_by_a_day_counts_paths_not_days() -> None:
    turning = np.array([[0.0, 2.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0], [2.0, 2.0, 0.0, 2.0]])
    assert reached_by(turning, 1.0).tolist() == [0.25, 0.5, 0.75]


@given(st.integers(0, 1000), st.floats(-2, 2))
def test_reached_by_rises_with_the_lead_and_is_at_least_each_days_share(seed: int, threshold: float) -> None:
    paths = np.random.default_rng(seed).normal(size=(4, MEMBERS))
    by = reached_by(paths, threshold)
    assert (np.diff(by) >= 0).all()
    assert (by >= (paths >= threshold).mean(axis=1)).all()
