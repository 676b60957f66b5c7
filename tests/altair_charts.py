"""The chart that altair itself makes of a figure."""

from __future__ import annotations

from typing import Any

import altair as alt

from forebay.charts.figures import Figure


def altair_spec(figure: Figure) -> dict[str, Any]:  # Any: Vega-Lite's JSON nests freely
    """Specification of the figure's picture by altair, which validates it."""
    if not figure.title:
        return figure.panels[0].to_dict()
    chart = alt.concat(*figure.panels, columns=figure.columns, title=figure.title)
    return chart.to_dict()
