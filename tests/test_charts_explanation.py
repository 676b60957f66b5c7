"""`forebay.charts.explanation`: contributions to a forecast as sentences, bars, and lines of the terminal."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from forebay.charts.explanation import (
    contribution_sentences,
    explained_leads,
    explanation_panels,
)
from forebay.charts.style import Heading
from forebay.cli import terminal
from forebay.dams.dam import Dam
from forebay.dams.local_time import init_time
from forebay.forecasts.issue import IssuedForecast
from forebay.tables import EXPLANATION
from tests import synthetic
from tests.synthetic import small_dam

INIT = date(2021, 4, 14)
DAM = synthetic.dam()
TABLE = synthetic.explanation(DAM, INIT)
HEADING = Heading(DAM.name, "reservoir level (daily mean), m", True)


def explanation_of(*parts: tuple[str, str, float]) -> pl.DataFrame:
    """An explanation at a lead time of 2 days; the title of a source is its group."""
    rows = [("d", INIT, 2, group, gauge, part, group) for group, gauge, part in parts]
    return EXPLANATION.check(pl.DataFrame(rows, schema=EXPLANATION.columns, orient="row"))


def test_the_largest_contribution_is_first_and_small_ones_are_summed() -> None:
    assert contribution_sentences(TABLE, DAM, 1) == [
        "+0.120 m: 38 mm yesterday on a wet catchment",
        "−0.050 m: level fell 0.050 m yesterday",
        "+0.030 m: A creek rising (0.21 m a day)",
        "+0.002 m: the rest",
    ]


def test_at_most_five_contributions_have_a_sentence() -> None:
    table = explanation_of(*((f"g{k}", "", 0.1 + k / 100) for k in range(8)))
    sentences = contribution_sentences(table, DAM, 2)
    assert len(sentences) == 6
    assert sentences[0] == "+0.170 m: g7"
    assert sentences[-1] == "+0.330 m: the rest"


def test_the_rest_is_the_sum_with_its_sign() -> None:
    """Seven contributions: 1, 0.9, −0.8, −0.7, 0.6 have sentences, the rest is −0.5 + 0.1."""
    parts = (1.0, 0.9, -0.8, -0.7, 0.6, -0.5, 0.3)
    sentences = contribution_sentences(explanation_of(*((f"g{k}", "", part) for k, part in enumerate(parts))), DAM, 2)
    assert sentences[-1] == "−0.200 m: the rest"


@pytest.mark.parametrize("part", [0.0, 1e-7])
def test_a_change_of_zero_is_one_sentence(part: float) -> None:
    assert contribution_sentences(explanation_of(("base", "", part)), DAM, 2) == ["0.000 m: total"]


def test_sentences_have_the_dams_unit() -> None:
    storage = {"role": "target", "station": "lake", "variable": "storage", "unit": "MG"}
    dam: Dam = small_dam(storage, unit="MG")
    assert contribution_sentences(explanation_of(("inflow", "", 1234.4)), dam, 2) == ["+1,234 MG: inflow"]


def test_explained_leads_are_leads_of_the_table() -> None:
    assert explained_leads(TABLE) == [1, 3, 7]
    assert explained_leads(explanation_of(("base", "", 0.1))) == [2]
    assert explained_leads(TABLE.filter(~pl.col("lead_time").is_in([1, 3, 7]))) == [2, 4, 5]
    assert explained_leads(EXPLANATION.empty()) == []


@pytest.mark.parametrize(("k", "lead"), [(0, 1), (1, 3), (2, 7)])
def test_a_panel_has_a_bar_per_source_and_one_for_the_total(k: int, lead: int) -> None:
    spec = explanation_panels(TABLE, HEADING)[k].to_dict()  # validates
    assert spec["title"].startswith(f"SIMULATED · lead time {lead} day")
    bars = max(spec["datasets"].values(), key=len)
    assert {bar["label"]: (bar["contribution"], bar["series"]) for bar in bars} == {
        "total": (pytest.approx(0.1016 * lead, abs=1e-4), "total"),
        "baseline": (pytest.approx(0.002 * lead), "baseline"),
        "rain and wetness": (pytest.approx(0.12 * lead), "increase"),
        "recent level changes": (pytest.approx(-0.05 * lead), "decrease"),
        "A creek": (pytest.approx(0.03 * lead), "increase"),
        "season": (pytest.approx(-0.0004 * lead), "decrease"),
    }


@pytest.mark.parametrize(
    ("group", "label"),
    [("inflow", "inflow"), ("release", "release"), ("full_supply", "distance to full supply"),
     ("missing", "missing inputs"), ("since_level", "since the last level"), ("limit", "limit of the possible")],
)  # fmt: skip
def test_a_bar_without_a_gauge_names_its_group(group: str, label: str) -> None:
    (panel,) = explanation_panels(explanation_of((group, "", 0.1), ("base", "", 0.2)), HEADING)
    assert panel.to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"] == ["total", "baseline", label]


def test_bars_are_in_order_of_size_in_every_panel() -> None:
    orders = [
        panel.to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"] for panel in explanation_panels(TABLE, HEADING)
    ]
    assert orders == [["total", "rain and wetness", "recent level changes", "A creek", "baseline", "season"]] * 3
    assert explanation_panels(EXPLANATION.empty(), HEADING) == ()


def test_the_terminal_prints_contributions_below_the_forecast(capsys: pytest.CaptureFixture[str]) -> None:
    table = synthetic.forecasts(DAM, synthetic.daily(DAM), [INIT])
    issued = IssuedForecast(INIT, init_time(INIT, DAM.time_zone), synthetic.NOW, INIT, table, (), explanation=TABLE)
    terminal.print_forecast(issued, synthetic.scores(DAM), DAM, [])
    out = capsys.readouterr().out
    line = "  1 d, +0.102 m, of which +0.120 m: 38 mm yesterday on a wet catchment; −0.050 m: level fell 0.050 m "
    assert out.index("Contributions to the forecast\n" + line) < out.index("Hindcast")
    terminal.print_forecast(replace(issued, explanation=EXPLANATION.empty()), synthetic.scores(DAM), DAM, [])
    assert "Contributions to the forecast" not in capsys.readouterr().out
