"""The command line: one command per step, in the words of the rooms.

Exit codes: 0 done, 1 failed, 2 bad usage (an argument, a setting or a dam file is wrong).
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter

from forebay import __version__
from forebay.cli_archive import archive_commands, revisions
from forebay.cli_arguments import ArchiveUrl, DamArgument, Json, opened, say, settings_in_force
from forebay.errors import ConfigError, ForebayError

if TYPE_CHECKING:
    from forebay.archive.fetch import FetchReport
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.pipeline import Outcome
    from forebay.settings import Settings

app = App(
    name="forebay",
    version=__version__,
    help="Forecasts the water level of dams, 1 to 7 days ahead, from public gauges, with honest intervals.",
    suppress_keyboard_interrupt=False,  # main says what was kept
)
app.command(revisions)
app.command(archive_commands)


@app.command
def dams(*, as_json: Json = False) -> None:
    """List the built-in dams.

    Example: forebay dams
    """
    from forebay.dams.dam_file import catalogue, load_dam
    from forebay.show import terminal

    listed = [load_dam(name) for name in catalogue()]
    rows = [
        {"id": d.id, "name": d.name, "country": d.country, "target": f"{d.target.variable} ({d.target.unit})",
         "gauges": len(d.gauges), "simulated": d.simulated}
        for d in listed
    ]  # fmt: skip
    say(rows, as_json, lambda: terminal.table("Built-in dams", rows))


@app.command
def settings(*, as_json: Json = False) -> None:
    """Print the settings in force and where each value came from.

    Example: forebay settings
    """
    from forebay.settings import leaves
    from forebay.show import terminal

    chosen, origin = settings_in_force()
    rows = [{"setting": k, "value": _without_password(v), "from": origin[k]} for k, v in leaves(chosen.model_dump())]
    say(rows, as_json, lambda: terminal.table("Settings in force", rows))


@app.command
def fetch(
    dam: DamArgument,
    /,
    *,
    since: Annotated[date | None, Parameter(help="First day; by default where the archive ends.")] = None,
    until: Annotated[date | None, Parameter(help="Last day; by default today.")] = None,
    archive: ArchiveUrl = None,
    as_json: Json = False,
) -> None:
    """Bring the archive up to date with a dam's gauges.

    Example: forebay fetch warragamba --since 2020-01-01
    """
    from forebay.dams.dam_file import load_dam
    from forebay.show import terminal

    chosen, _ = settings_in_force()
    this = load_dam(dam)
    with opened(archive, chosen) as held:
        report = _fetch(this, held, chosen, span=(since, until))
    rows = report.table.to_dicts()
    say(rows, as_json, lambda: terminal.table(f"{this.name}: the archive's gauges", rows))
    if report.failure is not None:
        raise report.failure
    if (since or until) and not report.table["rows"].sum():
        raise ForebayError(
            f"no gauge of {this.name} has a reading from {since or 'its start'} to {until or 'today'}; "
            "choose other days with --since and --until"
        )


@app.command
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
    from forebay.dams.dam_file import load_dam
    from forebay.prepare.daily import join, write_daily
    from forebay.show import terminal

    chosen, _ = settings_in_force()
    this = load_dam(dam)
    with opened(archive, chosen) as held:
        readings = held.as_of(this.gauges)
    if readings.is_empty():
        raise ForebayError(f"the archive holds nothing of {this.name}; run `forebay fetch {dam}` first")
    frame = join(readings, this)
    write_daily(frame, output)
    made = {"file": str(output), "days": len(frame), "from": frame["date"][0], "to": frame["date"][-1]}
    say(made, as_json, lambda: terminal.line(f"{output}: {len(frame)} days, {made['from']} to {made['to']}"))


@app.command
def hindcast(
    dam: DamArgument,
    /,
    *,
    late_drivers: Annotated[
        bool, Parameter(negative="", help="Once more, with every driver known a day later, and what that costs.")
    ] = False,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for the tables and charts; by default runs/ID.")
    ] = None,
    archive: ArchiveUrl = None,
    as_json: Json = False,
) -> None:
    """Show how good the forecasts would have been, each made from what was known then; fetches nothing.

    Example: forebay hindcast warragamba --late-drivers
    """
    from forebay import pipeline, review
    from forebay.dams.dam_file import load_dam
    from forebay.show import terminal

    chosen, _ = settings_in_force()
    this = load_dam(dam)
    folder = output or Path(chosen.output) / this.id
    pipeline.check_writable(folder)
    with opened(archive, chosen) as held:
        if held.newest(this.target_gauge) is None:
            raise ForebayError(f"the archive holds no level of {this.name}; run `forebay fetch {dam}` first")
        days = pipeline.read_days(this, held, now=datetime.now(UTC))
    with terminal.progress() as progress:
        made = review.review(this, days, late_drivers=late_drivers, progress=progress)
    files = [str(path) for path in review.write_review(made, this, folder)]
    tables = {name: review.score_rows(of.scores, this) for name, of in made.items()}
    costs = review.late_rows(made, this) if late_drivers else []
    content = {"dam": this.id, "simulated": this.simulated, "unit": this.target.unit, **tables, "files": files}
    say(content, as_json, lambda: terminal.reviewed(this, tables[review.ON_TIME], costs, folder))


@app.command
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
    from forebay import pipeline
    from forebay.dams.dam_file import load_dam
    from forebay.prepare.daily import join
    from forebay.prepare.datum import on_one_datum
    from forebay.prepare.flags import flags, spells
    from forebay.show import screening, terminal

    chosen, _ = settings_in_force()
    this = load_dam(dam)
    folder = output or Path(chosen.output) / this.id / "screening"
    pipeline.check_writable(folder)
    with opened(archive, chosen) as held:
        readings = held.as_of(this.gauges)
    if readings.is_empty():
        raise ForebayError(f"the archive holds nothing of {this.name}; run `forebay fetch {dam}` first")
    frame = on_one_datum(join(readings, this), this)
    found = flags(frame, this)
    files = screening.write_screening(frame, found, this, folder)
    runs = spells(found).to_dicts()
    summary = {"dam": this.id, "simulated": this.simulated, "spells": runs, "files": [str(path) for path in files]}
    say(summary, as_json, lambda: terminal.spells(this, runs, folder / "screening.html"))


@app.command
def run(
    dam: DamArgument,
    /,
    *,
    init: Annotated[date | None, Parameter(help="Forecast from this day, by default from the newest level.")] = None,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for the report; by default runs/ID.")
    ] = None,
    archive: ArchiveUrl = None,
    as_json: Json = False,
) -> None:
    """Fetch, hindcast, forecast and report: the whole way from gauges to a page that an operator can read.

    Example: forebay run demo
    """
    from forebay import pipeline
    from forebay.dams.dam_file import load_dam
    from forebay.show import terminal

    chosen, _ = settings_in_force()
    this = load_dam(dam)
    folder = output or Path(chosen.output) / this.id
    pipeline.check_writable(folder)
    now = datetime.now(UTC)
    with opened(archive, chosen) as held:
        fetched = _fetch(this, held, chosen, span=(None, None))
        if fetched.failure is not None and held.newest(this.target_gauge) is None:
            raise fetched.failure
        days = pipeline.read_days(this, held, now=now, init_date=init)
    with terminal.progress() as progress:
        outcome = pipeline.forecast_dam(this, days, now=now, fetched=fetched, progress=progress)
    files = pipeline.write_outcome(outcome, fetched, folder)
    say(_summary(outcome, files), as_json, lambda: terminal.outcome(outcome.issued, outcome.scores, this, files))


@app.command
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
    as_json: Json = False,
) -> None:
    """Run the article's recipes, as published and as corrected, and write a page that sets them side by side.

    Example: forebay article --recipe python --seeds 1
    """
    from contextlib import nullcontext

    from forebay import article as recipes
    from forebay import pipeline
    from forebay.show import terminal

    chosen, _ = settings_in_force()
    choice = recipes.Choice(recipe, backend, seeds)
    folder = output or Path(chosen.output) / "article"
    pipeline.check_writable(folder)
    now = datetime.now(UTC)
    with terminal.progress() as progress:
        with nullcontext() if data else opened(None, chosen) as held:
            record = recipes.read(data, settings=chosen, now=now, archive=held, progress=progress)
        told = recipes.run(record, choice, now=now, progress=progress)
    recipes.write(told, folder)

    def show() -> None:
        terminal.table("The article's recipes: test MAE (m)", recipes.rows(told.story))
        terminal.line(f"Page: {folder / 'article.html'}")

    say(recipes.listed(told.story.results), as_json, show)


def _summary(outcome: Outcome, files: list[Path]) -> dict[str, object]:
    issued = outcome.issued
    return {
        "dam": outcome.dam.id,
        "simulated": outcome.dam.simulated,
        "unit": outcome.dam.target.unit,
        "init_date": issued.init_date,
        "init_time": issued.init_time,
        "issue_time": issued.issue_time,
        "age_days": issued.age_days,
        "current": not issued.stale,
        "lacks": issued.lacks,
        "outside_experience": issued.outside_experience,
        "intervals_are_a_lower_bound": bool(issued.outside_experience),
        "forecast": issued.forecasts.to_dicts(),
        "explanation": issued.explanation.to_dicts(),
        "scores": outcome.scores.filter(outcome.scores["regime"] == "all").to_dicts(),
        "files": [str(path) for path in files],
    }


def _fetch(dam: Dam, held: Archive, chosen: Settings, *, span: tuple[date | None, date | None]) -> FetchReport:
    from forebay.archive.fetch import FetchRequest, fetch_dam
    from forebay.show import terminal

    request = FetchRequest(now=datetime.now(UTC), since=span[0], until=span[1])
    with terminal.progress() as progress:
        report = fetch_dam(
            dam,
            held,
            settings=chosen,
            request=request,
            progress=lambda gauge, done: progress(f"fetch {gauge.title}", done, len(dam.gauges)),
        )
        progress("fetched", len(dam.gauges), len(dam.gauges))
    return report


def _without_password(value: object) -> object:
    """An archive URL without its password, anything else as it is."""
    if isinstance(value, str) and "://" in value:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        from forebay.archive.engines import shown

        try:
            return shown(make_url(value))
        except ArgumentError:
            return "(not a URL)"
    return value


def main() -> None:
    """Run the command line; any error that forebay raises on purpose ends in one sentence and an exit code."""
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except (CycloptsError, ConfigError) as error:
        print(f"forebay: {error}", file=sys.stderr)
        sys.exit(2)
    except ForebayError as error:
        print(f"forebay: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("forebay: stopped; what was fetched so far is kept", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
