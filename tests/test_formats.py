"""`forebay.charts.formats`: the text of a number is the number, to the digits that it promises."""

from __future__ import annotations

from math import floor, log10

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.charts.formats import format_decimals, format_level, format_number, format_percent, format_value
from forebay.dams.variables import VARIABLES


def number_of(text: str) -> float:
    """The number that a reader reads."""
    return float(text.replace(",", "").replace("−", "-"))


SIZES = st.floats(1e-4, 1e10).map(lambda size: float(f"{size:.7g}"))


@given(SIZES, st.sampled_from([1, -1]))
@example(123.45, 1)
@example(1.2345, -1)
@example(9.9996, 1)
@example(99_999.6, 1)
def test_a_value_has_four_digits_but_never_more_than_three_decimals(size: float, sign: int) -> None:
    text = format_value(sign * size)
    decimals = min(3, max(0, 3 - floor(log10(size))))
    assert abs(number_of(text) - sign * size) <= 0.5 * 10.0**-decimals * (1 + 1e-9)
    assert len(text.partition(".")[2]) <= decimals
    assert "e" not in text and not text.endswith(".")
    assert text.count(",") == (len(text.lstrip("−").partition(".")[0]) - 1) // 4


@given(st.floats(-1e7, 1e7), st.integers(0, 5))
def test_a_number_has_its_decimals_and_its_sign(value: float, decimals: int) -> None:
    text, signed = (format_number(value, decimals, signed=is_signed) for is_signed in (False, True))
    assert abs(number_of(text) - value) <= 0.5 * 10.0**-decimals * (1 + 1e-6)
    assert len(text.partition(".")[2]) == decimals
    rounded = number_of(text)
    assert signed == (f"+{text}" if rounded > 0 else text)
    assert text.startswith("−") == (rounded < 0)


@given(st.floats(0, 1))
def test_a_share_is_whole_percent(share: float) -> None:
    assert abs(number_of(format_percent(share).removesuffix("%")) - 100 * share) <= 0.5 + 1e-9


FINEST_M = {"m": 1e-3, "cm": 1e-3, "mm": 1e-3, "ft": 0.01 * 0.3048}
"""The step of a level's last digit, in metres."""


@pytest.mark.parametrize("unit", VARIABLES["reservoir_level"].units)
def test_a_level_of_any_unit_has_millimetres_or_hundredths_of_a_foot(unit: str) -> None:
    step = 10.0 ** -format_decimals(unit)
    assert VARIABLES["reservoir_level"].to_canonical(step, unit) == pytest.approx(FINEST_M[unit])
    assert number_of(format_level(7.0 + step, unit)) == pytest.approx(7.0 + step)


@pytest.mark.parametrize("unit", VARIABLES["storage"].units)
def test_a_storage_of_any_unit_is_told_to_a_small_volume(unit: str) -> None:
    """Lakes are told in large units only where they are large: never coarser than a hundred megalitres."""
    step = 10.0 ** -format_decimals(unit)
    assert VARIABLES["storage"].to_canonical(step, unit) <= 100.0
