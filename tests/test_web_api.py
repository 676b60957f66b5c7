"""The JSON API on a real server: its answers are those of the archive, and follow every change."""

from __future__ import annotations

import csv
import io
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import httpx2 as httpx
import polars as pl
import pytest

import forebay
from forebay.archive.store import open_archive
from forebay.forecasts.record import canonical
from forebay.web import api, content, limits
from forebay.web.dam_state import RESULT_FILE
from forebay.web.site import Site
from tests.synthetic import FIRST_DAY
from tests.web_server import DAYS, LAKE, LAST, Place, serve_dam, serving

SCORE_KEYS = ("model", "window", "regime", "lead_time", "metric")

# --- the answers ------------------------------------------------------------------------------------------------------


def payload_of(served: Place, sequence: int) -> dict[str, Any]:
    """Content of a record, straight from the database."""
    ((payload,),) = served.rows(f"SELECT payload FROM forecast_record WHERE sequence = {sequence}")
    content: dict[str, Any] = json.loads(payload)
    return content


def test_the_newest_forecast_is_that_of_the_record(served: Place) -> None:
    recorded = payload_of(served, 2)
    answer = served.get("/dams/small/forecast", model="all")
    table = recorded["forecast"]
    expected = list(zip(*(table[name] for name in ("model", "lead_time", "quantile", "level")), strict=True))
    rows = [(row["model"], row["lead_time"], row["quantile"], row["level"]) for row in answer["forecast"]]
    assert rows == expected and len(rows) > 14
    assert (answer["record"], answer["init_date"]) == ("small-2", str(LAST))
    assert [row["probability"] for row in answer["probabilities"]] == recorded["probabilities"]["probability"]
    assert {row["model"] for row in served.get("/dams/small/forecast")["forecast"]} == {"default"}
    ((digest,),) = served.rows("SELECT hash FROM forecast_record WHERE sequence = 2")
    assert answer["hash"] == digest
    result = json.loads((served.folder / "runs" / "small" / RESULT_FILE).read_text())
    assert answer["explanation"] == result["explanation"]
    names = ("model", "lead_time", "quantile", "level")
    default = [tuple(row[name] for name in names) for row in result["forecast"] if row["model"] == "default"]
    assert [row for row in rows if row[0] == "default"] == default


def test_the_overview_agrees_with_the_forecast_and_the_readings(served: Place) -> None:
    (dam,) = served.get("/dams")["dams"]
    table = payload_of(served, 2)["forecast"]
    level_of = {
        (lead, quantile): level
        for model, lead, quantile, level in zip(
            *(table[name] for name in ("model", "lead_time", "quantile", "level")), strict=True
        )
        if model == "default"
    }
    assert [(row["lead_time"], row["valid_date"]) for row in dam["forecast"]] == [
        (1, str(LAST + timedelta(days=1))), (3, str(LAST + timedelta(days=3)))
    ]  # fmt: skip
    for row in dam["forecast"]:
        for name, quantile in (("q05", 0.05), ("q10", 0.1), ("q50", 0.5), ("q90", 0.9), ("q95", 0.95)):
            assert row[name] == level_of[row["lead_time"], quantile]
    readings = served.rows(
        "SELECT value FROM observation JOIN series ON series = id WHERE variable = 'reservoir_level' ORDER BY time DESC"
    )
    assert [row["level"] for row in dam["levels"]] == [value for (value,) in readings[:14]][::-1]
    assert dam["levels"][-1]["date"] == str(LAST) and dam["start_level"] == pytest.approx(readings[0][0], abs=1e-9)
    chances = {(row["threshold"], row["direction"]): row["probability"] for row in dam["chances"]}
    assert set(chances) >= {("full_supply", "above"), ("Weir", "above"), ("Weir", "below")}
    assert all(row["kind"] == "by" and row["lead_time"] == 3 for row in dam["chances"])
    assert dam["notes"] == []


