"""`forebay refresh` decides and sends alerts: a rising lake, dead gauges, failures, and URLs that nothing shows."""

from __future__ import annotations

import json
import logging
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forebay.archive.store import open_archive
from forebay.dams.dam import Dam
from forebay.dams.local_time import zone
from forebay.errors import ConfigError
from forebay.jobs import refresh as job
from forebay.jobs.alert_sinks import alert_sinks, silence_libraries
from forebay.services import SERVICES
from forebay.settings import Settings, load_settings
from tests import synthetic
from tests.alert_sinks import hook, mail_server
from tests.command_line import CommandResult, forebay
from tests.loopback import Reply, loopback_server

DAYS = 300
FULL = 96.0
RULE = '[[alerts]]\nid = "spill"\nthreshold = "full_supply"\nwithin_days = 2\nprobability = 0.3\n'
SECRET = "Zq7hunter2Zq8"


def zone_near_noon() -> str:
    """Fixed offset of a zone where it is noon or soon after it, so that no day ends between two steps of a test."""
    offset = 12 - datetime.now(UTC).hour
    return f"{'-' if offset < 0 else '+'}{abs(offset):02}:00"


class Lake:
    """A dam file whose record ends yesterday, and the archive of its refreshes."""

    def __init__(self, folder: Path, rules: str = RULE, *, name: str = "small") -> None:
        self.folder, self.rules = folder, rules
        folder.mkdir(exist_ok=True)
        self.dam: Dam = synthetic.small_dam(
            synthetic.rain_gauge(), full_supply=FULL, hindcast={"leads": (1, 2, 3)}, time_zone=zone_near_noon()
        ).model_copy(update={"id": name})
        rng = np.random.default_rng(4)
        self.level = 95 + np.cumsum(rng.normal(0, 0.02, DAYS))
        self.rain = synthetic.random_rain(DAYS)

    def write(self, last: list[float | None] | None = None, *, days_ago: int = 1) -> Path:
        """Path of the dam file after its last levels are replaced; the last day is `days_ago`."""
        levels: list[float | None] = self.level.tolist()
        if last:
            levels[-len(last) :] = last
        columns = {"reservoir_level": levels, "rainfall": self.rain.tolist()}
        frame = synthetic.daily_frame(self.dam, columns)
        end = self.today() - timedelta(days=days_ago)
        dates = pl.date_range(end - timedelta(days=DAYS - 1), end, eager=True)
        path = synthetic.write_dam(self.dam, frame.with_columns(date=dates), self.folder)
        with path.open("a") as file:
            file.write(self.rules)
        return path

    def today(self) -> date:
        """The present day at the dam."""
        return datetime.now(zone(self.dam.time_zone)).date()

    def refresh(self, *options: str) -> CommandResult:
        """Result of `forebay refresh --json`."""
        return forebay("refresh", self.folder / f"{self.dam.id}.toml", "--json", *options)

    def states(self) -> dict[str, str]:
        """Rule → its present state."""
        with open_archive(os.environ["FOREBAY_ARCHIVE"]) as archive:
            rows = archive.alerts.decisions(self.dam.id)
        return dict(rows.group_by("rule", maintain_order=True).last().select("rule", "state").iter_rows())


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", f"sqlite:///{tmp_path}/archive.db")
    monkeypatch.setenv("FOREBAY_CACHE", str(tmp_path / "cache"))
    return Lake(tmp_path / "lake")


def nearly_full(count: int) -> list[float | None]:
    return [FULL - 0.005] * count


