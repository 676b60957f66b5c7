"""Units in column names and cells."""

from __future__ import annotations

import re

from forebay.dams.variables import VARIABLES
from forebay.draft.vocabulary import LETTERS, PARAMETERS, name_words
from forebay.sources.units import UNITS

_UNIT_WORDS = {
    "msnm": "m", "masl": "m", "mamsl": "m", "mngf": "m", "slm": "m", "ftmsl": "ft", "cuft": "ft3/s", "mcuft": "Mft3",
    "mcft": "Mft3", "mld": "ML/d", "ldm": "ML/d", "celsius": "degC", "fahrenheit": "degF", "degreesc": "degC",
    "degreesf": "degF", "pct": "%", "inch": "in", "inches": "in", "metros": "m", "metri": "m", "pies": "ft",
    "mill": "mm", "mmd": "mm", "mmday": "mm", "mmtag": "mm", "mmjour": "mm", "mmdia": "mm", "m3seg": "m3/s",
    "mc": "m3",
}  # fmt: skip
_UNITS_OF_SCRIPTS = (
    ("ลบ.ม./ว", "m3/s"), ("ลบ.ม", "m3"), ("มม", "mm"), ("ม.รทก", "m"), ("立方米", "m3"), ("毫米", "mm"),
    ("м3/с", "m3/s"), ("м3", "m3"), ("мм", "mm"), ("см", "cm"),
)  # fmt: skip
"""Units in other scripts than the Latin one, of which the first in a text counts."""
_FLOWS = ("inflow", "release", "discharge")
_OF_A_DAY = {"hm3": "hm3/d", "m3": "m3/d", "ML": "ML/d", "GL": "GL/d", "MG": "mgd", "ac-ft": "ac-ft/d"}
_FACTORS = {
    1e3: r"\b(?:tsd|tausend|thousands?|x?1000|miles|10\^?3)\b\.?|'000|\b000\b|千|тыс\.?",
    1e6: r"\b(?:mio|million(?:s|en|es|i)?|millones|milhoes|mln|10\^?6)\b\.?|百万|ล้าน|млн\.?",
    0.0: r"\bmil\b\.?|\b1/10\b|\b0\.1\b|[万萬億亿]|억|만",  # a thousand or a million, or a factor without a unit here
}
_SCALED = {
    ("m3", 1e3): "ML", ("m3", 1e6): "hm3", ("ML", 1e3): "GL", ("ac-ft", 1e3): "kac-ft", ("m3/d", 1e3): "ML/d",
    ("m3/d", 1e6): "hm3/d", ("ML/d", 1e3): "GL/d",
}  # fmt: skip


def _plain_unit(text: str) -> str:
    """A unit's text in small letters, without marks and spaces; a percent sign stays."""
    return re.sub(r"[^a-z0-9%]", "", text.translate(LETTERS).lower())


_UNITS = {_plain_unit(text): unit for unit, texts in UNITS.items() for text in texts.split()} | _UNIT_WORDS


def unit_of_text(text: str, variable: str) -> str | None:
    """Unit of a variable that a text states; a volume stands for the volume of a day where the variable is a flow.

    >>> unit_of_text("hm³", "storage"), unit_of_text("Tsd. m³", "storage"), unit_of_text("mcm", "release")
    ('hm3', 'ML', 'hm3/d')
    """
    factor, rest = _factor(text)
    if factor == 1.0:
        return _of_variable(_known_unit(text), variable)
    if (unit := _SCALED.get((_known_unit(rest) or "", factor))) is not None:
        return _of_variable(unit, variable)
    has_ascii_factor = _plain_unit(text) != _plain_unit(rest)  # as in "million gallons"
    return _of_variable(_UNITS.get(_plain_unit(text)), variable) if has_ascii_factor else None


def _known_unit(text: str) -> str | None:
    if (unit := _UNITS.get(_plain_unit(text))) is not None:
        return unit
    lower = text.translate(LETTERS).lower().strip(" .()[]")
    return next((unit for start, unit in _UNITS_OF_SCRIPTS if lower.startswith(start)), None)


def _of_variable(unit: str | None, variable: str) -> str | None:
    """The unit, if the variable has it."""
    allowed = VARIABLES[variable].units
    if unit is not None and variable in _FLOWS and unit not in allowed:
        unit = _OF_A_DAY.get(unit)
    return unit if unit in allowed else None


def _factor(text: str) -> tuple[float, str]:
    """Factor that a text states, 0 if it is unclear, and the text without it."""
    lower = text.translate(LETTERS).lower().replace("_", " ")
    for factor, pattern in sorted(_FACTORS.items()):
        if re.search(pattern, lower):
            return factor, re.sub(pattern, " ", lower)
    return 1.0, text


def is_unit(text: str) -> bool:
    """Whether a text is a unit of any variable."""
    return bool(text) and _plain_unit(text) in _UNITS


def unit_of_name(name: str, variable: str) -> str | None:
    """Unit that a column's name states, in brackets or in its last words; None if it states none, or is unclear.

    >>> unit_of_name("Elevation (ft)", "reservoir_level"), unit_of_name("STORAGE ML", "storage")
    ('ft', 'ML')
    """
    for bracket in re.findall(r"[(\[（]([^)\]）]*)[)\]）]", name):
        if (unit := unit_of_text(bracket, variable) or _unit_before_datum(bracket, variable)) is not None:
            return unit
    words = name_words(name)
    for word in words:
        if word in PARAMETERS and PARAMETERS[word][0] == variable:
            return PARAMETERS[word][1]
    counts = (4, 3, 2) if _factor(name)[0] != 1.0 else (3, 2, 1)
    for count in counts:
        text = " ".join(words[-count:]) if len(words) > count else ""
        if text and (unit := unit_of_text("%" if text == "percent" else text, variable)) is not None:
            return unit
    return None


def _unit_before_datum(bracket: str, variable: str) -> str | None:
    """Unit of a level that its datum follows, as in "m ü. NHN"."""
    first = re.split(r"[\s.,]", bracket.strip())[0]
    return unit_of_text(first, variable) if variable == "reservoir_level" and first else None
