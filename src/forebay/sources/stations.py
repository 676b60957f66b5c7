"""Search for stations near a place: what a Hydstra service has there, what each measures, and since when.

The service looks within a circle whose radius is in degrees, and whether it takes latitude or longitude first is not
certain. So it is asked for a circle that surely holds the one wanted, distances are computed here, and an answer that
does not lie in that circle is asked for once more with the coordinates in the other order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from forebay.dams.variables import VARIABLES
from forebay.errors import ConfigError, SourceError
from forebay.settings import Settings
from forebay.sources.hydstra.fetch import Ask, asking
from forebay.sources.hydstra.parse import DATASOURCES, VARIABLE_CODES, parse_datasources, result_of, unit_of
from forebay.sources.transport import open_transport
from forebay.tables import Table

EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG
KM_PER_DEGREE = math.radians(EARTH_RADIUS_KM)
LARGEST_RADIUS_KM = 1000.0
MOST_STATIONS = 200
SITES_PER_CALL = 20
ARCHIVE = "A"
"""Datasource whose variables stand for those of a composite one, which is not always listed."""

STATIONS = Table(
    "stations",
    {
        "station": pl.String(),
        "name": pl.String(),
        "latitude": pl.Float64(),
        "longitude": pl.Float64(),
        "distance_km": pl.Float64(),  # along the great circle
        "bearing_deg": pl.Float64(),  # in which direction it lies, clockwise from north
        "active": pl.Boolean(),  # null where the service does not say
        "opened": pl.Date(),
        "closed": pl.Date(),
        "datasources": pl.List(pl.String()),
    },
    ("station",),
)
"""Stations within the radius, the nearest first."""

SERIES = Table(
    "station series",
    {
        "station": pl.String(),
        "variable": pl.String(),  # ours; null where forebay has none for it
        "unit": pl.String(),  # as a dam file names it; null where forebay does not know it
        "code": pl.String(),  # the service's, and its own words
        "name": pl.String(),
        "units": pl.String(),
        "description": pl.String(),
        "first_day": pl.Date(),  # period of record, station-local
        "last_day": pl.Date(),
    },
    ("station", "code"),
)
"""What those stations measure."""

_VARIABLE_OF = {float(asked): name for name, (_, asked) in VARIABLE_CODES.items()} | {140.0: "discharge"}
_NO_DAY = date(1899, 12, 30)  # day 0 of the service's database stands for "none"
Json = Any  # Any: a JSON value; what is taken from it is checked where it is taken


@dataclass(frozen=True)
class Search:
    """Stations wanted: around which place, within how many km, of which service, and measuring which variable.

    Raises
    ------
    ConfigError
        If one of these cannot be.
    """

    latitude: float
    longitude: float
    radius_km: float
    source: str = "waternsw"
    variable: str | None = None

    def __post_init__(self) -> None:
        for name, value, most in (("latitude", self.latitude, 90), ("longitude", self.longitude, 180)):
            if not -most <= value <= most:
                raise ConfigError(
                    f"{name} {value:g} must be from {-most} to {most} degrees; give latitude, then longitude"
                )
        if not 0 < self.radius_km <= LARGEST_RADIUS_KM:
            raise ConfigError(f"radius {self.radius_km:g} km must be more than 0 and at most {LARGEST_RADIUS_KM:g} km")
        if self.source not in DATASOURCES:
            raise ConfigError(
                f"source {self.source!r} has no stations to search; allowed are {', '.join(DATASOURCES)}"
            )
        if self.variable is not None and self.variable not in VARIABLE_CODES:
            raise ConfigError(
                f"variable {self.variable!r} is none to search for; allowed are {', '.join(VARIABLE_CODES)}"
            )

    @property
    def radius_deg(self) -> float:
        """Radius of a circle that holds the one wanted on a map where all degrees are equally long.

        On the way from the centre to a station a km is at most 1 / cos(the farthest latitude) of a degree's length.
        """
        north = self.radius_km / KM_PER_DEGREE
        across = math.cos(math.radians(min(90.0, abs(self.latitude) + north)))
        return min(180.0, 1.001 * north / across) if across > 0.01 else 180.0


@dataclass(frozen=True)
class Found:
    """What a search found (`STATIONS`, `SERIES`), and sentences on what a reader must know of it."""

    search: Search
    stations: pl.DataFrame
    series: pl.DataFrame
    notes: tuple[str, ...]


def search_stations(search: Search, *, settings: Settings) -> Found:
    """The stations that a service has near a place.

    Raises
    ------
    SourceError
        If the service does not answer, or with what is no list of stations.
    """
    url = settings.sources[search.source].url
    with open_transport(settings.http) as send:
        return search_through(asking(send, url), search)


def search_through(ask: Ask, search: Search) -> Found:
    """What `search_stations` gives, with `ask` in the place of the service."""
    try:
        sites, notes = _sites_around(ask, search)
    except SourceError as error:
        raise SourceError(
            f"{search.source}: {error}", retryable=error.retryable, retry_after=error.retry_after
        ) from error
    unplaced = sites["latitude"].null_count()
    if unplaced:
        notes.append(f"Left out for want of coordinates: {unplaced} of the answer's {len(sites)} stations.")
    near = sites.filter(pl.col("distance_km") <= search.radius_km).sort("distance_km", "station")
    if len(near) > MOST_STATIONS:
        notes.append(
            f"{len(near)} stations lie within {search.radius_km:g} km; here are the nearest {MOST_STATIONS}: give a "
            "smaller radius to see all."
        )
        near = near.head(MOST_STATIONS)
    held, told = _asked_in_parts(ask, near["station"].to_list(), "get_datasources_by_site", {}, _datasources)
    stations = near.drop("datasources").join(held, on="station", how="left")
    series, more = _series_of(ask, near["station"].to_list(), search)
    notes += [*told, *more]
    if search.variable is not None:
        series = series.filter(pl.col("variable") == search.variable)
        stations = stations.join(series, on="station", how="semi")
    if stations.is_empty():
        which = f" that measures {search.variable}" if search.variable else ""
        notes.append(f"{search.source} has no station{which} within {search.radius_km:g} km.")
    ordered = stations.select("station").join(SERIES.check(series), on="station", maintain_order="left")
    return Found(search, STATIONS.check(stations, unique=True), SERIES.check(ordered), tuple(notes))


def _sites_around(ask: Ask, search: Search) -> tuple[pl.DataFrame, list[str]]:
    """All stations of the answer, with distance and bearing where they have coordinates, and what is to be said."""
    place = (search.latitude, search.longitude)
    refused: SourceError | None = None
    sites = STATIONS.empty()
    try:
        sites = placed(_in_circle(ask, place, search.radius_deg), place)
    except SourceError as error:
        if error.retryable:
            raise
        refused = error  # perhaps of a "latitude" beyond 90
    if refused is None and _holds_any(sites, search):
        return sites, []
    try:
        swapped = placed(_in_circle(ask, place[::-1], search.radius_deg), place)
    except SourceError as error:
        if error.retryable and refused is None:
            raise
        swapped = STATIONS.empty()
    if _holds_any(swapped, search):
        return swapped, [f"{search.source} takes longitude before latitude: it was asked once more in that order."]
    if refused is not None:
        raise refused
    return sites, []


def _holds_any(sites: pl.DataFrame, search: Search) -> bool:
    """Whether any station lies within the circle that the service was asked for, on the map or on the globe."""
    north = pl.col("latitude") - search.latitude
    east = (pl.col("longitude") - search.longitude + 180) % 360 - 180
    asked = search.radius_deg * 1.001
    on_map = (north**2 + east**2) <= asked**2
    return not sites.filter(on_map | (pl.col("distance_km") <= asked * KM_PER_DEGREE)).is_empty()


def _in_circle(ask: Ask, place: Sequence[float], radius_deg: float) -> pl.DataFrame:
    circle = [round(number, 6) for number in (*place, radius_deg)]
    params = {"table_name": "site", "return_type": "array", "geo_filter": {"circle": circle}}
    return parse_sites(ask("get_db_info", "3", params))


def parse_sites(answer: str | bytes) -> pl.DataFrame:
    """Stations of an answer to `get_db_info` for the table `site`: station, name, latitude, longitude, active, opened,
    closed.

    Coordinates are null where the service has none: empty, no numbers, out of range, or 0.
    """
    made = []
    for row in _list(result_of(answer), "rows"):
        latitude, longitude = _degrees(row.get("latitude"), 90), _degrees(row.get("longitude"), 180)
        known = latitude is not None and longitude is not None
        made.append({
            "station": _text(row, "station"),
            "name": str(row.get("stname") or row.get("name") or ""),
            "latitude": latitude if known else None,
            "longitude": longitude if known else None,
            "active": {"true": True, "1": True, "false": False, "0": False}.get(str(row.get("active")).lower()),
            "opened": _day(row.get("commence")),
            "closed": _day(row.get("cease")),
        })  # fmt: skip
    told = ("station", "name", "latitude", "longitude", "active", "opened", "closed")
    frame = pl.DataFrame(made, schema={column: STATIONS.columns[column] for column in told})
    return frame.unique("station", keep="first", maintain_order=True)


def parse_series(answer: str | bytes) -> pl.DataFrame:
    """What stations measure (`SERIES`), from an answer to `get_variable_list`; an unknown station is not among them."""
    made = []
    for site in _list(result_of(answer), "sites"):
        for row in _list(site, "variables"):
            code, units = _text(row, "variable"), str(row.get("units") or "")
            variable = _VARIABLE_OF.get(_code(code))
            unit = unit_of(units)
            made.append({
                "station": _text(site, "site"),
                "variable": variable,
                "unit": unit if variable and unit in VARIABLES[variable].units else None,
                "code": code,
                "name": str(row.get("name") or ""),
                "units": units,
                "description": str(row.get("subdesc") or ""),
                "first_day": _day(row.get("period_start")),
                "last_day": _day(row.get("period_end")),
            })  # fmt: skip
    return SERIES.check(pl.DataFrame(made, schema=SERIES.columns))


def placed(sites: pl.DataFrame, place: Sequence[float]) -> pl.DataFrame:
    """Stations with `distance_km` along the great circle from `place`, and `bearing_deg`, in which they lie from it."""
    here, there = math.radians(place[0]), pl.col("latitude").radians()
    east = (pl.col("longitude") - place[1]).radians()
    # Haversine: exact for short distances, where the arc cosine is not.
    half = ((there - here) / 2).sin() ** 2 + math.cos(here) * there.cos() * (east / 2).sin() ** 2
    bearing = pl.arctan2(
        east.sin() * there.cos(), math.cos(here) * there.sin() - math.sin(here) * there.cos() * east.cos()
    )
    made = sites.with_columns(
        (2 * EARTH_RADIUS_KM * half.clip(0, 1).sqrt().arcsin()).alias("distance_km"),
        (bearing.degrees() % 360).alias("bearing_deg"),
        pl.lit(None, STATIONS.columns["datasources"]).alias("datasources"),
    )
    return STATIONS.check(made)


def _series_of(ask: Ask, stations: Sequence[str], search: Search) -> tuple[pl.DataFrame, list[str]]:
    """What the stations measure by the service's usual datasource or, where that lists nothing, by its archive."""
    parts, notes, left = [SERIES.empty()], [], list(stations)
    for datasource in dict.fromkeys((DATASOURCES[search.source], ARCHIVE)):
        part, told = _asked_in_parts(ask, left, "get_variable_list", {"datasource": datasource}, parse_series)
        parts.append(part)
        notes += told
        left = [station for station in left if station not in set(part["station"])]
    return pl.concat(parts), notes


