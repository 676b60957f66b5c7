"""`forebay.days.labels`: distinct labels without station numbers, and values in the units of the dam file."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.days.labels import display_unit, gauge_labels, in_display_unit, rain_unit
from tests.synthetic import rain_gauge, small_dam

STREAM = {"role": "stream", "station": "212250", "variable": "discharge", "unit": "ft3/s"}
INFLOW = {"role": "inflow", "station": "inflow", "variable": "inflow", "unit": "mgd"}


def test_a_label_is_the_name_or_the_variable_and_never_the_station() -> None:
    dam = small_dam(rain_gauge("568045", name="Warragamba rain"), STREAM, INFLOW)
    assert list(gauge_labels(dam).values()) == ["Reservoir level", "Warragamba rain", "Discharge", "Inflow"]


def test_equal_labels_get_their_variable_or_a_number() -> None:
    level = {"role": "target", "station": "1", "variable": "reservoir_level", "unit": "m", "name": "Lake"}
    storage = {"role": "storage", "station": "1", "variable": "storage", "unit": "ML", "name": "Lake"}
    dam = small_dam(level, storage, rain_gauge("a"), rain_gauge("b"))
    assert list(gauge_labels(dam).values()) == ["Lake (reservoir level)", "Lake (storage)", "Rainfall 1", "Rainfall 2"]


@given(st.lists(st.sampled_from(["", "Rainfall", "Rainfall 1", "Rainfall 2", "Rainfall (rainfall)"]), max_size=6))
def test_labels_are_distinct_whatever_the_names(names: list[str]) -> None:
    dam = small_dam(*(rain_gauge(f"r{n}", name=name) for n, name in enumerate(names)))
    labels = gauge_labels(dam)
    assert len(set(labels.values())) == len(labels) == len(names) + 1
    assert all(labels[gauge.column].startswith(gauge.name or "Rainfall") for gauge in dam.gauges[1:])


@pytest.mark.parametrize(
    ("gauge", "canonical", "value"),
    [
        (rain_gauge(unit="in"), 25.4, 1.0),
        (STREAM, 0.028316846592, 1.0),
        ({"role": "temperature", "station": "t", "variable": "temperature", "unit": "degF"}, 0.0, 32.0),
    ],
)
def test_values_are_in_the_unit_of_the_gauge(gauge: dict[str, object], canonical: float, value: float) -> None:
    dam = small_dam(gauge)
    shown = pl.select(in_display_unit(pl.lit(canonical), dam.gauges[1], dam)).item()
    assert shown == pytest.approx(value)
    assert display_unit(dam.gauges[1], dam) == gauge["unit"]


def test_the_target_has_the_unit_of_the_forecast() -> None:
    dam = small_dam(unit="ft")
    assert display_unit(dam.target_gauge, dam) == "ft"
    assert pl.select(in_display_unit(pl.lit(330.0), dam.target_gauge, dam)).item() == 330.0


def test_catchment_rain_has_the_most_frequent_unit_of_the_rain_gauges() -> None:
    inches = small_dam(rain_gauge("a", unit="in"), rain_gauge("b"), rain_gauge("c", unit="in"))
    assert rain_unit(inches) == ("in", 25.4)
    pan = {"role": "evaporation", "variable": "evaporation", "unit": "in"}
    pans = (pan | {"station": "p1"}, pan | {"station": "p2"})
    assert rain_unit(small_dam(rain_gauge("a"), *pans)) == ("mm", 1.0)
    assert rain_unit(small_dam()) == ("mm", 1.0)
