"""Scores of alerts against direct counts, and over the record of a simulated lake."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.dams.alert_rules import AlertRule
from forebay.dams.thresholds import ReferenceLevel
from forebay.forecasts.alerts import raised_days
from forebay.forecasts.record import Content
from forebay.jobs.alert_trial import of_issued, with_probability
from forebay.verify.alert_scores import AlertDays, days_beyond, score_alert
from tests import synthetic
from tests.command_line import forebay

NAN = np.nan
LAKE = synthetic.small_dam(full_supply=96.0, hindcast={"leads": (1, 2)})


def alert(raised: str, beyond: str, within_days: int = 2, scored: str | None = None) -> AlertDays:
    """An alert as text, a letter a day: raised (#) or not; beyond the threshold (1), not (0) or unknown (?)."""
    flags = {"1": 1.0, "0": 0.0, "?": NAN}
    in_window = np.ones(len(raised), bool) if scored is None else np.array([c == "s" for c in scored])
    values = np.array([flags[c] for c in beyond])
    return AlertDays(np.array([c == "#" for c in raised]), values, in_window, within_days)


def counts(case: AlertDays, lead: int) -> tuple[object, ...]:
    row = score_alert(case, lead)
    return tuple(row[name] for name in ("events", "hits", "misses", "alarms", "false_alarms"))


@pytest.mark.parametrize(
    ("raised", "beyond", "day_1", "day_2"),
    [
        ("..##....", "00001100", (1, 1, 0, 1, 0), (1, 1, 0, 1, 0)),  # raised two days before the event
        ("...#....", "00001100", (1, 1, 0, 1, 0), (1, 0, 1, 1, 0)),  # one day before: no hit at two days
        ("....##..", "00001100", (1, 0, 1, 1, 0), (1, 0, 1, 1, 0)),  # on the day: late, but no false alarm
        ("#.......", "00001100", (1, 0, 1, 1, 1), (1, 0, 1, 1, 1)),  # ended too early
        (".#......", "00001100", (1, 0, 1, 1, 1), (1, 0, 1, 1, 1)),  # the event comes on the third day after it
        ("..#.....", "00001100", (1, 0, 1, 1, 0), (1, 1, 0, 1, 0)),  # the event comes on the second day after it
        ("........", "00001100", (1, 0, 1, 0, 0), (1, 0, 1, 0, 0)),
        ("..#.....", "00000000", (0, 0, 0, 1, 1), (0, 0, 0, 1, 1)),
    ],
)
def test_one_event(raised: str, beyond: str, day_1: tuple[int, ...], day_2: tuple[int, ...]) -> None:
    case = alert(raised, beyond)
    assert counts(case, 1) == day_1
    assert counts(case, 2) == day_2


def test_an_event_counts_once_however_often_it_or_the_alert_pauses() -> None:
    """Days beyond the threshold with 10 days between them are one event; with 11 days they are two."""
    pause = "0" * 9
    assert counts(alert("..#.#" + "." * 7 + "#.", "0001" + pause + "1"), 1) == (1, 1, 0, 3, 0)
    assert counts(alert("..#.#" + "." * 8 + "#.", "0001" + pause + "01"), 1) == (2, 2, 0, 3, 1)


def test_unknown_levels_are_left_out() -> None:
    row = score_alert(alert("...#....#...", "0?01?1000?00"), 1)
    assert (row["events"], row["left_out_events"]) == (1, 0)
    unknown = score_alert(alert("#...........#..", "0?0000000000?10"), 1)
    assert (unknown["events"], unknown["left_out_events"], unknown["left_out_alarms"]) == (0, 1, 1)
    assert unknown["csi"] is None
    at_the_end = score_alert(alert("....#", "00000"), 1)
    assert (at_the_end["false_alarms"], at_the_end["left_out_alarms"]) == (0, 1), "its outcome is not observed yet"


def test_only_alerts_and_events_of_the_window_count() -> None:
    case = alert("..#...#...", "0001000000", scored="....ssssss")
    assert counts(case, 1) == (0, 0, 0, 1, 1)
    assert score_alert(case, 1)["n"] == 6
    since_before = alert("#" * 30, "0" * 29 + "1", scored="...." + "s" * 26)
    assert counts(since_before, 1) == (1, 1, 0, 1, 1), "it was wrong for weeks, though it was raised before the window"


@pytest.mark.parametrize(
    ("scored", "one", "two"), [("..ss...", 1, 0), (".sss...", 1, 1), (".s.....", 0, 1), ("...s...", 0, 0)]
)
def test_an_event_counts_if_the_day_of_its_forecast_does(scored: str, one: int, two: int) -> None:
    case = alert(".###...", "0001000", scored=scored)
    assert [score_alert(case, lead)["events"] for lead in (1, 2)] == [one, two]
    days = [raised == "#" for raised, count in zip(".###...", scored, strict=True) if count == "s"]
    assert score_alert(case, 1)["raised_share"] == sum(days) / len(days)


def test_the_share_of_raised_days_is_that_of_the_window() -> None:
    assert score_alert(alert("###...#", "0" * 7, scored="..sssss"), 1)["raised_share"] == 2 / 5


def test_the_lead_time_is_counted_from_the_raised_alert() -> None:
    row = score_alert(alert(".####.." + "." * 10 + "..#.", "0000100" + "0" * 10 + "0001"), 1)
    assert (row["hits"], row["lead_days"], row["csi"]) == (2, 2.0, 1.0)
    assert row["raised_share"] == 5 / 21


@pytest.mark.parametrize(
    ("after", "false"),
    [("00", 1), ("0?", 0), ("?0", 0), ("0", 0), ("00?", 1)],  # the days that the wrong days are about
)
def test_wrong_days_count_only_if_all_that_follows_them_is_known(after: str, false: int) -> None:
    case = alert("#" * 15 + "." * len(after), "1" + "0" * 14 + after)
    assert counts(case, 1) == (0, 0, 0, 1, false)


def test_alarms_are_those_whose_outcome_is_known() -> None:
    row = score_alert(alert("..#....#....#", "0001000000000"), 1)
    assert (row["alarms"], row["false_alarms"], row["left_out_alarms"]) == (2, 1, 1)


def test_without_a_scored_day_nothing_is_divided() -> None:
    row = score_alert(alert("..#.", "0001", scored="...."), 1)
    names = ("csi", "false_alarms_per_year", "raised_share", "lead_days")
    assert (row["n"], row["alarms"], [row[name] for name in names]) == (0, 0, [None] * 4)


def test_an_alert_that_is_always_raised_scores_badly() -> None:
    """Three events in 90 days: each pause of more than 10 days between them is a false alarm."""
    beyond = ("0" * 29 + "1") * 3
    row = score_alert(alert("#" * 90, beyond), 1)
    assert (row["hits"], row["false_alarms"], row["csi"]) == (3, 3, 0.5)
    assert row["lead_days"] == 30
    sometimes = score_alert(alert(("." * 17 + "#" * 12 + ".") * 3, beyond), 1)
    assert (sometimes["hits"], sometimes["false_alarms"]) == (3, 0), "10 days of patience and 2 of the rule"
    longer = score_alert(alert(("." * 16 + "#" * 13 + ".") * 3, beyond), 1)
    assert (longer["hits"], longer["false_alarms"]) == (3, 3)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.9]), st.sampled_from([0.0, 1.0, NAN])), min_size=3, max_size=60),
       st.integers(1, 3), st.sampled_from([1, 2]))  # fmt: skip
