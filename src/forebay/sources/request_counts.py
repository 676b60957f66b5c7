"""Number of requests of the last hour and of the day to a service that limits its free use.

The limits are those of a machine, not of an archive, so the counts are files of the cache folder: one for each service
and UTC day, with a line per request. Several commands, also at the same time, add to one file. Requests with the user's
own key have other limits and are not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.services import service_named

if TYPE_CHECKING:
    from forebay.settings import Settings
    from forebay.sources.request import Request, Send

SHARE_OF_HISTORY = 0.8
"""Share of a limit that past forecasts may use; the rest is for gauges and current forecasts."""
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Allowance:
    """Number of requests that past forecasts may still use, and the limit that is the next to be reached."""

    requests: int
    limit: int
    period: str  # "hour" or "day"

    @property
    def when(self) -> str:
        """Time after which the count is a new one."""
        return "in an hour" if self.period == "hour" else "tomorrow (after 00:00 UTC)"


def count_requests(send: Send, service: str, settings: Settings, clock: Callable[[], datetime]) -> Send:
    """`send` that also counts each request, of a service that limits its requests per day."""
    if not _is_limited(service, settings):
        return send

    def counting_send(request: Request, /) -> bytes:
        _add(_folder(settings), service, clock(), request.cost)
        return send(request)

    return counting_send


def history_allowance(service: str, settings: Settings, now: datetime) -> Allowance | None:
    """What past forecasts may still request now; None for a service without a limit, or with the user's own key."""
    if not _is_limited(service, settings):
        return None
    limits = service_named(service).limits
    used_in_hour, used_in_day = _used(_folder(settings), service, now)
    allowances = [
        Allowance(max(0, int(SHARE_OF_HISTORY * limit) - used), limit, period)
        for limit, used, period in (
            (limits.requests_per_day, used_in_day, "day"),
            (limits.requests_per_hour, used_in_hour, "hour"),
        )
        if limit is not None
    ]
    return min(allowances, key=lambda allowance: allowance.requests)


def _is_limited(service: str, settings: Settings) -> bool:
    limits = service_named(service).limits
    has_limit = limits.requests_per_day is not None or limits.requests_per_hour is not None
    return has_limit and not settings.key_query(service)


def _folder(settings: Settings) -> Path:
    return Path(settings.cache) / "requests"


def _path(folder: Path, service: str, instant: datetime) -> Path:
    return folder / f"{service}-{instant:%Y-%m-%d}.txt"


def _add(folder: Path, service: str, now: datetime, number: int) -> None:
    """Add a line; a folder that cannot be written stops no fetch."""
    now = now.astimezone(UTC)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        path = _path(folder, service, now)
        if not path.exists():
            _delete_old(folder, service, now)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{now.isoformat(timespec='seconds')} {number}\n")


def _delete_old(folder: Path, service: str, now: datetime) -> None:
    keep = {_path(folder, service, now), _path(folder, service, now - _DAY)}
    for path in folder.glob(f"{service}-????-??-??.txt"):
        if path not in keep:
            path.unlink(missing_ok=True)


def _used(folder: Path, service: str, now: datetime) -> tuple[int, int]:
    """Requests of the last hour, and of the UTC day."""
    now = now.astimezone(UTC)
    today = _lines(_path(folder, service, now))
    recent = today + _lines(_path(folder, service, now - _DAY))
    return sum(number for time, number in recent if time > now - _HOUR), sum(number for _, number in today)


def _lines(path: Path) -> list[tuple[datetime, int]]:
    """Time and number of each request; a line that a killed process left unfinished does not count."""
    rows = []
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        return []
    for line in text.splitlines():
        time, _, number = line.partition(" ")
        with suppress(ValueError):
            instant = datetime.fromisoformat(time)
            if instant.tzinfo is not None:
                rows.append((instant, int(number)))
    return rows
