"""`forebay.charts.coverage_tables`: spells and counts of the state of every gauge's readings."""

import polars as pl
import pytest

from forebay.charts.coverage_tables import coverage_counts, coverage_spells, gauge_labels
from forebay.dams.dam import Dam
from forebay.tables import flag_of
from tests import synthetic


@pytest.fixture(scope="module")
def lake() -> Dam:
    return synthetic.dam()


def test_spells_cover_every_day_of_every_gauge_once(lake: Dam) -> None:
    daily = synthetic.daily(lake)
    spells, step_days = coverage_spells(daily, lake)
    assert step_days == 1
    assert spells.group_by("gauge").agg(pl.col("days").sum())["days"].to_list() == [len(daily)] * 4
    neighbours = spells.with_columns(previous_end=pl.col("end").shift(1).over("gauge")).drop_nulls("previous_end")
    assert (neighbours["previous_end"] == neighbours["start"]).all()
    counts = coverage_counts(daily, lake)
    assert counts["unavailable"].to_list() == [40] * 4
    assert (counts["with_value"] == counts["good"] + counts["poor"]).all()


def test_combined_days_keep_every_flag(lake: Dam) -> None:
    daily = synthetic.daily(lake)
    gap_every_nine_days = pl.when(pl.int_range(pl.len()) % 9 == 0).then(pl.lit("estimated"))
    flagged = daily.with_columns(gap_every_nine_days.alias(flag_of(lake.target_gauge.column)))
    spells, step_days = coverage_spells(flagged, lake, max_spells=60)
    assert step_days > 1
    assert len(spells) <= 60
    assert "estimated" in set(spells["state"])


def test_gauges_of_the_same_name_have_different_labels(lake: Dam) -> None:
    assert gauge_labels(lake)["reservoir_level"] == "The lake"
    gauges = tuple(gauge.model_copy(update={"name": "Same"}) for gauge in lake.gauges)
    labels = gauge_labels(lake.model_copy(update={"gauges": gauges}))
    assert len(set(labels.values())) == len(gauges)
