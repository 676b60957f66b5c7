"""The report of one dam: `report.html`, one file that needs no network, and its figures as PNG and SVG."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from forebay.charts import drawing
from forebay.charts.forecast_tables import Report
from forebay.charts.spec import Spec
from forebay.report.content import Content
from forebay.report.environment import render_page
from forebay.report.head import build_head
from forebay.report.sections import SECTIONS, Section, render_template


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write report.html and each figure as PNG and SVG into `folder`, which exists; their paths.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    contents, drawings = [], dict[str, Future[drawing.Picture]]()
    for section in sections_of(report):
        content = section.build(report)
        contents.append((section, content))
        # The figures are drawn in other processes while the next section is built.
        drawings |= drawing.start((name, figure.file_spec()) for name, figure in content.figures.items())
    (folder / "report.html").write_bytes(_page(report, contents).encode())
    drawing.write(drawings, folder)
    return sorted(path for path in folder.iterdir() if path.suffix in (".html", ".png", ".svg"))


def render_report(report: Report, sections: Sequence[Section] = SECTIONS) -> tuple[str, dict[str, Spec]]:
    """The page's text, and the Vega-Lite specification of each figure by the name of its files."""
    contents = [(section, section.build(report)) for section in sections_of(report, sections)]
    specs = {name: figure.file_spec() for _, content in contents for name, figure in content.figures.items()}
    return _page(report, contents), specs


def sections_of(report: Report, sections: Sequence[Section] = SECTIONS) -> list[Section]:
    """The sections whose condition is true for `report`."""
    return [section for section in sections if section.condition(report)]


def _page(report: Report, contents: Sequence[tuple[Section, Content]]) -> str:
    parts = [
        {"name": section.name, "title": section.title, "html": section.render(report, content)}
        for section, content in contents
    ]
    head = render_template("head.html", report, build_head(report))
    values = {"dam": report.dam, "forecast": report.forecast, "head": head, "sections": parts}
    return render_page("report.html", values)
