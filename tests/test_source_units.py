"""Units as services write them: each spelling has the size that the standards give."""

import pytest

from forebay.charts.formats import TargetFormat
from forebay.dams.variables import VARIABLES
from forebay.errors import SourceError
from forebay.sources.units import UNITS, gauge_unit, unit_of
from tests.synthetic import small_dam

LITRES_PER_M3 = 1000


@pytest.mark.parametrize("text", ["MLD", "mld", "M L D", "ML/day", "Million Litres/day", "million liters per day"])
def test_million_litres_a_day(text: str) -> None:
    """By hand: 10⁶ L in 86,400 s are 1,000 m³ in 86,400 s."""
    unit = unit_of(text)
    assert unit is not None
    assert VARIABLES["discharge"].to_canonical(1.0, unit) == pytest.approx(1000 / 86_400, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "cubic_metres"),
    [
        ("Mcum", 1e6), ("M.Cum", 1e6), ("M Cu. m", 1e6), ("million cu.m", 1e6), ("Million Cubic Metres", 1e6),
        ("hm³", 1e6), ("10^6 m3", 1e6), ("BCM", 1e9), ("B.C.M", None), ("billion cubic meters", 1e9), ("km³", 1e9),
        ("10^9 m3", 1e9), ("b.cu.m", 1e9), ("Million Litres", 1e3),
    ],
)  # fmt: skip
def test_volumes(text: str, cubic_metres: float | None) -> None:
    unit = unit_of(text)
    if cubic_metres is None:
        assert unit is None, "an unknown spelling is refused, not guessed"
        return
    assert unit is not None
    megalitres = cubic_metres * LITRES_PER_M3 / 1e6
    assert VARIABLES["storage"].to_canonical(1.0, unit) == pytest.approx(megalitres, rel=1e-12)


def test_every_unit_of_a_service_is_one_of_a_variable_and_has_one_spelling_each() -> None:
    units = {unit for variable in VARIABLES.values() for unit in variable.units}
    assert set(UNITS) <= units
    spellings = [text for texts in UNITS.values() for text in texts.split()]
    assert len(spellings) == len(set(spellings)), "no spelling has two meanings"
    assert all(text == "".join(text.lower().split()) for text in spellings)


@pytest.mark.parametrize("unit", VARIABLES["storage"].units)
def test_the_last_digit_of_a_storage_is_at_most_thirty_megalitres(unit: str) -> None:
    """A storage in a large unit has decimals: 1 BCM is a million ML."""
    dam = small_dam({"role": "target", "station": "lake", "variable": "storage", "unit": unit}, unit=unit)
    digit = 10.0 ** -TargetFormat(dam).decimals
    assert VARIABLES["storage"].to_canonical(digit, unit) < 30.0


def test_a_daily_flow_is_no_volume() -> None:
    gauge = small_dam({"role": "target", "station": "lake", "variable": "storage", "unit": "BCM"}, unit="BCM").gauges[0]
    assert gauge_unit("B.Cum", gauge) == "BCM"
    with pytest.raises(SourceError, match=r"the answer's unit 'MLD' is not a unit of storage \(ML, GL, m3, hm3, "):
        gauge_unit("MLD", gauge)
