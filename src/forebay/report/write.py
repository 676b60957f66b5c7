"""The report of one dam: `report.html`, one file that needs no network, and its figures as PNG and SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.charts import drawing
from forebay.charts.registry import REPORT_CHARTS, BuildFigure, report_figures
from forebay.log import step
from forebay.report.environment import render_page
from forebay.report.head import build_head
from forebay.report.sections import SECTIONS, Section, render_template

if TYPE_CHECKING:
    from forebay.charts.figures import Figure
    from forebay.charts.report_tables import Report
    from forebay.verify.hindcast import Progress


def write_report(report: Report, folder: Path, progress: Progress | None = None) -> list[Path]:
    """Write report.html and each figure as PNG and SVG into `folder`, which exists; their paths.

    Parameters
    ----------
    progress
        As in `drawing.write_pictures`.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    figures = report_figures(report)
    # Other processes draw while this one writes the page.
    pictures = drawing.start_drawing((name, figure.file_spec()) for name, figure in figures.items())
    (folder / "report.html").write_bytes(_page(report, figures, SECTIONS).encode())
    drawing.write_pictures(pictures, folder, progress)
    return sorted(path for path in folder.iterdir() if path.suffix in (".html", ".png", ".svg"))


def render_report(
    report: Report, *, sections: Sequence[Section] = SECTIONS, charts: Sequence[BuildFigure] = REPORT_CHARTS
) -> str:
    """The page's text: every section whose condition is true, with its figures."""
    return _page(report, report_figures(report, charts), sections)


@step("report")
def _page(report: Report, figures: Mapping[str, Figure], sections: Sequence[Section]) -> str:
    parts = [
        {"name": section.name, "title": section.title, "html": section.render(report, figures)}
        for section in sections_of(report, sections)
    ]
    head = render_template("head.html", report, build_head(report))
    values = {"dam": report.dam, "forecast": report.forecast, "head": head, "sections": parts}
    return render_page("report.html", {**values, "record_note": report.record_note})


def sections_of(report: Report, sections: Sequence[Section] = SECTIONS) -> list[Section]:
    """The sections whose condition is true for `report`."""
    return [section for section in sections if section.condition(report)]
