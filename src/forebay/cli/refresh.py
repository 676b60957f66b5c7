"""The command for every morning: `forebay refresh`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from forebay.cli.arguments import ArchiveUrl, AsJson, print_result, settings_in_force
from forebay.errors import ConfigError, ForebayError


def refresh(
    *dam_names: Annotated[
        str, Parameter(name="DAM", help="Ids of built-in dams (see `forebay dams`) or paths of dam files (TOML).")
    ],
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder with a folder per dam; by default runs.")
    ] = None,
    report: Annotated[bool, Parameter(negative="", help="Write each dam's report and figures, too.")] = False,
    scenarios: Annotated[
        bool, Parameter(negative="", help="Write what `forebay serve` answers scenarios from; it takes longer.")
    ] = False,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Fetch and forecast many dams, for every morning; one dam's fault stops no other.

    Example: forebay refresh demo --json
    """
    from forebay.cli import terminal
    from forebay.jobs import refresh as job
    from forebay.models.tree_library import load_lightgbm_alone

    if not dam_names:
        raise ConfigError("no dam to refresh; give ids of built-in dams or paths of dam files, such as: demo lake.toml")
    settings, _ = settings_in_force()
    load_lightgbm_alone()
    with terminal.progress() as progress:
        result = job.refresh(
            dam_names,
            archive=archive,
            settings=settings,
            output=output,
            report=report,
            scenarios=scenarios,
            progress=progress,
        )
    rows = result.to_frame().to_dicts()
    content = {"dams": rows, "failed": [outcome.dam for outcome in result.failures]}
    print_result(content, as_json, lambda: terminal.print_refresh(result.title(), rows))
    if result.failures:
        names = ", ".join(outcome.dam for outcome in result.failures)
        raise ForebayError(f"{len(result.failures)} of {len(rows)} dams failed: {names}")
