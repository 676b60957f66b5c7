"""Every chart of the report is valid Vega-Lite, renders, has its unit, and is marked as simulated."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from functools import cache

import polars as pl
import pytest
import vl_convert

from forebay.charts.coverage import coverage_chart
from forebay.charts.diagnostics import diagnostic_figures, rolling_coverage_chart
from forebay.charts.figures import Figure
from forebay.charts.forecast import INTERVAL_80, INTERVAL_90, MEDIAN, OBSERVED, OBSERVED_LATER
from forebay.charts.forecast_tables import DAY
from forebay.charts.formats import TargetFormat
from forebay.charts.nearest_day import day_texts
from forebay.charts.registry import REPORT_CHARTS, report_figures
from forebay.charts.rendering import VEGA_LITE
from forebay.charts.report_tables import Report
from forebay.charts.scores import error_panels
from forebay.charts.spec import Spec, chart_spec, file_spec, legend_entries, page_spec
from forebay.charts.style import Heading
from forebay.tables import EXPLANATION, FORECASTS, QUANTILES
from forebay.verify.tables import SCORES
from tests import synthetic
from tests.altair_charts import altair_spec
from tests.report_examples import diagnosed_report

HEADING = Heading("Synthetic Dam", "reservoir level (daily mean), m", simulated=True)
NAMES = (
    "forecast",
    "outlook",
    "outlook_reliability",
    "explanation",
    "largest_rise",
    "scores",
    "reliability",
    "pit_histogram",
    "rolling_coverage",
    "peaks",
    "coverage",
)
SHARES = ("outlook", "outlook_reliability", "reliability", "pit_histogram", "rolling_coverage", "coverage")
"""Charts without a level axis."""


@cache
def report() -> Report:
    """A report with content for every chart."""
    return diagnosed_report()


@cache
def figures() -> dict[str, Figure]:
    return report_figures(report())


def svg(spec: Spec) -> str:
    text: str = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
    return text


def test_a_full_report_has_every_chart() -> None:
    assert list(figures()) == list(NAMES)
    assert len(REPORT_CHARTS) == len(NAMES)


def test_a_report_without_hindcast_has_only_the_forecast_and_the_coverage() -> None:
    minimal = replace(
        report(),
        forecast=replace(report().forecast, table=FORECASTS.empty(), explanation=EXPLANATION.empty()),
        hindcast=FORECASTS.empty(),
        scores=SCORES.empty(),
        diagnostics=None,
        outlook=None,
    )
    assert list(report_figures(minimal)) == ["forecast", "coverage"]


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_is_valid_and_renders(name: str) -> None:
    figure = figures()[name]
    by_altair = altair_spec(figure)  # validates, which the report omits to save time
    spec = figure.file_spec()
    assert spec | {"config": by_altair["config"]} == by_altair, "put together from the panels as altair does"
    text = svg(spec)
    assert "Synthetic Dam · SIMULATED" in text
    assert name in SHARES or ", m<" in text
    assert "NaN" not in text and "Infinity" not in text


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_has_its_legend_in_files_and_none_on_pages(name: str) -> None:
    figure = figures()[name]
    names = [entry for entry, _ in figure.legend()]
    assert ("role-legend" in svg(figure.file_spec())) == bool(names) == (name not in ("peaks", "outlook_reliability"))
    for spec in figure.page_specs():
        assert spec["width"] == "container"
        assert '"legend":' not in json.dumps({key: value for key, value in spec.items() if key != "config"})
        assert "role-legend" not in svg({**spec, "width": 400})


def test_a_simulated_dam_is_marked_in_every_panel() -> None:
    titles = [panel["title"] for panel in figures()["largest_rise"].file_spec()["concat"]]
    onset = synthetic.FLOOD_ONSET
    assert f"SIMULATED · issued at the end of {onset}" in titles
    assert all(title.startswith("SIMULATED · issued at the end of ") for title in titles)
    real = replace(report(), dam=report().dam.model_copy(update={"simulated": False}))
    assert all("SIMULATED" not in json.dumps(figure.file_spec()) for figure in report_figures(real).values())


def test_every_series_of_the_legend_has_its_own_colour() -> None:
    for figure in figures().values():
        colours = [colour for _, colour in figure.legend()]
        assert len(set(colours)) == len(colours)
    assert [name for name, _ in figures()["forecast"].legend()][:2] == [OBSERVED, MEDIAN]
    assert legend_entries({"mark": "bar"}) == []


def test_a_state_without_a_fixed_colour_renders() -> None:
    days = [date(2020, 1, 1), date(2020, 1, 5), date(2020, 1, 6)]
    spells = pl.DataFrame(
        {
            "gauge": ["a", "a"],
            "state": ["good", "new reason"],
            "start": days[:2],
            "end": days[1:],
            "days": [4, 1],
        }
    )
    chart = coverage_chart(spells, HEADING)
    assert [name for name, _ in legend_entries(page_spec(chart_spec(chart)))] == ["good", "new reason"]
    assert days[2] - days[1] == DAY
    assert "new reason" in svg(file_spec(chart_spec(chart)))


# --- the numbers that a chart shows ---------------------------------------------------------------------------------


def rows_of(spec: Spec, layer: Spec) -> list[dict[str, float]]:
    """Rows of the data of one layer."""
    rows: list[dict[str, float]] = spec["datasets"][layer.get("data", spec.get("data"))["name"]]
    return rows


def layer_of(spec: Spec, series: str) -> Spec:
    """The layer that draws the series of this name in the legend."""
    (layer,) = (part for part in spec["layer"] if {"calculate": f"'{series}'", "as": "series"} in part["transform"])
    assert isinstance(layer, dict)
    return layer


def field(layer: Spec, axis: str) -> str:
    """Column on an axis of a layer."""
    encoding = layer["encoding"][axis]
    return str(encoding.get("field") or encoding["shorthand"].partition(":")[0])


@pytest.mark.parametrize("name", ["forecast", "largest_rise"])
@pytest.mark.parametrize(
    ("series", "axes"),
    [
        (INTERVAL_80, {"y": 0.1, "y2": 0.9}),
        (INTERVAL_90, {"y": 0.05, "y2": 0.95}),
        (MEDIAN, {"y": 0.5}),
        (MEDIAN, {f"quantile {quantile:.2f}": quantile for quantile in QUANTILES}),
    ],
)
def test_a_series_shows_the_quantiles_of_its_name(name: str, series: str, axes: dict[str, float]) -> None:
    spec = figures()[name].page_specs()[0]
    layer = layer_of(spec, series)
    tooltips = {tip.get("title"): tip["field"] for tip in layer["encoding"].get("tooltip", [])}
    (row,) = (row for row in rows_of(spec, layer) if row["lead_time"] == 3)
    table, init = report().forecast.table, report().forecast.init_date
    if name == "largest_rise":
        assert report().rise is not None
        table, init = report().hindcast, synthetic.FLOOD_ONSET - 4 * DAY
    issued = table.filter(pl.col("model") == "default", pl.col("init_date") == init, pl.col("lead_time") == 3)
    levels = dict(issued.select("quantile", "level").iter_rows())
    for axis, quantile in axes.items():
        column = tooltips[axis] if axis in tooltips else field(layer, axis)
        assert row[column] == pytest.approx(levels[quantile], abs=1e-4), axis


def test_the_texts_of_a_day_have_the_quantiles_and_levels_of_their_names() -> None:
    later = pl.DataFrame({"date": [report().forecast.init_date + DAY], "level": [100.4]})
    texts = day_texts(report().chart_levels, report().fan, later, TargetFormat(report().dam))
    day = texts.filter(pl.col("date") == later["date"][0]).row(0, named=True)
    levels = report().forecast.table.filter(pl.col("model") == "default", pl.col("lead_time") == 1)
    low_90, low_80, _, median, _, high_80, high_90 = (f"{level:.3f}" for level in levels.sort("quantile")["level"])
    shown = {name: day[name] for name in ("observed", "later", "median", "interval_80", "interval_90")}
    assert shown == {
        "observed": None,
        "later": "100.400 m",
        "median": f"{median} m",
        "interval_80": f"{low_80} to {high_80}",
        "interval_90": f"{low_90} to {high_90}",
    }
    last = texts.filter(pl.col("age") == 0).row(0, named=True)
    assert (last["observed"], last["later"], last["median"]) == (f"{report().fan['start'][0]:.3f} m", None, None)


def test_the_mark_of_a_forecast_day_is_at_the_median_also_where_the_level_is_known_by_now() -> None:
    later = pl.DataFrame({"date": [report().forecast.init_date + DAY], "level": [100.4]})
    texts = day_texts(report().chart_levels, report().fan, later, TargetFormat(report().dam))
    median = report().fan.filter(lead_time=1)["q50"][0]
    assert median != 100.4
    assert texts.filter(date=later["date"][0])["level"].to_list() == [median]


def test_no_panel_of_the_largest_rise_draws_a_later_level_as_known() -> None:
    assert report().rise is not None
    for init, spec in zip(report().rise.init_dates, figures()["largest_rise"].page_specs(), strict=True):
        known, later = (
            [str(row["date"])[:10] for row in rows_of(spec, layer_of(spec, series))]
            for series in (OBSERVED, OBSERVED_LATER)
        )
        assert max(known) == str(init) < min(later)


@pytest.mark.parametrize(("name", "ideal"), [("rolling_coverage", 0.9), ("pit_histogram", 1.0)])
def test_the_dashed_line_is_the_ideal(name: str, ideal: float) -> None:
    for spec in figures()[name].page_specs():
        (rule,) = (layer for layer in spec["layer"] if layer["mark"]["type"] == "rule")
        assert rows_of(spec, rule) == [{"target": ideal}]


def test_the_diagnostics_show_observed_over_expected() -> None:
    """More outcomes than expected are a bar above 1, and a point above the diagonal."""
    diagnostics = report().diagnostics
    assert diagnostics is not None
    twice = replace(
        diagnostics,
        pit_histogram=diagnostics.pit_histogram.with_columns(observed=2 * pl.col("expected")),
        reliability=diagnostics.reliability.with_columns(observed=pl.col("quantile").sqrt()),
    )
    drawn = diagnostic_figures(twice, HEADING)
    (bars, _), (points, _) = (drawn[name].page_specs()[0]["layer"] for name in ("pit_histogram", "reliability"))
    rows = rows_of(drawn["pit_histogram"].page_specs()[0], bars)
    assert {row[field(bars, "y")] for row in rows} == {2.0}
    for row in rows_of(drawn["reliability"].page_specs()[0], points):
        assert row[field(points, "x")] < row[field(points, "y")]
    assert points["encoding"]["y"]["title"] == "observed frequency"


def test_the_largest_rises_have_their_90_percent_interval() -> None:
    assert report().diagnostics is not None
    spec = figures()["peaks"].page_specs()[0]
    (rule,) = (layer for layer in spec["layer"] if layer["mark"]["type"] == "rule")
    rows = [tuple(row[field(rule, axis)] for axis in ("x", "y", "y2")) for row in rows_of(spec, rule)]
    peaks = report().diagnostics.peaks.filter(pl.col("lead_time") == 1)
    assert rows == [pytest.approx(row, abs=1e-4) for row in peaks.select("observed", "q05", "q95").iter_rows()]


def test_every_panel_of_the_scores_has_the_days_of_its_title() -> None:
    panels = {spec["title"]: spec for spec in figures()["scores"].page_specs()}
    assert list(panels) == ["SIMULATED · All days", "SIMULATED · Wet days"]
    days = {title: {row["n"] for row in rows_of(spec, spec)} for title, spec in panels.items()}
    assert days == {"SIMULATED · All days": {300}, "SIMULATED · Wet days": {60}}


@pytest.mark.parametrize(
    ("variable", "unit", "text"),
    [
        ("reservoir_level", "m", "1,234.568"),
        ("reservoir_level", "ft", "1,234.57"),
        ("storage_percent", "%", "1,234.57"),
        ("storage", "GL", "1,234.57"),
        ("storage", "ML", "1,235"),
    ],
)
def test_a_target_has_the_decimals_of_its_unit(variable: str, unit: str, text: str) -> None:
    gauge = {"role": "target", "station": "x", "variable": variable, "unit": unit}
    assert TargetFormat(synthetic.small_dam(gauge, unit=unit)).number(1234.56789) == text


def test_only_the_default_has_a_solid_line() -> None:
    models = ["no_change", "default", "last_change", "huber", "a_new_model"]
    table = pl.DataFrame({"model": models, "lead_time": [1] * 5, "mae": [1.0] * 5, "n": [9] * 5})
    encoding = error_panels([("All days", table)], HEADING)[0].to_dict()["encoding"]
    scale = encoding["strokeDash"]["scale"]
    assert scale["domain"] == encoding["color"]["scale"]["domain"] == [name.replace("_", " ") for name in models]
    assert [dash == [1, 0] for dash in scale["range"]] == [name == "default" for name in models]


LEVEL = "reservoir level (daily mean), m"
BAND_TIPS = ("date: day", "lead_time: lead time, days", *(f"q{round(100 * q):02}: quantile {q:.2f}" for q in QUANTILES))
LAYERS: list[tuple[str, int, dict[str, str], tuple[str, ...]]] = [
    ("forecast", 0, {"x": "date", "y": f"q05: {LEVEL}", "y2": "q95", "color": "series"}, ()),
    ("forecast", 2, {"x": "date", "y": f"q50: {LEVEL}", "color": "series"}, BAND_TIPS),
    ("forecast", 3, {"x": "date", "y": f"level: {LEVEL}", "color": "series"}, ("date: day", "level: observed")),
    ("forecast", 4, {"x": "date", "y": f"value: {LEVEL}", "color": "series"}, ()),
    ("largest_rise", 4, {"x": "date", "y": f"level: {LEVEL}", "color": "series"}, ("date: day", "level: observed")),
    ("explanation", 0, {"x": "contribution: contribution, m", "y": "label", "color": "series"},
     ("label", "contribution", "words")),
    ("scores", 0, {"x": "lead_time: lead time, days", "y": f"mae: MAE, {LEVEL}", "color": "model",
                   "strokeDash": "model"}, ("model", "lead_time: lead time, days", "mae", "n")),
    ("reliability", 0, {"x": "quantile: forecast probability", "y": "observed: observed frequency", "color": "regime"},
     ("regime", "quantile", "observed", "n")),
    ("pit_histogram", 0, {"x": "bin: between the quantiles", "xOffset": "regime", "color": "regime",
                          "y": "ratio: observed / expected frequency"}, ("regime", "bin", "ratio", "observed", "n")),
    ("rolling_coverage", 0, {"x": "init_date", "y": "coverage_90: share inside 90%, last 365 days",
                             "color": "lead: lead time"}, ("init_date", "lead", "coverage_90", "n")),
    ("peaks", 0, {"x": "observed: observed change, m", "y": "q05: forecast change, m", "y2": "q95"}, ()),
    ("peaks", 1, {"x": "observed: observed change, m", "y": "q50"}, ("init_date", "observed", "q05", "q50", "q95")),
    *(("coverage", layer, {"x": "start", "x2": "end", "y": "gauge", "color": "state: readings",
                           "stroke": "state: readings"},
       ("gauge", "state", "start: from", "end: until before", "days")) for layer in (0, 1)),
]  # fmt: skip
"""Chart, number of a layer, and what it shows: channel → column and title, and the columns of the tooltip."""


@pytest.mark.parametrize(("name", "number", "channels", "tips"), LAYERS)
def test_a_layer_shows_its_columns_with_their_titles(
    name: str, number: int, channels: dict[str, str], tips: tuple[str, ...]
) -> None:
    def text(encoding: Spec) -> str:
        column = str(encoding.get("field") or encoding["shorthand"].partition(":")[0])
        return f"{column}: {encoding['title']}" if encoding.get("title") else column

    for spec in figures()[name].page_specs():
        encoding = dict(spec.get("layer", [spec])[number]["encoding"])
        assert tuple(text(tip) for tip in encoding.pop("tooltip", [])) == tips
        assert {channel: text(value) for channel, value in encoding.items()} == channels


def test_the_numbers_of_a_panel_are_those_of_its_lead_time() -> None:
    """Every row of the diagnostics' tables at a lead time is drawn once, in the panel of that lead time."""
    diagnostics = report().diagnostics
    assert diagnostics is not None
    for name, key in (("reliability", "observed"), ("pit_histogram", "observed"), ("peaks", "q50")):
        table: pl.DataFrame = getattr(diagnostics, name)
        for lead, spec in zip((1, 3, 7), figures()[name].page_specs(), strict=True):
            assert spec["title"] == f"SIMULATED · lead time {lead} day{'s' if lead > 1 else ''}"
            layer = next(part for part in spec["layer"] if part["mark"]["type"] in ("line", "bar", "circle"))
            drawn = [row[key] for row in rows_of(spec, layer)]
            assert sorted(drawn) == pytest.approx(sorted(table.filter(lead_time=lead)[key]), abs=1e-4)


