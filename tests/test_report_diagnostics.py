"""`forebay.report.diagnostics`: tables and figures, each with a sentence on how to read it."""

from dataclasses import replace

import pytest

from forebay.charts.registry import report_figures
from forebay.report.diagnostics import input_title, is_diagnosed
from forebay.report.write import render_report
from forebay.verify.diagnostics import Diagnostics
from tests import synthetic
from tests.report_examples import diagnosed_report, example_report, section_text


def test_every_part_has_a_sentence_on_how_to_read_it() -> None:
    text = section_text("diagnostics", diagnosed_report())
    for title in ("Reliability", "PIT histogram", "Coverage by year", "The largest rises", "Largest errors"):
        assert title in text
    for start in ("Points on the diagonal are", "Each bar shows how often", "Share of the last 365", "Each point is"):
        assert start in text
    assert "lower bound of the uncertainty" in text
    assert "all days 1 300 – – 81% 89%" in text  # metrics without a score are dashes


def test_the_largest_error_is_in_the_table_with_its_inputs() -> None:
    text = section_text("diagnostics", diagnosed_report())
    titles = "90% interval rain today, mm rain in 3 days, mm wetness index, mm last daily change A creek, m Flagged"
    assert titles in text
    assert "Flagged or missing Sun 9 Feb 2020 1 +4.018 0.000 −0.033 to +0.033 8.09" in text


def test_the_figures_of_the_section_are_files_too() -> None:
    assert set(report_figures(diagnosed_report())) >= {"reliability", "pit_histogram", "peaks", "rolling_coverage"}


def test_inputs_have_a_title_with_unit() -> None:
    dam = synthetic.dam()
    assert input_title("rain_lag0", dam) == "rain today, mm"
    assert input_title("api", dam) == "wetness index, mm"
    assert input_title("stream_level_creek", dam) == "A creek, m"


@pytest.mark.parametrize("empty", [True, False])
def test_a_report_without_scored_days_has_no_diagnostics(empty: bool) -> None:
    report = diagnosed_report()
    assert is_diagnosed(report) and not is_diagnosed(example_report())
    assert report.diagnostics is not None
    no_rows = Diagnostics(**{name: rows.clear() for name, rows in report.diagnostics.by_name().items()})
    without_diagnostics = replace(report, diagnostics=no_rows if empty else None)
    assert 'id="diagnostics"' not in render_report(without_diagnostics)
    assert "reliability" not in report_figures(without_diagnostics)
