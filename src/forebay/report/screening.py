"""The page of the quality screening: spells of flags in a table, and a chart of each gauge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts import drawing
from forebay.charts.screening import gauge_chart
from forebay.charts.spec import Spec, chart_spec, file_spec
from forebay.days.labels import display_unit, gauge_labels, in_display_unit
from forebay.files import write_all
from forebay.log import step
from forebay.report.environment import render_page
from forebay.screen.flags import REASONS, flag_runs

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.verify.hindcast import Progress


def write_screening(
    daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam, folder: Path, progress: Progress | None = None
) -> list[Path]:
    """Paths of the files in `folder`: screening.html, flags.csv, spells.csv, and a PNG and an SVG per gauge.

    Parameters
    ----------
    daily, flags
        A daily table and its flags (`screen.flags.FLAGS`).
    progress
        As in `drawing.write_pictures`.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    specs = {gauge.column: file_spec(chart_spec(gauge_chart(daily, flags, dam, gauge))) for gauge in dam.gauges}
    pictures = drawing.start_drawing(specs.items())
    spells = flag_runs(flags)
    with write_all(folder) as files:
        flags.write_csv(files.stage / "flags.csv")
        spells.write_csv(files.stage / "spells.csv")
        (files.stage / "screening.html").write_bytes(render_screening(dam, spells, specs).encode())
        drawing.write_pictures(pictures, files.stage, progress)
    return files.paths


@step("report")
def render_screening(dam: Dam, spells: pl.DataFrame, specs: Mapping[str, Spec]) -> str:
    """The page's text: `spells` (`flag_runs`) as a table, and the chart of each gauge by its column."""
    labels = gauge_labels(dam)
    tables = {gauge.column: _in_display_units(spells, gauge, dam) for gauge in dam.gauges}
    rows = [{**row, "gauge": labels[name]} for name, table in tables.items() for row in table.to_dicts()]
    charts = [
        {"name": name, "title": labels[name], "spec": spec, "counts": _days_by_reason(tables[name])}
        for name, spec in specs.items()
    ]
    return render_page("screening.html", {"dam": dam, "rows": rows, "reasons": REASONS, "charts": charts})


def _in_display_units(spells: pl.DataFrame, gauge: Gauge, dam: Dam) -> pl.DataFrame:
    """The spells of one gauge with value and expected value in the gauge's `unit`."""
    values = (in_display_unit(pl.col(name), gauge, dam).alias(name) for name in ("value", "expected"))
    unit = pl.lit(display_unit(gauge, dam)).alias("unit")
    return spells.filter(pl.col("gauge") == gauge.column).with_columns(*values, unit)


def _days_by_reason(spells: pl.DataFrame) -> list[tuple[str, int]]:
    """(reason, number of flagged days) of one gauge, the most frequent first."""
    days = spells.group_by("reason").agg(pl.col("days").sum()).sort("days", "reason", descending=[True, False])
    return list(days.iter_rows())
