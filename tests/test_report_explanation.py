"""`forebay.report.explanation`: the contributions at every lead time on the page."""

from dataclasses import replace

from forebay.report.sections import SECTIONS
from forebay.report.write import sections_of
from forebay.tables import EXPLANATION
from tests.report_examples import example_report, section_text


def test_total_and_contributions_of_each_lead_time() -> None:
    text = section_text("explanation", example_report())
    assert "In 1 day: +0.102 m +0.120 m: 38 mm yesterday on a wet catchment −0.050 m" in text
    assert "In 7 days: +0.711 m" in text


def test_a_forecast_without_explanation_has_no_section() -> None:
    report = example_report()
    unexplained = replace(report, forecast=replace(report.forecast, explanation=EXPLANATION.empty()))
    names = {section.name for section in sections_of(unexplained)}
    assert "explanation" in {section.name for section in SECTIONS} - names
