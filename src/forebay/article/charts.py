"""The article's two charts, loss per epoch and prediction over actual, and the tables beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forebay import metrics
from forebay.charts.encodings import DATE_FORMAT, colour_scale
from forebay.charts.style import FORECAST_COLOUR, MODEL_COLOURS

if TYPE_CHECKING:
    import altair as alt

    from forebay.article.results import RecipeResult
    from forebay.charts.spec import AnyChart

ACTUAL, PREDICTION = "actual", "prediction"
LOSS, VALIDATION = "loss (under dropout)", "validation loss"
FIRST_ROWS = 300
"""Rows of the article's own chart."""
WIDTH, HEIGHT = 860, 320

_BLUE, _ORANGE = FORECAST_COLOUR, MODEL_COLOURS["no_change"]
_COLOURS = {ACTUAL: _BLUE, PREDICTION: _ORANGE}
_SHARE = "days"
"""Name of the chart's parameter for the days that it shows."""


def loss_chart(result: RecipeResult) -> AnyChart:
    """Loss and validation loss by epoch, a line per seed; the scale is logarithmic."""
    import altair as alt

    table = (
        result.history.rename({"loss": LOSS, "val_loss": VALIDATION})
        .unpivot([LOSS, VALIDATION], index=["seed", "epoch"], variable_name="series", value_name="mae")
        .drop_nulls()
    )
    chart: AnyChart = (
        alt.Chart(table)
        .mark_line(strokeWidth=1.4, opacity=0.75)
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("mae:Q", title="mean absolute error, m", scale=alt.Scale(type="log", nice=False)),
            color=alt.Color("series:N", title=None, scale=colour_scale({LOSS: _BLUE, VALIDATION: _ORANGE})),
            detail="seed:N",
            tooltip=["series:N", "seed:N", "epoch:Q", alt.Tooltip("mae:Q", format=".4f")],
        )
        .properties(width=WIDTH, height=HEIGHT, title=f"{result.title}: loss by epoch, a line per seed")
    )
    return chart


def loss_table(result: RecipeResult) -> list[tuple[int, float, float | None]]:
    """Epoch, mean loss and mean validation loss over the seeds: the first epoch, the last one and some between."""
    last = int(result.history["epoch"].max() or 0)  # type: ignore[arg-type]  # a column of numbers
    epochs = sorted({epoch for epoch in (1, 2, 5, 10, 20, last) if epoch <= last})
    means = result.history.group_by("epoch").agg(pl.mean("loss", "val_loss")).sort("epoch")
    return means.filter(pl.col("epoch").is_in(epochs)).rows()


def share_names(predictions: pl.DataFrame) -> list[str]:
    """Names of the chart's choices: the first rows, all days, the test days."""
    parts = predictions["part"]
    return [
        f"first {min(FIRST_ROWS, len(parts))} rows, as in the article",
        f"all {len(parts)} days",
        f"the {(parts == 'test').sum()} test days",
    ]


def prediction_chart(predictions: pl.DataFrame, title: str, *, place: str | None = None) -> AnyChart:
    """Prediction (orange) over actual change (blue) by day: the article's first rows, on demand all days or the test.

    A line connects consecutive days only. Drag to pan. The wheel zooms with Ctrl or Shift; alone it scrolls the page.

    Parameters
    ----------
    predictions
        date, part (train, validation, test), actual, prediction (m), in the order of the dates.
    place
        CSS selector of the page's element for the choice of days; by default the choice is below the chart.
    """
    import altair as alt

    names = share_names(predictions)
    radio = alt.binding_radio(options=names, name=" ", element=place or alt.Undefined)
    share = alt.param(name=_SHARE, value=names[0], bind=radio)
    zoom = alt.selection_interval(bind="scales", zoom="wheel![event.ctrlKey || event.shiftKey]", name="window")
    base = _lines_of_days(predictions, names)
    layers = [_series_layer(base, name) for name in (ACTUAL, PREDICTION)]
    layers[0] = layers[0].add_params(zoom)
    chart: AnyChart = (
        alt.layer(*layers)
        .add_params(share)
        .properties(width=WIDTH, height=HEIGHT, title=f"{title}: prediction over actual")
    )
    return chart


def _lines_of_days(predictions: pl.DataFrame, names: list[str]) -> alt.Chart:
    """The rows that the choice of days shows, with the number of their line: a gap begins a new line."""
    import altair as alt

    first, everything, test = names
    visible = (
        f"{_SHARE} == '{everything}' || ({_SHARE} == '{first}' && datum.row <= {FIRST_ROWS})"
        f" || ({_SHARE} == '{test}' && datum.part == 'test')"
    )
    rows = predictions.select(
        "date",
        "part",
        pl.col(ACTUAL, PREDICTION).round(4),
        row=pl.int_range(1, pl.len() + 1),
        day=pl.col("date").to_physical(),
    )
    base: alt.Chart = (
        alt.Chart(rows)
        .transform_filter(visible)
        .transform_window(previous_day="lag(day)", sort=[alt.SortField("row")])
        .transform_calculate(gap="datum.day - datum.previous_day > 1 ? 1 : 0")
        .transform_window(line="sum(gap)", sort=[alt.SortField("row")])
    )
    return base


def _series_layer(base: alt.Chart, name: str) -> alt.Chart:
    """One series as lines and points; of two layers the second lies above the first."""
    import altair as alt

    # Day, month and year at every tick: the picture may cover a week or 14 years.
    label = "[timeFormat(datum.value, '%d %b'), timeFormat(datum.value, '%Y')]"
    layer: alt.Chart = (
        base.transform_calculate(series=f"'{name}'")
        .mark_line(strokeWidth=1.1, point=alt.OverlayMarkDef(size=9))
        .encode(
            x=alt.X("date:T", title=None, axis=alt.Axis(labelExpr=label, tickCount=8, labelOverlap=True)),
            y=alt.Y(f"{name}:Q", title="change of the level in a day, m"),
            color=alt.Color("series:N", title=None, scale=colour_scale(_COLOURS)),
            detail="line:N",
            tooltip=[
                alt.Tooltip("date:T", title="day", format=DATE_FORMAT),
                alt.Tooltip("part:N", title="part"),
                alt.Tooltip(f"{ACTUAL}:Q", format="+.3f"),
                alt.Tooltip(f"{PREDICTION}:Q", format="+.3f"),
            ],
        )
    )
    return layer


def prediction_table(result: RecipeResult) -> list[dict[str, object]]:
    """Per part: days, MAE, bias, standard deviations, and the largest rise with its prediction; in metres."""
    table = []
    for (part,), rows in result.predictions.group_by("part", maintain_order=True):
        actual, prediction = rows[ACTUAL].to_numpy(), rows[PREDICTION].to_numpy()
        top = int(actual.argmax())
        table.append(
            {
                "part": part,
                "days": len(rows),
                "mae": metrics.mae(prediction, actual),
                "bias": metrics.bias(prediction, actual),
                "actual_spread": float(actual.std()),
                "prediction_spread": float(prediction.std()),
                "largest_day": rows["date"][top],
                "largest_actual": float(actual[top]),
                "largest_prediction": float(prediction[top]),
            }
        )
    return sorted(table, key=lambda row: ("train", "validation", "test").index(str(row["part"])))
