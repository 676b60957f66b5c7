"""Tables, progress and the outcome of the main job in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.explanation import explanation_lines
from forebay.dams.dam import Dam
from forebay.forecasts.issue import IssuedForecast
from forebay.models import REFERENCES
from forebay.verify.score_tables import compare_scores

if TYPE_CHECKING:
    from rich.table import Table


def line(text: str) -> None:
    """Print one line."""
    print(text)


def table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print `title`, then `rows`, a column per key; columns without any value are left out."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = [key for key in (rows[0] if rows else {}) if any(row[key] is not None for row in rows)]
    made = Table(header_style="bold")
    for key in shown:
        numeric = all(isinstance(row[key], int | float | None) for row in rows)
        made.add_column(key, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(escape(_text(row[key])) for key in shown))
    line(title)  # as a table's title it would be folded to the table's width
    _print(Console(), made)


def _print(console: object, made: Table) -> None:
    from rich.console import Console

    assert isinstance(console, Console)
    if not console.is_terminal:  # a pipe or a log has no width: nothing is to be cut there
        console.width = 160
    console.print(made)


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}Z"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on the standard error stream; gives a function that is told (what, done, of how many)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def outcome(issued: IssuedForecast, scores: pl.DataFrame, dam: Dam, files: Sequence[Path]) -> None:
    """Print the forecast, what moved it, how good such forecasts were, what this one lacks, and where the report is."""
    unit = dam.target.unit
    when = f"as of {issued.init_date}, {issued.age_days} days old" if issued.stale else f"from {issued.init_date}"
    if issued.level_age_days:
        when = f"from {issued.init_date} and the level of {issued.level_date}, {issued.level_age_days} days before"
    table(f"{dam.title}: {dam.target.variable} ({unit}), forecast {when}", forecast_rows(issued.table))
    for sentence in explanation_lines(issued.explanation, dam):
        line(sentence)
    if rows := score_rows(scores):
        table(f"Hindcast: mean absolute error ({unit}) on the same days for all", rows)
    for sentence in (*issued.outside_experience, *issued.forcings, *issued.limitations):
        line(f"  · {sentence}")
    report = next((path for path in files if path.name == "report.html"), None)
    if report:
        line(f"Report: {report}")


def spells(dam: Dam, runs: Sequence[Mapping[str, object]], page: Path) -> None:
    """Print the spells that the screen doubts, and where their pictures are."""
    if runs:
        table(f"{dam.title}: what the screen doubts (medians of each spell)", runs)
    else:
        line(f"{dam.title}: the screen doubts nothing")
    line(f"Pictures: {page}")


def forecast_rows(forecasts: pl.DataFrame) -> list[dict[str, object]]:
    """A row per lead of `default`: day, median, 80% and 90% interval."""
    wide = forecasts.filter(pl.col("model") == "default").pivot(
        "quantile", index=["lead_time", "valid_date"], values="level"
    )
    rows: list[dict[str, object]] = []
    for row in wide.sort("lead_time").to_dicts():
        at = {float(key): value for key, value in row.items() if key not in ("lead_time", "valid_date")}
        valid: date = row["valid_date"]
        rows.append({
            "lead": f"{row['lead_time']} d",
            "day": f"{valid:%a %Y-%m-%d}",
            "median": f"{at[0.5]:,.3f}",
            "80% interval": _interval(at.get(0.1), at.get(0.9)),
            "90% interval": _interval(at.get(0.05), at.get(0.95)),
        })  # fmt: skip
    return rows


def _interval(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"{low:,.3f} … {high:,.3f}"


def score_rows(scores: pl.DataFrame) -> list[dict[str, object]]:
    """A row per window and lead: n, MAE of `default` and the references, coverage."""
    comparison = compare_scores(scores.filter(pl.col("regime") == "all")).sort("window", maintain_order=True)
    return [
        {"window": row["window"], "lead": f"{row['lead_time']} d", "n": row["n"], "default": row["mae"]}
        | {name: row[name] for name in REFERENCES}
        | {"90% coverage": row["coverage_90"]}
        for row in comparison.iter_rows(named=True)
    ]


def _compact(row: Mapping[str, object], *more: str) -> dict[str, object]:
    """A row of scores as texts of few digits, without its window unless `more` names it."""
    left_out = {"window", "best reference", "its mae", "90% band"} - set(more)
    made: dict[str, object] = {}
    for name, value in row.items():
        if name not in left_out:
            made[name] = f"{value:.3g}" if isinstance(value, float) else value
        elif name == "best reference":
            made["best reference"] = f"{value} {row['its mae']:.3g}" if value else None
        elif name == "90% band":
            made["90% band"] = value
    return made


def reviewed(
    dam: Dam, rows: Sequence[Mapping[str, object]], again: Mapping[str, Sequence[Mapping[str, object]]], folder: Path
) -> None:
    """Print the scores of a hindcast, what it costs or gains `again` with other inputs, and where the files are."""
    named = f"{dam.title}: errors in {dam.target.unit}"
    if not rows:
        line(f"{named}: no forecast of the hindcast could be scored; the record is too short or the level too rare")
    for window in dict.fromkeys(str(row["window"]) for row in rows):
        title = f"{named}, window {window}; `default` against the best reference of each row"
        table(title, [_compact(row) for row in rows if row["window"] == window])
    for inputs, costs in again.items():
        table(f"{named}, {inputs}", [_compact(row, "window") for row in costs])
    line(f"Scores, forecasts, diagnostics and charts: {folder}")
