"""The command that drafts a dam file: `forebay new`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from forebay.cli.arguments import (
    ArchiveUrl,
    AsJson,
    WholeNumber,
    archive_at,
    point_of,
    print_result,
    settings_in_force,
)
from forebay.errors import ConfigError
from forebay.log import add_fields

if TYPE_CHECKING:
    from forebay.archive.fetch import FetchReport
    from forebay.dams.dam import Dam
    from forebay.draft.answers import Answers, Question
    from forebay.draft.dam import DamDraft
    from forebay.errors import DataError, SourceError
    from forebay.jobs.new_dam import NearbyDraft, NewRecord
    from forebay.settings import Settings


@Parameter(name="*")
@dataclass(frozen=True)
class Choices:
    """What is decided without a question."""

    decisions: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set",
            negative="",
            show_default=False,
            help="A decision KEY=VALUE, as the questions name it; repeatable.",
        ),
    ] = ()
    yes: Annotated[bool, Parameter(name="--yes", negative="", help="Accept proposals that change no number.")] = False


NO_CHOICES = Choices()


@Parameter(name="*")
@dataclass(frozen=True)
class Origin:
    """Where the gauges come from: files, or a place near which gauges are searched."""

    csv: Annotated[
        tuple[Path, ...],
        Parameter(
            consume_multiple=True,
            negative="",
            show_default=False,
            help="Files with readings (.csv, .xlsx); also a storage curve.",
        ),
    ] = ()
    near: Annotated[str | None, Parameter(help="Instead of files: the place of the dam, LAT,LON.")] = None
    service: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="A service to ask; repeatable; by default all nearby."),
    ] = ()
    radius_km: Annotated[float, Parameter(help="Radius of the search.")] = 50.0
    years: Annotated[WholeNumber, Parameter(help="Years of readings that rank the drivers, 1 to 50.")] = 4


NO_ORIGIN = Origin()


def new(
    dam_id: Annotated[str, Parameter(name="ID", help="Id of the new dam: a-z, 0-9, _ and -.")],
    /,
    *,
    origin: Origin = NO_ORIGIN,
    choices: Choices = NO_CHOICES,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder of the dam file; by default the current one.")
    ] = None,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Draft a dam file from files or from gauges near a place, fetch it, and show gaps and suspect values.

    Example: forebay new my_dam --csv level.csv rain.csv --set level.unit=m
    """
    from forebay.cli import terminal
    from forebay.draft.dam import draft_dam

    if bool(origin.csv) == (origin.near is not None):
        raise ConfigError("give either files with --csv, or a place with --near LAT,LON, such as --near=-33.9,150.6")
    settings, _ = settings_in_force()
    folder = output or Path()
    path = folder / f"{dam_id}.toml"
    _check_new(dam_id, path)
    answers = _answers(choices, can_ask=sys.stdin is not None and sys.stdin.isatty() and not as_json)
    if origin.near is not None:
        draft: DamDraft | NearbyDraft = _draft_near(dam_id, origin, answers, archive=archive, settings=settings)
    else:
        if missing := [file for file in origin.csv if not file.exists()]:
            raise ConfigError(f"--csv {missing[0]} does not exist; give the path of a file from the current folder")
        draft = draft_dam(dam_id, [str(file) for file in origin.csv], answers, folder=folder, now=datetime.now(UTC))
    if not as_json:
        rows = [{"decision": d.key, "value": d.value, "because": d.reason} for d in answers.decisions]
        terminal.table(f"{path}: what the files tell", rows)
    _write(path, draft.text)
    summary = _check_draft(path, draft, origin=origin, archive=archive, settings=settings, as_json=as_json)
    print_result(summary, as_json, lambda: _print_end(path, summary))


def _draft_near(
    dam_id: str, origin: Origin, answers: Answers, *, archive: str | None, settings: Settings
) -> NearbyDraft:
    """The draft from gauges near a place."""
    from forebay.cli import terminal
    from forebay.jobs.new_dam import NearbySearch, draft_near

    if not 1 <= origin.years <= 50:
        raise ConfigError(f"--years {origin.years} is not possible; allowed are 1 to 50")
    latitude, longitude = point_of(origin.near or "")
    search = NearbySearch(latitude, longitude, origin.radius_km, origin.service, origin.years)
    with archive_at(archive, settings) as store, terminal.progress() as progress:
        return draft_near(dam_id, search, answers, archive=store, settings=settings, progress=progress)


def _check_new(dam_id: str, path: Path) -> None:
    """Refuse a wrong id, to replace a dam file, and to write into a folder that does not exist."""
    from forebay.dams.fields import check_id

    try:
        check_id(dam_id)
    except ValueError as error:
        raise ConfigError(f"dam {error}") from None
    if path.exists() or path.is_symlink():
        raise ConfigError(f"{path} exists already; choose another id, another folder with -o, or remove the file")
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent} is not a folder; create it, or choose another one with -o")


def _answers(choices: Choices, *, can_ask: bool) -> Answers:
    """Decisions of the command line, and the prompt."""
    from forebay.draft.answers import Answers

    pairs = {}
    for text in choices.decisions:
        key, separator, value = text.partition("=")
        if not separator or not key.strip() or not value.strip():
            raise ConfigError(f"--set {text!r} must be KEY=VALUE, such as --set level.unit=m")
        pairs[key.strip()] = value.strip()
    return Answers(pairs, accept_defaults=choices.yes, ask=_prompt if can_ask else None)


