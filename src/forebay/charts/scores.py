"""Charts of the hindcast's scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.encodings import tooltips
from forebay.charts.figures import Figure
from forebay.charts.formats import format_name
from forebay.charts.score_tables import errors_by_lead, scored_regimes
from forebay.charts.style import EXTRA_COLOURS, MODEL_COLOURS, PANEL_HEIGHT, PANEL_WIDTH, Heading
from forebay.tables import DEFAULT_MODEL

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report
    from forebay.charts.spec import AnyChart

REGIME_TITLES = {
    "all": "all days",
    "wet": "wet days",
    "dry": "dry days",
    "near_full": "near full supply",
    "above_full": "above full supply",
    "level_missing": "level missing",
}
_DASHES = ([6, 3], [2, 2], [8, 3, 2, 3], [4, 2])


def scores_figure(report: Report) -> Figure | None:
    """Mean absolute error by lead time and model, a panel for all days and one per regime; None without scores."""
    regimes = ["all", *(regime for _, regime in scored_regimes(report.scores) if regime in REGIME_TITLES)]
    tables = {regime: errors_by_lead(report.scores, "all", regime) for regime in regimes}
    errors = [(REGIME_TITLES[regime].capitalize(), table) for regime, table in tables.items() if len(table)]
    panels = error_panels(errors, report.heading)
    title = report.heading.title("mean absolute error by lead time")
    return Figure("scores", panels, title, 2, legend_symbol="stroke") if panels else None


def error_panels(errors: Sequence[tuple[str, pl.DataFrame]], heading: Heading) -> tuple[AnyChart, ...]:
    """Mean absolute error by lead time and model, one chart per (title, table); table: model, lead_time, mae, n."""
    import altair as alt

    models = list(dict.fromkeys(model for _, table in errors for model in table["model"]))
    extra = iter(EXTRA_COLOURS * (1 + len(models) // len(EXTRA_COLOURS)))
    colours = [MODEL_COLOURS.get(model) or next(extra) for model in models]
    dashes = [[1, 0] if model == DEFAULT_MODEL else _DASHES[k % len(_DASHES)] for k, model in enumerate(models)]
    names = [format_name(model) for model in models]
    colour = alt.Color("model:N", title=None, scale=alt.Scale(domain=names, range=colours))
    dash = alt.StrokeDash("model:N", title=None, scale=alt.Scale(domain=names, range=dashes))
    lead = alt.Tooltip("lead_time:O", title="lead time, days")
    panels: list[AnyChart] = []
    for title, table in errors:
        rows = table.with_columns(pl.col("model").replace_strict(models, names), pl.col("mae").round_sig_figs(5))
        chart = (
            alt.Chart(rows)
            .mark_line(point=alt.OverlayMarkDef(size=28), strokeWidth=2)
            .encode(
                x=alt.X("lead_time:O", title="lead time, days", axis=alt.Axis(labelAngle=0)),
                y=alt.Y("mae:Q", title=f"MAE, {heading.axis}", scale=alt.Scale(zero=True)),
                color=colour,
                strokeDash=dash,
                tooltip=[*tooltips("model:N"), lead, *tooltips("mae:Q", "n:Q")],
            )
            .properties(width=PANEL_WIDTH + 130, height=PANEL_HEIGHT + 40, title=heading.panel(title))
        )
        panels.append(chart)
    return tuple(panels)
