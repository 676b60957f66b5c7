"""A real PostgreSQL server on loopback in a new temporary folder; Debian's default cluster is not used.

As a script it prints the URL of a new archive and serves until it is stopped::

    python -m tests.postgres
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

USER = "forebay"
ATTEMPTS = 3
"""Number of attempts to start, each on another free port."""

RELAXED = ("fsync=off", "full_page_writes=off", "shared_buffers=64MB")
"""Settings of a server that need not survive a crash of the machine: tests kill clients only."""


@dataclass(frozen=True)
class Cluster:
    """A running server; its databases are removed with it."""

    port: int
    password: str
    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, database: str, *, password: str | None = None) -> str:
        """URL of a database, with `password` instead of the user's password if it is set."""
        return f"postgresql+psycopg://{USER}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def new(self, options: str = "") -> str:
        """URL of a new, empty database."""
        name = f"archive_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} {options}")
        return self.url(name)

    def empty_database(self, url: str) -> str:
        """The same `url`, all tables dropped."""
        self.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public", url)
        return url

    def set_owner(self, path: Path) -> None:
        """Give `path` to the user that the server runs as."""
        if os.geteuid() == 0:
            shutil.chown(path, "postgres", "postgres")
        path.chmod(0o700)

    def execute(self, statement: str, url: str | None = None) -> list[tuple[object, ...]]:
        """Rows of a statement, run as superuser in a new connection to the database `url` (default: `postgres`)."""
        import psycopg

        place = (url or self.url("postgres")).replace("+psycopg", "")
        with psycopg.connect(place, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def cluster(settings: tuple[str, ...] = RELAXED) -> Iterator[Cluster]:
    """A server with `settings`, stopped and removed at the end."""
    programs = _programs()
    owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []  # PostgreSQL does not run as root
    # Not in pytest's folder, which only root can enter, and not in a long path: a socket's path has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="forebay-postgres-", dir="/tmp" if owner else None))
    password = secrets.token_hex(8)
    try:
        (folder / "password").write_text(password)
        if owner:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres")

        def run(program: str, *arguments: str) -> None:
            command = [*owner, str(programs / program), *arguments]
            # Output goes to a file: a started server would keep a pipe open, and `run` would wait for its end.
            with (folder / "output").open("w+") as output:
                process = subprocess.run(
                    command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, timeout=120, check=False
                )
                output.seek(0)
                assert process.returncode == 0, f"{program} failed:\n{output.read()}"

        place = str(folder / "data")
        run("initdb", "--pgdata", place, "--username", USER, "--pwfile", str(folder / "password"), "--no-sync",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")  # fmt: skip
        configuration = folder / "data" / "postgresql.conf"
        original = configuration.read_text()
        try:
            for attempt in range(ATTEMPTS):
                port = _free_port()
                options = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", *settings]
                pairs = (option.split("=", 1) for option in options)
                configuration.write_text(original + "".join(f"{name} = '{value}'\n" for name, value in pairs))
                try:
                    run("pg_ctl", "start", "--pgdata", place, "--log", str(folder / "log"), "--wait", "--timeout=60")
                    break
                except AssertionError:  # another process may use the port
                    if attempt + 1 == ATTEMPTS:
                        raise
            yield Cluster(port, password, folder)
        finally:
            if (folder / "data" / "postmaster.pid").exists():  # also after a start that timed out
                run("pg_ctl", "stop", "--pgdata", place, "--mode=immediate", "--wait")
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """The folder of PostgreSQL's programs; without them, or psycopg, the test is skipped (in CI it fails)."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    initdb = shutil.which("initdb")
    if not importlib.util.find_spec("psycopg"):
        reason = "psycopg is not installed: pip install -e '.[postgres]'"
    elif programs or initdb:
        return programs[-1].parent if programs else Path(str(initdb)).parent
    else:
        reason = "PostgreSQL is not installed: neither /usr/lib/postgresql/*/bin/initdb nor initdb on the PATH"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    with cluster(()) as server:
        print(server.new(), flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.exit()
