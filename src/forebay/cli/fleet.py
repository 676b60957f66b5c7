"""Commands for many dams on several processes or machines: `forebay fleet hindcast`, `forecast` and `refresh`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from forebay.cli.arguments import ArchiveUrl, AsJson, DamNames, WholeNumber, print_result, settings_in_force
from forebay.cli.fleet_train import train
from forebay.errors import ForebayError

if TYPE_CHECKING:
    from forebay.fleet.run import FleetJob, FleetResult

fleet_commands = App(name="fleet", help="Hindcasts, forecasts and refreshes of many dams, on Dask (extra fleet).")
fleet_commands.command(train)

MAX_NAMES = 10
"""Failed dams that the last sentence names."""


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """Where a fleet runs and where its results go."""

    scheduler: Annotated[
        str | None, Parameter(help="Address of a Dask scheduler, such as tcp://192.0.2.1:8786.")
    ] = None
    workers: Annotated[
        WholeNumber | None, Parameter(help="Worker processes of this machine; by default one per processor.")
    ] = None
    memory: Annotated[str, Parameter(help="Memory of each worker of this machine, such as 2GiB.")] = "auto"
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder of the results; by default runs.")
    ] = None
    archive: ArchiveUrl = None


HERE = Where()


@fleet_commands.command
def hindcast(
    *dam_names: DamNames,
    where: Where = HERE,
    fetch: Annotated[bool, Parameter(negative="", help="Fetch each dam's gauges first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score past forecasts of many dams; a second call computes only what is missing.

    Example: forebay fleet hindcast demo --fetch --workers 1
    """
    from forebay.fleet.run import FleetJob

    _run(dam_names, FleetJob("hindcast", fetch=fetch), where, as_json)


@fleet_commands.command
def forecast(*dam_names: DamNames, where: Where = HERE, as_json: AsJson = False) -> None:
    """Forecast many dams from what the archive holds; a second call of a day computes only what is missing.

    Example: forebay fleet forecast demo --workers 1
    """
    from forebay.fleet.run import FleetJob

    _run(dam_names, FleetJob("forecast"), where, as_json)


@fleet_commands.command
def refresh(
    *dam_names: DamNames,
    where: Where = HERE,
    report: Annotated[bool, Parameter(negative="", help="Write each dam's report and figures, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch and forecast many dams and decide their alerts, as `forebay refresh`, on several processes or machines.

    Example: forebay fleet refresh demo --workers 1
    """
    from forebay.fleet.run import FleetJob

    _run(dam_names, FleetJob("refresh", report=report), where, as_json)


def _run(names: tuple[str, ...], job: FleetJob, where: Where, as_json: bool) -> None:
    import os

    from forebay.cli import terminal
    from forebay.errors import ConfigError
    from forebay.fleet.members import fleet_members
    from forebay.fleet.place import Place
    from forebay.fleet.run import fleet_content, run_fleet

    if where.scheduler is not None and where.workers is not None:
        raise ConfigError("--scheduler and --workers both say where the fleet runs; give one of them")
    if where.scheduler is not None and where.memory != HERE.memory:
        raise ConfigError("--memory is for workers of this machine; set --memory-limit of `dask worker` instead")
    settings, _ = settings_in_force()
    if where.archive is not None:
        settings = settings.model_copy(update={"archive": where.archive})
    workers = (os.cpu_count() or 1) if where.workers is None else where.workers
    place = Place(where.scheduler, workers, where.memory)
    folder = where.output or Path(settings.output)
    with terminal.progress() as progress:
        members = fleet_members(names, settings)
        result = run_fleet(members, job, place, output=folder, settings=settings, progress=progress)
    print_result(lambda: fleet_content(result, folder), as_json, lambda: _print(result, folder))
    faults = []
    if failures := result.failures:
        rest = f" and {len(failures) - MAX_NAMES} more" if len(failures) > MAX_NAMES else ""
        faults.append(f"{len(failures)} of {len(result.table)} dams failed: {', '.join(failures[:MAX_NAMES])}{rest}")
    if result.unwritten is not None:
        faults.append(result.unwritten)
    if faults:
        raise ForebayError("; ".join(faults))


def _print(result: FleetResult, folder: Path) -> None:
    """Print a row per dam, or only those that failed in a large fleet, what limits the forecasts, and the report."""
    from forebay.charts.fleet_tables import fleet_notes
    from forebay.cli import terminal

    cells = _score_cells if result.job == "hindcast" else _forecast_cells
    table = result.table if len(result.table) <= 50 else result.table.filter(state="failed")
    title = f"{result.title()}, {result.seconds:g} s"
    if len(table):
        rows = [cells(row) for row in table.to_dicts()]
        leads = {row["lead"] for row in rows if row.get("lead") is not None}
        if len(leads) == 1:  # the title has it, so that a row fits into a narrow terminal
            title += f"; scores {leads.pop()} ahead"
            rows = [{name: value for name, value in row.items() if name != "lead"} for row in rows]
        terminal.table(title, rows)
    else:
        terminal.line(title)
    for sentence in fleet_notes(result.table):
        terminal.line(sentence)
    if simulated := int(result.table["simulated"].fill_null(False).sum()):
        terminal.line(f"SIMULATED: {simulated} of {len(result.table)} dams do not exist; their scores are no evidence.")
    if result.unwritten is None:
        terminal.line(f"Report: {folder / 'fleet.html'}")


def _score_cells(row: Mapping[str, Any]) -> dict[str, object]:  # Any: values of JSON
    """Scores of a hindcast in a row of the terminal."""
    from forebay.charts.formats import format_name, format_value

    scored = row["mae"] is not None
    return {
        "dam": row["dam"],
        "state": row["state"],
        "lead": f"{row['skill_lead']} d" if scored else None,
        "MAE": f"{format_value(row['mae'])} {row['unit']}" if scored else None,
        "reference": format_name(row["best_reference"]) if row["best_reference"] else None,
        "skill": None if row["skill"] is None else round(row["skill"], 3),
        "failure": row["failure"],
    }


def _forecast_cells(row: Mapping[str, Any]) -> dict[str, object]:  # Any: values of JSON
    """The newest forecast in a row of the terminal, as `forebay refresh` prints it."""
    from forebay.charts.formats import format_level

    def level(name: str) -> str | None:
        return None if row[name] is None else format_level(row[name], row["unit"])

    return {
        "dam": row["dam"],
        "state": row["state"],
        "init date": row["init_date"],
        "level": level("level"),
        "in": None if row["lead_time"] is None else f"{row['lead_time']} d",
        "median": level("median"),
        "5%": level("low"),
        "95%": level("high"),
        "unit": None if row["level"] is None else row["unit"],
        "age in days": row["age_days"],
        "gauges not fetched": row["not_fetched"] or None,
        "alerts": row["alerts"],
        "failure": row["failure"],
    }
