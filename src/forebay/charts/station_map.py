"""Map of stations around a place: a dot per station and variable, rings of equal distance, no background tiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.encodings import colour_scale
from forebay.charts.formats import NO_VALUE
from forebay.charts.style import EXTRA_COLOURS, FULL_SUPPLY_COLOUR, INK

if TYPE_CHECKING:
    import altair as alt

    from forebay.charts.spec import AnyChart
    from forebay.sources.stations import NearbyStations

VARIABLE_COLOURS = {
    "rainfall": "#0072b2",
    "stream_level": "#009e73",
    "discharge": "#56b4e9",
    "reservoir_level": FULL_SUPPLY_COLOUR,
    "storage": "#e69f00",
    "storage_percent": "#cc79a7",
}
UNKNOWN_VARIABLE = "another variable"
RING_COLOUR, RING_LABEL_COLOUR = "#c9d0d6", "#55626d"
SIDE = 640
"""Width and height of the map, px: 1 km is equally long in both directions."""
_MARGIN = 1.12  # of the radius; leaves space for the outer ring's label
_DOT_PX, _LETTER_PX, _LINE_PX = 9.0, 5.6, 11.0
_COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
_NAME_BOX = (-45.0, -24.0, 45.0, -9.0)
"""Box of the place's name, px from the centre: left, bottom, right, top."""

Box = tuple[float, float, float, float]


def compass_direction(bearing_deg: float) -> str:
    """The nearest of eight compass directions.

    >>> compass_direction(350.0), compass_direction(91.0)
    ('N', 'E')
    """
    return _COMPASS[round(bearing_deg / 45) % 8]


def station_map(stations: NearbyStations, place: str) -> AnyChart:
    """Map of `stations` with `place` in the centre. A label that would cover a dot or another label is left out."""
    import altair as alt

    radius = stations.radius_km
    reach = _MARGIN * radius
    x, y = _axes(reach)
    dots = _dots(stations)
    labels = _labels(dots, SIDE / (2 * reach))
    variables = [name for name in (*VARIABLE_COLOURS, UNKNOWN_VARIABLE) if name in set(dots["variable"])]
    scale = colour_scale({name: VARIABLE_COLOURS.get(name, EXTRA_COLOURS[1]) for name in variables})
    legend = alt.Legend(title="variable") if variables else None  # without a dot its title would stay alone
    texts = ("source:N", "station:N", "name:N", "variable:N", "first_day:N", "last_day:N")
    tips = [*texts[:4], alt.Tooltip("km:Q", format=".1f"), *texts[4:]]
    points = (
        alt.Chart(dots)
        .mark_circle(size=70, opacity=1, stroke="#ffffff", strokeWidth=0.8)
        .encode(x=x, y=y, color=alt.Color("variable:N", scale=scale, legend=legend), tooltip=tips)
    )
    centre = alt.Chart(pl.DataFrame({"east": [0.0], "north": [0.0]})).encode(x=x, y=y)
    layers = [
        *_ring_layers(radius, reach),
        centre.mark_point(shape="triangle-down", size=320, filled=True, color=INK, opacity=1),
        points,
        centre.mark_text(text=place, dy=17, fontWeight=600, color=INK),
        alt.Chart(labels).mark_text(align="left", fontSize=10, color=INK).encode(x=x, y=y, text="label:N"),
    ]
    title = f"{place}: stations of {', '.join(stations.sources)} within {radius:g} km"
    return alt.layer(*layers).properties(width=SIDE, height=SIDE, title=title)


def _axes(reach: float) -> tuple[alt.X, alt.Y]:
    import altair as alt

    scale, axis = alt.Scale(domain=[-reach, reach], nice=False, zero=False), alt.Axis(grid=False)
    return alt.X("east:Q", title="km east", scale=scale, axis=axis), alt.Y(
        "north:Q", title="km north", scale=scale, axis=axis
    )