def test_a_rising_lake_sends_one_mail_per_change(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as mailbox, loopback_server(lambda _: Reply(b"{}")) as (service, received):
        monkeypatch.setenv("FOREBAY_ALERT_URLS", f"{mailbox.url}\n{hook(service)}")
        monkeypatch.setenv("FOREBAY_ALERT_SENDER", "forebay@dam.example")
        outcomes = []
        for last in ([95.0] * 3, nearly_full(3), nearly_full(3), [95.0] * 3):
            lake.write(last)
            result = lake.refresh()
            assert result.code == 0, result.err
            outcomes.append(result.json["dams"][0]["alerts"])
        assert outcomes == ["", "spill", "spill", ""]
        assert len(mailbox.subjects) == len(received) == 2
        first, second = mailbox.subjects
        tomorrow = lake.today() + timedelta(days=1)
        assert first.startswith(f"Small Dam (SIMULATED): at or above full supply by {tomorrow}, ")
        assert second.endswith("(alert ended)")
        (stored,) = {path.name for path in Path("runs/small").glob("*.xml")}
        assert stored == "alert_spill.cap.xml"
    text = json.loads(received[0].body)["message"]
    yesterday = lake.today() - timedelta(days=1)
    assert f"At or above full supply (96.000 m) on any day up to {yesterday + timedelta(days=2)}: " in text
    assert f"Reservoir level of {yesterday}: 95.995 m, 0 days old; forecast issued " in text
    assert "with 90% probability" in text
    assert "Forecast record: small-2." in text


def test_a_message_names_no_agency_and_gives_no_advice(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback_server(lambda _: Reply(b"{}")) as (service, received):
        monkeypatch.setenv("FOREBAY_ALERT_URLS", hook(service))
        for last in (nearly_full(3), [None] * 6):
            lake.write(last)
            lake.refresh()
    assert len(received) == 2
    for request in received:
        text = request.body.decode().lower()
        assert not [service.title for service in SERVICES.values() if service.title.lower() in text]
        for word in ("release", "open the gate", "evacuat", "should", "must"):
            assert word not in text, word


@pytest.mark.parametrize(
    "last",
    [[None] * 6, [9999.0] * 6, [-999.0] * 6],
    ids=["silent", "above the lake", "sentinel"],
)
@pytest.mark.parametrize("before", [95.0, FULL - 0.03])
def test_a_dead_level_gauge_raises_a_data_alert_and_no_flood_alert(
    lake: Lake, last: list[float | None], before: float
) -> None:
    """Rain goes on, and the lake may be near full supply: the flood alert keeps its state and says so."""
    lake.rules = RULE.replace("0.3", "0.9")
    lake.rain[-6:] = 80.0
    lake.level += before - lake.level[-7]
    lake.write(last)
    assert lake.refresh().json["dams"][0]["alerts"] == "data"
    assert lake.states() == {"spill": "clear", "data": "raised"}
    with open_archive(os.environ["FOREBAY_ARCHIVE"]) as archive:
        rows = archive.alerts.decisions().to_dicts()
    flood, data = (next(row for row in rows if row["rule"] == rule) for rule in ("spill", "data"))
    assert (flood["probability"], flood["unknown_since"]) == (None, flood["decided_at"])
    assert "The level is 6 days old, so this alert keeps its last state" in flood["text"]
    assert "newest usable value 6 days old (limit 3)" in data["text"]
    assert data["title"].startswith("Small Dam (SIMULATED): no new data of ")


def test_an_alert_that_is_raised_stays_when_the_gauge_dies_and_ends_with_new_data(lake: Lake) -> None:
    lake.level += FULL - 0.005 - lake.level[-1]
    lake.write()
    lake.refresh()
    assert lake.states() == {"spill": "raised", "data": "clear"}
    lake.write([None] * 5)
    lake.refresh()
    assert lake.states() == {"spill": "raised", "data": "raised"}
    lake.write((lake.level[-6] - 0.06 * np.arange(1, 6)).tolist())
    lake.refresh()
    assert lake.states() == {"spill": "clear", "data": "clear"}


def test_a_lost_message_is_reported_until_the_state_changes(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback_server(lambda _: Reply(b"no", 500)) as (service, received):
        monkeypatch.setenv("FOREBAY_ALERT_URLS", hook(service))
        lake.write(nearly_full(3))
        first, second = lake.refresh(), lake.refresh()
        assert len(received) == 1
    assert (first.code, second.code) == (1, 1)
    assert "the server did not accept it" in first.json["dams"][0]["alert_failure"]
    assert "not known to be delivered" not in first.json["dams"][0]["alert_failure"]
    assert second.json["dams"][0]["alert_failure"] == (
        "alerts sent before: 1 not known to be delivered; see `forebay alerts list`"
    )


def test_an_unknown_probability_of_a_current_forecast_is_a_data_alert(lake: Lake) -> None:
    """Full supply is in force from a later day on: it is unknown now, and the level is new."""
    path = lake.write()
    path.write_text(path.read_text().replace("= 96.0", "= { dated = [{ from = 2100-01-01, value = 96.0 }] }"))
    row = lake.refresh().json["dams"][0]
    assert row["failure"] is None
    assert lake.states() == {"spill": "clear", "data": "raised"}


def test_a_record_that_ended_weeks_ago_raises_no_flood_alert(lake: Lake) -> None:
    lake.write(nearly_full(3), days_ago=20)
    lake.refresh()
    assert lake.states() == {"spill": "clear", "data": "raised"}


@pytest.mark.parametrize(("days_ago", "states"), [(2, "raised clear"), (3, "clear raised"), (4, "clear raised")])
def test_days_that_have_passed_raise_no_flood_alert(lake: Lake, days_ago: int, states: str) -> None:
    """The level is not too old for a forecast, but the two days of the rule end today, or they are over."""
    lake.write(nearly_full(6), days_ago=days_ago)
    lake.refresh()
    assert lake.states() == dict(zip(("spill", "data"), states.split(), strict=True))
    with open_archive(os.environ["FOREBAY_ARCHIVE"]) as archive:
        texts = dict(archive.alerts.decisions().select("rule", "text").iter_rows())
    if days_ago > 2:
        last = lake.today() - timedelta(days=days_ago - 2)
        assert f"so the days of this rule, up to {last}, have passed" in texts["spill"]
        assert "The probability is unknown for the alert spill." in texts["data"]


def test_a_rule_on_a_rain_gauge_watches_it_alone(lake: Lake) -> None:
    lake.rules = RULE + '[[alerts]]\nid = "rain"\nkind = "data"\ngauges = ["r1"]\nmax_age_days = 2\n'
    lake.rain[-3:] = np.nan
    path = lake.write()
    text = path.with_name("small.csv").read_text().replace("NaN", "")
    path.with_name("small.csv").write_text(text)
    lake.refresh()
    assert lake.states() == {"spill": "clear", "rain": "raised"}


def test_without_a_forecast_the_data_alert_says_why(lake: Lake) -> None:
    for file in lake.write().parent.glob("*.csv"):
        file.unlink()
    result = lake.refresh()
    assert result.code == 1
    with open_archive(os.environ["FOREBAY_ARCHIVE"]) as archive:
        rows = {row["rule"]: row for row in archive.alerts.decisions().to_dicts()}
    assert rows["data"]["state"] == "raised"
    assert rows["data"]["record"] is None
    assert "No forecast could be made: " in rows["data"]["text"]
    assert (rows["spill"]["state"], rows["spill"]["probability"]) == ("clear", None)


def test_the_faults_of_alerts_stop_neither_the_forecast_nor_another_dam(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One dam's rules are wrong, another one's alerts have a fault that nobody expects."""
    wrong, broken = Lake(tmp_path / "wrong", name="wrong"), Lake(tmp_path / "broken", name="broken")
    paths = [each.write(nearly_full(3)) for each in (wrong, broken, lake)]
    (tmp_path / "wrong" / "alerts.toml").write_text('[[wrong]]\nid = "x"\n')
    decide = job.decide_alerts

    def fails_once(alerts: object, situation: job.Situation, rules: object) -> object:
        if situation.dam.id == "broken":
            raise ZeroDivisionError("division by zero")
        return decide(alerts, situation, rules)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(job, "decide_alerts", fails_once)
    result = forebay("refresh", *paths, "--json")
    assert result.code == 1
    rows = {row["dam"]: row for row in result.json["dams"]}
    assert [row["failure"] for row in rows.values()] == [None] * 3
    assert "key threshold is missing" in rows["wrong"]["alert_failure"]
    assert "unexpected ZeroDivisionError" in str(rows["broken"]["alert_failure"])
    assert (rows["small"]["alerts"], rows["small"]["alert_failure"]) == ("spill", None)
    assert result.json["failed"] == ["wrong", "broken"]


def test_a_folder_that_cannot_be_written_stops_no_message(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forecast is recorded, so it decides the alerts, although its files and the CAP file cannot be written."""
    lake.write(nearly_full(3))
    Path("runs").mkdir()
    Path("runs/small").write_text("a file, no folder")
    monkeypatch.setenv("FOREBAY_ALERT_SENDER", "forebay@dam.example")
    with mail_server() as mailbox:
        monkeypatch.setenv("FOREBAY_ALERT_URLS", mailbox.url)
        result = lake.refresh()
    (row,) = result.json["dams"]
    assert result.code == 1
    assert "runs/small" in row["failure"]
    assert "runs/small" in row["alert_failure"]
    assert row["alerts"] == "spill"
    assert len(mailbox.subjects) == 1
    assert "at or above full supply by " in mailbox.subjects[0]


@pytest.mark.slow
def test_a_refresh_that_is_killed_at_random_moments_sends_nothing_twice(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lake fills and falls in turn; each state of the lake has a refresh that is killed, and one that ends."""
    rng, kills = random.Random(3), 0
    program = "import sys; from forebay.cli import main; main()"
    command = [sys.executable, "-c", program, "refresh", "lake/small.toml", "--json"]
    with loopback_server(lambda _: Reply(b"{}")) as (service, received):
        monkeypatch.setenv("FOREBAY_ALERT_URLS", hook(service))
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        lake.write([95.0] * 3)
        begun = time.monotonic()
        subprocess.run(command, env=environ, check=True, capture_output=True)
        duration = time.monotonic() - begun
        for turn in range(8):
            lake.write([95.0] * 3 if turn % 2 else nearly_full(3))
            process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.5, 1.1) * duration)
            kills += process.poll() is None
            process.kill()
            process.wait(60)
            subprocess.run(command, env=environ, check=False, capture_output=True)
        with open_archive(os.environ["FOREBAY_ARCHIVE"]) as archive:
            decisions, deliveries = archive.alerts.decisions(), archive.alerts.deliveries()
    messages = Counter(json.loads(request.body)["message"] for request in received)
    records = [text.partition("Forecast record: ")[2].split(".")[0] for text in messages]
    assert set(messages.values()) == {1}
    assert len(set(records)) == len(records), "two messages about one record"
    changes = decisions.filter(rule="spill", is_change=True)
    assert changes["change"].to_list() == list(range(1, 9)), "each state of the lake is one change"
    lost = deliveries.filter(pl.col("outcome").is_null()).height
    assert len(received) >= 8 - lost >= 8 - kills
    assert set(records) <= set(changes["record"])


def test_a_dam_without_rules_has_no_alerts(lake: Lake) -> None:
    lake.rules = ""
    lake.write(nearly_full(3))
    row = lake.refresh().json["dams"][0]
    assert (row["alerts"], row["alert_failure"]) == (None, None)
    assert lake.states() == {}
    assert "has no alert rules; add [[alerts]] to its dam file" in forebay("alerts", "list", "lake/small.toml").out
    Path("lake/alerts.toml").write_text("[[smaller]]\n[[other]]\n")
    remedy = "add [[alerts]] to its dam file, or [[small]] to alerts.toml"
    sentence = f"alerts.toml has rules of smaller, other only; {remedy}"
    assert sentence in " ".join(forebay("alerts", "list", "lake/small.toml").out.split()), "a misspelt id is visible"
    Path("lake/alerts.toml").unlink()


# --- URLs that nothing shows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "json://me:{s}@{place}/{s}?token={s}",
        "mailto://me:{s}@{place}?smtp={host}&from={s}@x.y&to=a@b.c",
        "nonsense://{s}@{place}",
        "json://{place}/{s}?retry=2",
    ],
)
def test_no_url_reaches_an_output_the_log_the_archive_or_a_file(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, form: str
) -> None:
    """A refusing service, whose answer repeats the URL; every log at its finest level."""
    lake.write(nearly_full(3))

    def answer(request: object) -> Reply:
        return Reply(f"bad request {request}".encode(), 500)

    outputs = []
    with caplog.at_level(logging.DEBUG), loopback_server(answer) as (service, _):
        place = service.removeprefix("http://")
        url = form.format(s=SECRET, place=place, host="127.0.0.1")
        monkeypatch.setenv("FOREBAY_ALERT_URLS", url)
        outputs.append(lake.refresh("--log-level", "debug"))
        for command in (("alerts", "list", "lake/small.toml"), ("alerts", "send"), ("settings",),
                        ("settings", "--json"), ("alerts", "list", "lake/small.toml", "--json")):  # fmt: skip
            outputs.append(forebay(*command, "--log-level", "debug"))
    assert lake.states()["spill"] == "raised"
    texts = [text for output in outputs for text in (output.out, output.err)] + [caplog.text]
    assert not [text for text in texts if SECRET in text or place in text]
    with closing(sqlite3.connect(tmp_path / "archive.db")) as connection:
        assert SECRET not in "\n".join(connection.iterdump())
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in (".json", ".csv", ".xml")]
    assert written
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]


def test_urls_stand_in_no_settings_file_and_in_a_file_that_only_its_owner_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "forebay.toml").write_text(f'alert_urls = "json://{SECRET}@127.0.0.1/"\n')
    with pytest.raises(ConfigError, match="setting alert_urls must not be in a file; set the environment variable"):
        load_settings(tmp_path, {})
    file = tmp_path / "urls"
    file.write_text(f"# mail\njson://me:{SECRET}@127.0.0.1/\n\nnonsense://{SECRET}\n")
    settings = Settings(alert_urls_file=str(file))
    for mode in (0o644, 0o640, 0o604, 0o660):
        file.chmod(mode)
        with pytest.raises(ConfigError, match=f"has mode {mode:04o}, so others may read") as caught:
            alert_sinks(settings)
        assert SECRET not in str(caught.value)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="apprise cannot read URL 2 of 2") as caught:
        alert_sinks(settings)
    assert SECRET not in str(caught.value)
    file.write_text(f"json://me:{SECRET}@127.0.0.1/a\njson://me:other@127.0.0.1/b\njson://me:third@127.0.0.1/b\n")
    names = [sink.name for sink in alert_sinks(settings)]
    assert len(set(names)) == 3, "two sinks that differ in their password alone have two names"
    assert SECRET not in repr(alert_sinks(settings))
    with pytest.raises(ConfigError, match="are both set; keep one of them"):
        alert_sinks(Settings.model_validate({"alert_urls_file": str(file), "alert_urls": "json://x"}))
    with pytest.raises(ConfigError, match="is no file"):
        alert_sinks(Settings(alert_urls_file=str(tmp_path)))
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        alert_sinks(Settings(alert_urls_file=str(tmp_path / "none")))


def test_a_changed_password_is_the_same_sink() -> None:
    first, second = (
        alert_sinks(Settings.model_validate({"alert_urls": f"mailto://me:{word}@dam.example"}))[0].name
        for word in (SECRET, "another")
    )
    assert first == second


def test_the_name_of_a_sink_depends_on_its_address_and_recipients_alone() -> None:
    """Options, such as those that a newer apprise adds to an address, change no name; a repeated URL is one sink."""
    base = "mailtos://me:word@mail.example.org?to=duty@dam.example"
    urls = [base, base, base.replace("duty", "chief"), "json://h.example/x", "json://h.example/y"]
    names = [sink.name for sink in alert_sinks(Settings.model_validate({"alert_urls": " ".join(urls)}))]
    assert len(set(names)) == len(names) == 4
    assert all(name.count("-") == 1 for name in names)
    options = [f"{base}&cto=3.5&format=html", f"{base}&rto=9&overflow=split"]
    for url in options:
        (sink,) = alert_sinks(Settings.model_validate({"alert_urls": url}))
        assert sink.name == names[0]


def test_without_apprise_the_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    silence_libraries()
    monkeypatch.setattr("forebay.jobs.results.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"apprise is not installed; .* alerts: pip install 'forebay\[alerts\]'"):
        alert_sinks(Settings.model_validate({"alert_urls": "json://127.0.0.1"}))


def test_apprise_is_not_imported_without_a_url(lake: Lake) -> None:
    lake.write()
    program = "import sys; from forebay.cli import main; sys.argv = ['forebay', 'refresh', 'lake/small.toml']; main(); "
    program += "print('apprise' in sys.modules)"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", program], env=environ, text=True, capture_output=True, check=True)
    assert result.stdout.splitlines()[-1] == "False"
