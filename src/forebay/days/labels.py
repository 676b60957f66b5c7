"""Labels and units of the daily table's columns, for readers: names instead of station numbers, and the gauges' units.

The daily table has canonical units (the target: the dam's unit). Pages show the unit of the dam file.
"""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

from forebay.dams.variables import VARIABLES

if TYPE_CHECKING:
    import polars as pl

    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge


def gauge_labels(dam: Dam) -> dict[str, str]:
    """A distinct label of every gauge, by its column of the daily table.

    The label is the name in the dam file, or without one the variable: "Inflow". Gauges with equal names also get their
    variable: "Lake (storage)". Labels that are still equal are numbered in the dam file's order: "Rainfall 2".
    """
    names = Counter(gauge.name for gauge in dam.gauges)
    labels = {gauge.column: _label(gauge, is_distinct=names[gauge.name] == 1) for gauge in dam.gauges}
    counts = Counter(labels.values())
    all_labels = set(counts)
    for column, label in labels.items():
        if counts[label] > 1:
            labels[column] = next(text for n in count(1) if (text := f"{label} {n}") not in all_labels)
            all_labels.add(labels[column])
    return labels


def _label(gauge: Gauge, *, is_distinct: bool) -> str:
    if not gauge.name:
        return gauge.kind.title
    return gauge.name if is_distinct else f"{gauge.name} ({gauge.kind.title.lower()})"


def display_unit(gauge: Gauge, dam: Dam) -> str:
    """Unit in which pages show a gauge: that of the dam file; for the target, the unit of the forecast."""
    return dam.target.unit if gauge.role == "target" else gauge.unit


def in_display_unit(column: pl.Expr, gauge: Gauge, dam: Dam) -> pl.Expr:
    """Values of a gauge's column of the daily table, in the gauge's `display_unit`."""
    if gauge.role == "target":
        return column
    return gauge.kind.from_canonical(column, gauge.unit)


def rain_unit(dam: Dam) -> tuple[str, float]:
    """Unit of the catchment rain, and its size in mm: the most frequent unit of the rain gauges; mm without a gauge."""
    units = Counter(gauge.unit for gauge in dam.gauges if gauge.role == "rainfall")
    unit = units.most_common(1)[0][0] if units else "mm"
    return unit, VARIABLES["rainfall"].conversion(unit)[0]
