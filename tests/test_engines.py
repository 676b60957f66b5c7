"""Differences of SQLite and PostgreSQL: URLs, exact storage, and the error of each fault of a real server."""

import socket
import threading
import time as clock
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.archive import engines, urls
from forebay.archive.store import AppendResult, Archive, open_archive
from forebay.errors import ConfigError, DataError, ForebayError
from tests import disks
from tests.postgres import Cluster
from tests.readings import LEVEL, MONDAY, Content, day_contents, readings


@cache
def long() -> pl.DataFrame:
    """Readings long enough for a connection to be cut while they are written."""
    return readings(LEVEL, day_contents(date(1000, 1, 1), [1.0] * 350_000))


EARLIEST = datetime(1677, 9, 22, tzinfo=UTC)
ODD_TEXTS = ("", "\\N", "\\.", "a\n\\.\nb", '"', '""', ",", "\r\n", " ", "NULL", "Ä€😀", "\x01")
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.none() | st.text(CHARACTERS, max_size=12) | st.sampled_from(ODD_TEXTS)
VALUES = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=60)
@given(contents=st.lists(st.tuples(VALUES, TEXTS, st.sampled_from(["good", "missing"]), TEXTS), max_size=8))
def test_every_number_and_text_is_returned_exactly(
    empty_archive_url: Callable[[], str], contents: list[Content]
) -> None:
    incoming = readings(LEVEL, {EARLIEST + timedelta(microseconds=k): content for k, content in enumerate(contents)})
    with open_archive(empty_archive_url()) as archive:
        archive.append(incoming, MONDAY)
        stored = archive.as_of([LEVEL]).select(incoming.columns)
        assert stored.equals(incoming)
        # SQLite stores −0 as 0, which is the same number; every other number keeps all its digits
        expected, actual = ([str(value) for value in table["value"] + 0.0] for table in (incoming, stored))
        assert actual == expected


def test_the_nul_character_is_refused_by_both_databases(url: str) -> None:
    with open_archive(url) as archive, pytest.raises(DataError, match="'raw_value' has a text with the character NUL"):
        archive.append(readings(LEVEL, {MONDAY: (1.0, "1\0", "good", "1")}), MONDAY)


