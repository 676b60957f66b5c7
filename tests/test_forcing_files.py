"""`forebay.sources.forcing_files`: issues are read from a file, and each fault is an error in one sentence."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from forebay.dams.dam import Dam
from forebay.errors import ConfigError, ForebayError, SourceError
from forebay.sources import forcing_files
from tests.synthetic import small_dam

FILE = {"path": "outlook.csv", "issued": "issued", "valid": "day", "value": "rain"}
TEXT = "issued,day,rain\n2024-05-01 06:00,2024-05-02,1.5\n2024-05-01 06:00,2024-05-03,\n"


def dam(path: str = "outlook.csv", *, unit: str = "in", kind: str = "rain", **file: object) -> Dam:
    return small_dam(forcings=[{"kind": kind, "id": "outlook", "unit": unit, "latency_h": 5.0,
                             "file": FILE | {"path": path} | file}])  # fmt: skip


def parse(text: str, **keys: str) -> list[tuple[object, ...]]:
    dam_with_file = dam(**keys)
    return forcing_files.parse_forcing(text.encode(), dam_with_file.forcings[0], dam_with_file).rows()


def test_issues_become_instants_days_and_canonical_units() -> None:
    issued, known = datetime(2024, 4, 30, 20, tzinfo=UTC), datetime(2024, 5, 1, 1, tzinfo=UTC)
    assert parse(TEXT) == [
        ("outlook", issued, known, date(2024, 5, 2), pytest.approx(1.5 * 25.4)),
        ("outlook", issued, known, date(2024, 5, 3), None),
    ]


def test_an_issue_without_a_clock_time_counts_at_the_end_of_its_day() -> None:
    rows = parse("issued,day,rain\n20240501,2024-05-02,1\n", issued_format="%Y%m%d")
    assert rows[0][1] == datetime(2024, 5, 1, 14, tzinfo=UTC)


def test_an_issue_time_with_its_offset_needs_no_time_zone() -> None:
    rows = parse("issued,day,rain\n2024-05-01T06:00+02:00,2024-05-02,1\n", issued_format="%Y-%m-%dT%H:%M%z")
    assert rows[0][1] == datetime(2024, 5, 1, 4, tzinfo=UTC)


def test_decimal_commas_spaces_and_semicolons_are_read() -> None:
    text = "\ufeff issued ; day ; rain \n2024-05-01 06:00; 2024-05-02 ; 1,5 \n;;\n"
    rows = parse(text, separator=";", decimal_comma=True, unit="mm")  # type: ignore[arg-type]  # a flag
    assert [row[-1] for row in rows] == [1.5]


FAULTS = {
    "no date": ("issued,day,rain\nyesterday,2024-05-02,1\n", "line 2: issued 'yesterday' cannot be read"),
    "no valid day": ("issued,day,rain\n2024-05-01 06:00,,1\n", "line 2: day None cannot be read"),
    "a far year": ("issued,day,rain\n+12000-01-01 00:00,2024-05-02,1\n", "issued '+12000-01-01 00:00' is not a date"),
    "no year": ("issued,day,rain\n2024-05-01 06:00,0000-01-01,1\n", "line 2: day '0000-01-01' is not a date from 1700"),
    "no number": ("issued,day,rain\n\n2024-05-01 06:00,2024-05-02,much\n", "rain 'much' cannot be read; it must be a"),
    "a sentinel": ("issued,day,rain\n2024-05-01 06:00,2024-05-02,-999\n", "rain '-999' is not a possible rainfall; le"),
    "infinite": ("issued,day,rain\n2024-05-01 06:00,2024-05-02,inf\n", "rain 'inf' is not a possible rainfall"),
    "twice": (TEXT + "2024-05-01 06:00,2024-05-02,2\n", "line 4: day '2024-05-02' occurs a second time in its issu"),
    "a column": ("issued,day\n", "'rain' is not a column of outlook.csv; its columns are 'issued', 'day'"),
    "ragged": (TEXT + "1,2,3,4,5\n", "outlook.csv cannot be read as a table"),
    "empty": ("", "outlook.csv is empty; it must have a header line"),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ForebayError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert isinstance(caught.value, SourceError | ConfigError)


def test_all_files_of_a_dam_are_read_and_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "outlook.csv").write_text(TEXT)
    assert len(forcing_files.read_forcings(dam(str(tmp_path / "outlook.csv")))) == 2
    assert forcing_files.read_forcings(small_dam()).is_empty()
    with pytest.raises(ConfigError, match=r"file.path '.*gone.csv' cannot be read"):
        forcing_files.read_forcings(dam(str(tmp_path / "gone.csv")))


def test_a_valid_day_with_an_offset_is_the_day_on_the_dams_clock() -> None:
    text = "issued,day,rain\n2024-05-01 06:00,2024-05-02T00:00+1000,1\n"
    assert parse(text, valid_format="%Y-%m-%dT%H:%M%z")[0][3] == date(2024, 5, 2)
