"""Vega-Lite specifications of charts: one for PNG and SVG files, one for HTML pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from forebay.charts.style import GREY, GRID, INK

if TYPE_CHECKING:
    import altair as alt

    AnyChart: TypeAlias = alt.Chart | alt.LayerChart | alt.FacetChart | alt.ConcatChart

Spec: TypeAlias = dict[str, Any]  # Any: Vega-Lite's JSON nests freely

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
_LABEL = "#46525c"
_CONFIG: Spec = {
    "background": "#ffffff",
    "font": _FONT,
    "view": {"stroke": None},
    "title": {"anchor": "start", "color": INK, "fontSize": 13, "fontWeight": 600, "offset": 12},
    "axis": {
        "domainColor": GREY,
        "tickColor": GREY,
        "gridColor": GRID,
        "labelColor": _LABEL,
        "titleColor": _LABEL,
        "titleFontWeight": 500,
        "labelFontSize": 11,
        "titleFontSize": 11.5,
        "labelLimit": 240,
    },
    "axisX": {"grid": False},
    "legend": {"orient": "bottom", "direction": "horizontal", "columns": 6, "labelColor": INK, "titleColor": INK},
}
_PAGE_CONFIG: Spec = {**_CONFIG, "axisY": {"labelLimit": 150}, "legend": {"disable": True}}
_SYMBOL_SIZES = {"stroke": 300}


def chart_spec(chart: AnyChart) -> Spec:
    """Vega-Lite specification of a chart as it is."""
    # Validation takes longer than drawing. The tests validate every chart instead.
    spec: Spec = chart.to_dict(validate=False)
    return spec


def concat_spec(panels: Sequence[Spec], *, title: str, columns: int) -> Spec:
    """Vega-Lite specification of one picture with several panels, as `altair.concat` makes it from their charts."""
    top = ("$schema", "config", "datasets")
    return {
        "$schema": panels[0]["$schema"],
        "concat": [{key: value for key, value in panel.items() if key not in top} for panel in panels],
        "columns": columns,
        "title": title,
        "datasets": {name: rows for panel in panels for name, rows in panel.get("datasets", {}).items()},
    }


def file_spec(spec: Spec, *, legend_symbol: str | None = None) -> Spec:
    """`spec` for a file: fixed size, with legend.

    Parameters
    ----------
    legend_symbol
        Vega-Lite's `symbolType` in the legend, such as "square"; by default that of the chart's marks.
    """
    if legend_symbol is None:
        return {**spec, "config": _CONFIG}
    symbol = {"symbolType": legend_symbol, "symbolSize": _SYMBOL_SIZES.get(legend_symbol, 100)}
    return {**spec, "config": {**_CONFIG, "legend": {**_CONFIG["legend"], **symbol}}}


def page_spec(spec: Spec) -> Spec:
    """`spec` for an HTML page: as wide as its container, without legend.

    The page shows the legend as HTML (`legend_entries`), which wraps on a narrow screen. The configuration disables
    the chart's legend. A chart must therefore not define a legend of its own: that would override the configuration.
    """
    fit = {"type": "fit-x", "contains": "padding"}
    return {**spec, "config": _PAGE_CONFIG, "width": "container", "autosize": fit}


def legend_entries(spec: Spec) -> list[tuple[str, str]]:
    """(name, colour) of every series of the chart, in order; empty if colour encodes nothing."""
    if isinstance(spec.get("color"), dict):
        scale = spec["color"].get("scale", {})
        return list(zip(scale.get("domain", []), scale.get("range", []), strict=True))
    for part in spec.values():
        for inner in part if isinstance(part, list) else [part]:
            if isinstance(inner, dict) and (entries := legend_entries(inner)):
                return entries
    return []
