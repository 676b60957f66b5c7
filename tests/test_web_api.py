"""The JSON API on a real server: its answers are those of the archive, and follow every change."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest

import forebay
from forebay.archive import upkeep
from forebay.archive.store import open_archive
from forebay.forecasts.record import canonical
from forebay.jobs.refresh import refresh
from forebay.settings import Settings
from forebay.web import api, content, limits
from forebay.web.dam_state import RESULT_FILE
from forebay.web.site import Site
from tests import synthetic
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam
from tests.web_server import serving

DAYS = 420
LAKE = small_dam(
    rain_gauge(),
    full_supply=1.0,
    hindcast={"leads": (1, 3)},
    thresholds=[{"name": "Weir", "level": 0.5}],
)
LAST = FIRST_DAY + timedelta(days=DAYS - 1)


@dataclass
class Place:
    """A copy of the archive and of the results of its refresh, with a server."""

    folder: Path
    client: httpx.Client
    site: Site

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/a.db"

    def get(self, path: str, status: int = 200, **parameters: object) -> Any:  # Any: a JSON value
        answer = self.client.get(path, params={name: str(value) for name, value in parameters.items()})
        assert answer.status_code == status, answer.text
        return answer.json()

    def execute(self, statement: str, *values: object) -> None:
        """Change the archive from outside, as another process does."""
        with closing(sqlite3.connect(self.folder / "a.db")) as connection:
            connection.execute(statement, values)
            connection.commit()

    def revise(self, level: float) -> None:
        """Add a revision of the newest level."""
        self.execute(
            "INSERT INTO observation SELECT series, time, fetched_at + 1, ?, ?, quality, quality_code FROM observation "
            "WHERE series = 1 AND time = (SELECT max(time) FROM observation WHERE series = 1)", level, str(level)
        )  # fmt: skip

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "a.db")) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the dam file, the archive and the results of two refreshes of a simulated lake."""
    folder = tmp_path_factory.mktemp("site")
    rng = np.random.default_rng(5)
    rain = rng.gamma(0.3, 10.0, DAYS)
    levels = np.cumsum(rng.normal(0, 0.03, DAYS)) + np.cumsum(np.append(0.0, rain[:-1]) - rain.mean()) * 0.004
    columns = {"reservoir_level": levels.tolist(), "rainfall_r1": rain.tolist()}
    settings = Settings(cache=str(folder / "cache"))
    for days in (DAYS - 1, DAYS):
        frame = daily_frame(LAKE, {name: values[:days] for name, values in columns.items()})
        path = synthetic.write_dam(LAKE, frame, folder)
        path.write_text('licence = "CC BY 4.0"\n' + path.read_text())
        result = refresh([path], archive=f"sqlite:///{folder}/a.db", settings=settings, output=folder / "runs")
        assert not result.failures, result.failures
    return folder


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Iterator[Place]:
    upkeep.backup(f"sqlite:///{template}/a.db", tmp_path / "a.db")
    shutil.copytree(template / "runs", tmp_path / "runs")
    dam = forebay.dams.dam_file.load_dam(str(template / "small.toml"))
    with serving({"small": dam}, f"sqlite:///{tmp_path}/a.db", tmp_path / "runs") as (client, site):
        yield Place(tmp_path, client, site)


# --- the answers ------------------------------------------------------------------------------------------------------


def payload_of(place: Place, sequence: int) -> dict[str, Any]:
    """Content of a record, straight from the database."""
    ((payload,),) = place.rows(f"SELECT payload FROM forecast_record WHERE sequence = {sequence}")
    content: dict[str, Any] = json.loads(payload)
    return content


def test_the_newest_forecast_is_that_of_the_record(place: Place) -> None:
    recorded = payload_of(place, 2)
    answer = place.get("/dams/small/forecast", model="all")
    table = recorded["forecast"]
    expected = list(zip(*(table[name] for name in ("model", "lead_time", "quantile", "level")), strict=True))
    rows = [(row["model"], row["lead_time"], row["quantile"], row["level"]) for row in answer["forecast"]]
    assert rows == expected and len(rows) > 14
    assert (answer["record"], answer["init_date"]) == ("small-2", str(LAST))
    assert [row["probability"] for row in answer["probabilities"]] == recorded["probabilities"]["probability"]
    assert {row["model"] for row in place.get("/dams/small/forecast")["forecast"]} == {"default"}
    ((digest,),) = place.rows("SELECT hash FROM forecast_record WHERE sequence = 2")
    assert answer["hash"] == digest
    result = json.loads((place.folder / "runs" / "small" / RESULT_FILE).read_text())
    assert answer["explanation"] == result["explanation"]
    names = ("model", "lead_time", "quantile", "level")
    default = [tuple(row[name] for name in names) for row in result["forecast"] if row["model"] == "default"]
    assert [row for row in rows if row[0] == "default"] == default


