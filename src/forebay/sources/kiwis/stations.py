"""Search for stations of a KiWIS hub: its list of stations, distances computed here, and the series of the nearest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from forebay.dams.variables import VARIABLES
from forebay.errors import ConfigError, SourceError
from forebay.services import Service, service_named
from forebay.sources.answers import answer_parser
from forebay.sources.kiwis.fetch import LIST_FIELDS, Call, call_to
from forebay.sources.kiwis.parse import StationAttributes, parse_attributes, parse_series_list, rows_of
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
    from forebay.settings import Settings

T = TypeVar("T")

STATION_FIELDS = "station_no,station_name,station_latitude,station_longitude"
ATTRIBUTE_FIELDS = {
    "returnfields": "station_no,ca_sta",
    "ca_sta_returnfields": "FullStorageLevel,FullStorageVolume,station_gauge_datum",
}
LEVELS = ("reservoir_level", "stream_level", "storage")


def search_stations(search: StationSearch, *, settings: Settings) -> StationList:
    """The stations of a hub near a place; see `forebay.sources.search_stations`.

    Raises
    ------
    ConfigError
        If the hub has no URL, or its name of the variable is not known here.
    SourceError
        If the hub does not answer, or its answer is not a list of stations.
    """
    service, url = service_named(search.source), settings.sources[search.source].url
    if not url:
        raise ConfigError(
            f"source {search.source!r} has no URL; give the hub's as sources.{search.source}.url in the settings"
        )
    names = parameter_names(service)
    if search.variable is not None and search.variable not in names:
        allowed = ", ".join(names) or "none, leave the variable out"
        raise ConfigError(f"{search.source} cannot be searched for {search.variable!r}; allowed are {allowed}")
    with open_transport(settings.http_for(search.source)) as send:
        return _Search(call_to(send, url, service.options["datasource"]), search, service).station_list()


def parameter_names(service: Service) -> dict[str, str]:
    """Variable → the hub's name of it, as far as the service's options have it."""
    return {name: text for name, text in service.options.items() if name in VARIABLES}


@dataclass(frozen=True)
class _Search:
    """One search with its hub's calls."""

    call: Call
    search: StationSearch
    service: Service

    def station_list(self) -> StationList:
        condition = self._condition()
        answer = self.call("getStationList", {**condition, "returnfields": STATION_FIELDS})
        near, notes = nearest_stations(add_distances(parse_stations(answer), self.search.centre), self.search)
        ids = near["station"].to_list()
        lists, refusals = self._in_batches(
            ids, "getTimeseriesList", {**condition, "returnfields": LIST_FIELDS}, parse_series_list
        )
        series = _series_table(lists, self.service)
        levels = series.filter(pl.col("variable").is_in(LEVELS))["station"].unique().sort().to_list()
        attributes: dict[str, StationAttributes] = {}
        if self.service.options.get("end_stamp"):  # the Bureau's attributes have these names
            tables, attribute_refusals = self._in_batches(levels, "getStationList", ATTRIBUTE_FIELDS, parse_attributes)
            attributes = {station: row for table in tables for station, row in table.items()}
            refusals += attribute_refusals
        return station_list(self.search, near, _with_attributes(series, attributes), [*notes, *refusals])

    def _condition(self) -> dict[str, str]:
        names = parameter_names(self.service)
        if self.search.variable is not None:
            return {"parametertype_name": names[self.search.variable]}
        return {"parametertype_name": ",".join(names.values())} if names else {}

    def _in_batches(
        self, stations: Sequence[str], request: str, params: Mapping[str, str], parse: Callable[[bytes], T]
    ) -> tuple[list[T], list[str]]:
        """The parsed answers of a call that covers a few stations at a time, and a note for each refusal."""
        parts, notes = [], []
        for batch in batches(stations, self.service.limits.stations_per_request):
            try:
                parts.append(parse(self.call(request, {"station_no": ",".join(batch), **params})))
            except SourceError as error:
                if error.retryable:
                    raise
                notes.append(f"{request} of stations {', '.join(batch)} was refused: {error}.")
        return parts, notes


@answer_parser
def parse_stations(answer: bytes) -> pl.DataFrame:
    """Stations of an answer to `getStationList`; the hub repeats a station for each of its parameters.

    Columns: station (its number), name, latitude, longitude (null where the hub has none), active, opened, closed
    (null: the list does not have them).
    """
    columns = ("station", "name", "latitude", "longitude", "active", "opened", "closed")
    rows = []
    for row in rows_of(answer):
        if not row.get("station_no"):
            raise SourceError(f"the answer lacks 'station_no' in {str(row)[:80]!r}; check the service's URL")
        latitude, longitude = degrees(row.get("station_latitude"), 90), degrees(row.get("station_longitude"), 180)
        known = latitude is not None and longitude is not None
        rows.append({
            "station": row["station_no"],
            "name": row.get("station_name", ""),
            "latitude": latitude if known else None,
            "longitude": longitude if known else None,
        })  # fmt: skip
    frame = pl.DataFrame(rows, schema={column: STATIONS.columns[column] for column in columns[:4]})
    unknown = (pl.lit(None, STATIONS.columns[column]).alias(column) for column in columns[4:])
    return frame.unique("station", keep="first", maintain_order=True).with_columns(unknown)


def _series_table(lists: Sequence[pl.DataFrame], service: Service) -> pl.DataFrame:
    """Series (`SERIES`) of lists of series: those that a gauge has by default, or all where there is no default."""
    variables = {text: name for name, text in parameter_names(service).items()}
    defaults = [name for name in service.options.values() if "." in name]
    rows = []
    for row in (row for table in lists for row in table.unique("ts_id", maintain_order=True).iter_rows(named=True)):
        variable, unit = variables.get(row["parameter"]), unit_of(row["unit"])
        if defaults and row["ts_name"] not in defaults:
            continue
        rows.append({
            "station": row["station"],
            "variable": variable,
            "unit": unit if variable and unit in VARIABLES[variable].units else None,
            "code": row["ts_id"],
            "name": row["parameter"],
            "units": row["unit"],
            "description": row["ts_name"],
            "first_day": row["first_day"],
            "last_day": row["last_day"],
        })  # fmt: skip
    return SERIES.check(pl.DataFrame(rows, schema=SERIES.columns))


def _with_attributes(series: pl.DataFrame, attributes: Mapping[str, StationAttributes]) -> pl.DataFrame:
    """Series whose description has the attributes of their station, where it measures a level or a storage."""
    texts = {station: row.description for station, row in attributes.items() if row.description}
    addition = pl.col("station").replace_strict(texts, default=None, return_dtype=pl.String)
    is_level = pl.col("variable").is_in(LEVELS) & addition.is_not_null()
    text = pl.when(is_level.fill_null(False)).then(pl.concat_str("description", pl.lit("; "), addition))
    return series.with_columns(text.otherwise("description").alias("description"))


def gauge_keys(series: SeriesRow, service: Service) -> dict[str, object] | None:
    """Keys of a gauge of a series; see `forebay.sources.GaugeKeys`.

    The search lists the series that a gauge has by default, whose names state interval and start of the day.
    """
    names = {name: key for key, name in service.options.items() if name == series.description.split(";")[0]}
    rule = next(iter(names.values()), "").split()
    if len(rule) != 3:
        return {"station": series.station, "request": {"ts_id": series.code}}
    keys: dict[str, object] = {"station": series.station}
    if rule[1] != "day":
        keys["interval"] = rule[1]
    if rule[2] != "00:00":
        keys |= {"day_start": rule[2], "stamp": "end"}
    return keys
