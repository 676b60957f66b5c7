"""An axis with fixed ends shows all that is drawn along it, in every chart."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from typing import Any

import polars as pl
import pytest

from forebay.charts.context import context_figure
from forebay.charts.drivers import drivers_chart
from forebay.charts.recent_inputs import recent_inputs_figure
from forebay.charts.record import record_chart
from forebay.charts.registry import report_figures
from forebay.charts.scenario import scenario_figure
from forebay.charts.spec import Spec, chart_spec
from forebay.forecasts.scenario_text import rain_scenario
from forebay.screen.flags import screen_daily
from tests.report_examples import diagnosed_report
from tests.scenario_dams import RAIN_DAM, model_of
from tests.test_charts_bands import column

CROPPED = {"peaks": ("q05", "q95")}
"""Columns that a chart crops on purpose: the longest intervals would compress all others."""


def layers_with_rows(
    spec: Spec, datasets: Mapping[str, Any], data: object = None
) -> Iterator[tuple[Spec, pl.DataFrame]]:
    """Each part with marks of its own, and the rows that it draws."""
    data = spec.get("data", data)
    if "mark" in spec and isinstance(data, dict) and data.get("name") in datasets:
        rows = datasets[data["name"]]
        is_csv = isinstance(rows, str)
        yield spec, pl.read_csv(io.StringIO(rows)) if is_csv else pl.DataFrame(rows, infer_schema_length=None)
    for key in ("layer", "concat", "hconcat", "vconcat"):
        for part in spec.get(key, ()):
            yield from layers_with_rows(part, datasets, data)


def end(value: object) -> float | str:
    """A number, or a day as text."""
    if isinstance(value, dict):
        return date(value["year"], value["month"], value["date"]).isoformat()
    assert isinstance(value, int | float)
    return float(value)


def cropped(spec: Spec) -> list[tuple[str, object, list[object]]]:
    """Column, value and ends of the axis of what lies beyond its ends."""
    found = []
    for layer, rows in layers_with_rows(spec, spec["datasets"]):
        for axis in ("x", "y"):
            encoding = layer.get("encoding", {}).get(axis, {})
            domain = (encoding.get("scale") or {}).get("domain") if isinstance(encoding, dict) else None
            if not domain or isinstance(domain[0], str):
                continue
            low, high = map(end, domain)
            columns = [column(layer["encoding"], name) for name in (axis, f"{axis}2") if name in layer["encoding"]]
            for name in columns:
                values = [value for value in rows[name].drop_nulls().to_list() if value != ""]
                values = [value[:10] if isinstance(low, str) else float(value) for value in values]
                found += [(name, value, [low, high]) for value in values if not low <= value <= high]
    return found


FIXED = ("outlook", "outlook_reliability", "largest_rise", "reliability", "peaks", "drivers", "scenario", "record",
         "recent_inputs")  # fmt: skip
"""Charts with an axis whose ends are fixed."""


@cache
def charts() -> dict[str, list[Spec]]:
    report = diagnosed_report()
    specs = {name: figure.page_specs() for name, figure in report_figures(report).items()}
    specs["context"] = context_figure(report).page_specs()
    figure = recent_inputs_figure(report)
    assert figure is not None
    specs["recent_inputs"] = figure.page_specs()
    rows = [
        {"title": f"gauge {k}", "gain": gain, "correlation": correlation, "lag": k, "used": k > 1}
        for k, (gain, correlation) in enumerate([(0.4, -0.97), (0.1, 0.99), (-0.2, 0.0), (None, -0.3)])
    ]
    specs["drivers"] = [chart_spec(drivers_chart(rows, "Candidates"))]
    specs["record"] = [chart_spec(record_chart(report.daily, screen_daily(report.daily, report.dam), report.dam))]
    result = model_of(RAIN_DAM).answer([rain_scenario(rain, (), "wet") for rain in ((0.0,), (90.0, 30.0))])
    specs["scenario"] = scenario_figure(result.levels, RAIN_DAM, result.init_date, result.level).page_specs()
    return specs


def test_nothing_lies_beyond_the_ends_of_an_axis() -> None:
    for name, specs in charts().items():
        for spec in specs:
            beyond = [found for found in cropped(spec) if found[0] not in CROPPED.get(name, ())]
            assert beyond == [], name


@pytest.mark.parametrize("name", FIXED)
def test_a_chart_has_fixed_ends(name: str) -> None:
    """So that the test above has something to look at."""
    layers = [layer for spec in charts()[name] for layer, _ in layers_with_rows(spec, spec["datasets"])]
    scales = [(layer["encoding"].get(axis) or {}).get("scale") or {} for layer in layers for axis in ("x", "y")]
    assert any(scale.get("domain") and not isinstance(scale["domain"][0], str) for scale in scales)
