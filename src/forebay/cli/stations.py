"""The command `forebay stations`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from forebay.cli.arguments import AsJson, dam_named, print_result, settings_in_force
from forebay.errors import ConfigError
from forebay.files import check_writable_file
from forebay.services import DEFAULT_SEARCH, services_offering

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.sources.stations import StationList

SEARCHABLE = ", ".join(services_offering("stations"))


@Parameter(name="*")
@dataclass(frozen=True)
class StationFilter:
    """Which stations a search lists."""

    radius_km: Annotated[float, Parameter(help="Search radius.")] = 25.0
    source: Annotated[
        str | None,
        Parameter(help=f"{SEARCHABLE}; by default the first of these among the dam's sources, or {DEFAULT_SEARCH}."),
    ] = None
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
    from forebay.sources import search_stations
    from forebay.sources.stations import StationSearch

    settings, _ = settings_in_force()
    if (dam_name is None) == (near is None):
        raise ConfigError("give either a dam or --near LAT,LON, such as --near=-33.9,150.6")
    dam = dam_named(dam_name, settings) if dam_name is not None else None
    latitude, longitude = (dam.latitude, dam.longitude) if dam else _point(near or "")
    source = station_filter.source or _source_of(dam)
    search = StationSearch(latitude, longitude, station_filter.radius_km, source, station_filter.variable)
    if output is not None:
        check_writable_file(output, station_map.SUFFIXES)
    station_list = search_stations(search, settings=settings)
    place = dam.title if dam else f"{latitude}, {longitude}"
    if output is not None:
        station_map.write_map(station_list, place, output)

    def print_stations() -> None:
        if rows := station_map.station_rows(station_list):
            terminal.table(f"{search.source}: stations within {search.radius_km:g} km of {place}", rows)
        for note in (*station_list.notes, *([f"Map: {output}"] if output else [])):
            terminal.line(note)

    print_result(_content(station_list, output), as_json, print_stations)


def _point(text: str) -> tuple[float, float]:
    """Latitude and longitude as --near has them."""
    try:
        latitude, longitude = map(float, text.split(","))
    except ValueError:
        raise ConfigError(f"--near {text!r} must be LAT,LON in degrees, such as --near=-33.9,150.6") from None
    return latitude, longitude


def _source_of(dam: Dam | None) -> str:
    """The first of the dam's sources that offers a search for stations, or the default."""
    sources = [gauge.source for gauge in dam.gauges] if dam else []
    return next((name for name in sources if name in services_offering("stations")), DEFAULT_SEARCH)


def _content(station_list: StationList, output: Path | None) -> dict[str, object]:
    search = station_list.search
    series = station_list.series.partition_by("station", as_dict=True, include_key=False)
    return {
        "source": search.source,
        "latitude": search.latitude,
        "longitude": search.longitude,
        "radius_km": search.radius_km,
        "stations": [
            {**row, "series": series[row["station"],].to_dicts() if (row["station"],) in series else []}
            for row in station_list.stations.iter_rows(named=True)
        ],
        "notes": station_list.notes,
        "file": output and str(output),
    }
