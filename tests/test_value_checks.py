from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.dams.value_checks import failed_checks, first_reason
from forebay.days.gauge_readings import ignore_codes
from forebay.screen.gauge_notes import gauge_notes
from forebay.sources import csv_files
from tests.readings import readings
from tests.test_csv_files import NOW, dam_with_file


def reasons_of(values: list[float | None], dam: Dam) -> list[str | None]:
    text = "date,level\n" + "".join(f"2020-01-{n:02},{'' if v is None else v}\n" for n, v in enumerate(values, 1))
    readings = csv_files.parse_readings(text.encode(), [dam.target_gauge], dam)
    factor, offset = dam.target_gauge.kind.conversion(dam.target_gauge.unit)
    assert readings["value"].to_list() == [None if v is None else v * factor + offset for v in values]
    return reasons(readings, dam)


@pytest.mark.parametrize("unit", ["m", "ft"])
def test_sentinels_have_the_unit_of_the_gauge(unit: str) -> None:
    sentinels = {"values": [-999999.0, 0.1], "below": -50.0, "above": 700.5}
    dam = dam_with_file("x.csv", gauge={"unit": unit, "sentinels": sentinels})
    values = [1.0, -999999.0, 0.1, -50.0, -50.1, 700.5, 700.6, None]
    assert reasons_of(values, dam) == [None, "sentinel", "sentinel", None, "sentinel", None, "sentinel", None]


def test_a_sentinel_wins_over_the_range() -> None:
    dam = dam_with_file("x.csv", gauge={"unit": "ft", "sentinels": {"values": [-999999.0]}, "valid_range": [100, 200]})
    assert reasons_of([-999999.0, 99.9, 100.0, 200.0, 200.1], dam) == ["sentinel", "range", None, None, "range"]


def test_a_gauge_without_a_valid_range_has_that_of_its_variable() -> None:
    dam = dam_with_file("x.csv")
    assert list(failed_checks(pl.Series([1.0]), pl.Series([NOW]), dam.target_gauge)) == ["range"]
    assert reasons_of([-500.0, -500.1, 9000.0, 9000.1], dam) == [None, "range", None, "range"]


def test_without_codes_the_number_of_an_unavailable_reading_is_a_value() -> None:
    layout = {"quality": "q", "quality_codes": "waternsw", "decimal_comma": True, "separator": ";"}
    dam = dam_with_file("x.csv", gauge={"unit": "ft"}, **layout)
    lines = ("date;level;q", "2020-01-01;-86,895;255", "2020-01-02;;255", "2020-01-03;2,5;4", "2020-01-04;1,5;155")
    readings = csv_files.parse_readings("\n".join(lines).encode(), [dam.target_gauge], dam)
    assert readings["value"].to_list() == [None, None, 2.5 * 0.3048, 1.5 * 0.3048]
    uncoded = ignore_codes(readings, dam)
    assert uncoded["value"].to_list() == [-86.895 * 0.3048, None, 2.5 * 0.3048, 1.5 * 0.3048]
    assert uncoded["quality"].to_list() == ["good", "missing", "good", "good"]
    assert uncoded.drop("value", "quality").equals(readings.drop("value", "quality"))


@pytest.mark.parametrize("unit", ["m", "ft"])
@pytest.mark.parametrize("sentinel", [-999999.0, -9999.0, 9999.0, -99.99, -901.0])
def test_a_sentinel_that_nobody_declared_is_no_value(unit: str, sentinel: float) -> None:
    dam = dam_with_file("x.csv", gauge={"unit": unit})
    values = [sentinel, 713.0, 713.1, sentinel, sentinel, 713.2, None, sentinel]
    expected = ["sentinel", None, None, "sentinel", "sentinel", None, None, "sentinel"]
    assert reasons_of(values, dam) == expected


def test_a_lake_whose_level_is_the_number_of_a_sentinel_keeps_it() -> None:
    dam = dam_with_file("x.csv", gauge={"unit": "ft"})
    assert reasons_of([9998.2, 9999.0, 9999.9], dam) == [None, None, None]
    assert reasons_of([-98.0, -99.0, -99.9, -100.2], dam) == [None] * 4


def test_declared_sentinels_replace_the_usual_ones() -> None:
    dam = dam_with_file("x.csv", gauge={"sentinels": {"values": [-1.0]}})
    assert reasons_of([1.0, -99.0, -1.0], dam) == [None, None, "sentinel"]


def readings_of(text: str, dam: Dam) -> pl.DataFrame:
    return csv_files.parse_readings(text.encode(), [dam.target_gauge], dam)