def _asked_in_parts(
    ask: Ask,
    stations: Sequence[str],
    function: str,
    params: Mapping[str, object],
    parse: Callable[[bytes], pl.DataFrame],
) -> tuple[pl.DataFrame, list[str]]:
    """The parsed answers of a call that is asked for a few stations at a time, and what was refused.

    A few stations that a service cannot tell of do not spoil the others; a service that is down does.
    """
    parts, notes = [], []
    for some in _few(stations):
        try:
            parts.append(parse(ask(function, "1", {"site_list": ",".join(some), **params})))
        except SourceError as error:
            if error.retryable:
                raise
            notes.append(f"{function} of stations {', '.join(some)} was refused: {error}.")
    empty = parse(b'{"error_num":126}')
    known = pl.Series(stations, dtype=pl.String)
    return pl.concat([empty, *parts]).filter(pl.col("station").is_in(known.implode())), notes


def _few(stations: Sequence[str]) -> Iterator[Sequence[str]]:
    return (stations[at : at + SITES_PER_CALL] for at in range(0, len(stations), SITES_PER_CALL))


def _datasources(answer: bytes) -> pl.DataFrame:
    listed = parse_datasources(answer).rename({"site": "station"})
    return listed.group_by("station", maintain_order=True).agg(pl.col("datasource").alias("datasources"))


