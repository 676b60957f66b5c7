"""The screening room's pictures and tables: each gauge with its flags by reason, and its neighbours below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts import drawing
from forebay.charts.forecast_charts import GRID, INK, OTHER_COLOURS, WIDTH, Spec, for_file
from forebay.charts.score_tables import gauge_labels
from forebay.dams.dam import Dam, Gauge
from forebay.files import write_all
from forebay.report.page import Html, chart, document, element, joined, table
from forebay.screen.flags import REASONS, flag_runs

if TYPE_CHECKING:
    import altair as alt

    from forebay.charts.forecast_charts import AnyChart

REASON_COLOURS = {
    "jump": "#e69f00",
    "spike": "#d55e00",
    "unit": "#8c6d1f",
    "stuck": "#cc79a7",
    "still": "#56b4e9",
    "neighbours": "#009e73",
    "scale": "#4b3f92",
    "sentinel": "#3a434b",
    "range": "#7a2f2f",
    "step": "#0072b2",
}
SHOWN_NEIGHBOURS = 4


def write_screening(daily: pl.DataFrame, found: pl.DataFrame, dam: Dam, folder: Path) -> list[Path]:
    """`screening.html`, a picture per gauge (PNG, SVG), `flags.csv` and `spells.csv` in `folder`; gives their paths.

    Parameters
    ----------
    daily, found
        A daily frame and its flags (`prepare.flags.FLAGS`).

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    charts = {gauge.column: gauge_chart(daily, found, dam, gauge) for gauge in dam.gauges}
    specs = {name: for_file(picture) for name, picture in charts.items()}
    drawings = drawing.start(specs.items())
    with write_all(folder) as files:
        found.write_csv(files.stage / "flags.csv")
        flag_runs(found).write_csv(files.stage / "spells.csv")
        page = _page(dam, found, specs)
        (files.stage / "screening.html").write_bytes(page.encode())
        drawing.write(drawings, files.stage)
    return files.paths


def gauge_chart(daily: pl.DataFrame, found: pl.DataFrame, dam: Dam, gauge: Gauge) -> AnyChart:
    """One gauge: its values, what is doubted in the colour of its reason, and its neighbours below on the same days.

    Sentinels and values out of range stand at the edge of the picture, so that they do not squeeze the rest.
    """
    import altair as alt

    labels = gauge_labels(dam)
    doubted = _doubted(found, gauge.column)
    away = doubted.filter(pl.col("reason").is_in(["sentinel", "range"]))["date"].implode()
    value = pl.when(~pl.col("date").is_in(away)).then(gauge.column).alias("value")
    series = daily.select("date", value.round_sig_figs(7))
    low, high = _ends(series["value"])
    points = doubted.with_columns(pl.col("value").alias("reading"), pl.col("value").clip(low, high))
    zoom = alt.selection_interval(bind="scales", encodings=["x"], zoom="wheel![event.shiftKey]", name="days")
    panels: list[AnyChart] = [_series_panel(series, points, f"{labels[gauge.column]}, {_unit(gauge, dam)}")]
    for other in _neighbours(gauge, dam):
        frame = daily.select("date", pl.col(other.column).round_sig_figs(5).alias("value"))
        beyond = found.filter(pl.col("gauge") == other.column, pl.col("reason").is_in(["sentinel", "range"]))["date"]
        frame = frame.with_columns(pl.when(~pl.col("date").is_in(beyond.implode())).then("value").alias("value"))
        panels.append(_neighbour_panel(frame, f"{labels[other.column]}, {_unit(other, dam)}"))
    prefix = "SIMULATED · " if dam.simulated else ""
    title = f"{prefix}{dam.name} · {labels[gauge.column]}: what the screen doubts, and the gauges around it"
    panels[0] = panels[0].add_params(zoom)
    made: AnyChart = alt.concat(*panels, columns=1, spacing=6, title=title).resolve_scale(x="shared")
    return made


def _series_panel(series: pl.DataFrame, points: pl.DataFrame, axis: str) -> AnyChart:
    import altair as alt

    x, y = alt.X("date:T", title=None), alt.Y("value:Q", title=axis, scale=alt.Scale(zero=False))
    line = alt.Chart(_inline(series)).mark_line(color=INK, strokeWidth=1, interpolate="linear").encode(x=x, y=y)
    reasons = [reason for reason in REASON_COLOURS if reason in set(points["reason"])]
    colours = alt.Scale(domain=reasons, range=[REASON_COLOURS[reason] for reason in reasons])
    tips = [
        alt.Tooltip("date:T", title="day", format="%a %d %b %Y"),
        "reason:N",
        alt.Tooltip("reading:Q", title="value"),
        alt.Tooltip("expected:Q", title="expected about"),
        alt.Tooltip("known_on:T", title="known on", format="%d %b %Y"),
    ]
    dots = (
        alt.Chart(_inline(points))
        .mark_point(filled=True, size=34, opacity=0.9)
        .encode(x=x, y=y, color=alt.Color("reason:N", title="doubted", scale=colours), tooltip=tips)
    )
    layered: AnyChart = alt.layer(line, dots).properties(width=WIDTH, height=240)
    return layered


