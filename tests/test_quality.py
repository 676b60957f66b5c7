import json

import polars as pl
import pytest

from forebay.services import SERVICES, Service
from forebay.sources.quality import NO_CODE, grade, grades, grades_by_number, means_missing
from tests.shared import SHARED, needs_shared

GRADES = {"good", "fair", "poor", "estimated", "unknown", "missing"}


@pytest.mark.parametrize(
    ("agency", "code", "expected"),
    [  # sources.md and domain.md 2: classes A good, B fair, C estimated, E unknown, F poor
        ("waternsw", "4", "good"),
        ("waternsw", "63", "fair"),
        ("waternsw", "11", "estimated"),
        ("waternsw", "130", "unknown"),
        ("waternsw", "152", "poor"),
        ("waternsw", "201", "missing"),
        ("waternsw", "255", "missing"),
        ("vicwater", "76", "fair"),
        ("vicwater", "255", "poor"),
        ("qldwater", "34", "fair"),
        ("qldwater", "119", "estimated"),
    ],
)
def test_grades_of_listed_codes(agency: str, code: str, expected: str) -> None:
    assert grades(agency)[code] == expected


@pytest.mark.parametrize(
    ("agency", "code", "expected"),
    [("bom", "10", "good"), ("bom", "210", "poor"), ("bom", "-1", "missing"), ("bom", "140", "unknown"),
     ("uk_ea", "Suspect", "poor"), ("uk_ea", "Good/Incomplete", "poor"), ("uk_ea", "Missing", "missing")],
)  # fmt: skip
def test_codes_may_be_texts_and_negative_numbers(agency: str, code: str, expected: str) -> None:
    assert grades(agency)[code] == expected
    assert set(grades_by_number(agency)[:NO_CODE]) <= GRADES


def test_every_grade_is_on_the_scale_and_no_code_has_two() -> None:
    # Number of codes in each agency's table, from sources.md and domain.md 2.
    assert {a: len(grades(a)) for a in ("waternsw", "vicwater", "qldwater")} == {
        "waternsw": 61,
        "vicwater": 51,
        "qldwater": 31,
    }
    assert {g for a in ("waternsw", "vicwater", "qldwater") for g in grades(a).values()} <= GRADES


def test_a_code_that_is_not_listed_is_unknown_never_missing() -> None:
    codes = pl.Series("code", ["155", "205", "nonsense", None])
    graded = codes.to_frame().select(grade(pl.col("code"), "waternsw")).to_series()
    assert graded.to_list() == ["unknown"] * 4


@pytest.mark.parametrize("agency", ["waternsw", "vicwater", "qldwater"])
def test_a_code_has_the_same_grade_as_number_and_as_text(agency: str) -> None:
    by_number, by_text = grades_by_number(agency), grades(agency)
    assert [by_text.get(str(code), "unknown") for code in range(NO_CODE)] == list(by_number[:NO_CODE])
    assert by_number[NO_CODE:] == ("unknown",)
    assert all(str(int(code)) == code and int(code) < NO_CODE for code in by_text)


def test_an_agency_without_a_table_has_only_unknown_codes() -> None:
    codes = pl.Series("code", ["4", None]).to_frame()
    assert codes.select(grade(pl.col("code"), "elsewhere")).to_series().to_list() == ["unknown", "unknown"]


def test_the_text_in_an_answer_can_mark_a_code_as_missing() -> None:
    codes = pl.Series("code", ["255", "999", "2", "77"]).to_frame()
    texts = {"255": "Missing data", "999": "No data available", "2": "Good quality", "77": "Missing data infilled"}
    graded = codes.select(grade(pl.col("code"), "vicwater", texts)).to_series()
    assert graded.to_list() == ["missing", "missing", "good", "fair"]


@pytest.mark.parametrize(
    "text",
    ["Data Unavailable", "Data unavailable", "Missing data", "No data", "Data not available", "MISSING"]
    + ["Data lost due to natural causes / vandalism", "Data not recorded, equipment malfunction"]
    + ["Data unavailable, no estimate made"],
)
def test_texts_that_mean_a_missing_value(text: str) -> None:
    assert means_missing(text)


@pytest.mark.parametrize(
    "text",
    ["Missing data, infilled by correlation", "Estimated for missing record", "Interpolated over missing data"]
    + ["Quality not available", "Rating unavailable, curve extended", "Some data missing", "Up to 10% missing"]
    + ["Water level below threshold (no flow)", ""],
)
def test_texts_that_only_mention_a_missing_value(text: str) -> None:
    assert not means_missing(text)


@needs_shared
def test_only_two_of_all_recorded_texts_mean_a_missing_value() -> None:
    texts = set()
    for file in (SHARED / "recordings" / "hydstra").glob("*get_ts_traces*.json"):
        result = json.loads(file.read_bytes()).get("return", {"traces": []})
        texts |= {text for trace in result["traces"] for text in trace["quality_codes"].values()}
    assert len(texts) == 11
    assert {text for text in texts if means_missing(text)} == {"Data Unavailable", "Data unavailable"}


def test_words_are_codes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Service("Toy Water", "hydstra", quality_codes={"good": "1-2 Good", "poor": "N"})
    monkeypatch.setitem(SERVICES, "wordwater", entry)
    assert dict(grades("wordwater")) == {"1": "good", "2": "good", "Good": "good", "N": "poor"}
    codes = pl.Series("code", ["Good", "N", "2", "n", None]).to_frame()
    graded = codes.select(grade(pl.col("code"), "wordwater")).to_series().to_list()
    assert graded == ["good", "poor", "good", "unknown", "unknown"]