@pytest.mark.parametrize(
    "path",
    ["", "/forecast", "/forecasts", "/probabilities", "/scores", "/observations", "/daily", "/records",
     "/records/verify", "/alerts"],
)
def test_every_answer_has_unit_licence_and_attribution(served: Place, path: str) -> None:
    answer = served.get(f"/dams/small{path}")
    expected = {"dam": "small", "name": "Small Dam", "simulated": True, "time_zone": "+10:00", "unit": "m",
                "licence": "CC BY 4.0", "attributions": []}  # fmt: skip
    assert {name: answer[name] for name in expected} == expected


def test_times_have_a_zone(served: Place) -> None:
    for row in served.get("/dams/small/observations")["observations"]:
        assert datetime.fromisoformat(row["time"]).utcoffset() == timedelta(0)
    assert datetime.fromisoformat(served.get("/health")["time"]).tzinfo is not None


def test_past_forecasts_are_those_that_were_issued(served: Place) -> None:
    listed = served.get("/dams/small/forecasts")["records"]
    assert [row["init_date"] for row in listed] == [str(LAST), str(LAST - timedelta(days=1))]
    past = served.get(f"/dams/small/forecasts/{LAST - timedelta(days=1)}", model="all")
    assert [row["level"] for row in past["forecast"]] == payload_of(served, 1)["forecast"]["level"]
    assert past["explanation"] is None, "only the results of the newest forecast are stored"
    assert served.get("/dams/small/records/1", model="all")["forecast"] == past["forecast"]
    first = served.get("/dams/small/forecasts", limit=1)
    assert [row["init_date"] for row in first["records"]] == [str(LAST)]
    rest = served.get("/dams/small/forecasts", limit=1, before=first["next"])
    assert ([row["init_date"] for row in rest["records"]], rest["next"]) == ([str(LAST - timedelta(days=1))], None)


def test_alerts_are_those_of_the_archive(served: Place) -> None:
    assert served.get("/dams")["dams"][0]["alerts"] == []
    served.execute(
        "INSERT INTO alert_decision (dam, rule, number, state, since, unknown_since, decided_at, record, sequence, "
        "init_date, probability, age_days, streak, change, is_change, severity, title, text, rule_content, time_zone) "
        "VALUES ('small', 'spill', 1, 'raised', 10, NULL, 10, 'small-2', 2, '2020-01-01', 0.4, 0, 1, 1, 1, 'Severe', "
        "'Small Dam: raised', 'The probability is 40%.', '{}', '+10:00')"
    )
    assert served.site.update(), "a decision alone is followed"
    assert served.get("/dams")["dams"][0]["alerts"] == ["spill"]
    answer = served.get("/dams/small/alerts")
    (state,), (change,) = answer["states"], answer["changes"]
    assert (state["state"], state["since"], state["probability"]) == ("raised", "1970-01-01T00:00:00.000010Z", 0.4)
    assert (change["title"], change["text"], answer["next"]) == ("Small Dam: raised", "The probability is 40%.", None)
    assert "sink" not in str(answer)
    assert served.get("/dams/small/alerts", before="1970-01-01T00:00:00.000010Z")["changes"] == []
    served.get("/dams/small/alerts", 422, before="1970-01-01T00:00:00")


def test_scores_are_those_of_the_refresh(served: Place, site_template: Path) -> None:
    answer = served.get("/dams/small/scores")
    result = json.loads((served.folder / "runs" / "small" / RESULT_FILE).read_text())
    assert answer["hindcast"] == result["scores"] and answer["hindcast"]
    assert answer["last_365_days"] == result["last_365_days"]
    assert answer["record"] == "small-2"
    expected = forebay.forecast(site_template / "small.toml", archive=served.url, update=False)
    scores = {tuple(row): value for *row, value in expected.scores.select(*SCORE_KEYS, "value").iter_rows()}
    rows = {tuple(row[name] for name in SCORE_KEYS): row["value"] for row in answer["by_regime"]}
    assert {"wet", "dry", "near_full"} <= {row[2] for row in rows}
    assert {row[4] for row in rows if row[0] == "default"} >= {"mae", "coverage_90", "skill_no_change"}
    assert rows == {row: pytest.approx(scores[row], nan_ok=True) for row in rows}
    assert answer["reliability"] == expected.verification.diagnostics.reliability.to_dicts() != []
    assert [row["brier"] for row in answer["probabilities"]] == pytest.approx(
        expected.outlook.scores.filter(window="all")["brier"].to_list()
    )


