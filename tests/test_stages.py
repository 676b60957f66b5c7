"""Learning in two stages: the forecasts of a record's first years teach only as long as there are no others."""

from __future__ import annotations

import numpy as np
import pytest

from forebay.models.stages import EARLY_DAYS, EARLY_UNTIL, MANY_ROWS, in_stages

Array = np.ndarray
DAYS = EARLY_UNTIL + 400


def sums(known: Array, needed: Array) -> Array:
    """Sum of what is known before each day that is needed: it depends on earlier values only."""
    assert len(known) == len(needed)
    return np.where(needed, np.concatenate([[0.0], np.nancumsum(known)[:-1]]), np.nan)


def expected(known: Array, day: int) -> float:
    first = EARLY_DAYS if day >= EARLY_UNTIL else 0
    return float(np.nansum(known[first:day]))


@pytest.mark.parametrize("days", [300, EARLY_UNTIL, EARLY_UNTIL + 1, DAYS])
def test_early_forecasts_teach_only_at_first(days: int) -> None:
    known = np.random.default_rng(2).normal(size=days)
    learned = in_stages(sums, known, np.zeros(days))
    assert len(learned) == days
    for day in {0, 1, 200, EARLY_DAYS + 5, EARLY_UNTIL - 1, EARLY_UNTIL, days - 1}:
        if day < days:
            assert learned[day] == pytest.approx(expected(known, day))


def test_a_hindcast_that_begins_late_learns_from_every_forecast() -> None:
    known = np.random.default_rng(3).normal(size=DAYS)
    for first, all_of_it in ((MANY_ROWS, True), (MANY_ROWS - 1, False)):
        forecasts = np.where(np.arange(DAYS) < first, np.nan, 0.0)
        for table in (forecasts, np.column_stack([forecasts, np.full(DAYS, np.nan)])):
            assert (in_stages(sums, known, table)[-1] == sums(known, np.ones(DAYS, bool))[-1]) == all_of_it


def test_the_length_of_the_record_does_not_matter() -> None:
    known = np.random.default_rng(4).normal(size=DAYS)
    whole = in_stages(sums, known, np.zeros(DAYS))
    for days in (100, EARLY_UNTIL - 1, EARLY_UNTIL, EARLY_UNTIL + 1, EARLY_UNTIL + 50):
        np.testing.assert_array_equal(in_stages(sums, known[:days], np.zeros(days)), whole[:days])
