"""The tokens of an archive: who may write by the API. The archive has their hashes alone."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from forebay.errors import ConfigError, DataError
from forebay.tables import TOKENS

if TYPE_CHECKING:
    from forebay.archive.database import Database

MAX_NAME = 80
_PREFIX, _ID_BYTES, _SECRET_BYTES = "fby", 4, 32
_FORM = re.compile(r"fby_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_NO_HASH = "0" * 64


@dataclass(frozen=True)
class Bearer:
    """A valid token: its id, and the name that it was given."""

    token: str
    name: str


class AccessArchive:
    """The tokens of an open archive (`tables.TOKENS`). An archive from before schema 8 has none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __repr__(self) -> str:
        return f"<AccessArchive: {self._database.where}>"

    def tokens(self) -> pl.DataFrame:
        """`tables.TOKENS`: every token, revoked ones included, by the time of its creation."""
        from forebay.archive import access_tables as sql

        if not self._database.has_access:
            return TOKENS.empty()
        with self._database.reading() as connection:
            return sql.tokens(connection)

    def new_token(self, name: str) -> str:
        """A new token; its text is stored nowhere, so nobody can show it again.

        The secret has 256 random bits, so that a plain hash of it cannot be reversed by trying.

        Raises
        ------
        ConfigError
            If a valid token has this name, or the name is none.
        """
        from forebay.archive import access_tables as sql

        name = name.strip()
        if not (0 < len(name) <= MAX_NAME and name.isprintable()):
            raise ConfigError(f"the name {name[:MAX_NAME]!r} must have 1 to {MAX_NAME} characters of one line of text")
        self._database.prepare_access()
        text, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
        with self._database.transaction() as connection:
            known = sql.tokens(connection).filter(pl.col("revoked_at").is_null())
            if name in known["name"]:
                raise ConfigError(f"a token has the name {name!r} already; give another name, or revoke that one first")
            row = {"id": text, "name": name, "hash": _digest(secret), "created_at": self._database.now(connection)}
            sql.add_token(connection, row)
        return f"{_PREFIX}_{text}_{secret}"

    def revoke(self, token: str) -> Bearer:
        """Refuse a token, by its id or its name, from now on.

        Raises
        ------
        DataError
            If there is no such valid token.
        """
        from forebay.archive import access_tables as sql

        valid = self.tokens().filter(pl.col("revoked_at").is_null())
        rows = valid.filter((pl.col("id") == token) | (pl.col("name") == token))
        if rows.is_empty():
            known = f"the valid ones are {', '.join(valid['name'])}" if len(valid) else "there is none to revoke"
            raise DataError(f"there is no valid token {token!r}; {known}")
        bearer = Bearer(rows["id"][0], rows["name"][0])
        with self._database.transaction() as connection:
            sql.revoke_token(connection, bearer.token, self._database.now(connection))
        return bearer

    def bearer(self, text: str) -> Bearer | None:
        """Who a token belongs to; None if it is none of this archive, or was revoked.

        The comparison takes the same time for every secret, so that no time of an answer helps to guess one.
        """
        match = _FORM.fullmatch(text)
        token, secret = match.groups() if match else ("", "")
        rows = self.tokens().filter(pl.col("id") == token)
        stored = _NO_HASH if rows.is_empty() else str(rows["hash"][0])
        is_equal = hmac.compare_digest(_digest(secret), stored)
        if rows.is_empty() or not is_equal or rows["revoked_at"][0] is not None:
            return None
        return Bearer(token, str(rows["name"][0]))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
