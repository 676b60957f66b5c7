"""Routes that write: a token is needed, who did what is stored, and a wrong request changes nothing. And events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2 as httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from forebay.archive import upkeep
from forebay.archive.lease import LeaseWait
from forebay.archive.store import open_archive
from forebay.dams.dam_file import load_dam
from forebay.web import events, write_api
from forebay.web.rates import Rate
from forebay.web.refresher import RefresherStatus
from tests.command_line import forebay as command
from tests.postgres import Cluster
from tests.test_web_api import problem_of
from tests.web_server import LAST, Place, serving

RAISED = (
    "INSERT INTO alert_decision (dam, rule, number, state, since, unknown_since, decided_at, record, sequence, "
    "init_date, probability, age_days, streak, change, is_change, severity, title, text, rule_content, time_zone) "
    "VALUES ('small', 'spill', ?, ?, 10, NULL, ?, ?, 2, '2020-01-01', 0.4, 0, 1, ?, 1, 'Severe', "
    "'Small Dam', 'The probability is 40%.', '{}', '+10:00')"
)
RULE = """
[[alerts]]
id = "spill"
kind = "threshold"
threshold = "full_supply"
probability = 0.3
within_days = 3
"""
WRITES = ("/dams/small/alerts/spill/acknowledge", "/dams/small/refresh", "/dams/small/observations")
READING = {"level": 0.25, "at": f"{LAST}T06:10"}


@pytest.fixture
def token(served: Place) -> str:
    with open_archive(served.url) as archive:
        return archive.access.new_token("operator")


def post(served: Place, path: str, token: str = "", content: object = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return served.client.post(path, json=content, headers=headers)


@pytest.mark.parametrize("path", WRITES)
def test_writing_needs_a_valid_token(served: Place, token: str, path: str) -> None:
    def refused(token: str) -> str:
        answer = post(served, path, token, READING)
        detail = problem_of(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
        return detail

    needed = "This needs a token in the header Authorization: Bearer TOKEN; `forebay token new` makes one."
    unknown = "This token is unknown or was revoked; `forebay token list` shows the valid ones."
    assert refused("") == needed
    assert refused(token[:-1] + ("A" if token[-1] != "A" else "B")) == unknown
    assert post(served, path, token, READING).status_code != 401
    with open_archive(served.url) as archive:
        archive.access.revoke("operator")
    assert refused(token) == unknown, "a server that runs refuses a revoked token at once"
    assert served.rows("SELECT count(*) FROM alert_acknowledgement") == [(0,)]


ROLES = ("reader", "acknowledger", "blind")
"""Users of PostgreSQL: who may only read, who may acknowledge too, and who may not read the tokens."""


@pytest.fixture
def with_roles(postgres: Cluster, site_template: Path) -> Iterator[tuple[str, Callable[[str], str]]]:
    """A token, and the URL of the lake's archive on a server of PostgreSQL for each of `ROLES`."""
    url = postgres.new()
    upkeep.copy(f"sqlite:///{site_template}/a.db", url)
    with open_archive(url) as archive:
        token = archive.access.new_token("operator")
    postgres.execute(
        "INSERT INTO alert_decision (dam, rule, number, state, since, unknown_since, decided_at, record, sequence, "
        "init_date, probability, age_days, streak, change, is_change, severity, title, text, rule_content, time_zone) "
        "VALUES ('small', 'spill', 1, 'raised', 10, NULL, 10, 'small-2', 2, '2020-01-01', 0.4, 0, 1, 1, 1, 'Severe', "
        "'Small Dam', 'It is 40%%.', '{}', '+10:00')", url
    )  # fmt: skip
    for role in ROLES:
        postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'role-secret'")
        postgres.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}", url)
    postgres.execute("GRANT INSERT ON alert_acknowledgement TO acknowledger", url)
    postgres.execute("REVOKE SELECT ON access_token FROM blind", url)
    try:
        yield token, lambda role: url.replace(f"//forebay:{postgres.password}@", f"//{role}:role-secret@")
    finally:
        for role in ROLES:
            postgres.execute(f"DROP OWNED BY {role}", url)
            postgres.execute(f"DROP ROLE {role}")


@pytest.mark.slow
def test_a_server_has_the_rights_that_its_user_of_postgresql_has(
    with_roles: tuple[str, Callable[[str], str]], site_template: Path
) -> None:
    token, url_of = with_roles
    dams = {"small": load_dam(str(site_template / "small.toml"))}
    path, statuses, details = "/dams/small/alerts/spill/acknowledge", {}, {}
    for role in ROLES:
        with serving(dams, url_of(role), site_template / "runs") as (client, *_):
            assert client.get("/dams").json()["dams"][0]["forecast"], role
            assert client.get(client.base_url.copy_with(path="/dams/small")).status_code == 200, role
            assert client.get("/dams/small/alerts").json()["states"][0]["state"] == "raised"
            answer = client.post(path, headers={"Authorization": f"Bearer {token}"})
            statuses[role], details[role] = answer.status_code, answer.json().get("detail", "")
            assert "role-secret" not in answer.text
    assert statuses == {"reader": 503, "acknowledger": 200, "blind": 503}, details
    refused = command("token", "new", "other", "--archive", url_of("reader"))
    assert (refused.code, refused.out) != (0, "") and "fby_" not in refused.out, "no token that is not stored"
    assert "refuses its user" in refused.err, refused.err
    assert "refuses its user" in details["reader"] and "refuses its user" in details["blind"], details


