"""Commands on recorded forecasts: `forebay record …`, `replay`, `score-record`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

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
from forebay.errors import ForebayError
from forebay.files import check_writable

if TYPE_CHECKING:
    import polars as pl

    from forebay.jobs.replay import ReplayResult
    from forebay.jobs.score_record import RecordScores

LISTED_RECORDS = 40
"""Newest records that a terminal lists; --json has all."""
SHORT_HASH = 16
"""Digits of a hash in a table."""

RecordName = Annotated[str, Parameter(name="ID", help="Id of a record, such as demo-1, or the start of its hash.")]
RecordedDam = Annotated[
    str, Parameter(name="DAM", help="Id of a dam with records, or path of its dam file.")
]

record_commands = App(
    name="record",
    help="Recorded forecasts: list, show, verify, export.\n\nExample: forebay record list demo",
)


@Parameter(name="*")
@dataclass(frozen=True)
class InitDates:
    """Init dates of an export."""

    since: Annotated[date | None, Parameter(help="First init date; by default all.")] = None
    until: Annotated[date | None, Parameter(help="Last init date; by default all.")] = None


ALL_DATES = InitDates()


@record_commands.command(name="list")
def list_records(dam_name: RecordedDam, /, *, archive: ArchiveUrl = None, as_json: AsJson = False) -> None:
    """List the recorded forecasts of a dam, and the hash of the last one.

    Example: forebay record list demo
    """
    from forebay.cli import terminal
    from forebay.jobs.record import dam_title, dam_with_records

    settings, _ = settings_in_force()
    with archive_at(archive, settings, create=False) as store:
        dam = dam_with_records(store, dam_name, settings)
        rows = index_rows(store.records.index(dam))
        title = dam_title(store, dam)

    def print_rows() -> None:
        newest = [row | {"hash": str(row["hash"])[:SHORT_HASH]} for row in rows[-LISTED_RECORDS:]]
        cells = [{key: value for key, value in row.items() if key not in ("dam", "previous")} for row in newest]
        terminal.table(f"{title}: the newest {len(cells)} of {len(rows)} recorded forecasts", cells)
        terminal.line(f"Head: {rows[-1]['hash']}")

    print_result(rows, as_json, print_rows)


def index_rows(index: pl.DataFrame) -> list[dict[str, object]]:
    """A row per record with its id, as `record list` prints it."""
    return [
        {
            "record": f"{row['dam']}-{row['sequence']}",
            "dam": row["dam"],
            "recorded_at": row["recorded_at"],
            "issue_time": row["issue_time"],
            "init_date": row["init_date"],
            "kind": "retrospective" if row["retrospective"] else "issued",
            "replaces": row["replaces"],
            "hash": row["hash"],
            "previous": row["previous"],
        }
        for row in index.iter_rows(named=True)
    ]


@record_commands.command
def show(record: RecordName, /, *, archive: ArchiveUrl = None, as_json: AsJson = False) -> None:
    """Show a recorded forecast: what was issued, when, from which inputs, with which versions.

    Example: forebay record show demo-1
    """
    from forebay.cli import terminal
    from forebay.dams.dam_content import dam_of_content
    from forebay.forecasts.record import forecast_table
    from forebay.jobs.record import content_of, find_record

    settings, _ = settings_in_force()
    with archive_at(archive, settings, create=False) as store:
        row = find_record(store, record)
    content = content_of(row)
    target = content["dam_file"]["target"]

    def print_record() -> None:
        name = dam_of_content(content["dam_file"]).title
        title = f"{name}: {target['variable']} ({target['unit']}), forecast from"
        terminal.table(f"{title} {content['init_date']}", terminal.forecast_rows(forecast_table(content)))
        keys = ("issue_time", "recorded_at", "replaces", "retrospective", "clock_step_s", "previous")
        facts = {"record": content["id"], "hash": row["hash"][0]} | {key: content[key] for key in keys}
        environment = content["environment"]
        versions = {key: value for key, value in environment.items() if key != "libraries"} | environment["libraries"]
        rows = [{"key": key, "value": str(value)} for key, value in (facts | versions).items() if value is not None]
        terminal.table("Record", rows)
        for sentence in (*content["outside_experience"], *content["forcings"], *content["limitations"]):
            terminal.line(f"  · {sentence}")

    print_result({"hash": row["hash"][0], **content}, as_json, print_record)


@record_commands.command
def verify(
    dam_name: RecordedDam,
    /,
    *,
    head: Annotated[str | None, Parameter(help="Hash that a record must have, such as that of the last one.")] = None,
    file: Annotated[Path | None, Parameter(help="Exported file to compare: .jsonl, .csv or .nc.")] = None,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Check every record of a dam and their chain; exit code 1 if there is a fault.

    Example: forebay record verify demo --head 25a5b9079c33a308
    """
    from forebay.charts.formats import format_count
    from forebay.cli import terminal
    from forebay.jobs.record import dam_of_name, dam_with_records, verify_chain

    settings, _ = settings_in_force()
    with archive_at(archive, settings, create=False) as store:
        # With a head, an empty chain is a fault: all records were removed.
        dam = dam_of_name(dam_name, settings) if head else dam_with_records(store, dam_name, settings)
        report = verify_chain(store, dam, head=head, file=file)

    def print_report() -> None:
        count = format_count(len(report.faults), "fault")
        terminal.line(f"{report.dam}: {format_count(report.records, 'record')}, {count}")
        for fault in report.faults:
            terminal.line(f"  · {fault}")
        if report.head:
            terminal.line(f"Head: {report.head}")

    print_result(asdict(report), as_json, print_report)
    if report.faults:
        rest = f" (and {len(report.faults) - 1} more)" if len(report.faults) > 1 else ""
        raise ForebayError(f"the record of {report.dam} has faults: {report.faults[0]}{rest}; compare it with a backup")