def _list(table: Json, key: str) -> list[dict[str, Json]]:
    """The objects under `key` of an answer's result, which is None where the service has no data."""
    rows = [] if table is None else table.get(key) if isinstance(table, dict) else None
    rows = list(rows.values()) if isinstance(rows, dict) else rows  # as return_type "hash" gives them
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SourceError(f"the answer has {str(table)[:80]!r} where {key!r} with a list of objects was due; try later")
    return rows


def _text(row: Mapping[str, Json], key: str) -> str:
    text = row.get(key)
    if not isinstance(text, str) or not text.strip():
        raise SourceError(f"the answer lacks {key!r} in {str(row)[:80]!r}; try later")
    return text.strip()


def _degrees(told: Json, most: float) -> float | None:
    try:
        number = float(told)
    except (TypeError, ValueError):
        return None
    return number if number != 0 and abs(number) <= most else None


def _code(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _day(told: Json) -> date | None:
    """The day of a text or number like 20200131 or 20200131093000; None where there is none.

    >>> _day("18991230"), _day(20200131093000)
    (None, datetime.date(2020, 1, 31))
    """
    text = str(told)[:8]
    try:
        day = datetime.strptime(text, "%Y%m%d").date() if len(text) == 8 else _NO_DAY
    except ValueError:
        return None
    return None if day == _NO_DAY else day
