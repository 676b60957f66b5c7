"""Alert rules: what a dam file and `alerts.toml` may state, and the sentence about what they may not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forebay.dams.alert_file import read_alert_rules
from forebay.dams.alert_rules import AlertRule
from forebay.dams.dam_content import dam_content, dam_of_content
from forebay.dams.dam_file import MAX_BYTES, load_dam
from forebay.errors import ConfigError
from forebay.forecasts.alerts import is_quiet, quiet_until
from forebay.jobs.alert_trial import trial_rule, usual_rule
from forebay.jobs.alerts import alert_rules, largest_age
from forebay.settings import Settings
from forebay.verify.row_store import RowStore
from tests import synthetic

GOOD = 'id = "spill"\nthreshold = "full_supply"\nwithin_days = 2\nprobability = 0.5\n'


def lake(folder: Path, *rules: str) -> Path:
    """Path of a dam file with these rules."""
    dam = synthetic.small_dam(synthetic.rain_gauge(), full_supply=96.0, hindcast={"leads": (1, 2, 3)})
    path = synthetic.write_dam(dam, synthetic.daily(dam).head(10), folder)
    with path.open("a") as file:
        file.write("".join(f"[[alerts]]\n{rule}" for rule in rules))
    return path


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (GOOD.replace("full_supply", "minor flood"), "threshold 'minor flood' is not one of this dam's; allowed are"),
        (GOOD.replace("= 2", "= 5"), "within_days 5 is not one of this dam's; allowed are 1, 2, 3"),
        (GOOD.replace("= 2", "= 9"), "within_days = 9: input should be less than or equal to 7"),
        (GOOD.replace("= 2", "= 0"), "within_days = 0: input should be greater than or equal to 1"),
        (GOOD + "min_duration = 0\n", "min_duration = 0: input should be greater than or equal to 1"),
        (GOOD + "min_duration = 31\n", "min_duration = 31: input should be less than or equal to 30"),
        (GOOD.replace("0.5", "0.0"), "probability = 0.0: input should be greater than 0"),
        ('id = "d"\nkind = "data"\nmax_age_days = 0\n', "max_age_days = 0: input should be greater than or equal to 1"),
        (GOOD.replace("0.5", "1.5"), "probability = 1.5: input should be less than 1"),
        (GOOD + "clear_probability = 0.6\n", "clear_probability (0.6) must not be above probability (0.5)"),
        (GOOD.replace("probability = 0.5\n", ""), "key probability is missing; a rule on a threshold states "),
        (GOOD + 'quiet_hours = "22-6"\n', "'22-6' must be two clock times like '22:00-06:00'"),
        (GOOD + 'quiet_hours = "22:00-22:00"\n', "must be two clock times"),
        (GOOD + "through_quiet_hours = true\n", "through_quiet_hours is allowed for severity 'Extreme' only"),
        (GOOD + 'severity = "severe"\n', "'Minor', 'Moderate', 'Severe' or 'Extreme'"),
        (GOOD + 'gauges = ["r1"]\n', "a rule of kind 'threshold' has no key gauges; remove it"),
        ('id = "d"\nkind = "data"\nwithin_days = 1\n', "a rule of kind 'data' has no key within_days; remove it"),
        ('id = "d"\nkind = "data"\ngauges = ["r9"]\n', "gauges 'r9' is not one of this dam's; allowed are lake, r1"),
        (GOOD + 'url = "json://x"\n', "key alerts[1].url is unknown"),
        (f"{GOOD}[[alerts]]\n{GOOD}", "alerts: id spill occurs twice"),
    ],
)
def test_a_wrong_rule_is_one_sentence(tmp_path: Path, rule: str, sentence: str) -> None:
    path = lake(tmp_path, rule)
    with pytest.raises(ConfigError) as caught:
        load_dam(str(path))
    assert sentence in str(caught.value), caught.value
    assert "\n" not in str(caught.value)


def test_rules_of_all_files_belong_to_the_dam_and_one_is_on_its_data(tmp_path: Path) -> None:
    path = lake(tmp_path, GOOD)
    beside = tmp_path / "alerts.toml"
    beside.write_text(f'[[small]]\n{GOOD.replace("spill", "early")}[[other]]\nnonsense = 1\n')
    mine = tmp_path / "mine.toml"
    mine.write_text('[[small]]\nid = "rain"\nkind = "data"\ngauges = ["r1"]\n')
    assert [rule.id for rule in alert_rules(path, Settings())] == ["spill", "early", "data"]
    settings = Settings(alert_rules=str(mine))
    assert [rule.id for rule in alert_rules(path, settings)] == ["spill", "early", "rain"]
    assert alert_rules("demo", Settings()) == ()
    beside.write_text(f"[[small]]\n{GOOD}")
    with pytest.raises(ConfigError, match=r"alerts\.toml: alerts: id spill occurs twice"):
        alert_rules(path, Settings())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("[[small", "is not valid TOML"), ("small = 1", "small must be a list of tables"), (b"\xff", "is not valid TOML"),
     ('[[small]]\nid = "x"\n', "small[1]: alert 'x': key threshold is missing")],
)  # fmt: skip
def test_a_wrong_file_of_rules_is_one_sentence(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    dam = load_dam(str(lake(tmp_path)))
    path = tmp_path / "alerts.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        read_alert_rules(path, dam)
    assert sentence in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_alert_rules(tmp_path / "none.toml", dam)


def test_a_file_that_the_settings_name_again_counts_once(tmp_path: Path) -> None:
    path = lake(tmp_path)
    beside = tmp_path / "alerts.toml"
    beside.write_text(f"[[small]]\n{GOOD}")
    (tmp_path / "link.toml").symlink_to(beside)
    for named in (beside, tmp_path / "link.toml"):
        assert [rule.id for rule in alert_rules(path, Settings(alert_rules=str(named)))] == ["spill", "data"]


@pytest.mark.parametrize(("latency_h", "expected"), [(0.0, 3), (72.0, 3), (72.5, 4), (240.0, 10)])
def test_a_slow_driver_is_late_after_its_latency_and_the_target_after_three_days(
    latency_h: float, expected: int
) -> None:
    dam = synthetic.small_dam(synthetic.rain_gauge(latency_h=latency_h))
    assert largest_age(dam.gauges[1]) == expected
    assert largest_age(dam.target_gauge.model_copy(update={"latency_h": latency_h})) == 3


def test_the_rule_by_itself_has_an_id_of_its_own(tmp_path: Path) -> None:
    rules = alert_rules(lake(tmp_path, GOOD.replace("spill", "data")), Settings())
    assert [(rule.id, rule.kind) for rule in rules] == [("data", "threshold"), ("data_of_target", "data")]


def test_a_file_of_rules_has_a_largest_size(tmp_path: Path) -> None:
    dam = load_dam(str(lake(tmp_path)))
    path = tmp_path / "alerts.toml"
    path.write_text("#" * MAX_BYTES)
    assert read_alert_rules(path, dam) == ()
    path.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match=f"alerts.toml is longer than {MAX_BYTES} bytes, the limit for a file of"):
        read_alert_rules(path, dam)


def test_a_record_keeps_the_rules_and_other_rules_keep_the_rows_of_the_hindcast(tmp_path: Path) -> None:
    rule = GOOD + 'quiet_hours = "22:00-06:00"\n'
    (tmp_path / "a").mkdir()
    dam, without = load_dam(str(lake(tmp_path / "a", rule))), load_dam(str(lake(tmp_path / "a")))
    assert dam_of_content(dam_content(dam)).alerts == dam.alerts
    store = RowStore(tmp_path, 1)
    assert store.path(dam) == store.path(without)


def test_quiet_hours_are_those_of_the_zone_also_across_a_clock_change() -> None:
    """Sydney's clocks go forward on 2024-10-06 at 02:00: the night has an hour less."""
    rule = AlertRule(id="a", kind="data", quiet_hours="22:00-06:00")
    start = datetime(2024, 10, 5, 12, 0, tzinfo=UTC)  # 22:00 in Sydney
    minutes = [start + timedelta(minutes=k) for k in range(-60, 600)]
    quiet = [minute for minute in minutes if is_quiet(rule, "Australia/Sydney", minute)]
    assert (quiet[:1], len(quiet)) == ([start], 7 * 60)
    assert quiet_until(rule, "Australia/Sydney", start) == start + timedelta(hours=7)
    assert quiet_until(rule, "Australia/Sydney", start - timedelta(minutes=1)) is None
    day = AlertRule(id="a", kind="data", quiet_hours="12:00-13:00")
    assert [is_quiet(day, "+00:00", datetime(2024, 1, 1, hour, tzinfo=UTC)) for hour in (11, 12, 13)] == [
        False, True, False
    ]  # fmt: skip


