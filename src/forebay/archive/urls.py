"""URLs of archives: which are allowed, and how they are printed without secrets."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from forebay import text
from forebay.errors import ConfigError

_MIN_SECRET = 4
"""Characters of a value that is replaced in a driver's text; a shorter one is part of other words."""
ALLOWED = "sqlite:///PATH and postgresql+psycopg://USER@HOST/DATABASE"


def parse_url(url: str) -> sa.URL:
    """Parts of the URL of an archive; `~` in a path is expanded.

    Raises
    ------
    ConfigError
        If it is no URL of an archive.
    """
    try:
        parts = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError(f"archive {text.public_url(url)!r} is not a URL; allowed are {ALLOWED}") from None
    where = public_url(parts)
    if "@" in (parts.host or ""):
        raise ConfigError(f"archive {where!r}: '@' in a user's name or password must be written %40")
    if parts.drivername == "postgresql+psycopg":
        if not parts.database:
            raise ConfigError(f"archive {where!r} names no database; allowed are {ALLOWED}")
        return parts
    if parts.drivername != "sqlite":
        raise ConfigError(f"archive {where!r}: {parts.drivername!r} is not supported; allowed are {ALLOWED}")
    if parts.host or parts.query or parts.database in (None, "", ":memory:"):
        raise ConfigError(f"archive {where!r} must name a file: sqlite:///PATH, or sqlite:////PATH if it is absolute")
    return parts.set(database=str(Path(str(parts.database)).expanduser()))


def public_url(url: sa.URL) -> str:
    """`url` without its secrets (`text.public_url`), for messages."""
    return text.public_url(url.render_as_string(hide_password=False))


def has_password(url: sa.URL) -> bool:
    """Whether `url` itself has a password, of the user or of a key."""
    return bool(url.password) or any(name.endswith("password") for name in url.query)


def without_values(reason: str, url: sa.URL) -> str:
    """A driver's `reason`, which may quote them, without the password and the secret options of `url`."""
    options = [value for values in url.normalized_query.values() for value in values]
    for value in (str(url.password or ""), *options):
        if len(value) >= _MIN_SECRET and value not in public_url(url):
            reason = reason.replace(value, "***")
    return reason


def sqlite_file(url: sa.URL) -> Path | None:
    """The file of an SQLite archive; None for a server."""
    return Path(str(url.database)) if url.drivername == "sqlite" else None
