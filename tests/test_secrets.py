"""No secret of a setting appears in an output, an error or a log line, wherever in a URL it is."""

from __future__ import annotations

import os
import socket
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock
from urllib.parse import quote, unquote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from forebay.archive import urls
from forebay.archive.store import open_archive
from forebay.errors import ConfigError, ForebayError, SourceError
from forebay.services import SERVICES
from forebay.settings import HttpSettings, load_settings
from forebay.sources.request import Request
from forebay.sources.transport import open_transport
from forebay.text import printable, public_url, secret_segments, unprintable, without_secrets
from tests.command_line import forebay
from tests.loopback import Received, Reply, loopback_server

START, END = "Zq7", "Zq8"
"""Ends of each secret: neither may appear, so no part of a secret does."""
CHARACTERS = st.text("aZ1 /:@?#=;%'\"[]{}+,.é", max_size=10)
ONCE = HttpSettings(attempts=1)
FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

KEYS = ("token", "api_key", "key", "password", "secret", "signature", "access_token", "sig", "auth", "X-Amz-Credential")
SOURCE_URLS = (
    "http://SECRET@127.0.0.1:1/",
    "http://me:SECRET@127.0.0.1:1/",
    "http:me:SECRET@127.0.0.1:1/",
    "ftp://me:SECRET@127.0.0.1:1/",
    "http://127.0.0.1:1/#access_token=SECRET",
    *(f"http://127.0.0.1:1/x?format=json&{key}=SECRET" for key in KEYS),
    "https://127.0.0.1:1?SECRET",
    *(f"http://127.0.0.1:1/{word}/SECRET/api" for word in ("token", "key", "API-Key", "access_tokens", "secret")),
    "http://127.0.0.1:1/api/0123456789SECRET/x",
    "http://127.0.0.1:1/token//SECRET",
    "http:/127.0.0.1:1/token/SECRET",
    "//127.0.0.1:1/token/SECRET",
    "127.0.0.1:1/token/SECRET",
    "http:me:x@127.0.0.1/token/SECRET",
    "gauges.example/token/SECRET?x=1",
)
ARCHIVE_URLS = (
    "postgresql+psycopg://me:SECRET@127.0.0.1:1/x",
    "postgresql://me:SECRET@127.0.0.1:1/x",
    "postgresql+psycopg://me:SECRET@127.0.0.1:abc/x",
    "//me:SECRET@127.0.0.1:1/x",
    "host=127.0.0.1 password=SECRET",
    *(
        f"postgresql+psycopg://127.0.0.1:1/x?sslmode=disable&{key}=SECRET"
        for key in ("password", "sslpassword", "passfile", "options", "sslkey", "token")
    ),
)
VALUES = [("SOURCES__WATERNSW__URL", url) for url in SOURCE_URLS] + [("ARCHIVE", url) for url in ARCHIVE_URLS]


@st.composite
def settings_with_a_secret(draw: st.DrawFn) -> tuple[str, str]:
    """Environment variable and its value, which has a secret."""
    name, form = draw(st.sampled_from(VALUES))
    characters = draw(CHARACTERS)
    in_user_info = "SECRET@" in form
    as_written = draw(st.booleans()) if in_user_info else False  # a password that someone forgot to encode
    text = characters if as_written else quote(characters, safe="")
    return f"FOREBAY_{name}", form.replace("SECRET", f"{START}{text}{END}")


def assert_public(text: str, value: str) -> None:
    assert START not in text and END not in text, (value, text)


@contextmanager
def environment(**values: str) -> Iterator[None]:
    with mock.patch.dict(os.environ, values):
        yield


@FEW
@given(settings_with_a_secret())
@example(("FOREBAY_ARCHIVE", "postgresql+psycopg://me:Zq7?x@y/Zq8@host/x"))
@example(("FOREBAY_SOURCES__WATERNSW__URL", "http://me:Zq7#@y?Zq8@host/x?token=Zq7@Zq8"))
@example(("FOREBAY_HTTP__ATTEMPTS", "http://me:Zq7@host"))
@example(("FOREBAY_SOURCES__WATERNSW", "http://me:Zq7@host"))
@example(("FOREBAY_OUTPUT", "//me:Zq7@host"))
@example(("FOREBAY_SOURCES__WATERNSW__URL", "http://127.0.0.1:1/token/Zq7@Zq8/x"))
def test_no_secret_in_the_output_of_settings(setting: tuple[str, str]) -> None:
    name, value = setting
    with environment(**{name: value}):
        for option in ((), ("--json",)):
            result = forebay("settings", *option)
            assert result.code in (0, 2)
            assert_public(result.out + result.err, value)


def test_no_secret_of_the_file_of_settings_in_an_error(tmp_path: Path) -> None:
    url = "http://me:Zq7@host/?token=Zq8"
    texts = (f'http = {{ attempts = "{url}" }}', f'archive = ["{url}"]', f'sources.waternsw.url = {{ a = "{url}" }}')
    for text in texts:
        (tmp_path / "forebay.toml").write_text(text)
        with pytest.raises(ConfigError) as caught:
            load_settings(tmp_path, {})
        assert_public(str(caught.value), text)


