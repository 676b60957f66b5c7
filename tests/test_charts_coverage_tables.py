"""`forebay.charts.coverage_tables`: spells and counts of the state of every gauge's readings."""

from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest

from forebay.charts.coverage_tables import coverage_counts, coverage_spells, gauge_labels
from forebay.dams.dam import Dam
from forebay.report import coverage
from forebay.tables import flag_of
from tests import synthetic
from tests.report_examples import example_report, section_rows


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


def test_the_section_has_the_counts_under_their_headers() -> None:
    report = example_report()
    creek = report.daily["stream_level_creek_flag"]
    counts = {state: str(int((creek == state).sum())) for state in ("absent", "poor", "unavailable")}
    row = next(row for row in section_rows("coverage", report) if row.get("Gauge") == "A creek")
    assert row == {"Gauge": "A creek", "Days": "1,200", "With a value": "1,157", "good": "1,132"} | counts


def test_combined_days_keep_every_flag(lake: Dam) -> None:
    daily = synthetic.daily(lake)
    gap_every_nine_days = pl.when(pl.int_range(pl.len()) % 9 == 0).then(pl.lit("estimated"))
    flagged = daily.with_columns(gap_every_nine_days.alias(flag_of(lake.target_gauge.column)))
    spells, step_days = coverage_spells(flagged, lake, max_spells=60)
    assert step_days > 1
    assert len(spells) <= 60
    assert "estimated" in set(spells["state"])
    spells, step_days = coverage_spells(flagged, lake, max_spells=len(coverage_spells(flagged, lake)[0]) - 1)
    assert step_days > 1 and spells["state"].n_unique() > 2
    for (_,), rows in spells.group_by("gauge"):
        assert rows["start"].is_sorted() and rows["start"][1:].to_list() == rows["end"][:-1].to_list()
        assert (rows["start"][0], rows["end"][-1]) == (daily["date"][0], daily["date"][-1] + timedelta(days=1))
        assert (rows["state"] != rows["state"].shift()).fill_null(True).all(), "two spells of a state are one"


def test_a_step_has_the_most_frequent_state_of_its_flagged_days(lake: Dam) -> None:
    first = date(1970, 1, 1) + timedelta(days=8 * 2000)  # a multiple of all steps up to 8 days
    level = synthetic.level_table(lake, first, [1.0] * 800)
    week: list[str | None] = ["estimated", "poor", "poor", "poor", None, None, None, None]
    flagged = level.with_columns(pl.Series(flag_of(lake.target_gauge.column), week * 100))
    spells, step_days = coverage_spells(flagged, lake, max_spells=1)
    assert (step_days, spells["state"].to_list(), spells["days"].to_list()) == (8, ["poor"], [800])


def test_gauges_of_the_same_name_have_different_labels(lake: Dam) -> None:
    assert gauge_labels(lake)["reservoir_level"] == "The lake"
    gauges = tuple(gauge.model_copy(update={"name": "Same"}) for gauge in lake.gauges)
    labels = gauge_labels(lake.model_copy(update={"gauges": gauges}))
    assert len(set(labels.values())) == len(gauges)


def test_the_section_has_the_days_of_its_table() -> None:
    report = example_report()
    content = coverage.build(replace(report, daily=report.daily.slice(3, 300)))
    assert (content["first_day"], content["last_day"]) == (report.daily["date"][3], report.daily["date"][302])
