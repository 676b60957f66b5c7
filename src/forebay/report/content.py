"""Content of a section: values for its template, and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forebay.charts.formats import TargetFormat
from forebay.charts.spec import Spec, combine_panels, file_spec, legend_entries, page_spec
from forebay.charts.style import Heading
from forebay.dams.dam import Dam

if TYPE_CHECKING:
    from forebay.charts.spec import AnyChart, Panel


@dataclass(frozen=True)
class Figure:
    """One picture of the report.

    Attributes
    ----------
    name
        Stem of its PNG and SVG files; its place on the page is `chart-<name>`, or `chart-<name>-<k>` of panel k.
    picture
        The chart in the files.
    panels
        The charts on the page: the picture itself, or its panels, which wrap on a narrow screen.
    """

    name: str
    picture: AnyChart
    panels: Sequence[AnyChart]

    def file_spec(self) -> Spec:
        """Vega-Lite specification for the files."""
        return file_spec(self.picture)

    def page_specs(self) -> list[Spec]:
        """Vega-Lite specification of each panel on the page."""
        return [page_spec(panel) for panel in self.panels]

    def legend(self) -> list[tuple[str, str]]:
        """(name, colour) of each series."""
        return legend_entries(page_spec(self.panels[0]))


@dataclass(frozen=True)
class Content:
    """Values and figures for a section's template; a figure is `figures.<name>` there."""

    values: Mapping[str, object] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)


def single_figure(name: str, chart: AnyChart) -> dict[str, Figure]:
    """A figure of one chart, by its name."""
    return {name: Figure(name, chart, [chart])}


def panel_figure(name: str, panels: Sequence[Panel], title: str, columns: int) -> dict[str, Figure]:
    """A figure of several panels, by its name; empty without panels. The files show `columns` panels in a row."""
    if not panels:
        return {}
    return {name: Figure(name, combine_panels(panels, title, columns), [chart for _, chart in panels])}


def chart_heading(dam: Dam) -> Heading:
    """Heading of every chart of a dam."""
    return Heading(dam.name, TargetFormat(dam).axis, dam.simulated)