def _prompt(question: Question) -> str:
    """The answer that a person types; asks again until it is possible."""
    from forebay.cli import terminal

    terminal.line("")
    terminal.line(f"{question.text}?")
    for number, (option, meaning) in enumerate(question.options.items(), 1):
        terminal.line(f"  {number:>2}  {option}" + (f"  ({meaning})" if meaning else ""))
    default = f" [{question.default}]" if question.default is not None else ""
    prompt = f"{'Number or name' if question.options else 'Answer'}{default}: "
    while True:
        try:
            text = input(prompt).strip()
        except EOFError:
            raise ConfigError(f"no answer to the question on {question.key}; answer it, or use --set") from None
        if (answer := _answer(text, question)) is not None:
            return answer
        advice = f"{text!r} is no answer; give a number or a name of the list"
        terminal.line(advice if question.options else "Give an answer")


def _answer(text: str, question: Question) -> str | None:
    """The answer that a text means: an option, its number, the proposal, or any text without options; None if none."""
    options = list(question.options)
    if not text:
        return question.default
    if text in options or not options:
        return text
    return options[int(text) - 1] if text.isdigit() and 1 <= int(text) <= len(options) else None


def _write(path: Path, text: str) -> None:
    """Write the dam file, unless one has appeared in the meantime."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}); choose another folder with -o") from None


def _check_draft(
    path: Path, draft: DamDraft | NearbyDraft, *, origin: Origin, archive: str | None, settings: Settings, as_json: bool
) -> dict[str, object]:
    """Result of the fetch, the screen and the pictures of the new dam file; prints the fetch."""
    from forebay.cli import terminal
    from forebay.dams.dam_file import load_dam
    from forebay.jobs.new_dam import NearbyDraft, write_record
    from forebay.jobs.observations import fetch_now

    dam = load_dam(str(path), roots=_quotable(path, origin, settings))
    add_fields({"dam": dam.id})
    drivers = draft.rows(dam) if isinstance(draft, NearbyDraft) else []
    with archive_at(archive, settings) as store, terminal.progress() as progress:
        report = fetch_now(dam, store, settings, progress=progress)
        rows = report.table.to_dicts()
        if not as_json:
            terminal.print_fetch(dam, rows)
        if report.errors:
            raise _first_error(path, report, as_json=as_json)
        record = write_record(dam, store, path.parent, settings=settings, drivers=drivers)
    gauges = json.loads(json.dumps(rows, default=str))
    return _summary(path, draft, dam, record) | {"gauges": gauges, "drivers": drivers}


def _quotable(path: Path, origin: Origin, settings: Settings) -> tuple[str, ...]:
    """Folders whose files an error may quote, and the files that the user names on the command line."""
    folders = settings.files.roots
    return (*((str(path.parent), str(Path.cwd())) if folders is None else folders), *map(str, origin.csv))


def _first_error(path: Path, report: FetchReport, *, as_json: bool) -> SourceError | DataError:
    """The error of the first gauge that could not be fetched; prints the other ones, and what to do."""
    from forebay.cli import terminal

    first, *rest = report.errors.values()
    if not as_json:
        for text in dict.fromkeys(str(error) for error in rest if str(error) != str(first)):
            terminal.line(f"  · {text}")
        terminal.line(f"{path} stays as it is: correct it or the file, then forebay fetch {path}")
    return first


def _summary(path: Path, draft: DamDraft | NearbyDraft, dam: Dam, record: NewRecord) -> dict[str, object]:
    """Decisions, days, gaps, spells and pictures of a new dam."""
    from forebay.jobs.new_dam import NearbyDraft

    return {
        "dam": dam.id,
        "file": str(path),
        "decisions": [{"key": d.key, "value": d.value, "reason": d.reason} for d in draft.answers.decisions],
        "days": len(record.daily),
        "from": str(record.daily["date"][0]),
        "to": str(record.daily["date"][-1]),
        "missing": {gauge.column: record.daily[gauge.column].null_count() for gauge in dam.gauges},
        "spells": record.spells,
        "notes": list(draft.notes) if isinstance(draft, NearbyDraft) else [],
        "pictures": [str(picture) for picture in record.pictures],
    }


def _print_end(path: Path, summary: dict[str, object]) -> None:
    """Print the days, the gaps, the suspect values and what to do next."""
    from forebay.cli import terminal

    terminal.line(f"{summary['days']} days, {summary['from']} to {summary['to']}")
    missing, spells = summary["missing"], summary["spells"]
    assert isinstance(missing, dict)
    assert isinstance(spells, list)
    terminal.table("Days without a value", [{"gauge": name, "days": count} for name, count in missing.items()])
    if spells:
        terminal.table("Suspect values (median of each spell)", spells[:20])
        if len(spells) > 20:
            terminal.line(f"and {len(spells) - 20} more: forebay screen {path}")
    else:
        terminal.line("No suspect value")
    pictures = summary["pictures"]
    assert isinstance(pictures, list)
    notes = summary["notes"]
    assert isinstance(notes, list)
    for note in notes:
        terminal.line(f"  · {note}")
    terminal.line(f"Pictures: {', '.join(picture for picture in pictures if picture.endswith('.png'))}")
    terminal.line(f"Next: check {path}, then forebay run {path}")