def test_an_alert_is_acknowledged_once(served: Place, token: str) -> None:
    path = "/dams/small/alerts/spill/acknowledge"
    assert problem_of(post(served, path, token), 404) == (
        "Small Dam has no alert 'spill'; its alerts: none has been decided yet."
    )
    served.execute(RAISED, 1, "raised", 10, "small-2", 1)
    with open_archive(served.url) as archive:
        other = archive.access.new_token("colleague")
    answer = post(served, path, token)
    assert answer.status_code == 200, answer.text
    alert = answer.json()["alert"]
    assert (alert["rule"], alert["state"], alert["acknowledged_by"]) == ("spill", "raised", "operator")
    assert post(served, path, other).json()["alert"] == alert, "the first one stays"
    assert served.site.update(), "an acknowledgement alone is followed"
    listed = served.get("/dams/small/alerts")
    assert [(row["acknowledged_by"], row["acknowledged_at"]) for row in (*listed["states"], *listed["changes"])] == [
        ("operator", alert["acknowledged_at"])
    ] * 2
    assert datetime.fromisoformat(alert["acknowledged_at"]).utcoffset() == timedelta(0)
    unknown = post(served, path.replace("spill", "flood"), token)
    assert problem_of(unknown, 404) == "Small Dam has no alert 'flood'; its alerts: spill."
    served.execute(RAISED, 2, "clear", 20, "small-3", 2)
    assert problem_of(post(served, path, token), 409) == (
        "The alert 'spill' is clear; only a raised one can be acknowledged."
    )
    served.execute(RAISED, 3, "raised", 30, "small-4", 3)
    (state,) = served.get("/dams/small/alerts")["states"]
    assert state["acknowledged_by"] is None, "an alert that is raised again was not seen yet"


def test_the_command_lists_who_acknowledged(served: Place, site_template: Path, token: str) -> None:
    served.execute(RAISED, 1, "raised", 10, "small-2", 1)
    post(served, WRITES[0], token)
    text = (site_template / "small.toml").read_text()
    dam = site_template / "alarmed.toml"
    dam.write_text(text + RULE)
    try:
        listed = command("alerts", "list", dam, "--archive", served.url, "--json")
    finally:
        dam.unlink()
    assert listed.code == 0, listed.err
    state = next(row for row in listed.json["states"] if row["rule"] == "spill")
    assert state["acknowledged_by"] == "operator" and state["acknowledged_at"] is not None


def test_a_reading_by_hand_is_stored(served: Place, token: str) -> None:
    answer = post(served, "/dams/small/observations", token, READING | {"note": "thick fog"})
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert (content["level"], content["outcome"], content["quality"]) == (0.25, "new", "manual")
    assert content["time"] == f"{LAST - timedelta(days=1)}T20:10:00Z"
    assert content["is_used"] is False and content["unused_because"] == f"the gauge has a usable value of {LAST}"
    assert served.rows("SELECT name, note FROM staff_note") == [("operator", "thick fog")]
    assert "operator" not in answer.text and "fog" not in answer.text
    assert post(served, "/dams/small/observations", token, READING).json()["outcome"] == "unchanged"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"at": "2999-01-01T00:00"}, "at 2999-01-01T00:00+10:00 lies in the future; "),
        ({"at": "yesterday"}, "at 'yesterday' is no time; give day and clock time like 2024-05-01T06:10 "),
        ({"level": 1e6}, "the level 1000000 m is outside the hard limits of Small Dam, "),
        ({"level": "high"}, "level = 'high': Input should be a valid number"),
        ({"unit": "mm of rain"}, "unit 'mm of rain' is unknown; allowed for reservoir level are m, ft, "),
        ({"note": "a\nb"}, "note has characters that must not be printed; write it in one line of text."),
        ({"name": "me"}, "name = 'me': there is no such field; "),
    ],
)
def test_a_wrong_reading_gets_one_sentence(
    served: Place, token: str, changed: dict[str, object], sentence: str
) -> None:
    before = served.rows("SELECT count(*) FROM observation")
    detail = problem_of(post(served, "/dams/small/observations", token, READING | changed), 422)
    assert detail.startswith(sentence), detail
    assert served.rows("SELECT count(*) FROM observation") == before


