"""Where the stations of a search lie around the place: dots by what they measure, rings of equal distance, no tiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.drawing import draw
from forebay.charts.forecast_charts import FULL, INK, OTHER_COLOURS, for_file
from forebay.days.daily import write_whole
from forebay.errors import ConfigError
from forebay.report.page import Html, chart, document, element, joined, table
from forebay.sources.stations import Found

if TYPE_CHECKING:
    import altair as alt

    from forebay.charts.forecast_charts import AnyChart, Spec

VARIABLE_COLOURS = {
    "rainfall": "#0072b2",
    "stream_level": "#009e73",
    "discharge": "#56b4e9",
    "reservoir_level": FULL,
    "storage": "#e69f00",
    "storage_percent": "#cc79a7",
}
OTHER = "something else"
RING = "#c9d0d6"
SIDE = 640
"""Width and height of the picture in pixels: a km is as long north as it is east."""
_MARGIN = 1.12  # of the radius, so that the outer ring's label has room
_DOT_PX, _LETTER_PX, _LINE_PX = 9.0, 5.6, 11.0
_COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
SUFFIXES = (".html", ".png", ".svg")


def compass(bearing_deg: float) -> str:
    """The nearest of the eight winds.

    >>> compass(350.0), compass(91.0)
    ('N', 'E')
    """
    return _COMPASS[round(bearing_deg / 45) % 8]


def station_rows(found: Found) -> list[dict[str, object]]:
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
            "towards": compass(station["bearing_deg"]),
        }
        others = len(series) - len(ours)
        for one in ours.iter_rows(named=True) if len(ours) else (None,):
            named = {key: one[key] if one else None for key in ("variable", "unit", "first_day", "last_day")}
            rows.append({**first, **named, "others": others, "datasources": ", ".join(station["datasources"] or ())})
    return rows


def station_map(found: Found, place: str) -> AnyChart:
    """The stations around `place`, which stands in the middle; labels that would cover others are left out."""
    import altair as alt

    radius = found.search.radius_km
    reach = _MARGIN * radius
    x, y = _axes(reach)
    dots = _dots(found)
    labels = _labels(dots, SIDE / (2 * reach))
    names = [name for name in (*VARIABLE_COLOURS, OTHER) if name in set(dots["variable"])]
    colours = [VARIABLE_COLOURS.get(name, OTHER_COLOURS[1]) for name in names]
    tips = ["station:N", "name:N", "variable:N", alt.Tooltip("km:Q", format=".1f"), "first_day:N", "last_day:N"]
    points = (
        alt.Chart(dots)
        .mark_circle(size=70, opacity=1, stroke="#ffffff", strokeWidth=0.8)
        .encode(
            x=x,
            y=y,
            color=alt.Color("variable:N", title="measures", scale=alt.Scale(domain=names, range=colours)),
            tooltip=tips,
        )
    )
    centre = pl.DataFrame({"east": [0.0], "north": [0.0]})
    middle = alt.Chart(centre).encode(x=x, y=y)
    layers = [
        *_ring_layers(radius, reach),
        middle.mark_point(shape="triangle-down", size=320, filled=True, color=INK, opacity=1),
        points,
        middle.mark_text(text=place, dy=17, fontWeight=600, color=INK),
        alt.Chart(labels).mark_text(align="left", fontSize=10, color=INK).encode(x=x, y=y, text="label:N"),
    ]
    title = f"{place}: {found.search.source}'s stations within {radius:g} km"
    return alt.layer(*layers).properties(width=SIDE, height=SIDE, title=title)


def check_suffix(path: Path) -> None:
    """Raise a ConfigError unless a map can be written in a file of this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: suffix {path.suffix!r} is unknown; allowed are {', '.join(SUFFIXES)}")


def write_map(found: Found, place: str, path: Path) -> None:
    """The picture in a file: PNG, SVG, or a page (HTML) that opens without a network and has all series in a table.

    Raises
    ------
    ConfigError
        If the suffix is another one, or the file cannot be written.
    """
    check_suffix(path)
    suffix = path.suffix.lower()
    spec = for_file(station_map(found, place))
    if suffix == ".html":
        write_whole(path, _page(found, place, spec).encode())
        return
    picture = draw(spec)
    write_whole(path, picture.svg.encode() if suffix == ".svg" else picture.png)


