"""`article.html`: the article's recipes, the cost of their faults, and the project's forecast on the same days.

The prose is in `report/templates/article.html`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.article.charts import loss_chart, loss_table, prediction_chart, prediction_table
from forebay.article.results import BASELINES, RECIPE_TITLES, ArticlePage, RecipeResult
from forebay.article.steps import read_steps
from forebay.charts import drawing
from forebay.charts.figures import Figure
from forebay.log import step
from forebay.report.environment import render_page
from forebay.tables import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from forebay.charts.rendering import Picture

MODELS = ("net", DEFAULT_MODEL, "last_change", "damped_change", "no_change")
"""Models in the table of the same days."""
TITLES = {
    "no_change": "no change",
    "train_median": "median",
    "last_change": "last change",
    "damped_change": "damped change",
    "huber": "Huber",
    "lightgbm": "LightGBM",
    "net": "corrected net",
    DEFAULT_MODEL: "forebay",
}


VERDICTS = {
    "higher": "higher without it",
    "lower": "lower without it",
    "undecided": "undecided",
    "one seed": "unknown (one seed)",
}


@step("report")
def write_page(page: ArticlePage, folder: Path, pictures: Mapping[str, Future[Picture]]) -> None:
    """Write article.html and, per result, its charts as HTML, SVG and PNG (`start_pictures`) into `folder`."""
    (folder / "article.html").write_bytes(render_article(page).encode())
    for result in page.results:
        for name, figure in result_figures(result).items():
            values = {"title": f"{result.title}: {name}", "result": result, "name": name, "figure": figure}
            (folder / f"{figure.name}.html").write_bytes(render_page("article_chart.html", values | _tables()).encode())
    drawing.write_pictures(pictures, folder)


def start_pictures(page: ArticlePage) -> dict[str, Future[Picture]]:
    """Pictures of all figures by name, drawn in the background."""
    figures = [figure for result in page.results for figure in result_figures(result).values()]
    return drawing.start_drawing((figure.name, figure.file_spec()) for figure in figures)


def result_figures(result: RecipeResult) -> dict[str, Figure]:
    """The two figures of a result, by the last part of their files' names."""
    prediction = prediction_chart(result.predictions, result.title, place=f"#{result.stem}-prediction-days")
    charts = {"prediction": prediction, "history": loss_chart(result)}
    return {name: Figure(f"{result.stem}-{name}", (chart,), legend_symbol="stroke") for name, chart in charts.items()}


def _tables() -> dict[str, object]:
    """Functions of the templates: the table beside each chart."""
    return {"loss_table": loss_table, "prediction_table": prediction_table}


def render_article(page: ArticlePage) -> str:
    """HTML text of the page."""
    figures = {result.stem: result_figures(result) for result in page.results}
    values = {
        "page": page,
        "figures": figures,
        "baselines": BASELINES,
        "baseline_titles": [TITLES[name] for name in BASELINES],
        "models": MODELS,
        "model_titles": [TITLES[name] for name in MODELS],
        "titles": TITLES,
        "recipe_titles": RECIPE_TITLES,
        "verdicts": VERDICTS,
        "steps": read_steps(),
        "worse": [scores.recipe for scores in page.same_days if scores.mae["net"] > scores.mae["last_change"]],
    }
    return render_page("article.html", values | _tables())
