"""The command `forebay stations`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from forebay.cli.arguments import AsJson, print_result, settings_in_force
from forebay.errors import ConfigError

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.sources.stations import Found


@Parameter(name="*")
@dataclass(frozen=True)
class Wanted:
    """Which stations."""

    radius_km: Annotated[float, Parameter(help="Search radius.")] = 25.0
    source: Annotated[
        str | None, Parameter(help="waternsw, vicwater or qldwater; by default the dam's first such, or waternsw.")
    ] = None
    variable: Annotated[str | None, Parameter(help="Only stations that measure it, such as rainfall.")] = None


DEFAULT = Wanted()


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
    wanted: Wanted = DEFAULT,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="File for a map: .html (with a table), .png or .svg.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find gauges near a dam or a place: distance, variables, period of record, and a map.

    Example: forebay stations warragamba --radius-km 30 --variable rainfall -o stations.html
    """
    from forebay.cli import terminal
    from forebay.dams.dam_file import load_dam
    from forebay.report import station_map
    from forebay.sources.stations import Search, search_stations

    settings, _ = settings_in_force()
    if (dam_name is None) == (near is None):
        raise ConfigError("give either a dam or --near LAT,LON, such as --near=-33.9,150.6")
    dam = load_dam(dam_name) if dam_name is not None else None
    latitude, longitude = (dam.latitude, dam.longitude) if dam else _point(near or "")
    search = Search(latitude, longitude, wanted.radius_km, wanted.source or _source_of(dam), wanted.variable)
    if output is not None:
        station_map.check_suffix(output)
    found = search_stations(search, settings=settings)
    place = dam.title if dam else f"{latitude}, {longitude}"
    if output is not None:
        station_map.write_map(found, place, output)

    def show() -> None:
        if rows := station_map.station_rows(found):
            terminal.table(f"{search.source}: stations within {wanted.radius_km:g} km of {place}", rows)
        for note in (*found.notes, *([f"Map: {output}"] if output else [])):
            terminal.line(note)

    print_result(_listed(found, output), as_json, show)


def _point(text: str) -> tuple[float, float]:
    """Latitude and longitude as --near has them."""
    try:
        latitude, longitude = map(float, text.split(","))
    except ValueError:
        raise ConfigError(f"--near {text!r} must be LAT,LON in degrees, such as --near=-33.9,150.6") from None
    return latitude, longitude


def _source_of(dam: Dam | None) -> str:
    """The first service that the dam's gauges come from, or WaterNSW's."""
    from forebay.sources.hydstra.parse import DATASOURCES

    named = [gauge.source for gauge in dam.gauges] if dam else []
    return next((name for name in named if name in DATASOURCES), "waternsw")


def _listed(found: Found, output: Path | None) -> dict[str, object]:
    series = found.series.partition_by("station", as_dict=True, include_key=False)
    return {
        "source": found.search.source,
        "latitude": found.search.latitude,
        "longitude": found.search.longitude,
        "radius_km": found.search.radius_km,
        "stations": [
            {**row, "series": series[row["station"],].to_dicts() if (row["station"],) in series else []}
            for row in found.stations.iter_rows(named=True)
        ],
        "notes": found.notes,
        "file": output and str(output),
    }
