"""Table of storage and percentage: part of the first screen and of the section "Forecast"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.storage_tables import storage_quantities, storage_sentences

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report
    from forebay.charts.storage_tables import Quantity


def build_storage(report: Report, leads: Sequence[int] | None = None) -> Mapping[str, object]:
    """Values for `storage.html`: headers, rows and start of the quantities that are known, and sentences.

    Parameters
    ----------
    leads
        Lead times of the rows, in days; by default all.
    """
    fan = report.storage_fan
    rows = fan.filter(pl.col("lead_time") > 0, pl.col("lead_time").is_in(list(leads)) if leads is not None else True)
    quantities = storage_quantities(fan, report.dam.target.variable)
    return {
        "caption": " and ".join(quantity.title for quantity in quantities),
        "headers": [text for quantity in quantities for text in (quantity.header, quantity.interval_header)],
        "rows": [_cells(row, quantities) for row in rows.iter_rows(named=True)],
        "airspace": _airspace(fan, report.dam.target.variable),
        "start": [quantity.text_with_unit(fan[f"{quantity.column}_q50"][0]) for quantity in quantities],
        "sentences": storage_sentences(fan, report.dam.target.variable),
    }


def _airspace(fan: pl.DataFrame, target: str) -> str | None:
    """The airspace at the start of the forecast with its unit; None where it is unknown."""
    quantities = storage_quantities(fan, target, airspace=True)
    return next((q.text_with_unit(fan["airspace_q50"][0]) for q in quantities if q.column == "airspace"), None)


def _cells(row: Mapping[str, object], quantities: Sequence[Quantity]) -> dict[str, object]:
    """Day of a row, and the median and the 90% interval of each quantity as text."""
    cells: list[str] = []
    for quantity in quantities:
        low, median, high = (row[f"{quantity.column}_{quantile}"] for quantile in ("q05", "q50", "q95"))
        cells += [quantity.text(median), quantity.interval(low, high)]
    return {"valid_date": row["valid_date"], "cells": cells}
