"""The command `forebay article`."""

from __future__ import annotations

import os
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from forebay.cli.arguments import AsJson, archive_at, print_result, settings_in_force
from forebay.files import check_writable


def article(
    *,
    data: Annotated[
        Path | None, Parameter(help="Folder with the article's three CSV files; by default the readings are fetched.")
    ] = None,
    recipe: Annotated[str, Parameter(help="python, elixir, multi-day or all.")] = "all",
    backend: Annotated[str, Parameter(help="What fits the nets: jax, torch or tensorflow.")] = "jax",
    seeds: Annotated[int, Parameter(help="Nets per recipe, each with its own random numbers.")] = 5,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for the page; by default runs/article.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the article's recipes, as published and as corrected, and write a page that sets them side by side.

    Example: forebay article --recipe python --seeds 1
    """

    from forebay.article import run as recipes
    from forebay.cli import terminal
    from forebay.models.fits import open_fits
    from forebay.verify.hindcast import Execution

    settings, _ = settings_in_force()
    choice = recipes.Choice(recipe, backend, seeds)
    folder = output or Path(settings.output) / "article"
    check_writable(folder)
    now = datetime.now(UTC)
    with terminal.progress() as progress:
        with nullcontext() if data else archive_at(None, settings) as archive_db:
            record = recipes.read(data, settings=settings, now=now, archive=archive_db, progress=progress)
        execution = Execution(open_fits(settings), os.cpu_count() or 1, progress)
        told = recipes.run(record, choice, now=now, execution=execution)
    recipes.write(told, folder)

    def show() -> None:
        terminal.table("The article's recipes: test MAE (m)", recipes.rows(told.story))
        terminal.line(f"Page: {folder / 'article.html'}")

    print_result(recipes.listed(told.story.results), as_json, show)
