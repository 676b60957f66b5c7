"""The command line: one command per step, in the words of the rooms.

Exit codes: 0 done, 1 failed, 2 bad usage (an argument, a setting or a dam file is wrong).
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter

from forebay import __version__
from forebay.cli.archive import archive_commands, fetch, fetched_now, revisions
from forebay.cli.arguments import ArchiveUrl, DamArgument, Json, opened, say, settings_in_force
from forebay.cli.stations import stations
from forebay.errors import ConfigError, ForebayError
from forebay.files import check_writable

if TYPE_CHECKING:
    from forebay.jobs.forecast import Outcome

app = App(
    name="forebay",
    version=__version__,
    help="Forecasts the water level of dams, 1 to 7 days ahead, from public gauges, with honest intervals.",
    suppress_keyboard_interrupt=False,  # main says what was kept
)
app.command(stations)
app.command(fetch)
app.command(revisions)
app.command(archive_commands)


@app.command
def dams(*, as_json: Json = False) -> None:
    """List the built-in dams.

    Example: forebay dams
    """
    from forebay.cli import terminal
    from forebay.dams.dam_file import catalogue, load_dam

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
    from forebay.cli import terminal
    from forebay.settings import leaves

    chosen, origin = settings_in_force()
    rows = [{"setting": k, "value": _without_password(v), "from": origin[k]} for k, v in leaves(chosen.model_dump())]
    say(rows, as_json, lambda: terminal.table("Settings in force", rows))


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
    from forebay.cli import terminal
    from forebay.dams.dam_file import load_dam
    from forebay.days.daily import join, write_daily

    chosen, _ = settings_in_force()
    this = load_dam(dam)
    with opened(archive, chosen, create=False) as held:
        readings = held.as_of(this.gauges)
    if readings.is_empty():
        raise ForebayError(f"the archive holds nothing of {this.name}; run `forebay fetch {dam}` first")
    frame = join(readings, this)
    write_daily(frame, output)
    made = {"file": str(output), "days": len(frame), "from": frame["date"][0], "to": frame["date"][-1]}
    say(made, as_json, lambda: terminal.line(f"{output}: {len(frame)} days, {made['from']} to {made['to']}"))


@Parameter(name="*")
@dataclass(frozen=True)
class Again:
    """The hindcasts that are made once more, with other inputs, and compared: names of `review.AGAIN`."""

    late_drivers: Annotated[bool, Parameter(negative="", help="Once more, every driver known a day later.")] = False
    screens_for_codes: Annotated[
        bool, Parameter(negative="", help="Once more, quality codes ignored in the inputs: only our own screen.")
    ] = False
    perfect_rain: Annotated[
        bool, Parameter(negative="", help="Once more, with rain that nobody could know: a bound, not a forecast.")
    ] = False


@app.command
def hindcast(
    dam: DamArgument,
    /,
    *,
    again: Again = Again(),
    nets: Annotated[
        bool, Parameter(negative="", help="The article's net too, also in the blend: minutes, and needs forebay[nets].")
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
    from forebay.cli import terminal
    from forebay.dams.dam_file import load_dam
    from forebay.jobs import forecast as pipeline
    from forebay.jobs import hindcast as review
    from forebay.models.fits import open_fits

    chosen, _ = settings_in_force()
    this = load_dam(dam)
    if nets:
        this = this.model_copy(update={"hindcast": this.hindcast.model_copy(update={"nets": True})})
    folder = output or Path(chosen.output) / this.id
    check_writable(folder)
    with opened(archive, chosen, create=False) as held:
        if held.newest(this.target_gauge) is None:
            raise ForebayError(f"the archive holds no level of {this.name}; run `forebay fetch {dam}` first")
        now = datetime.now(UTC)
        days = pipeline.read_days(this, held, now=now)
        days = pipeline.with_uncoded(days, this, held, now=now) if again.screens_for_codes else days
    asked = [name for name, is_asked in asdict(again).items() if is_asked]
    with terminal.progress() as progress:
        made = review.review(this, days, again=asked, fits=open_fits(chosen), progress=progress)
    files = [str(path) for path in review.write_review(made, this, folder)]
    tables = {name: review.score_rows(of.scores, this) for name, of in made.items()}
    costs = {review.AGAIN[name][0]: review.cost_rows(made, name, this) for name in asked}
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
    from forebay.cli import terminal
    from forebay.dams.dam_file import load_dam
    from forebay.days.daily import join
    from forebay.days.datum import on_one_datum
    from forebay.report import screening
    from forebay.screen.flags import flags, spells

    chosen, _ = settings_in_force()
    this = load_dam(dam)
    folder = output or Path(chosen.output) / this.id / "screening"
    check_writable(folder)
    with opened(archive, chosen, create=False) as held:
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
    init: Annotated[date | None, Parameter(help="Forecast from this day, by default from the newest known of.")] = None,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for the report; by default runs/ID.")
    ] = None,
    archive: ArchiveUrl = None,
    as_json: Json = False,
) -> None:
    """Fetch, hindcast, forecast and report: the whole way from gauges to a page that an operator can read.

    Example: forebay run demo
    """
    from forebay.charts import drawing
    from forebay.cli import terminal
    from forebay.dams.dam_file import load_dam
    from forebay.jobs import forecast as pipeline
    from forebay.models.fits import open_fits

    chosen, _ = settings_in_force()
    this = load_dam(dam)
    folder = output or Path(chosen.output) / this.id
    check_writable(folder)
    drawing.begin()
    with opened(archive, chosen) as held:
        fetched = fetched_now(this, held, chosen)
        now = datetime.now(UTC)  # after the fetch: what it brought is known now
        if fetched.failure is not None and held.newest(this.target_gauge) is None:
            raise fetched.failure
        days = pipeline.read_days(this, held, now=now, init_date=init)
    with terminal.progress() as progress:
        outcome = pipeline.forecast_dam(
            this, days, now=now, fetched=fetched, fits=open_fits(chosen), progress=progress
        )
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

    from forebay.article import run as recipes
    from forebay.cli import terminal
    from forebay.models.fits import open_fits

    chosen, _ = settings_in_force()
    choice = recipes.Choice(recipe, backend, seeds)
    folder = output or Path(chosen.output) / "article"
    check_writable(folder)
    now = datetime.now(UTC)
    with terminal.progress() as progress:
        with nullcontext() if data else opened(None, chosen) as held:
            record = recipes.read(data, settings=chosen, now=now, archive=held, progress=progress)
        told = recipes.run(record, choice, now=now, fits=open_fits(chosen), progress=progress)
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
        "level_date": issued.level_date,
        "level_age_days": issued.level_age_days,
        "thresholds_withheld_from": issued.withheld_from,
        "current": not issued.stale,
        "lacks": issued.lacks,
        "outside_experience": issued.outside_experience,
        "intervals_are_a_lower_bound": bool(issued.outside_experience),
        "forcings": issued.forcings,
        "forecast": issued.forecasts.to_dicts(),
        "explanation": issued.explanation.to_dicts(),
        "scores": outcome.scores.filter(outcome.scores["regime"] == "all").to_dicts(),
        "files": [str(path) for path in files],
    }


def _without_password(value: object) -> object:
    """A URL without its password, anything else as it is."""
    from forebay.settings import without_password

    if isinstance(value, str) and "://" in value:
        from forebay.archive.engines import shown_setting

        return shown_setting(value)
    return without_password(value) if isinstance(value, str) else value


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
