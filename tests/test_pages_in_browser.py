"""The report and the screening page in Chromium: on a phone, in dark mode, by touch, with the wheel, and on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from forebay.article.page import render_article
from forebay.charts.report_tables import Report
from forebay.report.screening import write_screening
from forebay.report.write import render_report
from forebay.screen.flags import screen_daily
from tests import synthetic
from tests.browser import Page, browser
from tests.report_examples import diagnosed_report, needs_chromium
from tests.test_article_charts import page as article_page
from tests.test_article_charts import result
from tests.test_brief import example_brief

pytestmark = [needs_chromium, pytest.mark.slow]
WIDTHS = (360, 768, 1280)
PAGES = ("report", "screening", "article")

CLIPPED = """
    [...document.querySelectorAll('main *, header *')].filter(part => part.checkVisibility({visibilityProperty: true})
        && !part.closest('svg, thead, script')
        && part.getBoundingClientRect().right > document.documentElement.clientWidth + 1
        && !part.closest('.scroll, pre')).map(part => part.outerHTML.slice(0, 120))
"""
"""Visible elements beyond the right edge of the window, unless their container scrolls."""
BEYOND_BOX = """
    [...document.querySelectorAll('.answers > div')].flatMap(box => [...box.querySelectorAll('*')].filter(part =>
        part.getBoundingClientRect().right > box.getBoundingClientRect().right
            - parseFloat(getComputedStyle(box).paddingRight)
            + 1).map(part => part.textContent.trim().slice(0, 60)))
