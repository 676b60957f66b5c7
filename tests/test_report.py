"""The report: one file that opens without a network, safe against text from dam files, whole or not there at all."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from forebay.charts.formats import TargetFormat, format_number
from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.features.daily_tables import Reading
from forebay.forecasts.issue import issue
from forebay.report import grounds, page
from forebay.report.write import Report, render, write_report
from forebay.tables import EXPLANATION, FORECASTS, SCORES
from tests import synthetic

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_ABSENT = CHROMIUM is None and os.environ.get("CI") != "true"
needs_chromium = pytest.mark.skipif(_ABSENT, reason="no chromium on this machine")
HOSTILE = """</script><script>alert(1)</script><img src=x onerror='alert("2")'> & <!--"""


@cache
def _hindcast_of(name: str) -> tuple[Dam, pl.DataFrame, pl.DataFrame]:
    dam = synthetic.dam(name=name, notes=name)
    daily = synthetic.daily(dam)
    around = synthetic.FLOOD_ONSET
    days = [around + timedelta(days=k) for k in range(-30, 30)]
    return dam, daily, synthetic.forecasts(dam, daily, [*days, daily["date"][-1]])


def _report(name: str = "Synthetic Dam") -> Report:
    dam, daily, table = _hindcast_of(name)
    init = daily["date"][-1]
    issued = issue(table, dam, init, now=synthetic.NOW, limitations=("The creek is silent.",))
    return Report(
        dam=dam,
        forecast=replace(issued, explanation=synthetic.explanation(dam, init)),
        newest=Reading(synthetic.NOW - timedelta(hours=37), 96.5, "good", dam.target.datum),
        daily=daily,
        hindcast=table.filter(pl.col("init_date") < init),
        scores=synthetic.scores(dam),
        gauge_table=pl.DataFrame({"gauge": ["reservoir_level"], "rows": [1200], "error": [None]}),
    )


def _words(html: str) -> str:
    """What a reader sees: the page's text without scripts and marks."""
    return re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", " ", html, flags=re.DOTALL))