def test_the_rolling_coverage_has_a_point_per_week_and_lead_time() -> None:
    diagnostics = report().diagnostics
    assert diagnostics is not None
    spec = figures()["rolling_coverage"].page_specs()[0]
    drawn = rows_of(spec, spec["layer"][0])
    for lead in (1, 3, 7):
        rows = diagnostics.rolling_coverage.filter(lead_time=lead).sort("init_date")[::7]
        points = [(str(row["init_date"])[:10], row["coverage_90"]) for row in drawn if row["lead"] == f"{lead} d"]
        assert points == [(str(day), pytest.approx(share, abs=1e-4)) for day, share in
                          rows.select("init_date", "coverage_90").iter_rows()]  # fmt: skip
    assert len(drawn) == sum(len(diagnostics.rolling_coverage.filter(lead_time=lead)[::7]) for lead in (1, 3, 7))


@pytest.mark.parametrize(("days", "format_of_axis"), [(1095, "%Y-%m-%d"), (1096, "%Y")])
def test_a_record_of_more_than_three_years_has_years_at_its_axis(days: int, format_of_axis: str) -> None:
    first = date(2015, 1, 1)
    rows = pl.DataFrame({"init_date": [first, first + days * DAY], "lead_time": [1, 1], "n": [9, 9]}).with_columns(
        coverage_90=0.9
    )
    chart = rolling_coverage_chart(pl.concat([rows.head(1)] * 7 + [rows.tail(1)]), HEADING)
    assert chart is not None
    assert chart.to_dict()["layer"][0]["encoding"]["x"]["axis"]["format"] == format_of_axis


