"""Settings: defaults, then `forebay.toml`, then the environment, each value with where it came from.

An environment variable is `FOREBAY_` and the key, with two underscores between levels:
``FOREBAY_SOURCES__WATERNSW__URL=http://127.0.0.1:8080/``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from forebay.errors import ConfigError
from forebay.services import default_urls, service_named

FILE_NAME = "forebay.toml"
PREFIX = "FOREBAY_"
MAX_BYTES = 1 << 20
MOST_LEVELS = 20


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceSettings(_Frozen):
    """How one service is reached."""

    url: str

    @field_validator("url")
    @classmethod
    def _starts_with_http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{_short(url)} must start with http:// or https://")
        return url


class HttpSettings(_Frozen):
    """Limits of every request: waits in seconds, sizes in bytes.

    `requests_at_once` is per host. `points_per_request` and `days_per_request` bound what one request asks for: a
    longer span is asked for in parts.
    """

    connect_timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    read_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    deadline_s: Annotated[float, Field(gt=0, le=7200)] = 180.0
    attempts: Annotated[int, Field(ge=1, le=20)] = 4
    first_wait_s: Annotated[float, Field(ge=0, le=600)] = 1.0
    longest_wait_s: Annotated[float, Field(ge=0, le=3600)] = 60.0
    max_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    requests_at_once: Annotated[int, Field(ge=1, le=16)] = 2
    points_per_request: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    days_per_request: Annotated[int, Field(ge=1, le=100_000)] = 3660


def _default_sources() -> dict[str, SourceSettings]:
    return {name: SourceSettings(url=url) for name, url in default_urls().items()}


def data_folder() -> Path:
    """The user's data folder for forebay, by the platform's custom."""
    from platformdirs import user_data_path

    return user_data_path("forebay", appauthor=False)


def cache_folder() -> Path:
    """The user's cache folder for forebay, by the platform's custom."""
    from platformdirs import user_cache_path

    return user_cache_path("forebay", appauthor=False)


class Settings(_Frozen):
    """All settings.

    Attributes
    ----------
    archive
        URL of the archive; by default an SQLite file in the user's data folder.
    output
        Folder under which `forebay run` makes one folder per dam.
    provisional_days
        Newest days that a fetch asks for again, because agencies still revise them.
    cache, cache_mb
        Folder in which fitted models are kept for the next hindcast, and how many megabytes at most; 0 keeps none.
    sources, http
        Base URL of each service; limits of every request.
    """

    archive: str = Field(min_length=1, default_factory=lambda: f"sqlite:///{quote(str(data_folder() / 'forebay.db'))}")
    output: Annotated[str, Field(min_length=1)] = "runs"
    provisional_days: Annotated[int, Field(ge=0, le=3650)] = 30
    cache: str = Field(min_length=1, default_factory=lambda: str(cache_folder()))
    cache_mb: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    sources: Mapping[str, SourceSettings] = Field(default_factory=_default_sources)
    http: HttpSettings = HttpSettings()

    def http_for(self, source: str) -> HttpSettings:
        """Limits of requests to a service: the lower of `http` and the service's own."""
        own = service_named(source).limits
        names = ("requests_at_once", "points_per_request", "days_per_request")
        service_limits = {name: getattr(own, name) for name in names}
        lower = {n: min(getattr(self.http, n), limit) for n, limit in service_limits.items() if limit is not None}
        return self.http.model_copy(update=lower)


def load_settings(folder: Path, environ: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
    """Settings in force, and for each key ("sources.waternsw.url") where its value came from.

    Parameters
    ----------
    folder
        Where `forebay.toml` is looked for.
    environ
        The environment; other variables than `FOREBAY_…` are ignored.

    Raises
    ------
    ConfigError
        If the file is not TOML, or a key or value is wrong: names where, key, value and what is allowed.
    """
    merged: dict[str, object] = {}
    origin: dict[str, str] = {}
    path = folder / FILE_NAME
    for key, value in _read(path):
        _put(merged, key, value)
        origin[key] = str(path)
    for name in sorted(environ):
        if name.startswith(PREFIX):
            key = name.removeprefix(PREFIX).lower().replace("__", ".")
            _put(merged, key, environ[name])
            origin[key] = f"environment ({name if name.isprintable() else repr(name)})"
    settings = _validated(merged, origin)
    every = [key for key, _ in leaves(settings.model_dump())]
    return settings, {key: origin.get(key, "default") for key in every}


def _read(path: Path) -> list[tuple[str, object]]:
    """(dotted key, value) of every setting in the file; none if there is no file."""
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} cannot be read as TOML: it is no file")
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} is longer than {MAX_BYTES} bytes, which is too long for settings")
        return list(leaves(tomllib.loads(path.read_text("utf-8-sig"))))
    except FileNotFoundError:
        return []
    except ConfigError:
        raise
    except (OSError, ValueError, RecursionError) as error:  # a ValueError: no UTF-8, no TOML, or too long an integer
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from None


def leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:  # Any: TOML has several types
    """(dotted key, value) of every setting in a nested table."""
    if above.count(".") > MOST_LEVELS:
        raise RecursionError(f"{above[:40]!r}… stands deeper than any setting does")
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _put(tree: dict[str, object], dotted: str, value: object) -> None:
    *path, last = dotted.split(".")
    for part in path:
        below = tree.setdefault(part, {})
        if not isinstance(below, dict):
            raise ConfigError(f"setting {dotted!r}: {part!r} holds a value, so nothing can stand below it")
        tree = below
    tree[last] = value


def _validated(given: dict[str, object], origin: Mapping[str, str]) -> Settings:
    sources = given.get("sources", {})
    if isinstance(sources, dict):
        known: dict[str, object] = {name: source.model_dump() for name, source in _default_sources().items()}
        for name, own in sources.items():
            if name not in known:
                where = _where(f"sources.{name}", origin)
                unknown = _short(f"sources.{name}")
                raise ConfigError(f"{where}: setting {unknown} is unknown; allowed are {', '.join(known)}")
            default = known[name]
            known[name] = default | own if isinstance(default, dict) and isinstance(own, dict) else own
        given = given | {"sources": known}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in fault["loc"])
        where = _where(key, origin)
        if fault["type"] == "extra_forbidden":
            raise ConfigError(f"{where}: setting {_short(key)} is unknown; `forebay settings` names all") from None
        if fault["type"] in ("model_type", "mapping_type", "dict_type"):
            reason = "this names a group of settings, not one"
        else:
            reason = fault["msg"].removeprefix("Value error, ")
        value = _short(fault["input"])
        raise ConfigError(f"{where}: setting {key} = {value}: {reason[0].lower()}{reason[1:]}") from None


def without_password(text: str) -> str:
    """`text`, be it a URL or not, without what may be a password in it.

    >>> without_password("ftp://me:secret@host/x?password=secret")
    'ftp:…@host/x?password=***'
    """
    text = re.sub(r"(?s):.*@", ":…@", text)
    return re.sub(r"(?i)(password\w*=)[^&\s'\"]*", r"\1***", text)


def _short(value: object) -> str:
    """A value as a sentence shows it."""
    text = without_password(repr(value))
    return text if len(text) <= 80 else f"{text[:77]}…"


def _where(key: str, origin: Mapping[str, str]) -> str:
    """Where `key`, or something below it, was set."""
    return next((place for k, place in origin.items() if k == key or k.startswith(f"{key}.")), "settings")
