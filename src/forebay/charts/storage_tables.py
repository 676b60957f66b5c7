"""Tables of storage that the report and the terminal show, beside those of the dam's target."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.forecast_tables import QUANTILE_COLUMNS
from forebay.charts.formats import NO_VALUE, format_level, format_number, format_value
from forebay.forecasts.storage import add_storage

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

_QUANTITIES = ("reservoir_level", "storage", "storage_percent", "airspace")
_WORDS = ("level_unit", "storage_unit", "survey_date", "percent_of", "storage_note")


@dataclass(frozen=True)
class Quantity:
    """A quantity besides the target: its column of `storage_fan`, its title and unit."""

    column: str
    title: str
    unit: str

    @property
    def header(self) -> str:
        """Title with the unit."""
        return self.title if self.title == self.unit else f"{self.title}, {self.unit}"

    @property
    def interval_header(self) -> str:
        """Title of its 90% interval."""
        return f"90% interval, {'%' if self.column == 'storage_percent' else self.unit}"

    def text(self, value: object) -> str:
        """A value without its unit; a dash for None."""
        assert value is None or isinstance(value, float)
        if self.column == "reservoir_level":
            return format_level(value, self.unit)
        return format_number(value, 1) if self.column == "storage_percent" else format_value(value)

    def text_with_unit(self, value: object) -> str:
        """A value with its unit."""
        return f"{self.text(value)}{'' if self.column == 'storage_percent' else ' '}{self.unit}"

    def interval(self, low: object, high: object) -> str:
        """An interval without its unit."""
        return NO_VALUE if low is None or high is None else f"{self.text(low)} to {self.text(high)}"


def storage_quantities(fan: pl.DataFrame, target: str, *, airspace: bool = False) -> list[Quantity]:
    """The quantities besides the target that are known on a day of a forecast, a `storage_fan`.

    With `airspace` also the volume up to full supply, which is negative above it.
    """
    if fan.is_empty():
        return []
    candidates = [
        Quantity("reservoir_level", "Level", fan["level_unit"][0]),
        Quantity("storage", "Storage", fan["storage_unit"][0]),
        Quantity("storage_percent", "% full", "% full"),
    ]
    if airspace:
        candidates.append(Quantity("airspace", "Airspace below full supply", fan["storage_unit"][0]))
    return [
        quantity
        for quantity in candidates
        if quantity.column != target and fan[f"{quantity.column}_q50"].is_not_null().any()
    ]


def storage_fan(fan: pl.DataFrame, dam: Dam, init_date: date, withheld_from: date | None = None) -> pl.DataFrame:
    """Level, storage and percentage of each lead time and quantile of a forecast, a row per lead time.

    Parameters
    ----------
    fan
        As `forecast_tables.forecast_fan` returns it; the row of lead time 0 is the start of the forecast.
    init_date, withheld_from
        As in `forecasts.storage.add_storage`.

    Returns
    -------
    DataFrame
        lead_time, valid_date; `reservoir_level_q05` … `storage_q05` … `storage_percent_q95`, null where unknown; and
        of the median level_unit, storage_unit, survey_date, percent_of. storage_note: the first reason of a null.
    """
    keys = ["init_date", "lead_time", "valid_date"]
    table = fan.select(keys)
    notes = []
    for column in QUANTILE_COLUMNS:
        values = add_storage(fan.select(*keys, level=column), dam, init_date, withheld_from)
        table = table.with_columns(values[name].alias(f"{name}_{column}") for name in _QUANTITIES)
        if column == "q50":
            table = table.with_columns(values.select(name for name in _WORDS if name != "storage_note"))
        is_known = pl.col("level").is_not_null()
        notes.append(values.select(pl.when(is_known).then("storage_note").alias(f"note_{column}")))
    first = pl.coalesce(pl.col("note_q50"), *(frame.columns[0] for frame in notes))
    return table.with_columns(pl.concat(notes, how="horizontal").select(first.alias("storage_note")).to_series())


def storage_sentences(fan: pl.DataFrame, target: str) -> list[str]:
    """The volume of 100% and the reasons why a value is unknown, of a `storage_fan`, as sentences."""
    ahead = fan.filter(pl.col("lead_time") > 0)
    volumes = ahead["percent_of"].drop_nulls().unique(maintain_order=True).to_list()
    the = "" if target == "storage_percent" else "the "
    sentences = [f"100% is {the}{volumes[0]}."] if len(volumes) == 1 else []
    if len(volumes) > 1:
        sentences = [
            f"100% is that of each day. On the first day it is {the}{volumes[0]}, on the last day {the}{volumes[-1]}."
        ]
    notes = fan["storage_note"].drop_nulls().unique(maintain_order=True)
    return sentences + [f"{note[0].upper()}{note[1:]}." for note in notes]