"""
"""Texts of the first screen that reach into the padding of their box."""
CONTRASTS = """
(() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const channel = value => value <= 10.3 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  function ground(part) {
    for (let node = part; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  }
  const texts = [...document.querySelectorAll('body *')].filter(part => part.checkVisibility()
      && !part.closest('script, noscript, style')
      && [...part.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()));
  return texts.map(part => {
    const style = getComputedStyle(part);
    const ink = parse(part.closest('svg') ? style.fill : style.color);
    const [low, high] = [luminance(ink), luminance(ground(part))].sort((a, b) => a - b);
    return [(high + 0.05) / (low + 0.05), part.textContent.trim().slice(0, 40)];
  });
})()
"""
"""Contrast ratio (WCAG 2.2, 1.4.3) and text of every visible text of the page."""


def full_report() -> Report:
    """A past forecast with everything that a page can show: notices, diagnostics, and levels observed afterwards."""
    report = diagnosed_report()
    issued = replace(report.forecast, is_requested=True, issue_time=report.forecast.init_time + timedelta(days=400))
    issued = replace(issued, outside_experience=("Outside experience: level, 101 m, is above the range.",))
    days = [issued.init_date + timedelta(days=k) for k in range(1, 8)]
    later = pl.DataFrame({"date": days, "level": [100.2, 100.3, 101.5, 99.0, 100.2, 100.2, 100.1]})
    rise = pl.when(pl.col("lead_time") > 3).then(7.0).otherwise(0.0)
    higher = issued.table.with_columns(pl.col("level") + rise)
    return replace(report, forecast=replace(issued, table=higher), later_levels=later)


def large_numbers(report: Report) -> Report:
    """`report` with levels of four digits before the point."""
    higher = pl.col("level") + 1_000.0
    table, later = (frame.with_columns(higher) for frame in (report.forecast.table, report.later_levels))
    assert report.newest is not None
    newest = replace(report.newest, value=report.newest.value + 1_000.0)
    return replace(report, forecast=replace(report.forecast, table=table), later_levels=later, newest=newest)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with report.html, brief.html (the same with a brief), large.html, screening.html and article.html."""
    path = tmp_path_factory.mktemp("pages")
    (path / "report.html").write_text(render_report(full_report()), "utf-8")
    brief = example_brief(tmp_path_factory.mktemp("brief"))
    (path / "brief.html").write_text(render_report(replace(full_report(), make_brief=lambda: brief)), "utf-8")
    (path / "large.html").write_text(render_report(large_numbers(full_report())), "utf-8")
    dam = synthetic.dam()
    daily = synthetic.daily(dam, days=900)
    fall = pl.when(pl.int_range(pl.len()).is_in([700, 701])).then(9.0).otherwise(0.0)
    daily = daily.with_columns(pl.col("reservoir_level") - fall)
    write_screening(daily, screen_daily(daily, dam), dam, path)
    (path / "article.html").write_text(render_article(article_page(result(), result(recipe="python"))), "utf-8")
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of one browser for all tests of this module."""
    with browser(tmp_path_factory.mktemp("browser")) as new:
        yield new


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [*PAGES, "brief"])
def test_nothing_is_clipped(page: Page, folder: Path, name: str, width: int) -> None:
    page.open(folder / f"{name}.html", width=width, touch=width < 600)
    page.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run(CLIPPED) == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "brief", "large"])
def test_the_first_screen_stays_within_its_boxes(page: Page, folder: Path, name: str, width: int) -> None:
    page.open(folder / f"{name}.html", width=width, touch=width < 600)
    page.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert page.run("document.querySelectorAll('.answers > div').length") >= 5
    assert page.run(BEYOND_BOX) == []


@pytest.mark.parametrize("name", [*PAGES, "brief"])
def test_a_phone_shows_every_cell_with_its_header_and_scrolls_no_table(page: Page, folder: Path, name: str) -> None:
    page.open(folder / f"{name}.html", width=360, touch=True)
    page.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert page.run("[...document.querySelectorAll('.scroll')].every(part => part.scrollWidth <= part.clientWidth)")
    assert page.run("""[...document.querySelectorAll('.scroll td[data-label]')].every(cell =>
        getComputedStyle(cell, '::before').content === JSON.stringify(cell.dataset.label))""")
    if name == "report":
        text = page.run("document.querySelector('#forecast tbody').innerText")
        assert "100.189 to 100.325" not in text and text.count(" to ") == 14, "two intervals of seven days"


def test_a_table_that_scrolls_has_a_shadow_and_the_keyboard_reaches_it(page: Page, folder: Path) -> None:
    page.open(folder / "report.html", width=768)
    frames = page.run("""[...document.querySelectorAll('.scroll')].filter(part => part.scrollWidth > part.clientWidth)
        .map(part => [part.tabIndex, getComputedStyle(part).backgroundImage.split('linear-gradient').length - 1])""")
    assert frames, "the scores are wider than the window"
    assert all(frame == [0, 4] for frame in frames)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_text_has_contrast_aa(page: Page, folder: Path, name: str, dark: bool) -> None:
    page.open(folder / f"{name}.html", dark=dark)
    page.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    contrasts = page.run(CONTRASTS)
    assert len(contrasts) > 50
    assert [entry for entry in contrasts if entry[0] < 4.5] == []
    assert (page.run("getComputedStyle(document.body).backgroundColor") == "rgb(18, 24, 29)") == dark


def test_the_contrast_test_detects_pale_text(page: Page, folder: Path) -> None:
    page.open(folder / "report.html", dark=True)
    page.run("document.querySelector('h1').style.color = '#555'")
    assert any(ratio < 4.5 for ratio, _ in page.run(CONTRASTS))


@pytest.mark.parametrize("name", PAGES)
def test_the_wheel_scrolls_the_page_over_every_chart(page: Page, folder: Path, name: str) -> None:
    page.open(folder / f"{name}.html")
    places = page.run("[...document.querySelectorAll('.chart')].map(place => place.id)")
    # A chart at the end of the page cannot scroll down.
    page.run("document.querySelector('main').style.paddingBottom = '2000px'")
    scrolled = {place: page.turn_wheel(*page.centre(f"[id='{place}']")) for place in places}
    assert len(scrolled) > 3
    assert all(pixels > 0 for pixels in scrolled.values()), scrolled


def test_buttons_choose_the_days_of_the_forecast_chart(page: Page, folder: Path) -> None:
    page.open(folder / "report.html")
    counts = {}
    for days in (60, 14, 365):
        page.run(f"document.querySelector('[data-spans] button[data-days=\"{days}\"]').click()")
        page.wait_for(f"document.querySelector('[data-days=\"{days}\"]').getAttribute('aria-pressed') === 'true'")
        page.wait_for("!!document.querySelector('#chart-forecast svg')")
        page.run("new Promise(done => setTimeout(done, 500))")
        counts[days] = page.run("document.querySelectorAll('#chart-forecast .mark-symbol path').length")
    assert counts[14] < counts[60] < counts[365], counts
    assert page.run("document.querySelectorAll('[data-spans] [aria-pressed=\"true\"]').length") == 1


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "touch"])
def test_the_tooltip_has_the_nearest_day(page: Page, folder: Path, touch: bool) -> None:
    page.open(folder / "report.html", width=360 if touch else 1280, touch=touch)
    x, y = page.centre("#chart-forecast svg")
    right = page.run("document.querySelector('#chart-forecast svg').getBoundingClientRect().right")
    text = "document.querySelector('#vg-tooltip-element.visible')?.innerText ?? ''"
    for place, words in ((x, ("day", "observed")), (right - 12, ("day", "observed afterwards", "90% interval"))):
        if touch:
            page.tap(place, y)
        else:
            page.call("Input.dispatchMouseEvent", type="mouseMoved", x=place, y=y - 3)
            page.call("Input.dispatchMouseEvent", type="mouseMoved", x=place, y=y)
        page.wait_for(f"({text}).includes('{words[-1]}')")
        tooltip = page.run(text)
        assert all(word in tooltip for word in words), tooltip
        assert re.search(r"\w{3} \d{4}-\d\d-\d\d", tooltip)
        assert "undefined" not in tooltip and "null" not in tooltip


@pytest.mark.parametrize("name", PAGES)
def test_every_chart_has_its_own_label_and_every_header_a_scope(page: Page, folder: Path, name: str) -> None:
    page.open(folder / f"{name}.html")
    labels = page.run("[...document.querySelectorAll('.chart')].map(place => place.getAttribute('aria-label'))")
    assert len(set(labels)) == len(labels) > 3
    assert page.run("[...document.querySelectorAll('th')].every(header => header.scope === 'col')")
    beside = page.run("""[...document.querySelectorAll('.chart')].every(place =>
        place.closest('section').querySelector('table, ul, p:not(.notice):not(.small)'))""")
    assert beside, "every chart has a table or a text in its section"


def test_paper_shows_what_is_folded_and_keeps_titles_with_charts(page: Page, folder: Path, tmp_path: Path) -> None:
    page.open(folder / "report.html")
    folded = "document.querySelectorAll('details:not([open])').length"
    page.run(f"window.addEventListener('beforeprint', () => {{ window.foldedOnPaper = {folded}; }})")
    assert page.run(folded) > 2
    page.save_pdf(tmp_path / "report.pdf")
    assert page.run("window.foldedOnPaper") == 0, "all is open while the browser prints"
    assert page.run(folded) > 2, "folded again on the screen"
    page.set_media(medium="print")
    assert page.run("""[...document.querySelectorAll('.chart, .title')].every(part =>
        getComputedStyle(part.closest('figure')).breakInside === 'avoid')""")
    assert page.run("[...document.querySelectorAll('nav, .spans')].every(part => !part.checkVisibility())")
    page.set_media()
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
