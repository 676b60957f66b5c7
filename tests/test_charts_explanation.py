"""What moved the forecast, as a reader sees it: sentences, bars, the report's section, the terminal."""

from dataclasses import replace
from datetime import date

import altair as alt
import polars as pl
import pytest

from forebay.charts import explanation
from forebay.charts.style import Heading
from forebay.cli import terminal
from forebay.dams.dam import Dam
from forebay.dams.local_time import init_time
from forebay.forecasts.issue import IssuedForecast
from forebay.tables import EXPLANATION
from tests import synthetic
from tests.synthetic import dam_of

INIT = date(2021, 4, 14)
DAM = synthetic.dam()
TABLE = synthetic.explanation(DAM, INIT)
HEADING = Heading(DAM.name, "reservoir level (daily mean), m", True)


def of(*parts: tuple[str, str, float]) -> pl.DataFrame:
    """An explanation at lead 2; the words of a source are its group."""
    rows = [("d", INIT, 2, group, gauge, part, group) for group, gauge, part in parts]
    return EXPLANATION.check(pl.DataFrame(rows, schema=EXPLANATION.columns, orient="row"))


def test_the_largest_first_and_the_small_ones_summed() -> None:
    assert explanation.contribution_sentences(TABLE, DAM, 1) == [
        "+0.120 m: 38 mm yesterday on a wet catchment",
        "−0.050 m: level fell 0.050 m yesterday",
        "+0.030 m: A creek rising (0.21 m a day)",
        "+0.002 m: the rest",
    ]


def test_no_more_than_five_are_told_one_by_one() -> None:
    said = explanation.contribution_sentences(of(*((f"g{k}", "", 0.1 + k / 100) for k in range(8))), DAM, 2)
    assert len(said) == 6
    assert said[0] == "+0.170 m: g7"
    assert said[-1] == "+0.330 m: the rest"


@pytest.mark.parametrize(("part", "said"), [(0.0, "0.000 m: total"), (1e-7, "0.000 m: total")])
def test_nothing_moved_it(part: float, said: str) -> None:
    assert explanation.contribution_sentences(of(("base", "", part)), DAM, 2) == [said]


def test_in_the_dams_unit() -> None:
    storage = {"role": "target", "station": "lake", "variable": "storage", "unit": "MG"}
    dam: Dam = dam_of(storage, unit="MG")
    assert explanation.contribution_sentences(of(("inflow", "", 1234.4)), dam, 2) == ["+1,234 MG: inflow"]


def test_leads_that_are_told() -> None:
    assert explanation.explained_leads(TABLE) == [1, 3, 7]
    assert explanation.explained_leads(of(("base", "", 0.1))) == [2]
    assert explanation.explained_leads(EXPLANATION.empty()) == []


def test_a_chart_has_a_bar_per_source_and_one_for_the_sum() -> None:
    panels = explanation.explanation_panels(TABLE, HEADING)
    assert [name for name, _ in panels] == ["1", "3", "7"]
    for (_, chart), lead in zip(panels, (1, 3, 7), strict=True):
        spec = chart.to_dict()  # validates
        assert "SIMULATED" in spec["title"]
        bars = max(spec["datasets"].values(), key=len)
        found = {bar["label"]: (bar["contribution"], bar["series"]) for bar in bars}
        assert found == {
            "total": (pytest.approx(0.1016 * lead, abs=1e-4), "total"),
            "baseline": (pytest.approx(0.002 * lead), "baseline"),
            "rain and wetness": (pytest.approx(0.12 * lead), "increase"),
            "recent level changes": (pytest.approx(-0.05 * lead), "decrease"),
            "A creek": (pytest.approx(0.03 * lead), "increase"),
            "season": (pytest.approx(-0.0004 * lead), "decrease"),
        }
    order = panels[0][1].to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert order == ["total", "rain and wetness", "recent level changes", "A creek", "baseline", "season"]
    assert isinstance(panels[0][1], alt.LayerChart)
    assert explanation.explanation_panels(EXPLANATION.empty(), HEADING) == []


def test_the_terminal_tells_it_under_the_forecast(capsys: pytest.CaptureFixture[str]) -> None:
    table = synthetic.forecasts(DAM, synthetic.daily(DAM), [INIT])
    issued = IssuedForecast(INIT, init_time(INIT, DAM.time_zone), synthetic.NOW, INIT, table, (), explanation=TABLE)
    terminal.outcome(issued, synthetic.scores(DAM), DAM, [])
    out = capsys.readouterr().out
    told = "  1 d, +0.102 m, of which +0.120 m: 38 mm yesterday on a wet catchment; −0.050 m: level fell 0.050 m "
    assert out.index("Contributions to the forecast\n" + told) < out.index("Hindcast")
    terminal.outcome(replace(issued, explanation=EXPLANATION.empty()), synthetic.scores(DAM), DAM, [])
    assert "Contributions to the forecast" not in capsys.readouterr().out