def test_a_reading_does_not_wait_for_a_refresh(served: Place, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_api, "LEASE_WAIT_S", 0.01)
    with open_archive(served.url, lease_wait=LeaseWait(0.0)) as other, other.lease():
        answer = post(served, "/dams/small/observations", token, READING)
    assert problem_of(answer, 503).startswith("archive sqlite:///") and answer.headers["retry-after"] == "5"


def test_a_refresh_is_asked_for(served: Place, token: str) -> None:
    assert problem_of(post(served, "/dams/small/refresh", token), 409).startswith("This server has no refresher")
    requests = []

    class Stub:
        def request(self, dam: str) -> str:
            requests.append(dam)
            return "It begins now."

    served.app.state.refresher = Stub()
    answer = post(served, "/dams/small/refresh", token)
    assert (answer.status_code, answer.json()["text"], requests) == (202, "It begins now.", ["small"])
    assert post(served, "/dams/other/refresh", token).status_code == 404 and requests == ["small"]


def test_metrics(served: Place) -> None:
    def samples() -> dict[str, float]:
        answer = served.client.get(str(served.client.base_url).replace("/api/v1/", "/metrics"))
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        families = text_string_to_metric_families(answer.text)
        return {f"{s.name}{sorted(s.labels.values())}": s.value for family in families for s in family.samples}

    before = samples()
    end = datetime.combine(LAST + timedelta(days=1), datetime.min.time(), UTC) - timedelta(hours=10)
    now = datetime.now(UTC)
    assert before["forebay_forecast_age_seconds['small']"] == pytest.approx((now - end).total_seconds(), abs=600)
    assert before["forebay_forecast_stale['small']"] == 1 and before["forebay_archive_readable[]"] == 1
    ((fetched,),) = served.rows("SELECT max(fetched_at) FROM gauge_fetch")
    assert before["forebay_fetch_age_seconds['small']"] == pytest.approx(now.timestamp() - fetched / 1e6, abs=600)
    assert "forebay_refreshes_total[]" not in before
    older = "UPDATE gauge_fetch SET fetched_at = fetched_at - ? WHERE series = (SELECT min(series) FROM gauge_fetch)"
    served.execute(older, 5 * 86_400_000_000)
    served.execute(RAISED, 1, "raised", 10, "small-2", 1)
    served.site.update()
    served.client.get("/health", headers={"host": "evil.example"})
    status = RefresherStatus(state="refreshing", refreshes=5, failures=2, last_end=now, last_seconds=81.5)
    served.app.state.refresher = SimpleNamespace(status=status)
    after = samples()
    assert after["forebay_alerts_raised['small']"] == 1
    ages = (before["forebay_fetch_age_seconds['small']"], after["forebay_fetch_age_seconds['small']"])
    assert 0 <= ages[1] - ages[0] < 600, "the newest fetch counts, not that of the gauge that is late"
    assert after["forebay_requests_total['refused']"] == before["forebay_requests_total['refused']"] + 1
    assert (after["forebay_refreshes_total[]"], after["forebay_refresh_failures_total[]"]) == (5, 2)
    assert (after["forebay_refresh_duration_seconds[]"], after["forebay_refreshing[]"]) == (81.5, 1)
    assert served.get("/health")["refresher"]["state"] == "refreshing"


def test_a_token_has_no_rate(served: Place, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.app.state.scenarios, "rate", Rate(0.001, burst=1))
    path = "/dams/small/scenario"
    assert [post(served, path, "", {}).status_code for _ in range(2)] == [200, 429]
    assert post(served, path, token, {}).status_code == 200
    assert post(served, path, "wrong", {}).status_code == 401


# --- events -----------------------------------------------------------------------------------------------------------


def next_event(lines: Any) -> tuple[str, Any]:  # Any: an iterator of lines, a JSON value
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            return name, json.loads(line.removeprefix("data: "))
    raise AssertionError("the stream has ended")


def test_a_change_is_an_event(served: Place) -> None:
    with served.client.stream("GET", "/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = answer.iter_lines()
        assert next_event(lines) == ("ping", {"snapshot": 1})
        served.revise(7.0)
        assert served.site.update()
        assert next_event(lines) == ("dam", {"dam": "small", "init_date": str(LAST)})
        assert served.app.state.streams.count == 1


def test_streams_have_a_limit_and_end_with_the_server(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_STREAMS", 1)
    with served.client.stream("GET", "/events") as answer:
        lines = answer.iter_lines()
        next_event(lines)
        refused = served.client.get("/events")
        assert problem_of(refused, 503) == "1 streams are open; try again in 10 s."
        assert refused.headers["retry-after"] == "10"
        served.app.state.streams.is_ending = lambda: True
        assert [line for line in lines if line] == []
    served.app.state.streams.is_ending = lambda: False
    with served.client.stream("GET", "/events") as answer:
        assert answer.status_code == 200, "a stream that has ended leaves its place"
        next_event(answer.iter_lines())
