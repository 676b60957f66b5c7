"""Charts of the hindcast's scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.encodings import tooltips
from forebay.charts.style import EXTRA_COLOURS, MODEL_COLOURS, PANEL_HEIGHT, PANEL_WIDTH, Heading

if TYPE_CHECKING:
    from forebay.charts.spec import Panel

_DASHES = ([6, 3], [2, 2], [8, 3, 2, 3], [4, 2])


def error_panels(errors: Sequence[tuple[str, pl.DataFrame]], heading: Heading) -> list[Panel]:
    """Mean absolute error by lead time and model, one chart per (title, table); table: model, lead_time, mae, n."""
    import altair as alt

    models = list(dict.fromkeys(model for _, table in errors for model in table["model"]))
    extra = iter(EXTRA_COLOURS * (1 + len(models) // len(EXTRA_COLOURS)))
    colours = [MODEL_COLOURS.get(model) or next(extra) for model in models]
    dashes = [[1, 0] if model == "default" else _DASHES[k % len(_DASHES)] for k, model in enumerate(models)]
    legend = alt.Legend(title=None, symbolType="stroke", symbolSize=300)
    lead = alt.Tooltip("lead_time:O", title="lead time, days")
    panels: list[Panel] = []
    for name, table in errors:
        chart = (
            alt.Chart(table.with_columns(pl.col("mae").round_sig_figs(5)))
            .mark_line(point=alt.OverlayMarkDef(size=28), strokeWidth=2)
            .encode(
                x=alt.X("lead_time:O", title="lead time, days", axis=alt.Axis(labelAngle=0)),
                y=alt.Y("mae:Q", title=f"MAE, {heading.axis}", scale=alt.Scale(zero=True)),
                color=alt.Color("model:N", legend=legend, scale=alt.Scale(domain=models, range=colours)),
                strokeDash=alt.StrokeDash("model:N", legend=legend, scale=alt.Scale(domain=models, range=dashes)),
                tooltip=[*tooltips("model:N"), lead, *tooltips("mae:Q", "n:Q")],
            )
            .properties(width=PANEL_WIDTH + 130, height=PANEL_HEIGHT + 40, title=heading.panel(name))
        )
        panels.append((name, chart))
    return panels
