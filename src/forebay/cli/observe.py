"""Command `forebay observe`: a level that was read by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from forebay.cli.arguments import ArchiveUrl, AsJson, DamName, dam_named, print_result, settings_in_force


@Parameter(name="*")
@dataclass(frozen=True)
class Reading:
    """When the gauge was read, in which unit, by whom, and what they noted."""

    at: Annotated[str, Parameter(name="--at", help="When it was read: 2024-05-01T06:10, in the dam's zone.")]
    unit: Annotated[str | None, Parameter(name="--unit", help="Unit of LEVEL; by default that of the dam.")] = None
    by: Annotated[str | None, Parameter(name="--by", help="Who read it; optional, and in no export.")] = None
    note: Annotated[str | None, Parameter(name="--note", help="A remark; in no export.")] = None


def observe(
    dam_name: DamName,
    level: Annotated[float, Parameter(name="LEVEL", help="Level at the staff gauge, in the dam's unit or in --unit.")],
    /,
    *,
    reading: Reading,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Store a level that was read by hand, for the days on which the gauge has no usable value.

    Example: forebay observe demo 95.4 --at 2024-05-01T06:10 --by "A. Keeper"
    """
    from forebay.cli import terminal
    from forebay.jobs import observe as job

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    observation = job.observe(
        dam,
        level,
        at=reading.at,
        unit=reading.unit,
        name=reading.by,
        note=reading.note,
        archive=archive or settings.archive,
        settings=settings,
    )

    def print_sentences() -> None:
        for sentence in observation.sentences():
            terminal.line(sentence)

    print_result(observation.content, as_json, print_sentences)
