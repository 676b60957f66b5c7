"""`forebay.charts.figures`: a figure is one picture in files; on a page its panels are separate."""

import altair as alt
import polars as pl

from forebay.charts.figures import Figure, figures_by_name
from forebay.charts.report_tables import heading_of
from tests import synthetic


def chart(title: str) -> alt.Chart:
    scale = alt.Scale(domain=["a", "b"], range=["#000000", "#ffffff"])
    points = alt.Chart(pl.DataFrame({"x": [1.0], "name": ["a"]})).mark_point()
    return points.encode(x="x:Q", color=alt.Color("name:N", scale=scale)).properties(title=title)


def test_a_figure_of_one_chart_is_the_chart_in_files_and_on_pages() -> None:
    figure = Figure("levels", (chart("Levels"),))
    assert figure.file_spec()["title"] == "Levels"
    assert [spec["title"] for spec in figure.page_specs()] == ["Levels"]
    assert figure.page_specs()[0]["width"] == "container"
    assert figure.legend() == [("a", "#000000"), ("b", "#ffffff")]


def test_panels_are_one_picture_in_a_file() -> None:
    figure = Figure("errors", (chart("1 day"), chart("3 days")), "Errors", 2)
    assert figure.file_spec()["title"] == "Errors"
    assert len(figure.file_spec()["concat"]) == 2
    assert [spec["title"] for spec in figure.page_specs()] == ["1 day", "3 days"]


def test_files_have_a_legend_and_pages_have_none() -> None:
    figure = Figure("errors", (chart("1 day"),), legend_symbol="stroke")
    assert figure.file_spec()["config"]["legend"]["symbolType"] == "stroke"
    assert figure.page_specs()[0]["config"]["legend"] == {"disable": True}


def test_figures_without_content_are_left_out() -> None:
    figure = Figure("levels", (chart("Levels"),))
    assert figures_by_name([None, figure]) == {"levels": figure}


def test_the_heading_marks_a_simulated_dam() -> None:
    heading = heading_of(synthetic.dam())
    assert heading.title("levels") == "Synthetic Dam · SIMULATED · levels"
    assert heading.axis == "reservoir level (daily mean), m"
    assert heading.unit == "m"
