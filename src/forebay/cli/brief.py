"""Command `forebay brief`: one page of text for the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.cli.arguments import ArchiveUrl, AsJson, DamName, dam_named, print_result, settings_in_force
from forebay.cli.forecast import InitDate

if TYPE_CHECKING:
    from forebay.jobs.brief import BriefResult


def brief(
    dam_name: DamName,
    /,
    *,
    init_date: InitDate = None,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Print one page for the morning: lake, inflow, forecast, thresholds, late data, similar days; fetches nothing.

    The forecast is recorded in the archive before it is printed.

    Example: forebay brief warragamba
    """
    from forebay.cli import terminal
    from forebay.jobs import brief as job
    from forebay.models.tree_library import load_lightgbm_alone

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    load_lightgbm_alone()
    with terminal.progress() as progress:
        result = job.brief(
            dam,
            archive=archive or settings.archive,
            settings=settings,
            init_date=init_date,
            update=False,
            progress=progress,
        )
    print_result(lambda: result.content, as_json, lambda: print_brief(result))


def print_brief(result: BriefResult) -> None:
    """Print the page line by line."""
    from forebay.cli import terminal

    for text in result.text().splitlines():
        terminal.line(text)
