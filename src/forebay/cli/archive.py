"""Commands that fill, inspect and maintain the archive: `forebay fetch`, `revisions`, `archive …`."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from forebay.cli.arguments import (
    ArchiveUrl,
    AsJson,
    DamName,
    archive_at,
    dam_named,
    lease_wait,
    print_result,
    settings_in_force,
)
from forebay.errors import ForebayError, NoArchiveError

if TYPE_CHECKING:
    from forebay.archive.lease import LeaseWait
    from forebay.archive.upkeep import ArchiveCheck, CopyReport
    from forebay.dams.dam import Dam
    from forebay.settings import Settings

LISTED_REVISIONS = 40
"""Newest revisions that a terminal lists; --json has all."""

BackupFile = Annotated[Path, Parameter(help="The backup, an SQLite file.")]
Replace = Annotated[bool, Parameter(negative="", help="Replace an existing file or archive.")]

archive_commands = App(
    name="archive",
    help="Maintain the archive: check, copy, back up, restore, compact.\n\nExample: forebay archive check",
)


@Parameter(name="*")
@dataclass(frozen=True)
class FetchDays:
    """Days of a fetch."""

    since: Annotated[date | None, Parameter(help="First day; by default where the archive ends.")] = None
    until: Annotated[date | None, Parameter(help="Last day; by default today.")] = None
    forecasts_since: Annotated[
        date | None, Parameter(help="Also fetch the weather forecasts that were known on each day since then.")
    ] = None

    @property
    def span(self) -> tuple[date | None, date | None]:
        """First and last day."""
        return self.since, self.until


ALL_DAYS = FetchDays()


def fetch(
    dam_name: DamName,
    /,
    *,
    days: FetchDays = ALL_DAYS,
    dry_run: Annotated[bool, Parameter(negative="", help="List the requests; send none, store nothing.")] = False,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Update the archive with a dam's readings.

    Example: forebay fetch warragamba --since 2020-01-01
    """
    from forebay.cli import terminal
    from forebay.jobs.observations import fetch_now, warn_of_errors

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    if dry_run:
        requests = _planned_requests(dam, archive or settings.archive, settings, days=days)
        title = f"{dam.name}: requests of a fetch, at most"
        print_result(requests, as_json, lambda: terminal.table(title, requests))
        return
    with archive_at(archive, settings) as store, terminal.progress() as progress:
        report = fetch_now(
            dam, store, settings, span=days.span, forecasts_since=days.forecasts_since, progress=progress
        )
    rows = report.table.to_dicts()
    print_result(rows, as_json, lambda: terminal.print_fetch(dam, rows))
    if report.failure is not None:
        raise report.failure
    warn_of_errors(report)
    if (days.since or days.until) and not report.table["rows"].head(len(dam.gauges)).sum():
        raise ForebayError(
            f"no gauge of {dam.name} has a reading from {days.since or 'its start'} to {days.until or 'today'}; "
            "choose other days with --since and --until"
        )


def _planned_requests(
    dam: Dam, url: str, settings: Settings, *, days: FetchDays
) -> list[dict[str, object]]:
    """Requests that a fetch would send, a row each; an archive that does not exist is not created."""
    from forebay.archive.fetch import FetchRequest, plan_dam

    store = None
    with ExitStack() as stack:
        with suppress(NoArchiveError):
            store = stack.enter_context(archive_at(url, settings, create=False))
        request = FetchRequest(now=datetime.now(UTC), **asdict(days))
        table = plan_dam(dam, store, settings=settings, request=request)
    return table.with_columns(*(table[name].dt.to_string("%Y-%m-%d %H:%M") for name in ("first", "last"))).to_dicts()


