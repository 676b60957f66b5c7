"""The pages of `forebay serve`: their numbers are those of their JSON and of the API, and follow every change."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forebay.archive.store import open_archive
from forebay.charts.formats import TargetFormat, format_percent, format_value
from forebay.charts.outlook_tables import format_probability
from forebay.web import dam_state, page_response, pages
from forebay.web.memory import Memory
from forebay.web.refresher import RefresherStatus
from forebay.web.site import Site
from tests.alert_sinks import decide
from tests.synthetic import small_dam
from tests.web_server import LAKE, LAST, Place, serve_dam, serving

TARGET = TargetFormat(LAKE)
END = datetime.combine(LAST + timedelta(days=1), datetime.min.time(), UTC) - timedelta(hours=10)
"""End of the last day with data."""
PAGES = ("/", "/alerts", "/dams/small", "/dams/small/past", "/dams/small/scenario")


def text_of(markup: str) -> str:
    """Visible text in one line."""
    bare = re.sub(r"<(script|style).*?</\1>", " ", markup, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare))).strip()


def page_of(place: Place, path: str, status: int = 200) -> str:
    answer = place.client.get(url_of(place, path))
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def numbers_of(place: Place, path: str) -> Any:  # Any: a JSON value
    answer = place.client.get(url_of(place, path))
    assert answer.status_code == 200, answer.text
    return answer.json()


def url_of(place: Place, path: str) -> str:
    """Address of a page, which is not below that of the API."""
    return str(place.client.base_url.copy_with(path="/")).rstrip("/") + path


def cells_of(markup: str) -> list[dict[str, str]]:
    """Text of the cells of every table row, by the header of their column."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", markup, re.DOTALL)
    cells = [re.findall(r'<td[^>]* data-label="([^"]*)"[^>]*>(.*?)</td>', row, re.DOTALL) for row in rows]
    return [{html.unescape(header): text_of(cell) for header, cell in row} for row in cells if row]


def section_of(markup: str, name: str) -> str:
    return markup.split(f'<section id="{name}">')[1].split("</section>", maxsplit=1)[0]


def chart_rows(markup: str, name: str) -> list[dict[str, Any]]:  # Any: JSON
    """All rows of the data of a chart."""
    (spec,) = re.findall(rf'<script type="application/json" data-chart="{name}">(.*?)</script>', markup, re.DOTALL)
    rows: list[dict[str, Any]] = []
    for data in json.loads(spec)["datasets"].values():
        rows += data
    return rows


def set_time(monkeypatch: pytest.MonkeyPatch, age: timedelta) -> None:
    """Let the pages be read `age` after the end of the last day with data."""
    monkeypatch.setattr(page_response, "now_utc", lambda: END + age)