def test_all_files_are_written_and_nothing_else_remains(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    written = write_report(_report(), tmp_path / "new")
    names = ("coverage", "explanation", "forecast", "largest_rise", "scores")
    pictures = [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    assert sorted(path.name for path in written) == sorted([*pictures, "report.html"])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in written)
    assert all(path.stat().st_size > 2000 for path in written)
    assert (tmp_path / "new" / "report.html").stat().st_size < 4_000_000
    assert (tmp_path / "new" / "forecast.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    broken = replace(_report(), daily=pl.DataFrame({"date": ["not a day"]}))
    with pytest.raises(pl.exceptions.PolarsError):
        write_report(broken, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "old"


def test_the_head_tells_reading_start_and_forecast() -> None:
    text = _words(render(_report())[0])
    assert "SIMULATED: weather, river and lake are invented" in text
    assert "mean of the day from Wed 14 Apr 2021 00:00 (UTC+10:00), quality good" in text
    assert "13.0 hours old" in text  # the day whose mean it is ended 13 hours ago
    assert "reservoir level forecast from Wed 14 Apr 2021" in text
    assert "96.500 m" in text
    assert "Forecast starts from: daily mean" in text
    assert "metres above nothing" in text


@pytest.mark.parametrize(("age", "stale"), [(0, False), (3, False), (4, True), (1412, True)])
def test_what_is_old_says_so_and_is_never_called_current(age: int, stale: bool) -> None:
    report = _report()
    later = replace(report.forecast, issue_time=synthetic.NOW + timedelta(days=age))
    text = _words(render(replace(report, forecast=later))[0])
    assert (f"as of Wed 14 Apr 2021, {age:,} days old" in text) == stale
    assert not stale or not re.search(r"\b(current|currently|today|now)\b", text, re.IGNORECASE)


def test_every_section_of_a_simulated_dam_says_so() -> None:
    html = render(_report())[0]
    assert html.count("<section") == html.count("SIMULATED: no real gauge, no real dam.") == 9


def test_a_real_dam_is_never_called_simulated() -> None:
    report = _report()
    for simulated in (True, False):
        html, specs = render(replace(report, dam=report.dam.model_copy(update={"simulated": simulated})))
        for text in (html, *map(json.dumps, specs.values())):
            assert ("SIMULATED" in text) == simulated


def test_the_rise_is_told_honestly() -> None:
    text = re.sub(r"\s+", " ", _words(render(_report())[0]))
    assert "from Sun 9 Feb 2020 to the next day" in text
    assert "missed, above the 90% interval" in text
    assert "not one had the level that came inside the 90% interval" in text


def test_text_of_a_dam_file_is_never_markup() -> None:
    report = _report(HOSTILE)
    html = render(replace(report, forecast=replace(report.forecast, limitations=(HOSTILE,))))[0]
    before_the_bundle = html.split("<script>")[0]
    assert "<img" not in before_the_bundle
    assert "alert(1)</script" not in html
    assert "<!--" not in html  # not in the bundle either: it would swallow the end of the script
    assert html.count("<script") == html.count("</script") == _report_scripts(html) + 2
    assert before_the_bundle.count("<script") == _report_scripts(html)
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in html


def _report_scripts(html: str) -> int:
    return html.count('<script type="application/json"')


def test_the_policy_allows_its_own_scripts_only() -> None:
    html = render(_report())[0]
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src 'none';")
    assert "unsafe" not in policy[1] and "http" not in policy[1]
    assert policy[1].count("'sha256-") == 3
    assert not re.search(r"<(link|img|iframe|object)\b|\ssrc=|\sstyle=|\son\w+=", html.split("<script>")[0])


def test_without_a_rise_scores_reading_or_forecast_the_report_says_so() -> None:
    report = _report()
    bare = replace(
        report,
        forecast=replace(report.forecast, table=FORECASTS.empty(), limitations=(), explanation=EXPLANATION.empty()),
        newest=None,
        hindcast=FORECASTS.empty(),
        scores=SCORES.empty(),
        gauge_table=pl.DataFrame(),
    )
    html, specs = render(bare)
    text = _words(html)
    assert set(specs) == {"forecast", "coverage"}
    for said in ("No forecast could be issued", "there is no rise to show", "could be scored", "gave no reading"):
        assert said in text


def test_a_forecast_without_intervals_shows_dashes() -> None:
    report = _report()
    level = pl.when(pl.col("quantile") == 0.5).then(pl.col("level")).otherwise(float("nan")).alias("level")
    forecast = replace(report.forecast, table=report.forecast.table.with_columns(level))
    html, _ = render(replace(report, forecast=forecast))
    assert "NaN" not in _words(html) and " nan" not in _words(html)


def test_numbers_and_units() -> None:
    assert format_number(-0.0004, 3, signed=True) == "0.000"
    assert format_number(1234567.8, 0) == "1,234,568"
    assert format_number(None, 2) == format_number(float("nan"), 2) == "–"
    words = TargetFormat(synthetic.dam())
    assert words.interval(-1.0, 2.0, signed=True) == "−1.000 to +2.000"
    assert words.axis == "reservoir level (daily mean), m"


def test_instantaneous_readings_are_called_so() -> None:
    level = {"role": "target", "source": "simulated", "station": "lake", "variable": "reservoir_level", "unit": "m"}
    gauge = Gauge.model_validate(level | {"reading": "instantaneous", "reading_at": "08:00"})
    report = _report()
    others = report.dam.model_dump(by_alias=True, exclude={"gauges"})
    at_eight = Dam.model_validate(others | {"gauges": [gauge, *report.dam.gauges[1:]]})
    text = _words(render(replace(report, dam=at_eight))[0])
    assert "reading at 08:00" in text
    assert "daily mean" not in text


def test_a_dams_facts_are_told() -> None:
    curve = {"level_unit": "m", "storage_unit": "ML", "points": [[80, 0], [100, 5000]], "survey_date": "2011-05-01"}
    low_pool = {"rule_curve": [{"day": "01-01", "value": 90}, {"day": "07-01", "value": 95}]}
    facts = {
        "full_supply": {"dated": [{"from": "2018-01-01", "value": 99.0}, {"from": "2020-01-01", "value": 100.0}]},
        "thresholds": [{"name": "Low pool", "level": low_pool}],
        "storage_curves": [curve],
        "hindcast": {"verification_exclude": [{"from": "2019-01-01", "to": "2019-01-05", "reason": "datum moved"}]},
    }
    report = _report()
    dam = Dam.model_validate(report.dam.model_dump(by_alias=True) | facts)
    text = _words(grounds.dam_and_gauges(replace(report, dam=dam)))
    assert "99 m from 2018-01-01; 100 m from 2020-01-01" in text
    assert "rule curve: 01-01 90 m, 07-01 95 m" in text
    assert "2019-01-01 to 2019-01-05 (datum moved)" in text
    assert "80 to 100 m hold 0 to 5,000 ML, 2 points, surveyed 2011-05-01" in text


def test_a_page_escapes_all_but_its_own_markup() -> None:
    assert page.element("p", "<b>", page.Html("<i></i>")) == "<p>&lt;b&gt;<i></i></p>"
    assert "<" not in re.findall(r'data-chart="x">(.*)</script>', page.chart("x", {"title": HOSTILE}))[0]


@needs_chromium
@pytest.mark.parametrize("name", ["Synthetic Dam", HOSTILE])
def test_in_a_real_browser_all_charts_draw_without_errors_or_requests(name: str, tmp_path: Path) -> None:
    write_report(_report(name), tmp_path)
    dom, log, requests = _opened(tmp_path / "report.html", tmp_path)
    places = re.findall(r'<div class="chart[^>]*>(.{0,400})', dom, re.DOTALL)
    assert len(places) == _report_scripts(dom) == 2 + 3 + 9 + 2
    assert all("<svg" in place for place in places), places
    assert "could not be drawn" not in dom.split("<script>")[0]
    assert "CONSOLE" not in log, log
    assert requests == []


@needs_chromium
def test_the_browser_test_would_see_an_error_and_a_request(tmp_path: Path) -> None:
    page = '<script>console.error("seen"); fetch("http://example.invalid/x")</script>'
    (tmp_path / "page.html").write_text(page)
    _, log, requests = _opened(tmp_path / "page.html", tmp_path)
    assert "CONSOLE" in log and "seen" in log
    assert requests == ["http://example.invalid/x"]


def _opened(file: Path, folder: Path) -> tuple[str, str, list[str]]:
    """The page's DOM once drawn, the browser's log, and every URL that the page asked for, but for files.

    The browser itself asks for some, without an origin; a proxy that is not there keeps all of them on this machine.
    """
    assert CHROMIUM is not None, "CI must have chromium"
    net_log = folder / "net.json"
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --proxy-server=127.0.0.1:9 --enable-logging=stderr "
        "--virtual-time-budget=20000 --window-size=1280,4000 --dump-dom"
    )
    command = [CHROMIUM, *flags.split(), f"--user-data-dir={folder / 'profile'}", f"--log-net-log={net_log}"]
    done = subprocess.run([*command, file.as_uri()], capture_output=True, text=True, timeout=180, check=True)
    events = json.loads(net_log.read_text())["events"]
    asked = [event["params"] for event in events if "initiator" in event.get("params", {})]
    urls = {p["url"] for p in asked if p["initiator"] != "not an origin" and not p["url"].startswith("file:")}
    return done.stdout, done.stderr, sorted(urls)