def test_scores_equal_a_count_day_by_day(days: list[tuple[float, float]], within: int, lead: int) -> None:
    values, beyond = (np.array(column) for column in zip(*days, strict=True))
    rule = AlertRule(id="a", threshold="full_supply", within_days=within, probability=0.5, clear_probability=0.3)
    raised = raised_days(rule, values)
    row = score_alert(AlertDays(raised, beyond, np.ones(len(values), bool), within), lead)
    hits = misses = unknown = 0
    last = None
    for day, is_beyond in enumerate(beyond):
        if is_beyond == 1:
            if (last is None or day - last > 10) and day >= lead:
                if beyond[day - 1] == 0:
                    hits += bool(raised[day - lead])
                    misses += not raised[day - lead]
                else:
                    unknown += 1
            last = day
    assert (row["hits"], row["misses"], row["left_out_events"]) == (hits, misses, unknown)
    false = 0
    for day in range(len(values)):
        if raised[day] and not (day and raised[day - 1]):
            end = day
            while end + 1 < len(values) and raised[end + 1]:
                end += 1
            after = [beyond[k] if k < len(values) else NAN for k in range(day, end + within + 1)]
            is_pause = any(
                beyond[a] == beyond[b] == 1 and b - a <= 10 and a <= end + within and b >= day
                for a in range(len(values)) for b in range(a, len(values))
            )  # fmt: skip
            is_event = is_pause or any(value == 1 for value in after)
            false += all(value == 0 for value in after) and not is_event
            run = 0
            for k in range(day, end + 1 if is_event else day):
                right = any(
                    beyond[a] == beyond[b] == 1 and b - a <= 10 and a <= k + within and b >= k
                    for a in range(len(values)) for b in range(a, len(values))
                )  # fmt: skip
                run = 0 if right else run + 1
                if run and (k == end or any(
                    beyond[a] == beyond[b] == 1 and b - a <= 10 and a <= k + 1 + within and b >= k + 1
                    for a in range(len(values)) for b in range(a, len(values))
                )):  # fmt: skip
                    window = [beyond[j] if j < len(values) else NAN for j in range(k - run + 1, k + within + 1)]
                    false += run > 10 and not any(np.isnan(value) for value in window)
    assert row["false_alarms"] == false
    total = hits + misses + false
    assert row["csi"] == (hits / total if total else None)


