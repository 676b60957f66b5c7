"""Commands that forecast: `forebay hindcast`, `forebay forecast` and `forebay run`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from forebay.cli.arguments import (
    ArchiveUrl,
    AsJson,
    DamName,
    Form,
    archive_at,
    dam_named,
    print_result,
    settings_in_force,
)
from forebay.files import check_writable

if TYPE_CHECKING:
    from forebay.jobs.forecast import ForecastResult

InitDate = Annotated[date | None, Parameter(name="--init", help="Forecast from this day; by default the newest one.")]


@Parameter(name="*")
@dataclass(frozen=True)
class Variants:
    """Hindcasts with other inputs, each compared with the hindcast itself: names of `jobs.hindcast.VARIANTS`."""

    late_drivers: Annotated[bool, Parameter(negative="", help="Add a hindcast with drivers known a day later.")] = False
    screens_for_codes: Annotated[
        bool, Parameter(negative="", help="Add a hindcast without quality codes: only our own screen.")
    ] = False
    perfect_rain: Annotated[
        bool, Parameter(negative="", help="Add a hindcast with observed future rain: a bound, not a forecast.")
    ] = False
    without_forecasts: Annotated[
        bool, Parameter(negative="", help="Add a hindcast without the dam file's forecasts and plans.")
    ] = False
    perfect_forecasts: Annotated[
        bool, Parameter(negative="", help="Add a hindcast with observed values in place of the forecast ones.")
    ] = False


NO_VARIANTS = Variants()


def hindcast(
    dam_name: DamName,
    /,
    *,
    variants: Variants = NO_VARIANTS,
    nets: Annotated[
        bool, Parameter(negative="", help="Add the article's net, also to the blend; slow, needs forebay[nets].")
    ] = False,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for the tables and charts; by default runs/ID.")
    ] = None,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Score past forecasts, each computed only from what was known at the time; fetches nothing.

    Example: forebay hindcast warragamba --late-drivers
    """
    from forebay.cli import terminal
    from forebay.jobs import hindcast as job
    from forebay.verify.score_tables import input_costs, score_summary

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    if nets:
        dam = dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"nets": True})})
    folder = output or Path(settings.output) / dam.id
    check_writable(folder)
    names = [name for name, is_on in asdict(variants).items() if is_on]
    with terminal.progress() as progress:
        result = job.hindcast(
            dam, archive=archive or settings.archive, settings=settings, variants=names, progress=progress
        )
        files = [str(path) for path in job.write_hindcast(result, folder, progress)]
    tables = {name: score_summary(verification.scores, dam) for name, verification in result.hindcasts.items()}
    costs = {job.VARIANTS[name][0]: input_costs(result.scores, result.hindcasts[name].scores, dam) for name in names}
    content = {"dam": dam.id, "simulated": dam.simulated, "unit": dam.target.unit, **tables, "files": files}
    print_result(content, as_json, lambda: terminal.print_hindcast(dam, tables[job.ON_TIME], costs, folder))


def forecast(
    dam_name: DamName,
    /,
    *,
    init_date: InitDate = None,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for forecast.csv and explanation.csv.")
    ] = None,
    form: Form = "csv",
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Forecast from what the archive holds, without a report; uses the fits that the last hindcast left in the cache.

    The forecast is recorded in the archive before it is printed.

    Example: forebay forecast warragamba --json
    """
    from forebay.cli import terminal
    from forebay.jobs import forecast as job
    from forebay.jobs.forecast_files import write_forecast
    from forebay.models.tree_library import load_lightgbm_alone

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    if output is not None:
        check_writable(output)
    url = archive or settings.archive
    load_lightgbm_alone()
    with terminal.progress() as progress:
        result = job.forecast(
            dam, archive=url, settings=settings, init_date=init_date, update=False, progress=progress
        )
    files = [] if output is None else write_forecast(result, output, report=False, form=form)
    _print_forecast(result, files, as_json)


def run(
    dam_name: DamName,
    /,
    *,
    init_date: InitDate = None,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for the report; by default runs/ID.")
    ] = None,
    form: Form = "csv",
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Fetch, hindcast, forecast and write the report: everything from gauges to a page for the operator.

    Example: forebay run demo
    """
    from forebay.charts import drawing
    from forebay.cli import terminal
    from forebay.jobs import forecast as job
    from forebay.jobs.forecast_files import write_forecast
    from forebay.models.tree_library import load_lightgbm_alone

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    folder = output or Path(settings.output) / dam.id
    check_writable(folder)
    load_lightgbm_alone()
    drawing.start_bundle(Path(settings.cache) / "scripts" if settings.cache_mb else None)
    drawing.start_processes()
    with terminal.progress() as progress:
        with archive_at(archive, settings) as store:
            result = job.forecast(dam, archive=store, settings=settings, init_date=init_date, progress=progress)
        files = write_forecast(result, folder, form=form, progress=progress)
    _print_forecast(result, files, as_json)


def _print_forecast(result: ForecastResult, files: list[Path], as_json: bool) -> None:
    from forebay.cli import terminal
    from forebay.jobs.forecast_content import forecast_content

    print_result(
        lambda: forecast_content(result, files),
        as_json,
        lambda: terminal.print_forecast(
            result.issued,
            result.overall_scores,
            result.dam,
            files,
            recent=result.recent_scores,
            outlook=result.outlook,
            record=result.record_text,
        ),
    )
