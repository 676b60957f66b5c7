import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.days.codes import reasons, screen, without_codes
from forebay.sources import csv_files
from tests.test_csv_files import make


def checked(values: list[float | None], dam: Dam) -> list[str | None]:
    text = "date,level\n" + "".join(f"2020-01-{n:02},{'' if v is None else v}\n" for n, v in enumerate(values, 1))
    frame = screen(csv_files.parse(text.encode(), [dam.target_gauge], dam), dam)
    assert len(frame) == len(values)  # nothing is deleted
    factor, offset = dam.target_gauge.kind.conversion(dam.target_gauge.unit)
    assert frame["value"].to_list() == [None if v is None else v * factor + offset for v in values]
    return frame["reason"].to_list()


@pytest.mark.parametrize("unit", ["m", "ft"])
def test_sentinels_are_in_the_gauges_own_unit(unit: str) -> None:
    sentinels = {"values": [-999999.0, 0.1], "below": -50.0, "above": 700.5}
    dam = make("x.csv", gauge={"unit": unit, "sentinels": sentinels})
    values = [1.0, -999999.0, 0.1, -50.0, -50.1, 700.5, 700.6, None]
    assert checked(values, dam) == [None, "sentinel", "sentinel", None, "sentinel", None, "sentinel", None]


def test_a_sentinel_wins_over_the_range() -> None:
    dam = make("x.csv", gauge={"unit": "ft", "sentinels": {"values": [-999999.0]}, "valid_range": [100, 200]})
    assert checked([-999999.0, 99.9, 100.0, 200.0, 200.1], dam) == ["sentinel", "range", None, None, "range"]


def test_without_a_range_of_its_own_the_variable_bounds_it() -> None:
    dam = make("x.csv")
    assert list(reasons(pl.Series([1.0]), dam.target_gauge)) == ["range"]
    assert checked([-500.0, -500.1, 9000.0, 9000.1], dam) == [None, "range", None, "range"]


def test_without_codes_the_number_beside_an_unavailable_is_a_value_again() -> None:
    layout = {"quality": "q", "quality_codes": "waternsw", "decimal_comma": True, "separator": ";"}
    dam = make("x.csv", gauge={"unit": "ft"}, **layout)
    lines = ("date;level;q", "2020-01-01;-86,895;255", "2020-01-02;;255", "2020-01-03;2,5;4", "2020-01-04;1,5;155")
    readings = csv_files.parse("\n".join(lines).encode(), [dam.target_gauge], dam)
    assert readings["value"].to_list() == [None, None, 2.5 * 0.3048, 1.5 * 0.3048]
    made = without_codes(readings, dam)
    assert made["value"].to_list() == [-86.895 * 0.3048, None, 2.5 * 0.3048, 1.5 * 0.3048]
    assert made["quality"].to_list() == ["good", "missing", "good", "good"]
    assert made.drop("value", "quality").equals(readings.drop("value", "quality"))
