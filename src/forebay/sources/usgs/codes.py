"""Parameter codes and statistics of the USGS Water Data API, by forebay's variables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forebay.errors import ConfigError
from forebay.sources.datums import DATUMS, datum_of
from forebay.sources.usgs.parse import CONTINUOUS, DAILY, MIDNIGHT

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

PARAMETERS = {
    "reservoir_level": "00062",
    "storage": "00054",
    "storage_percent": "72121",  # live pool
    "rainfall": "00045",
    "stream_level": "00065",
    "discharge": "00060",
    "inflow": "00060",
    "release": "00060",
    "temperature": "00020",
}
"""Variable → parameter that is requested by default."""
LEVEL_PARAMETERS = {
    "NGVD29": "62614",
    "NAVD88": "62615",
    "IGLD": "72214",
    "NYBCD": "72264",
    "USBRKB": "72275",
    "LMSL": "72375",
    "GUVD04": "72377",
    "PRVD02": "72379",
    "VIVD09": "72381",
    "USCGS1912": "91601",
    "NMVD03": "91605",
}
"""Datum → parameter of a lake's level above it, in feet."""
_METRIC_LEVELS = ("62616", "62617", "72215", "72265", "72376", "72378", "72380", "72382", "91602", "91606")
SEARCHED = {
    "reservoir_level": ("00062", *LEVEL_PARAMETERS.values(), *_METRIC_LEVELS),
    "storage": ("00054", "72022", "72023", "72036", "72118", "72119"),
    "storage_percent": ("72120", "72121"),
    "rainfall": ("00045",),
    "stream_level": ("00065", "63158", "63160"),
    "discharge": ("00060", "30208"),
    "temperature": ("00020",),
}
"""Variable → the parameters that a search for stations takes for it."""
VARIABLE_OF = {code: variable for variable, codes in SEARCHED.items() for code in codes}

STATISTICS = {"mean": "00003", "total": "00006"}
"""Reading → statistic of daily values that is requested by default."""
_STATION = re.compile(r"[A-Z0-9]+-[A-Z0-9._-]+", re.IGNORECASE)
_NUMBER = re.compile(r"\d{8,15}")
_CODE = re.compile(r"\d{5}")


@dataclass(frozen=True)
class Query:
    """What is requested for a gauge.

    `statistic` is empty where any is right, `series` where the metadata decide it. `datum` is the one that the dam
    file names for the values; None if it names none.
    """

    station: str
    collection: str
    parameter: str
    statistic: str
    series: str
    datum: str | None

    @property
    def title(self) -> str:
        """Parameter, collection and statistic, such as "62614 daily 32400"."""
        return f"{self.parameter} {self.collection} {self.statistic}".strip()


def query_of(gauge: Gauge, dam: Dam) -> Query:
    """What is requested for a gauge, by its keys and the datum of its dam.

    Raises
    ------
    ConfigError
        If the dam file asks for something that the service does not have.
    """
    request = dict(gauge.request)
    datum = _datum(gauge, dam)
    by_datum = LEVEL_PARAMETERS.get(datum or "") if gauge.variable == "reservoir_level" else None
    parameter = request.get("parameter", by_datum or PARAMETERS.get(gauge.variable, ""))
    if not parameter:
        raise ConfigError(
            f"gauge {gauge.station}: {gauge.variable} has no default parameter (only {', '.join(PARAMETERS)} have one);"
            " give request.parameter in the dam file"
        )
    for key, code in (("parameter", parameter), ("statistic", request.get("statistic", "00003"))):
        if not _CODE.fullmatch(code):
            raise ConfigError(
                f'gauge {gauge.station}: request.{key} = {code!r} must be a code of 5 digits such as "00060"; correct '
                "it in the dam file"
            )
    collection, statistic = _statistic(gauge, request.get("statistic", ""))
    return Query(_station(gauge), collection, parameter, statistic, request.get("series", ""), datum)


def _station(gauge: Gauge) -> str:
    """Identifier of the monitoring location; the number alone is one of USGS."""
    if _NUMBER.fullmatch(gauge.station):
        return f"USGS-{gauge.station}"
    if not _STATION.fullmatch(gauge.station):
        raise ConfigError(
            f"gauge {gauge.station}: station {gauge.station!r} is no monitoring location; allowed are an agency and a "
            "number such as USGS-01646500, or 8 to 15 digits; correct it in the dam file"
        )
    return gauge.station


def _datum(gauge: Gauge, dam: Dam) -> str | None:
    """Datum of the values by the dam file: that of the request or, for the target, that of the dam."""
    text = dict(gauge.request).get("datum")
    if text is None:
        return datum_of(dam.target.datum) if gauge.role == "target" and gauge.variable == "reservoir_level" else None
    datum = datum_of(text)
    if datum is None:
        raise ConfigError(
            f"gauge {gauge.station}: request.datum = {text!r} is unknown; allowed are {', '.join(DATUMS)}"
        )
    return datum


def _statistic(gauge: Gauge, stated: str) -> tuple[str, str]:
    """Collection and statistic of the gauge's readings."""
    where = f"gauge {gauge.station}"
    if gauge.interval != "day":
        if gauge.reading == "mean":
            raise ConfigError(
                f'{where}: the service has means of days only, not of interval = "{gauge.interval}"; set reading = '
                '"instantaneous"'
            )
        return CONTINUOUS, stated
    if gauge.reading_at is None:
        if stated.startswith("3"):
            raise ConfigError(
                f"{where}: request.statistic {stated} is a value at {stated[1:3]}:{stated[3:]}; set reading = "
                '"instantaneous" and reading_at'
            )
        return DAILY, stated or STATISTICS[gauge.reading]
    clock = gauge.reading_at.strftime("%H%M")
    expected = MIDNIGHT if clock == "0000" else f"3{clock}"
    if stated.startswith("3") and stated != expected:
        raise ConfigError(
            f"{where}: request.statistic {stated} is a value at {stated[1:3]}:{stated[3:]}, but reading_at is "
            f"{gauge.reading_at:%H:%M}; correct one of them"
        )
    return DAILY, stated or expected


def searched_parameters(variable: str | None) -> tuple[str, ...]:
    """Parameters that a search for stations requests.

    Raises
    ------
    ConfigError
        If the service has none for the variable.
    """
    if variable is None:
        return tuple(VARIABLE_OF)
    if variable not in SEARCHED:
        raise ConfigError(f"usgs cannot be searched for {variable!r}; allowed are {', '.join(SEARCHED)}")
    return SEARCHED[variable]
