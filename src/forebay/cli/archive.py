"""The commands that fill the archive, look into it and after it: `forebay fetch`, `revisions`, `archive …`."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from forebay.cli.arguments import ArchiveUrl, DamArgument, Json, opened, say, settings_in_force
from forebay.errors import ForebayError, NoArchiveError

if TYPE_CHECKING:
    from forebay.archive.fetch import FetchReport
    from forebay.archive.store import Archive
    from forebay.archive.upkeep import CopyReport
    from forebay.dams.dam import Dam
    from forebay.settings import Settings

SHOWN = 40
"""Revisions that a terminal shows, the newest; --json has all."""

BackupFile = Annotated[Path, Parameter(help="The backup, an SQLite file.")]
Replace = Annotated[bool, Parameter(negative="", help="Put it in the place of what is there.")]

archive_commands = App(
    name="archive",
    help="Look after the archive: check, copy, back up, restore, compact.\n\nExample: forebay archive check",
)


def fetch(
    dam: DamArgument,
    /,
    *,
    since: Annotated[date | None, Parameter(help="First day; by default where the archive ends.")] = None,
    until: Annotated[date | None, Parameter(help="Last day; by default today.")] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Print what would be asked; ask and store nothing.")] = False,
    archive: ArchiveUrl = None,
    as_json: Json = False,
) -> None:
    """Bring the archive up to date with a dam's gauges.

    Example: forebay fetch warragamba --since 2020-01-01
    """
    from forebay.cli import terminal
    from forebay.dams.dam_file import load_dam

    chosen, _ = settings_in_force()
    this = load_dam(dam)
    if dry_run:
        planned = _planned(this, archive or chosen.archive, chosen, span=(since, until))
        say(planned, as_json, lambda: terminal.table(f"{this.name}: what a fetch would ask, at most", planned))
        return
    with opened(archive, chosen) as held:
        report = fetched_now(this, held, chosen, span=(since, until))
    rows = report.table.to_dicts()
    say(rows, as_json, lambda: terminal.table(f"{this.name}: the archive's gauges", rows))
    if report.failure is not None:
        raise report.failure
    if (since or until) and not report.table["rows"].sum():
        raise ForebayError(
            f"no gauge of {this.name} has a reading from {since or 'its start'} to {until or 'today'}; "
            "choose other days with --since and --until"
        )


def fetched_now(
    dam: Dam, held: Archive, chosen: Settings, *, span: tuple[date | None, date | None] = (None, None)
) -> FetchReport:
    """What a fetch of the dam's gauges into the archive brought, with a progress bar meanwhile."""
    from forebay.archive.fetch import FetchRequest, fetch_dam
    from forebay.cli import terminal

    request = FetchRequest(datetime.now(UTC), since=span[0], until=span[1], clock=lambda: datetime.now(UTC))
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


def _planned(dam: Dam, url: str, chosen: Settings, *, span: tuple[date | None, date | None]) -> list[dict[str, object]]:
    """What a fetch would ask, a row per request; an archive that is not there yet is not made for it."""
    from forebay.archive.fetch import FetchRequest, plan_dam

    held = None
    with ExitStack() as closed:
        with suppress(NoArchiveError):
            held = closed.enter_context(opened(url, chosen, create=False))
        request = FetchRequest(now=datetime.now(UTC), since=span[0], until=span[1])
        table = plan_dam(dam, held, settings=chosen, request=request)
    return table.with_columns(*(table[name].dt.to_string("%Y-%m-%d %H:%M") for name in ("first", "last"))).to_dicts()


def revisions(
    dam: DamArgument,
    /,
    *,
    gauge: Annotated[str | None, Parameter(help="Station or column of one gauge; by default all.")] = None,
    since: Annotated[date | None, Parameter(help="Only changes found from this day on.")] = None,
    until: Annotated[date | None, Parameter(help="Only changes found until this day.")] = None,
    archive: ArchiveUrl = None,
    as_json: Json = False,
) -> None:
    """List what agencies changed of readings that they had published: what, when, by how much.

    Example: forebay revisions warragamba --gauge 212242 --since 2024-05-01
    """
    from forebay.archive.revisions import changes, select_gauges, summary, text_rows
    from forebay.cli import terminal
    from forebay.dams.dam_file import load_dam

    this = load_dam(dam)
    gauges = select_gauges(this, gauge)
    with opened(archive, settings_in_force()[0], create=False) as held:
        table = changes(this, held, gauges, since=since, until=until)

    def show() -> None:
        if table.is_empty():
            terminal.line(f"{this.title}: no revision was found of these gauges on these days")
            return
        terminal.table(f"{this.title}: revisions by gauge", summary(table))
        newest = table.sort("changed", maintain_order=True).tail(SHOWN)
        terminal.table(f"{this.title}: the newest {newest.height} of {table.height} revisions", text_rows(newest))

    say(table.to_dicts(), as_json, show)


