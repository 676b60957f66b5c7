"""Where the tasks of a fleet run."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from forebay.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
WORKERS_PER_PROCESSOR = 8
"""Most worker processes for each processor of this machine."""
ADDRESS_EXAMPLE = "give one such as tcp://192.0.2.1:8786"
_ADDRESS = re.compile(r"(?:[a-z]+://)?(?P<host>\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]]+):0*\d{1,5}")


@dataclass(frozen=True)
class Place:
    """Where tasks run.

    Attributes
    ----------
    scheduler
        Address of a scheduler; None: processes of this machine.
    workers
        Number of processes of this machine.
    memory
        Most memory of each of them, such as "2GiB"; "auto": its share of the machine's.
    start_s, patience_s
        How long to wait for a scheduler that does not answer at the start; for one that was lost, or for a worker.
    """

    scheduler: str | None = None
    workers: int = 1
    memory: str = "auto"
    start_s: float = 10.0
    patience_s: float = 60.0

    def __post_init__(self) -> None:
        most = WORKERS_PER_PROCESSOR * (os.cpu_count() or 1)
        if not 1 <= self.workers <= most:
            raise ConfigError(f"--workers {self.workers} is not possible on this machine; give 1 to {most} processes")
        if self.scheduler is not None and not _ADDRESS.fullmatch(self.scheduler):
            raise ConfigError(f"--scheduler {self.scheduler!r} is not an address; {ADDRESS_EXAMPLE}")

    @property
    def is_local(self) -> bool:
        """Whether the tasks stay on this machine: in processes of it, or with a scheduler on loopback.

        >>> [Place(address).is_local for address in (None, "tcp://[::1]:8786", "192.0.2.1:8786", "tls://192.0.2.1:1")]
        [True, True, False, False]
        """
        address = None if self.scheduler is None else _ADDRESS.fullmatch(self.scheduler)
        return address is None or address["host"] in LOOPBACK

    @property
    def is_encrypted(self) -> bool:
        """Whether nobody else on the network can read the tasks."""
        return self.is_local or str(self.scheduler).startswith("tls://")

    @property
    def title(self) -> str:
        """The place in a sentence."""
        if self.scheduler:
            return f"scheduler {self.scheduler}"
        return f"{self.workers} worker process{'' if self.workers == 1 else 'es'}"