def test_a_day_on_an_unknown_datum_is_neither_an_event_nor_none() -> None:
    """At the threshold counts in both directions; full supply changes on the third day."""
    days = np.arange("2024-01-01", "2024-01-06", dtype="datetime64[D]")
    observed, withheld = np.array([96.0, 95.9, 96.5, NAN, 99.0]), np.array([False] * 4 + [True])
    full = {"dated": [{"from": "2023-01-01", "value": 96.0}, {"from": "2024-01-03", "value": 97.0}]}
    level = ReferenceLevel.model_validate(full, strict=False)
    for mask, last in ((withheld, NAN), (None, 1.0)):
        samples = SimpleNamespace(dates=days, observed=observed, withheld=mask)
        above = days_beyond(samples, level, "above")  # type: ignore[arg-type]  # these columns alone
        below = days_beyond(samples, level, "below")  # type: ignore[arg-type]  # these columns alone
        np.testing.assert_array_equal(above, [1, 0, 0, NAN, last])
        np.testing.assert_array_equal(below, [1, 1, 1, NAN, NAN if np.isnan(last) else 0])


@pytest.mark.parametrize(("clear", "share"), [(None, 0.6), (0.1, 0.25), (0.4, 1.0)])
def test_another_probability_keeps_the_share_at_which_the_alert_ends(clear: float | None, share: float) -> None:
    rule = AlertRule(id="a", threshold="full_supply", within_days=2, probability=0.4, clear_probability=clear)
    for probability in (0.02, 0.8):
        assert with_probability(rule, probability).limits == pytest.approx((probability, share * probability))


def record(number: int, probability: float | None, *, day: date, level_age: int = 0, late_days: int = 0) -> Content:
    """What `alerts test` reads of a record."""
    init = datetime(day.year, day.month, day.day, 14, tzinfo=UTC)
    names = ("threshold", "direction", "kind", "lead_time", "probability")
    rows = [("full_supply", "above", "by", 1, 0.99), ("full_supply", "below", "by", 2, 0.99),
            ("full_supply", "above", "on", 2, 0.99), ("full_supply", "above", "by", 2, probability)]  # fmt: skip
    columns = zip(*(row for row in rows if row[-1] is not None), strict=True)
    return {
        "init_date": day.isoformat(),
        "init_time": f"{init:%Y-%m-%dT%H:%M:%S.%fZ}",
        "issue_time": f"{init + timedelta(days=late_days, hours=8):%Y-%m-%dT%H:%M:%S.%fZ}",
        "dam_file": {"target": LAKE.target.model_dump()},
        "forecast": {"level_date": [(day - timedelta(days=level_age)).isoformat()]},
        "probabilities": dict(zip(names, map(list, columns), strict=True)),
        "id": number,
    }


