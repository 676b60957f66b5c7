"""The report's charts: valid Vega-Lite, that draws, names its units, and says so when all is simulated."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from forebay.charts import forecast_charts as charts
from forebay.charts import forecast_tables as story
from forebay.charts import score_tables as tallies
from forebay.charts.drawing import VEGA_LITE
from tests import synthetic

LAKE = synthetic.dam()
HEADING = charts.Heading("Synthetic Dam", "reservoir level (daily mean), m", simulated=True)


def _made() -> dict[str, charts.AnyChart]:
    daily = synthetic.daily(LAKE)
    onset = synthetic.FLOOD_ONSET
    inits = [onset - story.DAY, onset, onset + story.DAY]
    fans = story.fan(synthetic.forecasts(LAKE, daily, inits))
    levels = story.observed(daily, LAKE, inits[0] - 9 * story.DAY, inits[-1] + 7 * story.DAY)
    line = pl.DataFrame({"name": ["Full supply"] * 2, "date": [inits[0], inits[-1]], "value": [100.0] * 2})
    scores = synthetic.scores(LAKE)
    errors = [(name, tallies.error_by_lead(scores, "all", name)) for name in ("all", "wet")]
    one = fans.filter(pl.col("init_date") == onset)
    return {
        "forecast": charts.forecast_chart(levels, one, line, HEADING),
        "rise": charts.together(charts.rise_panels(levels, fans, HEADING), HEADING.title("rise"), 3),
        "scores": charts.together(charts.error_panels(errors, HEADING), HEADING.title("scores"), 2),
        "coverage": charts.coverage_chart(tallies.coverage_spells(daily, LAKE)[0], HEADING),
    }


@pytest.mark.parametrize("name", ["forecast", "rise", "scores", "coverage"])
def test_a_chart_is_valid_and_draws_and_says_simulated(name: str) -> None:
    import vl_convert

    chart = _made()[name]
    chart.to_dict()  # validates, which the report leaves out to save time
    svg = vl_convert.vegalite_to_svg(charts.for_file(chart), vl_version=VEGA_LITE)
    assert "SIMULATED" in svg
    assert ("what each gauge delivered" in svg) or (", m" in svg)
    assert "NaN" not in svg and "Infinity" not in svg


def test_every_panel_says_simulated_too() -> None:
    spec = charts.for_file(_made()["rise"])
    titles = [panel["title"] for panel in spec["concat"]]
    assert titles == [f"SIMULATED · issued at the end of {day} Feb 2020" for day in ("Sat 8", "Sun 9", "Mon 10")]


def test_on_a_page_the_legend_is_the_pages() -> None:
    spec = charts.for_page(_made()["forecast"])
    assert spec["width"] == "container"
    assert [name for name, _ in charts.legend(spec)][:2] == [charts.OBSERVED, charts.MEDIAN]
    colours = [colour for _, colour in charts.legend(spec)]
    assert len(set(colours)) == len(colours)
    assert all(layer["encoding"]["color"]["legend"] is None for layer in spec["layer"])
    assert charts.legend({"mark": "bar"}) == []


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
    spec = charts.for_page(charts.coverage_chart(spells, HEADING))
    assert [name for name, _ in charts.legend(spec)] == ["good", "new reason"]
