"""The article's two charts: loss per epoch, and prediction over actual; nothing is computed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.charts.style import FORECAST_COLOUR, MODEL_COLOURS

if TYPE_CHECKING:
    from forebay.article.results import RecipeResult
    from forebay.charts.spec import AnyChart

ACTUAL, PREDICTION = "actual", "prediction"
LOSS, VALIDATION = "loss (under dropout)", "validation loss"
_BLUE, _ORANGE = FORECAST_COLOUR, MODEL_COLOURS["no_change"]
WIDTH, HEIGHT = 860, 320


def loss_chart(result: RecipeResult) -> AnyChart:
    """Loss and validation loss by epoch, a line per seed; the scale is logarithmic."""
    import altair as alt

    table = (
        result.history.rename({"loss": LOSS, "val_loss": VALIDATION})
        .unpivot([LOSS, VALIDATION], index=["seed", "epoch"], variable_name="series", value_name="mae")
        .drop_nulls()
    )
    colour = alt.Scale(domain=[LOSS, VALIDATION], range=[_BLUE, _ORANGE])
    chart: AnyChart = (
        alt.Chart(table)
        .mark_line(strokeWidth=1.4, opacity=0.75)
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("mae:Q", title="mean absolute error, m", scale=alt.Scale(type="log", nice=False)),
            color=alt.Color("series:N", title=None, scale=colour),
            detail="seed:N",
            tooltip=["series:N", "seed:N", "epoch:Q", alt.Tooltip("mae:Q", format=".4f")],
        )
        .properties(width=WIDTH, height=HEIGHT, title=f"{result.title}: loss by epoch, a line per seed")
    )
    return chart


def prediction_chart(result: RecipeResult) -> AnyChart:
    """The test days' prediction (orange) over their actual change (blue); drag to pan, wheel to zoom."""
    import altair as alt

    test = result.predictions.filter(result.predictions["part"] == "test").select("date", ACTUAL, PREDICTION)
    table = test.unpivot([ACTUAL, PREDICTION], index="date", variable_name="series", value_name="change")
    colour = alt.Scale(domain=[ACTUAL, PREDICTION], range=[_BLUE, _ORANGE])
    base = alt.Chart(table.with_columns(table["change"].round(4))).encode(
        x=alt.X("date:T", title=None),
        y=alt.Y("change:Q", title="change of the level in a day, m"),
        color=alt.Color("series:N", title=None, scale=colour),
        tooltip=[
            alt.Tooltip("date:T", title="day", format="%a %d %b %Y"), "series:N", alt.Tooltip("change:Q", format="+.3f")
        ],
    )  # fmt: skip
    # Two layers, so that the prediction lies over the actual whatever order the rows have.
    layers = [
        base.transform_filter(alt.datum.series == name).mark_line(strokeWidth=1.1, point=alt.OverlayMarkDef(size=9))
        for name in (ACTUAL, PREDICTION)
    ]
    zoom = alt.selection_interval(bind="scales", name="window")
    title = f"{result.title}: prediction over actual, all {len(test)} test days"
    return alt.layer(*layers).add_params(zoom).properties(width=WIDTH, height=HEIGHT, title=title)
