"""Figures: one chart, or several panels with one legend, for files and pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from forebay.charts.spec import Spec, file_spec, legend_entries, page_spec

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

    def chart(self) -> AnyChart:
        """All panels as one chart."""
        import altair as alt

        if not self.title:
            return self.panels[0]
        return alt.concat(*self.panels, columns=self.columns, title=self.title)

    def file_spec(self) -> Spec:
        """Vega-Lite specification for PNG and SVG files."""
        return file_spec(self.chart(), legend_symbol=self.legend_symbol)

    def page_specs(self) -> list[Spec]:
        """Vega-Lite specification of each panel on a page."""
        return self._page_specs

    def legend(self) -> list[tuple[str, str]]:
        """(name, colour) of every series."""
        return legend_entries(self._page_specs[0])

    @cached_property
    def _page_specs(self) -> list[Spec]:
        return [page_spec(panel) for panel in self.panels]


def figures_by_name(figures: Iterable[Figure | None]) -> dict[str, Figure]:
    """Figures by their names, without None."""
    return {figure.name: figure for figure in figures if figure is not None}
