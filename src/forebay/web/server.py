"""A server of the API on one address."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from forebay.errors import ConfigError

if TYPE_CHECKING:
    from forebay.settings import Settings
    from forebay.web.refresher import Supervisor
    from forebay.web.site import Site

KEEP_ALIVE_S = 30
SHUTDOWN_S = 5
"""Seconds that requests in work have when the server ends."""
BACKLOG = 128
MAX_PORT = 65_535


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address.

    Raises
    ------
    ConfigError
        If the address is not one of this machine, or in use, or the port is none.
    """
    if not 0 <= port <= MAX_PORT:
        raise ConfigError(f"--port {port} is no port; give 1 to {MAX_PORT}, or 0 for a free one")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"--host {host!r} is no address of this machine ({error.strerror})") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"--host {host} --port {port} cannot be used ({error.strerror}); give another port, or end the other server"
        ) from None
    return listener


def serve(
    site: Site,
    listener: socket.socket,
    hosts: Iterable[str] = (),
    *,
    writer: tuple[str, Settings] | None = None,
    refresher: Supervisor | None = None,
) -> None:
    """Answer requests until SIGINT or SIGTERM; the refresher starts and ends with the server.

    Parameters
    ----------
    writer, refresher
        As in `forebay.web.app.create_app`.
    """
    import uvicorn

    from forebay.web.app import create_app
    from forebay.web.scenarios import READY_DAMS

    app = create_app(site, hosts, writer=writer, refresher=refresher)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        lifespan="off",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        h11_max_incomplete_event_size=64 << 10,
    )
    worker = uvicorn.Server(config)
    app.state.streams.is_ending = lambda: worker.should_exit
    with closing(site), nullcontext() if refresher is None else closing(refresher):
        site.start()
        if refresher is not None:
            refresher.start()
        end = threading.Event()
        scenarios = app.state.scenarios
        for dam in list(site.dams.values())[:READY_DAMS]:
            scenarios.expect(dam)
        ready = threading.Thread(target=scenarios.keep_ready, args=(end,), name="scenarios")
        ready.start()
        try:
            worker.run(sockets=[listener])
        finally:
            end.set()
            ready.join()
