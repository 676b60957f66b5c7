"""Search for stations of the Environment Agency: their places, and the measures of each."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.variables import DAY_S, VARIABLES
from forebay.errors import ConfigError, SourceError
from forebay.sources.answers import Json, answer_parser
from forebay.sources.stations import (
    SERIES,
    STATIONS,
    SeriesRow,
    StationList,
    StationSearch,
    add_distances,
    degrees,
    nearest_stations,
    station_list,
)
from forebay.sources.transport import open_transport
from forebay.sources.uk_ea.fetch import PARAMETERS, call_to
from forebay.sources.uk_ea.parse import last_segment, page_of, text_of
from forebay.sources.units import unit_of

if TYPE_CHECKING:
    from forebay.services import Service
    from forebay.settings import Settings

_NOTATION = re.compile(r"-(i|m|t|min|max)-(\d+(?:_\w+)?|daily)-")
_PERIODS = {"15_min": 900, "1_h": 3600, "daily": DAY_S}
_RESERVOIR = re.compile(r"\breservoir\b", re.IGNORECASE)
_VARIABLES = {"rainfall": "rainfall", "flow": "discharge", "level": "stream_level"}
_ACTIVE = {"statusActive": True, "statusSuspended": False, "statusClosed": False}


def search_stations(search: StationSearch, *, settings: Settings) -> StationList:
    """The stations of a service near a place; see `forebay.sources.search_stations`.

    The service takes a circle. Distances are computed here; the circle is a little wider.

    Raises
    ------
    ConfigError
        If the service does not measure the variable.
    SourceError
        If the service does not answer, or its answer is not a list of stations.
    """
    if search.variable is not None and search.variable not in PARAMETERS:
        raise ConfigError(
            f"{search.source} cannot be searched for {search.variable!r}; allowed are {', '.join(PARAMETERS)}"
        )
    circle = {
        "lat": f"{search.latitude:.6f}",
        "long": f"{search.longitude:.6f}",
        "dist": str(math.ceil(1.01 * search.radius_km) + 1),
        "_limit": "10000",
    }
    with open_transport(settings.http_for(search.source)) as send:
        answer = call_to(send, settings.sources[search.source].url)("id/stations", circle)
        near, notes = nearest_stations(add_distances(parse_stations(answer), search.centre), search)
        return station_list(search, near, parse_station_series(answer), notes)


@answer_parser
def parse_stations(answer: bytes) -> pl.DataFrame:
    """Stations of an answer to `id/stations`.

    Columns: station, name, latitude, longitude (null where the service has none), active (null where it has no status),
    opened, closed. A station with several places has the first.
    """
    columns = ("station", "name", "latitude", "longitude", "active", "opened", "closed")
    rows = []
    for item in page_of(answer).items:
        latitude, longitude = degrees(_first(item.get("lat")), 90), degrees(_first(item.get("long")), 180)
        known = latitude is not None and longitude is not None
        rows.append({
            "station": _station(item),
            "name": text_of(item.get("label")),
            "latitude": latitude if known else None,
            "longitude": longitude if known else None,
            "active": _ACTIVE.get(_status(item)),
            "opened": _day(item.get("dateOpened")),
            "closed": _day(item.get("dateClosed")),
        })  # fmt: skip
    frame = pl.DataFrame(rows, schema={column: STATIONS.columns[column] for column in columns})
    return frame.unique("station", keep="first", maintain_order=True)


@answer_parser
def parse_station_series(answer: bytes) -> pl.DataFrame:
    """Series (`SERIES`) of the stations of an answer to `id/stations`: one for each measure.

    A level is that of a reservoir where the station's or the water's name has the word "reservoir".
    """
    rows = []
    for item in page_of(answer).items:
        is_reservoir = _RESERVOIR.search(f"{text_of(item.get('label'))} {text_of(item.get('riverName'))}")
        measures = item.get("measures") or []
        for measure in measures if isinstance(measures, list) else [measures]:
            if not (isinstance(measure, dict) and (code := last_segment(measure.get("@id")))):
                raise SourceError(f"the answer has a measure without an id ({str(measure)[:60]}); try again later")
            variable = _VARIABLES.get(text_of(measure.get("parameter")))
            variable = "reservoir_level" if variable == "stream_level" and is_reservoir else variable
            units = text_of(measure.get("unitName"))
            unit = unit_of(units)
            rows.append({
                "station": _station(item),
                "variable": variable,
                "unit": unit if variable and unit in VARIABLES[variable].units else None,
                "code": code,
                "name": text_of(measure.get("parameterName")),
                "units": units,
                "description": text_of(measure.get("qualifier")),
                "first_day": _day(item.get("dateOpened")),
                "last_day": _day(item.get("dateClosed")),
            })  # fmt: skip
    return SERIES.check(pl.DataFrame(rows, schema=SERIES.columns).unique(SERIES.key, keep="first", maintain_order=True))


def _station(item: dict[str, Json]) -> str:
    """The station's name in requests: its guid in the archive, otherwise its reference."""
    names = (text_of(item.get(key)) for key in ("stationGuid", "stationReference", "notation"))
    station = next(filter(None, names), last_segment(item.get("@id")))
    if not station:
        raise SourceError(f"the answer has a station without a reference ({str(item)[:80]}); try again later")
    return station


def _status(item: dict[str, Json]) -> str:
    status = item.get("status")
    name = last_segment(status)
    return name if name.startswith("status") else f"status{text_of(status)}"


def _first(value: Json) -> Json:
    return value[0] if isinstance(value, list) and value else value


def _day(value: Json) -> date | None:
    try:
        return date.fromisoformat(str(_first(value))[:10])
    except ValueError:
        return None


def gauge_keys(series: SeriesRow, service: Service) -> dict[str, object] | None:
    """Keys of a gauge of a measure; see `forebay.sources.GaugeKeys`.

    Its notation ends in value type (i, m, t, min, max), period and unit.
    """
    match = _NOTATION.search(series.code)
    is_total = VARIABLES[series.variable].aggregate == "total"
    if match is None or match[1] not in ("t" if is_total else "im"):
        return None
    seconds = _PERIODS.get(match[2]) or (int(match[2]) if match[2].isdigit() else 0)
    if not 0 < seconds <= DAY_S:
        return None
    keys: dict[str, object] = {"station": series.station, "request": {"measure": series.code}}
    if seconds < DAY_S:
        keys["interval"] = "hour" if seconds == 3600 else f"{seconds // 60}min"
        if match[1] == "i":
            keys["reading"] = "instantaneous"
        return keys
    return None if match[1] == "i" else {**keys, "day_start": "09:00"}