def test_what_is_left_out_as_implausible_is_counted_and_named() -> None:
    text = "date,level\n2020-01-01,1\n2020-01-02,-999999\n2020-01-03,-999999\n2020-01-04,40000\n"
    dam = dam_with_file("x.csv", gauge={"unit": "ft"})
    assert gauge_notes(readings_of(text, dam), dam.target_gauge, "The lake") == [
        "The lake: 3 readings are left out as implausible (-999999, 40000): declare sentinels in the dam file, or "
        "valid_range if they are real (plausible is -1,640.42 to 29,527.6 ft)"
    ]
    declared = dam_with_file("x.csv", gauge={"unit": "ft", "sentinels": {"values": [-999999.0]}})
    (note,) = gauge_notes(readings_of(text, declared), declared.target_gauge, "The lake")
    assert "1 reading is left out as implausible (40000)" in note
    assert gauge_notes(readings_of(text[:24], dam), dam.target_gauge, "x") == []


def test_the_note_has_the_numbers_of_the_file_which_the_dam_file_declares() -> None:
    text = "date,level\n2020-01-01,0.09\n2020-01-02,-9999\n"
    (note,) = gauge_notes(
        readings_of(text, scaled := dam_with_file("x.csv", gauge={"scale": 1000.0})), scaled.target_gauge, "x"
    )
    assert "(-9999): declare sentinels" in note
    declared = dam_with_file("x.csv", gauge={"scale": 1000.0, "sentinels": {"values": [-9999.0]}})
    assert gauge_notes(readings_of(text, declared), declared.target_gauge, "x") == []
    assert reasons(readings_of(text, declared), declared) == [None, "sentinel"]


RAIN_SINCE_OCTOBER = [float(n) for n in range(30)]


@pytest.mark.parametrize(
    ("rain", "question"),
    [
        (RAIN_SINCE_OCTOBER, "never falls in 30 readings"),
        ([float(n) for n in range(60)] * 3, "falls only 2 times in 180 readings"),
        ([*RAIN_SINCE_OCTOBER, *range(100, 130), 0.0], "falls only 1 time in 61 readings"),
        ([0.0, 3.0] * 30, None),
        ([0.0, *RAIN_SINCE_OCTOBER[:20]], None),
    ],
    ids=["one season", "three seasons", "a reset", "daily totals", "too few rises"],
)
def test_a_total_that_hardly_ever_falls_is_a_question(rain: list[float], question: str | None) -> None:
    keys = {"role": "rainfall", "variable": "rainfall", "unit": "mm"}
    dam = dam_with_file("x.csv")
    for reading in ("total", "accumulated"):
        series = {"source": "csv", "station": "r", "reading": reading, "file": dam.target_gauge.file}
        gauge = Gauge.model_validate(keys | series)
        times = [datetime(2024, 10, 1, tzinfo=UTC) + timedelta(days=day) for day in range(len(rain))]
        contents = {time: (value, str(value), "good", None) for time, value in zip(times, rain, strict=True)}
        notes = gauge_notes(readings(gauge, contents), gauge, "x")
        is_asked = question is not None and reading != "accumulated"
        asked = [f"x: the value {question}; is it accumulated? If"] if is_asked else []
        assert [note.partition(" so,")[0] for note in notes] == asked


def test_codes_without_a_grade_are_named() -> None:
    text = "date,level,q\n2020-01-01,1,N\n2020-01-02,1,n\n2020-01-03,1,U\n2020-01-04,1,\n"
    layouts = ({"missing_codes": ("N",), "grades": {"unknown": ("U",)}}, {}, {"quality_codes": "waternsw"})
    notes = []
    for layout in layouts:
        dam = dam_with_file("x.csv", quality="q", **layout)
        notes += gauge_notes(readings_of(text, dam), dam.target_gauge, "x")
    assert [note[:54] for note in notes] == [
        "x: the dam file has no grade for the codes 'n' in colu",
        "x: the dam file has no grade for the codes 'N', 'U', '",
    ]


def test_each_value_is_compared_by_the_conversion_of_its_day() -> None:
    change = {"from": date(2020, 1, 3), "unit": "ft"}
    dam = dam_with_file("x.csv", gauge={"readings_from": (change,), "sentinels": {"above": 980.0}})
    text = "date,level\n2020-01-01,290\n2020-01-02,990\n2020-01-03,951\n2020-01-04,999\n"
    assert reasons(readings_of(text, dam), dam) == [None, "sentinel", None, "sentinel"]
    usual = dam_with_file("x.csv", gauge={"readings_from": (change,)})
    text = "date,level\n2020-01-01,290\n2020-01-02,-999\n2020-01-03,951\n2020-01-04,-999\n"
    assert reasons(readings_of(text, usual), usual) == [None, "sentinel", None, "sentinel"]


def reasons(readings: pl.DataFrame, dam: Dam) -> list[str | None]:
    otherwise = pl.Series([None], dtype=pl.String).new_from_index(0, len(readings))
    return first_reason(readings["value"], readings["time"], dam.target_gauge, otherwise=otherwise).to_list()


def test_the_bounds_of_sentinels_are_published_numbers_also_under_a_negative_scale() -> None:
    dam = dam_with_file("x.csv", gauge={"scale": -1.0, "sentinels": {"below": -900.0, "above": 900.0}})
    readings = readings_of("date,level\n2020-01-01,-95\n2020-01-02,-999\n2020-01-03,999\n", dam)
    assert reasons(readings, dam) == [None, "sentinel", "sentinel"]
