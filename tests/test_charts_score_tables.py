"""Scores set side by side, and the days that each gauge delivered."""

import polars as pl
import pytest

from forebay.charts import score_tables
from forebay.dams.dam import Dam
from forebay.tables import flag_of
from tests import synthetic


@pytest.fixture(scope="module")
def lake() -> Dam:
    return synthetic.dam()


def test_windows_regimes_and_years_in_order(lake: Dam) -> None:
    scores = synthetic.scores(lake)
    assert score_tables.scored_windows(scores, lake) == [("all", "all"), ("last20", "all"), ("T1", "all")]
    assert score_tables.scored_regimes(scores) == [("all", "wet")]
    assert score_tables.scored_years(scores) == [("all", "y2020")]


def test_a_model_that_is_the_default_is_shown_once(lake: Dam) -> None:
    scores = synthetic.scores(lake)
    assert score_tables.models_equal_to_default(scores) == ["huber"]
    errors = score_tables.errors_by_lead(scores, "all", "all")
    assert errors["model"].unique(maintain_order=True).to_list() == list(synthetic.MODELS[:5])
    assert errors["lead_time"].to_list() == list(synthetic.LEADS) * 5


def test_spells_cover_every_day_of_every_gauge_once(lake: Dam) -> None:
    daily = synthetic.daily(lake)
    spells, step = score_tables.coverage_spells(daily, lake)
    assert step == 1
    assert spells.group_by("gauge").agg(pl.col("days").sum())["days"].to_list() == [len(daily)] * 4
    back_to_back = spells.with_columns(before=pl.col("end").shift(1).over("gauge")).drop_nulls("before")
    assert (back_to_back["before"] == back_to_back["start"]).all()
    counts = score_tables.coverage_counts(daily, lake)
    assert counts["unavailable"].to_list() == [40] * 4
    assert (counts["with_value"] == counts["good"] + counts["poor"]).all()


def test_many_spells_are_put_together_and_no_flag_disappears(lake: Dam) -> None:
    daily = synthetic.daily(lake)
    flag = flag_of(lake.target_gauge.column)
    every_ninth = pl.when(pl.int_range(pl.len()) % 9 == 0).then(pl.lit("estimated"))
    spells, step = score_tables.coverage_spells(daily.with_columns(every_ninth.alias(flag)), lake, most=60)
    assert step > 1
    assert len(spells) <= 60
    assert "estimated" in set(spells["state"])


def test_gauges_with_one_name_are_told_apart(lake: Dam) -> None:
    labels = score_tables.gauge_labels(lake)
    assert labels["reservoir_level"] == "The lake"
    gauges = [g.model_copy(update={"name": "Same"}) for g in lake.gauges]
    same = score_tables.gauge_labels(lake.model_copy(update={"gauges": tuple(gauges)}))
    assert len(set(same.values())) == len(gauges)
