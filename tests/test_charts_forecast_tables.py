"""`forebay.charts.forecast_tables`: observed levels, forecast quantiles, reference levels and verdicts."""

from datetime import date, timedelta

import polars as pl
import pytest

from forebay.charts.forecast_tables import (
    compare_with_observed,
    forecast_fan,
    full_supply_regime,
    observed_levels,
    reference_levels,
)
from forebay.dams.dam import Dam
from tests import synthetic

DAYS = [date(2020, 1, 1) + timedelta(days=k) for k in range(3)]


@pytest.fixture(scope="module")
def lake() -> Dam:
    return synthetic.dam()


def fan_of(dam: Dam, level: float, inits: list[date]) -> pl.DataFrame:
    return forecast_fan(synthetic.forecasts(dam, synthetic.level_table(dam, DAYS[0], [level] * 3), inits))


def test_observed_levels_have_every_day_and_keep_gaps(lake: Dam) -> None:
    daily = synthetic.level_table(lake, DAYS[0], [1.0, None, 3.0]).filter(pl.col("date") != DAYS[0])
    levels = observed_levels(daily, lake, DAYS[0], DAYS[2])
    assert levels.rows() == [(DAYS[0], None), (DAYS[1], None), (DAYS[2], 3.0)]


def test_a_fan_starts_at_the_level_and_its_quantiles_are_in_order(lake: Dam) -> None:
    fan = fan_of(lake, 5.0, DAYS[:2])
    assert fan["lead_time"].to_list() == [0, *synthetic.LEADS] * 2
    assert fan.filter(pl.col("lead_time") == 0)["q95"].to_list() == [5.0, 5.0]
    assert (fan["q05"] <= fan["q50"]).all() and (fan["q50"] <= fan["q95"]).all()
    assert fan_of(lake, 5.0, []).is_empty()


@pytest.mark.parametrize(("low", "high", "near"), [(98.0, 99.0, True), (99.5, 101.0, True), (97.0, 98.0, False)])
def test_a_near_reference_level_at_most_doubles_the_chart(lake: Dam, low: float, high: float, near: bool) -> None:
    """The full supply level of the synthetic dam is 100 m."""
    extent = pl.DataFrame({"date": DAYS[:2], "low": [low, low], "high": [high, high]})
    lines, levels = reference_levels(lake, extent)
    assert levels.rows() == [("Full supply", 100.0, near)]
    assert lines["value"].to_list() == ([100.0, 100.0] if near else [])


def test_a_reference_level_has_the_value_of_each_day(lake: Dam) -> None:
    steps = {"full_supply": {"dated": [{"from": "2000-01-01", "value": 99.0}, {"from": DAYS[1], "value": 100.0}]}}
    dated = Dam.model_validate(lake.model_dump(by_alias=True) | steps)
    extent = pl.DataFrame({"date": DAYS, "low": [98.0] * 3, "high": [99.5] * 3})
    lines, levels = reference_levels(dated, extent)
    assert lines["value"].to_list() == [99.0, 100.0, 100.0]
    assert levels.rows() == [("Full supply", 100.0, True)], "the value of the last day"


@pytest.mark.parametrize(
    ("level", "verdict"),
    [(5.0, "inside 80%"), (5.03, "inside 90%"), (6.0, "above 90%"), (4.0, "below 90%"), (None, "not observed")],
)
def test_the_verdict_names_the_interval_of_the_observed_level(lake: Dam, level: float | None, verdict: str) -> None:
    levels = pl.DataFrame({"date": [DAYS[1]], "level": pl.Series([level], dtype=pl.Float64)})
    rows = compare_with_observed(fan_of(lake, 5.0, DAYS[:1]), levels, [1])
    assert rows["verdict"].to_list() == [verdict]
    assert rows["observed"][0] == (None if level is None else pytest.approx(level - 5.0))


def test_changes_of_a_compared_forecast_are_those_of_its_quantiles(lake: Dam) -> None:
    fan = fan_of(lake, 5.0, DAYS[:1]).with_columns(q05=pl.col("q50") - 0.3, q10=pl.col("q50") - 0.2,
                                                   q90=pl.col("q50") + 0.1, q95=pl.col("q50") + 0.7)  # fmt: skip
    levels = pl.DataFrame({"date": DAYS, "level": [5.0, 5.25, 5.5]})
    row = compare_with_observed(fan, levels, [2]).row(0, named=True)
    median = fan.filter(pl.col("lead_time") == 2)["q50"][0] - 5.0
    assert (row["change"], row["low"], row["high"]) == pytest.approx((median, median - 0.3, median + 0.7))
    assert row["observed"] == pytest.approx(0.5)


def test_a_forecast_without_interval_has_no_verdict(lake: Dam) -> None:
    no_interval = pl.lit(None, pl.Float64)
    fan = fan_of(lake, 5.0, DAYS[:1]).with_columns(q05=no_interval, q95=no_interval)
    levels = pl.DataFrame({"date": [DAYS[1]], "level": [5.0]})
    assert compare_with_observed(fan, levels, [1])["verdict"].to_list() == ["no interval"]


def test_a_level_within_the_margin_is_near_full_supply(lake: Dam) -> None:
    """The default margin of a level in m is 0.5 m."""
    levels = (99.4, 99.6, 100.4, 100.6)
    regimes = [full_supply_regime(lake, DAYS[0], level) for level in levels]
    assert regimes == [None, "near_full", "near_full", "above_full"]
    assert full_supply_regime(lake.model_copy(update={"full_supply": None}), DAYS[0], 99.9) is None


def test_a_rule_curve_that_crosses_the_chart_is_drawn() -> None:
    """From 0 to 200 m over the year, while the chart has 90 to 100 m."""
    curve = [{"day": "01-01", "value": 0.0}, {"day": "07-01", "value": 200.0}]
    dam = synthetic.small_dam(full_supply={"rule_curve": curve})
    days = pl.date_range(date(2020, 1, 1), date(2020, 12, 31), eager=True)
    extent = pl.DataFrame({"date": days, "low": [90.0] * 366, "high": [100.0] * 366})
    lines, levels = reference_levels(dam, extent)
    assert levels["near"].to_list() == [True] and len(lines) == 366
