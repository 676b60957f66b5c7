"""The command `forebay stations`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from forebay.cli.arguments import AsJson, dam_named, point_of, print_result, settings_in_force
from forebay.errors import ConfigError
from forebay.files import check_writable_file
from forebay.services import services_offering

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.sources.stations import NearbyStations

SEARCHABLE = ", ".join(services_offering("stations"))


@Parameter(name="*")
@dataclass(frozen=True)
class StationFilter:
    """Which stations a search lists."""

    radius_km: Annotated[float, Parameter(help="Search radius.")] = 25.0
    service: Annotated[
        tuple[str, ...],
        Parameter(
            name=["--service", "--source"],
            consume_multiple=False,
            help=f"{SEARCHABLE}; may be repeated. By default those of the dam's gauges, or all of the region.",
        ),
    ] = ()
    variable: Annotated[str | None, Parameter(help="Only stations that measure it, such as rainfall.")] = None


DEFAULT = StationFilter()


def stations(
    dam_name: Annotated[
        str | None, Parameter(name="DAM", help="Search around this dam: a built-in dam's id or a dam file.")
    ] = None,
    /,
    *,
    near: Annotated[
        str | None,
        Parameter(allow_leading_hyphen=True, help="Or around this place: LAT,LON in degrees, south and west negative."),
    ] = None,
    station_filter: StationFilter = DEFAULT,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="File for a map: .html (with a table), .png or .svg.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find gauges near a dam or a place: distance, variables, period of record, and a map.

    Example: forebay stations warragamba --radius-km 30 --variable rainfall -o stations.html
    """
    from forebay.cli import terminal
    from forebay.report import station_map
    from forebay.sources import search_services

    settings, _ = settings_in_force()
    if (dam_name is None) == (near is None):
        raise ConfigError("give either a dam or --near LAT,LON, such as --near=-33.9,150.6")
    dam = dam_named(dam_name, settings) if dam_name is not None else None
    latitude, longitude = _position(dam) if dam else point_of(near or "")
    if output is not None:
        check_writable_file(output, station_map.SUFFIXES)
    nearby = search_services(
        latitude,
        longitude,
        station_filter.radius_km,
        sources=tuple(dict.fromkeys(station_filter.service)) or _services_of(dam),
        variable=station_filter.variable,
        settings=settings,
    )
    place = dam.title if dam else f"{latitude}, {longitude}"
    if output is not None:
        station_map.write_map(nearby, place, output)

    def print_stations() -> None:
        if rows := station_map.station_rows(nearby):
            terminal.table(f"{', '.join(nearby.sources)}: stations within {nearby.radius_km:g} km of {place}", rows)
        for note in (*nearby.notes, *([f"Map: {output}"] if output else [])):
            terminal.line(note)

    print_result(_content(nearby, output), as_json, print_stations)


def _position(dam: Dam) -> tuple[float, float]:
    """Latitude and longitude of a dam."""
    if dam.latitude is None or dam.longitude is None:
        raise ConfigError(f"{dam.name} has no latitude and longitude in its dam file; add them, or give --near LAT,LON")
    return dam.latitude, dam.longitude


def _services_of(dam: Dam | None) -> tuple[str, ...]:
    """The services of the dam's gauges that offer a search for stations."""
    sources = dict.fromkeys(gauge.source for gauge in dam.gauges) if dam else {}
    return tuple(name for name in sources if name in services_offering("stations"))


def _content(nearby: NearbyStations, output: Path | None) -> dict[str, object]:
    series = nearby.series.partition_by("source", "station", as_dict=True, include_key=False)
    return {
        "sources": nearby.sources,
        "latitude": nearby.latitude,
        "longitude": nearby.longitude,
        "radius_km": nearby.radius_km,
        "stations": [
            {**row, "series": series[key].to_dicts() if (key := (row["source"], row["station"])) in series else []}
            for row in nearby.stations.iter_rows(named=True)
        ],
        "notes": nearby.notes,
        "file": output and str(output),
    }