@pytest.mark.parametrize(("start", "end"), [("17:00", "09:00"), ("00:00", "23:59"), ("09:01", "09:00")])
def test_quiet_hours_may_be_nearly_the_whole_day(start: str, end: str) -> None:
    rule = AlertRule(id="a", kind="data", quiet_hours=f"{start}-{end}")
    clock = datetime.fromisoformat(f"2024-01-01T{start}Z")
    until = datetime.fromisoformat(f"2024-01-{'01' if end > start else '02'}T{end}Z")
    assert quiet_until(rule, "+00:00", clock) == until
    assert quiet_until(rule, "+00:00", until) is None


@pytest.mark.parametrize(
    ("leads", "full_supply", "within", "threshold"),
    [
        ((1, 2, 3), 96.0, 2, "full_supply"),
        ((1, 3, 7), 96.0, 1, "full_supply"),
        ((5, 7), 96.0, 5, "full_supply"),
        ((1, 2), None, 2, "Bridge"),
    ],
)
def test_the_rule_of_a_dam_without_rules_fits_the_dam(
    leads: tuple[int, ...], full_supply: float | None, within: int, threshold: str
) -> None:
    thresholds = [{"name": "Bridge", "level": 97.0}, {"name": "Weir", "level": 95.0}]
    dam = synthetic.small_dam(hindcast={"leads": leads}, full_supply=full_supply, thresholds=thresholds)
    rule = usual_rule(dam)
    assert (rule.within_days, rule.threshold, rule.probability) == (within, threshold, 0.5)
    assert trial_rule(dam, {"probability": 0.2}).probability == 0.2  # it passes the checks of a dam's own rules