def test_pages_of_observations_together_are_all(served: Place) -> None:
    rows, after = [], None
    for _ in range(20):
        following = {"after": after} if after else {}
        page = served.get("/dams/small/observations", gauge="rainfall_r1", limit=100, **following)
        rows += page["observations"]
        after = page["next"]
        if after is None:
            break
    stored = served.rows(
        "SELECT time, value FROM observation JOIN series ON series = id WHERE variable = 'rainfall' ORDER BY time"
    )
    times = [round(datetime.fromisoformat(row["time"]).timestamp() * 1e6) for row in rows]
    assert list(zip(times, [row["value"] for row in rows], strict=True)) == stored and len(rows) == DAYS
    day = LAST - timedelta(days=3)
    few = served.get("/dams/small/observations", since=day, until=day + timedelta(days=1))["observations"]
    local = [datetime.fromisoformat(row["time"]) + timedelta(hours=10) for row in few]
    assert [time.date() for time in local] == [day, day + timedelta(days=1)]


def test_pages_of_the_daily_table_together_are_all(served: Place) -> None:
    expected = forebay.daily(served.site.dams["small"], archive=served.url).table
    rows, since = [], str(FIRST_DAY)
    for _ in range(20):
        page = served.get("/dams/small/daily", since=since, limit=99)
        rows += page["days"]
        since = page["next"]
        if since is None:
            break
    assert [row["date"] for row in rows] == [str(day) for day in expected["date"]]
    assert [row["reservoir_level"] for row in rows] == expected["reservoir_level"].to_list()
    assert [row["rainfall_r1_flag"] for row in rows] == expected["rainfall_r1_flag"].to_list()
    newest = served.get("/dams/small/daily", limit=3)
    assert [row["date"] for row in newest["days"]] == [str(day) for day in expected["date"][-3:]]
    assert newest["next"] is None
    assert newest["units"] == {"reservoir_level": "m", "rainfall_r1": "mm"}


@pytest.mark.parametrize("path", ["forecast", "probabilities", "observations", "daily", "records"])
def test_csv_has_the_rows_of_json(served: Place, path: str) -> None:
    limit = {} if path in ("forecast", "probabilities") else {"limit": 7}
    answer = served.client.get(f"/dams/small/{path}", params={"format": "csv", **limit})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    name = {"daily": "days"}.get(path, path)
    expected = served.get(f"/dams/small/{path}", **limit)[name]
    assert len(rows) == len(expected) > 0
    for row, other in zip(rows, expected, strict=True):
        for key, value in other.items():
            text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            assert row[key] == text or (isinstance(value, float) and float(row[key]) == value), key
    assert all(row["dam"] == "small" for row in rows)


