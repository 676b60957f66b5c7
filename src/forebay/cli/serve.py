"""The command that answers requests: `forebay serve`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from forebay.cli.arguments import ArchiveUrl, WholeNumber, archive_at, dam_named, settings_in_force
from forebay.errors import ConfigError

if TYPE_CHECKING:
    from forebay.web.refresher import Supervisor


@Parameter(name="*")
@dataclass(frozen=True)
class RefreshOptions:
    """How the dams are refreshed."""

    refresh: Annotated[
        bool, Parameter(help="Refresh the dams in a process of its own; --no-refresh beside cron or systemd.")
    ] = True
    refresh_at: Annotated[str, Parameter(help="Clock time of the refresh, in the time zone of each dam.")] = "07:30"
    scenarios: Annotated[bool, Parameter(help="Write what scenarios are computed from, after each refresh.")] = True

    def check(self) -> None:
        """Raise `ConfigError` if the clock time is none."""
        if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", self.refresh_at):
            raise ConfigError(f"--refresh-at {self.refresh_at!r} is no clock time; give one like 07:30, up to 23:59")

    def supervisor(self, names: Mapping[str, str], archive: str | None, folder: Path) -> Supervisor | None:
        """The supervisor of the process that refreshes; None without one.

        Parameters
        ----------
        names
            Id of each dam → id of a built-in dam, or path of a dam file.
        """
        if not self.refresh:
            return None
        from forebay.cli.refresher import LOG_JSON
        from forebay.web.refresher import COMMAND, Supervisor
        from forebay.web.refresher_process import Plan

        plan = Plan(names, archive, str(folder), self.refresh_at, self.scenarios)
        return Supervisor(plan, [*COMMAND, *([LOG_JSON] if LOG_JSON in sys.argv else [])])


DAILY = RefreshOptions()


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
    refreshes: RefreshOptions = DAILY,
    archive: ArchiveUrl = None,
) -> None:
    """Show the newest forecasts of dams as pages and as JSON, until Ctrl-C; a process beside it refreshes them.

    Example: forebay serve warragamba lake.toml --port 8000
    """
    from forebay.jobs.results import require_extra
    from forebay.models.tree_library import load_lightgbm_alone
    from forebay.web import server
    from forebay.web.site import Site

    require_extra("web", "fastapi", "uvicorn", "apscheduler", "prometheus_client")
    if not dam_names:
        raise ConfigError("no dam to serve; give ids of built-in dams or paths of dam files, such as: demo lake.toml")
    refreshes.check()
    settings, _ = settings_in_force()
    load_lightgbm_alone()  # before any thread
    dams = [dam_named(name, settings) for name in dam_names]
    by_id = {dam.id: dam for dam in dams}
    if len(by_id) < len(dams):
        raise ConfigError("two of the dams have the same id; give each dam once, or change the id in one dam file")
    listener = server.listen(host, port)
    folder = Path(results or settings.output)
    names = dict(zip(by_id, dam_names, strict=True))
    with listener, archive_at(archive, settings, create=refreshes.refresh) as store:
        address, used = listener.getsockname()[:2]
        print(f"forebay: http://{address}:{used}/ has the pages, /api/v1 the numbers; Ctrl-C ends it", flush=True)
        server.serve(
            Site(by_id, store, folder),
            listener,
            (address, *allow_host),
            writer=(archive or settings.archive, settings),
            refresher=refreshes.supervisor(names, archive, folder),
        )
