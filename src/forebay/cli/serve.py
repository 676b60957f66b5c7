"""The command that answers requests: `forebay serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from forebay.cli.arguments import ArchiveUrl, WholeNumber, archive_at, dam_named, settings_in_force
from forebay.errors import ConfigError


def serve(
    *dam_names: Annotated[
        str, Parameter(name="DAM", help="Ids of built-in dams (see `forebay dams`) or paths of dam files (TOML).")
    ],
    host: Annotated[
        str, Parameter(help="Address to listen on; others than 127.0.0.1 are open to the network.")
    ] = "127.0.0.1",
    port: Annotated[WholeNumber, Parameter(help="Port to listen on; 0 chooses a free one.")] = 8000,
    allow_host: Annotated[
        tuple[str, ...], Parameter(help="A name of this server in requests, besides localhost; repeat it for several.")
    ] = (),
    results: Annotated[
        Path | None, Parameter(help="Folder in which `forebay refresh` writes a folder per dam; by default runs.")
    ] = None,
    archive: ArchiveUrl = None,
) -> None:
    """Answer requests for the newest forecasts of dams as JSON, until Ctrl-C; it fetches and forecasts nothing.

    Example: forebay serve warragamba lake.toml --port 8000
    """
    from forebay.jobs.results import require_extra
    from forebay.web import server
    from forebay.web.site import Site

    require_extra("web", "fastapi", "uvicorn")
    if not dam_names:
        raise ConfigError("no dam to serve; give ids of built-in dams or paths of dam files, such as: demo lake.toml")
    settings, _ = settings_in_force()
    dams = [dam_named(name, settings) for name in dam_names]
    by_id = {dam.id: dam for dam in dams}
    if len(by_id) < len(dams):
        raise ConfigError("two of the dams have the same id; give each dam once, or change the id in one dam file")
    listener = server.listen(host, port)
    with listener, archive_at(archive, settings, create=False) as store:
        address, used = listener.getsockname()[:2]
        print(f"forebay: http://{address}:{used}/api/v1/dams answers; Ctrl-C ends it", flush=True)
        server.serve(Site(by_id, store, Path(results or settings.output)), listener, (address, *allow_host))