def _page(found: Found, place: str, spec: Spec) -> str:
    """The picture, what must be known of it, and every series that the stations list."""
    names = ("station", "name", "km", "variable", "unit", "code", "service's name", "from", "to", "datasources")
    whole = found.stations.join(found.series, on="station", how="left", maintain_order="left", suffix="_of_series")
    rows = [
        (row["station"], row["name"], f"{row['distance_km']:.1f} {compass(row['bearing_deg'])}",
         row["variable"] or "–", row["unit"] or row["units"] or "–", row["code"] or "–",
         " ".join(filter(None, (row["name_of_series"], row["description"]))) or "–",
         _day(row["first_day"]), _day(row["last_day"]), ", ".join(row["datasources"] or ()))
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


def _axes(reach: float) -> tuple[alt.X, alt.Y]:
    import altair as alt

    scale, axis = alt.Scale(domain=[-reach, reach], nice=False, zero=False), alt.Axis(grid=False)
    return alt.X("east:Q", title="km east", scale=scale, axis=axis), alt.Y(
        "north:Q", title="km north", scale=scale, axis=axis
    )


def _ring_layers(radius: float, reach: float) -> list[alt.Chart]:
    """Circles at round distances, the last at the radius, each with its km on top."""
    import altair as alt

    x, y = _axes(reach)
    rings = list(_round_distances(radius))
    turn = [math.radians(angle) for angle in range(0, 361, 3)]
    lines = pl.DataFrame(
        [
            {"ring": km, "step": step, "east": km * math.sin(angle), "north": km * math.cos(angle)}
            for km in rings
            for step, angle in enumerate(turn)
        ]
    )
    named = pl.DataFrame({"east": [0.0] * len(rings), "north": rings, "label": [f"{km:g} km" for km in rings]})
    drawn = (
        alt.Chart(lines)
        .mark_line(color=RING, strokeWidth=1.2)
        .encode(x=x, y=y, order="step:Q", detail="ring:N")
    )
    return [drawn, alt.Chart(named).mark_text(dy=-7, fontSize=10, color="#55626d").encode(x=x, y=y, text="label:N")]


def _round_distances(radius: float) -> Iterator[float]:
    """Two to five round distances up to the radius.

    >>> list(_round_distances(30.0)), list(_round_distances(8.0))
    ([10.0, 20.0, 30.0], [2.0, 4.0, 6.0, 8.0])
    """
    power = 10.0 ** math.floor(math.log10(radius))
    step = next(size * power for size in (0.2, 0.5, 1.0, 2.0) if radius / (size * power) <= 5)
    yield from (step * count for count in range(1, math.ceil(radius / step - 1e-9)))
    yield radius


def _dots(found: Found) -> pl.DataFrame:
    """A dot per station and variable, those of one station side by side, on a map centred on the place."""
    to_px = SIDE / (2 * _MARGIN * found.search.radius_km)
    dots: list[dict[str, object]] = []
    for station in found.stations.iter_rows(named=True):
        series = found.series.filter(pl.col("station") == station["station"]).drop_nulls("variable")
        held = series.group_by("variable", maintain_order=True).agg(pl.min("first_day"), pl.max("last_day")).to_dicts()
        held = held or [{"variable": OTHER, "first_day": None, "last_day": None}]
        bearing, km = math.radians(station["bearing_deg"]), station["distance_km"]
        for place, one in enumerate(held):
            aside = (place - (len(held) - 1) / 2) * _DOT_PX / to_px
            dots.append({
                "station": station["station"], "name": station["name"], "km": km,
                "east": km * math.sin(bearing) + aside, "north": km * math.cos(bearing),
                "variable": one["variable"], "first_day": _day(one["first_day"]), "last_day": _day(one["last_day"]),
            })  # fmt: skip
    text = dict.fromkeys(("station", "name", "variable", "first_day", "last_day"), pl.String())
    return pl.DataFrame(dots, schema=text | dict.fromkeys(("km", "east", "north"), pl.Float64()))


def _labels(dots: pl.DataFrame, to_px: float) -> pl.DataFrame:
    """Each station's id to the right of its dots, the nearest stations first, where no dot or other label is."""
    stations = dots.group_by("station", maintain_order=True).agg(pl.max("east"), pl.first("north"), pl.len())
    taken = [(x * to_px - 5, y * to_px - 5, x * to_px + 5, y * to_px + 5) for x, y in _places(dots)]
    taken.append((-45.0, -24.0, 45.0, -9.0))  # the place's own name
    rows = []
    for station in stations.iter_rows(named=True):
        left, middle = station["east"] * to_px + 7, station["north"] * to_px
        for rise in (0.0, _LINE_PX, -_LINE_PX):
            box = (
                left, middle + rise - _LINE_PX / 2, left + _LETTER_PX * len(station["station"]),
                middle + rise + _LINE_PX / 2,
            )  # fmt: skip
            if not any(_overlap(box, other) for other in taken):
                taken.append(box)
                rows.append({"east": left / to_px, "north": (middle + rise) / to_px, "label": station["station"]})
                break
    return pl.DataFrame(rows, schema={"east": pl.Float64(), "north": pl.Float64(), "label": pl.String()})


def _places(dots: pl.DataFrame) -> Iterable[tuple[float, float]]:
    return dots.select("east", "north").iter_rows()


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _day(day: object) -> str:
    return "–" if day is None else str(day)
