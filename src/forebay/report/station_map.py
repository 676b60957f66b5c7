"""Where the stations of a search lie around the place: dots by what they measure, rings of equal distance, no tiles."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from forebay.charts.rendering import draw
from forebay.charts.spec import Spec, file_spec
from forebay.charts.station_map import compass_direction, day_or_dash, station_map
from forebay.errors import ConfigError
from forebay.files import write_file
from forebay.report.page import Html, chart, document, element, joined, table
from forebay.sources.stations import StationList

SUFFIXES = (".html", ".png", ".svg")


def station_rows(found: StationList) -> list[dict[str, object]]:
    """A row per station and series that forebay has a variable for, the nearest first, in the words of a dam file.

    A station without any such series has one row; `others` counts its series that forebay has no variable for.
    """
    rows: list[dict[str, object]] = []
    for station in found.stations.iter_rows(named=True):
        series = found.series.filter(pl.col("station") == station["station"])
        ours = series.drop_nulls("variable")
        first: dict[str, object] = {
            "station": station["station"],
            "name": station["name"],
            "km": round(station["distance_km"], 1),
            "towards": compass_direction(station["bearing_deg"]),
        }
        others = len(series) - len(ours)
        for one in ours.iter_rows(named=True) if len(ours) else (None,):
            named = {key: one[key] if one else None for key in ("variable", "unit", "first_day", "last_day")}
            rows.append({**first, **named, "others": others, "datasources": ", ".join(station["datasources"] or ())})
    return rows


def check_suffix(path: Path) -> None:
    """Raise a ConfigError unless a map can be written in a file of this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: suffix {path.suffix!r} is unknown; allowed are {', '.join(SUFFIXES)}")


def write_map(found: StationList, place: str, path: Path) -> None:
    """The picture in a file: PNG, SVG, or a page (HTML) that opens without a network and has all series in a table.

    Raises
    ------
    ConfigError
        If the suffix is another one, or the file cannot be written.
    """
    check_suffix(path)
    suffix = path.suffix.lower()
    spec = file_spec(station_map(found, place))
    if suffix == ".html":
        write_file(path, _page(found, place, spec).encode())
        return
    picture = draw(spec)
    write_file(path, picture.svg.encode() if suffix == ".svg" else picture.png)


def _page(found: StationList, place: str, spec: Spec) -> str:
    """The picture, what must be known of it, and every series that the stations list."""
    names = ("station", "name", "km", "variable", "unit", "code", "service's name", "from", "to", "datasources")
    whole = found.stations.join(found.series, on="station", how="left", maintain_order="left", suffix="_of_series")
    rows = [
        (row["station"], row["name"], f"{row['distance_km']:.1f} {compass_direction(row['bearing_deg'])}",
         row["variable"] or "–", row["unit"] or row["units"] or "–", row["code"] or "–",
         " ".join(filter(None, (row["name_of_series"], row["description"]))) or "–",
         day_or_dash(row["first_day"]), day_or_dash(row["last_day"]), ", ".join(row["datasources"] or ()))
        for row in whole.iter_rows(named=True)
    ]  # fmt: skip
    title = f"Stations within {found.search.radius_km:g} km of {place}"
    said = f"{len(found.stations)} stations of {found.search.source}, {found.series.height} series, the nearest first"
    body = (
        element("header", element("h1", title), *(element("p", note, css="sub") for note in found.notes)),
        Html("<main>"),
        element("section", element("h2", "Where they lie"), chart("stations", spec)),
        element("section", element("h2", "What they measure"), table(names, rows, texts=len(names), caption=said)),
        Html("</main>"),
        element("footer", f"Data: {found.search.source}. Distances along the great circle."),
    )
    return document(title, joined(body))