def test_readings_are_in_the_units_that_the_dam_states(served: Place) -> None:
    before = served.get("/dams/small/daily", limit=30)["days"]
    dam = served.site.dams["small"]
    units = {"reservoir_level": "ft", "rainfall": "in"}
    gauges = tuple(gauge.model_copy(update={"unit": units[gauge.variable]}) for gauge in dam.gauges)
    for gauge in gauges:  # the same readings
        served.execute("UPDATE series SET rules = ? WHERE station = ?", gauge.series["rules"], gauge.station)
    serve_dam(served, {"gauges": gauges, "target": dam.target.model_copy(update={"unit": "ft"})})
    stated = {gauge["gauge"]: gauge["unit"] for gauge in served.get("/dams/small")["gauges"]}
    assert stated == {"reservoir_level": "ft", "rainfall_r1": "in"}
    daily = served.get("/dams/small/daily", limit=30)
    assert daily["units"] == stated
    for gauge, size in (("reservoir_level", 0.3048), ("rainfall_r1", 25.4)):
        expected = [row[gauge] / size for row in before]
        assert [row[gauge] for row in daily["days"]] == pytest.approx(expected)
        answer = served.get("/dams/small/observations", gauge=gauge, since=LAST - timedelta(days=29))
        assert answer["value_unit"] == stated[gauge]
        assert [row["value"] for row in answer["observations"]] == pytest.approx(expected)
        rows = list(csv.DictReader(io.StringIO(served.client.get(
            "/dams/small/observations", params={"gauge": gauge, "format": "csv", "limit": 1}
        ).text)))  # fmt: skip
        assert rows[0]["unit"] == stated[gauge]
    values = [row[name] for row in daily["days"] for name in stated]
    values += [row["level"] for row in served.get("/dams")["dams"][0]["levels"]]
    assert values == [float(f"{value:.12g}") for value in values], "no digits of the conversion"


# --- changes ----------------------------------------------------------------------------------------------------------


def test_a_revised_reading_is_followed_by_every_answer(served: Place) -> None:
    number = served.get("/dams")["snapshot"]
    paths = ("/dams/small/observations?limit=1000", "/dams/small/daily")
    before = {path: served.client.get(path).headers["etag"] for path in paths}
    assert not served.site.update(), "nothing has changed"
    served.revise(9.25)
    assert served.site.update()
    answer = served.get("/dams")
    assert answer["snapshot"] == number + 1
    assert answer["dams"][0]["levels"][-1]["level"] == 9.25
    assert served.get("/dams/small/observations", limit=1000)["observations"][-1]["value"] == 9.25
    assert served.get("/dams/small/daily", limit=1)["days"][0]["reservoir_level"] == 9.25
    for path, tag in before.items():
        changed = served.client.get(path, headers={"if-none-match": tag})
        assert (changed.status_code, changed.headers["etag"] != tag) == (200, True)


def test_a_new_forecast_is_followed(served: Place, site_template: Path) -> None:
    with open_archive(served.url) as archive:
        again = forebay.forecast(site_template / "small.toml", archive=archive, update=False)
    assert again.record is not None and again.record.id == "small-3"
    assert served.site.update()
    assert served.get("/dams")["dams"][0]["record"] == "small-3"
    scores = served.get("/dams/small/scores")
    assert (scores["hindcast"], scores["notes"]) == (None, [
        "Scores and explanation are missing: they belong to another forecast; `forebay refresh` writes them."
    ])  # fmt: skip


def test_a_thread_follows_the_archive(served: Place) -> None:
    number = served.site.snapshot.number
    served.site.start()
    served.revise(5.5)
    assert served.site.wait(number, 60).number == number + 1
    assert served.get("/dams")["dams"][0]["levels"][-1]["level"] == 5.5


