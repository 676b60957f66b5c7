"""`forebay.report.diagnostics`: tables and figures, each with a sentence on how to read it."""

import re
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from forebay.charts.registry import report_figures
from forebay.report.diagnostics import is_diagnosed
from forebay.report.input_values import input_texts, input_titles
from forebay.report.write import render_report
from forebay.verify.diagnostics import Diagnostics
from tests import synthetic
from tests.report_examples import diagnosed_report, example_report, section_html, section_rows, section_text


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


@pytest.mark.parametrize(
    ("variable", "unit", "curve", "shown"),
    [
        ("reservoir_level", "m", False, "ML"),
        ("reservoir_level", "m", True, "m"),
        ("storage", "GL", False, "GL"),
        ("storage_percent", "%", False, "ML"),
    ],
)
def test_the_effect_of_a_planned_flow_has_the_unit_of_its_input(
    variable: str, unit: str, curve: bool, shown: str
) -> None:
    target = {"role": "target", "station": "lake", "variable": variable, "unit": unit}
    plan = {"kind": "release", "id": "plan", "name": "Plan", "unit": "m3/s"}
    curves = [{"level_unit": "m", "storage_unit": "ML", "points": [[80, 0], [100, 5000]]}] if curve else []
    dam = synthetic.small_dam(target, unit=unit, forcings=[plan], storage_curves=curves)
    assert input_texts({"forcing_plan_lead": -2.5}, dam) == [f"Plan, effect −2.5 {shown}"]


def test_every_score_is_in_its_own_column() -> None:
    report = diagnosed_report()
    shown = {
        "crps": ("CRPS", 0.0111, "0.0111"), "crps_skill_best": ("CRPS skill", 0.21, "+0.21"),
        "nse": ("NSE of the change", 0.31, "0.31"), "kge": ("KGE of the change", 0.41, "0.41"),
        "pinball": ("Pinball loss", 0.0051, "0.0051"), "width_90": ("Width of 90%", 0.0611, "0.0611"),
        "above_95": ("Above 95%", 0.07, "7%"), "events": ("Events", 8.0, "8"),
        "share_forecast": ("Days with a forecast", 0.95, "95%"),
        "outside_experience": ("Outside experience", 0.02, "2%"), "outside_limits": ("Outside the limits", 3.0, "3"),
    }  # fmt: skip
    mae = report.scores.filter(pl.col("metric") == "mae")
    own = [mae.with_columns(metric=pl.lit(name), value=pl.lit(value)) for name, (_, value, _) in shown.items()]
    rows = section_rows("diagnostics", replace(report, scores=pl.concat([report.scores, *own])))
    row = next(row for row in rows if row.get("Lead time, days") == "3")
    expected = {"Days": "300", "In 80%": "81%", "In 90%": "89%"} | {header: text for header, _, text in shown.values()}
    assert row | expected == row


def test_the_table_of_scores_has_every_number_under_its_header_and_underlines_the_best_reference() -> None:
    """The synthetic MAE is 0.01 for the model and 0.012 to 0.018 for the references, times the lead time."""
    report = example_report()
    row = next(row for row in section_rows("scores", report) if row.get("Lead time, days") == "3")
    assert row == {
        "Lead time, days": "3", "Days": "300", "MAE": "0.0300", "no change": "0.0360", "last change": "0.0420",
        "damped change": "0.0480", "climatology": "0.0540", "Skill (90% band)": "+0.17 +0.07 to +0.27",
        "In 80%": "81%", "In 90%": "89%", "MAE, top 5%": "0.1800",
    }  # fmt: skip
    underlined = re.findall(r'data-label="([^"]+)"[^>]*>\s*<u>', section_html("scores", report))
    assert set(underlined) == {"no change"}


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


def test_each_amount_of_rain_has_the_unit_of_the_rain_gauges() -> None:
    titles = input_titles(synthetic.small_dam(synthetic.rain_gauge(unit="in")))
    texts = [titles[name].text(50.8) for name in ("rain_lag0", "rain_3d", "api")]
    assert texts == ["rain on that day 2 in", "rain in 3 days 2 in", "wetness index 2 in"]
