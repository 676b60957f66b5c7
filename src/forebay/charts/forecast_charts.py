"""Tables as Altair charts, for the report and for PNG and SVG files; nothing is computed here.

Days are drawn at their start on a station-local calendar. Every chart's title says so when the dam is simulated.
Colours are Okabe and Ito's, told apart by people who see colours differently; lines also differ by their dashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from forebay.charts.forecast_tables import DAY, quantile_column
from forebay.charts.score_tables import FINE
from forebay.tables import QUANTILES

if TYPE_CHECKING:
    import altair as alt

    AnyChart: TypeAlias = alt.Chart | alt.LayerChart | alt.FacetChart | alt.ConcatChart
    Panel: TypeAlias = tuple[str, AnyChart]

Spec: TypeAlias = dict[str, Any]  # Any: Vega-Lite's JSON nests freely

WIDTH = 860
PANEL_WIDTH, PANEL_HEIGHT = 270, 170
INK, FORECAST, FULL, GRID = "#1b2733", "#0072b2", "#a63c00", "#e3e7eb"
BAND_90, BAND_80 = "#cfe3f1", "#93c2e0"
OBSERVED, LATER, MEDIAN, IN_80, IN_90 = "observed", "observed later", "forecast median", "80% interval", "90% interval"
_SERIES = {OBSERVED: INK, MEDIAN: FORECAST, IN_80: BAND_80, IN_90: BAND_90}

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
_CONFIG: Spec = {
    "background": "#ffffff",
    "font": _FONT,
    "view": {"stroke": None},
    "title": {"anchor": "start", "color": INK, "fontSize": 13, "fontWeight": 600, "offset": 12},
    "axis": {
        "domainColor": "#9aa3ab",
        "tickColor": "#9aa3ab",
        "gridColor": GRID,
        "labelColor": "#46525c",
        "titleColor": "#46525c",
        "titleFontWeight": 500,
        "labelFontSize": 11,
        "titleFontSize": 11.5,
        "labelLimit": 240,
    },
    "axisX": {"grid": False},
    "legend": {"orient": "bottom", "direction": "horizontal", "columns": 6, "labelColor": INK, "titleColor": INK},
}

_ON_PAGE: Spec = {"axisY": {"labelLimit": 150}}

MODEL_COLOURS = {
    "default": FORECAST,
    "no_change": "#e69f00",
    "last_change": "#d55e00",
    "damped_change": "#009e73",
    "climatology": "#cc79a7",
}
OTHER_COLOURS = ("#56b4e9", "#6b6b6b", "#8c6d1f", "#4b3f92", "#7a2f2f", "#1f6d5a")

STATE_COLOURS = {
    FINE: "#b5d3e7",
    "estimated": "#009e73",
    "unknown": "#cc79a7",
    "poor": "#e69f00",
    "range": "#f0e442",
    "sentinel": "#8c6d1f",
    "incomplete": "#9aa3ab",
    "unavailable": "#d55e00",
    "absent": "#3a434b",
}
OTHER_STATE = "#4b3f92"


@dataclass(frozen=True)
class Heading:
    """What a chart's title and axis say: the dam, the target with its unit, and whether all of it is simulated."""

    dam: str
    axis: str
    simulated: bool

    def title(self, text: str) -> str:
        """A picture's title."""
        return f"{self.dam} · {self.panel(text)}"

    def panel(self, text: str) -> str:
        """The title of a picture's part."""
        return f"SIMULATED · {text}" if self.simulated else text


