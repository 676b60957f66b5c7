"""Every band of every chart ends at two quantiles that lie alike about the median, and is called by their share."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from forebay.charts.context import context_figure
from forebay.charts.registry import report_figures
from forebay.charts.scenario import SCENARIO_COLOURS, scenario_figure, slider_chart
from forebay.charts.spec import Spec, chart_spec
from forebay.forecasts.scenario_text import rain_scenario
from tests.report_examples import diagnosed_report
from tests.scenario_dams import RAIN_DAM, model_of

QUANTILE = re.compile(r"q(\d\d)")


def layers_in(spec: object) -> Iterator[Spec]:
    """Every part of a specification with marks and axes of its own."""
    if isinstance(spec, list):
        for part in spec:
            yield from layers_in(part)
    if isinstance(spec, dict):
        if "mark" in spec and "encoding" in spec:
            yield spec
        for part in spec.values():
            yield from layers_in(part)


def column(encoding: Spec, axis: str) -> str:
    part = encoding[axis]
    return str(part.get("field") or part.get("shorthand", "").partition(":")[0])


def bands_of(spec: Spec) -> list[tuple[int, int, str]]:
    """Percentages of the quantiles at the lower and the upper end of each band, and the name of its series or colour.

    A mark whose ends are two quantiles is a band.
    """
    bands = []
    for layer in layers_in(spec):
        encoding = layer["encoding"]
        if "y2" not in encoding:
            continue
        ends = [QUANTILE.fullmatch(column(encoding, axis)) for axis in ("y", "y2")]
        if not all(ends):
            continue
        series = [part.get("calculate", "") for part in layer.get("transform", [])]
        name = next((text.strip("'") for text in series if "interval" in text), layer["mark"].get("color", ""))
        bands.append((int(ends[0][1]), int(ends[1][1]), name))  # type: ignore[index]  # all of them match
    return bands


def test_bands_of_the_charts_of_a_report() -> None:
    report = diagnosed_report()
    specs = {name: figure.page_specs() for name, figure in report_figures(report).items()}
    specs["context"] = context_figure(report).page_specs()
    found = {name: [band for spec in panels for band in bands_of(spec)] for name, panels in specs.items()}
    assert {name for name, bands in found.items() if bands} == {"forecast", "largest_rise", "peaks", "context"}
    for name, bands in found.items():
        for low, high, text in bands:
            assert low + high == 100, (name, low, high)
            assert name == "peaks" or text == f"{high - low}% interval"


def test_bands_of_the_sliders() -> None:
    """Their legend names the colours."""
    names = {colour: name for name, colour in SCENARIO_COLOURS.items()}
    bands = bands_of(chart_spec(slider_chart(diagnosed_report())))
    assert [(low, high) for low, high, _ in bands] == [(5, 95), (10, 90)]
    assert [names[colour] for _, _, colour in bands] == ["scenario 90% interval", "scenario 80% interval"]


@pytest.mark.parametrize("rain", [(0.0, 0.0, 0.0), (40.0, 20.0, 0.0)])
def test_bands_of_scenarios(rain: tuple[float, ...]) -> None:
    result = model_of(RAIN_DAM).answer([rain_scenario(rain, (), "current")])
    figure = scenario_figure(result.levels, RAIN_DAM, result.init_date, result.level)
    bands = [band for spec in figure.page_specs() for band in bands_of(spec)]
    assert [(low, high) for low, high, _ in bands] == [(10, 90)]
    assert "median and 80% interval" in figure.title