@record_commands.command
def export(
    dam_name: RecordedDam,
    /,
    *,
    days: InitDates = ALL_DATES,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for the files; by default runs/ID/record.")
    ] = None,
    form: Form = "csv",
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write the records (JSON lines) and their forecasts (hubverse model output, NetCDF) into files.

    Example: forebay record export demo -o record
    """
    from forebay.cli import terminal
    from forebay.jobs.record import dam_with_records
    from forebay.jobs.record_files import write_records

    settings, _ = settings_in_force()
    with archive_at(archive, settings, create=False) as store:
        dam = dam_with_records(store, dam_name, settings)
        folder = output or Path(settings.output) / dam / "record"
        check_writable(folder)
        span = (days.since, days.until)
        files = write_records(store, dam, folder, days=span, netcdf=form == "netcdf", now=datetime.now(UTC))
        head = store.records.index(dam)["hash"][-1]
    content = {"dam": dam, "head": head, "files": [str(path) for path in files]}

    def print_files() -> None:
        terminal.line(f"{dam}: {len(files)} files in {folder}")
        terminal.line(f"Head: {head}")

    print_result(content, as_json, print_files)


def replay(record: RecordName, /, *, archive: ArchiveUrl = None, as_json: AsJson = False) -> None:
    """Compute a recorded forecast again from what the archive held then; exit code 1 if it differs.

    Example: forebay replay demo-1
    """
    from forebay.cli import terminal
    from forebay.jobs import replay as job

    settings, _ = settings_in_force()
    with terminal.progress() as progress, archive_at(archive, settings, create=False) as store:
        result = job.replay(record, archive=store, settings=settings, progress=progress)
    comparison, content = result.comparison, result.content
    leads = comparison.leads.to_dicts()
    summary = {
        "record": content["id"],
        "dam": content["dam"],
        "unit": content["dam_file"]["target"]["unit"],
        "equal": comparison.equal,
        "leads": leads,
        "differences": comparison.differences,
    }
    print_result(summary, as_json, lambda: _print_replay(result))
    if not comparison.equal:
        raise ForebayError(difference_sentence(result))


def difference_sentence(result: ReplayResult) -> str:
    """The sentence for a replay that differs: by how much, and what else differs."""
    largest = max((value for value in result.comparison.leads["difference"] if value is not None), default=0.0)
    unit = result.content["dam_file"]["target"]["unit"]
    causes = "; ".join(result.comparison.differences) or "inputs and versions are the same, so the code is at fault"
    return f"the replay of {result.content['id']} differs from the record by up to {largest:.3g} {unit}: {causes}"


def _print_replay(result: ReplayResult) -> None:
    from forebay.cli import terminal

    unit = result.content["dam_file"]["target"]["unit"]
    terminal.line(f"{result.again.dam.title}: {result.title()}")
    if not result.comparison.equal:
        rows = [
            {"lead": f"{row['lead_time']} d", f"largest difference ({unit})": row["difference"]}
            for row in result.comparison.leads.iter_rows(named=True)
        ]
        terminal.table("Levels of the record and of the replay", rows)
    for sentence in result.comparison.differences:
        terminal.line(f"  · {sentence}")


def score_record(dam_name: DamName, /, *, archive: ArchiveUrl = None, as_json: AsJson = False) -> None:
    """Score the recorded forecasts of a dam beside the hindcast of the same days.

    Example: forebay score-record warragamba
    """
    from forebay.cli import terminal
    from forebay.jobs import score_record as job

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    with terminal.progress() as progress, archive_at(archive, settings, create=False) as store:
        result = job.score_record(dam, archive=store, settings=settings, progress=progress)
    content = {
        "dam": dam.id,
        "simulated": dam.simulated,
        "unit": dam.target.unit,
        "scores": result.to_frame().to_dicts(),
        "left_out": result.left_out,
    }
    print_result(content, as_json, lambda: _print_scores(result))


def _print_scores(result: RecordScores) -> None:
    from forebay.cli import terminal

    rows = [
        {
            "lead": f"{row['lead_time']} d",
            "forecasts": row["forecasts"],
            "n": row["n"],
            "MAE": row["mae"],
            "pinball": row["pinball"],
            "80% coverage": row["coverage_80"],
            "90% coverage": row["coverage_90"],
        }
        for row in result.to_frame().iter_rows(named=True)
    ]
    title = f"{result.dam.title}: recorded forecasts and the hindcast of the same days ({result.dam.target.unit})"
    if rows:
        terminal.table(title, rows)
    else:
        terminal.line(f"{title}: no recorded forecast can be scored yet")
    for sentence in result.left_out:
        terminal.line(f"  · {sentence}")
