"""Figures: one chart, or several panels with one legend, for files and pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from forebay.charts.spec import Spec, chart_spec, concat_spec, file_spec, legend_entries, page_spec

if TYPE_CHECKING:
    from forebay.charts.spec import AnyChart


@dataclass(frozen=True)
class Figure:
    """One figure of a page, which is also one PNG and one SVG file.

    Attributes
    ----------
    name
        Stem of its files; its place on a page is `chart-<name>`, or `chart-<name>-<k>` of panel k.
    panels
        The charts. On a page they wrap; in a file they are one picture.
    title, columns
        Title of the picture in a file, and number of panels in a row. A single chart has its own title.
    legend_symbol
        Vega-Lite's `symbolType` in the legend of a file.
    """

    name: str
    panels: tuple[AnyChart, ...]
    title: str = ""
    columns: int = 1
    legend_symbol: str = "square"

    def file_spec(self) -> Spec:
        """Vega-Lite specification for PNG and SVG files."""
        specs = self._panel_specs
        spec = concat_spec(specs, title=self.title, columns=self.columns) if self.title else specs[0]
        return file_spec(spec, legend_symbol=self.legend_symbol)

    def page_specs(self) -> list[Spec]:
        """Vega-Lite specification of each panel on a page."""
        return [page_spec(spec) for spec in self._panel_specs]

    def legend(self) -> list[tuple[str, str]]:
        """(name, colour) of every series."""
        return legend_entries(self._panel_specs[0])

    @cached_property
    def _panel_specs(self) -> list[Spec]:
        return [chart_spec(panel) for panel in self.panels]


def figures_by_name(figures: Iterable[Figure | None]) -> dict[str, Figure]:
    """Figures by their names, without None."""
    return {figure.name: figure for figure in figures if figure is not None}
