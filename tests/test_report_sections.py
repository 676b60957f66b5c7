"""`forebay.report.sections`: every section has a template, and a new one needs a module, a template and a line."""

import re
from dataclasses import replace
from importlib import resources
from typing import cast

import altair as alt
import polars as pl
import pytest
from jinja2 import ChoiceLoader, DictLoader

from forebay.charts.figures import Figure
from forebay.charts.registry import REPORT_CHARTS, report_figures
from forebay.charts.report_tables import Report
from forebay.report import scores
from forebay.report.environment import environment
from forebay.report.head import build_head
from forebay.report.sections import SECTIONS, Section
from forebay.report.write import render_report, sections_of
from forebay.verify.diagnostics import Diagnostics
from tests.report_examples import diagnosed_report, example_report, section_rows, section_text, template_text

TEMPLATE = """{% import "macros.html" as ui %}
<p>{{ dam.name }} has {{ count | plural("gauge") }}.</p>{{ ui.chart_figure(figures.toy) }}"""


def build_toy(report: Report) -> dict[str, object]:
    return {"count": len(report.dam.gauges)}


def toy_figure(report: Report) -> Figure:
    chart = alt.Chart(pl.DataFrame({"x": [1.0]})).mark_point().encode(x="x:Q").properties(title="Toy chart")
    return Figure("toy", (chart,))


def test_names_and_titles_are_unique_and_every_section_has_its_template() -> None:
    templates = resources.files("forebay.report") / "templates"
    for section in SECTIONS:
        assert (templates / f"{section.name}.html").is_file()
    assert len({section.name for section in SECTIONS}) == len({section.title for section in SECTIONS}) == len(SECTIONS)


def test_every_section_is_on_the_page_in_order_with_its_title_and_link() -> None:
    html = render_report(diagnosed_report())
    assert re.findall(r'<section id="(\w+)">\n<h2>([^<]+)</h2>', html) == [(s.name, s.title) for s in SECTIONS]
    assert re.findall(r'<a href="#(\w+)">([^<]+)</a></li>', html) == [(s.name, s.title) for s in SECTIONS]


def test_every_link_within_the_page_has_a_target() -> None:
    html = render_report(diagnosed_report())
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(re.findall(r'id="([^"]+)"', html))


def test_the_limitations_begin_with_what_is_outside_experience() -> None:
    report = example_report()
    issued = replace(report.forecast, outside_experience=("Outside experience: rain.",), forcings=("Used: a plan.",))
    text = section_text("limitations", replace(report, forecast=issued)).strip()
    assert text == "Outside experience: rain. A creek has no data. Used: a plan."


def test_a_section_with_a_false_condition_is_absent() -> None:
    names = [section.name for section in sections_of(example_report())]
    assert names == [section.name for section in SECTIONS if section.name not in ("diagnostics", "outlook")]
    toy = Section("toy", "Toy", build_toy, lambda report: not report.dam.simulated)
    assert sections_of(example_report(), (toy,)) == []


def test_a_dam_without_the_usual_lead_times_has_every_table_and_figure() -> None:
    report = diagnosed_report()
    assert report.diagnostics is not None
    few = pl.col("lead_time").is_in([2, 4, 5, 6])
    diagnostics = Diagnostics(**{name: rows.filter(few) for name, rows in report.diagnostics.by_name().items()})
    issued = replace(
        report.forecast, table=report.forecast.table.filter(few), explanation=report.forecast.explanation.filter(few)
    )
    rare = replace(
        report,
        forecast=issued,
        hindcast=report.hindcast.filter(few),
        scores=report.scores.filter(few),
        diagnostics=diagnostics,
        recent_scores=report.recent_scores.filter(few),
    )
    assert list(report_figures(rare)) == list(report_figures(report))
    for name in ("scores", "diagnostics"):
        leads = [row["Lead time, days"] for row in section_rows(name, rare) if "Lead time, days" in row]
        assert set(leads) == {"2", "4", "5"}
    assert {"2 days", "4 days", "5 days"} <= set(section_rows("largest_rise", rare)[1])
    head = template_text("head.html", rare, build_head(rare))
    assert all(f"in {lead} days" in head for lead in (2, 4, 5)) and "in 6 days" not in head


def test_the_scores_are_listed_by_period_by_kind_of_day_and_by_year() -> None:
    """Each group once, with all days among the periods only."""
    report = example_report()
    values = cast(dict[str, list[dict[str, object]]], scores.build(report))
    tables = ("by_window", "by_regime", "by_year")
    groups = {name: [row["group"] for row in values[name] if row["first"]] for name in tables}
    assert groups == {"by_window": ["all", "last20", "T1"], "by_regime": ["wet"], "by_year": ["y2020"]}
    for name, names in groups.items():
        assert [row["lead_time"] for row in values[name]] == [1, 3, 7] * len(names)
    calm = replace(report, scores=report.scores.filter(pl.col("regime") == "all"))
    assert "By kind of day" in section_text("scores", report)
    assert "By kind of day" not in section_text("scores", calm)


def test_a_toy_section_appears_with_its_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = environment()
    monkeypatch.setattr(pages, "loader", ChoiceLoader([DictLoader({"toy.html": TEMPLATE}), pages.loader]))
    report = example_report()
    named = replace(report, dam=report.dam.model_copy(update={"name": "A & B"}))
    sections = (*SECTIONS, Section("toy", "Toy <section>", build_toy))
    html = render_report(named, sections=sections, charts=(*REPORT_CHARTS, toy_figure))
    assert '<a href="#toy">Toy &lt;section&gt;</a>' in html
    assert "<p>A &amp; B has 4 gauges.</p>" in html
    assert '<div class="chart" id="chart-toy"' in html
    assert '<figcaption class="title">Toy chart</figcaption>' in html
