"""Results in the terminal: tables, progress, forecasts, screenings and hindcasts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from forebay.archive.latency import LearnedLatency, latency_note
from forebay.charts.explanation import explanation_lines
from forebay.charts.forecast_tables import forecast_fan
from forebay.charts.formats import (
    NO_VALUE,
    TargetFormat,
    format_count,
    format_level,
    format_number,
    format_percent,
    format_time,
)
from forebay.charts.outlook_tables import outlook_rows
from forebay.charts.score_tables import scored_windows, without_repeats
from forebay.charts.storage_tables import storage_fan, storage_quantities, storage_sentences
from forebay.cli.log_output import is_json
from forebay.dams.dam import Dam
from forebay.days.labels import gauge_labels
from forebay.forecasts.issue import STALE_DAYS, IssuedForecast
from forebay.tables import DEFAULT_MODEL, REFERENCES
from forebay.text import printable
from forebay.verify.score_tables import compare_scores

if TYPE_CHECKING:
    from rich.console import Console

    from forebay.forecasts.outlook import Outlook

PIPE_WIDTH = 160
"""Characters per line in a pipe or a log, which have no width of their own."""


_OFTEN_ZERO = ("revised", "withdrawn", "future", "unavailable")
"""Counts of a fetch that are usually 0."""


def line(text: str) -> None:
    """Print one line, without characters that would control the terminal."""
    print(printable(text))


def table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print `title`, then `rows` with a column per key; a column without any value is left out."""
    from rich.markup import escape
    from rich.table import Table

    keys = [key for key in (rows[0] if rows else {}) if any(row[key] is not None for row in rows)]
    grid = Table(header_style="bold")
    for key in keys:
        numeric = all(isinstance(row[key], int | float | None) for row in rows)
        least = max(len(_text(row[key])) for row in rows) if numeric else None  # a folded number would be another one
        grid.add_column(key, justify="right" if numeric else "left", overflow="fold", min_width=least)
    for row in rows:
        grid.add_row(*(escape(_text(row[key])) for key in keys))
    line(title)  # rich would fold a title to the width of the table
    _console().print(grid)


