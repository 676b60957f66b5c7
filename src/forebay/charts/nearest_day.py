"""The layer of a forecast's chart that shows the values of the day nearest to the pointer or the finger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.forecast_tables import QUANTILE_COLUMNS
from forebay.charts.style import GREY

if TYPE_CHECKING:
    import altair as alt

    from forebay.charts.formats import TargetFormat

_TEXTS = {
    "observed": "observed",
    "later": "observed afterwards",
    "median": "forecast median",
    "interval_80": "80% interval",
    "interval_90": "90% interval",
}


def day_texts(observed: pl.DataFrame, fan: pl.DataFrame, later: pl.DataFrame, target: TargetFormat) -> pl.DataFrame:
    """A row per day of the chart: date, age (days before the init date), level, and the columns of `_TEXTS`.

    A text without a value is null. `level` is the height of the day's mark: the forecast median, or an observed level.
    """
    init = observed["date"][-1]
    days = pl.concat([observed.select("date"), fan.select(date="valid_date"), later.select("date")]).unique()
    joined = (
        days.join(observed.select("date", seen="level"), on="date", how="left")
        .join(later.select("date", after="level"), on="date", how="left")
        .join(fan.filter(pl.col("lead_time") > 0).rename({"valid_date": "date"}), on="date", how="left")
    )
    rows = []
    for row in joined.sort("date").iter_rows(named=True):
        q05, q10, q50, q90, q95 = (row[name] for name in QUANTILE_COLUMNS if name not in ("q25", "q75"))
        texts = {
            "observed": _quantity(row["seen"], target),
            "later": _quantity(row["after"], target),
            "median": _quantity(q50, target),
            "interval_80": None if q10 is None else target.interval(q10, q90),
            "interval_90": None if q05 is None else target.interval(q05, q95),
        }
        heights = (level for level in (q50, row["seen"], row["after"]) if level is not None)
        place = {"date": row["date"], "day": f"{row['date']:%a %Y-%m-%d}", "age": (init - row["date"]).days}
        rows.append({**place, "level": next(heights, None), **texts})
    kinds = {"date": pl.Date, "day": pl.String, "age": pl.Int64, "level": pl.Float64} | dict.fromkeys(_TEXTS, pl.String)
    return pl.DataFrame(rows, schema=kinds).drop_nulls("level")


def _quantity(value: float | None, target: TargetFormat) -> str | None:
    return None if value is None else target.quantity(value)


def nearest_day_layer(texts: pl.DataFrame, x: alt.X, y: alt.Y, condition: str) -> alt.Chart:
    """Invisible marks, one per day of `day_texts`; the nearest one has a line and a tooltip.

    Parameters
    ----------
    condition
        Vega expression of the days that the chart shows.
    """
    import altair as alt

    nearest = alt.selection_point(
        name="nearest_day", on="pointermove", nearest=True, encodings=["x"], clear="pointerout", empty=False
    )
    row = "(datum.datum || datum)"  # the cell around a mark has the mark as its datum
    parts = [f"isValid({row}.{name}) ? {{'{title}': {row}.{name}}} : {{}}" for name, title in _TEXTS.items()]
    tooltip = alt.expr(f"merge({{'day': {row}.day}}, {', '.join(parts)})")
    marks = alt.Chart(texts).transform_filter(condition).mark_point(size=90, tooltip=tooltip, color=GREY)
    opacity = alt.condition(nearest, alt.value(1), alt.value(0))
    layer: alt.Chart = marks.encode(x=x, y=y, opacity=opacity).add_params(nearest)
    return layer
