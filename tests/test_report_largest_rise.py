"""`forebay.report.largest_rise`: every forecast of the rise next to the observed change."""

from dataclasses import replace

from forebay.tables import FORECASTS
from tests.report_examples import example_report, section_text


def test_the_section_has_forecasts_and_observed_changes() -> None:
    text = section_text("largest_rise", example_report())
    assert "The largest lasting rise in the 60 days of the hindcast is 4.018 m, from 2020-02-09" in text
    assert "Forecast for 2020-02-10, issued one day before: 0.000 m (90% interval −0.033 to +0.033)." in text
    assert "Observed: +4.018 m, above the 90% interval." in text
    assert "Earlier forecasts of this day in the charts: 4." in text
    assert "The observed level was inside the 90% interval of none of them." in text
    assert "observed +6.522, above 90%" in text


def test_a_hindcast_without_a_rise_is_reported() -> None:
    text = section_text("largest_rise", replace(example_report(), hindcast=FORECASTS.empty()))
    assert "The hindcast has no lasting rise of the level" in text