def test_issued_forecasts_are_those_of_the_records(tmp_path: Path) -> None:
    """A forecast that is too late is unknown, as is a day without one; a record of another target is left out."""
    days = np.arange("2024-01-01", "2024-01-21", dtype="datetime64[D]")
    samples = SimpleNamespace(dates=days)
    start = date(2024, 1, 3)
    contents = [
        record(1, 0.2, day=start),
        record(2, 0.7, day=start + timedelta(days=1)),
        record(3, 0.8, day=start + timedelta(days=2), level_age=4),
        record(4, 0.8, day=start + timedelta(days=3), level_age=2, late_days=2),
        record(5, 0.6, day=start + timedelta(days=4), level_age=2, late_days=1),
        record(6, None, day=start + timedelta(days=5)),
        record(7, 0.1, day=start + timedelta(days=8)),
        record(10, 0.9, day=start + timedelta(days=7), late_days=2),
        record(8, 0.9, day=start + timedelta(days=9)) | {"dam_file": {"target": {}}},
        record(9, 0.9, day=date(2025, 1, 1)),
    ]
    rule = AlertRule(id="spill", threshold="full_supply", within_days=2, probability=0.5)
    forecasts, notes = of_issued(rule, LAKE, samples, contents)  # type: ignore[arg-type]  # only its dates are used
    known = {int(day): float(value) for day, value in enumerate(forecasts.values) if np.isfinite(value)}
    assert known == {2: 0.2, 3: 0.7, 6: 0.6, 10: 0.1}
    assert np.flatnonzero(forecasts.scored).tolist() == list(range(2, 11))
    assert notes == [
        "Rule spill: 2 issued forecasts have another target than the dam file now, or a day that the record has not."
    ]


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_shows_what_a_rule_would_have_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of the command equal those made from `hindcast.parquet`'s levels and the probabilities of each day."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", f"sqlite:///{tmp_path}/a.db")
    monkeypatch.setenv("FOREBAY_CACHE", str(tmp_path / "cache"))
    dam = synthetic.small_dam(synthetic.rain_gauge(), full_supply=95.4, hindcast={"leads": (1, 2)})
    level = 95 + 0.5 * np.sin(np.arange(700) / 8) + np.random.default_rng(2).normal(0, 0.02, 700)
    columns = {"reservoir_level": level.tolist(), "rainfall": synthetic.random_rain(700).tolist()}
    path = synthetic.write_dam(dam, synthetic.daily_frame(dam, columns), tmp_path)
    assert forebay("fetch", path).code == 0
    options = ("--threshold", "full_supply", "--within", "1", "--probability", "0.4")
    result = forebay("alerts", "test", path, *options, "--json")
    assert result.code == 0, result.err
    content = result.json
    changes = pl.DataFrame(content["changes"]).filter(forecasts="hindcast")
    assert changes["state"].to_list()[:2] == ["raised", "clear"]
    raised, cleared = (changes.filter(state=state)["probability"].drop_nulls() for state in ("raised", "clear"))
    assert raised.min() >= 0.4  # type: ignore[operator]  # a number
    assert cleared.max() < 0.24  # type: ignore[operator]  # a number
    first = content["scores"][0]
    assert first["csi"] == pytest.approx(first["hits"] / (first["events"] + first["false_alarms"]))
    known = changes.filter(pl.col("came_true").is_not_null())
    assert first["false_alarms"] == known.filter(~pl.col("came_true")).height
    assert first["alarms"] == known.height
    assert first["hits"] + first["misses"] == first["events"] > 0
    alarms = [row["alarms"] for row in content["choices"] if row["lead_time"] == 1]
    assert len(alarms) == 12
    assert any("no skill is claimed" in note for note in content["notes"]) == (first["events"] < 10)
    days = pl.date_range(synthetic.FIRST_DAY, interval="1d", end=synthetic.FIRST_DAY + timedelta(days=699), eager=True)
    levels = dict(zip(days, level, strict=True))
    for row in known.iter_rows(named=True):
        start = date.fromisoformat(row["init_date"])
        if row["came_true"] and levels[start] < 95.4:
            assert max(levels[start + timedelta(days=k)] for k in range(15)) >= 95.4
    shown = forebay("alerts", "test", path)
    assert "Small Dam (SIMULATED), rule trial: At or above full supply within 2 days" in shown.out
    assert "other probabilities, hindcast" in shown.out
    for key, value in (("within", "1"), ("probability", "0.4"), ("direction", "below")):
        (rule,) = forebay("alerts", "test", path, f"--{key}", value, "--json").json["rules"]
        expected = {"threshold": "full_supply", "direction": "above", "within_days": 2, "probability": 0.5}
        name = "within_days" if key == "within" else key
        assert {k: str(v) for k, v in rule.items() if k in expected} == (
            {k: str(v) for k, v in expected.items()} | {name: value}
        )
    wrong = forebay("alerts", "test", path, "--probability", "1.5")
    assert wrong.code == 2
    assert "probability = 1.5" in wrong.err
    wrong = forebay("alerts", "test", path, "--threshold", "full_supply", "--within", "5")
    assert wrong.code == 2
    assert "within_days 5 is not one of this dam's; allowed are 1, 2" in wrong.err
