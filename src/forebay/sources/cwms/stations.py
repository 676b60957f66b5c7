"""Search for the projects (dams) of the CWMS catalog near a place, and their time series.

The catalog cannot be asked for a place. The search reads all projects, a few thousand, and computes the distances.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.variables import VARIABLES
from forebay.services import service_named
from forebay.sources.answers import Json, answer_parser, text_at
from forebay.sources.cwms.fetch import Get, catalog_entries, getter
from forebay.sources.cwms.parse import record_end, record_start
from forebay.sources.stations import (
    SERIES,
    STATIONS,
    SeriesRow,
    StationList,
    StationSearch,
    add_distances,
    batches,
    degrees,
    nearest_stations,
    station_list,
)
from forebay.sources.transport import open_transport
from forebay.sources.units import unit_of

if TYPE_CHECKING:
    from forebay.services import Service
    from forebay.settings import Settings

_STEP = re.compile(r"(\d+)(Minute|Hour|Day)s?")
KIND = "PROJECT"
PAGE_SIZE = 5000
MAX_PAGES = 40
VARIABLE_OF = {
    "Elev": "reservoir_level",
    "Stor": "storage",
    "Stage": "stream_level",
    "Flow": "discharge",
    "Flow-In": "inflow",
    "Flow-Inflow": "inflow",
    "Flow-Res In": "inflow",
    "Flow-Out": "release",
    "Flow-Outflow": "release",
    "Flow-Res Out": "release",
    "Precip": "rainfall",
    "Precip-Inc": "rainfall",
    "Temp-Air": "temperature",
    "Evap": "evaporation",
}
"""Parameter in the name of a time series → forebay's variable; other parameters have none."""


def search_stations(search: StationSearch, *, settings: Settings) -> StationList:
    """The projects of the catalog near a place; see `forebay.sources.search_stations`.

    `station` is the location of a project, `datasources` its office, and `code` of a series is the name that a gauge
    has as its `station`.
    """
    with open_transport(settings.http_for(search.source)) as send:
        get = getter(send, settings.sources[search.source].url)
        return _station_list(get, search)


def _station_list(get: Get, search: StationSearch) -> StationList:
    query = {"location-kind-like": KIND, "unit-system": "SI", "page-size": str(PAGE_SIZE)}
    projects = project_sites(catalog_entries(get, "LOCATIONS", query, MAX_PAGES))
    sites = add_distances(projects, search.centre).drop("datasources")
    offices = projects.select("station", "datasources").unique("station")
    near, notes = nearest_stations(sites.join(offices, on="station", how="left"), search)
    series = [SERIES.empty()]
    for office, names in _by_office(near):
        for batch in batches(names, service_named(search.source).limits.stations_per_request):
            pattern = "|".join(re.sub(r"([^A-Za-z0-9 _-])", r"\\\1", name) for name in batch)
            query = {"office": office, "like": f"^({pattern})\\.", "page-size": str(PAGE_SIZE)}
            listed = project_series(catalog_entries(get, "TIMESERIES", query, MAX_PAGES))
            series.append(listed.filter(pl.col("station").is_in(pl.Series(batch).implode())))
    return station_list(search, near, pl.concat(series), notes)


def _by_office(stations: pl.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """Each office with its stations."""
    offices = stations.select("station", pl.col("datasources").list.first().alias("office"))
    for (office,), part in offices.group_by("office", maintain_order=True):
        yield str(office), part["station"].to_list()


@answer_parser
def project_sites(entries: Sequence[Mapping[str, Json]]) -> pl.DataFrame:
    """Projects of a catalog of locations: station, name, coordinates (null without any), active, datasources (office).

    Of projects of one name, which two offices may have, the first stays.
    """
    rows = []
    for entry in entries:
        if entry.get("kind", KIND) != KIND:
            continue
        latitude, longitude = degrees(entry.get("latitude"), 90), degrees(entry.get("longitude"), 180)
        known = latitude is not None and longitude is not None
        active = entry.get("active")
        rows.append({
            "station": text_at(entry, "name"),
            "name": str(entry.get("public-name") or entry.get("long-name") or ""),
            "latitude": latitude if known else None,
            "longitude": longitude if known else None,
            "active": active if isinstance(active, bool) else None,
            "opened": None,
            "closed": None,
            "datasources": [text_at(entry, "office")],
        })  # fmt: skip
    columns = ("station", "name", "latitude", "longitude", "active", "opened", "closed", "datasources")
    frame = pl.DataFrame(rows, schema={column: STATIONS.columns[column] for column in columns})
    return frame.unique("station", keep="first", maintain_order=True)


@answer_parser
def project_series(entries: Sequence[Mapping[str, Json]]) -> pl.DataFrame:
    """Series (`SERIES`) of a catalog of time series, each once although it is listed once per unit."""
    rows = []
    for entry in entries:
        code, units = text_at(entry, "name"), str(entry.get("units") or "")
        parts = code.split(".")
        parameter = parts[1] if len(parts) > 1 else ""
        variable, unit = VARIABLE_OF.get(parameter), unit_of(units)
        rows.append({
            "station": parts[0],
            "variable": variable,
            "unit": unit if variable and unit in VARIABLES[variable].units else None,
            "code": code,
            "name": parameter,
            "units": units,
            "description": ", ".join(parts[2:]),
            "first_day": _day(record_start(entry)),
            "last_day": _day(record_end(entry)),
        })  # fmt: skip
    return SERIES.check(pl.DataFrame(rows, schema=SERIES.columns)).unique("code", keep="first", maintain_order=True)


def _day(instant: datetime | None) -> object:
    return None if instant is None else instant.date()


def gauge_keys(series: SeriesRow, service: Service) -> dict[str, object] | None:
    """Keys of a gauge of a series; see `forebay.sources.GaugeKeys`.

    The name of a time series is Location.Parameter.Type.Interval.Duration.Version; stamps name the interval's end.
    """
    parts = series.code.split(".")
    if len(parts) != 6 or (step := _STEP.fullmatch(parts[3].lstrip("~"))) is None:
        return None
    minutes = int(step[1]) * {"Minute": 1, "Hour": 60, "Day": 1440}[step[2]]
    is_total = VARIABLES[series.variable].aggregate == "total"
    if minutes > 1440 or parts[2] not in (("Total",) if is_total else ("Inst", "Ave")):
        return None
    keys: dict[str, object] = {"station": series.code, "request": {"office": series.datasources[0]}}
    if minutes < 1440:
        keys["interval"] = "hour" if minutes == 60 else f"{minutes}min"
    if parts[2] != "Inst":
        keys["stamp"] = "end"
    elif minutes < 1440:
        keys["reading"] = "instantaneous"
    else:
        return None  # a daily reading whose clock time the name does not state
    return keys
