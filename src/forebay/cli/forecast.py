"""The commands that forecast: `forebay hindcast` and `forebay run`."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from forebay.cli.archive import fetch_now
from forebay.cli.arguments import ArchiveUrl, AsJson, DamName, archive_at, print_result, settings_in_force
from forebay.errors import ForebayError
from forebay.files import check_writable

if TYPE_CHECKING:
    from forebay.jobs.forecast import Outcome



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


def hindcast(
    dam_name: DamName,
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
    as_json: AsJson = False,
) -> None:
    """Show how good the forecasts would have been, each made from what was known then; fetches nothing.

    Example: forebay hindcast warragamba --late-drivers
    """
    from forebay.cli import terminal
    from forebay.dams.dam_file import load_dam
    from forebay.features.daily_tables import add_uncoded, read_daily_tables
    from forebay.jobs import hindcast as review
    from forebay.models.fits import open_fits
    from forebay.verify.hindcast import Execution

    settings, _ = settings_in_force()
    dam = load_dam(dam_name)
    if nets:
        dam = dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"nets": True})})
    folder = output or Path(settings.output) / dam.id
    check_writable(folder)
    with archive_at(archive, settings, create=False) as archive_db:
        if archive_db.newest(dam.target_gauge) is None:
            raise ForebayError(f"the archive holds no level of {dam.name}; run `forebay fetch {dam_name}` first")
        now = datetime.now(UTC)
        days = read_daily_tables(dam, archive_db, now=now)
        days = add_uncoded(days, dam, archive_db, now=now) if again.screens_for_codes else days
    asked = [name for name, is_asked in asdict(again).items() if is_asked]
    with terminal.progress() as progress:
        execution = Execution(open_fits(settings), os.cpu_count() or 1, progress)
        made = review.review(dam, days, again=asked, execution=execution)
    files = [str(path) for path in review.write_review(made, dam, folder)]
    tables = {name: review.score_rows(of.scores, dam) for name, of in made.items()}
    costs = {review.AGAIN[name][0]: review.cost_rows(made, name, dam) for name in asked}
    content = {"dam": dam.id, "simulated": dam.simulated, "unit": dam.target.unit, **tables, "files": files}
    print_result(content, as_json, lambda: terminal.reviewed(dam, tables[review.ON_TIME], costs, folder))


def run(
    dam_name: DamName,
    /,
    *,
    init: Annotated[date | None, Parameter(help="Forecast from dam day, by default from the newest known of.")] = None,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for the report; by default runs/ID.")
    ] = None,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Fetch, hindcast, forecast and report: the whole way from gauges to a page that an operator can read.

    Example: forebay run demo
    """
    from forebay.charts import drawing
    from forebay.cli import terminal
    from forebay.dams.dam_file import load_dam
    from forebay.features.daily_tables import read_daily_tables
    from forebay.jobs import forecast as pipeline
    from forebay.models.fits import open_fits
    from forebay.verify.hindcast import Execution

    settings, _ = settings_in_force()
    dam = load_dam(dam_name)
    folder = output or Path(settings.output) / dam.id
    check_writable(folder)
    drawing.begin()
    with archive_at(archive, settings) as archive_db:
        fetched = fetch_now(dam, archive_db, settings)
        now = datetime.now(UTC)  # after the fetch: what it brought is known now
        if fetched.failure is not None and archive_db.newest(dam.target_gauge) is None:
            raise fetched.failure
        days = read_daily_tables(dam, archive_db, now=now, init_date=init)
    with terminal.progress() as progress:
        outcome = pipeline.forecast_dam(
            dam, days, now=now, fetched=fetched, execution=Execution(open_fits(settings), os.cpu_count() or 1, progress)
        )
    files = pipeline.write_outcome(outcome, fetched, folder)
    summary = _summary(outcome, files)
    print_result(summary, as_json, lambda: terminal.outcome(outcome.issued, outcome.scores, dam, files))


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
        "lacks": issued.limitations,
        "outside_experience": issued.outside_experience,
        "intervals_are_a_lower_bound": bool(issued.outside_experience),
        "forcings": issued.forcings,
        "forecast": issued.table.to_dicts(),
        "explanation": issued.explanation.to_dicts(),
        "scores": outcome.scores.filter(outcome.scores["regime"] == "all").to_dicts(),
        "files": [str(path) for path in files],
    }
