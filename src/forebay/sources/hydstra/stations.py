"""Search for stations of a Hydstra service: their coordinates, what each measures, and since when.

The service takes a circle with a radius in degrees. It is not certain whether it takes latitude or longitude first.
The search therefore asks for a circle that contains the requested one and computes distances itself. If no station of
the answer lies in that circle, it asks once more with the coordinates swapped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.variables import VARIABLES
from forebay.errors import ConfigError, SourceError
from forebay.services import Service, service_named
from forebay.sources.answers import Json, answer_parser, text_at
from forebay.sources.hydstra.fetch import Call, call_to
from forebay.sources.hydstra.parse import VARIABLE_CODES, parse_datasources, result_of
from forebay.sources.stations import (
    KM_PER_DEGREE,
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
    from forebay.settings import Settings

ARCHIVE = "A"
"""Datasource that is searched where the service does not list the variables of its usual, composite one."""

_VARIABLE_OF = {float(code): name for name, (_, code) in VARIABLE_CODES.items()} | {140.0: "discharge"}
_NO_DAY = date(1899, 12, 30)  # day 0 of the service's database means "none"


def search_stations(search: StationSearch, *, settings: Settings) -> StationList:
    """The stations of a service near a place; see `forebay.sources.search_stations`.

    Raises
    ------
    ConfigError
        If Hydstra has no code for the variable.
    SourceError
        If the service does not answer, or its answer is not a list of stations.
    """
    if search.variable is not None and search.variable not in VARIABLE_CODES:
        raise ConfigError(
            f"{search.source} cannot be searched for {search.variable!r}; allowed are {', '.join(VARIABLE_CODES)}"
        )
    with open_transport(settings.http_for(search.source)) as send:
        service = call_to(send, settings.sources[search.source].url)
        return _Search(service, search, service_named(search.source)).station_list()


@dataclass(frozen=True)
class _Search:
    """One search with its service's calls."""

    call: Call
    search: StationSearch
    service: Service

    def station_list(self) -> StationList:
        sites, notes = self._sites()
        near, near_notes = nearest_stations(sites, self.search)
        ids = near["station"].to_list()
        datasources, refusals = self._call_in_parts(ids, "get_datasources_by_site", {}, _parse_datasource_lists)
        stations = near.drop("datasources").join(datasources, on="station", how="left")
        series, series_refusals = self._series(ids)
        return station_list(self.search, stations, series, [*notes, *near_notes, *refusals, *series_refusals])

    def _sites(self) -> tuple[pl.DataFrame, list[str]]:
        """All stations of the answer, with distance and bearing where they have coordinates, and notes."""
        refusal: SourceError | None = None
        sites = STATIONS.empty()
        try:
            sites = self._sites_in_circle(self.search.centre)
        except SourceError as error:
            if error.retryable:
                raise
            refusal = error  # perhaps because it read a longitude beyond 90 as the latitude
        if refusal is None and self._is_any_in_circle(sites):
            return sites, []
        try:
            swapped = self._sites_in_circle(self.search.centre[::-1])
        except SourceError as error:
            if error.retryable and refusal is None:
                raise
            swapped = STATIONS.empty()
        if self._is_any_in_circle(swapped):
            note = f"{self.search.source} takes longitude before latitude; the search asked again in that order."
            return swapped, [note]
        if refusal is not None:
            raise refusal
        return sites, []

    def _sites_in_circle(self, centre: Sequence[float]) -> pl.DataFrame:
        circle = [round(number, 6) for number in (*centre, self.search.radius_deg)]
        params = {"table_name": "site", "return_type": "array", "geo_filter": {"circle": circle}}
        return add_distances(parse_sites(self.call("get_db_info", "3", params)), self.search.centre)

    def _is_any_in_circle(self, sites: pl.DataFrame) -> bool:
        """Whether any station lies within the requested circle, on the map or on the globe."""
        north = pl.col("latitude") - self.search.latitude
        east = (pl.col("longitude") - self.search.longitude + 180) % 360 - 180
        radius_deg = self.search.radius_deg * 1.001
        on_map = (north**2 + east**2) <= radius_deg**2
        return not sites.filter(on_map | (pl.col("distance_km") <= radius_deg * KM_PER_DEGREE)).is_empty()

    def _series(self, stations: Sequence[str]) -> tuple[pl.DataFrame, list[str]]:
        """Series of the stations in the service's usual datasource, or in its archive where that lists none."""
        parts, notes, remaining = [SERIES.empty()], [], list(stations)
        for datasource in dict.fromkeys((self.service.options["datasource"], ARCHIVE)):
            part, refusals = self._call_in_parts(
                remaining, "get_variable_list", {"datasource": datasource}, parse_series
            )
            parts.append(part)
            notes += refusals
            remaining = [station for station in remaining if station not in set(part["station"])]
        return pl.concat(parts), notes

    def _call_in_parts(
        self,
        stations: Sequence[str],
        function: str,
        params: Mapping[str, object],
        parse: Callable[[bytes], pl.DataFrame],
    ) -> tuple[pl.DataFrame, list[str]]:
        """The parsed answers of a call that covers a few stations at a time, and a note for each refusal.

        A refusal of a few stations does not end the search; a service that is down does.
        """
        parts, notes = [], []
        for batch in batches(stations, self.service.limits.stations_per_request):
            try:
                parts.append(parse(self.call(function, "1", {"site_list": ",".join(batch), **params})))
            except SourceError as error:
                if error.retryable:
                    raise
                notes.append(f"{function} of stations {', '.join(batch)} was refused: {error}.")
        empty = parse(b'{"error_num":126}')
        requested = pl.Series(stations, dtype=pl.String)
        return pl.concat([empty, *parts]).filter(pl.col("station").is_in(requested.implode())), notes