def test_the_chart_of_coverage_draws_every_spell_once_and_the_flagged_ones_on_top() -> None:
    spells, _ = report().coverage
    spec = figures()["coverage"].page_specs()[0]
    below, above = (rows_of(spec, layer) for layer in spec["layer"])
    assert {row["state"] for row in below} == {"good"}
    assert "good" not in {row["state"] for row in above}
    drawn = {(row["gauge"], row["state"], str(row["start"])[:10], str(row["end"])[:10]) for row in [*below, *above]}
    assert drawn == {(*row[:2], *map(str, row[2:])) for row in spells.drop("days").iter_rows()}
    assert len(below) + len(above) == len(spells)
    assert [layer["mark"]["strokeWidth"] for layer in spec["layer"]] == [0.0, 0.7]
    gauges = spec["layer"][0]["encoding"]["y"]
    assert gauges["sort"] == gauges["scale"]["domain"] == ["The lake", "Rainfall 1", "Rainfall 2", "A creek"]


def test_the_chart_of_the_forecast_begins_with_sixty_days_of_levels_and_lines() -> None:
    spec = figures()["forecast"].page_specs()[0]
    (span,) = (param for param in spec["params"] if param["name"] == "span")
    assert span["value"] == 60
    within = {"filter": "datum.age <= span"}
    filtered = [layer for layer in spec["layer"] if within in layer.get("transform", [])]
    assert [layer["mark"]["type"] for layer in filtered] == ["line", "line", "point"], "levels, lines and tooltips"
    for layer in filtered:
        rows = rows_of(spec, layer)
        ages = {str(row["date"])[:10]: row["age"] for row in rows}
        assert ages[str(report().forecast.init_date - 60 * DAY)] == 60
        assert ages[str(report().forecast.init_date)] == 0
    assert spec["title"].endswith(f"forecast from the end of {report().forecast.init_date}, with recent observations")


