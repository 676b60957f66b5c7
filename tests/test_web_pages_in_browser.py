"""The pages of `forebay serve` in Chromium, under their real policy: drawn, updated, used by keyboard and by touch.

The pictures of the documentation come from the last test: `PICTURES=FOLDER SERVER=URL DAM=ID` photographs a server of
real dams.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from forebay.archive.store import open_archive
from forebay.charts.formats import TargetFormat
from forebay.dams.dam_file import load_dam
from forebay.jobs.refresh import refresh
from forebay.settings import Settings
from forebay.web import page_response
from forebay.web.dam_pages import FOLDED
from forebay.web.site import Snapshot
from tests import synthetic
from tests.report_examples import CHROMIUM, needs_chromium
from tests.scenario_dams import RELEASE_DAM, frame_of
from tests.synthetic import small_dam
from tests.test_web_pages import END, numbers_of, raise_alert, url_of
from tests.web_server import LAKE, Place, copied_site, serve_dam, serving

pytestmark = [needs_chromium, pytest.mark.slow]
AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PATHS = ("/", "/alerts", "/dams/small", "/dams/small/past", "/dams/small/scenario", "/dams/other")
CHARTS = {"/dams/small": 12, "/dams/small/past": 1, "/dams/small/scenario": 1}
"""Charts of each page."""
WATCH = """
    window.violations = [];
    document.addEventListener('securitypolicyviolation',
        (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
TARGET = TargetFormat(LAKE)
RELEASE_DAYS = 760
"""Days of the record of the dam with a release gauge."""
TIMEOUT_S = 60


@dataclass
class Tab:
    """A page of the browser, with what went wrong in it."""

    page: Page
    place: Place
    errors: list[str]
    hosts: set[str]

    def open(self, path: str) -> None:
        self.page.goto(url_of(self.place, path))
        self.wait_for("[...document.querySelectorAll('.chart')].every(place => 'complete' in place.dataset)")

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript condition is true; Playwright's own way needs `eval` in the page."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, condition
            self.page.wait_for_timeout(30)

    def check(self) -> None:
        """No violation of the policy, no error of a script, no request to another server."""
        assert self.page.evaluate("violations") == []
        assert self.errors == []
        assert self.hosts == {url_of(self.place, "")}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def tab_of(browser: Browser, place: Place, *, width: int = 1280, dark: bool = False) -> Iterator[Tab]:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if dark else "light",
        has_touch=width < 600,
        reduced_motion="reduce",
        timezone_id="Australia/Sydney",
    )
    context.add_init_script(WATCH)
    page = context.new_page()
    page.set_default_timeout(60_000)
    tab = Tab(page, place, [], set())
    page.on("pageerror", lambda error: tab.errors.append(str(error)))
    page.on("request", lambda request: tab.hosts.add("/".join(request.url.split("/")[:3])))
    try:
        yield tab
    finally:
        context.close()  # an open stream of events would keep the server from its end


@pytest.fixture(scope="module")
def lake(site_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The server of the lake with a raised alert, read five hours after the last day with data; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_response, "now_utc", lambda: END + timedelta(hours=5))
        with copied_site(site_template, tmp_path_factory.mktemp("lake")) as place:
            raise_alert(place)
            yield place


@pytest.fixture
def changing(served: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same for a test that changes it."""
    monkeypatch.setattr(page_response, "now_utc", lambda: END + timedelta(hours=5))
    return served


def serious_findings(page: Page) -> list[str]:
    """Rules of axe that the page breaks, of the impacts serious and critical."""
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    page.evaluate(AXE)
    result = page.evaluate(f"axe.run(document, {{runOnly: {json.dumps(RULES)}}})")
    assert len(result["passes"]) > 10
    return [
        f"{finding['id']}: {finding['nodes'][0]['target']} {finding['nodes'][0]['html'][:120]}"
        for finding in result["violations"]
        if finding["impact"] in ("serious", "critical")
    ]


def marks(page: Page, chart: str) -> int:
    """Marks of data in a chart: areas, lines, bars and points of the layers, without axes."""
    return int(page.evaluate(
        "name => [...document.querySelectorAll(`[id='${name}'] .role-mark path`)]"
        ".filter(path => path.getAttribute('d').length > 6).length", chart
    ))  # fmt: skip


# --- every page -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True), (360, False)])
@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_whole_under_its_policy(chromium: Browser, lake: Place, path: str, width: int, dark: bool) -> None:
    with tab_of(chromium, lake, width=width, dark=dark) as tab:
        tab.open(path)
        charts = tab.page.evaluate("[...document.querySelectorAll('.chart')].map(place => place.id)")
        assert len(charts) == CHARTS.get(path, 0)
        assert all(marks(tab.page, chart) >= 2 for chart in charts), charts
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_findings(tab.page) == []
        tab.check()


def test_the_tests_see_a_violation_and_a_finding(chromium: Browser, lake: Place) -> None:
    with tab_of(chromium, lake) as tab:
        tab.open("/dams/small")
        tab.page.evaluate("document.querySelector('h1').setAttribute('style', 'color: #eee')")
        tab.page.evaluate("document.querySelector('h1').style.color = '#eee'")
        tab.wait_for("violations.length === 1")
        assert tab.page.evaluate("violations[0]").startswith("style-src")
        assert [finding.split(":")[0] for finding in serious_findings(tab.page)] == ["color-contrast"]


def test_a_phone_answers_on_its_first_screens_without_scrolling_sideways(chromium: Browser, lake: Place) -> None:
    with tab_of(chromium, lake, width=390) as tab:
        tab.open("/dams/small")
        first = "[...document.querySelectorAll('.answers h2')].slice(0, 3)"
        tops = tab.page.evaluate(f"{first}.map(part => part.getBoundingClientRect().top)")
        titles = tab.page.evaluate(f"{first}.map(part => part.innerText)")
        expected = ["Level now", "Forecast", "Will the level reach a threshold?"]
        assert [title.split(":")[0] for title in titles] == expected
        assert max(tops) < 2 * 800
        clipped = tab.page.evaluate("""[...document.querySelectorAll('main *')].filter(part => part.checkVisibility()
            && !part.closest('svg, thead, script, .for-readers')
            && part.getBoundingClientRect().right > document.documentElement.clientWidth + 1
            && !part.closest('pre')).map(part => part.outerHTML.slice(0, 120))""")
        assert clipped == []


def test_storage_fits_the_narrowest_screen(chromium: Browser, changing: Place) -> None:
    """320 CSS pixels: a screen of 1280 at four times its size (WCAG 2.2, 1.4.10)."""
    curve = {"level_unit": "ft", "storage_unit": "ac-ft", "points": [(-10.0, 0.0), (10.0, 700_000.0)]}
    serve_dam(changing, {"storage_curves": small_dam(storage_curves=[curve]).storage_curves})
    with tab_of(chromium, changing, width=320) as tab:
        for path in ("/", "/dams/small", "/dams/small/past", "/dams/small/scenario"):
            tab.open(path)
            wide = tab.page.evaluate("""[...document.querySelectorAll('main *')].filter(part => part.checkVisibility()
                && !part.closest('svg, .scroll') && part.getBoundingClientRect().right > 320)
                .map(part => part.outerHTML.slice(0, 120))""")
            assert (tab.page.evaluate("document.documentElement.scrollWidth"), wide) == (320, []), path
        tab.open("/dams/small")
        assert "Storage, ac-ft" in tab.page.locator("main").inner_text()


def test_long_sections_are_folded_and_a_link_opens_them(chromium: Browser, lake: Place) -> None:
    with tab_of(chromium, lake, width=390) as tab:
        tab.open("/dams/small")
        is_open = "[...document.querySelectorAll('details.fold')].map(part => [part.parentElement.id, part.open])"
        folded = dict(tab.page.evaluate(is_open))
        assert set(folded) == set(FOLDED) and not any(folded.values())
        height = tab.page.evaluate("document.documentElement.scrollHeight")
        tab.page.get_by_role("link", name="All scores").click()
        tab.wait_for("document.querySelector('#scores > details').open")
        assert dict(tab.page.evaluate(is_open)) == folded | {"scores": True}
        assert abs(tab.page.evaluate("document.getElementById('scores').getBoundingClientRect().top")) < 5
        assert tab.page.evaluate("document.documentElement.scrollHeight") > height + 1000
        sizes = tab.page.evaluate("[...document.querySelectorAll('#scores .chart svg')].map(part => part.clientWidth)")
        assert len(sizes) >= 3 and min(sizes) > 200, "charts are as wide as the section"
        tab.page.evaluate("location.hash = '#glossary'")
        tab.wait_for("document.querySelector('#glossary > details').open")
        tab.check()
    with tab_of(chromium, lake) as tab:
        tab.open("/dams/small#scores")
        tab.wait_for("document.querySelector('#scores > details').open")


# --- use --------------------------------------------------------------------------------------------------------------


def test_the_arrow_keys_and_a_finger_give_the_values_of_a_day(chromium: Browser, lake: Place) -> None:
    tooltip = "document.querySelector('#vg-tooltip-element.visible')?.innerText ?? ''"
    last = numbers_of(lake, "/dams/small.json")["quantiles"][-1]
    with tab_of(chromium, lake) as tab:
        tab.open("/dams/small")
        tab.page.locator("#chart-forecast").focus()
        tab.page.keyboard.press("End")
        tab.wait_for(f"({tooltip}).includes('{last['valid_date']}')")
        assert TARGET.interval(last["q05"], last["q95"]) in tab.page.evaluate(tooltip)
        tab.wait_for(f"document.querySelector('.for-readers').innerText.includes('{last['valid_date']}')")
        tab.page.keyboard.press("ArrowLeft")
        tab.wait_for(f"({tooltip}).includes('forecast') && !({tooltip}).includes('{last['valid_date']}')")
        tab.page.keyboard.press("Tab")
        tab.wait_for(f"({tooltip}) === ''")
        tab.check()
    with tab_of(chromium, lake, width=390) as tab:
        tab.open("/dams/small")
        box = tab.page.locator("#chart-forecast svg").bounding_box()
        assert box is not None
        tab.page.locator("#chart-forecast svg").tap(position={"x": box["width"] - 20, "y": box["height"] / 2})
        tab.wait_for(f"({tooltip}).includes('{last['valid_date']}')")


def test_the_spans_of_the_chart_change_its_days(chromium: Browser, lake: Place) -> None:
    with tab_of(chromium, lake) as tab:
        tab.open("/dams/small")
        count = "[...document.querySelectorAll(\"[id='chart-forecast'] .role-mark path\")]" \
            ".filter(path => path.getAttribute('d').length > 6).length"
        counts = [marks(tab.page, "chart-forecast")]
        for days, sign in ((14, "<"), (60, ">"), (365, ">")):
            tab.page.get_by_role("button", name=f"{days} days").click()
            tab.wait_for(f"{count} {sign} {counts[-1]}")
            counts.append(marks(tab.page, "chart-forecast"))
        tab.check()


def many_dams(place: Place, count: int) -> None:
    """Let the server show copies of the lake with other names and levels; every tenth has no forecast."""
    (state,) = place.site.snapshot.dams.values()
    states = {}
    for number in range(count):
        dam = state.dam.model_copy(update={"id": f"d{number:03d}", "name": f"Lake {number:03d}"})
        levels = state.levels.with_columns(pl.col("level") + number * pl.int_range(pl.len()) / 1e5)
        record = None if number % 10 == 9 else state.record
        notes = ("There is no issued forecast.",) if record is None else ()
        states[dam.id] = replace(state, dam=dam, levels=levels, record=record, notes=notes, cache={})
    place.site._snapshot = Snapshot(place.site.snapshot.number + 1, states)


def names(page: Page) -> list[str]:
    return list(page.evaluate("[...document.querySelectorAll('tbody tr')].filter(row => !row.hidden)"
                              ".map(row => row.dataset.name)"))  # fmt: skip


def test_500_dams_are_sorted_and_filtered_by_keyboard(chromium: Browser, changing: Place) -> None:
    many_dams(changing, 500)
    rows = numbers_of(changing, "/index.json")["dams"]
    with tab_of(chromium, changing) as tab:
        tab.open("/")
        assert names(tab.page) == [f"Lake {number:03d}" for number in range(500)]
        assert tab.page.locator("svg.sparkline polygon").count() == 450
        tab.page.get_by_label("Filter by name").focus()
        tab.page.keyboard.type("lake 12")
        twelves = [f"Lake {number:03d}" for number in range(500) if "12" in f"{number:03d}"]
        assert names(tab.page) == twelves
        assert tab.page.locator("#count").inner_text() == f"{len(twelves)} of 500 dams"
        tab.page.keyboard.press("Tab")
        tab.page.keyboard.type("rise")
        rising = sorted(rows, key=lambda row: (-row["change_1d"], row["name"]))
        assert names(tab.page) == [row["name"] for row in rising if row["name"] in twelves]
        tab.page.get_by_label("Filter by name").fill("")
        tab.page.get_by_label("Only raised or stale").press("Space")
        assert set(names(tab.page)) == {f"Lake {number:03d}" for number in range(9, 500, 10)}
        tab.page.get_by_label("Only raised or stale").press("Space")
        tab.page.get_by_label("Sort by").select_option("full")
        assert names(tab.page)[-50:] == [f"Lake {number:03d}" for number in range(9, 500, 10)], "unknown comes last"
        tab.check()


# --- updates ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/dams/small"])
def test_a_change_arrives_without_a_reload(chromium: Browser, changing: Place, path: str) -> None:
    level = round(numbers_of(changing, "/index.json")["dams"][0]["level_now"] + 0.0125, 3)
    with tab_of(chromium, changing) as tab:
        tab.open(path)
        tab.page.evaluate("window.isSame = true")
        if path != "/":
            tab.page.get_by_role("button", name="14 days").click()
            tab.page.evaluate("document.querySelector('details').open = true")
            tab.page.evaluate("window.scrollTo(0, 900)")
        changing.site.start()
        changing.revise(level)
        tab.wait_for(f"document.querySelector('main').innerText.includes('{TARGET.quantity(level)}')")
        assert tab.page.evaluate("window.isSame"), "the page was not loaded again"
        if path != "/":
            tab.wait_for("!!document.querySelector('#chart-forecast svg')")
            assert tab.page.evaluate("window.scrollY") == 900
            assert tab.page.evaluate("document.querySelector('details').open")
            shown = "document.querySelector('[data-spans] [aria-pressed=\"true\"]').dataset.days"
            assert tab.page.evaluate(shown) == "14"
            assert marks(tab.page, "chart-forecast") > 10
        tab.check()


def test_without_contact_a_page_becomes_stale_by_its_own_clock(chromium: Browser, lake: Place) -> None:
    with tab_of(chromium, lake) as tab:
        tab.page.clock.install(time=END + timedelta(hours=5))
        tab.open("/dams/small")
        assert tab.page.locator("#contact").is_hidden()
        tab.page.context.set_offline(True)
        tab.page.evaluate("look()")
        tab.wait_for("!document.getElementById('contact').hidden")
        notice = tab.page.locator("#contact").inner_text()
        assert notice.startswith("No contact with the server since ") and "STALE" not in notice
        tab.page.clock.set_system_time(END + timedelta(days=4, minutes=1))
        tab.page.evaluate("look()")
        tab.wait_for("document.getElementById('contact').innerText.includes('STALE')")
        assert tab.page.title().startswith("STALE")
        tab.page.context.set_offline(False)
        tab.page.evaluate("look()")
        tab.wait_for("document.getElementById('contact').hidden")


# --- scenario ---------------------------------------------------------------------------------------------------------


def scenario_rows(page: Page) -> list[list[str]]:
    return list(page.evaluate("[...document.querySelectorAll('#scenario-rows tr')]"
                              ".map(row => [...row.cells].map(cell => cell.innerText))"))  # fmt: skip


def test_a_slider_changes_the_path_and_the_numbers(chromium: Browser, lake: Place) -> None:
    answer = lake.client.post("/dams/small/scenario", json={"rain": [60, 0, 0], "rain_unit": "mm"})
    assert answer.status_code == 200, answer.text
    expected: dict[str, dict[float, float]] = {}
    for row in answer.json()["forecast"]:
        expected.setdefault(row["valid_date"], {})[row["quantile"]] = row["level"]
    with tab_of(chromium, lake) as tab:
        tab.open("/dams/small/scenario")
        tab.wait_for("document.querySelectorAll('#scenario-rows tr').length === 2")
        dry, path = scenario_rows(tab.page), tab.page.locator("#chart-scenario svg").inner_html()
        before = json.dumps(tab.page.locator("#scenario-rows").inner_text())  # before it moves: answers are quick
        slider = tab.page.get_by_role("slider").first
        slider.fill("60")
        tab.wait_for(f"document.querySelector('#scenario-rows').innerText !== {before}")
        tab.wait_for(f"document.querySelector('#chart-scenario svg').innerHTML !== {json.dumps(path)}")
        assert scenario_rows(tab.page) == [
            [day, TARGET.number(levels[0.5]), TARGET.interval(levels[0.05], levels[0.95])]
            for day, levels in expected.items()
        ]
        assert scenario_rows(tab.page) != dry
        assert tab.page.locator("#chart-scenario svg").inner_html() != path
        assert numbers_of(lake, "/dams/small/scenario.json")["start_level"] > 1.0
        assert "full supply: at or above it now" in tab.page.locator("#scenario-status").inner_text()
        slider.press("ArrowRight")
        tab.wait_for("document.querySelector('#scenario output').innerText === '61 mm'")
        tab.check()


@pytest.fixture(scope="module")
def river(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The server of a dam with a release gauge and a storage curve, read five hours after its last day with data."""
    folder = tmp_path_factory.mktemp("river")
    frame = frame_of(RELEASE_DAM, RELEASE_DAYS)
    path, url = synthetic.write_dam(RELEASE_DAM, frame, folder), f"sqlite:///{folder}/a.db"
    settings = Settings(cache=str(folder / "cache"))
    result = refresh([path], archive=url, settings=settings, output=folder / "runs", scenarios=True)
    assert not result.failures, result.failures
    end = datetime.combine(frame["date"][-1] + timedelta(days=1), datetime.min.time(), UTC) - timedelta(hours=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_response, "now_utc", lambda: end + timedelta(hours=5))
        with serving({"small": load_dam(str(path))}, url, folder / "runs") as (client, site, app):
            yield Place(folder, client, site, app)


def test_sliders_of_a_release_change_the_path_and_the_numbers(chromium: Browser, river: Place) -> None:
    now = numbers_of(river, "/dams/small/scenario.json")["release_now"]
    assert now == frame_of(RELEASE_DAM, RELEASE_DAYS)["release_o"][-1]
    plan = {"rain": [0, 0, 0], "rain_unit": "mm", "release": [2.25, now, now], "release_unit": "m3/s"}
    answer = river.client.post("/dams/small/scenario", json=plan)
    assert answer.status_code == 200, answer.text
    medians = [row["level"] for row in answer.json()["forecast"] if row["quantile"] == 0.5]
    with tab_of(chromium, river, width=390) as tab:
        tab.open("/dams/small/scenario")
        tab.wait_for("document.querySelectorAll('#scenario-rows tr').length === 3")
        releases = tab.page.locator('input[data-kind="release"]')
        assert [releases.nth(k).is_disabled() for k in range(3)] == [True] * 3
        before = json.dumps(tab.page.locator("#scenario-rows").inner_text())
        tab.page.get_by_label("With a planned release").press("Space")
        changed = f"document.querySelector('#scenario-rows').innerText !== {before}"
        tab.wait_for(changed)
        outputs = "[...document.querySelectorAll('#scenario output')].map(part => part.innerText)"
        assert tab.page.evaluate(outputs)[3:] == [f"{now:g} m3/s"] * 3, "the sliders start at today's release"
        releases.first.fill("2.25")
        in_table = "[...document.querySelectorAll('#scenario-rows tr')].map(row => row.cells[1].innerText).join()"
        tab.wait_for(f"{in_table} === {json.dumps(','.join(map(TARGET.number, medians)))}")
        assert tab.page.evaluate(outputs)[3] == "2.25 m3/s"
        assert "The release is given for 3 of 3 days" not in tab.page.locator("#scenario-notes").inner_text()
        releases.first.press("ArrowRight")
        tab.wait_for(f"{outputs}[3] !== '2.25 m3/s'")
        assert serious_findings(tab.page) == []
        tab.check()


def test_a_scenario_that_is_not_possible_gets_a_sentence(chromium: Browser, changing: Place) -> None:
    for file in (changing.folder / "runs" / "small").glob("*scenario*"):
        file.unlink()
    with tab_of(chromium, changing) as tab:
        tab.open("/dams/small/scenario")
        tab.wait_for("document.querySelector('#scenario-status').innerText.startsWith('No scenario: ')")
        assert "forebay refresh" in tab.page.locator("#scenario-status").inner_text()
        assert tab.page.locator("#chart-scenario svg").count() == 1


# --- alerts and paper -------------------------------------------------------------------------------------------------


def test_a_wrong_token_is_named_and_not_stored(chromium: Browser, lake: Place) -> None:
    with tab_of(chromium, lake) as tab:
        tab.open("/alerts")
        tab.page.get_by_label("Token for changes").fill("wrong")
        tab.page.get_by_role("button", name="Acknowledge spill").click()
        tab.wait_for("document.querySelector('form output').innerText.startsWith('Not acknowledged: ')")
        assert tab.page.evaluate("sessionStorage.length + localStorage.length") == 0
        assert "wrong" not in tab.page.url


def test_an_acknowledged_alert_names_who_did_it(chromium: Browser, changing: Place) -> None:
    raise_alert(changing)
    with open_archive(changing.url) as archive:
        token = archive.access.new_token("operator")
    with tab_of(chromium, changing) as tab:
        tab.open("/alerts")
        tab.page.get_by_label("Token for changes").fill(token)
        tab.page.get_by_role("button", name="Acknowledge spill").click()
        tab.wait_for("document.querySelector('main').innerText.includes('acknowledged by operator')")
        assert tab.page.get_by_role("button").count() == 0
        assert tab.page.evaluate("[...Object.values(sessionStorage)]") == [token]
        assert tab.page.evaluate("localStorage.length") == 0
        assert changing.rows("SELECT count(*) FROM alert_acknowledgement") == [(1,)]
        tab.check()


def test_paper_has_no_controls_and_no_navigation(chromium: Browser, lake: Place) -> None:
    with tab_of(chromium, lake, dark=True) as tab:
        tab.open("/dams/small")
        tab.page.emulate_media(media="print")
        controls = "[...document.querySelectorAll('nav, .spans, .tools')]"
        assert tab.page.evaluate(f"{controls}.every(part => !part.checkVisibility())")
        assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_pages_of_a_dam_without_rain_or_curve_are_whole(chromium: Browser, changing: Place) -> None:
    serve_dam(changing, {"gauges": (changing.site.dams["small"].target_gauge,)})
    with tab_of(chromium, changing, width=390) as tab:
        for path in ("/", "/dams/small", "/dams/small/scenario"):
            tab.open(path)
            assert serious_findings(tab.page) == []
            tab.check()
        assert "no rain gauge" in tab.page.inner_text("main")


def test_pictures_of_the_documentation(chromium: Browser, lake: Place, tmp_path: Path) -> None:
    server = os.environ.get("SERVER", url_of(lake, ""))
    folder, dam = Path(os.environ.get("PICTURES", str(tmp_path))), os.environ.get("DAM", "small")
    with tab_of(chromium, lake) as tab:
        tab.page.set_viewport_size({"width": 1280, "height": 620})
        tab.page.goto(server + "/")
        tab.page.screenshot(path=folder / "overview.png", full_page=True)
        tab.page.set_viewport_size({"width": 1120, "height": 1440})
        tab.page.goto(f"{server}/dams/{dam}")
        tab.wait_for("[...document.querySelectorAll('.chart')].every(place => 'complete' in place.dataset)")
        tab.page.screenshot(path=folder / "dam.png")
        assert tab.page.evaluate("violations") == []
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in ("overview.png", "dam.png"))