@FEW
@given(settings_with_a_secret())
@example(("FOREBAY_SOURCES__WATERNSW__URL", "http://me:Zq7/x@127.0.0.1:1/x?token=Zq8"))
@example(("FOREBAY_SOURCES__WATERNSW__URL", "http://127.0.0.1:1/token/Zq7@Zq8/x"))
def test_no_secret_in_the_error_of_an_archive_or_a_request(setting: tuple[str, str]) -> None:
    name, value = setting
    no_names = mock.patch("socket.getaddrinfo", side_effect=socket.gaierror("no such host"))
    with pytest.raises(ForebayError) as caught, no_names:
        if name == "FOREBAY_ARCHIVE":
            open_archive(value)
        else:
            with open_transport(HttpSettings(attempts=1)) as send:
                send(Request(value))
    assert_public(str(caught.value), value)


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("sqlite:////srv/me@host/a:b@c.db", "sqlite:////srv/me@host/a:b@c.db"),
        ("runs", "runs"),
        ("/home/me@host/runs", "/home/me@host/runs"),
        ("https://host:8080/cgi/webservice.pl", "https://host:8080/cgi/webservice.pl"),
        ("postgresql+psycopg://me@host/x?host=%2Ftmp&port=5433", "postgresql+psycopg://me@host/x?host=%2Ftmp&port=5433"),
        ("https://host/x?format=json", "https://host/x?format=***"),
        ("https://host/key", "https://host/key"),
        ("https://host/monkey/v2", "https://host/monkey/v2"),
        ("https://0123456789abcdef0123/v2", "https://0123456789abcdef0123/v2"),
        ("https://host/a-long-name-without-digits", "https://host/a-long-name-without-digits"),
        ("https://host/20260101/0123456789012345678901", "https://host/20260101/0123456789012345678901"),
        ("https://host/0123456789abcdef012", "https://host/0123456789abcdef012"),
        ("postgresql+psycopg://me@host/key/0123456789abcdef0123", "postgresql+psycopg://me@host/key/0123456789abcdef0123"),
        ("sqlite:////srv/key/0123456789abcdef0123.db", "sqlite:////srv/key/0123456789abcdef0123.db"),
        ("/srv/key/0123456789abcdef0123", "/srv/key/0123456789abcdef0123"),
        ("runs/0123456789abcdef0123", "runs/0123456789abcdef0123"),
    ],
)
def test_the_public_parts_stay(url: str, public: str) -> None:
    assert public_url(url) == public
    assert public_url(public) == public


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://host/x#Zq7", "https://host/x#***"),
        ("https://host/x#Zq7?format=Zq8", "https://host/x#***?format=***"),
        ("postgresql://me@host/x?dbname=a+Zq7", "postgresql://me@host/x?dbname=***"),
        ("postgresql://Zq7/x:Zq8@host/x", "postgresql://***@host/x"),
        ("postgresql://me@Zq7@host/x", "postgresql://***@host/x"),
        ("host=h password=Zq7,Zq8", "host=h password=***"),
        ("host=h password=Zq7&Zq8;'Zq7 port=1", "host=h password=*** port=1"),
        (r"host=h password='Zq7\'Zq8 x' port=1", "host=h password=*** port=1"),
        ("host=h password='Zq7 Zq8", "host=h password=***"),
    ],
)
def test_a_secret_is_masked_to_its_end(url: str, public: str) -> None:
    assert public_url(url) == public
    assert public_url(public) == public


SEGMENT = st.text("aZ19-_.~%$é ", min_size=1, max_size=40)


@given(st.lists(SEGMENT, max_size=6), st.sampled_from(["key", "Token", "api_key", "SECRET", "passwd"]), SEGMENT)
def test_the_path_of_a_service_has_no_secret(segments: list[str], word: str, secret: str) -> None:
    """Oracle: only the segments after a word and the long mixed ones are masked; all others stay as they are."""
    path = [quote(segment, safe="") for segment in (*segments, word, f"{secret}Zq", *segments)]
    public = public_url("/".join(["https://host", *path])).split("/")[3:]
    for position, (segment, shown) in enumerate(zip(path, public, strict=True)):
        text = unquote(segment)
        is_long = len(text.rstrip(".")) >= 20 and bool({*text} & {*"19"}) and bool({*text} & {*"aZéq"})
        expected = "***" if is_long or path[position - 1 : position] == [word] else segment
        assert shown.rstrip(".") == expected.rstrip("."), (segment, shown)
    assert public_url("/".join(["https://host", *public])).split("/")[3:] == public


@given(SEGMENT.map(lambda text: f"{text.replace(' ', '')}Zq"), st.sampled_from(["", "'", ")", "';", ".", "),", "…"]))
def test_a_sentence_keeps_what_follows_a_secret_path(secret: str, end: str) -> None:
    text = f"see 'https://host/token/{secret}{end} or ask"
    assert without_secrets(text) == f"see 'https://host/token/***{end} or ask"


