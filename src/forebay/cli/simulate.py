"""The command for a fleet of simulated dams: `forebay simulate`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from forebay.cli.arguments import AsJson, WholeNumber, print_result


def simulate(
    *,
    dams: Annotated[WholeNumber, Parameter(help="Number of dams.")],
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder of the dam files and their CSV files.")],
    seed: Annotated[WholeNumber, Parameter(help="Seed of the fleet; the same seed gives the same files.")] = 1,
    years: Annotated[WholeNumber, Parameter(help="Calendar years of each record.")] = 12,
    until: Annotated[date | None, Parameter(help="Last day of each record; by default 2021-12-31.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a fleet of simulated dams: dam files, readings with faults of gauges, and the truth; no dam is real.

    Example: forebay simulate --dams 8 --output fleet
    """
    from forebay.charts.formats import format_count
    from forebay.cli import terminal
    from forebay.jobs import simulate as job

    fleet = job.Fleet(dams, seed, years, until or job.LAST_DAY)
    with terminal.progress() as progress:
        paths = job.write_fleet(fleet, output, progress)
    content = {
        "simulated": True,
        "first_day": fleet.first_day,
        "last_day": fleet.last_day,
        "dams": list(map(str, paths)),
    }
    days = f"{fleet.first_day} to {fleet.last_day}"
    sentence = f"{format_count(dams, 'simulated dam')}, {days}: {output} (their truth: {output / 'truth'})"
    print_result(content, as_json, lambda: terminal.line(sentence))
