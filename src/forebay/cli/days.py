"""Commands on daily values: `forebay daily`, `forebay screen`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from forebay.cli.arguments import ArchiveUrl, AsJson, DamName, dam_named, print_result, settings_in_force
from forebay.files import check_writable, check_writable_file


def daily(
    dam_name: DamName,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="File to write: .csv, .parquet or .json.")],
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write the daily table: one row per local day, a column and a flag per gauge, from the archive.

    Example: forebay daily warragamba -o warragamba.parquet
    """
    from forebay.cli import terminal
    from forebay.days.daily import DAILY_SUFFIXES, write_daily
    from forebay.jobs.observations import daily as daily_job

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    check_writable_file(output, DAILY_SUFFIXES)
    frame = daily_job(dam, archive=archive or settings.archive, settings=settings).to_frame()
    write_daily(frame, output)
    first, last = frame["date"][0], frame["date"][-1]
    summary = {"file": str(output), "days": len(frame), "from": first, "to": last}
    print_result(summary, as_json, lambda: terminal.line(f"{output}: {len(frame)} days, {first} to {last}"))


def screen(
    dam_name: DamName,
    /,
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for pictures; by default runs/ID/screening.")
    ] = None,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Flag suspect values: spikes, steps, stuck and slipped values, each with the day on which it became known.

    Example: forebay screen warragamba
    """
    from forebay.cli import terminal
    from forebay.jobs.observations import daily as daily_job
    from forebay.report import screening
    from forebay.screen.flags import flag_runs, screen_daily
    from forebay.screen.supported_range import ready_for_screen

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    folder = output or Path(settings.output) / dam.id / "screening"
    check_writable(folder)
    frame = ready_for_screen(daily_job(dam, archive=archive or settings.archive, settings=settings).to_frame(), dam)
    table = screen_daily(frame, dam)
    with terminal.progress() as progress:
        files = screening.write_screening(frame, table, dam, folder, progress)
    runs = flag_runs(table).to_dicts()
    summary = {"dam": dam.id, "simulated": dam.simulated, "spells": runs, "files": [str(path) for path in files]}
    print_result(summary, as_json, lambda: terminal.print_flag_runs(dam, runs, folder / "screening.html"))