def test_the_urls_of_the_known_services_stay() -> None:
    urls = [url for service in SERVICES.values() for url in (service.url, *service.endpoints.values()) if url]
    assert len(urls) >= 14
    for url in urls:
        assert public_url(url) == url
        assert secret_segments(f"{url}/0123456789abcdef0123?x=1") == ["0123456789abcdef0123"]


@pytest.mark.parametrize("path", ["token/Zq7aZq8", "token/Zq7%20a%C3%A9Zq8", "v1/Zq7aaaaaaa9999aaaaaa99Zq8", "key/Zq7"])
def test_no_secret_of_a_path_in_an_error_that_repeats_it_or_in_the_log(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The service repeats the path as sent, the path without percent codes and the secret alone."""
    secret = path.partition("/")[2]

    def error_of(status: int, body: bytes) -> SourceError:
        return SourceError(body.decode())

    def repeat(request: Received) -> Reply:
        alone = f"; {secret} is unknown" if len(secret) >= 8 else ""
        return Reply(f"no /{path}, no /{unquote(path)}, no {request.path}{alone}".encode(), 404)

    with loopback_server(repeat) as (url, _), open_transport(ONCE) as send, caplog.at_level("DEBUG"):
        with pytest.raises(SourceError, match=r"\*\*\*") as caught:
            send(Request(f"{url}/{path}/x", error_of=error_of))
        with pytest.raises(SourceError, match=r"/\*\*\*/x; check the service's URL") as plain:
            send(Request(f"{url}/{path}/x"))
    for text in (str(caught.value), str(plain.value), caplog.text):
        assert_public(unquote(text), text)


def test_a_redirect_shows_no_secret_of_a_path(caplog: pytest.LogCaptureFixture) -> None:
    moved = Reply(b"", 302, {"Location": "http://moved.example/token/Zq7/x"})
    error = pytest.raises(SourceError, match=r"'http://moved\.example/token/\*\*\*/x' on another host")
    with (
        loopback_server(lambda _: moved) as (url, _),
        open_transport(ONCE) as send,
        caplog.at_level("DEBUG"),
        error as caught,
    ):
        send(Request(f"{url}/token/Zq8/x"))
    assert_public(str(caught.value) + caplog.text, caplog.text)


@pytest.mark.parametrize("key", ["password", "PASSWORD", "Pwd", "client_secret", "Api-Key", "AccessKey", "x_token_2"])
@pytest.mark.parametrize("form", ["{key}=Zq7", "{key} = 'Zq7 Zq8'", "archive='host=h {key}=Zq7'", '(dsn="{key}=Zq7")'])
def test_the_value_of_a_secret_word_is_masked_in_any_case_and_place(key: str, form: str) -> None:
    text = form.format(key=key)
    assert_public(without_secrets(text), text)
    assert key in without_secrets(text)


def test_the_characters_that_no_output_may_have_are_those_of_unicode() -> None:
    """Control characters but tab and line breaks, halves of characters, and what sets the direction of a text."""
    directions = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    for character in map(chr, range(0xFDD0)):
        is_control = unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n\r"
        is_unprintable = is_control or unicodedata.bidirectional(character) in directions
        code = f"U+{ord(character):04X}"
        assert unprintable(f"a{character}") == (code if is_unprintable else None), code
        assert printable(f"a{character}") == ("a\ufffd" if is_unprintable else f"a{character}"), code


def test_a_sentence_without_secrets_keeps_its_words() -> None:
    sentence = "lake.csv, line 3: 'a:b@c' in column 'x' is not a number; see https://host/docs: key = 5"
    assert without_secrets(sentence) == sentence
    assert without_secrets("http://me:x1@a/ or https://b/?t=x1, pwd=x1") == "http://***@a/ or https://b/?t=*** pwd=***"


def test_a_driver_may_quote_an_option() -> None:
    url = make_url("postgresql+psycopg://me:pass%40word@127.0.0.1/x?options=-c%20search&keepalives=1")
    reason = 'server 127.0.0.1: no pass@word, bad option "-c search"'
    assert urls.without_values(reason, url) == 'server 127.0.0.1: no ***, bad option "***"'


@pytest.mark.parametrize("password", ["Zq7x", "Zq7xy", "Zq7pass", "Zq7%20word", "Zq7" * 20])
def test_a_driver_may_quote_a_password_of_any_length(password: str) -> None:
    url = make_url(f"postgresql+psycopg://me:{password}@127.0.0.1/x")
    assert urls.without_values(f'no login with "{url.password}" for user me', url) == 'no login with "***" for user me'


@pytest.mark.parametrize("part", ["x", "a1", "a=", "a ", "://", "?", "='"])
def test_a_long_text_is_searched_in_one_pass(part: str) -> None:
    text = part * (200_000 // len(part))
    assert without_secrets(f"{text} password=hunter2").endswith("***")
