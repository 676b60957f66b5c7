"""Search for stations of the USGS Water Data API: series in a box around the place, then the stations' names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.variables import TARGETS, VARIABLES
from forebay.errors import SourceError
from forebay.sources.stations import (
    KM_PER_DEGREE,
    MAX_STATIONS,
    SERIES,
    STATIONS,
    SeriesRow,
    StationList,
    StationSearch,
    add_distances,
    nearest_stations,
    station_list,
)
from forebay.sources.transport import open_transport
from forebay.sources.units import unit_of
from forebay.sources.usgs.codes import STATISTICS, VARIABLE_OF, searched_parameters
from forebay.sources.usgs.fetch import WaterData, water_data
from forebay.sources.usgs.parse import Series, parse_locations, parse_series

if TYPE_CHECKING:
    from forebay.services import Service
    from forebay.settings import Settings

MIDNIGHT = "32400"
"""Statistic of the readings at midnight."""
CQL = "application/query-cql-json"
"""Content type of a filter with several stations: `monitoring-locations` takes no list in its URL."""


def search_stations(search: StationSearch, *, settings: Settings) -> StationList:
    """The stations of the service near a place; see `forebay.sources.search_stations`.

    The service has no status of a station, so `active` and `closed` are null. `opened` is the first day of its series.

    Raises
    ------
    ConfigError
        If the service has no parameter for the variable.
    SourceError
        If the service does not answer, or its answer is not a list of series.
    """
    parameters = searched_parameters(search.variable)
    with open_transport(settings.http_for(search.source)) as send:
        service = water_data(send, search.source, settings)
        listed = [series for box in _boxes(search) for series in _series_in(service, box, parameters)]
        stations, notes = nearest_stations(_sites(listed, search), search)
        names, refusals = _names(service, stations["station"].to_list())
    stations = stations.with_columns(
        pl.Series("name", [names.get(station, "") for station in stations["station"]], pl.String)
    )
    return station_list(search, stations, series_table(listed), [*notes, *refusals])


def _boxes(search: StationSearch) -> Iterator[tuple[float, float, float, float]]:
    """West, south, east and north of the boxes that contain the circle: two where it crosses longitude 180."""
    north_deg = 1.001 * search.radius_km / KM_PER_DEGREE
    south, north = max(-90.0, search.latitude - north_deg), min(90.0, search.latitude + north_deg)
    west, east = search.longitude - search.radius_deg, search.longitude + search.radius_deg
    if east - west >= 360:
        west, east = -180.0, 180.0
    yield max(-180.0, west), south, min(180.0, east), north
    if west < -180:
        yield west + 360, south, 180.0, north
    if east > 180:
        yield -180.0, south, east - 360, north


def _series_in(
    service: WaterData, box: tuple[float, float, float, float], parameters: Sequence[str]
) -> list[Series]:
    query = {"bbox": ",".join(f"{degrees:.6f}" for degrees in box), "parameter_code": ",".join(parameters)}
    listed = parse_series(service.rows("time-series-metadata", query))
    return [series for series in listed if series.parameter in parameters]


def _sites(listed: Sequence[Series], search: StationSearch) -> pl.DataFrame:
    """Stations (`STATIONS`) of the series, without names."""
    columns = ("station", "latitude", "longitude", "opened")
    rows = [(series.station, series.latitude, series.longitude, series.first_day) for series in listed]
    frame = pl.DataFrame(rows, schema={column: STATIONS.columns[column] for column in columns}, orient="row")
    place = [pl.col(column).drop_nulls().first() for column in ("latitude", "longitude")]
    sites = frame.group_by("station", maintain_order=True).agg(*place, pl.col("opened").min())
    empty = {column: pl.lit(None, STATIONS.columns[column]) for column in ("active", "closed")}
    return add_distances(sites.with_columns(name=pl.lit(""), **empty), search.centre)


def _names(service: WaterData, stations: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Name of each station, and a note if the service refuses to give them."""
    if not stations:
        return {}, []
    condition = {"op": "in", "args": [{"property": "id"}, list(stations)]}
    body = json.dumps({"op": "and", "args": [condition]}, separators=(",", ":")).encode()
    url = service.items_url("monitoring-locations", {"f": "json", "limit": MAX_STATIONS + 1, "skipGeometry": "true"})
    try:
        locations = parse_locations(service.page(url, body, CQL).rows)
    except SourceError as error:
        if error.retryable:
            raise
        return {}, [f"The names of the stations are missing: {error}."]
    return {station: name for station, (name, _) in locations.items()}, []


def series_table(listed: Sequence[Series]) -> pl.DataFrame:
    """Series of stations (`SERIES`); of several with one title the first primary one."""
    rows = []
    for series in sorted(listed, key=lambda series: not series.is_primary):
        variable, unit = VARIABLE_OF.get(series.parameter), unit_of(series.unit)
        rows.append({
            "station": series.station,
            "variable": variable,
            "unit": unit if variable and unit in VARIABLES[variable].units else None,
            "code": series.title,
            "name": series.name,
            "units": series.unit,
            "description": series.description,
            "first_day": series.first_day,
            "last_day": series.last_day,
        })  # fmt: skip
    frame = pl.DataFrame(rows, schema=SERIES.columns).unique(SERIES.key, keep="first", maintain_order=True)
    return SERIES.check(frame.sort("station", "code"))


def gauge_keys(series: SeriesRow, service: Service) -> dict[str, object] | None:
    """Keys of a gauge of a series; see `forebay.sources.GaugeKeys`: daily means, totals, and readings at midnight."""
    parameter, collection, *statistic = series.code.split()
    keys: dict[str, object] = {"station": series.station, "request": {"parameter": parameter}}
    if collection == "daily" and statistic == [STATISTICS[VARIABLES[series.variable].aggregate]]:
        return keys
    if collection == "daily" and statistic == [MIDNIGHT] and series.variable in TARGETS:
        return {**keys, "reading": "instantaneous", "reading_at": "00:00"}
    return None
