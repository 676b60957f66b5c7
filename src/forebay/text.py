"""What must not reach a terminal, a page, a picture or a log: some characters, and secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # control characters but tab and line breaks; ESC begins terminal codes
    "\u202a-\u202e\u2066-\u2069"  # text direction: they make a text look like another one
    "\ud800-\udfff"  # half of a character: no encoding has it
    "\ufdd0-\ufdef\ufffe\uffff\U0001fffe\U0001ffff\U0010fffe\U0010ffff]"  # not characters
)


def unprintable(text: str) -> str | None:
    r"""The first character of `text` that no output may contain, as its code; None if there is none.

    >>> unprintable("Dam\x1b[2J"), unprintable("Wivenhoe"), unprintable("two\nlines")
    ('U+001B', None, None)
    """
    match = _UNPRINTABLE.search(text)
    return f"U+{ord(match[0]):04X}" if match else None


def printable(text: str) -> str:
    r"""`text` with U+FFFD in place of each such character.

    >>> printable("Dam\x1b[2J")
    'Dam\ufffd[2J'
    """
    return _UNPRINTABLE.sub("\ufffd", text)


_PUBLIC_KEYS = ("host", "hostaddr", "port", "user", "dbname", "sslmode", "connect_timeout", "application_name")
"""Keys of a URL's query whose values are no secrets; any other key may be that of a token."""
_PLAIN_VALUE = re.compile(r"[\w./:%-]*")
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*")
_URL = re.compile(r"[A-Za-z][\w+.-]{0,30}://\S+")  # bounded, so that a long text without a URL takes linear time
_SECRET_WORDS = "passw|pwd|secret|token|api[_-]?key|access[_-]?key|credential|signature"
_SECRET = re.compile(
    rf"(?is)(?<![\w-])(?=[\w-]*?(?:{_SECRET_WORDS}))([\w-]++)(\s*+=\s*+)"
    r"""(?:'(?:[^'\\]|\\.)*+(?:'|\\?\Z)|"(?:[^"\\]|\\.)*+(?:"|\\?\Z)"""  # quoted, or a quote that nothing closes
    r"""|(?:[^\s&]|&(?![\w.-]+=))*[^\s&;,'")])"""  # up to a space or the next pair of a query
)
_FILE_OR_DATABASE = ("sqlite", "postgresql", "file")
"""Schemes of URLs whose path is that of a file or the name of a database."""
_HOST = re.compile(r"(?i)https?\b|//|(?:[\w-]+\.)+[\w-]+(?::\d*)?/|[\w-]+:\d+/|localhost/")
"""Start of a text that is a service's URL with a mistyped scheme or without one."""
_KEY_SEGMENT = re.compile(r"(?i)(?:(?:api|access|auth|secret)[_-]?)?(?:key|token)s?|secrets?|passw(?:or)?d|signature")
"""Segment of a path that announces a secret: ``/token/SECRET``."""
_RANDOM_LENGTH = 20
"""Characters from which a segment with both letters and digits may be a secret."""
_CLOSING = ")]}>'\",.;:!?…"
"""Characters that end a URL in a sentence and are no part of it."""


def public_url(url: str) -> str:
    """`url` without secrets: user info, segments of a service's path, values of its query except a few that are none.

    The user's name in the URL of an archive stays. A text that is not a URL is read as one as far as possible, because
    a mistyped URL has the same secrets.

    >>> public_url("postgresql+psycopg://me:secret@host/x?sslmode=require&sslpassword=secret")
    'postgresql+psycopg://me:***@host/x?sslmode=require&sslpassword=***'
    >>> public_url("https://secret@host/x?sig=secret")
    'https://***@host/x?sig=***'
    >>> public_url("https://host/token/hunter2/api/0123456789abcdef0123")
    'https://host/token/***/api/***'
    """
    scheme, mark, rest = url.partition("://")
    if not mark or not _SCHEME.fullmatch(scheme):
        scheme, mark, rest = "", "", url
    is_file = scheme.startswith("sqlite") and rest.startswith("/")
    user_info, at, place = rest.rpartition("@")
    if is_file or (not mark and ":" not in user_info):  # a path may contain an @
        user_info, at, place = "", "", rest
    is_service = _is_service(url) or (not mark and _is_service(place))
    if at and re.search(r"[/?#]" if is_service else r"[?#]", user_info):  # the end of the user info is unknown
        return f"{scheme}{mark}***"
    place, question, query = place.partition("?")
    place, hash_sign, fragment = place.partition("#") if mark and not is_file else (place, "", "")
    if is_service:
        host, slash, path = place.partition("/")
        place = host + slash + "/".join(_masked(segment) if secret else segment for segment, secret in _segments(path))
    place += "#***" if hash_sign else ""
    query = "&".join(map(_public_pair, query.split("&"))) if question else ""
    user = _public_user(user_info, scheme) if at else ""
    return _without_secret_words(f"{scheme}{mark}{user}{at}{place}{question}{query}")


def secret_segments(url: str) -> list[str]:
    """Segments of the path of a service's URL that may be secrets, as written and without percent codes.

    Each is long and has both letters and digits, or it comes after a segment such as ``token``.

    >>> secret_segments("https://host/token/a%20b/api")
    ['a%20b', 'a b']
    """
    path = re.split(r"[?#]", url.partition("://")[2], maxsplit=1)[0].partition("/")[2]
    secrets = [segment for segment, secret in _segments(path) if secret] if _is_service(url) else []
    return [form for segment in secrets for form in dict.fromkeys((segment, unquote(segment)))]


def _is_service(url: str) -> bool:
    scheme, mark, _ = url.partition("://")
    return not scheme.lower().startswith(_FILE_OR_DATABASE) if mark else _HOST.match(url) is not None


def _segments(path: str) -> Iterator[tuple[str, bool]]:
    """Segments of a path between slashes, and whether each may be a secret."""
    before = ""
    for segment in path.split("/"):
        text = unquote(segment).rstrip(_CLOSING)
        is_random = len(text) >= _RANDOM_LENGTH and re.search(r"\d", text) and re.search(r"[^\W\d_]", text)
        yield segment, bool(text and (is_random or _KEY_SEGMENT.fullmatch(before)))
        before = text or before


def _masked(segment: str) -> str:
    return "***" + segment[len(segment.rstrip(_CLOSING)) :]


def _public_user(user_info: str, scheme: str) -> str:
    user, colon, _ = user_info.partition(":")
    if not scheme.startswith("postgresql") or re.search(r"[/@]", user_info):
        return "***"
    return f"{user}:***" if colon else user


def _public_pair(pair: str) -> str:
    """A part `key=value` of a query; a part without `=` may be a token."""
    key, equals, value = pair.partition("=")
    if not equals:
        return "***"
    return pair if key in _PUBLIC_KEYS and _PLAIN_VALUE.fullmatch(value) else f"{key}=***"


def without_secrets(text: str) -> str:
    """`text`, such as a sentence, with each URL in it as `public_url`, and without values of words such as password.

    >>> without_secrets("http://me:secret@host/x is down, password='secret'")
    'http://***@host/x is down, password=***'
    """
    return _without_secret_words(_URL.sub(lambda match: public_url(match[0]), text))


def _without_secret_words(text: str) -> str:
    return _SECRET.sub(r"\1\2***", text)
