"""Vertical datums in the texts of services and of dam files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from forebay.errors import SourceError

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

DATUMS = {
    "NGVD29": r"ngvd ?(of )?(19)?29|national geodetic vertical datum of 1929|ngvd",
    "NAVD88": r"navd ?(of )?(19)?88|north american vertical datum of 1988|navd",
    "IGLD": r"igld ?(19)?(55|85)?|international great lakes datum",
    "NYBCD": r"nybcd|new york state barge canal datum",
    "USBRKB": r"usbrkb|united states bureau of reclamation klamath basin",
    "LMSL": r"lmsl|local mean sea level",
    "GUVD04": r"guvd ?(20)?04|guam vertical datum of 2004",
    "NMVD03": r"nmvd ?(20)?03|northern marianas vertical datum of 2003",
    "PRVD02": r"prvd ?(20)?02|puerto rico (vertical )?datum of 2002",
    "VIVD09": r"vivd ?(20)?09|virgin islands vertical datum of 2009",
    "AHD": r"m?ahd|australian height datum",
    "AOD": r"m?aod|ordnance datum",  # Great Britain: above Ordnance Datum
    "ASD": r"m?asd|(station|stage) datum",  # the zero of the station, as the Environment Agency calls it
    "USCGS1912": r"uscgs ?1912|u\.s\. coast and geodetic survey of 1912",
}
"""Name of a datum → the forms that texts use, in small letters."""
_FORMS = {name: re.compile(rf"\b({form})(?![a-z0-9])") for name, form in DATUMS.items()}


def datum_of(text: str) -> str | None:
    """Name of the vertical datum that a text contains; None if it names none, or more than one.

    >>> datum_of("Lake or reservoir water surface elevation above NGVD 1929, feet"), datum_of("feet above datum")
    ('NGVD29', None)
    """
    names = [name for name, form in _FORMS.items() if form.search(text.lower())]
    return names[0] if len(names) == 1 else None


def check_unit_datum(unit: str, gauge: Gauge, dam: Dam) -> None:
    """Raise if the unit of the target's levels names another datum than the dam file: "mASD" instead of "mAOD".

    Raises
    ------
    SourceError
        Also where the unit of a series changes from the one to the other, since all its values are then in the new one.
    """
    stated, expected = datum_of(unit), datum_of(dam.target.datum)
    is_level = gauge.role == "target" and gauge.variable == "reservoir_level"
    if is_level and None not in (stated, expected) and stated != expected:
        raise SourceError(
            f"the unit {unit[:40]!r} names the datum {stated}, but target.datum in the dam file is "
            f"{dam.target.datum!r} ({expected}); choose a series above {expected}, or correct target.datum with the "
            "full supply level and the storage curve"
        )