def test_a_level_observed_beyond_the_forecast_has_a_mark_at_its_height() -> None:
    day = report().forecast.init_date + 9 * DAY
    later = pl.DataFrame({"date": [day], "level": [100.4]})
    texts = day_texts(report().chart_levels, report().fan, later, TargetFormat(report().dam))
    row = texts.filter(date=day).select("level", "later", "median", "age").rows()
    assert row == [(100.4, "100.400 m", None, -9)]


@pytest.mark.parametrize(("days", "since"), [(20, 60), (200, 199), (500, 365)])
def test_the_chart_has_the_whole_record_up_to_a_year_and_at_least_sixty_days(days: int, since: int) -> None:
    init = report().forecast.init_date
    short = replace(report(), daily=report().daily.tail(days))
    assert short.chart_levels["date"].to_list() == [init - k * DAY for k in range(since, -1, -1)]
    assert short.chart_levels["level"].null_count() >= max(0, since + 1 - days)


def test_levels_after_the_init_date_are_a_series_of_their_own() -> None:
    later = pl.DataFrame({"date": [report().forecast.init_date + DAY], "level": [100.4]})
    spec = report_figures(replace(report(), later_levels=later))["forecast"].page_specs()[0]
    assert [row["level"] for row in rows_of(spec, layer_of(spec, OBSERVED_LATER))] == [100.4]
    assert OBSERVED_LATER in dict(legend_entries(spec))
    assert OBSERVED_LATER not in dict(figures()["forecast"].legend())
