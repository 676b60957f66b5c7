"""Search for stations near a place: the request, its tables, and distances on the globe.

Each protocol that offers a search has a function of its own (`forebay.sources.SourceProtocol.search_stations`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from forebay.dams.variables import VARIABLES
from forebay.errors import ConfigError
from forebay.services import SERVICES, services_offering
from forebay.tables import Table

EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG
KM_PER_DEGREE = math.radians(EARTH_RADIUS_KM)
MAX_RADIUS_KM = 1000.0
MAX_STATIONS = 200

STATIONS = Table(
    "stations",
    {
        "station": pl.String(),
        "name": pl.String(),
        "latitude": pl.Float64(),
        "longitude": pl.Float64(),
        "distance_km": pl.Float64(),  # along the great circle
        "bearing_deg": pl.Float64(),  # direction from the place to the station, clockwise from north
        "active": pl.Boolean(),  # null where the service gives no status
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
        "variable": pl.String(),  # forebay's variable; null where it has none
        "unit": pl.String(),  # as a dam file names it; null where forebay does not know it
        "code": pl.String(),  # the service's code; the columns below are its texts
        "name": pl.String(),
        "units": pl.String(),
        "description": pl.String(),
        "first_day": pl.Date(),  # period of record, station-local
        "last_day": pl.Date(),
    },
    ("station", "code"),
)
"""The series that the stations measure."""

_SOURCE: dict[str, pl.DataType] = {"source": pl.String()}
NEARBY_STATIONS = Table("nearby stations", {**_SOURCE, **STATIONS.columns}, ("source", *STATIONS.key))
"""Stations of several services, the nearest first."""
NEARBY_SERIES = Table("nearby series", {**_SOURCE, **SERIES.columns}, ("source", *SERIES.key))
"""The series that they measure."""


def check_circle(latitude: float, longitude: float, radius_km: float) -> None:
    """Raise a `ConfigError` if the values are no circle on the globe that can be searched."""
    for name, value, limit in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        if not -limit <= value <= limit:
            raise ConfigError(
                f"{name} {value:g} must be from {-limit} to {limit} degrees; give latitude, then longitude"
            )
    if not 0 < radius_km <= MAX_RADIUS_KM:
        raise ConfigError(f"radius {radius_km:g} km must be more than 0 and at most {MAX_RADIUS_KM:g} km")


@dataclass(frozen=True)
class StationSearch:
    """A search for stations: the centre, the radius, the service, and optionally one variable.

    Raises
    ------
    ConfigError
        If a value is out of range or unknown.
    """

    latitude: float
    longitude: float
    radius_km: float
    source: str
    variable: str | None = None

    def __post_init__(self) -> None:
        check_circle(self.latitude, self.longitude, self.radius_km)
        if self.source not in services_offering("stations"):
            raise ConfigError(
                f"source {self.source!r} offers no search for stations; allowed are "
                f"{', '.join(services_offering('stations'))}"
            )
        if self.variable is not None and self.variable not in VARIABLES:
            raise ConfigError(f"variable {self.variable!r} is unknown; allowed are {', '.join(VARIABLES)}")

    @property
    def centre(self) -> tuple[float, float]:
        """Latitude and longitude."""
        return self.latitude, self.longitude

    @property
    def radius_deg(self) -> float:
        """Radius of a circle on a map of equally long degrees that contains the whole circle on the globe.

        From the centre to any station a kilometre is at most 1 / cos(the highest latitude) of a degree's length.
        """
        north = self.radius_km / KM_PER_DEGREE
        cosine = math.cos(math.radians(min(90.0, abs(self.latitude) + north)))
        return min(180.0, 1.001 * north / cosine) if cosine > 0.01 else 180.0


class SeriesRow(NamedTuple):
    """One series of a station (`SERIES`), with the datasources of its station."""

    station: str
    variable: str
    unit: str | None
    code: str
    description: str
    datasources: tuple[str, ...]


@dataclass(frozen=True)
class StationList:
    """Result of a search (`STATIONS`, `SERIES`), and notes for the reader, one sentence each."""

    search: StationSearch
    stations: pl.DataFrame
    series: pl.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class NearbyStations:
    """Stations of one or several services around a place, their series, and notes for the reader.

    `stations` is `NEARBY_STATIONS`, `series` is `NEARBY_SERIES`; `sources` are the services that answered.
    """

    latitude: float
    longitude: float
    radius_km: float
    sources: tuple[str, ...]
    stations: pl.DataFrame
    series: pl.DataFrame
    notes: tuple[str, ...]


def nearby_stations(lists: Sequence[StationList], notes: Sequence[str] = ()) -> NearbyStations:
    """The results of searches around one place, one per service, as one; `notes` come first."""
    search = lists[0].search
    stations = [result.stations.with_columns(pl.lit(result.search.source).alias("source")) for result in lists]
    series = [result.series.with_columns(pl.lit(result.search.source).alias("source")) for result in lists]
    named_notes = ((f"{result.search.source}: ", note) for result in lists for note in result.notes)
    own_notes = (f"{name}{note}" if len(lists) > 1 else note for name, note in named_notes)
    return NearbyStations(
        *search.centre,
        search.radius_km,
        tuple(result.search.source for result in lists),
        NEARBY_STATIONS.check(pl.concat(stations).sort("distance_km", maintain_order=True), unique=True),
        NEARBY_SERIES.check(pl.concat(series)),
        (*notes, *own_notes),
    )


def services_near(latitude: float, longitude: float, radius_km: float) -> list[str]:
    """Names of the services that offer a search for stations and whose stations may lie within the radius.

    A service without a default URL is left out: it has to be named.

    >>> services_near(-33.9, 150.6, 25)[0], services_near(51.5, -0.1, 25)
    ('waternsw', ['uk_ea', 'uk_ea_flood'])
    """
    check_circle(latitude, longitude, radius_km)
    north = radius_km / KM_PER_DEGREE
    cosine = math.cos(math.radians(min(90.0, abs(latitude) + north)))
    east = north / cosine if cosine > 0.01 else 360.0

    def is_near(name: str) -> bool:
        box = SERVICES[name].covers or (-90.0, -180.0, 90.0, 180.0)
        is_in_reach = box[0] - north <= latitude <= box[2] + north
        return is_in_reach and any(box[1] - east <= longitude + turn <= box[3] + east for turn in (-360, 0, 360))

    return [name for name in services_offering("stations") if SERVICES[name].url and is_near(name)]


def add_distances(sites: pl.DataFrame, centre: Sequence[float]) -> pl.DataFrame:
    """Stations (`STATIONS`) with `distance_km` along the great circle from `centre`, and `bearing_deg` from there."""
    from_latitude, to_latitude = math.radians(centre[0]), pl.col("latitude").radians()
    east = (pl.col("longitude") - centre[1]).radians()
    # Haversine: exact for short distances, where the arc cosine is not.
    half = ((to_latitude - from_latitude) / 2).sin() ** 2 + (
        math.cos(from_latitude) * to_latitude.cos() * (east / 2).sin() ** 2
    )
    bearing = pl.arctan2(
        east.sin() * to_latitude.cos(),
        math.cos(from_latitude) * to_latitude.sin() - math.sin(from_latitude) * to_latitude.cos() * east.cos(),
    )
    stations = sites.with_columns(
        (2 * EARTH_RADIUS_KM * half.clip(0, 1).sqrt().arcsin()).alias("distance_km"),
        (bearing.degrees() % 360).alias("bearing_deg"),
        pl.lit(None, STATIONS.columns["datasources"]).alias("datasources"),
    )
    return STATIONS.check(stations)


def nearest_stations(sites: pl.DataFrame, search: StationSearch) -> tuple[pl.DataFrame, list[str]]:
    """The stations (`STATIONS`) within the radius, the nearest first and at most `MAX_STATIONS`, and notes.

    Stations without coordinates are left out.
    """
    notes = []
    unplaced = sites["latitude"].null_count()
    if unplaced:
        notes.append(f"{unplaced} of the answer's {len(sites)} stations have no coordinates and are left out.")
    near = sites.filter(pl.col("distance_km") <= search.radius_km).sort("distance_km", "station")
    if len(near) > MAX_STATIONS:
        notes.append(
            f"{len(near)} stations lie within {search.radius_km:g} km; the list has the nearest {MAX_STATIONS}; "
            "give a smaller radius to see all."
        )
    return near.head(MAX_STATIONS), notes


def station_list(
    search: StationSearch, stations: pl.DataFrame, series: pl.DataFrame, notes: Sequence[str]
) -> StationList:
    """Result of a search: only stations and series of its variable, the series in the order of the stations."""
    if search.variable is not None:
        series = series.filter(pl.col("variable") == search.variable)
        stations = stations.join(series, on="station", how="semi")
    if stations.is_empty():
        condition = f" that measures {search.variable}" if search.variable else ""
        notes = [*notes, f"{search.source} has no station{condition} within {search.radius_km:g} km."]
    ordered = stations.select("station").join(SERIES.check(series), on="station", maintain_order="left")
    return StationList(search, STATIONS.check(stations, unique=True), SERIES.check(ordered), tuple(notes))


def batches(stations: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """The stations in parts of at most `size`."""
    return (stations[start : start + size] for start in range(0, len(stations), size))


def degrees(value: object, limit: float) -> float | None:
    """A coordinate; None where the service has none: empty, not a number, out of range, or 0."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]  # a JSON value of any type
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number != 0 and abs(number) <= limit else None
