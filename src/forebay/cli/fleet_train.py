"""The command `forebay fleet train`, of the group in `cli.fleet`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from forebay.cli.arguments import ArchiveUrl, AsJson, DamNames, WholeNumber, print_result, settings_in_force

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.global_model import GlobalModel
    from forebay.settings import Settings


def train(
    *dam_names: DamNames,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="File of the model.")] = Path("model.txt"),
    without: Annotated[
        list[str] | None, Parameter(negative="", help="Id of a dam that the model must not learn from; repeatable.")
    ] = None,
    every: Annotated[
        WholeNumber, Parameter(validator=Number(gte=1), help="Years from one vintage of the model to the next.")
    ] = 1,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Train a global model on the archives of many dams, for dams with little data of their own; fetches nothing.

    A dam file uses it with the key `global_model`.

    Example: forebay fleet train dams -o model.txt
    """
    from forebay.cli import terminal
    from forebay.files import check_writable_file
    from forebay.jobs import global_model as job

    settings, _ = settings_in_force()
    check_writable_file(output, (".txt",))
    with terminal.progress() as progress:
        model = job.train_global_model(
            _dams(dam_names, settings),
            archive=archive or settings.archive,
            settings=settings,
            without=without or [],
            every=every,
            progress=progress,
        )
    job.write_global_model(model, output)
    print_result(_json_content(model, output), as_json, lambda: _print_model(model, output))


def _dams(names: tuple[str, ...], settings: Settings) -> list[Dam]:
    """The dams of `names`; all of them must be readable."""
    from forebay.errors import ConfigError
    from forebay.fleet.members import fleet_members

    dams = []
    for member in fleet_members(names, settings):
        if member.dam is None:
            raise ConfigError(member.failure or f"{member.name} cannot be read")
        dams.append(member.dam)
    return dams


def _json_content(model: GlobalModel, path: Path) -> dict[str, object]:
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "inputs": len(model.inputs),
        "licences": dict(model.licences),
        "vintages": [{"until": v.until, "rows": v.rows, "dams": list(v.dams)} for v in model.vintages],
    }


def _print_model(model: GlobalModel, path: Path) -> None:
    from forebay.cli import terminal

    rows = [{"vintage": v.until, "dams": len(v.dams), "rows": v.rows} for v in model.vintages]
    terminal.table("Vintages: each learned from changes that ended before its day", rows)
    terminal.table("Data", [{"dam": name, "licence": licence or "not stated"} for name, licence in model.licences])
    terminal.line(f"File: {path} ({path.stat().st_size:,} bytes)")
    terminal.line(f'A dam uses it with `global_model = "{path.name}"` at the top of its dam file in the same folder.')
