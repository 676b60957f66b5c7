"""`forebay.dams.dam`: constant, dated and rule-curve levels; roles and their variables."""

from datetime import date, timedelta
from pathlib import Path
from typing import get_args

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.dams.dam_content import dam_content, dam_of_content
from forebay.dams.gauge import ROLE_VARIABLES, AcceptedSpell, Role
from forebay.dams.hindcast import DateRange, Window
from forebay.dams.thresholds import ReferenceLevel
from tests import synthetic

days = st.dates(date(1999, 1, 1), date(2030, 12, 31))


def value_on(line: ReferenceLevel, day: date) -> float | None:
    value = line.on(pl.Series([day])).item()
    assert value is None or isinstance(value, float)
    return value


@given(days)
def test_a_constant_level_has_one_value_on_all_days(day: date) -> None:
    assert value_on(ReferenceLevel.model_validate(12), day) == 12.0


def test_dated_values_apply_from_their_day_in_any_order_of_the_file() -> None:
    steps = [{"from": date(2010, 1, 1), "value": 2.0}, {"from": date(2000, 1, 1), "value": 1.0}]
    line = ReferenceLevel.model_validate({"dated": steps})
    days = pl.Series([date(1999, 12, 31), date(2000, 1, 1), date(2009, 12, 31), date(2010, 1, 1), date(2024, 6, 1)])
    assert line.on(days).to_list() == [None, 1.0, 1.0, 2.0, 2.0]


RULE = ReferenceLevel.model_validate({"rule_curve": [{"day": "07-01", "value": 10.0}, {"day": "01-11", "value": 20.0}]})


def test_a_rule_curve_has_its_points_values_on_their_days() -> None:
    assert value_on(RULE, date(2021, 7, 1)) == 10.0
    assert value_on(RULE, date(2021, 1, 11)) == 20.0


def test_a_rule_curve_closes_over_the_new_year() -> None:
    # from 07-01 (day 183 of a leap year) to 01-11 (day 11 + 366) there are 194 days
    assert value_on(RULE, date(2020, 12, 31)) == pytest.approx(10 + 10 * (366 - 183) / 194)
    assert value_on(RULE, date(2021, 1, 1)) == pytest.approx(10 + 10 * (367 - 183) / 194)


@given(days)
def test_a_rule_curve_never_jumps_and_stays_between_its_points(day: date) -> None:
    today, tomorrow = RULE.on(pl.Series([day, day + timedelta(days=1)]))
    assert 10.0 <= today <= 20.0
    assert abs(tomorrow - today) <= 2 * 10 / 172 + 1e-9  # the steeper side has 172 days; at most 29 February is skipped


@given(days)
def test_a_rule_curve_is_the_same_every_year(day: date) -> None:
    if (day.month, day.day) != (2, 29):
        assert value_on(RULE, day) == value_on(RULE, day.replace(year=2001))


def test_a_rule_curve_of_one_point_is_constant_and_29_february_has_a_value() -> None:
    line = ReferenceLevel.model_validate({"rule_curve": [{"day": "02-29", "value": 3.0}]})
    assert line.on(pl.Series([date(2020, 2, 29), date(2021, 2, 28), date(2021, 12, 31)])).to_list() == [3.0, 3.0, 3.0]


@given(st.lists(days, max_size=5))
def test_a_reference_level_has_one_value_per_day(days: list[date]) -> None:
    dated = {"dated": [{"from": date(2000, 1, 1), "value": 1}]}
    for line in (ReferenceLevel.model_validate(1.0), RULE, ReferenceLevel.model_validate(dated)):
        assert len(line.on(pl.Series(days, dtype=pl.Date))) == len(days)


@pytest.mark.parametrize("kind", [DateRange, Window, AcceptedSpell])
def test_a_span_may_be_one_day_and_never_ends_before_it_begins(kind: type[DateRange | AcceptedSpell]) -> None:
    first = date(2020, 2, 29)
    keys: dict[str, object] = {"from": first, "reason": "works"} | ({"name": "W"} if kind is Window else {})
    try:
        one_day = kind.model_validate(keys | {"to": first})
    except ValueError as error:
        pytest.fail(f"a single day is refused: {error}")
    assert one_day.to == first
    with pytest.raises(ValueError, match=r"to \(2020-02-28\) must not be before from \(2020-02-29\)"):
        kind.model_validate(keys | {"to": date(2020, 2, 28)})


def test_every_role_has_variables() -> None:
    assert set(get_args(Role)) == set(ROLE_VARIABLES)


@pytest.mark.parametrize("character", ["\u0001", "\u0008", "\u001b", "\uffff", "\u202e", "\ud800"])
@pytest.mark.parametrize("key", ["name", "country"])
def test_a_text_with_a_character_that_no_output_may_contain_is_refused(key: str, character: str) -> None:
    with pytest.raises(ValueError, match=rf"the character U\+{ord(character):04X}, which must not be printed"):
        synthetic.small_dam(**{key: f"Small{character}"})


def test_the_source_of_a_storage_curve_must_be_printable() -> None:
    curve = {"level_unit": "m", "storage_unit": "ML", "points": ((0.0, 0.0), (1.0, 1.0))}
    assert synthetic.small_dam(storage_curves=[curve | {"source": "Survey of\n2001"}]).storage_curves
    with pytest.raises(ValueError, match=r"the character U\+202E, which must not be printed"):
        synthetic.small_dam(storage_curves=[curve | {"source": "Survey\u202e"}])


def test_notes_of_a_dam_file_may_have_lines() -> None:
    assert synthetic.small_dam(notes="One.\nTwo.\tThree.").notes == "One.\nTwo.\tThree."


def test_a_recorded_dam_file_has_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay may run in another folder."""
    monkeypatch.chdir(tmp_path)
    file = {"path": "data/rain.csv", "issued": "i", "valid": "v", "value": "x"}
    level = {"role": "target", "source": "csv", "station": "lake", "variable": "reservoir_level", "unit": "m",
             "file": {"path": "level.csv", "date": "date", "value": "level"}}  # fmt: skip
    dam = synthetic.small_dam(level, forcings=[{"kind": "rain", "id": "bureau", "unit": "mm", "file": file}])
    content = dam_content(dam)
    assert content["forcings"][0]["file"]["path"] == str(tmp_path / "data" / "rain.csv")
    assert content["gauges"][0]["file"]["path"] == [str(tmp_path / "level.csv")]
    again = dam_of_content(content)
    assert again.forcings[0].file is not None and again.forcings[0].file.path == str(tmp_path / "data" / "rain.csv")