def test_the_overview_agrees_with_the_forecast_and_the_readings(place: Place) -> None:
    (dam,) = place.get("/dams")["dams"]
    table = payload_of(place, 2)["forecast"]
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
    readings = place.rows(
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
     "/records/verify"],
)
def test_every_answer_has_unit_licence_and_attribution(place: Place, path: str) -> None:
    answer = place.get(f"/dams/small{path}")
    expected = {"dam": "small", "name": "Small Dam", "simulated": True, "time_zone": "+10:00", "unit": "m",
                "licence": "CC BY 4.0", "attributions": []}  # fmt: skip
    assert {name: answer[name] for name in expected} == expected


def test_times_have_a_zone(place: Place) -> None:
    for row in place.get("/dams/small/observations")["observations"]:
        assert datetime.fromisoformat(row["time"]).utcoffset() == timedelta(0)
    assert datetime.fromisoformat(place.get("/health")["time"]).tzinfo is not None


def test_past_forecasts_are_those_that_were_issued(place: Place) -> None:
    listed = place.get("/dams/small/forecasts")["records"]
    assert [row["init_date"] for row in listed] == [str(LAST), str(LAST - timedelta(days=1))]
    past = place.get(f"/dams/small/forecasts/{LAST - timedelta(days=1)}", model="all")
    assert [row["level"] for row in past["forecast"]] == payload_of(place, 1)["forecast"]["level"]
    assert past["explanation"] is None, "only the results of the newest forecast are stored"
    assert place.get("/dams/small/records/1", model="all")["forecast"] == past["forecast"]
    first = place.get("/dams/small/forecasts", limit=1)
    assert [row["init_date"] for row in first["records"]] == [str(LAST)]
    rest = place.get("/dams/small/forecasts", limit=1, before=first["next"])
    assert ([row["init_date"] for row in rest["records"]], rest["next"]) == ([str(LAST - timedelta(days=1))], None)


def test_scores_are_those_of_the_refresh(place: Place) -> None:
    answer = place.get("/dams/small/scores")
    result = json.loads((place.folder / "runs" / "small" / RESULT_FILE).read_text())
    assert answer["hindcast"] == result["scores"] and answer["hindcast"]
    assert answer["last_365_days"] == result["last_365_days"]
    assert answer["record"] == "small-2"


def test_pages_of_observations_together_are_all(place: Place) -> None:
    rows, after = [], None
    for _ in range(20):
        following = {"after": after} if after else {}
        page = place.get("/dams/small/observations", gauge="rainfall_r1", limit=100, **following)
        rows += page["observations"]
        after = page["next"]
        if after is None:
            break
    stored = place.rows(
        "SELECT time, value FROM observation JOIN series ON series = id WHERE variable = 'rainfall' ORDER BY time"
    )
    times = [round(datetime.fromisoformat(row["time"]).timestamp() * 1e6) for row in rows]
    assert list(zip(times, [row["value"] for row in rows], strict=True)) == stored and len(rows) == DAYS
    day = LAST - timedelta(days=3)
    few = place.get("/dams/small/observations", since=day, until=day + timedelta(days=1))["observations"]
    local = [datetime.fromisoformat(row["time"]) + timedelta(hours=10) for row in few]
    assert [time.date() for time in local] == [day, day + timedelta(days=1)]


def test_pages_of_the_daily_table_together_are_all(place: Place) -> None:
    expected = forebay.daily(place.site.dams["small"], archive=place.url).table
    rows, since = [], str(FIRST_DAY)
    for _ in range(20):
        page = place.get("/dams/small/daily", since=since, limit=99)
        rows += page["days"]
        since = page["next"]
        if since is None:
            break
    assert [row["date"] for row in rows] == [str(day) for day in expected["date"]]
    assert [row["reservoir_level"] for row in rows] == expected["reservoir_level"].to_list()
    assert [row["rainfall_r1_flag"] for row in rows] == expected["rainfall_r1_flag"].to_list()
    newest = place.get("/dams/small/daily", limit=3)
    assert [row["date"] for row in newest["days"]] == [str(day) for day in expected["date"][-3:]]
    assert newest["next"] is None
    assert newest["units"] == {"reservoir_level": "m", "rainfall_r1": "mm"}


