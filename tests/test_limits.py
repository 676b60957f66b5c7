"""Hard limits: what a dam can hold, from what is known on each day."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from forebay.dams.dam import Dam
from forebay.dams.variables import VARIABLES
from forebay.features.limits import MIN_READINGS, RESERVE, hard_limits
from forebay.features.samples import Samples, make_samples
from forebay.models import models_for
from forebay.tables import DEFAULT_MODEL, REFERENCES
from forebay.verify import hindcast, uncertainty
from forebay.verify.default import with_default
from forebay.verify.point_forecasts import PointForecasts
from forebay.verify.scorecard import score
from tests import synthetic
from tests.synthetic import small_dam

Array = np.ndarray
DAYS = 900
FIRST = date(2018, 1, 1)
DATES = pl.date_range(FIRST, FIRST + timedelta(days=DAYS - 1), eager=True)
LEADS = (1, 3, 7)
LOWEST, HIGHEST = VARIABLES["reservoir_level"].possible
STORAGE = {"role": "target", "station": "lake", "variable": "storage", "unit": "ML"}


def record(seed: int = 3) -> Array:
    return 95.0 + np.cumsum(np.random.default_rng(seed).normal(0, 0.05, DAYS))


def limits_of(dam: Dam, level: Array, withheld: Array | None = None) -> dict[int, tuple[Array, Array]]:
    withheld = np.zeros(len(level), bool) if withheld is None else withheld
    return dict(hard_limits(dam, DATES[: len(level)], level, LEADS, withheld=withheld))


def test_the_record_limits_from_its_second_year_on() -> None:
    """Computed day by day in the plainest way."""
    level = record()
    level[150:300] += 2.0  # the largest rise and fall
    level[800:850] += 3.0
    level[100:130] = np.nan
    dam = small_dam(full_supply=96.5)
    limits = limits_of(dam, level)
    second_year = int(np.flatnonzero(np.cumsum(np.isfinite(level)) >= MIN_READINGS)[0])
    assert second_year == MIN_READINGS + 29
    for lead, (low, high) in limits.items():
        assert (low[:second_year] == LOWEST).all()
        assert (high[:second_year] == HIGHEST).all()
        by_change = {"high": 0, "low": 0}
        for day in range(second_year, DAYS):
            past = level[: day + 1]
            change = past[lead:] - past[:-lead]
            reserve = RESERVE * (np.nanmax(past) - np.nanmin(past))
            top, bottom = max(np.nanmax(past), 96.5) + reserve, np.nanmin(past) - reserve
            highest, lowest = past[-1] + np.nanmax(change), past[-1] + np.nanmin(change)
            by_change["high"] += highest > top
            by_change["low"] += lowest < bottom
            assert high[day] == pytest.approx(max(top, highest))
            assert low[day] == pytest.approx(min(bottom, lowest))
        if lead == max(limits):
            assert min(by_change.values()) > 0, "the largest change decides on some days"


def test_stated_limits_hold_from_the_first_day_but_never_exclude_the_level() -> None:
    dam = small_dam(crest_level=96.0, lowest_level={"dated": [{"from": "2018-06-01", "value": 94.0}]})
    level = np.full(DAYS, 95.0)
    level[10], level[200] = 96.5, 93.0
    low, high = limits_of(dam, level)[7]
    assert (high[9], high[10], high[11]) == (96.0, 96.5, 96.0)
    assert low[0] == LOWEST
    assert (low[199], low[200], low[201]) == (94.0, 93.0, 94.0)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"lowest_level": 97.0, "crest_level": 96.0}, "crest_level (96) is below lowest_level (97)"),
        ({"full_supply": 98.0, "crest_level": 96.0}, "crest_level (96) is below full_supply (98)"),
        ({"lowest_level": 97.0, "full_supply": 90.0}, "full_supply (90) is below lowest_level (97)"),
        ({"lowest_level": {"dated": [{"from": "2018-01-01", "value": 99.0}]}, "crest_level": 96.0}, "below lowest"),
    ],
)
def test_limits_that_exclude_each_other_are_refused(keys: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(problem)):
        small_dam(**keys)
    raised = {"dated": [{"from": "2000-01-01", "value": 97.0}, {"from": "2015-01-01", "value": 101.0}]}
    assert small_dam(full_supply=raised, crest_level=98.0).crest_level is not None


def test_a_rule_curve_limits() -> None:
    dam = small_dam(crest_level={"rule_curve": [{"day": "01-01", "value": 100.0}, {"day": "07-01", "value": 102.0}]})
    high = limits_of(dam, np.full(DAYS, 95.0))[1][1]
    assert (high[0], high[181]) == (100.0, pytest.approx(102.0, abs=0.02))


@pytest.mark.parametrize(("level_unit", "metres"), [("m", 1.0), ("ft", 0.3048)])
def test_the_top_of_the_storage_curve_counts_from_its_first_day(level_unit: str, metres: float) -> None:
    points = ((90.0 / metres, 0.0), (130.0 / metres, 9000.0))
    curve = {"survey_date": date(2020, 1, 1), "valid_from": date(2020, 3, 1), "storage_unit": "ML", "source": "survey"}
    dam = small_dam(full_supply=96.0, storage_curves=[curve | {"level_unit": level_unit, "points": points}])
    high = limits_of(dam, record())[1][1]
    start = (date(2020, 3, 1) - FIRST).days
    assert high[start - 1] < 110
    assert high[start] == pytest.approx(130.0)


def test_a_storage_is_never_negative() -> None:
    level = np.abs(np.random.default_rng(5).normal(10, 8, DAYS))
    for low, _ in limits_of(small_dam(STORAGE, unit="ML"), level).values():
        assert (low >= 0).all()
    for low, _ in limits_of(small_dam(STORAGE, unit="ML", lowest_level=3.0), np.full(DAYS, 50.0)).values():
        assert (low == 3.0).all()


def test_an_unknown_datum_has_no_limits() -> None:
    withheld = np.arange(DAYS) >= 850
    low, high = limits_of(small_dam(), np.where(withheld, np.nan, record()), withheld)[3]
    assert (low[850:] == LOWEST).all()
    assert (high[850:] == HIGHEST).all()
    assert high[840] < 110


@given(st.integers(0, DAYS - 1), st.integers(0, 2**32 - 1))
def test_later_levels_change_no_earlier_limit(day: int, seed: int) -> None:
    level, later = record(), record()
    later[day + 1 :] = np.random.default_rng(seed).uniform(-500, 500, DAYS - day - 1)
    dam = small_dam(full_supply=96.0)
    for lead, limits in limits_of(dam, level).items():
        for before, after in zip(limits, limits_of(dam, later)[lead], strict=True):
            np.testing.assert_array_equal(before[: day + 1], after[: day + 1])


@given(st.floats(-400, 3000), st.sampled_from(["m", "ft"]))
@settings(max_examples=20)
def test_a_shifted_datum_shifts_the_limits(shift: float, unit: str) -> None:
    limits = limits_of(small_dam(unit=unit, full_supply=96.0, crest_level=99.0), record())
    shifted_dam = small_dam(unit=unit, full_supply=96.0 + shift, crest_level=99.0 + shift)
    for lead, pair in limits_of(shifted_dam, record() + shift).items():
        for before, after in zip(limits[lead], pair, strict=True):
            limited = np.abs(before - 95) < 50
            np.testing.assert_allclose(after[limited], before[limited] + shift, atol=1e-9)


@pytest.fixture(scope="module")
def limited() -> tuple[Samples, Dam]:
    """A lake that rises to its crest and stays there: forecasts of a rise would pass it."""
    dam = synthetic.dam(full_supply=98.0)
    dam = dam.model_copy(
        update={
            "hindcast": dam.hindcast.model_copy(update={"leads": LEADS}),
            "crest_level": small_dam(crest_level=99.0).crest_level,
        }
    )
    daily = synthetic.daily(dam, days=DAYS).with_columns(pl.col(dam.target_gauge.column).clip(upper_bound=99.0))
    return make_samples(daily, daily, dam), dam


def test_no_forecast_leaves_the_limits_and_quantiles_are_ordered(limited: tuple[Samples, Dam]) -> None:
    samples, dam = limited
    points = with_default(hindcast.point_forecasts(samples, dam, models_for(dam)), samples)
    table = hindcast.forecast_table(samples, dam, points)
    without = {name: point for name, point in points.items() if name not in REFERENCES}
    unlimited = max(float(np.nanmax(samples.start_level + point.changes[7])) for name, point in without.items())
    assert unlimited > 99.0, "some model would leave the limits"
    fitted = table.filter(~pl.col("model").is_in(REFERENCES))
    assert fitted["level"].max() <= 99.0 + 1e-9  # type: ignore[operator]  # a number
    assert (fitted["level"] > 99.0 - 1e-9).any(), "the limit acts"
    falls = fitted.sort("model", "init_date", "lead_time", "quantile").filter(
        (pl.col("level").diff() < 0).over("model", "init_date", "lead_time")
    )
    assert falls.is_empty()
    members = uncertainty.marginals(samples, points, DEFAULT_MODEL)
    paths = samples.start_level[:, None, None] + uncertainty.sample_paths(samples, points, members)
    assert np.nanmax(paths) <= 99.0 + 1e-9


def test_a_reference_keeps_its_definition_beyond_the_limits(limited: tuple[Samples, Dam]) -> None:
    samples = replace(limited[0], outages=None)
    change = np.full(len(samples.dates), 5.0)
    points = {"last_change": PointForecasts(dict.fromkeys(LEADS, change))}
    changes = uncertainty.quantile_changes(samples, points, ["last_change"], probabilities=(0.5,))["last_change"]
    assert (samples.start_level + changes[:, 0, 0] > 99.0).any()
    np.testing.assert_allclose(changes[np.isfinite(changes)], 5.0)


def test_observed_levels_outside_the_limits_are_counted(limited: tuple[Samples, Dam]) -> None:
    samples, dam = limited
    low, high = samples.limits[1]
    tight = {**samples.limits, 1: (low, np.full_like(high, 98.95))}
    points = with_default(hindcast.point_forecasts(samples, dam, models_for(dam)), samples)
    table = hindcast.forecast_table(samples, dam, points)
    expected = samples.observed_change(1) + samples.start_level > 98.95
    for limits, count in ((samples.limits, 0), (tight, None)):
        scores = score(table, replace(samples, limits=limits), dam)
        row = scores.filter(
            pl.col("metric") == "outside_limits", pl.col("model") == DEFAULT_MODEL, pl.col("lead_time") == 1,
            pl.col("window") == "all", pl.col("regime") == "all",
        )  # fmt: skip
        start = hindcast.scored_from(samples, dam)
        assert row["value"].to_list() == [expected[start:].sum() if count is None else count]
        assert expected[start:].sum() > 0
        assert not scores.filter(pl.col("metric") == "outside_limits")["model"].is_in(REFERENCES).any()
