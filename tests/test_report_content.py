"""`forebay.report.content`: a figure has one picture for files and its panels for the page."""

import altair as alt
import polars as pl

from forebay.report.content import chart_heading, panel_figure, single_figure
from tests import synthetic


def chart(title: str) -> alt.Chart:
    scale = alt.Scale(domain=["a", "b"], range=["#000000", "#ffffff"])
    points = alt.Chart(pl.DataFrame({"x": [1.0], "name": ["a"]})).mark_point()
    return points.encode(x="x:Q", color=alt.Color("name:N", scale=scale)).properties(title=title)


def test_one_chart() -> None:
    figure = single_figure("levels", chart("Levels"))["levels"]
    assert figure.file_spec()["title"] == "Levels"
    assert [spec["title"] for spec in figure.page_specs()] == ["Levels"]
    assert figure.page_specs()[0]["width"] == "container"
    assert figure.legend() == [("a", "#000000"), ("b", "#ffffff")]


def test_panels_are_one_picture_in_a_file() -> None:
    figure = panel_figure("errors", [("1", chart("1 day")), ("3", chart("3 days"))], "Errors", 2)["errors"]
    assert figure.file_spec()["title"] == "Errors"
    assert len(figure.file_spec()["concat"]) == 2
    assert [spec["title"] for spec in figure.page_specs()] == ["1 day", "3 days"]
    assert panel_figure("errors", [], "Errors", 2) == {}


def test_the_heading_of_a_simulated_dam() -> None:
    heading = chart_heading(synthetic.dam())
    assert heading.title("levels") == "Synthetic Dam · SIMULATED · levels"
    assert heading.axis == "reservoir level (daily mean), m"