def forecast_chart(observed: pl.DataFrame, fan: pl.DataFrame, lines: pl.DataFrame, heading: Heading) -> AnyChart:
    """The forecast's fan after the last days of observations, with the lines that lie near.

    Parameters
    ----------
    observed
        date, level; a null breaks the line.
    fan
        lead_time, valid_date, q05 … q95, of one init date.
    lines
        name, date, value.
    """
    import altair as alt

    names = lines["name"].unique(maintain_order=True).to_list()
    colour = _series_colour({**_SERIES, **_line_colours(names)})
    days = [*observed["date"], *fan["valid_date"]]
    x, y = _day("date", [min(days) - DAY, max(days) + DAY], ticks=9), _level("level", heading.axis)
    layers: list[alt.Chart] = [*_fan_layers(fan, colour, y, x), _observed_layer(observed, colour, y, x)]
    if names:
        layers.append(
            alt.Chart(lines)
            .mark_line(strokeDash=[6, 4], strokeWidth=1.5)
            .encode(x=x, y=alt.Y("value:Q", title=heading.axis, scale=alt.Scale(zero=False)), color=colour)
            .transform_calculate(series="datum.name")
        )
    zoom = alt.selection_interval(bind="scales", encodings=["x"], zoom="wheel![event.shiftKey]", name="days")
    since = f" from the end of {_short(fan['init_date'][0])}" if len(fan) else ", none could be issued"
    title = heading.title(f"forecast{since}, after the last days' observations")
    return alt.layer(*layers).add_params(zoom).properties(width=WIDTH, height=340, title=title)


def rise_panels(observed: pl.DataFrame, fans: pl.DataFrame, heading: Heading) -> list[Panel]:
    """One small chart per init date, all on the same axes: what was forecast from it, and what came.

    Parameters
    ----------
    observed
        date, level, for all days of the picture; days after the init date are drawn open.
    fans
        init_date, lead_time, valid_date, q05 … q95.
    """
    import altair as alt

    if fans.is_empty():
        return []
    colour = _series_colour({OBSERVED: INK, LATER: FULL, **_SERIES})
    ends = _padded(pl.concat([observed["level"], fans["q05"], fans["q95"]]).drop_nulls())
    days = observed["date"].to_list()
    x, y = _day("date", [min(days) - DAY, max(days) + DAY]), _level("level", heading.axis, ends)
    panels: list[Panel] = []
    for init in fans["init_date"].unique().sort():
        own = fans.filter(pl.col("init_date") == init)
        later = observed.filter(pl.col("date") > init).drop_nulls()
        before = observed.filter(pl.col("date") <= init)
        open_points = (
            alt.Chart(later.with_columns(pl.col("level").round(4)))
            .transform_calculate(series=f"'{LATER}'")
            .mark_point(size=26, strokeWidth=1.6, filled=False)
            .encode(x=x, y=y, color=colour, tooltip=_seen_tips())
        )
        layers = [*_fan_layers(own, colour, y, x), _observed_layer(before, colour, y, x), open_points]
        title = heading.panel(f"issued at the end of {_short(init)}")
        panels.append((str(init), alt.layer(*layers).properties(width=PANEL_WIDTH, height=PANEL_HEIGHT, title=title)))
    return panels


