"""Units as services write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from forebay.errors import SourceError

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge

UNITS = {
    "m": "metres meters metre meter m mahd maod masd mosl",
    "cm": "centimetres centimeters centimetre centimeter cm",
    "mm": "millimetres millimeters millimetre millimeter mm",
    "ft": "feet foot ft ftus",
    "in": "inches inch in",
    "ML": "megalitres megaliters megalitre megaliter ml millionlitres millionliters",
    "GL": "gigalitres gigaliters gl",
    "m3": "cubicmetres cubicmeters m3 m^3 m³",
    "hm3": (
        "hm3 hm³ hm^3 cubichectometres cubichectometers mcm mcum m.cum mcu.m m.cu.m millioncum millioncu.m millionm3 "
        "millionm³ millionm^3 millioncubicmetres millioncubicmeters 10^6m3 10^6m^3 10⁶m³"
    ),
    "BCM": (
        "bcm bcum b.cum bcu.m b.cu.m billioncum billioncu.m billionm3 billionm³ billionm^3 billioncubicmetres "
        "billioncubicmeters km3 km³ km^3 cubickilometres cubickilometers 10^9m3 10^9m^3 10⁹m³"
    ),
    "MG": "milliongallons mgal mg",
    "ac-ft": "acre-feet acrefeet acre-ft ac-ft acft acre*ft af",
    "kac-ft": "kac-ft kaf thousandacre-feet thousandacrefeet thousandac-ft 1000ac-ft [1000ac-ft] taf",
    "Mft3": "millionft3 millionft^3 millioncubicfeet mft3 mft^3 [mft3] [mft^3] 10^6ft3 10^6ft^3",
    "TMC": "tmc tmcft thousandmillioncubicfeet",
    "ML/d": (
        "megalitres/day megaliters/day megalitreperday megaliterperday megalitresperday megalitersperday ml/day ml/d "
        "mld millionlitres/day millionliters/day millionlitresperday millionlitersperday"
    ),
    "GL/d": "gigalitres/day gigaliters/day gl/day gl/d",
    "m3/s": "cumecs cumec m3/s m^3/s m³/s m3/sec cms cubicmetres/second cubicmeters/second cubicmetrespersecond",
    "m3/d": "m3/d m³/d m3/day m³/day cubicmetres/day",
    "hm3/d": "hm3/d hm³/d hm3/day hm³/day mcm/d mcm/day mcum/d mcum/day millionm3/day millioncubicmetres/day",
    "ft3/s": "ft3/s ft^3/s ft³/s ft3/sec cubicfeetpersecond cfs cusecs cusec",
    "mgd": "mgd mgal/d mgal/day",
    "ac-ft/d": "ac-ft/d ac-ft/day af/d",
    "%": "% percent",
    "degC": "degc °c c degreescelsius degreescelcius deg.c",  # also misspelt, as recorded
    "degF": "degf °f f degreesfahrenheit deg.f",
}
"""Forebay's name of a unit → the forms that services write, in small letters and without spaces."""
_NAMES = {text: unit for unit, texts in UNITS.items() for text in texts.split()}


def unit_of(text: str) -> str | None:
    """Forebay's name of a unit that a service writes as `text`; None if it is unknown.

    >>> unit_of("Megalitres/Day"), unit_of("[Mft3]"), unit_of("furlongs")
    ('ML/d', 'Mft3', None)
    """
    return _NAMES.get("".join(text.lower().split()))


def gauge_unit(text: str, gauge: Gauge) -> str:
    """Forebay's name of an answer's unit, if it is a unit of the gauge's variable.

    Raises
    ------
    SourceError
        If it is not, or if the gauge has an offset, which is in the gauge's own unit, and that is another one.
    """
    name = unit_of(text)
    if name is None or name not in gauge.kind.units:
        advice = "check the gauge's variable, or its request, in the dam file"
        raise SourceError(
            f"the answer's unit {text!r} is not a unit of {gauge.variable} ({', '.join(gauge.kind.units)}); {advice}"
        )
    has_offset = gauge.offset != 0 or any(change.offset != 0 for change in gauge.readings_from)
    if has_offset and gauge.kind.conversion(name) != gauge.kind.conversion(gauge.unit):
        raise SourceError(
            f"the answer's unit is {text!r}, but the gauge's offset is in {gauge.unit!r}; correct unit and offset in "
            "the dam file"
        )
    return name


def one_unit(texts: Iterable[str], gauge: Gauge) -> str:
    """`gauge_unit` of the unit of all parts of an answer; at least one.

    Raises
    ------
    SourceError
        Also if the parts have different units.
    """
    names = sorted(set(texts))
    units = {gauge_unit(text, gauge) for text in names}
    if len(units) > 1:
        raise SourceError(
            f"the unit changes within the answer ({', '.join(names)}), so its values cannot be compared; nothing was "
            "stored: try again later"
        )
    return units.pop()
