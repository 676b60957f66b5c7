"""A synthetic report for the tests of `forebay.report`, and the visible text of a page."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forebay.charts.registry import report_figures
from forebay.charts.report_tables import Report
from forebay.dams.dam import Dam
from forebay.features.daily_tables import Reading
from forebay.features.samples import Samples, make_samples
from forebay.forecasts.issue import issue
from forebay.forecasts.outlook import Outlook, make_outlook
from forebay.report.sections import SECTIONS, render_template
from forebay.verify.diagnostics import diagnose
from forebay.verify.exceedance import threshold_forecasts
from forebay.verify.hindcast import ForecastChanges
from forebay.verify.recent import recent_scores
from forebay.verify.verification import Verification
from tests import synthetic

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_NO_BROWSER = CHROMIUM is None and os.environ.get("CI") != "true"
needs_chromium = pytest.mark.skipif(_NO_BROWSER, reason="no chromium on this machine")
HOSTILE = """</script><script>alert(1)</script><img src=x onerror='alert("2")'> & <!-- \u2028\u2029"""


@cache
def _hindcast(name: str) -> tuple[Dam, pl.DataFrame, pl.DataFrame]:
    dam = synthetic.dam(name=name, notes=name)
    daily = synthetic.daily(dam)
    days = [synthetic.FLOOD_ONSET + timedelta(days=k) for k in range(-30, 30)]
    return dam, daily, synthetic.forecasts(dam, daily, [*days, daily["date"][-1]])


def example_report(name: str = "Synthetic Dam") -> Report:
    """A report of the last day of the synthetic daily frame, without diagnostics."""
    dam, daily, table = _hindcast(name)
    init = daily["date"][-1]
    issued = issue(table, dam, init, now=synthetic.NOW, limitations=("A creek has no data.",))
    return Report(
        dam=dam,
        forecast=replace(issued, explanation=synthetic.explanation(dam, init)),
        newest=Reading(synthetic.NOW - timedelta(hours=37), 96.5, "good", dam.target.datum),
        daily=daily,
        hindcast=table.filter(pl.col("init_date") < init),
        scores=synthetic.scores(dam),
        gauge_table=pl.DataFrame({"gauge": ["reservoir_level"], "rows": [1200], "error": [None]}),
    )


@cache
def diagnosed_report() -> Report:
    """A report with the diagnostics of a longer hindcast."""
    dam, daily, _ = _hindcast("Synthetic Dam")
    table = synthetic.forecasts(dam, daily, daily["date"][480:].to_list())
    samples = replace(make_samples(daily, daily, dam), outages=None)  # its forecasts start from each day's own level
    diagnostics = diagnose(table, samples, dam, daily=daily)
    past = table.filter(pl.col("init_date") < daily["date"][-1])
    report = replace(example_report(), hindcast=past, diagnostics=diagnostics)
    levels = daily.select("date", level=dam.target_gauge.column)
    recent = recent_scores(past, levels, report.forecast.init_date, source="hindcast")
    return replace(report, outlook=example_outlook(samples, report), recent_scores=recent)


def example_outlook(samples: Samples, report: Report) -> Outlook:
    """The outlook of a report from paths of random changes about a slow wave, so that probabilities have spells."""
    shape = (len(samples.dates), len(report.dam.hindcast.leads), 50)
    wave = 4 * np.sin(np.arange(shape[0]) / 6)
    paths = np.random.default_rng(1).normal(wave[:, None, None], 2.0, shape)
    nothing = ForecastChanges(report.dam.hindcast.leads, {})
    forecasts = threshold_forecasts(samples, report.dam, paths)
    verification = Verification(
        samples, report.dam, report.daily, {}, nothing, paths, {}, pl.DataFrame(), threshold_forecasts=forecasts
    )
    return make_outlook(verification, report.forecast)


def section_html(name: str, report: Report) -> str:
    """One section as markup."""
    section = next(section for section in SECTIONS if section.name == name)
    return section.render(report, report_figures(report))


def section_text(name: str, report: Report) -> str:
    """Visible text of one section, in one line."""
    return visible_text(section_html(name, report))


def section_rows(name: str, report: Report) -> list[dict[str, str]]:
    """The cells of every table row of one section, by the header of their column; cells without a header are absent."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", section_html(name, report), re.DOTALL)
    cells = [re.findall(r'<td[^>]* data-label="([^"]*)"[^>]*>(.*?)</td>', row, re.DOTALL) for row in rows]
    return [{header: visible_text(cell).strip() for header, cell in row} for row in cells]


def template_text(template: str, report: Report, values: dict[str, object]) -> str:
    """Visible text of a template, in one line."""
    return visible_text(render_template(template, report, values))


def visible_text(html: str) -> str:
    """The text of a page without scripts and tags, in one line."""
    tags = re.sub(r"<(script|style).*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", tags))


def chart_count(html: str) -> int:
    """Number of chart specifications in a page."""
    return html.count('<script type="application/json"')


def open_in_browser(page: Path, folder: Path) -> tuple[str, str, list[str]]:
    """The DOM after drawing, the browser's log, and every URL that the page requests, except files.

    Requests of the browser itself have no origin. A proxy that does not exist keeps all requests on this machine.
    """
    assert CHROMIUM is not None, "CI must have chromium"
    net_log = folder / "net.json"
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --proxy-server=127.0.0.1:9 --enable-logging=stderr "
        "--virtual-time-budget=20000 --window-size=1280,4000 --dump-dom"
    )
    command = [CHROMIUM, *flags.split(), f"--user-data-dir={folder / 'profile'}", f"--log-net-log={net_log}"]
    browser = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=180, check=True)
    events = json.loads(net_log.read_text())["events"]
    requests = [event["params"] for event in events if "initiator" in event.get("params", {})]
    urls = {r["url"] for r in requests if r["initiator"] != "not an origin" and not r["url"].startswith("file:")}
    return browser.stdout, browser.stderr, sorted(urls)


def check_in_browser(page: Path, *, charts: int) -> None:
    """Check that a page in a browser draws its `charts` charts, logs no error and sends no request."""
    dom, log, requests = open_in_browser(page, page.parent)
    places = re.findall(r'<div class="chart[^>]*>(.{0,400})', dom, re.DOTALL)
    assert len(places) == chart_count(dom) == charts
    assert all("<svg" in place for place in places), places
    assert "could not be drawn" not in dom.split("<script>")[0]
    assert "CONSOLE" not in log, log
    assert requests == []
