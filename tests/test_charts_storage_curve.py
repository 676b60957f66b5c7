"""`forebay.charts.storage_curve`: pairs, curves and differences in one figure."""

import io
from datetime import timedelta

import polars as pl
import pytest

from forebay.charts import rendering
from forebay.charts.figures import Figure
from forebay.charts.storage_curve import LEFT_OUT, MAX_PAIRS, storage_curve_figure
from forebay.screen.storage_pairs import RESIDUALS, compare_with_curves
from tests.altair_charts import altair_spec
from tests.test_storage_pairs import FIRST, POINTS, UNITS, curve_of, dam_with, simulated_pairs


def figure_of(days: int = 400, **keys: object) -> Figure:
    dam = dam_with(curve_of())
    residuals = compare_with_curves(simulated_pairs(days), dam)
    return storage_curve_figure(dam, {"dam file": POINTS, "fitted curve": POINTS}, residuals, units=UNITS, **keys)  # type: ignore[arg-type]  # of the figure


def test_the_figure_is_valid_and_has_a_colour_for_every_series() -> None:
    figure = figure_of(breaks=[FIRST + timedelta(days=200)], left_out=[FIRST + timedelta(days=7)])
    altair_spec(figure)  # validates
    names = [name for name, _ in figure.legend()]
    assert names == ["pairs until 2010-07-20", "pairs from 2010-07-20", LEFT_OUT, "dam file", "fitted curve"]
    assert len({colour for _, colour in figure.legend()}) == len(names)
    assert figure.title == "SIMULATED · Small Dam · storage curve"


def test_a_long_record_is_thinned_and_keeps_the_pairs_that_are_left_out() -> None:
    figure = figure_of(7000, left_out=[FIRST + timedelta(days=k) for k in (1, 2)])
    assert figure.title.endswith("storage curve, 2,336 of 7,000 pairs")
    text = str(altair_spec(figure))
    assert f"{FIRST + timedelta(days=1)}T00:00:00" in text
    assert MAX_PAIRS < 7000


def test_without_pairs_the_figure_is_the_curve() -> None:
    figure = storage_curve_figure(dam_with(), {"dam file": POINTS}, RESIDUALS.empty(), units=UNITS)
    assert len(figure.panels) == 1
    altair_spec(figure)


@pytest.mark.parametrize("days", [0, 400])
def test_the_figure_can_be_drawn(days: int) -> None:
    residuals = compare_with_curves(simulated_pairs(400), dam_with(curve_of())).head(days)
    figure = storage_curve_figure(dam_with(), {"dam file": POINTS}, residuals, units=UNITS)
    picture = rendering.draw(figure.file_spec())
    assert picture.png.startswith(b"\x89PNG")
    assert "storage, ML" in picture.svg
    assert ("storage of pair − curve, ML" in picture.svg) == bool(days)
    assert pl.Series([picture.svg]).str.contains("dam file").all()


def test_differences_are_drawn_by_level_and_by_day_side_by_side() -> None:
    """Every pair is a point of the curve; those that are left out or beyond it have no difference."""
    dam = dam_with(curve_of())
    residuals = compare_with_curves(simulated_pairs(100), dam)
    out = residuals["date"][3]
    residuals = residuals.with_columns(residual=pl.when(pl.col("date") != residuals["date"][5]).then("residual"))
    figure = storage_curve_figure(dam, {"dam file": POINTS}, residuals, units=UNITS, left_out=[out])
    curve, differences = (panel.to_dict() for panel in figure.panels)
    assert differences["columns"] == 2
    by_level, by_day = (panel["layer"] for panel in differences["concat"])
    for _, points in (by_level, by_day):
        rows = pl.read_csv(io.StringIO(differences["datasets"][points["data"]["name"]]), try_parse_dates=True)
        used = residuals.drop_nulls("residual").filter(pl.col("date") != out)
        assert rows["residual"].to_list() == pytest.approx(used["residual"].to_list())
        assert rows["date"].dt.date().to_list() == used["date"].to_list()
        assert points["encoding"]["y"]["field"] == "residual"
    assert [points["encoding"]["x"]["field"] for _, points in (by_level, by_day)] == ["level", "date"]
    (rule, _), (points, line) = by_level, curve["layer"]
    assert differences["datasets"][rule["data"]["name"]] == [{"target": 0.0}]
    shown = pl.read_csv(io.StringIO(curve["datasets"][points["data"]["name"]]))
    assert shown.select("level", "storage").rows() == residuals.select("level", "storage").rows()
    drawn = pl.read_csv(io.StringIO(curve["datasets"][line["data"]["name"]]))
    assert drawn.select("level", "storage").rows() == list(POINTS)
    for layer in (points, line):
        encoding = layer["encoding"]
        assert (encoding["x"]["field"], encoding["x"]["title"]) == ("level", "level, m")
        assert (encoding["y"]["field"], encoding["y"]["title"]) == ("storage", "storage, ML")