@pytest.fixture
def current(served: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The server, read five hours after the end of the last day with data."""
    set_time(monkeypatch, timedelta(hours=5))
    yield served


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_the_overview_has_the_numbers_of_its_json_and_of_the_api(current: Place) -> None:
    (dam,) = numbers_of(current, "/index.json")["dams"]
    (of_api,) = current.get("/dams")["dams"]
    assert {name: dam[name] for name in of_api if name not in ("age_hours", "stale")} == {
        name: value for name, value in of_api.items() if name not in ("age_hours", "stale")
    }
    (row,) = cells_of(page_of(current, "/"))
    last = dam["forecast"][-1]
    (full,) = [chance for chance in dam["reach"] if chance["threshold"] == "full_supply"]
    (weir,) = [chance for chance in dam["reach"] if chance["threshold"] == "Weir"]
    levels = [day["level"] for day in dam["levels"]]
    assert (dam["level_now"], dam["change_1d"]) == (levels[-1], pytest.approx(levels[-1] - levels[-2]))
    assert dam["change_7d"] == pytest.approx(levels[-1] - levels[-8])
    assert row["Level"] == f"{TARGET.quantity(levels[-1])} {LAST}"
    changes = [TARGET.number(dam[name], signed=True) for name in ("change_1d", "change_7d")]
    assert row["Change in 1 day"] == f"{changes[0]} {changes[1]} in 7 days"
    interval = TARGET.interval(last["q05"], last["q95"])
    assert row["Forecast median (90% interval)"] == f"{TARGET.quantity(last['q50'])} {interval} {last['valid_date']}"
    assert format_probability(full["probability"]) in row["Reaches full supply"]
    verb = {"below": "falls to", "above": "rises to"}[weir["direction"]]
    assert row["Reaches a threshold"] == f"{verb} Weir: {format_probability(weir['probability'])}"
    assert (row["Age of the level"], dam["age_hours"], row["Alerts"]) == ("5.0 hours", 5.0, "none")
    assert (dam["level_age_hours"], dam["suspect_date"]) == (5.0, None)


def test_a_chance_is_that_of_the_side_where_the_level_is_not(current: Place) -> None:
    (dam,) = numbers_of(current, "/index.json")["dams"]
    for chance in dam["reach"]:
        is_above = dam["start_level"] >= chance["threshold_level"]
        assert chance["direction"] == ("below" if is_above else "above")
    assert {chance["threshold"] for chance in dam["reach"]} == {"full_supply", "Weir"}


def test_the_page_of_a_dam_has_the_numbers_of_its_json_and_of_the_api(current: Place) -> None:
    page, numbers = page_of(current, "/dams/small"), numbers_of(current, "/dams/small.json")
    for row in current.get("/dams/small/forecast")["forecast"]:
        (day,) = [each for each in numbers["quantiles"] if each["lead_time"] == row["lead_time"]]
        assert day[f"q{round(100 * row['quantile']):02d}"] == row["level"]
    rows = [row for row in cells_of(section_of(page, "forecast")) if "90% interval" in row]
    assert len(rows) == len(numbers["quantiles"]) == 2
    for row, day in zip(rows, numbers["quantiles"], strict=True):
        assert row["Median"] == TARGET.number(day["q50"])
        assert row["90% interval"] == TARGET.interval(day["q05"], day["q95"])
        assert row["Change of the median"] == TARGET.number(day["q50"] - numbers["start_level"], signed=True)
    head = text_of(page.split('<div class="head">')[1].split("<nav")[0])
    assert f"Level now {TARGET.quantity(numbers['reading']['value'])}" in head
    for chance in numbers["reach"]:
        assert format_probability(chance["probability"]) in head
    for row in numbers["coverage"]:
        assert f"{format_percent(row['whole'])} n = {row['whole_n']}" in head
    for gauge in numbers["gauge_ages"]:
        assert gauge["last_date"] == str(LAST) and gauge["gauge"] in head
    scores = current.get("/dams/small/scores")
    assert numbers["last_365_days"] == scores["last_365_days"]
    mae = [row["mae"] for row in scores["last_365_days"]]
    assert [row["MAE"] for row in cells_of(section_of(page, "scores")) if "From" in row] == [
        TARGET.error(value) for value in mae
    ]
    by_regime = [row for row in cells_of(section_of(page, "scores").split("By kind of day")[1]) if "MAE, top 5%" in row]
    expected = [(row["lead_time"], row["n"], TARGET.error(row["mae"])) for row in numbers["scores_by_regime"]]
    assert [(int(row["Lead time, days"]), int(row["Days"]), row["MAE"]) for row in by_regime] == expected
    assert {row["regime"] for row in numbers["scores_by_regime"]} >= {"wet", "dry", "near_full"}
    shares = [row for row in cells_of(section_of(page, "reliability")) if row["Kind of day"] == "all days"]
    of_median = [row for row in numbers["reliability"] if (row["regime"], row["quantile"]) == ("all", 0.5)]
    assert [row["50%"] for row in shares] == [format_percent(row["observed"]) for row in of_median]
    assert "How good were earlier probabilities?" in text_of(section_of(page, "outlook"))
    sums = [sum(row["contribution"] for row in numbers["explanation"] if row["lead_time"] == lead) for lead in (1, 3)]
    for total in sums:
        assert TARGET.quantity(total, signed=True) in text_of(section_of(page, "explanation"))


def test_the_verdict_on_the_interval_counts_days_like_today(current: Place) -> None:
    numbers = numbers_of(current, "/dams/small.json")
    near = [row for row in numbers["scores_by_regime"] if row["regime"] == "near_full"]
    head = text_of(page_of(current, "/dams/small").split('<div class="head">')[1].split("<nav")[0])
    assert len(near) == 2
    for row in near:
        assert f"{format_percent(row['coverage_90'])} n = {row['n']}" in head


def test_the_charts_of_a_dam_have_the_numbers_of_its_json(current: Place) -> None:
    page, numbers = page_of(current, "/dams/small"), numbers_of(current, "/dams/small.json")
    rows = chart_rows(page, "chart-forecast")
    fan = {row["date"][:10]: row for row in rows if "q50" in row and row["lead_time"] > 0}
    assert len(fan) == 2
    for day in numbers["quantiles"]:
        drawing = fan[day["valid_date"]]
        assert [drawing[f"q{q}"] for q in ("05", "50", "95")] == pytest.approx(
            [day[f"q{q}"] for q in ("05", "50", "95")], abs=6e-5
        )
    levels = {row["date"][:10]: row["level"] for row in rows if set(row) == {"date", "level", "age"}}
    for day in numbers["levels"]:
        assert levels[day["date"]] == pytest.approx(day["level"], abs=6e-5)
    rain = {row["date"][:10]: row["value"] for row in chart_rows(page, "chart-recent_inputs-0")}
    assert len(rain) == 60
    stored = {day["date"]: day["rainfall_r1"] for day in current.get("/dams/small/daily", limit=60)["days"]}
    assert rain == pytest.approx(stored, rel=1e-5)
    assert {row["date"]: row["rainfall_r1"] for row in numbers["inputs"]} == stored


def test_a_past_forecast_is_shown_over_what_was_observed(current: Place) -> None:
    before = LAST - timedelta(days=1)
    numbers = numbers_of(current, f"/dams/small/past.json?init_date={before}")
    recorded = current.get(f"/dams/small/forecasts/{before}")["forecast"]
    median = {row["lead_time"]: row["level"] for row in recorded if row["quantile"] == 0.5}
    assert {row["lead_time"]: row["q50"] for row in numbers["rows"]} == median
    first, third = numbers["rows"]
    newest = current.get("/dams/small/observations", limit=1000)["observations"][-1]["value"]
    assert first["valid_date"] == str(LAST) and first["observed"] == pytest.approx(newest)
    is_inside = first["q05"] <= newest <= first["q95"]
    assert first["verdict"].startswith("inside") == is_inside
    assert (third["observed"], third["verdict"]) == (None, "not observed")
    page = page_of(current, f"/dams/small/past?init_date={before}")
    (row, _) = [row for row in cells_of(page) if "Observed afterwards" in row]
    assert row["Observed afterwards"].startswith(TARGET.number(newest))
    assert numbers["issued"] == [str(LAST), str(before)]
    assert text_of(page_of(current, "/dams/small/past")).count(f"forecast from {LAST}") >= 1
    table = [row for row in cells_of(section_of(page_of(current, "/dams/small"), "past"))]
    assert [(row["Issued from"], row["Lead time, days"]) for row in table] == [
        (str(day), lead) for day in (LAST, before) for lead in ("1", "3")
    ]
    assert table[2]["Observed"].startswith(TARGET.number(newest))


def test_one_changed_row_is_followed_by_every_page(current: Place) -> None:
    before = {path: page_of(current, path) for path in ("/", "/dams/small", "/dams/small/past")}
    level = round(numbers_of(current, "/index.json")["dams"][0]["level_now"] + 0.0125, 3)
    current.revise(level)
    assert current.site.update()
    changed = TARGET.number(level)
    assert all(changed not in text for text in before.values())
    assert cells_of(page_of(current, "/"))[0]["Level"].startswith(changed)
    page = page_of(current, "/dams/small")
    assert f"Level now {TARGET.quantity(level)}" in text_of(page)
    assert level in [row.get("level") for row in chart_rows(page, "chart-forecast")]
    assert [row["Observed"] for row in cells_of(section_of(page, "past"))][2].startswith(changed)
    past = page_of(current, f"/dams/small/past?init_date={LAST - timedelta(days=1)}")
    assert changed in text_of(past)
    assert numbers_of(current, "/index.json")["dams"][0]["level_now"] == level
    assert numbers_of(current, "/dams/small.json")["reading"]["value"] == level
    assert current.get("/dams")["dams"][0]["levels"][-1]["level"] == level


def test_the_forecast_of_a_page_is_that_of_its_record_after_a_revision(current: Place) -> None:
    numbers = numbers_of(current, "/dams/small.json")
    current.revise(0.8125)
    current.site.update()
    again = numbers_of(current, "/dams/small.json")
    assert (again["quantiles"], again["start_level"]) == (numbers["quantiles"], numbers["start_level"])


def test_the_overview_leaves_out_a_suspect_level(current: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before = numbers_of(current, "/index.json")["dams"][0]
    current.revise(before["level_now"] + 40.0)
    assert current.site.update()
    dam = numbers_of(current, "/index.json")["dams"][0]
    assert (dam["suspect_date"], dam["suspect_reason"]) == (str(LAST), "jump")
    assert (dam["level_now"], dam["level_now_date"]) == (before["levels"][-2]["level"], before["levels"][-2]["date"])
    assert dam["change_1d"] == pytest.approx(before["levels"][-2]["level"] - before["levels"][-3]["level"])
    assert dam["levels"][-1] == {"date": str(LAST), "level": before["level_now"] + 40.0, "suspect": "jump"}
    (row,) = cells_of(page_of(current, "/"))
    assert row["Level"].endswith(f"{LAST - timedelta(days=1)} suspect on {LAST}: jump")
    assert row["Age of the level"] == f"29.0 hours forecast from {LAST}"


def test_levels_that_a_refresh_has_screened_are_not_screened_again(
    served: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = json.loads((served.folder / "runs" / "small" / "forecast.json").read_text())
    stored = [(row["date"], row["level"]) for row in result["newest_levels"]]
    levels = served.site.snapshot.dams["small"].levels.tail(len(stored))
    assert stored == [(str(day), level) for day, level in levels.iter_rows()] and len(stored) == 30
    result["newest_levels"][-3]["suspect"] = "spike"
    monkeypatch.setattr(dam_state, "screen_daily", lambda *_: pytest.fail("a state is read within milliseconds"))
    (served.folder / "runs" / "small" / "forecast.json").write_text(json.dumps(result))
    assert served.site.update()
    levels = numbers_of(served, "/index.json")["dams"][0]["levels"]
    assert [row["suspect"] for row in levels[-4:]] == [None, "spike", None, None]


# --- age --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "is_stale"), [(0.2, False), (3.99, False), (4.0, True), (400.0, True)])
def test_a_stale_forecast_is_never_called_current(
    served: Place, monkeypatch: pytest.MonkeyPatch, days: float, is_stale: bool
) -> None:
    set_time(monkeypatch, timedelta(days=days))
    assert numbers_of(served, "/index.json")["dams"][0]["stale"] == is_stale
    (row,) = cells_of(page_of(served, "/"))
    assert (row["Forecast median (90% interval)"] == "no current forecast") == is_stale
    assert (row["Reaches full supply"] == "–") == is_stale
    assert row["Age of the level"].endswith("stale") == is_stale
    page = page_of(served, "/dams/small")
    text = text_of(page)
    assert ("STALE: there is no current forecast." in text) == is_stale
    assert ("Level now" in text) == (not is_stale)
    assert ("stale forecast" in page.split("</title>")[0]) == is_stale
    assert ("as of " + str(LAST) in text) == is_stale
    assert f'data-stale-at="{(END + timedelta(days=4)).isoformat()}"' in page
    assert ('class="median"' in page_of(served, "/")) == (not is_stale), "no picture of a stale forecast"
    assert ("STALE" in text_of(page_of(served, "/dams/small/scenario"))) == is_stale


def test_ages_grow_without_a_new_forecast(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    for hours in (1, 30, 72):
        set_time(monkeypatch, timedelta(hours=hours))
        texts.append(text_of(page_of(served, "/dams/small")))
    assert "that it starts from is 1.0 hours old" in texts[0]
    assert "that it starts from is 30.0 hours old" in texts[1]
    assert "2 of 2 gauges" in texts[2] and "3 days old" in texts[2]


def test_pages_say_what_the_refresher_does(current: Place) -> None:
    def texts(**fields: Any) -> list[str | None]:  # Any: of a dataclass
        current.app.state.refresher = SimpleNamespace(status=RefresherStatus(**fields))
        answers = [numbers_of(current, path)["refresh"] for path in ("/index.json", "/dams/small.json")]
        for path, sentence in zip(("/", "/dams/small"), answers, strict=True):
            text = text_of(page_of(current, path))
            assert sentence in text if sentence else "refresh failed" not in text and "being computed" not in text
        return answers

    assert texts(state="waiting") == [None, None]
    computing = ["New forecasts are being computed: Small Dam.", "A new forecast is being computed."]
    assert texts(state="refreshing", dams=("small",)) == computing
    assert texts(state="refreshing", dams=("a", "b", "c", "d", "e", "f", "g")) == [
        "New forecasts are being computed: a, b, c, d, e and 2 more.", None
    ]  # fmt: skip
    failed = "The last refresh failed for Small Dam: no route to host"
    assert texts(state="waiting", failed=("small",), sentence="no route to host") == [failed, failed]
    assert texts(state="waiting", failed=("other",), sentence="no route to host")[1] is None
    ended = "The refresher is restarted: it ended with status -9."
    assert texts(state="restarting", sentence=ended) == [ended, None]


# --- what a browser may load ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_nothing_inline_and_names_no_other_host(current: Place, path: str) -> None:
    answer = current.client.get(url_of(current, path))
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy and "http" not in policy and "frame-ancestors 'none'" in policy
    scripts = re.findall(r"<script([^>]*)>", answer.text)
    assert all('type="application/json"' in script or 'src="/static/' in script for script in scripts)
    assert not re.search(r'<style|\sstyle="|\son[a-z]+="|javascript:', answer.text)
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', answer.text)
    assert addresses and all(re.match(r"/(?!/)|#", address) for address in addresses), addresses
    for address in sorted({address for address in addresses if address.startswith("/static/")}):
        loaded = current.client.get(url_of(current, address))
        assert loaded.status_code == 200 and "immutable" in loaded.headers["cache-control"], address
    assert current.client.get(url_of(current, "/static/x/../api.py")).status_code == 404


def test_every_page_has_its_numbers_as_json(current: Place) -> None:
    for path in PAGES:
        address = re.search(r'href="([^"]*\.json[^"]*)"', page_of(current, path))
        assert address is not None
        assert address[1].startswith("/index" if path == "/" else path)
        assert numbers_of(current, html.unescape(address[1]))


def test_an_unchanged_page_is_not_sent_again(current: Place) -> None:
    for path in (*PAGES, "/index.json", "/dams/small.json", "/dams/small/past.json"):
        first = current.client.get(url_of(current, path))
        again = current.client.get(url_of(current, path), headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), path


def test_errors_of_pages_are_pages(current: Place) -> None:
    for path, sentence in (
        ("/dams/other", "The dam 'other' is not shown here; the dams are small."),
        ("/dams/other/scenario", "The dam 'other' is not shown here;"),
        ("/dams/small/past?init_date=1990-01-01", "There is no issued forecast from 1990-01-01; choose another day."),
    ):
        assert sentence in text_of(page_of(current, path, 404))
    assert "There is no such address;" in text_of(page_of(current, "/dams", 404))
    text = text_of(page_of(current, "/dams/Small", 422))
    assert "dam = 'Small':" in text and "Wrong request" in text and "Unprocessable" not in text
    page = page_of(current, "/dams/small/past?init_date=x", 422)
    assert "init_date = 'x': it must be a day such as 2026-11-28." in text_of(page)
    policy = current.client.get(url_of(current, "/nowhere")).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    answer = current.client.get(url_of(current, "/dams/other.json"))
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


# --- what is missing --------------------------------------------------------------------------------------------------


def test_an_empty_archive_has_pages(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    open_archive(url).close()
    with serving({"small": LAKE}, url, tmp_path) as (client, site, app):
        place = Place(tmp_path, client, site, app)
        (row,) = cells_of(page_of(place, "/"))
        assert (row["Level"], row["Forecast median (90% interval)"]) == ("none", "no current forecast")
        assert row["Age of the level"] == "unknown no forecast"
        text = text_of(page_of(place, "/dams/small"))
        assert "There is no issued forecast of Small Dam yet; `forebay refresh` issues one." in text
        assert "The archive has no level of this dam." in text
        assert "no past forecast" in text_of(page_of(place, "/dams/small/past"))
        assert "Scenarios need a forecast." in text_of(page_of(place, "/dams/small/scenario"))
        assert "No alert has been decided yet." in text_of(page_of(place, "/alerts"))
        assert numbers_of(place, "/dams/small.json")["quantiles"] == []


def test_a_server_without_dams_has_an_overview(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    open_archive(url).close()
    with serving({}, url, tmp_path) as (client, site, app):
        assert "This server has no dam." in text_of(page_of(Place(tmp_path, client, site, app), "/"))


def test_a_changed_record_and_missing_scores_are_named(current: Place) -> None:
    (current.folder / "runs" / "small" / "forecast.json").unlink()
    assert current.site.update()
    text = text_of(page_of(current, "/dams/small"))
    assert "Scores and explanation are missing: the folder of the results has none;" in text
    assert "There is no hindcast with intervals to compare with." in text
    current.execute("UPDATE forecast_record SET payload = replace(payload, 'Weir', 'Wall') WHERE sequence = 2")
    serve_dam(current, {})
    page = text_of(page_of(current, "/dams/small"))
    assert "The newest forecast is not shown:" in page and "no forecast" in page
    assert TARGET.number(numbers_of(current, "/index.json")["dams"][0]["level_now"]) in page


def test_names_of_dam_files_are_text(current: Place) -> None:
    hostile = "</script><img src=x onerror=alert(1)> & \"'"
    serve_dam(current, {"name": hostile, "licence": hostile, "notes": hostile})
    for path in PAGES:
        page = page_of(current, path)
        assert "<img" not in page and (path == "/alerts" or html.escape(hostile, quote=False)[:20] in page), path


def test_a_dam_without_rain_or_curve_states_it(current: Place) -> None:
    assert "Storage and % are unknown: the dam file has no storage curve." in text_of(page_of(current, "/dams/small"))
    serve_dam(current, {"gauges": (current.site.dams["small"].target_gauge,)})
    text = text_of(page_of(current, "/dams/small"))
    assert "The dam file has no gauge besides that of the level. The forecast uses past levels only." in text
    assert "The dam file has no rain gauge" in text_of(page_of(current, "/dams/small/scenario"))


def test_a_dam_with_a_curve_has_storage_and_airspace(current: Place) -> None:
    curve = {"level_unit": "m", "storage_unit": "ML", "points": [(-10.0, 0.0), (10.0, 2000.0)]}
    serve_dam(current, {"storage_curves": small_dam(storage_curves=[curve]).storage_curves})
    numbers = numbers_of(current, "/dams/small.json")
    assert numbers["has_storage_curve"]
    start = 1000.0 + 100.0 * numbers["start_level"]
    assert numbers["storage"][0]["storage_q50"] == pytest.approx(start)
    assert numbers["storage"][0]["airspace_q50"] == pytest.approx(1100.0 - start)
    text = text_of(page_of(current, "/dams/small"))
    assert f"Airspace below full supply: {format_value(1100.0 - start)} ML" in text
    assert f"{100 * start / 1100:.1f}% full" in text


def test_a_dead_gauge_of_the_level_is_late_and_the_forecast_starts_from_its_last_day(current: Place) -> None:
    current.execute(
        "DELETE FROM observation WHERE series = 1 AND time > (SELECT max(time) FROM observation) - 30 * 86400000000"
    )
    serve_dam(current, {})
    ages = {gauge["gauge"]: gauge for gauge in numbers_of(current, "/dams/small.json")["gauge_ages"]}
    late = [gauge for gauge in ages.values() if gauge["is_late"]]
    assert len(late) == 1 and late[0]["age_days"] >= 29
    text = text_of(page_of(current, "/dams/small"))
    assert f"1 of 2 gauges {late[0]['gauge']}: {late[0]['age_days']} days old" in text
    assert cells_of(page_of(current, "/"))[0]["Level"].endswith(late[0]["last_date"])


# --- alerts -----------------------------------------------------------------------------------------------------------


def raise_alert(place: Place) -> None:
    place.execute(
        "INSERT INTO alert_decision (dam, rule, number, state, since, unknown_since, decided_at, record, sequence, "
        "init_date, probability, age_days, streak, change, is_change, severity, title, text, rule_content, time_zone) "
        "VALUES ('small', 'spill', 1, 'raised', 10, NULL, 10, 'small-2', 2, '2020-01-01', 0.4, 0, 1, 1, 1, 'Severe', "
        "'Small Dam: raised', 'The probability is 40%.', '{}', '+10:00')"
    )
    assert place.site.update()


def test_alerts_are_on_every_page(current: Place) -> None:
    assert cells_of(page_of(current, "/"))[0]["Alerts"] == "none"
    raise_alert(current)
    (row,) = cells_of(page_of(current, "/"))
    assert row["Alerts"] == "spill"
    assert "Raised: spill" in text_of(page_of(current, "/dams/small"))
    page = page_of(current, "/alerts")
    state, change = cells_of(page)
    assert (state["Rule"], state["State"], state["Probability"]) == ("spill", "raised", "40%")
    assert change["Message"] == "Small Dam: raised. The probability is 40%."
    assert 'data-url="/api/v1/dams/small/alerts/spill/acknowledge"' in page
    (dam,) = numbers_of(current, "/alerts.json")["dams"]
    answer = current.get("/dams/small/alerts")
    assert (dam["states"], dam["changes"]) == (answer["states"], answer["changes"])


def test_the_changes_of_alerts_are_the_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_CHANGES", 2)
    url = f"sqlite:///{tmp_path}/a.db"
    with open_archive(url) as archive, closing(Site({"small": LAKE}, archive, tmp_path)) as site:
        decide(archive.alerts, [0.9, 0.1, 0.9], dam="small")
        assert site.update()
        (dam,) = pages.alerts_page(site.snapshot, archive, datetime.now(UTC)).dams
        assert [(change.change, change.state) for change in dam.changes] == [(3, "raised"), (2, "clear")]
        assert [state.state for state in dam.states] == ["raised"]


# --- memory -----------------------------------------------------------------------------------------------------------


def test_a_memory_computes_a_value_once_for_each_key() -> None:
    memory, calls = Memory[int](), []

    def compute() -> int:
        calls.append(1)
        return len(calls)

    first, second = object(), object()
    assert [memory.get("a", (first, 1), compute) for _ in range(3)] == [1, 1, 1]
    assert memory.get("a", (first, 2), compute) == 2
    assert memory.get("a", (second, 2), compute) == 3
    assert memory.get("b", (second, 2), compute) == 4
    assert memory.get("a", (second, 2), compute) == 3


def test_a_memory_has_the_last_values_that_were_asked_for() -> None:
    memory, calls = Memory[str](2), list[str]()

    def value(name: str) -> str:
        return memory.get(name, (), lambda: calls.append(name) or name)  # type: ignore[func-returns-value]

    assert [value(name) for name in "abaca"] == list("abaca")
    assert (calls, len(memory)) == (["a", "b", "c"], 2)
    assert [value("b"), len(calls)] == ["b", 4]
