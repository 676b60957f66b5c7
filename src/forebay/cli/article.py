"""The command `forebay article`."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from forebay.cli.arguments import AsJson, WholeNumber, archive_at, print_result, settings_in_force
from forebay.files import check_writable


def article(
    *,
    data: Annotated[
        Path | None, Parameter(help="Folder with the article's three CSV files; by default the readings are fetched.")
    ] = None,
    recipe: Annotated[str, Parameter(help="python, elixir, multi-day or all.")] = "all",
    backend: Annotated[str, Parameter(help="Backend of the nets: jax, torch or tensorflow.")] = "jax",
    seeds: Annotated[WholeNumber, Parameter(help="Number of nets per recipe, each with its own seed.")] = 5,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for the page; by default runs/article.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the article's recipes, as published and as corrected, and write a page that compares them.

    Example: forebay article --recipe python --seeds 1
    """
    from forebay.article import run as job
    from forebay.charts import drawing
    from forebay.cli import terminal
    from forebay.jobs.arguments import local_execution

    settings, _ = settings_in_force()
    choice = job.Choice(recipe, backend, seeds)
    folder = output or Path(settings.output) / "article"
    check_writable(folder)
    drawing.start_bundle(Path(settings.cache) / "scripts" if settings.cache_mb else None)
    drawing.start_processes()
    now = datetime.now(UTC)
    with terminal.progress() as progress:
        with nullcontext() if data else archive_at(None, settings) as store:
            record = job.read_readings(data, settings=settings, now=now, archive=store, progress=progress)
        result = job.run(record, choice, now=now, execution=local_execution(settings, progress))
    job.write(result, folder)

    def print_table() -> None:
        terminal.table("The article's recipes: test MAE (m)", job.text_rows(result.page))
        terminal.line(f"Page: {folder / 'article.html'}")

    print_result(job.json_rows(result.page.results), as_json, print_table)
