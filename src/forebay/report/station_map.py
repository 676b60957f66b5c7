"""Stations of a search: rows for the terminal, and a map as PNG, SVG or an HTML page with a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forebay.charts.rendering import draw
from forebay.charts.spec import Spec, chart_spec, file_spec
from forebay.charts.station_map import compass_direction, day_or_dash, station_map
from forebay.files import check_writable_file, write_file
from forebay.report.environment import render_page
from forebay.services import attributions

if TYPE_CHECKING:
    from forebay.sources.stations import NearbyStations

SUFFIXES = (".html", ".png", ".svg")
_SERIES_COLUMNS = ("variable", "unit", "first_day", "last_day")


def station_rows(stations: NearbyStations) -> list[dict[str, object]]:
    """A row per station and series with a variable of a dam file, the nearest station first.

    A station without such a series has one row. `others` is the number of its other series.
    """
    rows: list[dict[str, object]] = []
    for station in stations.stations.iter_rows(named=True):
        series = stations.series.filter(source=station["source"], station=station["station"])
        usable = series.drop_nulls("variable")
        place: dict[str, object] = {
            **({"source": station["source"]} if len(stations.sources) > 1 else {}),
            "station": station["station"],
            "name": station["name"],
            "km": round(station["distance_km"], 1),
            "towards": compass_direction(station["bearing_deg"]),
        }
        remainder = {"others": len(series) - len(usable), "datasources": _joined(station["datasources"])}
        for row in usable.select(_SERIES_COLUMNS).to_dicts() or [dict.fromkeys(_SERIES_COLUMNS)]:
            rows.append({**place, **row, **remainder})
    return rows


def write_map(stations: NearbyStations, place: str, path: Path) -> None:
    """Write the map to `path`: PNG, SVG, or a page (HTML) that needs no network and has a table of all series.

    Raises
    ------
    ConfigError
        If the suffix is another one, or the file cannot be written.
    """
    check_writable_file(path, SUFFIXES)
    suffix = path.suffix.lower()
    spec = file_spec(chart_spec(station_map(stations, place)))
    if suffix == ".html":
        write_file(path, render_stations(stations, place, spec).encode())
        return
    picture = draw(spec)
    write_file(path, picture.svg.encode() if suffix == ".svg" else picture.png)


def render_stations(stations: NearbyStations, place: str, spec: Spec) -> str:
    """The page's text: the map, the notes of the search, and every series of every station."""
    table = stations.stations.join(
        stations.series, on=["source", "station"], how="left", maintain_order="left", suffix="_of_series"
    )
    rows = [
        {
            **row,
            "direction": compass_direction(row["bearing_deg"]),
            "unit": row["unit"] or row["units"],
            "description": " ".join(filter(None, (row["name_of_series"], row["description"]))),
            "first_day": day_or_dash(row["first_day"]),
            "last_day": day_or_dash(row["last_day"]),
            "datasources": _joined(row["datasources"]),
        }
        for row in table.iter_rows(named=True)
    ]
    counts = {"station_count": len(stations.stations), "series_count": len(stations.series)}
    values = {"place": place, "nearby": stations, "notes": stations.notes, "rows": rows, "spec": spec}
    return render_page("stations.html", {**values, **counts, "attributions": attributions(stations.sources)})


def _joined(datasources: list[str] | None) -> str:
    return ", ".join(datasources or ())