def error_panels(errors: Sequence[tuple[str, pl.DataFrame]], heading: Heading) -> list[Panel]:
    """Mean absolute error by lead and model, one chart per named table (model, lead_time, mae, n)."""
    import altair as alt

    models = list(dict.fromkeys(model for _, table in errors for model in table["model"]))
    others = iter(OTHER_COLOURS * (1 + len(models) // len(OTHER_COLOURS)))
    colours = [MODEL_COLOURS.get(m) or next(others) for m in models]
    dashes = [[1, 0] if m == "default" else [[6, 3], [2, 2], [8, 3, 2, 3], [4, 2]][k % 4] for k, m in enumerate(models)]
    lines = alt.Legend(title=None, symbolType="stroke", symbolSize=300)
    panels: list[Panel] = []
    for name, table in errors:
        chart = (
            alt.Chart(table.with_columns(pl.col("mae").round_sig_figs(5)))
            .mark_line(point=alt.OverlayMarkDef(size=28), strokeWidth=2)
            .encode(
                x=alt.X("lead_time:O", title="lead, days", axis=alt.Axis(labelAngle=0)),
                y=alt.Y("mae:Q", title=f"MAE, {heading.axis}", scale=alt.Scale(zero=True)),
                color=alt.Color("model:N", legend=lines, scale=alt.Scale(domain=models, range=colours)),
                strokeDash=alt.StrokeDash("model:N", legend=lines, scale=alt.Scale(domain=models, range=dashes)),
                tooltip=[*tips("model:N"), alt.Tooltip("lead_time:O", title="lead, days"), *tips("mae:Q", "n:Q")],
            )
            .properties(width=PANEL_WIDTH + 130, height=PANEL_HEIGHT + 40, title=heading.panel(name))
        )
        panels.append((name, chart))
    return panels


def together(panels: Sequence[Panel], title: str, columns: int) -> AnyChart:
    """Panels as one picture, for a file."""
    import altair as alt

    return alt.concat(*(panel for _, panel in panels), columns=columns, title=title)


def for_file(chart: AnyChart) -> Spec:
    """The chart's Vega-Lite text, of a fixed size and with its legend."""
    return {**_text(chart), "config": _CONFIG}


def for_page(chart: AnyChart) -> Spec:
    """The chart's Vega-Lite text for a page: as wide as its place; the page itself has its title and legend."""
    fit = {"type": "fit-x", "contains": "padding"}
    spec: Spec = _without_legends(_text(chart))
    return {**spec, "config": {**_CONFIG, **_ON_PAGE}, "width": "container", "autosize": fit}


def _text(chart: AnyChart) -> Spec:
    """Not validated here: that takes longer than drawing, and the tests validate every chart."""
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


def legend(spec: Spec) -> list[tuple[str, str]]:
    """(name, colour) of all that the chart shows, in order."""
    if isinstance(spec.get("color"), dict):
        scale = spec["color"].get("scale", {})
        return list(zip(scale.get("domain", []), scale.get("range", []), strict=True))
    for part in spec.values():
        for inner in part if isinstance(part, list) else [part]:
            if isinstance(inner, dict) and (found := legend(inner)):
                return found
    return []


def coverage_chart(spells: pl.DataFrame, heading: Heading) -> AnyChart:
    """What each gauge delivered: a bar per run of days in one state (gauge, state, start, end, days).

    Flagged runs are drawn over the good ones with a thin outline, so that a single day in many years can be seen.
    """
    import altair as alt

    present = set(spells["state"])
    states = [s for s in STATE_COLOURS if s in present] + sorted(present - set(STATE_COLOURS))
    colours = [STATE_COLOURS.get(s, OTHER_STATE) for s in states]
    gauges = spells["gauge"].unique(maintain_order=True).to_list()
    between = [_date_tip("start", "from"), _date_tip("end", "until before")]
    layers = []
    for state_rows in (spells.filter(pl.col("state") == FINE), spells.filter(pl.col("state") != FINE)):
        thin = 0.0 if state_rows.is_empty() or state_rows["state"][0] == FINE else 0.7
        layers.append(
            alt.Chart(state_rows)
            .mark_bar(height=alt.RelativeBandSize(0.72), strokeWidth=thin)
            .encode(
                x=alt.X("start:T", title=None, axis=alt.Axis(grid=True)),
                x2=alt.X2("end:T"),
                y=alt.Y("gauge:N", title=None, sort=gauges, scale=alt.Scale(domain=gauges)),
                color=alt.Color("state:N", title="readings", scale=alt.Scale(domain=states, range=colours)),
                stroke=alt.Stroke("state:N", title="readings", scale=alt.Scale(domain=states, range=colours)),
                tooltip=[*tips("gauge:N", "state:N"), *between, *tips("days:Q")],
            )
        )
    zoom = alt.selection_interval(bind="scales", encodings=["x"], zoom="wheel![event.shiftKey]", name="days")
    height = 26 * len(gauges) + 10
    title = heading.title("what each gauge delivered")
    return alt.layer(*layers).add_params(zoom).properties(width=WIDTH, height=height, title=title)


def _fan_layers(fan: pl.DataFrame, colour: alt.Color, y: alt.Y, x: alt.X) -> list[alt.Chart]:
    import altair as alt

    columns = [quantile_column(q) for q in QUANTILES]
    base = alt.Chart(fan.select("lead_time", pl.col("valid_date").alias("date"), pl.col(columns).round(4)))
    shown = [
        _date_tip("date", "day"),
        alt.Tooltip("lead_time:Q", title="lead, days"),
        *(alt.Tooltip(f"{c}:Q", title=f"quantile 0.{c[1:]}") for c in columns),
    ]

    def at(column: str) -> alt.Y:
        placed = y.copy()
        placed.shorthand = f"{column}:Q"
        return placed

    def band(low: str, high: str, name: str) -> alt.Chart:
        area = base.transform_calculate(series=f"'{name}'").mark_area(opacity=1)
        encoded: alt.Chart = area.encode(x=x, y=at(low), y2=alt.Y2(high), color=colour)
        return encoded

    line = base.transform_calculate(series=f"'{MEDIAN}'").mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=30))
    median: alt.Chart = line.encode(x=x, y=at("q50"), color=colour, tooltip=shown)
    return [band("q05", "q95", IN_90), band("q10", "q90", IN_80), median]


