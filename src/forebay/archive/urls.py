"""URLs of archives: which are allowed, and how they are printed without a password."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from forebay.errors import ConfigError
from forebay.settings import without_password

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
        raise ConfigError(f"archive {without_password(url)!r} is not a URL; allowed are {ALLOWED}") from None
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
    """`url` without its password, for messages; the password may be in any part of it."""
    # A password with an '@' or a '/' extends to the last '@'; the path of a file has none.
    if "@" in (url.host or ""):
        url = url.set(host="…@" + str(url.host).rpartition("@")[2])
    if "@" in (url.database or "") and url.drivername != "sqlite":
        url = url.set(database="…@" + str(url.database).rpartition("@")[2])
    secret = {name: "***" for name in url.query if "password" in name.lower()}
    return url.update_query_dict(secret).render_as_string(hide_password=True)


def public_setting(value: str) -> str:
    """A setting that may be a URL, of an archive or a service, without its password."""
    try:
        return public_url(sa.make_url(value))
    except (ArgumentError, ValueError):
        return without_password(value)


def sqlite_file(url: sa.URL) -> Path | None:
    """The file of an SQLite archive; None for a server."""
    return Path(str(url.database)) if url.drivername == "sqlite" else None
