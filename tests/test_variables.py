"""`forebay.dams.variables`: unit factors equal the standards."""

import pytest

from forebay.dams.gauge import ROLE_VARIABLES
from forebay.dams.variables import TARGETS, VARIABLES, Variable
from forebay.errors import ConfigError


@pytest.mark.parametrize("variable", VARIABLES.values(), ids=lambda variable: variable.name)
def test_every_variable_is_complete(variable: Variable) -> None:
    assert variable.conversion(variable.unit) == (1.0, 0.0)
    assert variable.aggregate in ("mean", "total")
    assert variable.plausible[0] < variable.plausible[1]
    assert any(variable.name in variables for variables in ROLE_VARIABLES.values()), "no role allows the variable"


@pytest.mark.parametrize(
    ("variable", "value", "unit", "canonical"),
    [
        ("reservoir_level", 1.0, "ft", 0.3048),  # international foot, exact (1959)
        ("storage", 1.0, "ac-ft", 1.23348183754752),  # 43,560 ft³
        ("storage", 1.0, "MG", 3.785411784),  # US liquid gallon = 231 in³, exact
        ("storage", 1.0, "hm3", 1000.0),  # 10⁶ m³ = 10⁹ L
        ("storage", 1.0, "MCM", 1000.0),
        ("storage", 1.0, "Mcum", 1000.0),
        ("storage", 1.0, "BCM", 1e6),  # 10⁹ m³ = 10¹² L
        ("storage", 0.38, "BCM", 380_000.0),
        ("storage", 1.0, "kac-ft", 1233.48183754752),
        ("storage", 1.0, "TAF", 1233.48183754752),
        ("storage", 1.0, "Mgal", 3.785411784),
        ("storage", 1.0, "Mft3", 28.316846592),  # 10⁶ · 0.3048³ m³
        ("storage", 1.0, "TMC", 28316.846592),  # 10⁹ ft³
        ("discharge", 1.0, "ft3/s", 0.028316846592),  # 0.3048³
        ("discharge", 1.0, "cusecs", 0.028316846592),
        ("discharge", 86.4, "MCM/d", 1000.0),
        ("discharge", 86.4, "hm3/d", 1000.0),
        ("discharge", 0.0864, "GL/d", 1.0),
        ("discharge", 86.4, "ML/d", 1.0),
        ("discharge", 86.4, "MLD", 1.0),  # 86.4 · 10⁶ L in 86,400 s = 1,000 L/s
        ("discharge", 1.0, "mgd", 0.0438126363888889),  # 3,785.411784 m³ in 86,400 s
        ("inflow", 1.0, "ac-ft/d", 0.0142764101568),  # 1,233.48183754752 m³ in 86,400 s
        ("rainfall", 2.0, "in", 50.8),
        ("temperature", 212.0, "degF", 100.0),
        ("temperature", -40.0, "degF", -40.0),
    ],
)
def test_conversions_agree_with_the_standards(variable: str, value: float, unit: str, canonical: float) -> None:
    assert VARIABLES[variable].to_canonical(value, unit) == pytest.approx(canonical, rel=1e-12)


def test_an_unknown_unit_is_an_error_that_lists_the_allowed_units() -> None:
    with pytest.raises(ConfigError, match=r"^unit 'm' is not one of rainfall's units: mm, in, cm$"):
        VARIABLES["rainfall"].conversion("m")


def test_targets_are_variables_that_a_target_gauge_may_have() -> None:
    assert ROLE_VARIABLES["target"] == TARGETS
    assert set(TARGETS) <= set(VARIABLES)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("rainfall", 0.0),
        ("rainfall", 1825.0),  # mm in a day, Foc-Foc, Réunion, 1966 (WMO archive of extremes)
        ("temperature", -89.2),  # °C, Vostok 1983 (WMO archive of extremes)
        ("temperature", 56.7),  # °C, Furnace Creek 1913 (WMO archive of extremes)
    ],
)
def test_plausible_ranges_contain_observed_extremes(variable: str, value: float) -> None:
    low, high = VARIABLES[variable].plausible
    assert low <= value <= high
