"""`forebay.charts.long_outlook`: every line of the chart is the storage that it names, on the days that it names."""

from __future__ import annotations

import io
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from forebay.charts.long_outlook import BAND, LATER, MEDIAN, OBSERVED, TRACE, long_outlook_figure
from forebay.charts.style import FULL_SUPPLY_COLOUR
from forebay.dams.dam import Dam
from forebay.jobs.long_outlook import LongOutlookResult
from forebay.metrics import plotting_quantiles
from tests.long_outlook_dams import FULL, RELEASE_DAM, STAGE_1, STORAGE_DAM
from tests.test_long_outlook import INIT, outlook_of

ENCODED = {"x": "date", "y": "storage", "color": "series"}


def layers_of(result: LongOutlookResult, dam: Dam, later: pl.DataFrame) -> tuple[dict[str, Any], list[pl.DataFrame]]:
    """The chart, and the rows of each of its layers."""
    chart: dict[str, Any] = long_outlook_figure(result.outlook, dam, result.past, later).panels[0].to_dict()
    tables = []
    for layer in chart["layer"]:
        fields = {axis: layer["encoding"][axis]["field"] for axis in ENCODED}
        assert fields == ENCODED | ({"y": "q10"} if layer["mark"]["type"] == "area" else {})
        text = chart["datasets"][layer["data"]["name"]]
        rows = pl.read_csv(io.StringIO(text), infer_schema_length=None, try_parse_dates=True)
        tables.append(rows.with_columns(pl.col("date").dt.date()))
    return chart, tables


def afterwards(days: int) -> pl.DataFrame:
    """Storages of the days after the init date, one of which is missing."""
    dates = [INIT + timedelta(days=k) for k in range(1, days + 1)]
    return pl.DataFrame({"date": dates, "storage": [None if k == 3 else 6000.0 + k for k in range(days)]})


def test_each_line_has_its_storages_and_days() -> None:
    result = outlook_of(STORAGE_DAM)
    forecast = result.outlook.forecast
    last: date = forecast.ends[-1]
    chart, tables = layers_of(result, STORAGE_DAM, afterwards((last - INIT).days + 5))
    band, traces, median, observed, later, thresholds = tables
    assert [table["series"].unique().item() for table in tables[:5]] == [BAND, TRACE, MEDIAN, OBSERVED, LATER]
    days = [INIT + timedelta(days=k) for k in range(forecast.leads[-1] + 1)]
    assert band["date"].to_list() == median["date"].to_list() == days
    ends = np.array([plotting_quantiles(column, (0.1, 0.5, 0.9)) for column in forecast.traces.storage.T])
    assert band["q10"].to_list() == pytest.approx(ends[:, 0], rel=1e-5)
    assert median["storage"].to_list() == pytest.approx(ends[:, 1], rel=1e-5)
    assert band["q90"].to_list() == pytest.approx(ends[:, 2], rel=1e-5)
    for year, storage in zip(forecast.windows.years, forecast.traces.storage, strict=True):
        own = traces.filter(pl.col("year") == year)
        assert own["date"].to_list() == days and own["storage"].to_list() == pytest.approx(storage, rel=1e-5)
    year_ago = INIT - timedelta(days=365)
    assert observed["date"].to_list() == [year_ago + timedelta(days=k) for k in range(366)]
    assert observed["storage"].to_list() == pytest.approx(result.past["storage"].tail(366).to_list(), rel=1e-5)
    assert later["date"].to_list() == [day for day in days[1:] if day != INIT + timedelta(days=4)]
    assert thresholds.group_by("series", maintain_order=True).agg(pl.col("storage").unique()).rows() == [
        ("Full supply", [FULL]), ("Stage 1", [STAGE_1])
    ]  # fmt: skip
    assert thresholds["date"].unique().sort().to_list() == days[1:]
    domain = chart["layer"][3]["encoding"]["x"]["scale"]["domain"]
    assert [(d["year"], d["month"], d["date"]) for d in domain] == [
        (year_ago.year, year_ago.month, year_ago.day), (last.year, last.month, last.day)
    ]  # fmt: skip
    assert chart["layer"][1]["encoding"]["detail"]["field"] == "year", "a line per year"
    for layer in chart["layer"]:
        assert layer["encoding"]["y"].get("scale") == {"zero": False}


def test_each_series_has_its_colour_and_the_title_says_how_the_lake_is_operated() -> None:
    later = afterwards(0)
    cases = ((STORAGE_DAM, None, "as operated then"), (RELEASE_DAM, "1 m3/s", "under the stated demand"))
    for dam, demand, operation in cases:
        result = outlook_of(dam, demand=demand)
        chart, tables = layers_of(result, dam, later)
        assert len(tables) == 5, "nothing was observed afterwards"
        text = chart["title"] if isinstance(chart["title"], str) else chart["title"]["text"]
        assert text.endswith(f"storage from {INIT} by the balance of 13 past years, {operation}")
        for layer in chart["layer"]:
            scale = layer["encoding"]["color"]["scale"]
            colours = dict(zip(scale["domain"], scale["range"], strict=True))
            assert list(colours) == [OBSERVED, MEDIAN, BAND, TRACE, "Full supply", "Stage 1"]
            assert len(set(colours.values())) == len(colours) and colours["Full supply"] == FULL_SUPPLY_COLOUR
