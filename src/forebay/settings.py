"""Settings: defaults, overridden by `forebay.toml`, overridden by the environment, each value with its origin.

An environment variable is `FOREBAY_` and the key, with two underscores between levels:
``FOREBAY_SOURCES__WATERNSW__URL=http://127.0.0.1:8080/``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)

from forebay.errors import ConfigError
from forebay.services import SERVICES, default_urls, service_named
from forebay.text import public_url

FILE_NAME = "forebay.toml"
PREFIX = "FOREBAY_"
MAX_BYTES = 1 << 20
MAX_LEVELS = 20


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceSettings(_Frozen):
    """Addresses of one service, and the user's key for it, which only the environment can give.

    `url` is empty where the service has no default. `endpoints` has its other URLs by name
    (`services.Service.endpoints`).
    """

    url: str
    endpoints: Mapping[str, str] = Field(default_factory=dict)
    api_key: SecretStr = SecretStr("")

    @field_validator("url")
    @classmethod
    def _check_scheme(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError(f"{_short(url)} must start with http:// or https://")
        return url

    @field_validator("endpoints")
    @classmethod
    def _check_schemes(cls, urls: Mapping[str, str]) -> Mapping[str, str]:
        for url in urls.values():
            cls._check_scheme(url)
        return urls

    @model_serializer(mode="wrap")
    def _without_empty_endpoints(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        values: dict[str, object] = serialize(self)
        return {name: value for name, value in values.items() if name != "endpoints" or value}

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value()
        if not (text.isascii() and text.isprintable()) or " " in text:
            raise ValueError("a key has only printable ASCII characters, and no blank; copy it again")
        return key


class HttpSettings(_Frozen):
    """Limits of every request: waits in seconds, sizes in bytes.

    `requests_at_once` is per host. `points_per_request` and `days_per_request` limit one request: a longer span takes
    several.
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


class FileSettings(_Frozen):
    """Folders whose files an error may quote; by default the dam file's folder and the current one.

    The environment variable separates folders by ":" (";" on Windows), as PATH does.
    """

    roots: tuple[Annotated[str, Field(min_length=1)], ...] | None = None

    @field_validator("roots", mode="before")
    @classmethod
    def _split(cls, folders: object) -> object:
        return folders.split(os.pathsep) if isinstance(folders, str) else folders


def _default_sources() -> dict[str, SourceSettings]:
    return {
        name: SourceSettings(url=url, endpoints=service_named(name).endpoints) for name, url in default_urls().items()
    }


def data_folder() -> Path:
    """The user's data folder for forebay, by the platform's convention."""
    from platformdirs import user_data_path

    return user_data_path("forebay", appauthor=False)


def cache_folder() -> Path:
    """The user's cache folder for forebay, by the platform's convention."""
    from platformdirs import user_cache_path

    return user_cache_path("forebay", appauthor=False)


