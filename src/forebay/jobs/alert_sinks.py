"""Where alerts are sent: by apprise, whose URLs nothing shows, logs or stores."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import stat
import threading
import urllib.request
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.errors import ConfigError
from forebay.jobs.results import require_extra

if TYPE_CHECKING:
    from forebay.settings import Settings

VARIABLE, FILE_VARIABLE = "FOREBAY_ALERT_URLS", "FOREBAY_ALERT_URLS_FILE"
_LOGGERS = ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib", "charset_normalizer")
"""Loggers of libraries that may write a URL, or what a server answered."""
_LARGEST_FILE = 1 << 20
DEADLINE_STEPS = 3
"""A delivery that takes longer than so many time-outs is not waited for."""
_KINDS = {"Minor": "info", "Moderate": "warning", "Severe": "failure", "Extreme": "failure"}


@dataclass(frozen=True)
class Sink:
    """A mailbox or service that gets messages.

    Attributes
    ----------
    name
        Its scheme and a digest of its address without secrets; the archive has this name.
    """

    name: str
    _plugin: Any = field(repr=False)  # Any: apprise has no types
    _timeout_s: float = 20.0

    def is_reachable(self) -> bool:
        """Whether its server accepts connections; True also if that is not known without sending."""
        host, port = _address(self._plugin)
        if host is None or urllib.request.getproxies():
            return True
        try:
            socket.create_connection((host, port), timeout=self._timeout_s).close()
        except OSError:
            return False
        return True

    def send(self, title: str, text: str, severity: str) -> bool | None:
        """Send one message, once; whether it was accepted, None if that is not known in time."""
        accepted: list[bool] = []

        def send() -> None:
            try:
                accepted.append(_notify(self._plugin, title, text, _KINDS[severity]))
            except Exception:  # its text may contain the URL
                accepted.append(False)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        thread.join(DEADLINE_STEPS * self._timeout_s)
        return accepted[0] if accepted else None


def alert_sinks(settings: Settings) -> list[Sink]:
    """The sinks of the setting `alert_urls` or of the file `alert_urls_file`; empty without either.

    Raises
    ------
    ConfigError
        If apprise is not installed, the file may be read by others, or a URL is none of apprise. No message has a URL.
    """
    if settings.alert_urls.get_secret_value() and settings.alert_urls_file:
        raise ConfigError(f"{VARIABLE} and {FILE_VARIABLE} are both set; keep one of them")
    if settings.alert_urls_file:
        where, urls = settings.alert_urls_file, _urls_in(Path(settings.alert_urls_file))
    else:
        where, urls = VARIABLE, settings.alert_urls.get_secret_value().split()
    if not urls:
        return []
    require_extra("alerts", "apprise")
    silence_libraries()
    sinks: list[Sink] = []
    known: set[str] = set()
    for number, url in enumerate(urls, start=1):
        plugin = _plugin(url, settings)
        if plugin is None:
            raise ConfigError(
                f"{where}: apprise cannot read URL {number} of {len(urls)}; correct it by apprise's list of services "
                "(the URL is not shown, because it may contain a password)"
            )
        if (whole := str(plugin.url(privacy=False))) in known:
            continue  # the same sink, twice in the list
        known.add(whole)
        name = _name(plugin)
        same = sum(sink.name.startswith(name) for sink in sinks)
        sinks.append(Sink(f"{name}-{same + 1}" if same else name, plugin, settings.alert_timeout_s))
    return sinks


def _name(plugin: Any) -> str:  # Any: apprise has no types
    """Scheme, and a digest of the address without passwords and options.

    Each version of apprise has options of its own in an address; a sink with a new name would get its messages again.
    """
    address = str(plugin.url(privacy=True)).partition("?")[0]
    return f"{address.partition(':')[0]}-{hashlib.sha256(address.encode()).hexdigest()[:6]}"


def _urls_in(path: Path) -> list[str]:
    """URLs of a file, one a line; lines that start with # are comments."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{path} is no file; give one with a URL of apprise in each line")
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & 0o077:
                raise ConfigError(
                    f"{path} has mode {stat.S_IMODE(status.st_mode):04o}, so others may read its URLs and their "
                    f"passwords; run: chmod 600 {path}"
                )
            content = file.read(_LARGEST_FILE)
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; give a file with a URL of apprise in each line") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; {FILE_VARIABLE} names it") from None
    return [line for line in lines if line and not line.startswith("#")]


def _plugin(url: str, settings: Settings) -> Any:  # Any: apprise has no types
    """The plugin of a URL, which never sends twice and waits as long as the settings say; None if it is wrong."""
    import apprise

    silence_libraries()  # importing it enables its logger
    asset = apprise.AppriseAsset(async_mode=False, secure_logging=True, app_id="forebay")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the modules that apprise imports now
            plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    except Exception:  # its text may contain the URL
        return None
    if plugin is not None:
        plugin.retry = 0  # a URL may ask for more: a message that timed out may have arrived
        plugin.socket_connect_timeout = plugin.socket_read_timeout = settings.alert_timeout_s
    return plugin


def _notify(plugin: Any, title: str, text: str, kind: str) -> bool:  # Any: apprise has no types
    """Whether a plugin's server accepted a message; as HTML or Markdown, the text has the same characters."""
    import apprise

    return bool(apprise.Apprise(plugin).notify(body=text, title=title, notify_type=kind, body_format="text"))


def _address(plugin: Any) -> tuple[str | None, int]:  # Any: apprise has no types
    """Host and port of a sink with a server of its own; None as the host of a service that apprise knows."""
    schema = type(plugin).__name__
    if schema == "NotifyEmail":
        return plugin.smtp_host or plugin.host, int(plugin.port or 25)
    if schema in ("NotifyJSON", "NotifyXML", "NotifyForm"):
        return plugin.host, int(plugin.port or (443 if plugin.secure else 80))
    return None, 0


def silence_libraries() -> None:
    """Let apprise and the libraries below it write no log, from now on: a delivery may outlast the wait for it."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)  # of its children, too
        logger.propagate = False