# --- URLs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql+psycopg://me:secret@host/x", "postgresql+psycopg://me:***@host/x"),
        ("postgresql+psycopg://me@host/x?password=secret", "password=***"),
        ("postgresql+psycopg://host/x?sslpassword=secret&sslmode=require", "sslpassword=***"),
        ("postgresql+psycopg://me:sec@ret@host/x", "***@host"),
        ("postgresql+psycopg://me:%73ecret@host/x", "me:***@host"),
    ],
)
def test_no_password_is_printed(url: str, expected: str) -> None:
    from sqlalchemy import make_url

    public = urls.public_url(make_url(url))
    assert expected in public
    assert "sec" not in public


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("postgresql+psycopg://me:se@cret@host/x", "'@' in a user's name or password must be written %40"),
        ("postgresql+psycopg://me:secret@host", "names no database"),
        ("postgresql+psycopg://me:secret@host/", "names no database"),
        ("postgresql://me:secret@host/x", "'postgresql' is not supported"),
    ],
)
def test_server_urls_that_are_not_allowed(wrong: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        open_archive(wrong)
    assert "cret" not in str(caught.value)


# --- a real server --------------------------------------------------------------------------------------------------


@pytest.fixture
def server_archive(postgres: Cluster) -> Iterator[tuple[str, Archive]]:
    """URL of an archive with 100 readings on the server, and the open archive."""
    url = postgres.new()
    with open_archive(url) as archive:
        archive.append(readings(LEVEL, day_contents(date(1990, 1, 1), [1.0] * 100)), MONDAY)
        yield url, archive


def sentence(error: pytest.ExceptionInfo[ForebayError], server: Cluster) -> str:
    """Text of the error; text and traceback have no password, and the text has one line."""
    text = str(error.value)
    assert "\n" not in text
    assert server.password not in str(error.getrepr(chain=True, showlocals=False))
    return text


def test_a_lost_server_is_detected(postgres: Cluster, server_archive: tuple[str, Archive]) -> None:
    url, archive = server_archive
    with archive._database.reading() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        options = {name: driver.info.get_parameters().get(name) for name in engines._CONNECTION}
        assert options == {name: str(value) for name, value in engines._CONNECTION.items()}
    with archive._database.writing() as connection:
        expected = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one()
    assert expected == "10min"
    with open_archive(f"{url}?keepalives_idle=7") as second, second._database.reading() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None and driver.info.get_parameters()["keepalives_idle"] == "7"


def test_a_server_that_cannot_be_reached(postgres: Cluster) -> None:
    server_url = postgres.url("postgres")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        closed = server_url.replace(f":{postgres.port}/", ":9/")
        port = listener.getsockname()[1]
        unanswered = server_url.replace(f":{postgres.port}/", f":{port}/") + "?connect_timeout=2"
        for url, reason in ((closed, "Connection refused"), (unanswered, "timeout"),
                            (server_url + "_not", "does not exist"),
                            (postgres.url("postgres", password="wrong"), "password authentication failed"),
                            (server_url + "?nonsense=1", "invalid connection option")):  # fmt: skip
            with pytest.raises(ForebayError, match=rf"cannot be reached \(.*{reason}.*\); check that") as caught:
                open_archive(url)
            sentence(caught, postgres)


@pytest.mark.slow
def test_a_connection_cut_during_a_write_stores_nothing_and_the_next_write_is_complete(
    postgres: Cluster, server_archive: tuple[str, Archive]
) -> None:
    url, archive = server_archive
    cut: list[object] = []
    stop = threading.Event()

    def cut_when_it_copies() -> None:
        name = url.rpartition("/")[2]
        while not (cut or stop.is_set()):
            cut.extend(postgres.execute(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' "
                "AND state = 'active' AND query LIKE 'COPY%'"
            ))  # fmt: skip

    cutter = threading.Thread(target=cut_when_it_copies)
    cutter.start()
    try:
        with pytest.raises(ForebayError, match="lost the connection to its server; the last write") as caught:
            archive.append(long(), MONDAY)
    finally:
        stop.set()
        cutter.join()
    assert cut == [(True,)]
    sentence(caught, postgres)
    assert archive.as_of([LEVEL]).height == 100
    assert archive.append(long(), MONDAY).new == long().height


def test_a_connection_cut_between_two_reads_is_renewed(postgres: Cluster, server_archive: tuple[str, Archive]) -> None:
    url, archive = server_archive
    name = url.rpartition("/")[2]
    assert archive.as_of([LEVEL]).height == 100
    cut = postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    assert cut
    while postgres.execute(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}'"):
        clock.sleep(0.01)
    assert archive.as_of([LEVEL]).height == 100


@pytest.mark.slow
def test_a_full_disk_of_the_server(postgres: Cluster, tmp_path: Path) -> None:
    small = readings(LEVEL, day_contents(date(1990, 1, 1), [1.0] * 100))
    large = readings(LEVEL, day_contents(date(1000, 1, 1), [1.0] * 120_000))
    with disks.small_disk(postgres.folder / "disk", "16m") as disk:
        postgres.set_owner(disk)
        postgres.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        url = postgres.new("TABLESPACE small")
        try:
            with open_archive(url) as archive:
                archive.append(small, MONDAY)
                with pytest.raises(ForebayError, match="cannot grow: the disk is full; free some space") as caught:
                    archive.append(large, MONDAY)
                sentence(caught, postgres)
                assert archive.as_of([LEVEL]).height == 100
                disks.mount("-o", "remount,size=64m", str(disk))
                assert archive.append(large, MONDAY) == AppendResult(120_000, new=120_000, revised=0, unchanged=0)
        finally:
            postgres.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")
            postgres.execute("DROP TABLESPACE small")


def test_a_server_that_is_read_only(postgres: Cluster, server_archive: tuple[str, Archive]) -> None:
    url, archive = server_archive
    for place in (url, postgres.new()):
        postgres.execute(f"ALTER DATABASE {place.rpartition('/')[2]} SET default_transaction_read_only = on")
    with open_archive(url) as reader:
        assert reader.as_of([LEVEL]).height == 100
        with pytest.raises(ConfigError, match="cannot be written: the server is read-only; choose another"):
            reader.append(long().head(10), MONDAY)
    with pytest.raises(ConfigError, match="cannot be written: the server is read-only"):
        open_archive(place)


def test_a_user_without_the_right_to_create_tables(postgres: Cluster) -> None:
    url = postgres.new()
    postgres.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", url)
    postgres.execute("CREATE ROLE visitor LOGIN PASSWORD 'visitor-secret'")
    visitor = url.replace(f"//forebay:{postgres.password}@", "//visitor:visitor-secret@")
    with pytest.raises(ConfigError, match="refuses its user; grant the right") as caught:
        open_archive(visitor)
    assert "visitor-secret" not in str(caught.value)


def test_a_database_of_another_program_or_encoding(postgres: Cluster) -> None:
    second = postgres.new()
    postgres.execute("CREATE TABLE bookmarks (title text)", second)
    with pytest.raises(ConfigError, match="database of another program .it has the tables bookmarks."):
        open_archive(second)
    with pytest.raises(ConfigError, match="encoding is LATIN1; create a database with ENCODING 'UTF8'"):
        open_archive(postgres.new("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"))


def test_the_log_of_an_archive_in_use_cannot_be_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 0.1)
    url = f"sqlite:///{tmp_path / 'archive.db'}"
    with open_archive(url) as first, open_archive(url) as second:
        database = first._database
        with second._database.reading(), pytest.raises(ForebayError, match="locked"), database.translate_errors():
            engines.merge_log(database.engine)
        second.close()
        with database.translate_errors():
            engines.merge_log(database.engine)
    assert [path.name for path in tmp_path.iterdir()] == ["archive.db"]