@pytest.mark.parametrize("path", ["forecast", "probabilities", "observations", "daily", "records"])
def test_csv_has_the_rows_of_json(place: Place, path: str) -> None:
    answer = place.client.get(f"/dams/small/{path}", params={"format": "csv", "limit": 7})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    name = {"daily": "days"}.get(path, path)
    expected = place.get(f"/dams/small/{path}", limit=7)[name]
    assert len(rows) == len(expected) > 0
    for row, other in zip(rows, expected, strict=True):
        for key, value in other.items():
            text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            assert row[key] == text or (isinstance(value, float) and float(row[key]) == value), key
    assert all(row["dam"] == "small" for row in rows)


# --- changes ----------------------------------------------------------------------------------------------------------


def test_a_revised_reading_is_followed_by_every_answer(place: Place) -> None:
    number = place.get("/dams")["snapshot"]
    paths = ("/dams/small/observations?limit=1000", "/dams/small/daily")
    before = {path: place.client.get(path).headers["etag"] for path in paths}
    assert not place.site.update(), "nothing has changed"
    place.revise(9.25)
    assert place.site.update()
    answer = place.get("/dams")
    assert answer["snapshot"] == number + 1
    assert answer["dams"][0]["levels"][-1]["level"] == 9.25
    assert place.get("/dams/small/observations", limit=1000)["observations"][-1]["value"] == 9.25
    assert place.get("/dams/small/daily", limit=1)["days"][0]["reservoir_level"] == 9.25
    for path, tag in before.items():
        changed = place.client.get(path, headers={"if-none-match": tag})
        assert (changed.status_code, changed.headers["etag"] != tag) == (200, True)


def test_a_new_forecast_is_followed(place: Place, template: Path) -> None:
    with open_archive(place.url) as archive:
        again = forebay.forecast(template / "small.toml", archive=archive, update=False)
    assert again.record is not None and again.record.id == "small-3"
    assert place.site.update()
    assert place.get("/dams")["dams"][0]["record"] == "small-3"
    scores = place.get("/dams/small/scores")
    assert (scores["hindcast"], scores["notes"]) == (None, [
        "Scores and explanation are missing: they belong to another forecast; `forebay refresh` writes them."
    ])  # fmt: skip


def test_a_thread_follows_the_archive(place: Place) -> None:
    number = place.site.snapshot.number
    place.site.start()
    place.revise(5.5)
    assert place.site.wait(number, 60).number == number + 1
    assert place.get("/dams")["dams"][0]["levels"][-1]["level"] == 5.5


