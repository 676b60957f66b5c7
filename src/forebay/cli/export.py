"""The command `forebay export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from forebay.cli.arguments import ArchiveUrl, AsJson, DamName, WholeNumber, dam_named, print_result, settings_in_force
from forebay.cli.forecast import InitDate
from forebay.files import check_writable

if TYPE_CHECKING:
    from forebay.jobs.export import Export


def export(
    dam_name: DamName,
    /,
    *,
    init_date: InitDate = None,
    days: Annotated[
        WholeNumber,
        Parameter(
            validator=Number(gte=1), help="Also write inputs and forecasts of so many last days, to test a reader."
        ),
    ] = 1,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for the files; by default runs/ID/export.")
    ] = None,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write the model `default` as JSON and Erlang terms, with readers for Elixir and JavaScript; fetches nothing.

    Example: forebay export warragamba -o warragamba-model
    """
    from forebay.cli import terminal
    from forebay.jobs import export as job
    from forebay.models.tree_library import load_lightgbm_alone

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    folder = output or Path(settings.output) / dam.id / "export"
    check_writable(folder)
    job.check_folder(folder, dam)
    load_lightgbm_alone()
    with terminal.progress() as progress:
        result = job.export(
            dam,
            archive=archive or settings.archive,
            settings=settings,
            init_date=init_date,
            days=days,
            progress=progress,
        )
    files = job.write_export(result, folder)
    print_result(_json_content(result, files), as_json, lambda: _print_export(result, files))


def _json_content(result: Export, files: list[Path]) -> dict[str, object]:
    model = result.model
    return {
        "dam": result.dam.id,
        "simulated": result.dam.simulated,
        "unit": model["unit"],
        "init_date": model["learned"]["init_date"],
        "fitted_on": model["fitted_on"],
        "fitted_until": model["fitted_until"],
        "inputs": len(model["inputs"]) + len(model["inputs_ahead"]),
        "days": len(result.days),
        "difference": result.difference,
        "forecast": model["example"]["forecast"],
        "files": [{"path": str(path), "bytes": path.stat().st_size} for path in files],
    }


def _print_export(result: Export, files: list[Path]) -> None:
    from forebay.cli import terminal

    model = result.model
    unit, init_date = model["unit"], model["learned"]["init_date"]
    names = [f"{100 * level:g}%" for level in model["quantiles"]]
    rows = [
        {"lead time, days": lead["lead"], **{name: round(x, 3) for name, x in zip(names, lead["levels"], strict=True)}}
        for lead in model["example"]["forecast"]
    ]
    terminal.table(f"{result.dam.title}: example from {init_date}, quantiles in {unit}", rows)
    terminal.line(
        f"Fits of {model['fitted_on']}, in use until {model['fitted_until']}; weights, intervals and limits as known "
        f"on {init_date}. Export again each day, at the latest after {model['fitted_until']}."
    )
    terminal.line(f"Largest difference from the program on {len(result.days)} day(s): {result.difference:.1g} {unit}")
    for path in files:
        terminal.line(f"File: {path} ({path.stat().st_size:,} bytes)")