def _console() -> Console:
    """A console on the standard output that never cuts the lines of a pipe."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def _text(value: object) -> str:
    if value is None:
        return NO_VALUE
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _number_text(value) if isinstance(value, float) else printable(str(value))


def _number_text(value: float) -> str:
    """A number with four digits, above 100 with two decimals: a level keeps its centimetres."""
    if abs(value) < 100:
        return f"{value:,.4g}"
    return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:,.2f}".rstrip("0").rstrip(".")


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on the standard error stream: a function of (description, completed steps, total steps)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal or is_json()) as bar:
        task = bar.add_task("", total=None)

        def update(description: str, completed: int, total: int) -> None:
            bar.update(task, description=description, completed=completed, total=total)

        yield update


def print_forecast(  # noqa: PLR0913  # the parts of a forecast
    issued: IssuedForecast,
    scores: pl.DataFrame,
    dam: Dam,
    files: Sequence[Path],
    *,
    recent: pl.DataFrame | None = None,
    outlook: Outlook | None = None,
    record: str = "",
) -> None:
    """Print a forecast, its outlook and explanation, the scores, its limitations, its record and its report.

    Parameters
    ----------
    recent
        `verify.tables.RECENT_SCORES`.
    record
        The line on the record of the forecast.
    """
    unit = dam.target.unit
    level_age, start = issued.level_age_days, f"from {issued.init_date}"
    if issued.stale:  # as in the report: the age of the level
        start = f"as of {issued.level_date}, {format_count(issued.age_days + level_age, 'day')} old"
    elif level_age:
        start += f" and the level of {issued.level_date}, {format_count(level_age, 'day')} before"
    rows = forecast_rows(issued.table)
    fan = storage_fan(forecast_fan(issued.table), dam, issued.init_date, issued.withheld_from)
    title = f"{dam.title}: {dam.target.variable} ({unit}), forecast {start}"
    table(title, [row | cells for row, cells in zip(rows, storage_cells(fan, dam), strict=True)])
    for sentence in storage_sentences(fan, dam.target.variable):
        line(f"  · {sentence}")
    if outlook is not None:
        for text in outlook_lines(outlook, dam):
            line(text)
    for text in explanation_lines(issued.explanation, dam):
        line(text)
    if scored := score_rows(scores, dam):
        table(f"Hindcast: mean absolute error ({unit}), all models on the same days", scored)
    for text in recent_lines(recent, dam) if recent is not None else ():
        line(text)
    for sentence in (*issued.outside_experience, *issued.forcings, *issued.limitations):
        line(f"  · {sentence}")
    if record:
        line(record)
    report = next((path for path in files if path.name == "report.html"), None)
    if report:
        line(f"Report: {report}")


def outlook_lines(outlook: Outlook, dam: Dam) -> list[str]:
    """A line with the probabilities of each threshold of the dam; rises are left out."""
    days = dict(outlook.probabilities.select("lead_time", "valid_date").iter_rows())
    return [
        f"{row.event} ({row.level}): "
        + ", ".join(f"{text} by {days[lead]}" for lead, text in row.texts.items())
        for row in outlook_rows(outlook, dam)
        if not row.is_rise
    ]


def recent_lines(recent: pl.DataFrame, dam: Dam) -> list[str]:
    """A line per lead time of `verify.tables.RECENT_SCORES`: mean error and how often the intervals held."""
    target = TargetFormat(dam)
    return [
        f"Last 365 days, {row['source']}, {row['lead_time']} d: mean error {target.error(row['mae'])} {target.unit}; "
        f"80% interval held {format_percent(row['coverage_80'])}, 90% interval held "
        f"{format_percent(row['coverage_90'])} (n = {row['n']:,})"
        for row in recent.iter_rows(named=True)
        if row["mae"] is not None
    ]


def print_fetch(dam: Dam, rows: Sequence[Mapping[str, object]]) -> None:
    """Print the result of a fetch, a row per gauge, and a line for each note.

    The sentence of an error is that of the command's error or warning; the table says only that there is one. Counts
    that are 0 for every gauge have no column.
    """
    zero = [name for name in _OFTEN_ZERO if not any(row.get(name) for row in rows)]
    cells = [
        {name: "failed" if name == "error" and value else value for name, value in _fetch_cells(row).items()
         if name not in zero}
        for row in rows
    ]  # fmt: skip
    table(f"{dam.name}: the archive's gauges", cells)
    for row in rows:
        if row["note"] is not None:
            line(f"  · {row['note']}")
    for text in (*late_gauge_lines(dam, rows), *latency_lines(dam, rows)):
        line(f"  · {text}")


def _fetch_cells(row: Mapping[str, object]) -> dict[str, object]:
    """A row of a fetch without its note, and with one text for the declared and the learned latency."""
    numbers = ("note", "latency_h", "learned_least_h", "learned_most_h", "fetches")
    latency = None if row["latency_h"] is None else f"{row['latency_h']:g} h"
    if text := _learned(row).text:
        latency = f"{latency}; {text}"
    return {name: value for name, value in row.items() if name not in numbers} | {"latency": latency}


def _learned(row: Mapping[str, Any]) -> LearnedLatency:  # Any: a row of `archive.fetch.FETCHES`
    return LearnedLatency(row["fetches"] or 0, 0, row["learned_least_h"], row["learned_most_h"])


def latency_lines(dam: Dam, rows: Sequence[Mapping[str, object]]) -> list[str]:
    """A sentence for each gauge of a fetch whose readings arrive later than the dam file says."""
    by_column, labels = {row["gauge"]: row for row in rows}, gauge_labels(dam)
    gauges = [gauge for gauge in dam.gauges if gauge.column in by_column]
    notes = [latency_note(gauge, labels[gauge.column], _learned(by_column[gauge.column])) for gauge in gauges]
    return [note for note in notes if note is not None]


def late_gauge_lines(dam: Dam, rows: Sequence[Mapping[str, object]]) -> list[str]:
    """A sentence for each gauge of a fetch whose newest value is more than `STALE_DAYS` older than its delay."""
    ages = {str(row["gauge"]): row["age"] for row in rows if row["error"] is None}
    texts = []
    for gauge in dam.gauges:
        age, due = ages.get(gauge.column), STALE_DAYS + math.ceil(gauge.latency_h / 24)
        if isinstance(age, int) and age > due:
            advice = f"if the gauge has ended, name another one in the dam file (forebay stations {dam.id})"
            if gauge.file is not None:
                advice = "add newer lines to its file"
            name = f"{gauge.title} ({gauge.source} {gauge.station})"
            texts.append(f"{name}: the newest value is {age:,} days old; {advice}")
    return texts


def print_refresh(title: str, rows: Sequence[Mapping[str, Any]]) -> None:  # Any: values of JSON
    """Print the outcomes of a refresh: a row per dam with a forecast, and a line per failure."""
    cells = [
        {
            "dam": row["dam"],
            "init date": row["init_date"],
            "level": format_level(row["level"], row["unit"]),
            "in": f"{row['lead_time']} d",
            "median": format_level(row["median"], row["unit"]),
            "5%": format_level(row["low"], row["unit"]),
            "95%": format_level(row["high"], row["unit"]),
            "unit": row["unit"],
            "age in days": row["age_days"],
            "gauges not fetched": row["not_fetched"],
            "alerts": row["alerts"],
            "seconds": row["seconds"],
        }
        for row in rows
        if row["failure"] is None
    ]
    table(title, cells)
    for row in rows:
        if row["failure"] is not None:
            line(f"{row['dam']} failed: {row['failure']}")
        if row["alert_failure"] is not None:
            line(f"{row['dam']}: {row['alert_failure']}")
        if row["scenario_failure"] is not None:
            line(f"{row['dam']}: no scenarios: {row['scenario_failure']}")


def print_flag_runs(dam: Dam, rows: Sequence[Mapping[str, object]], page: Path) -> None:
    """Print the spells of flagged values and the path of the page with their charts."""
    if rows:
        table(f"{dam.title}: flagged values (median of each spell)", rows)
    else:
        line(f"{dam.title}: no flagged values")
    line(f"Charts: {page}")


def forecast_rows(forecasts: pl.DataFrame) -> list[dict[str, object]]:
    """A row per lead time of `default`: day, median, 80% and 90% interval."""
    rows: list[dict[str, object]] = []
    for row in forecast_fan(forecasts).filter(pl.col("lead_time") > 0).to_dicts():
        valid_date: date = row["valid_date"]
        rows.append({
            "lead": f"{row['lead_time']} d",
            "day": f"{valid_date:%a %Y-%m-%d}",
            "median": None if row["q50"] is None else format_number(row["q50"], 3),
            "80% interval": _interval(row["q10"], row["q90"]),
            "90% interval": _interval(row["q05"], row["q95"]),
        })  # fmt: skip
    return rows


def storage_cells(fan: pl.DataFrame, dam: Dam) -> list[dict[str, object]]:
    """Level, storage and % full of the median, besides the target, a dict per lead time of a `storage_fan`."""
    quantities = storage_quantities(fan, dam.target.variable)
    return [
        {quantity.header: quantity.text(row[f"{quantity.column}_q50"]) for quantity in quantities}
        for row in fan.filter(pl.col("lead_time") > 0).iter_rows(named=True)
    ]


def _interval(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"{format_number(low, 3)} … {format_number(high, 3)}"


def score_rows(scores: pl.DataFrame, dam: Dam) -> list[dict[str, object]]:
    """A row per window and lead time: n, MAE of `default` and the references, coverage.

    A window with the same days as an earlier one is left out, as in the report.
    """
    windows, _ = without_repeats(scores, scored_windows(scores, dam))
    comparison = compare_scores(scores, windows)
    return [
        {"window": row["window"], "lead": f"{row['lead_time']} d", "n": row["n"], DEFAULT_MODEL: row["mae"]}
        | {name: row[name] for name in REFERENCES}
        | {"90% coverage": row["coverage_90"]}
        for row in comparison.iter_rows(named=True)
    ]


def _compact(row: Mapping[str, object], *, window: bool = False) -> dict[str, object]:
    """A row of scores with three digits per number; the window only on request."""
    cells: dict[str, object] = {}
    for name, value in row.items():
        if name == "best reference":
            cells[name] = f"{value} {row['its mae']:.3g}" if value else None
        elif name != "its mae" and (window or name != "window"):
            cells[name] = f"{value:.3g}" if isinstance(value, float) else value
    return cells


def print_hindcast(
    dam: Dam, rows: Sequence[Mapping[str, object]], variants: Mapping[str, Sequence[Mapping[str, object]]], folder: Path
) -> None:
    """Print the scores of a hindcast, those of its variants with other inputs, and the folder of the files."""
    title = f"{dam.title}: errors in {dam.target.unit}"
    if not rows:
        line(f"{title}: no scored forecast in the hindcast; the record is too short or has too few levels")
    for window in dict.fromkeys(str(row["window"]) for row in rows):
        window_rows = [_compact(row) for row in rows if row["window"] == window]
        table(f"{title}, window {window}; `default` against the best reference of each row", window_rows)
    for inputs, costs in variants.items():
        table(f"{title}, {inputs}", [_compact(row, window=True) for row in costs])
    line(f"Scores, forecasts, diagnostics and charts: {folder}")
