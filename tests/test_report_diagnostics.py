"""`forebay.report.diagnostics`: tables and figures, each with a sentence on how to read it."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from forebay.charts.registry import report_figures
from forebay.report.diagnostics import is_diagnosed
from forebay.report.input_values import input_texts
from forebay.report.write import render_report
from forebay.verify.diagnostics import Diagnostics
from tests import synthetic
from tests.report_examples import diagnosed_report, example_report, section_text


def test_every_part_has_a_sentence_on_how_to_read_it() -> None:
    text = section_text("diagnostics", diagnosed_report())
    titles = ("Reliability", "PIT histogram in quantile bins", "Coverage by year", "The largest rises")
    for title in (*titles, "Largest errors"):
        assert title in text
    for start in ("Points on the diagonal are", "Each bar shows how often", "Share of the last 365", "Each point is"):
        assert start in text
    assert "lower bound of the uncertainty" in text
    assert "all days 1 300 – – – – – 81% 89%" in text  # metrics without a score are dashes


def test_the_largest_error_is_in_the_table_with_its_inputs() -> None:
    text = section_text("diagnostics", diagnosed_report())
    assert "Flagged or missing 2020-02-09 1 +4.018 0.000 −0.033 to +0.033 level 94." in text
    for title in ("last daily change", "rain on that day 8.09", "rain in 3 days", "wetness index", "A creek"):
        assert title in text


def test_the_figures_of_the_section_are_files_too() -> None:
    assert set(report_figures(diagnosed_report())) >= {"reliability", "pit_histogram", "peaks", "rolling_coverage"}


def test_every_group_of_inputs_has_a_title_and_the_unit_of_the_dam_file() -> None:
    flow = {"station": "7", "unit": "ft3/s"}
    warm = {"role": "temperature", "station": "t", "variable": "temperature", "unit": "degF"}
    planned = {"kind": "rain", "id": "wx", "name": "Rain forecast", "unit": "in"}
    dam = synthetic.small_dam(
        synthetic.rain_gauge(unit="in"),
        flow | {"role": "inflow", "variable": "inflow", "name": "River"},
        flow | {"role": "release", "variable": "release"},
        warm,
        unit="ft",
        forcings=[planned],
    )
    row = {
        "init_date": date(2020, 1, 1), "start_level": 330.5, "last_change": -0.25, "rain_lag0": 25.4,
        "context_degree_days": 10.0, "inflow_7": 0.028316846592, "release_7": None, "forcing_wx_lead": 50.8,
    }  # fmt: skip
    assert input_texts(row, dam) == [
        "level 330.5 ft", "last daily change −0.25 ft", "rain on that day 1 in", "temperature above freezing 18 degF",
        "River 1 ft3/s", "Release –", "Rain forecast, total 2 in",
    ]  # fmt: skip


def test_skill_of_fewer_than_30_days_is_not_shown() -> None:
    report = diagnosed_report()
    for n, skill in ((29, "–"), (30, "+0.40")):
        crps = report.scores.filter(pl.col("metric") == "mae").with_columns(
            metric=pl.lit("crps_skill_best"), value=pl.lit(0.4)
        )
        scores = pl.concat([report.scores, crps]).with_columns(n=pl.lit(n, pl.Int64))
        text = section_text("diagnostics", replace(report, scores=scores))
        assert f"all days 1 {n} – {skill} – – –" in text
        text = section_text("scores", replace(report, scores=scores))
        assert ("+0.17" in text) == (n == 30)


@pytest.mark.parametrize("empty", [True, False])
def test_a_report_without_scored_days_has_no_diagnostics(empty: bool) -> None:
    report = diagnosed_report()
    assert is_diagnosed(report) and not is_diagnosed(example_report())
    assert report.diagnostics is not None
    no_rows = Diagnostics(**{name: rows.clear() for name, rows in report.diagnostics.by_name().items()})
    without_diagnostics = replace(report, diagnostics=no_rows if empty else None)
    assert 'id="diagnostics"' not in render_report(without_diagnostics)
    assert "reliability" not in report_figures(without_diagnostics)