def test_an_unchanged_answer_is_not_sent_again(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    monkeypatch.setattr(api, "now_utc", lambda: now)
    for path in ("/dams", "/dams/small/forecast", "/dams/small/observations", "/dams/small/daily?format=csv"):
        first = served.client.get(path)
        again = served.client.get(path, headers={"if-none-match": f'"other", {first.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        weak = served.client.get(path, headers={"if-none-match": f"W/{first.headers['etag']}"})
        assert weak.status_code == 304, "a proxy that compresses answers makes their tags weak"
        assert served.client.get(path, headers={"if-none-match": '"other"'}).content == first.content


def test_a_stale_forecast_is_never_called_current(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    end = datetime.combine(LAST + timedelta(days=1), datetime.min.time(), UTC) - timedelta(hours=10)
    for days, is_stale in ((0, False), (3.9, False), (4.0, True), (400, True)):
        monkeypatch.setattr(api, "now_utc", lambda days=days: end + timedelta(days=days))
        (dam,) = served.get("/dams")["dams"]
        assert (dam["stale"], dam["age_hours"]) == (is_stale, pytest.approx(24 * days, abs=0.06)), days
        health = served.get("/health")
        assert (health["status"], health["stale"]) == (("stale", ["small"]) if is_stale else ("ok", []))


# --- what is missing or wrong -----------------------------------------------------------------------------------------


def problem_of(answer: httpx.Response, status: int) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert (answer.status_code, content["status"], content["type"]) == (status, status, "about:blank")
    assert set(content) == {"type", "title", "status", "detail"}
    return str(content["detail"])


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/dams/other", 404, "The dam 'other' is not shown here; the dams are small."),
        ("/dams/..%2f..%2fetc", 404, "There is no such address; /api/v1/openapi.json lists all."),
        ("/dams/small/observations?gauge=x", 404, "Small Dam has no gauge 'x'; its gauges are reservoir_level, "),
        ("/dams/small/forecast?model=x", 404, "The forecast has no model 'x'; its models are "),
        ("/dams/small/forecasts/1990-01-01", 404, "There is no issued forecast of small from 1990-01-01; "),
        ("/dams/small/records/99", 404, "the archive has no record small-99"),
        ("/dams/small/observations?limit=1001", 422, "limit = '1001': Input should be less than or equal to 1000"),
        ("/dams/small/observations?limit=0", 422, "limit = '0': "),
        ("/dams/small/observations?after=2020-01-01T00:00:00", 422, "after = 2020-01-01T00:00:00 has no time zone; "),
        ("/dams/small/daily?since=yesterday", 422, "since = 'yesterday': it must be a day such as 2026-11-28."),
        ("/dams/small/alerts?before=soon", 422, "before = 'soon': it must be a time with its zone, such as "),
        ("/dams/small/records/verify?head=xyz", 422, "head = 'xyz': "),
        ("/dams/small/daily?since=0001-01-01", 422, "since = '0001-01-01': Input should be greater than or equal to "),
        ("/dams/small/observations?after=0001-01-01T00:00:00%2B14:00", 422, "after = 0001-01-01T00:00:00+14:00 must "),
        ("/dams/small/alerts?before=9999-12-31T23:59:59-12:00", 422, "before = 9999-12-31T23:59:59-12:00 must be "),
        ("/dams/small/daily?since=2020-03-02&until=2020-03-01", 422, "since = 2020-03-02 is after until = 2020-03-01;"),
        ("/dams/small/observations?since=2020-03-02&until=2020-03-01", 422, "since = 2020-03-02 is after until = "),
        ("/dams?limitt=3", 422, "This address has no parameter 'limitt'; its parameters are limit, after."),
        ("/health?x=1", 422, "This address has no parameter 'x'; it has none."),
        (f"/dams?after={'a' * 9000}", 414, "The address is longer than 8192 bytes."),
    ],
)  # fmt: skip
def test_a_wrong_request_gets_one_sentence(served: Place, path: str, status: int, sentence: str) -> None:
    detail = problem_of(served.client.get(path), status)
    assert detail.startswith(sentence)
    assert detail.endswith(".") and not detail.endswith("..")


def test_a_misspelt_parameter_is_refused(served: Place) -> None:
    for path in ("/dams?limitt=3", "/dams/small/daily?from=2020-01-01", "/dams/small/records?since=2020-01-01"):
        answer = served.client.get(path)
        assert answer.status_code == 422, path
        assert "This address has no parameter" in problem_of(answer, 422)


def test_days_beyond_the_calendar_are_refused(served: Place) -> None:
    for name, day in (("since", "0001-01-01"), ("until", "9999-12-31")):
        answer = served.client.get("/dams/small/observations", params={name: day})
        assert answer.status_code == 422, answer.text


def test_days_at_the_ends_of_what_is_allowed_have_answers(served: Place) -> None:
    for path in ("observations", "daily"):
        assert served.get(f"/dams/small/{path}", since=api.FIRST_DAY, until=api.LAST_DAY, limit=1)
    first, last = f"{api.FIRST_DAY}T00:00:00+14:00", f"{api.LAST_DAY}T23:59:59-12:00"
    assert len(served.get("/dams/small/observations", after=first)["observations"]) == api.DEFAULT_ROWS
    assert served.get("/dams/small/observations", after=last)["observations"] == []
    assert served.get("/dams/small/alerts", before=first)["changes"] == []


def test_a_body_that_is_no_json_gets_a_sentence(served: Place) -> None:
    path, headers = "/dams/small/scenario", {"content-type": "application/json"}
    detail = problem_of(served.client.post(path, content=b'{"rain": [1}', headers=headers), 422)
    assert detail == "The body is no JSON: Expecting ',' delimiter at character 11."
    detail = problem_of(served.client.post(path, content=b"rain", headers={"content-type": "text/plain"}), 422)
    assert detail.startswith("body = 'rain': the body must be an object of JSON, with the header Content-Type: app")
    detail = problem_of(served.client.post(path, json={"rainn": [1]}), 422)
    assert detail == "rainn = '[1]': there is no such field; /api/v1/openapi.json lists the fields."


def test_hosts_methods_and_bodies(served: Place) -> None:
    answer = served.client.get("/health", headers={"host": "evil.example"})
    assert problem_of(answer, 400).startswith("This server is not 'evil.example'; its names are 127.0.0.1,")
    assert served.client.get("/health", headers={"host": "localhost:99"}).status_code == 200
    assert served.client.get("/health", headers={"host": "[::1]:80"}).status_code == 200
    assert problem_of(served.client.post("/dams"), 405).startswith("This method is not allowed here; ")
    assert problem_of(served.client.post("/dams", content=b"x" * 70_000), 413) == "The body is longer than 65536 bytes."
    plain = {"accept-encoding": "identity"}
    head, answer = (getattr(served.client, name)("/dams/small/daily", headers=plain) for name in ("head", "get"))
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", answer.headers["etag"])
    assert head.headers["content-length"] == str(len(answer.content))
    headers = served.client.get("/health").headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"


def test_a_body_of_unknown_length_has_the_same_limits(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def parts(size: int) -> Iterator[bytes]:
        for _ in range(size // 1000):
            yield b" " * 1000

    path, headers = "/dams/small/scenario", {"content-type": "application/json"}
    too_long = served.client.post(path, content=parts(70_000), headers=headers)
    assert problem_of(too_long, 413) == "The body is longer than 65536 bytes."
    short = chain(parts(10_000), [b'{"rain": [1]}'])
    assert served.client.post(path, content=short, headers=headers).status_code == 200
    monkeypatch.setattr(limits, "BODY_S", 0.2)
    address = (served.client.base_url.host, served.client.base_url.port)
    with socket.create_connection(address, timeout=30) as slow:
        lines = ("POST /api/v1/dams/small/scenario HTTP/1.1", "Host: localhost", "Content-Length: 9", "", "{")
        slow.sendall("\r\n".join(lines).encode())
        assert slow.recv(100).startswith(b"HTTP/1.1 408 Request Timeout"), "it does not wait for the rest"


def test_too_many_requests_at_once_are_refused(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_REQUESTS_AT_ONCE", 0)
    answer = served.client.get("/health")
    assert problem_of(answer, 503) == "The server has more requests than it can answer; try again in 2 s."
    assert answer.headers["retry-after"] == "2"
    monkeypatch.setattr(limits, "MAX_REQUESTS_AT_ONCE", 1)
    assert [served.client.get("/health").status_code for _ in range(3)] == [200, 200, 200]


def test_a_surge_is_refused_until_the_loop_ticks(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_REQUESTS_PER_TICK", 2)
    monkeypatch.setattr(limits, "TICK_S", 3600.0)
    statuses = [served.client.get("/health").status_code for _ in range(4)]
    assert statuses == [200, 200, 503, 503]
    assert (served.app.state.counts["answered"], served.app.state.counts["shed"]) == (2, 2)


def test_refusals_end_with_the_surge(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_REQUESTS_PER_TICK", 1)
    statuses: list[int] = []
    while statuses[-1:] != [200] or 503 not in statuses:
        statuses.append(served.client.get("/health").status_code)
        assert len(statuses) < 10_000


def test_a_fault_of_the_program_names_no_detail(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api, "summary", fail)
    detail = problem_of(served.client.get("/dams"), 500)
    assert detail == "A fault of forebay (RuntimeError); its log has more." and "secret" not in detail


def test_an_empty_archive_says_what_to_do(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    open_archive(url).close()
    with serving({"small": LAKE}, url, tmp_path) as (client, *_):
        (dam,) = client.get("/dams").json()["dams"]
        assert (dam["forecast"], dam["levels"], dam["stale"], dam["init_date"]) == ([], [], True, None)
        note = "There is no issued forecast of Small Dam yet; `forebay refresh` issues one."
        assert dam["notes"] == [note]
        assert problem_of(client.get("/dams/small/forecast"), 404) == note
        for path in ("forecasts", "records", "observations", "daily", "probabilities", "scores", "alerts"):
            assert client.get(f"/dams/small/{path}").status_code == 200, path
            if path not in ("forecasts", "scores", "alerts"):
                assert client.get(f"/dams/small/{path}?format=csv").status_code == 200, path
        assert client.get("/dams/small/records/verify").json()["records"] == 0


def test_a_changed_record_is_not_shown(served: Place) -> None:
    changed = payload_of(served, 2)
    changed["forecast"]["level"][0] += 1
    served.execute("UPDATE forecast_record SET payload = ? WHERE sequence = 2", canonical(changed))
    fresh = Site(served.site.dams, served.site.archive, served.folder / "runs")
    fresh.update()
    state = fresh.snapshot.dams["small"]
    fresh.close()
    assert state.record is None
    assert "The newest forecast is not shown: small-2: its content was changed: it has another hash" in state.notes[0]
    check = served.get("/dams/small/records/verify")
    assert (check["records"], len(check["faults"])) == (2, 1)
    assert served.get("/dams/small/records/verify", head="0" * 64)["faults"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "forecast.json cannot be read"),
        ("[]", "forecast.json cannot be read"),
        ('{"dam": "other"}', "forecast.json cannot be read"),
        ('{"dam": "small", "record": null}', "they belong to another forecast"),
        (None, "the folder of the results has none"),
    ],
)
def test_results_that_cannot_be_used_are_left_out(served: Place, text: str | None, sentence: str) -> None:
    path = served.folder / "runs" / "small" / RESULT_FILE
    path.unlink() if text is None else path.write_text(text)
    assert served.site.update(), "a changed file alone is followed"
    answer = served.get("/dams/small/scores")
    assert answer["hindcast"] is None
    assert [note.partition(": ")[2].startswith(sentence) for note in answer["notes"]] == [True]
    assert served.get("/dams/small/forecast")["forecast"], "the record has the forecast itself"


def test_an_archive_that_cannot_be_read_leaves_the_last_state(served: Place) -> None:
    before = served.get("/dams")["dams"]
    path = served.folder / "a.db"
    served.site._state.close()
    served.site.archive.close()
    for file in served.folder.glob("a.db*"):
        file.unlink()
    path.write_bytes(b"no database at all" * 100)
    assert served.site.update()
    answer = served.get("/dams")
    assert answer["failure"].startswith("The archive cannot be read: archive ")
    assert [row["forecast"] for row in answer["dams"]] == [row["forecast"] for row in before]
    assert served.get("/health")["status"] == "failed"


def test_numbers_that_json_lacks_are_null(served: Place) -> None:
    assert content.finite(float("nan")) is content.finite(float("inf")) is content.finite("1") is None
    rows = api.finite_rows(pl.DataFrame({"a": [float("nan"), 1.0], "b": ["NaN", None]}))
    assert rows == [{"a": None, "b": "NaN"}, {"a": 1.0, "b": None}]
