"""The page of the quality screening: spells of flags in a table, and a chart of each gauge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts import drawing
from forebay.charts.coverage_tables import gauge_labels
from forebay.charts.formats import NO_VALUE
from forebay.charts.screening import gauge_chart
from forebay.charts.spec import Spec, file_spec
from forebay.files import write_all
from forebay.report.environment import render_page
from forebay.screen.flags import REASONS, flag_runs

if TYPE_CHECKING:
    from forebay.dams.dam import Dam


def write_screening(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam, folder: Path) -> list[Path]:
    """Paths of the files in `folder`: screening.html, flags.csv, spells.csv, and a PNG and an SVG per gauge.

    Parameters
    ----------
    daily, flags
        A daily table and its flags (`screen.flags.FLAGS`).

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    specs = {gauge.column: file_spec(gauge_chart(daily, flags, dam, gauge)) for gauge in dam.gauges}
    pictures = drawing.start_drawing(specs.items())
    spells = flag_runs(flags)
    with write_all(folder) as files:
        flags.write_csv(files.stage / "flags.csv")
        spells.write_csv(files.stage / "spells.csv")
        (files.stage / "screening.html").write_bytes(render_screening(dam, spells, specs).encode())
        drawing.write_pictures(pictures, files.stage)
    return files.paths


def render_screening(dam: Dam, spells: pl.DataFrame, specs: Mapping[str, Spec]) -> str:
    """The page's text: `spells` (`flag_runs`) as a table, and the chart of each gauge by its column."""
    labels = gauge_labels(dam)
    rows = [
        {**row, "gauge": labels[row["gauge"]], "value": _format(row["value"]), "expected": _format(row["expected"])}
        for row in spells.iter_rows(named=True)
    ]
    charts = [{"name": name, "title": labels[name], "spec": spec} for name, spec in specs.items()]
    return render_page("screening.html", {"dam": dam, "rows": rows, "reasons": REASONS, "charts": charts})


def _format(value: float | None) -> str:
    return NO_VALUE if value is None else f"{value:,.4g}"
