"""Sample paths: past errors join the quantiles of the lead times; the values stay."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.features.samples import Samples
from forebay.models.model import Array
from forebay.models.paths import LEVELS, MEMBERS, join_leads
from forebay.verify.point_forecasts import PointForecasts
from forebay.verify.uncertainty import sample_paths

DAYS = np.arange(np.datetime64("2020-01-15"), np.datetime64("2021-03-01"))
LEADS = (1, 2, 5)


def random_ensemble(seed: int) -> tuple[Array, Array, np.ndarray]:
    """Rising members, correlated errors with gaps, and wet days."""
    rng = np.random.default_rng(seed)
    members = np.sort(rng.normal(size=(len(DAYS), len(LEADS), MEMBERS)), axis=2)
    members[:60] = np.nan
    common = rng.normal(size=(len(DAYS), 1))
    errors = common + rng.normal(scale=0.3, size=(len(DAYS), len(LEADS)))
    errors[rng.random(errors.shape) < 0.05] = np.nan
    return members, errors, rng.random(len(DAYS)) < 0.3


@given(st.integers(0, 10_000))
def test_members_of_each_lead_time_do_not_change(seed: int) -> None:
    members, errors, wet = random_ensemble(seed)
    paths = join_leads(members, errors, leads=LEADS, days=DAYS, wet=wet)
    np.testing.assert_array_equal(np.sort(paths, axis=2), members)


@given(st.integers(0, 10_000), st.integers(0, len(DAYS) - 1))
def test_paths_use_errors_only_after_their_last_valid_date(seed: int, init: int) -> None:
    members, errors, wet = random_ensemble(seed)
    changed = errors.copy()
    changed[max(0, init - max(LEADS) + 1) :] = np.random.default_rng(seed).normal(size=len(LEADS))
    paths, changed_paths = (join_leads(members, e, leads=LEADS, days=DAYS, wet=wet) for e in (errors, changed))
    np.testing.assert_array_equal(paths[: init + 1], changed_paths[: init + 1])


def test_paths_have_the_correlation_of_the_errors() -> None:
    members, _, wet = random_ensemble(1)
    cause = np.random.default_rng(2).normal(size=len(DAYS))
    errors = np.column_stack([cause, cause, -cause])
    last = join_leads(members, errors, leads=LEADS, days=DAYS, wet=wet)[-1]
    order = last[0].argsort()
    assert (np.diff(last[1, order]) >= 0).all()
    assert (np.diff(last[2, order]) <= 0).all()


def test_the_template_spans_all_past_days_of_the_same_wetness() -> None:
    """Other errors of the first dry day, or of the last one, join other paths on dry days, and on no wet day."""
    members, errors, wet = random_ensemble(5)
    errors[:, :] = np.random.default_rng(6).normal(size=errors.shape)
    first = int(np.searchsorted(DAYS, DAYS[-1].astype("datetime64[M]")))  # of the last month
    past = np.arange(first - max(LEADS) + 1)
    before = join_leads(members, errors, leads=LEADS, days=DAYS, wet=wet)
    month = np.arange(len(DAYS)) >= first
    for is_wet in (False, True):
        candidates = past[wet[past] == is_wet]
        assert len(candidates) >= MEMBERS
        for day in (candidates[0], candidates[-1]):
            changed = errors.copy()
            changed[day] = (99.0, -99.0, 99.0)
            after = join_leads(members, changed, leads=LEADS, days=DAYS, wet=wet)
            is_other = (before != after).any(axis=(1, 2))
            assert is_other[month & (wet == is_wet)].all()
            assert not is_other[month & (wet != is_wet)].any()


def test_with_few_errors_members_are_joined_by_rank() -> None:
    members, errors, wet = random_ensemble(3)
    errors[MEMBERS - 1 :] = np.nan
    np.testing.assert_array_equal(join_leads(members, errors, leads=LEADS, days=DAYS, wet=wet), members)


def test_errors_are_compared_in_units_of_the_80_percent_interval() -> None:
    """In units of the 80% interval, each day's errors are equal at all lead times. So each path keeps its rank.

    The middle of every distribution is equally narrow, so that errors in units of a 20% interval have other ranks.
    """
    rng = np.random.default_rng(4)
    width = rng.lognormal(0, 1, (len(DAYS), len(LEADS)))
    side = np.sign(LEVELS - 0.5) * np.where(np.abs(LEVELS - 0.5) > 0.25, 0.5 * width[:, :, None], 0.001)
    members = side + 1e-6 * LEVELS
    level = np.cumsum(rng.normal(size=len(DAYS)))
    samples = Samples(DAYS, pl.DataFrame(), level=level, trusted=level, observed=level, regimes={})
    errors = rng.normal(size=(len(DAYS), 1)) * width
    changes = {lead: samples.change(level, lead) - errors[:, k] for k, lead in enumerate(LEADS)}
    paths = sample_paths(samples, {"default": PointForecasts(changes)}, members)
    by_rank = paths[:, 0].argsort(axis=1)[:, None]
    np.testing.assert_array_equal(np.take_along_axis(paths, by_rank, axis=2), members)


def test_levels_are_equally_likely_quantiles() -> None:
    assert len(LEVELS) == MEMBERS
    assert pytest.approx(1 - LEVELS[::-1]) == LEVELS
    for quantile in (0.05, 0.25, 0.75, 0.95):
        assert np.isclose(LEVELS, quantile).any(), "the quantiles of the forecast are members"