@answer_parser
def parse_sites(answer: str | bytes) -> pl.DataFrame:
    """Stations of an answer to `get_db_info` for the table `site`.

    Columns: station, name, latitude, longitude, active, opened, closed. Coordinates are null where the service has
    none: empty, not numbers, out of range, or 0.
    """
    rows = []
    for row in _objects(result_of(answer), "rows"):
        latitude, longitude = degrees(row.get("latitude"), 90), degrees(row.get("longitude"), 180)
        known = latitude is not None and longitude is not None
        rows.append({
            "station": text_at(row, "station"),
            "name": str(row.get("stname") or row.get("name") or ""),
            "latitude": latitude if known else None,
            "longitude": longitude if known else None,
            "active": {"true": True, "1": True, "false": False, "0": False}.get(str(row.get("active")).lower()),
            "opened": _day(row.get("commence")),
            "closed": _day(row.get("cease")),
        })  # fmt: skip
    columns = ("station", "name", "latitude", "longitude", "active", "opened", "closed")
    frame = pl.DataFrame(rows, schema={column: STATIONS.columns[column] for column in columns})
    return frame.unique("station", keep="first", maintain_order=True)


@answer_parser
def parse_series(answer: str | bytes) -> pl.DataFrame:
    """Series of stations (`SERIES`), from an answer to `get_variable_list`; it has no row for an unknown station."""
    rows = []
    for site in _objects(result_of(answer), "sites"):
        for row in _objects(site, "variables"):
            code, units = text_at(row, "variable"), str(row.get("units") or "")
            variable = _VARIABLE_OF.get(_code_number(code))
            unit = unit_of(units)
            rows.append({
                "station": text_at(site, "site"),
                "variable": variable,
                "unit": unit if variable and unit in VARIABLES[variable].units else None,
                "code": code,
                "name": str(row.get("name") or ""),
                "units": units,
                "description": str(row.get("subdesc") or ""),
                "first_day": _day(row.get("period_start")),
                "last_day": _day(row.get("period_end")),
            })  # fmt: skip
    return SERIES.check(pl.DataFrame(rows, schema=SERIES.columns))


@answer_parser
def _parse_datasource_lists(answer: bytes) -> pl.DataFrame:
    table = parse_datasources(answer).rename({"site": "station"})
    return table.group_by("station", maintain_order=True).agg(pl.col("datasource").alias("datasources"))


def _objects(table: Json, key: str) -> list[dict[str, Json]]:
    """The objects under `key` of an answer's result, which is None where the service has no data."""
    rows = [] if table is None else table.get(key) if isinstance(table, dict) else None
    rows = list(rows.values()) if isinstance(rows, dict) else rows  # the form of return_type "hash"
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SourceError(
            f"the answer has {str(table)[:80]!r} where {key!r} must hold a list of objects; try again later"
        )
    return rows


def _code_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _day(value: Json) -> date | None:
    """The day of a text or number like 20200131 or 20200131093000; None where there is none.

    >>> _day("18991230"), _day(20200131093000)
    (None, datetime.date(2020, 1, 31))
    """
    text = str(value)[:8]
    try:
        day = datetime.strptime(text, "%Y%m%d").date() if len(text) == 8 else _NO_DAY
    except ValueError:
        return None
    return None if day == _NO_DAY else day


def gauge_keys(series: SeriesRow, service: Service) -> dict[str, object] | None:
    """Keys of a gauge of a series; see `forebay.sources.GaugeKeys`. The service computes daily values itself."""
    keys: dict[str, object] = {"station": series.station}
    default = service.options.get("datasource", "")
    if series.datasources and default not in series.datasources:
        keys["request"] = {"datasource": series.datasources[0]}
    return keys