class Settings(_Frozen):
    """All settings.

    Attributes
    ----------
    archive
        URL of the archive; by default an SQLite file in the user's data folder.
    lease_wait_s
        Seconds that a command waits while another process writes to the archive.
    output
        Folder in which `forebay run` creates one folder per dam.
    provisional_days
        Newest days that a fetch requests again, because agencies still revise them.
    cache, cache_mb
        Folder of fitted models and of rows for the next hindcast, and the limit of each in megabytes; 0 stores none. It
        also has the counts of requests to services with a daily limit.
    workers
        Number of threads of a hindcast; by default one per processor.
    sources, http
        Base URL of each service; limits of every request.
    files
        Which files an error may quote.
    clock_fault
        Id of a forecast record whose time is wrong: the next record may have an earlier time.
    alert_rules
        File with alert rules of built-in dams (and of others); a dam file has its own.
    alert_urls, alert_urls_file
        Where alerts are sent: URLs of apprise, which only the environment can give, or a file of them with mode 0600.
    alert_timeout_s
        Seconds that a mail server or service may take for a step of a delivery.
    alert_sender, alert_status
        `sender` and `status` of files by the Common Alerting Protocol; without a sender none are written.
    """

    archive: str = Field(min_length=1, default_factory=lambda: f"sqlite:///{quote(str(data_folder() / 'forebay.db'))}")
    lease_wait_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0
    output: Annotated[str, Field(min_length=1)] = "runs"
    provisional_days: Annotated[int, Field(ge=0, le=3650)] = 30
    cache: str = Field(min_length=1, default_factory=lambda: str(cache_folder()))
    cache_mb: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    workers: Annotated[int, Field(ge=1, le=256)] = Field(default_factory=lambda: min(os.cpu_count() or 1, 256))
    sources: Mapping[str, SourceSettings] = Field(default_factory=_default_sources)
    http: HttpSettings = HttpSettings()
    files: FileSettings = FileSettings()
    clock_fault: str | None = None
    alert_rules: Annotated[str, Field(min_length=1)] | None = None
    alert_urls: SecretStr = SecretStr("")
    alert_urls_file: Annotated[str, Field(min_length=1)] | None = None
    alert_timeout_s: Annotated[float, Field(gt=0, le=600)] = 20.0
    alert_sender: Annotated[str, Field(pattern=r"^[^\s,<&]+$", max_length=200)] | None = None
    alert_status: Literal["Actual", "Exercise", "System", "Test", "Draft"] = "Test"

    @field_validator("sources")
    @classmethod
    def _check_urls(cls, sources: Mapping[str, SourceSettings]) -> Mapping[str, SourceSettings]:
        for name, source in sources.items():
            if not source.url and default_urls().get(name) != "":
                raise ValueError(f"the URL of {name} is empty; it must start with http:// or https://")
        return sources

    def key_headers(self, source: str) -> dict[str, str]:
        """The HTTP header with the user's key for a service; empty without a key."""
        key = self.sources[source].api_key.get_secret_value()
        header = service_named(source).key_header
        return {header: key} if key and header else {}

    def key_query(self, source: str) -> dict[str, str]:
        """The parameter of the query with the user's key for a service; empty without a key."""
        key = self.sources[source].api_key.get_secret_value()
        parameter = service_named(source).key_query
        return {parameter: key} if key and parameter else {}

    def endpoint_url(self, source: str, endpoint: str) -> str:
        """URL of one of the service's `endpoints`."""
        return self.sources[source].endpoints.get(endpoint, service_named(source).endpoints[endpoint])

    def http_for(self, source: str) -> HttpSettings:
        """Limits of requests to a service: the lower of `http` and the service's own."""
        limits = service_named(source).limits
        names = ("requests_at_once", "points_per_request", "days_per_request")
        service_limits = {name: getattr(limits, name) for name in names if getattr(limits, name) is not None}
        lower = {name: min(getattr(self.http, name), limit) for name, limit in service_limits.items()}
        return self.http.model_copy(update=lower)


def load_settings(folder: Path | None, environ: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
    """Settings in force, and the origin of each value by key ("sources.waternsw.url").

    Parameters
    ----------
    folder
        Folder of `forebay.toml`, if there is one; None: the environment alone.
    environ
        Environment variables; only those that start with `FOREBAY_` count.

    Raises
    ------
    ConfigError
        If the file is not TOML, or a key or value is wrong: names origin, key, value and allowed values.
    """
    merged: dict[str, object] = {}
    origin: dict[str, str] = {}
    path = (folder or Path()) / FILE_NAME
    for key, value in [] if folder is None else _read_file(path):
        if is_secret(key):
            variable = f"{PREFIX}{key.upper().replace('.', '__')}"
            raise ConfigError(f"{path}: setting {key} must not be in a file; set the environment variable {variable}")
        _set_value(merged, key, value)
        origin[key] = str(path)
    for name, service in SERVICES.items():
        if service.key_variable and environ.get(service.key_variable):
            _set_value(merged, f"sources.{name}.api_key", environ[service.key_variable])
            origin[f"sources.{name}.api_key"] = f"environment ({service.key_variable})"
    for name in sorted(environ):
        if name.startswith(PREFIX):
            key = name.removeprefix(PREFIX).lower().replace("__", ".")
            _set_value(merged, key, environ[name])
            origin[key] = f"environment ({name if name.isprintable() else repr(name)})"
    settings = _validate(merged, origin)
    return settings, {key: origin.get(key, "default") for key, _ in leaves(settings.model_dump())}


def is_secret(key: str) -> bool:
    """Whether a setting may stand in the environment only, and is never shown."""
    return key.endswith(".api_key") or key == "alert_urls"


def _read_file(path: Path) -> list[tuple[str, object]]:
    """(dotted key, value) of every setting in the file; none if there is no file."""
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} cannot be read as TOML: it is not a file")
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} is longer than {MAX_BYTES} bytes, the limit for settings")
        return list(leaves(tomllib.loads(path.read_text("utf-8-sig"))))
    except FileNotFoundError:
        return []
    except ConfigError:
        raise
    except (
        OSError,
        ValueError,
        RecursionError,
    ) as error:  # a ValueError: not UTF-8, not TOML, or an integer that is too long
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from None


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:  # Any: TOML has several types
    """(dotted key, value) of every setting in a nested table."""
    if prefix.count(".") > MAX_LEVELS:
        raise RecursionError(f"{prefix[:40]!r}… has more levels than any setting")
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _set_value(tree: dict[str, object], dotted: str, value: object) -> None:
    *path, last = dotted.split(".")
    for part in path:
        group = tree.setdefault(part, {})
        if not isinstance(group, dict):
            raise ConfigError(f"setting {dotted!r}: {part!r} has a value itself, so it cannot be a group; remove one")
        tree = group
    tree[last] = value


