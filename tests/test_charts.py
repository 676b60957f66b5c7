"""The report's charts: valid Vega-Lite, that draws, names its units, and says so when all is simulated."""

from __future__ import annotations

from datetime import date

import altair as alt
import polars as pl
import pytest

from forebay.charts.coverage import coverage_chart
from forebay.charts.drawing import VEGA_LITE
from forebay.charts.forecast import MEDIAN, OBSERVED, forecast_chart, largest_rise_panels
from forebay.charts.forecast_tables import DAY, forecast_fan, observed_levels
from forebay.charts.score_tables import coverage_spells, errors_by_lead
from forebay.charts.scores import error_panels
from forebay.charts.spec import combine_panels, file_spec, legend_entries, page_spec
from forebay.charts.style import Heading
from tests import synthetic

LAKE = synthetic.dam()
HEADING = Heading("Synthetic Dam", "reservoir level (daily mean), m", simulated=True)


def _charts() -> dict[str, alt.TopLevelMixin]:
    daily = synthetic.daily(LAKE)
    onset = synthetic.FLOOD_ONSET
    inits = [onset - DAY, onset, onset + DAY]
    fans = forecast_fan(synthetic.forecasts(LAKE, daily, inits))
    levels = observed_levels(daily, LAKE, inits[0] - 9 * DAY, inits[-1] + 7 * DAY)
    line = pl.DataFrame({"name": ["Full supply"] * 2, "date": [inits[0], inits[-1]], "value": [100.0] * 2})
    scores = synthetic.scores(LAKE)
    errors = [(name, errors_by_lead(scores, "all", name)) for name in ("all", "wet")]
    one = fans.filter(pl.col("init_date") == onset)
    return {
        "forecast": forecast_chart(levels, one, line, HEADING),
        "rise": combine_panels(largest_rise_panels(levels, fans, HEADING), HEADING.title("rise"), 3),
        "scores": combine_panels(error_panels(errors, HEADING), HEADING.title("scores"), 2),
        "coverage": coverage_chart(coverage_spells(daily, LAKE)[0], HEADING),
    }


@pytest.mark.parametrize("name", ["forecast", "rise", "scores", "coverage"])
def test_a_chart_is_valid_and_draws_and_says_simulated(name: str) -> None:
    import vl_convert

    chart = _charts()[name]
    chart.to_dict()  # validates, which the report leaves out to save time
    svg = vl_convert.vegalite_to_svg(file_spec(chart), vl_version=VEGA_LITE)
    assert "SIMULATED" in svg
    assert ("readings of each gauge" in svg) or (", m" in svg)
    assert "NaN" not in svg and "Infinity" not in svg


def test_every_panel_says_simulated_too() -> None:
    spec = file_spec(_charts()["rise"])
    titles = [panel["title"] for panel in spec["concat"]]
    assert titles == [f"SIMULATED · issued at the end of {day} Feb 2020" for day in ("Sat 8", "Sun 9", "Mon 10")]


def test_on_a_page_the_legend_is_the_pages() -> None:
    spec = page_spec(_charts()["forecast"])
    assert spec["width"] == "container"
    assert [name for name, _ in legend_entries(spec)][:2] == [OBSERVED, MEDIAN]
    colours = [colour for _, colour in legend_entries(spec)]
    assert len(set(colours)) == len(colours)
    assert all(layer["encoding"]["color"]["legend"] is None for layer in spec["layer"])
    assert legend_entries({"mark": "bar"}) == []


def test_a_state_that_nobody_foresaw_is_drawn() -> None:
    spells = pl.DataFrame(
        {
            "gauge": ["a", "a"],
            "state": ["good", "new reason"],
            "start": [date(2020, 1, 1), date(2020, 1, 5)],
            "end": [date(2020, 1, 5), date(2020, 1, 6)],
            "days": [4, 1],
        }
    )
    spec = page_spec(coverage_chart(spells, HEADING))
    assert [name for name, _ in legend_entries(spec)] == ["good", "new reason"]
