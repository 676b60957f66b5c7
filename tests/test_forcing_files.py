"""`forebay.sources.forcing_files`: issues are read from a file, and each fault is an error in one sentence."""

from datetime import UTC, date, datetime, timedelta
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


WIDE = {"path": "wide.csv", "issued": "run", "issued_format": "%Y-%m-%d", "issued_at": "05:30",
        "value_by_lead": {"1": "d1", "3": "d3"}}  # fmt: skip
WIDE_TEXT = "run,d1,d2,d3\n2024-05-01,1.5,9,2.5\n\n2024-05-02,,9,3.5\n"
ENSEMBLE = {"path": "ens.csv", "issued": "run", "issued_format": "%Y-%m-%d", "issued_at": "04:00", "lead": "n",
            "value": "mean", "q10": "low", "q90": "high"}  # fmt: skip
ENSEMBLE_TEXT = "run,n,mean,low,high\n2024-05-01,1,2,1,4\n2024-05-01,2,3,,6\n"


def parse_with(text: str, file: dict[str, object], **keys: object) -> list[tuple[object, ...]]:
    dam_with_file = small_dam(forcings=[{"kind": "rain", "id": "f", "unit": "mm", "file": file} | keys])
    return forcing_files.parse_forcing(text.encode(), dam_with_file.forcings[0], dam_with_file).rows()


def test_a_line_can_have_one_issue_with_a_column_per_lead_time() -> None:
    first, second = datetime(2024, 4, 30, 19, 30, tzinfo=UTC), datetime(2024, 5, 1, 19, 30, tzinfo=UTC)
    known = timedelta(hours=8)
    assert parse_with(WIDE_TEXT, WIDE, unit="1", scale=2.0, latency_h=8) == [
        ("f", first, first + known, date(2024, 5, 2), 3.0),
        ("f", first, first + known, date(2024, 5, 4), 5.0),
        ("f", second, second + known, date(2024, 5, 3), None),
        ("f", second, second + known, date(2024, 5, 5), 7.0),
    ]


def test_an_ensemble_has_a_series_per_quantile_and_days_after_its_issue() -> None:
    issue = datetime(2024, 4, 30, 18, tzinfo=UTC)
    rows = parse_with(ENSEMBLE_TEXT, ENSEMBLE, kind="inflow", unit="m3/d", scale=86400.0)
    one, two = date(2024, 5, 2), date(2024, 5, 3)
    assert rows == [
        ("f", issue, issue, one, 2.0), ("f:q10", issue, issue, one, 1.0), ("f:q90", issue, issue, one, 4.0),
        ("f", issue, issue, two, 3.0), ("f:q10", issue, issue, two, None), ("f:q90", issue, issue, two, 6.0),
    ]  # fmt: skip


WIDE_FAULTS = {
    "a lead time": (ENSEMBLE_TEXT.replace(",2,3", ",31,3"), ENSEMBLE, "line 3: n '31' cannot be read; it must be a"),
    "half a day": (ENSEMBLE_TEXT.replace(",2,3", ",1.5,3"), ENSEMBLE, "n '1.5' cannot be read"),
    "twice": (ENSEMBLE_TEXT + "2024-05-01,1,2,1,4\n", ENSEMBLE, "line 4: n '1' occurs a second time in its issue"),
    "a quantile": (ENSEMBLE_TEXT.replace(",,6", ",,6?"), ENSEMBLE, "line 3: high '6?' cannot be read; it must be a nu"),
    "a sentinel": (WIDE_TEXT.replace("3.5", "-999"), WIDE, "line 4: d3 '-999' is not a possible rainfall"),
    "a run": (WIDE_TEXT.replace("2024-05-02", "x"), WIDE, "line 4: run 'x' cannot be read; it must be %Y-%m-%d"),
    "a column": ("run,d1\n2024-05-01,1\n", WIDE, "'d3' is not a column of wide.csv"),
}


@pytest.mark.parametrize(("text", "file", "message"), WIDE_FAULTS.values(), ids=WIDE_FAULTS)
def test_a_fault_of_an_issue_is_one_sentence(text: str, file: dict[str, object], message: str) -> None:
    with pytest.raises(ForebayError) as caught:
        parse_with(text, file, kind="inflow" if file is ENSEMBLE else "rain", unit="m3/d" if file is ENSEMBLE else "mm")
    assert message in str(caught.value)


WRONG_KEYS: dict[str, tuple[dict[str, object], str]] = {
    "two ways of the day": ({"valid": "day"}, "give either valid"),
    "no way of the day": ({"lead": None}, "give either valid"),
    "no value": ({"value": None}, "value is missing"),
    "columns by lead too": ({"value_by_lead": {"1": "d1"}}, "does not go with value_by_lead"),
    "a far lead": ({"lead": None, "value": None, "q10": None, "q90": None, "value_by_lead": {"31": "d31"}}, "30"),
    "an hour twice": ({"issued_format": "%Y-%m-%d %H:%M"}, "issued_at goes with dates"),
}


@pytest.mark.parametrize(("keys", "message"), WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_keys_that_contradict_each_other_are_refused(keys: dict[str, object], message: str) -> None:
    file = {key: value for key, value in (ENSEMBLE | keys).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        parse_with(ENSEMBLE_TEXT, file, kind="inflow", unit="m3/d")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "rain"}, "q10, q90 go with kind = 'inflow'"),
        ({"unit": "1"}, "unit '1' is not one of inflow's units"),
        ({"max_age_h": 5, "latency_h": 6}, "must be larger than latency_h"),
    ],
)
def test_a_forcing_that_makes_no_sense_is_refused(keys: dict[str, object], message: str) -> None:
    unit = {"unit": "mm"} if keys.get("kind") == "rain" else {"unit": "m3/d"}
    with pytest.raises((ValueError, ForebayError), match=message):
        parse_with(ENSEMBLE_TEXT, ENSEMBLE, **({"kind": "inflow"} | unit | keys))