def revisions(
    dam_name: DamName,
    /,
    *,
    gauge: Annotated[str | None, Parameter(help="Station or column of one gauge; by default all.")] = None,
    since: Annotated[date | None, Parameter(help="Only revisions fetched on or after this day.")] = None,
    until: Annotated[date | None, Parameter(help="Only revisions fetched on or before this day.")] = None,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """List the readings that agencies revised after publication: old value, new value, when, by how much.

    Example: forebay revisions warragamba --gauge 212242 --since 2024-05-01
    """
    from forebay.archive.revisions import changes, select_gauges, summary, text_rows
    from forebay.cli import terminal

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    gauges = select_gauges(dam, gauge)
    with archive_at(archive, settings, create=False) as store:
        table = changes(dam, store, gauges, since=since, until=until)

    def print_tables() -> None:
        if table.is_empty():
            terminal.line(f"{dam.title}: no revision of these gauges on these days")
            return
        terminal.table(f"{dam.title}: revisions by gauge", summary(table))
        newest = table.sort("changed", maintain_order=True).tail(LISTED_REVISIONS)
        terminal.table(f"{dam.title}: the newest {newest.height} of {table.height} revisions", text_rows(newest))

    print_result(table.to_dicts(), as_json, print_tables)


@archive_commands.command
def check(*, archive: ArchiveUrl = None, as_json: AsJson = False) -> None:
    """Check the archive for faults in the file, in keys and in versions; exit code 1 if there are any.

    Example: forebay archive check
    """
    from forebay.archive import upkeep
    from forebay.cli import terminal

    result = upkeep.check(_archive_url(archive), datetime.now(UTC))
    content = f"{result.series:,} series, {result.versions:,} versions, {_records(result)}{_megabytes(result.size)}"

    def print_faults() -> None:
        terminal.line(f"{result.where}: {content}")
        terminal.table("Faults", [{"fault": fault, "found": count} for fault, count in result.faults.items()])

    print_result(asdict(result), as_json, print_faults)
    if result.fault_summary:
        raise ForebayError(f"archive {result.where} has faults: {result.fault_summary}; restore it from a backup")


@archive_commands.command
def copy(
    *,
    to: Annotated[str, Parameter(help="URL of an empty archive.")],
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Copy every version into another archive, from SQLite to PostgreSQL or back.

    Example: forebay archive copy --to postgresql+psycopg://forebay@db.example/forebay
    """
    from forebay.archive import upkeep
    from forebay.cli import terminal

    with terminal.progress() as progress:
        result = upkeep.copy(
            _archive_url(archive), to, lease_wait=_lease_wait(),
            progress=lambda count, total: progress("copy", count, total),
        )  # fmt: skip
    _print_copy(result, as_json)


@archive_commands.command
def backup(
    file: BackupFile, /, *, replace: Replace = False, archive: ArchiveUrl = None, as_json: AsJson = False
) -> None:
    """Write the archive into one file and verify the file; other processes may write meanwhile.

    Example: forebay archive backup /srv/backups/forebay-2024-05-01.db
    """
    from forebay.archive import upkeep
    from forebay.cli import terminal

    with terminal.progress() as progress:
        result = upkeep.backup(
            _archive_url(archive), file, replace=replace,
            progress=lambda count, total: progress("backup", count, total),
        )  # fmt: skip
    _print_copy(result, as_json)


@archive_commands.command
def restore(
    file: BackupFile, /, *, replace: Replace = False, archive: ArchiveUrl = None, as_json: AsJson = False
) -> None:
    """Restore a backup into an empty archive; --replace allows a full one, which is backed up first.

    Example: forebay archive restore /srv/backups/forebay-2024-05-01.db --archive sqlite:///forebay.db
    """
    from forebay.archive import upkeep
    from forebay.cli import terminal

    with terminal.progress() as progress:
        result = upkeep.restore(
            file, _archive_url(archive), datetime.now(UTC), replace=replace, lease_wait=_lease_wait(),
            progress=lambda count, total: progress("restore", count, total),
        )  # fmt: skip
    _print_copy(result, as_json)


@archive_commands.command
def compact(*, archive: ArchiveUrl = None, as_json: AsJson = False) -> None:
    """Return unused disk space to the system; nothing is deleted.

    Example: forebay archive compact
    """
    from forebay.archive import upkeep
    from forebay.cli import terminal

    result = upkeep.compact(_archive_url(archive), lease_wait=_lease_wait())
    sizes = f"{_megabytes(result.before)} before, {_megabytes(result.after)} now"
    summary = f"{result.where}: {result.versions:,} versions, {sizes}"
    print_result(asdict(result), as_json, lambda: terminal.line(summary))


def _archive_url(url: str | None) -> str:
    return url or settings_in_force()[0].archive


def _lease_wait() -> LeaseWait:
    return lease_wait(settings_in_force()[0])


def _print_copy(result: CopyReport, as_json: bool) -> None:
    from forebay.cli import terminal

    previous = f"; the previous content is in {result.replaced_backup}" if result.replaced_backup else ""
    summary = (
        f"{result.target}: {result.series:,} series, {result.versions:,} versions, {_records(result)}"
        f"{_megabytes(result.size)}, "
        f"verified against {result.source}{previous}"
    )
    fields = asdict(result)
    fields["kept"] = fields.pop("replaced_backup")  # the key in the output of --json
    print_result(fields, as_json, lambda: terminal.line(summary))


def _records(result: ArchiveCheck | CopyReport) -> str:
    """Number of forecast records, as part of a list."""
    return f"{result.records:,} forecast records, " if result.records else ""


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
