"""The state of an alert: hysteresis, minimum duration, unknown forecasts; and its decisions in both databases."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from forebay.archive import upkeep
from forebay.archive.alerts import Message
from forebay.archive.database import SCHEMA_VERSION
from forebay.archive.store import open_archive
from forebay.dams.alert_rules import AlertRule
from forebay.forecasts.alerts import raised_days
from tests.alert_sinks import FIRST_DAY, RULE, decide
from tests.postgres import Cluster


def by_definition(values: list[float | None], start: float, end: float, duration: int) -> list[bool]:
    """Whether the alert is raised, by looking back from each day: no state is carried."""
    raised = []
    for day in range(len(values)):
        last_raise = last_end = -1
        for k in range(day + 1):
            window = values[max(0, k - duration + 1) : k + 1]
            if len(window) == duration and all(v is not None and v >= start for v in window):
                last_raise = k
            value = values[k]
            if value is not None and value < end:
                last_end = k
        raised.append(last_raise > last_end)
    return raised


@pytest.mark.parametrize("duration", [1, 2, 3])
def test_the_state_is_that_of_the_definition(duration: int) -> None:
    """All sequences of six days: unknown, below the end, at the end, at the start of an alert."""
    rule = RULE.model_copy(update={"min_duration": duration})
    for values in product((None, 0.29, 0.3, 0.5), repeat=6):
        raised = raised_days(rule, np.array([np.nan if value is None else value for value in values])).tolist()
        assert raised == by_definition(list(values), 0.5, 0.3, duration), values
        before = [False, *raised[:-1]]
        assert all(raised[day] == before[day] for day, value in enumerate(values) if value is None), values


def test_decisions_are_stored_with_their_records_and_equal_the_hindcast(url: str) -> None:
    values = [0.1, 0.6, None, 0.35, 0.29, 0.5]
    with open_archive(url) as archive:
        decided = decide(archive.alerts, values)
        stored = archive.alerts.decisions("lake")
    assert stored.equals(decided)
    assert stored["record"].to_list() == [f"lake-{k}" for k in range(1, 7)]
    expected = raised_days(RULE, np.array([np.nan if value is None else value for value in values]))
    assert expected.tolist() == [False, True, True, True, False, True]
    assert [state == "raised" for state in stored["state"]] == expected.tolist()
    assert stored["change"].to_list() == [0, 1, 1, 1, 2, 3]
    assert stored["unknown_since"].is_null().to_list() == [True, True, False, True, True, True]
    assert stored["since"][3] == stored["decided_at"][1]
    assert stored["probability"].to_list() == values


def test_an_alert_is_unknown_since_the_first_forecast_without_its_probability(url: str) -> None:
    with open_archive(url) as archive:
        rows = decide(archive.alerts, [0.6, None, None, 0.4, None])
    times = rows["decided_at"].to_list()
    assert len(set(times)) == 5
    assert rows["unknown_since"].to_list() == [None, times[1], times[1], None, times[4]]
    assert rows["since"].to_list() == [times[0]] * 5 and rows["state"].unique().to_list() == ["raised"]
    assert rows["streak"].to_list() == [1, 0, 0, 0, 0]


def test_an_unknown_probability_ends_the_days_in_a_row(url: str) -> None:
    rule = RULE.model_copy(update={"min_duration": 2})
    with open_archive(url) as archive:
        rows = decide(archive.alerts, [0.6, None, 0.6, 0.6], rule=rule)
    assert rows["state"].to_list() == ["clear", "clear", "clear", "raised"]


def test_a_record_is_decided_once(url: str) -> None:
    with open_archive(url) as archive:
        decide(archive.alerts, [0.1, 0.9])
        assert decide(archive.alerts, [0.1, 0.1]).is_empty()
        assert archive.alerts.decisions()["state"].to_list() == ["clear", "raised"]


def test_a_slow_process_with_an_older_forecast_changes_nothing(url: str) -> None:
    with open_archive(url) as archive:
        decide(archive.alerts, [0.1], first=5)
        assert decide(archive.alerts, [0.9], first=4).is_empty()
        assert archive.alerts.decisions()["state"].to_list() == ["clear"]


def test_forecasts_of_one_day_count_once_towards_the_duration(url: str) -> None:
    """A forecast that is issued again on the same day replaces the first one."""
    rule = RULE.model_copy(update={"min_duration": 2})
    with open_archive(url) as archive:
        for number, (day, value) in enumerate([(1, 0.9), (1, 0.9), (2, 0.1), (2, 0.9), (3, 0.2), (4, 0.9)], start=1):
            init_date = FIRST_DAY + timedelta(days=day)
            decide(archive.alerts, [value], rule=rule, first=number, day=init_date)
        states = archive.alerts.decisions()["state"].to_list()
    assert states == ["clear", "clear", "clear", "raised", "clear", "clear"]


def test_a_rule_that_asks_another_question_starts_again(url: str) -> None:
    with open_archive(url) as archive:
        decide(archive.alerts, [0.9])
        other = AlertRule.model_validate(RULE.model_dump() | {"within_days": 5})
        decided = decide(archive.alerts, [0.9, 0.9], rule=other, first=2)
    assert decided.select("state", "change", "is_change").rows() == [("clear", 2, True), ("raised", 3, True)]


def test_only_consecutive_days_count_towards_the_duration(url: str) -> None:
    """A day without a refresh has no forecast: the hindcast has no value there, and starts the count again."""
    rule = RULE.model_copy(update={"min_duration": 2})
    with open_archive(url) as archive:
        for number, day in enumerate([1, 3, 9, 10], start=1):
            decide(archive.alerts, [0.9], rule=rule, first=number, day=FIRST_DAY + timedelta(days=day))
        states = archive.alerts.decisions()["state"].to_list()
    assert states == ["clear", "clear", "clear", "raised"]
    values = np.full(10, np.nan)
    values[[0, 2, 8, 9]] = 0.9
    assert raised_days(rule, values)[[0, 2, 8, 9]].tolist() == [state == "raised" for state in states]


def test_days_of_another_question_do_not_count_towards_the_duration(url: str) -> None:
    """Also where the forecast of the day is issued again after the first decision of the new rule."""
    old = RULE.model_copy(update={"min_duration": 2, "probability": 0.95})
    new = AlertRule.model_validate(old.model_dump() | {"within_days": 5, "probability": 0.5})
    with open_archive(url) as archive:
        decide(archive.alerts, [0.96], rule=old)
        decide(archive.alerts, [0.9, 0.9], rule=new, first=2, day=FIRST_DAY + timedelta(days=2))
        assert archive.alerts.decisions()["state"].to_list() == ["clear"] * 3
        decide(archive.alerts, [0.9], rule=new, first=4, day=FIRST_DAY + timedelta(days=3))
        assert archive.alerts.decisions()["state"].to_list()[-1] == "raised"


def test_a_message_is_claimed_once_and_only_while_it_is_the_newest(url: str) -> None:
    with open_archive(url) as archive:
        decide(archive.alerts, [0.9])
        first = Message("lake", "spill", 1, "a")
        assert [archive.alerts.claim(first) for _ in range(3)] == [True, False, False]
        assert archive.alerts.claim(Message("lake", "spill", 1, "b"))
        decide(archive.alerts, [0.1], first=2)
        assert not archive.alerts.claim(Message("lake", "spill", 1, "c")), "the alert has ended meanwhile"
        archive.alerts.confirm(first, "delivered")
        archive.alerts.confirm(first, "failed")
        rows = archive.alerts.deliveries()
    assert rows.select("sink", "outcome").rows() == [("a", "delivered"), ("b", None)]


def test_check_reports_decisions_that_are_gone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with open_archive(url) as archive:
        decide(archive.alerts, [0.1, 0.9, 0.1])
        archive.alerts.claim(Message("lake", "spill", 2, "a"))
        now = archive.alerts.now()
    assert not upkeep.check(url, now).fault_summary
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute("DELETE FROM alert_decision WHERE number = 2")
    assert upkeep.check(url, now).fault_summary == (
        "1 with a decision of an alert that does not follow the one before; 1 with a change of an alert that does not "
        "follow the one before"
    )


# --- schema 5 ---------------------------------------------------------------------------------------------------------


def test_reading_leaves_schema_5_and_the_first_decision_upgrades_it(tmp_path: Path) -> None:
    schema_5 = Path(__file__).parent / "archives" / "schema_5.db"
    path = tmp_path / "forebay.db"
    shutil.copy(schema_5, path)
    before, url = path.read_bytes(), f"sqlite:///{path}"
    with open_archive(url, create=False) as archive:
        assert archive.alerts.decisions().is_empty()
        assert archive.alerts.deliveries().is_empty()
        now = archive.alerts.now()
        versions = upkeep.check(url, now).versions
        upkeep.backup(url, tmp_path / "backup.db")
        assert path.read_bytes() == before
        decide(archive.alerts, [0.9])
        assert archive.alerts.claim(Message("lake", "spill", 1, "a"))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM archive_schema").fetchall() == [(SCHEMA_VERSION,)]
    checked = upkeep.check(url, now + timedelta(minutes=1))
    assert (checked.versions, checked.fault_summary) == (versions, "")
    upkeep.restore(tmp_path / "backup.db", f"sqlite:///{tmp_path}/new.db", now)


def test_a_postgresql_archive_of_schema_5_is_upgraded(postgres: Cluster) -> None:
    url = postgres.new()
    open_archive(url).close()
    postgres.execute("DROP TABLE alert_decision, alert_delivery; UPDATE archive_schema SET version = 5", url)
    with open_archive(url) as archive:
        decide(archive.alerts, [0.9])
        assert archive.alerts.decisions().height == 1
    assert postgres.execute("SELECT version FROM archive_schema", url) == [(SCHEMA_VERSION,)]


@pytest.mark.parametrize("schema", [3, 4])
def test_an_older_archive_is_upgraded_by_all_steps(tmp_path: Path, schema: int) -> None:
    shutil.copy(Path(__file__).parent / "archives" / f"schema_{schema}.db", tmp_path / "a.db")
    with open_archive(f"sqlite:///{tmp_path}/a.db") as archive:
        decide(archive.alerts, [0.9])
        assert archive.alerts.decisions().height == 1