def _observed_layer(observed: pl.DataFrame, colour: alt.Color, y: alt.Y, x: alt.X) -> alt.Chart:
    import altair as alt

    base = alt.Chart(observed.with_columns(pl.col("level").round(4))).transform_calculate(series=f"'{OBSERVED}'")
    line = base.mark_line(strokeWidth=1.8, point=alt.OverlayMarkDef(size=12))
    encoded: alt.Chart = line.encode(x=x, y=y, color=colour, tooltip=_seen_tips())
    return encoded


def _series_colour(colours: dict[str, str]) -> alt.Color:
    import altair as alt

    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color("series:N", scale=scale, legend=alt.Legend(title=None, symbolType="square"))


def _line_colours(names: list[str]) -> dict[str, str]:
    return {n: FULL if n == "Full supply" else OTHER_COLOURS[k % len(OTHER_COLOURS)] for k, n in enumerate(names)}


def _day(column: str, ends: list[date], ticks: int = 4) -> alt.X:
    import altair as alt

    domain = [alt.DateTime(year=d.year, month=d.month, date=d.day) for d in ends]
    axis = alt.Axis(tickCount=ticks, format="%d %b", labelOverlap=True)
    return alt.X(f"{column}:T", title=None, scale=alt.Scale(domain=domain), axis=axis)


def _level(column: str, axis: str, ends: list[float] | None = None) -> alt.Y:
    import altair as alt

    scale = alt.Scale(zero=False, domain=ends, nice=False) if ends else alt.Scale(zero=False)
    return alt.Y(f"{column}:Q", title=axis or None, scale=scale)


def tips(*columns: str) -> list[alt.Tooltip]:
    """Tooltips of columns under their own names ("n:Q"). Altair takes the texts too, but looks each up for 10 ms."""
    import altair as alt

    return [alt.Tooltip(column) for column in columns]


def _seen_tips() -> list[alt.Tooltip]:
    import altair as alt

    return [_date_tip("date", "day"), alt.Tooltip("level:Q", title="observed")]


def _date_tip(column: str, title: str) -> alt.Tooltip:
    import altair as alt

    return alt.Tooltip(f"{column}:T", title=title, format="%a %d %b %Y")


def _padded(values: pl.Series) -> list[float]:
    if values.is_empty():
        return [0.0, 1.0]
    low, high = float(values.to_numpy().min()), float(values.to_numpy().max())
    room = 0.04 * (high - low) or 1.0
    return [low - room, high + room]


def _short(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"
