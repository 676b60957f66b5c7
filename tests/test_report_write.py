"""`forebay.report.write`: a page without network requests, with escaped text, written completely or not at all."""

import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from forebay.charts.registry import report_figures
from forebay.report.sections import SECTIONS
from forebay.report.write import render_report, write_report
from forebay.tables import EXPLANATION, FORECASTS
from forebay.verify.tables import SCORES
from tests.report_examples import (
    HOSTILE,
    chart_count,
    check_in_browser,
    diagnosed_report,
    example_report,
    needs_chromium,
    open_in_browser,
    visible_text,
)


def test_the_page_and_every_figure_are_written(tmp_path: Path) -> None:
    paths = write_report(example_report(), tmp_path)
    names = ("coverage", "explanation", "forecast", "largest_rise", "scores")
    pictures = [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    assert sorted(path.name for path in paths) == sorted([*pictures, "report.html"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert all(path.stat().st_size > 2000 for path in paths)
    assert (tmp_path / "report.html").stat().st_size < 4_000_000
    assert (tmp_path / "forecast.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_that_fails_leaves_the_previous_one(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    broken = replace(example_report(), daily=pl.DataFrame({"date": ["not a day"]}))
    with pytest.raises(pl.exceptions.PolarsError):
        write_report(broken, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "old"


def test_every_section_of_a_simulated_dam_is_marked() -> None:
    html = render_report(diagnosed_report())
    assert html.count("<section") == html.count("SIMULATED: no real gauge, no real dam.") == len(SECTIONS)


def test_a_real_dam_is_never_marked_as_simulated() -> None:
    report = example_report()
    for simulated in (True, False):
        html = render_report(replace(report, dam=report.dam.model_copy(update={"simulated": simulated})))
        assert ("SIMULATED" in html) == simulated


def test_text_of_a_dam_file_is_never_markup() -> None:
    report = example_report(HOSTILE)
    html = render_report(replace(report, forecast=replace(report.forecast, limitations=(HOSTILE,))))
    before_the_bundle = html.split("<script>")[0]
    assert "<img" not in before_the_bundle
    assert "alert(1)</script" not in html
    assert "<!--" not in html  # in a script it hides the end of the script
    assert html.count("<script") == html.count("</script") == chart_count(html) + 2
    assert before_the_bundle.count("<script") == chart_count(html)
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in html


def test_the_policy_allows_only_our_style_and_scripts() -> None:
    html = render_report(example_report())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src 'none';")
    assert "unsafe" not in policy[1] and "http" not in policy[1]
    assert policy[1].count("'sha256-") == 3
    assert not re.search(r"<(link|img|iframe|object)\b|\ssrc=|\sstyle=|\son\w+=", html.split("<script>")[0])


def test_a_report_without_rise_scores_reading_or_forecast() -> None:
    report = example_report()
    empty = replace(report.forecast, table=FORECASTS.empty(), explanation=EXPLANATION.empty(), limitations=())
    minimal = replace(
        report,
        forecast=empty,
        newest=None,
        hindcast=FORECASTS.empty(),
        scores=SCORES.empty(),
        gauge_table=pl.DataFrame(),
    )
    html, figures = render_report(minimal), report_figures(minimal)
    text = visible_text(html)
    assert set(figures) == {"forecast", "coverage"}
    for sentence in ("No forecast could be issued", "has no lasting rise", "could be scored", "has no reading"):
        assert sentence in text
    assert 'href="#explanation"' not in html and 'href="#diagnostics"' not in html


def test_a_forecast_without_intervals_shows_dashes() -> None:
    report = example_report()
    level = pl.when(pl.col("quantile") == 0.5).then(pl.col("level")).otherwise(float("nan")).alias("level")
    table = report.forecast.table.with_columns(level)
    text = visible_text(render_report(replace(report, forecast=replace(report.forecast, table=table))))
    assert "NaN" not in text and " nan" not in text


@needs_chromium
@pytest.mark.parametrize("name", ["Synthetic Dam", HOSTILE])
def test_in_a_browser_all_charts_draw_without_errors_or_requests(name: str, tmp_path: Path) -> None:
    write_report(example_report(name), tmp_path)
    check_in_browser(tmp_path / "report.html", charts=2 + 3 + 9 + 2)


@needs_chromium
def test_the_browser_test_detects_an_error_and_a_request(tmp_path: Path) -> None:
    page = '<script>console.error("seen"); fetch("http://example.invalid/x")</script>'
    (tmp_path / "page.html").write_text(page)
    _, log, requests = open_in_browser(tmp_path / "page.html", tmp_path)
    assert "CONSOLE" in log and "seen" in log
    assert requests == ["http://example.invalid/x"]
