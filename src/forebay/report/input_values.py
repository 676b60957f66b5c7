"""Titles, units and values of model inputs for readers: "rain in 3 days 1.25 in", "Coxs River 0.9 m"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forebay.charts.formats import NO_VALUE, TargetFormat, format_value
from forebay.days.labels import display_unit, gauge_labels, rain_unit
from forebay.features.inputs import AHEAD, CONTEXT, FORCING

if TYPE_CHECKING:
    from forebay.dams.dam import Dam


@dataclass(frozen=True)
class InputTitle:
    """Title and unit of an input; an input's value is value = (canonical − offset) / factor."""

    title: str
    unit: str
    factor: float = 1.0
    offset: float = 0.0

    def text(self, canonical: float | None) -> str:
        """The title with the value and its unit."""
        if canonical is None:
            return f"{self.title} {NO_VALUE}"
        return f"{self.title} {format_value((canonical - self.offset) / self.factor)} {self.unit}"


def input_texts(row: Mapping[str, object], dam: Dam) -> list[str]:
    """A text per input of one row of `Diagnostics.largest_misses`, in the order of its columns."""
    titles = input_titles(dam)
    texts = []
    for column, value in row.items():
        if column == "last_change":
            change = value if isinstance(value, float) else None
            texts.append(f"{titles[column].title} {TargetFormat(dam).quantity(change, signed=True)}")
        elif column in titles:
            texts.append(titles[column].text(value if isinstance(value, float) else None))
    return texts


def input_titles(dam: Dam) -> dict[str, InputTitle]:
    """Title of every input that the page shows, by its column."""
    unit, mm = rain_unit(dam)
    titles = {
        "start_level": InputTitle("level", dam.target.unit),
        "last_change": InputTitle("last daily change", dam.target.unit),
        "rain_lag0": InputTitle("rain on that day", unit, mm),
        "rain_3d": InputTitle("rain in 3 days", unit, mm),
        "api": InputTitle("wetness index", unit, mm),
    }
    labels = gauge_labels(dam)
    for gauge in dam.gauges:
        factor, offset = gauge.kind.conversion(gauge.unit)
        if gauge.role == "temperature":
            warmth = InputTitle("temperature above freezing", gauge.unit, factor)
            titles |= {"degree_days": warmth, f"{CONTEXT}degree_days": warmth}
        elif gauge.role in ("evaporation", "snow"):
            titles[gauge.role] = InputTitle(gauge.kind.title.lower(), gauge.unit, factor, offset)
        elif gauge.role != "target":
            titles[gauge.column] = InputTitle(labels[gauge.column], display_unit(gauge, dam), factor, offset)
    return titles | _forcing_titles(dam)


def _forcing_titles(dam: Dam) -> dict[str, InputTitle]:
    """Titles of the forcings' totals over the lead time: rain, or the change that a flow causes."""
    unit = dam.target.unit if dam.has_volume else "ML"
    titles = {}
    for forcing in dam.forcings:
        rain = InputTitle(f"{forcing.title}, total", forcing.unit_title, forcing.conversion()[0])
        flow = InputTitle(f"{forcing.title}, effect", unit)
        titles[f"{FORCING}{forcing.id}_lead"] = rain if forcing.kind == "rain" else flow
        titles[f"{AHEAD}{forcing.id}_mean"] = InputTitle(f"{forcing.title}, effect per day", unit)
    return titles