def _validate(values: dict[str, object], origin: Mapping[str, str]) -> Settings:
    sources = values.get("sources", {})
    if isinstance(sources, dict):
        known: dict[str, object] = {name: source.model_dump() for name, source in _default_sources().items()}
        for name, source_values in sources.items():
            if name not in known:
                where = _where(f"sources.{name}", origin)
                unknown = _short(f"sources.{name}")
                raise ConfigError(f"{where}: setting {unknown} is unknown; allowed are {', '.join(known)}")
            known[name] = _merged(known[name], source_values)
            _refuse_endpoints(name, source_values, origin)
        values = values | {"sources": known}
    for name, source in (values["sources"] if isinstance(values["sources"], dict) else {}).items():
        if isinstance(source, dict) and source.get("api_key") and not service_named(name).takes_key:
            key = f"sources.{name}.api_key"
            raise ConfigError(f"{_where(key, origin)}: setting {key} is not used: the service takes no key; remove it")
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        where = _where(key, origin)
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"{where}: setting {_short(key)} is unknown; `forebay settings` lists all") from None
        if first["type"] in ("model_type", "mapping_type", "dict_type"):
            reason = "this is a group of settings, not a single one"
        else:
            reason = first["msg"].removeprefix("Value error, ")
        value = "" if is_secret(key) else f" = {_short(first['input'])}"
        raise ConfigError(f"{where}: setting {key}{value}: {reason[0].lower()}{reason[1:]}") from None


def _merged(default: object, values: object) -> object:
    """`values` over `default`, table by table."""
    if not (isinstance(default, dict) and isinstance(values, dict)):
        return values
    return default | {key: _merged(default.get(key), value) for key, value in values.items()}


def _refuse_endpoints(name: str, values: object, origin: Mapping[str, str]) -> None:
    """Raise for an endpoint that the service does not have."""
    endpoints = values.get("endpoints") if isinstance(values, dict) else None
    for endpoint in endpoints if isinstance(endpoints, dict) else ():
        if endpoint not in service_named(name).endpoints:
            key = f"sources.{name}.endpoints.{endpoint}"
            allowed = ", ".join(service_named(name).endpoints) or "none"
            raise ConfigError(f"{_where(key, origin)}: setting {_short(key)} is unknown; allowed endpoints: {allowed}")


def public_value(value: Any) -> Any:  # Any: a setting has any type
    """`value` with each text in it as `text.public_url`."""
    if isinstance(value, SecretStr):
        return "***" if value else ""
    if isinstance(value, str):
        return public_url(value)
    if isinstance(value, Mapping):
        return {key: public_value(item) for key, item in value.items()}
    return [public_value(item) for item in value] if isinstance(value, list | tuple) else value


def _short(value: object) -> str:
    """A value for an error message."""
    text = repr(public_value(value))
    return text if len(text) <= 80 else f"{text[:77]}…"


def _where(key: str, origin: Mapping[str, str]) -> str:
    """Origin of `key`, of a key below it, or of the list that it is an item of."""
    pairs = ((f"{k}.", place) for k, place in origin.items())
    return next((place for k, place in pairs if k.startswith(f"{key}.") or key.startswith(k)), "settings")