@archive_commands.command
def check(*, archive: ArchiveUrl = None, as_json: Json = False) -> None:
    """Look for faults: in the file, in keys, in single versions; ends with 1 if there are any.

    Example: forebay archive check
    """
    from forebay.archive import upkeep
    from forebay.cli import terminal

    found = upkeep.check(_url(archive), datetime.now(UTC))
    held = f"{found.where}: {found.series:,} series, {found.versions:,} versions, {_size(found.size)}"

    def show() -> None:
        terminal.line(held)
        terminal.table("Faults", [{"fault": fault, "found": count} for fault, count in found.faults.items()])

    say(asdict(found), as_json, show)
    if found.fault_summary:
        raise ForebayError(f"archive {found.where} has faults: {found.fault_summary}; restore it from a backup")


@archive_commands.command
def copy(
    *,
    to: Annotated[str, Parameter(help="URL of an archive that holds nothing.")],
    archive: ArchiveUrl = None,
    as_json: Json = False,
) -> None:
    """Copy every version into another archive, from SQLite to PostgreSQL or back.

    Example: forebay archive copy --to postgresql+psycopg://forebay@db.example/forebay
    """
    from forebay.archive import upkeep
    from forebay.cli import terminal

    with terminal.progress() as progress:
        copied = upkeep.copy(_url(archive), to, progress=lambda done, total: progress("copy", done, total))
    _say_copied(copied, as_json)


@archive_commands.command
def backup(file: BackupFile, /, *, replace: Replace = False, archive: ArchiveUrl = None, as_json: Json = False) -> None:
    """Write the archive as it is now into one file, whoever writes to it meanwhile, and read it back.

    Example: forebay archive backup /srv/backups/forebay-2024-05-01.db
    """
    from forebay.archive import upkeep
    from forebay.cli import terminal

    with terminal.progress() as progress:
        copied = upkeep.backup(
            _url(archive), file, replace=replace, progress=lambda done, total: progress("backup", done, total)
        )
    _say_copied(copied, as_json)


@archive_commands.command
def restore(
    file: BackupFile, /, *, replace: Replace = False, archive: ArchiveUrl = None, as_json: Json = False
) -> None:
    """Put a backup into an archive that holds nothing; with --replace over one that does, which is backed up first.

    Example: forebay archive restore /srv/backups/forebay-2024-05-01.db --archive sqlite:///forebay.db
    """
    from forebay.archive import upkeep
    from forebay.cli import terminal

    with terminal.progress() as progress:
        copied = upkeep.restore(
            file, _url(archive), datetime.now(UTC), replace=replace,
            progress=lambda done, total: progress("restore", done, total),
        )  # fmt: skip
    _say_copied(copied, as_json)


@archive_commands.command
def compact(*, archive: ArchiveUrl = None, as_json: Json = False) -> None:
    """Give back the space that the archive does not use; nothing is deleted.

    Example: forebay archive compact
    """
    from forebay.archive import upkeep
    from forebay.cli import terminal

    done = upkeep.compact(_url(archive))
    told = f"{done.where}: {done.versions:,} versions, {_size(done.before)} before, {_size(done.after)} now"
    say(asdict(done), as_json, lambda: terminal.line(told))


def _url(given: str | None) -> str:
    return given or settings_in_force()[0].archive


def _say_copied(copied: CopyReport, as_json: bool) -> None:
    from forebay.cli import terminal

    kept = f"; what was there before is in {copied.replaced_backup}" if copied.replaced_backup else ""
    told = (
        f"{copied.target}: {copied.series:,} series, {copied.versions:,} versions, {_size(copied.size)}, read back and "
        f"compared with {copied.source}{kept}"
    )
    fields = asdict(copied)
    fields["kept"] = fields.pop("replaced_backup")  # the key that readers of --json know
    say(fields, as_json, lambda: terminal.line(told))


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
