"""Command `forebay outlook`: will the level reach a threshold, and by when?"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from forebay.cli.arguments import ArchiveUrl, AsJson, DamName, dam_named, print_result, settings_in_force
from forebay.cli.forecast import InitDate
from forebay.cli.long_outlook import LongOptions, long_result, print_long_outlook
from forebay.cli.scenario import ScenarioOptions, print_scenarios, scenario_result
from forebay.errors import ConfigError
from forebay.files import check_writable

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.jobs.outlook import OutlookResult
    from forebay.settings import Settings

NO_SCENARIO, NOT_LONG = ScenarioOptions(), LongOptions()


def outlook(  # noqa: PLR0913  # the options of three kinds of outlook are two of them
    dam_name: DamName,
    /,
    *,
    init_date: InitDate = None,
    scenario: ScenarioOptions = NO_SCENARIO,
    long: LongOptions = NOT_LONG,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for forecast.csv, probabilities.csv and others.")
    ] = None,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show how likely the level reaches full supply and each threshold, on and by each day; fetches nothing.

    With an option of a scenario it shows the level if this rain falls instead, and with --months the storage of the
    coming months by the water balance of past years.

    Example: forebay outlook warragamba --rain 44,20,0
    """
    if long.is_long and scenario.is_scenario:
        raise ConfigError("--months and the options of a scenario ask two questions; give one of them")
    settings, _ = settings_in_force()
    dam, url = dam_named(dam_name, settings), archive or settings.archive
    if output is not None:
        check_writable(output)
    if scenario.is_scenario:
        answers = scenario_result(dam, scenario, archive=url, settings=settings, init_date=init_date)
        print_scenarios(answers, output, as_json)
    elif long.is_long:
        months = long_result(dam, long, archive=url, settings=settings, init_date=init_date)
        print_long_outlook(months, output, as_json)
    else:
        print_outlook(outlook_result(dam, archive=url, settings=settings, init_date=init_date), output, as_json)


def outlook_result(dam: Dam, *, archive: str, settings: Settings, init_date: date | None) -> OutlookResult:
    """The probabilities of the coming days."""
    from forebay.cli import terminal
    from forebay.jobs import outlook as job
    from forebay.models.tree_library import load_lightgbm_alone

    load_lightgbm_alone()
    with terminal.progress() as progress:
        return job.outlook(
            dam, archive=archive, settings=settings, init_date=init_date, update=False, progress=progress
        )


def print_outlook(result: OutlookResult, output: Path | None, as_json: bool) -> None:
    """Write the files of a forecast into the folder `output`, if there is one, and print its probabilities."""
    from forebay.jobs.forecast_content import outlook_content
    from forebay.jobs.forecast_files import write_forecast

    files = [] if output is None else write_forecast(result.forecast, output, report=False)
    print_result(lambda: outlook_content(result.forecast, files), as_json, lambda: _print_text(result))


def storage_lines(result: OutlookResult) -> list[str]:
    """Level, storage, % full and airspace at the start of the forecast, and what is unknown, as sentences."""
    from forebay.charts.forecast_tables import forecast_fan
    from forebay.charts.formats import TargetFormat
    from forebay.charts.storage_tables import storage_fan, storage_quantities, storage_sentences

    dam, issued = result.forecast.dam, result.forecast.issued
    fan = forecast_fan(issued.table)
    if fan.is_empty():
        return []
    storage = storage_fan(fan, dam, issued.init_date, issued.withheld_from)
    quantities = storage_quantities(storage, dam.target.variable, airspace=True)
    values = {q: q.text_with_unit(storage[f"{q.column}_q50"][0]) for q in quantities}
    texts = [text if q.title == q.unit else f"{q.title.lower()} {text}" for q, text in values.items()]
    start = f"{dam.target_gauge.kind.title} of {issued.level_date}: {TargetFormat(dam).quantity(fan['start'][0])}"
    return ["; ".join([start, *texts]), *storage_sentences(storage, dam.target.variable)]


def _print_text(result: OutlookResult) -> None:
    """Print the probabilities of each threshold, the skill of earlier ones, and the notes."""
    from forebay.charts.outlook_tables import outlook_rows, skill_sentence
    from forebay.cli import terminal
    from forebay.tables import summary_leads

    dam, issued, outlook = result.forecast.dam, result.forecast.issued, result.outlook
    rows = outlook_rows(outlook, dam)
    days = dict(outlook.probabilities.select("lead_time", "valid_date").iter_rows())
    cells = [
        {"event": row.event, "level": row.level}
        | {f"by {days[lead]}": text for lead, text in row.texts.items()}
        | {"50% likely by": row.day_50}
        for row in rows
    ]
    start = f"as of {issued.level_date}" if issued.stale else f"from {issued.init_date}"
    title = f"{dam.title}: probability of reaching thresholds, {start}"
    for text in storage_lines(result):
        terminal.line(text)
    if cells:
        terminal.table(title, cells)
    else:
        terminal.line(f"{title}: none can be given")
    leads = summary_leads(outlook.probabilities["lead_time"])
    for row in rows:
        sentence = skill_sentence(outlook.scores, row.threshold, row.direction, leads[-1])
        terminal.line(f"  · {row.event} within {leads[-1]} days. {sentence}")
    for sentence in (*outlook.notes, *issued.outside_experience, *issued.limitations):
        terminal.line(f"  · {sentence}")
