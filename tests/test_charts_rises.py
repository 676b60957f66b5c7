"""`forebay.charts.rises`: the largest lasting rise is a flood, never a spike."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from forebay.charts.rises import Rise, largest_rise
from forebay.dams.dam import Dam
from forebay.tables import flag_of
from tests import synthetic

DAYS = [date(2020, 1, 1) + timedelta(days=k) for k in range(60)]


@pytest.fixture(scope="module")
def lake() -> Dam:
    return synthetic.dam()


def rise_in(dam: Dam, daily: pl.DataFrame) -> Rise | None:
    """Largest rise in a hindcast with a forecast from every day with a level."""
    return largest_rise(daily, synthetic.forecasts(dam, daily, daily["date"].to_list()), dam)


def table(dam: Dam, levels: list[float | None]) -> pl.DataFrame:
    return synthetic.level_table(dam, DAYS[0], levels)


def test_the_largest_rise_is_the_flood_and_neither_a_spike_nor_a_return(lake: Dam) -> None:
    levels = [10.0 + 0.01 * k for k in range(60)]
    levels[20] = 40.0  # up for one day
    levels[30] = -40.0  # down for one day
    rise = rise_in(lake, table(lake, [level + (3.0 if k > 45 else 0.0) for k, level in enumerate(levels)]))
    assert rise is not None
    assert rise.onset == DAYS[45]
    assert rise.rise == pytest.approx(3.01)
    assert rise.init_dates == tuple(DAYS[41:50])
    assert rise.missing_dates == ()


def test_an_excluded_or_flagged_rise_does_not_count(lake: Dam) -> None:
    daily = table(lake, [10.0 + (5.0 if k > 15 else 0.0) + (1.0 if k > 40 else 0.0) for k in range(60)])
    exclusion = {"verification_exclude": [{"from": DAYS[10], "to": DAYS[20], "reason": "datum"}]}
    excluding = Dam.model_validate(lake.model_dump(by_alias=True) | {"hindcast": exclusion})
    rise = rise_in(excluding, daily)
    assert rise is not None and rise.onset == DAYS[40]
    out_of_range = pl.when(pl.col("date").is_between(DAYS[10], DAYS[20])).then(pl.lit("range"))
    rise = rise_in(lake, daily.with_columns(out_of_range.alias(flag_of(lake.target_gauge.column))))
    assert rise is not None and rise.onset == DAYS[40]


def test_no_rise_of_a_falling_level_or_without_a_hindcast(lake: Dam) -> None:
    assert rise_in(lake, table(lake, [10.0] * 60)) is None
    assert rise_in(lake, table(lake, [10.0 - k for k in range(60)])) is None
    daily = table(lake, [10.0 + k for k in range(60)])
    assert largest_rise(daily, synthetic.forecasts(lake, daily, []), lake) is None


def test_days_without_a_level_have_no_forecast(lake: Dam) -> None:
    levels: list[float | None] = [10.0 + (3.0 if k > 30 else 0.0) for k in range(60)]
    levels[27] = None
    rise = rise_in(lake, table(lake, levels))
    assert rise is not None
    assert rise.missing_dates == (DAYS[27],)


def ranked_by_hand(levels: list[float | None]) -> tuple[int, float] | None:
    """Index of the onset and size of the largest lasting rise, counted day by day; the first of equal ones."""
    best: tuple[float, int] | None = None
    for day in range(len(levels) - 1):
        here, following = levels[day], levels[day + 1]
        before = [level for level in levels[max(0, day - 2) : day + 1] if level is not None]
        after = [level for level in levels[day + 1 : day + 4] if level is not None]
        if here is None or following is None or len(before) < 2 or len(after) < 2:
            continue
        lasting = min(after) - max(before)
        if following > here and lasting > 0 and (best is None or lasting > best[0]):
            best = lasting, day
    if best is None:
        return None
    day = best[1]
    return day, levels[day + 1] - levels[day]  # type: ignore[operator]  # both are known


@pytest.mark.parametrize("seed", range(12))
def test_the_largest_rise_is_that_of_a_count_by_hand(lake: Dam, seed: int) -> None:
    """With gaps, so that some rises have one level only on a side."""
    random = np.random.default_rng(seed)
    levels = np.round(50 + np.cumsum(random.normal(0, 1, 60)), 3)
    gaps = random.random(60) < 0.5
    values = [None if is_gap else float(level) for level, is_gap in zip(levels, gaps, strict=True)]
    rise, expected = rise_in(lake, table(lake, values)), ranked_by_hand(values)
    assert (rise is None) == (expected is None)
    if rise is not None and expected is not None:
        assert rise.onset == DAYS[expected[0]] and rise.rise == pytest.approx(expected[1])
