"""Vega-Lite specifications of charts: one for PNG and SVG files, one for HTML pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from forebay.charts.style import GREY, GRID, INK

if TYPE_CHECKING:
    import altair as alt

    AnyChart: TypeAlias = alt.Chart | alt.LayerChart | alt.FacetChart | alt.ConcatChart
    Panel: TypeAlias = tuple[str, AnyChart]

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
_PAGE_CONFIG: Spec = {**_CONFIG, "axisY": {"labelLimit": 150}}


def file_spec(chart: AnyChart) -> Spec:
    """Vega-Lite specification for a file: fixed size, with legend."""
    return {**_to_dict(chart), "config": _CONFIG}


def page_spec(chart: AnyChart) -> Spec:
    """Vega-Lite specification for an HTML page: as wide as its container, without legend.

    The page shows the legend as HTML (`legend_entries`), which wraps on a narrow screen.
    """
    fit = {"type": "fit-x", "contains": "padding"}
    spec: Spec = _without_legends(_to_dict(chart))
    return {**spec, "config": _PAGE_CONFIG, "width": "container", "autosize": fit}


def _to_dict(chart: AnyChart) -> Spec:
    # Validation takes longer than drawing. The tests validate every chart instead.
    spec: Spec = chart.to_dict(validate=False)
    return spec


def _without_legends(part: Any) -> Any:  # Any: Vega-Lite's JSON nests freely
    if isinstance(part, list):
        return [_without_legends(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    inner = {key: _without_legends(value) for key, value in part.items() if key != "datasets"}
    for channel in ("color", "stroke", "strokeDash"):
        if isinstance(inner.get(channel), dict):
            inner[channel] = {**inner[channel], "legend": None}
    return inner | {"datasets": part["datasets"]} if "datasets" in part else inner


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


def combine_panels(panels: Sequence[Panel], title: str, columns: int) -> AnyChart:
    """Panels in one picture, for a file."""
    import altair as alt

    return alt.concat(*(panel for _, panel in panels), columns=columns, title=title)
