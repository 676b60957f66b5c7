"""Rules of the server that only show with several dams, records or alerts, in headers, or in small pictures."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from forebay.web import assets, limits
from forebay.web.answers import DamSummary, Interval, Level
from forebay.web.page_content import _rounded_up, scenario_page
from forebay.web.site import Snapshot
from forebay.web.sparkline import HEIGHT, MARGIN, WIDTH, sparkline
from tests.test_web_pages import END
from tests.web_server import LAKE, Place

# --- pages of rows ----------------------------------------------------------------------------------------------------


def pages(place: Place, path: str, rows: str, name: str, by: str) -> list[list[Any]]:  # Any: JSON
    """The value `name` of the rows of each page of one row; the parameter `by` has what the page before says."""
    values: list[list[Any]] = []
    following: dict[str, object] = {}
    for _ in range(9):
        page = place.get(path, limit=1, **following)
        values.append([row[name] for row in page[rows]])
        if page["next"] is None:
            return values
        following = {by: page["next"]}
    raise AssertionError("the pages do not end")


def test_pages_of_dams_together_are_all(served: Place) -> None:
    (state,) = served.site.snapshot.dams.values()
    states = {}
    for name in ("c", "a", "b"):
        states[name] = replace(state, dam=state.dam.model_copy(update={"id": name}), cache={})
    served.site._snapshot = Snapshot(9, states)
    assert pages(served, "/dams", "dams", "dam", by="after") == [["a"], ["b"], ["c"]]
    assert [dam["dam"] for dam in served.get("/dams", limit=3)["dams"]] == ["a", "b", "c"]
    assert served.get("/dams", limit=3)["next"] is None


def test_pages_of_records_together_are_all(served: Place) -> None:
    assert pages(served, "/dams/small/records", "records", "sequence", by="after") == [[1], [2]]


def test_pages_of_alerts_together_are_all(served: Place) -> None:
    for number, instant in enumerate((10, 20, 30), 1):
        served.execute(
            "INSERT INTO alert_decision (dam, rule, number, state, since, unknown_since, decided_at, record, sequence, "
            "init_date, probability, age_days, streak, change, is_change, severity, title, text, rule_content, "
            "time_zone) VALUES ('small', 'spill', ?, 'raised', 10, NULL, ?, ?, 2, '2020-01-01', 0.4, 0, 1, ?, 1, "
            "'Severe', 'title', 'text', '{}', '+10:00')", number, instant, f"small-{number}", number
        )  # fmt: skip
    assert pages(served, "/dams/small/alerts", "changes", "change", by="before") == [[3], [2], [1]]


# --- headers ----------------------------------------------------------------------------------------------------------


def test_no_answer_is_used_again_without_a_question(served: Place) -> None:
    """A store of the browser or of a proxy must not call an old forecast current."""
    base = served.client.base_url
    for path in ("/dams", "/dams/small/forecast", "/dams/small/daily", base.copy_with(path="/")):
        assert served.client.get(path).headers["cache-control"] == "no-cache", path
    answer = served.client.post("/dams/small/scenario", json={"rain": [1]})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert served.client.get(base.copy_with(path="/metrics")).headers["cache-control"] == "no-store"


def test_a_file_with_another_content_has_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assets.asset.cache_clear()
    before = assets.asset_url("live.js")
    assert before == assets.asset_url("live.js") and before.endswith("/live.js")
    monkeypatch.setitem(assets._FILES, "live.js", (lambda: b"changed", "text/javascript"))
    assets.asset.cache_clear()
    try:
        assert assets.asset_url("live.js") != before
    finally:
        assets.asset.cache_clear()


def test_refusals_have_the_headers_of_every_answer(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_REQUESTS_AT_ONCE", 0)
    shed = served.client.get("/health")
    refused = served.client.get("/health", headers={"host": "evil.example"})
    assert (shed.status_code, refused.status_code) == (503, 400)
    for answer in (shed, refused):
        assert limits.SECURITY_HEADERS.items() <= {
            name: answer.headers.get(name) for name in limits.SECURITY_HEADERS
        }.items()


# --- pictures and sliders ---------------------------------------------------------------------------------------------

DAY = date(2020, 5, 10)


def summary(**changes: Any) -> DamSummary:  # Any: of the fields
    """Four days of levels, one of them missing and one suspect, and a forecast of two days."""
    levels = [1.0, None, 3.0, 2.0, 90.0]
    fields: dict[str, Any] = {
        "dam": "a", "name": "A", "simulated": True, "time_zone": "+10:00", "unit": "m", "licence": None,
        "attributions": [], "init_date": DAY, "issue_time": END, "level_date": DAY, "start_level": 2.0,
        "age_hours": 5.0, "stale": False, "variable": "reservoir_level", "record": "a-1", "chances": [],
        "alerts": [], "notes": [],
        "levels": [
            Level(date=DAY + timedelta(days=k - 3), level=level, suspect="spike" if level == 90 else None)
            for k, level in enumerate(levels)
        ],
        "forecast": [
            Interval(lead_time=k, valid_date=DAY + timedelta(days=k), q05=2.0 - k, q10=None, q50=2.0, q90=None,
                     q95=2.0 + k / 2)
            for k in (1, 2)
        ],
    }  # fmt: skip
    return DamSummary(**fields | changes)


def points(text: str) -> list[tuple[float, float]]:
    """Day from the first one, and level, of each point."""
    values = [tuple(map(float, pair.split(","))) for pair in text.split()]
    days, low, high = 5, 0.0, 3.0
    width, height = (WIDTH - 2 * MARGIN) / days, (HEIGHT - 2 * MARGIN) / (high - low)
    return [(round((x - MARGIN) / width), round(high - (y - MARGIN) / height, 1)) for x, y in values]


def test_a_picture_has_the_levels_the_median_and_the_interval() -> None:
    spark = sparkline(summary())
    assert spark is not None
    assert [points(run) for run in spark.observed] == [[(0, 1.0)], [(2, 3.0), (3, 2.0)]], "gaps, and no suspect level"
    assert points(spark.median) == [(3, 2.0), (4, 2.0), (5, 2.0)]
    assert points(spark.band) == [(3, 2.0), (4, 2.5), (5, 3.0), (5, 0.0), (4, 1.0), (3, 2.0)]
    stale = sparkline(summary(stale=True))
    assert stale is not None and (stale.median, stale.band) == ("", "")
    assert sparkline(summary(levels=[], forecast=[])) is None


def test_sliders_end_at_round_values_above_the_record(served: Place) -> None:
    for values, end in (([0.3, 41.0], 50.0), ([0.02], 0.02), ([1200.0], 2000.0), ([0.0], 1.0), ([], 1.0)):
        assert _rounded_up(pl.Series(values, dtype=pl.Float64)) == pytest.approx(end), values
    state = served.site.snapshot.dams["small"]
    for unit, largest, step in (("mm", 200.0, 1.0), ("in", 8.0, 0.1), ("cm", 20.0, 0.1)):
        gauges = tuple(
            gauge.model_copy(update={"unit": unit}) if gauge.role == "rainfall" else gauge for gauge in LAKE.gauges
        )
        page = scenario_page(replace(state, dam=LAKE.model_copy(update={"gauges": gauges})), None, END)
        assert (page.rain_unit, page.rain_max, page.rain_step) == (unit, largest, step)


def test_the_overview_is_in_the_order_of_names(served: Place) -> None:
    (state,) = served.site.snapshot.dams.values()
    names = {"a": "Zeta", "b": "alpha", "c": "Beta"}
    served.site._snapshot = Snapshot(8, {
        key: replace(state, dam=state.dam.model_copy(update={"id": key, "name": name}), cache={})
        for key, name in names.items()
    })  # fmt: skip
    base = served.client.base_url
    rows = served.client.get(base.copy_with(path="/index.json")).json()["dams"]
    assert [row["name"] for row in rows] == ["alpha", "Beta", "Zeta"]
