"""The commands that read the archive day by day: `forebay daily` and `forebay screen`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from forebay.cli.arguments import ArchiveUrl, DamArgument, Json, opened, say, settings_in_force
from forebay.errors import ForebayError
from forebay.files import check_writable


def daily(
    dam: DamArgument,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="File to write: .csv, .parquet or .json.")],
    archive: ArchiveUrl = None,
    as_json: Json = False,
) -> None:
    """Write one row per local day, all gauges joined, a flag beside each value, from what the archive holds.

    Example: forebay daily warragamba -o warragamba.parquet
    """
    from forebay.cli import terminal
    from forebay.dams.dam_file import load_dam
    from forebay.days.daily import daily_table, write_daily

    chosen, _ = settings_in_force()
    this = load_dam(dam)
    with opened(archive, chosen, create=False) as held:
        readings = held.as_of(this.gauges)
    if readings.is_empty():
        raise ForebayError(f"the archive holds nothing of {this.name}; run `forebay fetch {dam}` first")
    frame = daily_table(readings, this)
    write_daily(frame, output)
    made = {"file": str(output), "days": len(frame), "from": frame["date"][0], "to": frame["date"][-1]}
    say(made, as_json, lambda: terminal.line(f"{output}: {len(frame)} days, {made['from']} to {made['to']}"))


def screen(
    dam: DamArgument,
    /,
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for pictures; by default runs/<dam>/screening.")
    ] = None,
    archive: ArchiveUrl = None,
    as_json: Json = False,
) -> None:
    """Doubt what gauges say: spikes, steps, stuck and slipped values, each with the day from which it is known.

    Example: forebay screen warragamba
    """
    from forebay.cli import terminal
    from forebay.dams.dam_file import load_dam
    from forebay.days.daily import daily_table
    from forebay.days.datum import on_one_datum
    from forebay.report import screening
    from forebay.screen.flags import flag_runs, screen_daily

    chosen, _ = settings_in_force()
    this = load_dam(dam)
    folder = output or Path(chosen.output) / this.id / "screening"
    check_writable(folder)
    with opened(archive, chosen, create=False) as held:
        readings = held.as_of(this.gauges)
    if readings.is_empty():
        raise ForebayError(f"the archive holds nothing of {this.name}; run `forebay fetch {dam}` first")
    frame = on_one_datum(daily_table(readings, this), this)
    found = screen_daily(frame, this)
    files = screening.write_screening(frame, found, this, folder)
    runs = flag_runs(found).to_dicts()
    summary = {"dam": this.id, "simulated": this.simulated, "spells": runs, "files": [str(path) for path in files]}
    say(summary, as_json, lambda: terminal.spells(this, runs, folder / "screening.html"))