def test_an_unchanged_answer_is_not_sent_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    monkeypatch.setattr(api, "now_utc", lambda: now)
    for path in ("/dams", "/dams/small/forecast", "/dams/small/observations", "/dams/small/daily?format=csv"):
        first = place.client.get(path)
        again = place.client.get(path, headers={"if-none-match": f'"other", {first.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert place.client.get(path, headers={"if-none-match": '"other"'}).content == first.content


def test_a_stale_forecast_is_never_called_current(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    end = datetime.combine(LAST + timedelta(days=1), datetime.min.time(), UTC) - timedelta(hours=10)
    for days, is_stale in ((0, False), (3.9, False), (4.0, True), (400, True)):
        monkeypatch.setattr(api, "now_utc", lambda days=days: end + timedelta(days=days))
        (dam,) = place.get("/dams")["dams"]
        assert (dam["stale"], dam["age_hours"]) == (is_stale, pytest.approx(24 * days, abs=0.06)), days
        health = place.get("/health")
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
        ("/dams/small/daily?since=yesterday", 422, "since = 'yesterday': "),
        ("/dams/small/records/verify?head=xyz", 422, "head = 'xyz': "),
        ("/dams?format=%00", 200, ""),
        (f"/dams?after={'a' * 9000}", 414, "The address is longer than 8192 bytes."),
    ],
)  # fmt: skip
def test_a_wrong_request_gets_one_sentence(place: Place, path: str, status: int, sentence: str) -> None:
    answer = place.client.get(path)
    if status == 200:
        assert answer.status_code == 200
    else:
        assert problem_of(answer, status).startswith(sentence)


def test_hosts_methods_and_bodies(place: Place) -> None:
    answer = place.client.get("/health", headers={"host": "evil.example"})
    assert problem_of(answer, 400).startswith("This server is not 'evil.example'; its names are 127.0.0.1,")
    assert place.client.get("/health", headers={"host": "localhost:99"}).status_code == 200
    assert place.client.get("/health", headers={"host": "[::1]:80"}).status_code == 200
    assert problem_of(place.client.post("/dams"), 405).startswith("This method is not allowed here; ")
    assert problem_of(place.client.post("/dams", content=b"x" * 70_000), 413) == "The body is longer than 65536 bytes."
    headers = place.client.get("/health").headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"


def test_too_many_requests_at_once_are_refused_and_then_answered(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_REQUESTS_AT_ONCE", 0)
    answer = place.client.get("/health")
    assert problem_of(answer, 503) == "0 requests are in work; try again in 2 s."
    assert answer.headers["retry-after"] == "2"
    monkeypatch.setattr(limits, "MAX_REQUESTS_AT_ONCE", 1)
    assert [place.client.get("/health").status_code for _ in range(3)] == [200, 200, 200]


def test_a_fault_of_the_program_names_no_detail(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api, "summary", fail)
    detail = problem_of(place.client.get("/dams"), 500)
    assert detail == "A fault of forebay (RuntimeError); its log has more." and "secret" not in detail


def test_an_empty_archive_says_what_to_do(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    open_archive(url).close()
    with serving({"small": LAKE}, url, tmp_path) as (client, _):
        (dam,) = client.get("/dams").json()["dams"]
        assert (dam["forecast"], dam["levels"], dam["stale"], dam["init_date"]) == ([], [], True, None)
        note = "There is no issued forecast of Small Dam yet; `forebay refresh` issues one."
        assert dam["notes"] == [note]
        assert problem_of(client.get("/dams/small/forecast"), 404) == note
        for path in ("forecasts", "records", "observations", "daily", "probabilities", "scores"):
            assert client.get(f"/dams/small/{path}").status_code == 200, path
            assert client.get(f"/dams/small/{path}?format=csv").status_code == 200, path
        assert client.get("/dams/small/records/verify").json()["records"] == 0


def test_a_changed_record_is_not_shown(place: Place) -> None:
    changed = payload_of(place, 2)
    changed["forecast"]["level"][0] += 1
    place.execute("UPDATE forecast_record SET payload = ? WHERE sequence = 2", canonical(changed))
    fresh = Site(place.site.dams, place.site.archive, place.folder / "runs")
    fresh.update()
    state = fresh.snapshot.dams["small"]
    fresh.close()
    assert state.record is None
    assert "The newest forecast is not shown: small-2: its content was changed: it has another hash" in state.notes[0]
    check = place.get("/dams/small/records/verify")
    assert (check["records"], len(check["faults"])) == (2, 1)
    assert place.get("/dams/small/records/verify", head="0" * 64)["faults"]


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
def test_results_that_cannot_be_used_are_left_out(place: Place, text: str | None, sentence: str) -> None:
    path = place.folder / "runs" / "small" / RESULT_FILE
    path.unlink() if text is None else path.write_text(text)
    assert place.site.update(), "a changed file alone is followed"
    answer = place.get("/dams/small/scores")
    assert answer["hindcast"] is None
    assert [note.partition(": ")[2].startswith(sentence) for note in answer["notes"]] == [True]
    assert place.get("/dams/small/forecast")["forecast"], "the record has the forecast itself"


def test_an_archive_that_cannot_be_read_leaves_the_last_state(place: Place) -> None:
    before = place.get("/dams")["dams"]
    path = place.folder / "a.db"
    place.site._state.close()
    place.site.archive.close()
    for file in place.folder.glob("a.db*"):
        file.unlink()
    path.write_bytes(b"no database at all" * 100)
    assert place.site.update()
    answer = place.get("/dams")
    assert answer["failure"].startswith("The archive cannot be read: archive ")
    assert [row["forecast"] for row in answer["dams"]] == [row["forecast"] for row in before]
    assert place.get("/health")["status"] == "failed"


def test_numbers_that_json_lacks_are_null(place: Place) -> None:
    assert content.finite(float("nan")) is content.finite(float("inf")) is content.finite("1") is None
    rows = api.finite_rows(pl.DataFrame({"a": [float("nan"), 1.0], "b": ["NaN", None]}))
    assert rows == [{"a": None, "b": "NaN"}, {"a": 1.0, "b": None}]