def _ring_layers(radius: float, reach: float) -> list[alt.Chart]:
    """Circles at round distances, the last at the radius, with their distance above them."""
    import altair as alt

    x, y = _axes(reach)
    distances = list(_round_distances(radius))
    angles = [math.radians(angle) for angle in range(0, 361, 3)]
    lines = pl.DataFrame(
        [
            {"ring": km, "step": step, "east": km * math.sin(angle), "north": km * math.cos(angle)}
            for km in distances
            for step, angle in enumerate(angles)
        ]
    )
    labels = pl.DataFrame(
        {"east": [0.0] * len(distances), "north": distances, "label": [f"{km:g} km" for km in distances]}
    )
    rings = (
        alt.Chart(lines)
        .mark_line(color=RING_COLOUR, strokeWidth=1.2)
        .encode(x=x, y=y, order="step:Q", detail="ring:N")
    )
    text = alt.Chart(labels).mark_text(dy=-7, fontSize=10, color=RING_LABEL_COLOUR).encode(x=x, y=y, text="label:N")
    return [rings, text]


def _round_distances(radius: float) -> Iterator[float]:
    """Two to six distances up to the radius, all but the last one round.

    >>> list(_round_distances(30.0)), list(_round_distances(8.0))
    ([10.0, 20.0, 30.0], [2.0, 4.0, 6.0, 8.0])
    """
    power = 10.0 ** math.floor(math.log10(radius))
    step = next(size * power for size in (0.2, 0.5, 1.0, 2.0) if radius / (size * power) <= 5)
    yield from (step * count for count in range(1, math.ceil(radius / step - 1e-9)))
    yield radius


def _dots(stations: NearbyStations) -> pl.DataFrame:
    """A dot per station and variable, km from the centre; the dots of one station side by side."""
    px_per_km = SIDE / (2 * _MARGIN * stations.radius_km)
    dots: list[dict[str, object]] = []
    for station in stations.stations.iter_rows(named=True):
        series = stations.series.filter(source=station["source"], station=station["station"]).drop_nulls("variable")
        periods = series.group_by("variable", maintain_order=True).agg(pl.min("first_day"), pl.max("last_day"))
        rows = periods.to_dicts() or [{"variable": UNKNOWN_VARIABLE, "first_day": None, "last_day": None}]
        bearing, km = math.radians(station["bearing_deg"]), station["distance_km"]
        for k, row in enumerate(rows):
            offset = (k - (len(rows) - 1) / 2) * _DOT_PX / px_per_km
            dots.append({
                "source": station["source"], "station": station["station"], "name": station["name"], "km": km,
                "east": km * math.sin(bearing) + offset, "north": km * math.cos(bearing),
                "variable": row["variable"], "first_day": day_or_dash(row["first_day"]),
                "last_day": day_or_dash(row["last_day"]),
            })  # fmt: skip
    text = dict.fromkeys(("source", "station", "name", "variable", "first_day", "last_day"), pl.String())
    return pl.DataFrame(dots, schema=text | dict.fromkeys(("km", "east", "north"), pl.Float64()))


def _labels(dots: pl.DataFrame, px_per_km: float) -> pl.DataFrame:
    """Station ids to the right of their dots, the nearest stations first, where they cover no dot and no label."""
    stations = dots.group_by("source", "station", maintain_order=True).agg(pl.max("east"), pl.first("north"), pl.len())
    boxes = [*_dot_boxes(dots, px_per_km), _NAME_BOX]
    rows = []
    for station in stations.iter_rows(named=True):
        left, middle = station["east"] * px_per_km + 7, station["north"] * px_per_km
        right = left + _LETTER_PX * len(station["station"])
        for shift in (0.0, _LINE_PX, -_LINE_PX):
            box = (left, middle + shift - _LINE_PX / 2, right, middle + shift + _LINE_PX / 2)
            if not any(_overlap(box, occupied) for occupied in boxes):
                boxes.append(box)
                label = {"east": left / px_per_km, "north": (middle + shift) / px_per_km, "label": station["station"]}
                rows.append(label)
                break
    return pl.DataFrame(rows, schema={"east": pl.Float64(), "north": pl.Float64(), "label": pl.String()})


def _dot_boxes(dots: pl.DataFrame, px_per_km: float) -> Iterable[Box]:
    for east, north in dots.select("east", "north").iter_rows():
        x, y = east * px_per_km, north * px_per_km
        yield (x - 5, y - 5, x + 5, y + 5)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def day_or_dash(day: object) -> str:
    """A day in ISO form, a dash for None."""
    return NO_VALUE if day is None else str(day)
