"""Tokens: shown once, stored as a hash, revocable; and the upgrade of an archive without them."""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forebay.archive import access, upkeep
from forebay.archive.access import Bearer
from forebay.archive.database import SCHEMA_VERSION
from forebay.archive.store import open_archive
from forebay.errors import ConfigError, DataError
from tests.command_line import forebay as command
from tests.postgres import Cluster

WITHOUT = "DROP TABLE access_token; DROP TABLE alert_acknowledgement; UPDATE archive_schema SET version = 7"


def test_a_token_is_valid_until_it_is_revoked(url: str) -> None:
    with open_archive(url) as archive:
        first, other = archive.access.new_token("operator"), archive.access.new_token("display")
        bearer = archive.access.bearer(first)
        assert bearer is not None and bearer.name == "operator" and first.startswith(f"fby_{bearer.token}_")
        assert archive.access.revoke("operator") == bearer
        assert archive.access.bearer(first) is None
        assert archive.access.bearer(other) is not None
        with pytest.raises(DataError, match="there is no valid token 'operator'; the valid ones are display"):
            archive.access.revoke("operator")
        again = archive.access.new_token("operator")
        assert again != first and archive.access.bearer(first) is None
        rows = archive.access.tokens()
        assert rows["name"].to_list() == ["operator", "display", "operator"]
        assert rows["revoked_at"].is_null().to_list() == [False, True, True]
        assert (rows["created_at"] - datetime.now(UTC)).abs().max() < timedelta(minutes=10)  # type: ignore[operator]


def test_any_other_text_is_refused(url: str) -> None:
    with open_archive(url) as archive:
        token = archive.access.new_token("operator")
        _, name, secret = token.split("_", 2)
        wrong = secret[:-1] + ("A" if secret[-1] != "A" else "B")
        for text in ("", "x", secret, f"fby_{name}_", f"fby_{name}_{wrong}", f"fby_00000000_{secret}", token + "x",
                     token.upper(), f" {token}", f"fby_{name}_{secret[:-1]}é"):  # fmt: skip
            assert archive.access.bearer(text) is None, text
        assert archive.access.bearer(token) is not None


def test_secrets_are_compared_in_constant_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a known and for an unknown id, whole hashes are compared by `hmac.compare_digest`."""
    compared, original = [], hmac.compare_digest

    def compare(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return original(one, other)

    with open_archive(url) as archive:
        token = archive.access.new_token("operator")
        monkeypatch.setattr(access.hmac, "compare_digest", compare)
        for text in (token, token[:-1] + "!", f"fby_00000000_{token[13:]}"):
            archive.access.bearer(text)
    assert compared == [(64, 64)] * 3


def test_the_archive_has_no_secret(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with open_archive(url) as archive:
        token = archive.access.new_token("operator")
    upkeep.backup(url, tmp_path / "backup.db")
    for file in tmp_path.iterdir():
        assert token[13:].encode() not in file.read_bytes(), file.name
    with open_archive(f"sqlite:///{tmp_path}/backup.db") as archive:
        assert archive.access.bearer(token) is not None, "a backup has the tokens"


def test_names(url: str) -> None:
    with open_archive(url) as archive:
        archive.access.new_token("a")
        for name in ("", " ", "x" * 81, "a\nb"):
            with pytest.raises(ConfigError, match="must have 1 to 80 characters of one line of text"):
                archive.access.new_token(name)
        with pytest.raises(ConfigError, match="a token has the name 'a' already"):
            archive.access.new_token(" a ")


def test_copies_and_checks_have_tokens_and_acknowledgements(url: str, new_url: Callable[[], str]) -> None:
    other = new_url()
    with open_archive(url) as archive:
        token = archive.access.new_token("operator")
        bearer = archive.access.bearer(token)
        assert bearer is not None
        archive.alerts.acknowledge("lake", "spill", 1, bearer)
        archive.alerts.acknowledge("lake", "spill", 1, Bearer("ffffffff", "another"))
        first = archive.alerts.acknowledgements("lake")
        assert first.select("rule", "change", "name").rows() == [("spill", 1, "operator")], "the first one stays"
    upkeep.copy(url, other)
    with open_archive(other) as archive:
        assert archive.access.bearer(token) == bearer
        assert archive.alerts.acknowledgements().equals(first)
        assert not upkeep.check(other, datetime.now(UTC)).fault_summary
        archive.alerts.acknowledge("lake", "spill", 2, Bearer("ffffffff", "nobody"))
    assert upkeep.check(other, datetime.now(UTC)).fault_summary == "1 with an acknowledged alert of no token"


def test_an_archive_without_tokens_is_upgraded_by_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    url = f"sqlite:///{path}"
    open_archive(url).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(WITHOUT)
    before = path.read_bytes()
    with open_archive(url, create=False) as server:
        assert server.access.tokens().is_empty()
        assert server.access.bearer("fby_00000000_" + "A" * 43) is None
        assert server.alerts.acknowledgements().is_empty()
        assert path.read_bytes() == before, "reading changes nothing"
        with open_archive(url) as other:
            token = other.access.new_token("operator")
        assert server.access.bearer(token) is not None, "a server that was open before the upgrade knows the token"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM archive_schema").fetchall() == [(SCHEMA_VERSION,)]


@pytest.mark.slow
def test_a_postgresql_archive_without_tokens_is_upgraded(postgres: Cluster) -> None:
    url = postgres.new()
    open_archive(url).close()
    postgres.execute(WITHOUT, url)
    with open_archive(url) as archive:
        token = archive.access.new_token("operator")
        assert archive.access.bearer(token) is not None
    assert postgres.execute("SELECT version FROM archive_schema", url) == [(SCHEMA_VERSION,)]


def test_the_commands(tmp_path: Path) -> None:
    place = ("--archive", f"sqlite:///{tmp_path}/a.db")
    absent = command("token", "list", *place)
    assert absent.code == 2 and "does not exist" in absent.err
    made = command("token", "new", "operator", *place)
    assert made.code == 0 and made.out.startswith("fby_") and made.out.count("\n") == 1
    assert made.err == "forebay: keep it; nobody can show it again, and `forebay token revoke` ends it\n"
    listed = command("token", "list", *place, "--json").json
    assert [(row["id"], row["name"], row["revoked_at"]) for row in listed] == [(made.out[4:12], "operator", None)]
    assert set(listed[0]) == {"id", "name", "created_at", "revoked_at"}
    assert made.out.strip()[13:] not in command("token", "list", *place).out
    revoked = command("token", "revoke", made.out[4:12], *place)
    assert (revoked.code, revoked.out) == (0, f"The token 'operator' ({made.out[4:12]}) is refused from now on.\n")
    again = command("token", "revoke", "operator", *place)
    assert (again.code, again.err) == (1, "forebay: there is no valid token 'operator'; there is none to revoke\n")
