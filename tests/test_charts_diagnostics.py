"""`forebay.charts.diagnostics`: charts that Vega-Lite accepts."""

from forebay.charts.diagnostics import diagnostic_charts
from forebay.charts.style import Heading
from tests.report_examples import diagnosed_report

HEADING = Heading("Synthetic Dam", "reservoir level (daily mean), m", simulated=True)


def test_every_picture_is_valid_and_marked_as_simulated() -> None:
    diagnostics = diagnosed_report().diagnostics
    assert diagnostics is not None
    pictures = diagnostic_charts(diagnostics, HEADING).by_file(HEADING)
    assert list(pictures) == ["reliability", "rank_histogram", "peaks", "rolling_coverage"]
    for chart in pictures.values():
        assert "SIMULATED" in str(chart.to_dict(validate=True)["title"])
