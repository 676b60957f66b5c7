"""Options of `forebay outlook` that ask for the coming months, and how the answer is printed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from forebay.cli.arguments import WholeNumber, print_result
from forebay.errors import ConfigError

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.jobs.long_outlook import LongOutlookResult
    from forebay.settings import Settings


@Parameter(name="*")
@dataclass(frozen=True)
class LongOptions:
    """Long outlook: the coming months by the balance of past years."""

    months: Annotated[
        WholeNumber | None,
        Parameter(help="Storage of the coming months, 1 to 12, by the water balance of each past year."),
    ] = None
    demand: Annotated[
        str | None,
        Parameter(help="Outflow of these months, such as '1200 ML/d', or twelve values from January to December."),
    ] = None
    past_demand: Annotated[
        str | None, Parameter(help="Outflow of past years that no release gauge measured, as --demand.")
    ] = None
    threshold: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="Further threshold of --months: 40% (of full supply), or a level or storage with its unit.",
        ),
    ] = None

    @property
    def is_long(self) -> bool:
        """Whether the coming months are asked for.

        Raises
        ------
        ConfigError
            If another option of the long outlook is set without --months.
        """
        options = {"--demand": self.demand, "--past-demand": self.past_demand, "--threshold": self.threshold}
        for option, value in options.items():
            if self.months is None and value:
                raise ConfigError(f"{option} needs --months, such as --months 6")
        return self.months is not None


def long_result(
    dam: Dam, options: LongOptions, *, archive: str, settings: Settings, init_date: date | None
) -> LongOutlookResult:
    """The long outlook that is asked for."""
    from forebay.cli import terminal
    from forebay.jobs import long_outlook as job

    assert options.months is not None
    question = job.Question(options.months, options.demand, options.past_demand, options.threshold or ())
    with terminal.progress() as progress:
        return job.long_outlook(
            dam, question, archive=archive, settings=settings, init_date=init_date, progress=progress
        )


def print_long_outlook(result: LongOutlookResult, output: Path | None, as_json: bool) -> None:
    """Write the files of a long outlook into the folder `output`, if there is one, and print it."""
    from forebay.cli import terminal
    from forebay.jobs.long_outlook import write_long_outlook

    files: list[Path] = []
    if output is not None:
        with terminal.progress() as progress:
            files = write_long_outlook(result, output, progress)
    print_result(lambda: long_json(result, files), as_json, lambda: _print_text(result, files))


def long_json(result: LongOutlookResult, files: list[Path]) -> dict[str, object]:
    """The long outlook as JSON: tables as lists of rows, without the days of the traces."""
    outlook = result.outlook
    forecast = outlook.forecast
    return {
        "dam": result.dam.id,
        "simulated": result.dam.simulated,
        "init_date": result.init_date,
        "level_date": result.level_date,
        "storage": forecast.start,
        "storage_unit": outlook.volumes.unit,
        "is_forecast": outlook.demand is None,
        "demand": None if outlook.demand is None else {
            "unit": "m3/s", "months": outlook.demand.future, "past": outlook.demand.past
        },
        "return_days": 1 / forecast.rate if forecast.rate else None,
        "years": forecast.windows.years,
        "left_out": forecast.windows.left_out,
        "months": outlook.months.to_dicts(),
        "probabilities": outlook.probabilities.to_dicts(),
        "balance": outlook.balance.to_dicts(),
        "scores": result.scores.to_dicts(),
        "event_scores": result.event_scores.to_dicts(),
        "notes": result.notes,
        "files": [str(path) for path in files],
    }  # fmt: skip


def _print_text(result: LongOutlookResult, files: list[Path]) -> None:
    """Print storage by month, the chances of thresholds, the scores, and the notes."""
    from forebay.charts.formats import format_value
    from forebay.charts.long_tables import chance_cells, last_chances, month_cells, score_cells
    from forebay.charts.outlook_tables import event_title
    from forebay.cli import terminal
    from forebay.forecasts.long_notes import event_sentence

    outlook, forecast = result.outlook, result.outlook.forecast
    count, unit = len(forecast.windows.years), outlook.volumes.unit
    start = f"{format_value(forecast.start)} {unit} on {result.level_date}"
    operation = "as operated then" if outlook.demand is None else "under the stated demand"
    title = f"{result.dam.title}: storage by the balance of {count} past years, {operation}, from {start}"
    terminal.table(title, month_cells(outlook))
    cells = chance_cells(outlook)
    if cells:
        terminal.table(f"Traces that are beyond a threshold at the end of each month, of {count}", cells)
    if len(result.scores):
        title = f"Past outlooks from the first of each month, as operated (CRPS in {unit})"
        terminal.table(title, score_cells(result.scores))
    for row in last_chances(outlook).iter_rows(named=True):
        event = f"{event_title(row['threshold'], row['direction'])} within {row['month']} months"
        key = {name: row[name] for name in ("threshold", "direction", "kind", "month")}
        terminal.line(f"  · {event_sentence(result.event_scores, event, key)}")
    for sentence in result.notes:
        terminal.line(f"  · {sentence}")
    for path in files:
        terminal.line(f"  {path}")