def _neighbour_panel(series: pl.DataFrame, title: str) -> AnyChart:
    import altair as alt

    made: AnyChart = (
        alt.Chart(_inline(series))
        .mark_line(color=OTHER_COLOURS[1], strokeWidth=0.8)
        .encode(
            x=alt.X("date:T", title=None, axis=alt.Axis(labels=False, ticks=False, gridColor=GRID)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=3)),
        )
        .properties(width=WIDTH, height=80, title=alt.Title(title, fontSize=11, fontWeight=500, offset=4))
    )
    return made


def _inline(frame: pl.DataFrame) -> alt.InlineData:
    """Rows as CSV text: a tenth of JSON, and as many as a long record has; days stay days of the station's calendar."""
    import altair as alt

    days = [name for name, kind in frame.schema.items() if kind == pl.Date]
    text = frame.with_columns(pl.col(days).dt.strftime("%Y-%m-%dT00:00:00")).write_csv()
    kinds = {name: "date" if name in days else "number" for name, kind in frame.schema.items() if kind != pl.String}
    return alt.InlineData(values=text, format=alt.CsvDataFormat(type="csv", parse=kinds))


def _doubted(found: pl.DataFrame, column: str) -> pl.DataFrame:
    """One row per day and reason that holds today; what is only noted comes last."""
    held = found.filter(pl.col("gauge") == column, pl.col("withdrawn_on").is_null())
    return held.unique(["date", "reason"], keep="first", maintain_order=True).select(
        "date", "reason", "known_on", "value", "expected"
    )


def _neighbours(gauge: Gauge, dam: Dam) -> Sequence[Gauge]:
    """Gauges that bear evidence on this one: its own kind, the lake, then the rest of the water, each kind by turns."""
    others = [other for other in dam.gauges if other.column != gauge.column and other.role != "temperature"]
    rank = {gauge.variable: 0, dam.target.variable: 1}
    of_kind = {other.column: sum(o.variable == other.variable for o in others[:k]) for k, other in enumerate(others)}
    by_turns = sorted(others, key=lambda other: (of_kind[other.column], rank.get(other.variable, 2)))
    return by_turns[:SHOWN_NEIGHBOURS]


def _ends(values: pl.Series) -> tuple[float, float]:
    known = values.drop_nulls()
    if known.is_empty():
        return 0.0, 1.0
    return float(known.to_numpy().min()), float(known.to_numpy().max())


def _unit(gauge: Gauge, dam: Dam) -> str:
    return dam.target.unit if gauge.role == "target" else gauge.kind.unit


def _page(dam: Dam, found: pl.DataFrame, specs: dict[str, Spec]) -> str:
    """The page: what was found as a table of spells, what the reasons mean, and each gauge's picture."""
    labels = gauge_labels(dam)
    runs = flag_runs(found)
    rows = [
        (labels[row["gauge"]], row["from"], row["to"], row["reason"], row["known_on"], row["days"],
         _figure(row["value"]), _figure(row["expected"]))
        for row in runs.iter_rows(named=True)
    ]  # fmt: skip
    headers = ("gauge", "from", "to", "reason", "known on", "days", "value", "expected about")
    said = f"{len(rows)} spells; medians of each. Nothing is deleted: the daily frame keeps every value."
    meanings = element("ul", *(element("li", element("strong", name), f": {text}") for name, text in REASONS.items()))
    notice = element("p", "SIMULATED: there is no such dam.", css="simulated") if dam.simulated else Html("")
    body = (
        element("header", element("h1", f"{dam.name}: screening"), notice),
        Html("<main>"),
        element("section", element("h2", "What is doubted"), table(headers, rows, texts=5, caption=said), meanings),
        *(element("section", element("h2", labels[name]), chart(name, spec)) for name, spec in specs.items()),
        Html("</main>"),
        element("footer", f"Data: {dam.licence or 'licence not stated'}."),
    )
    return document(f"{dam.name}: screening", joined(body))


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}"
