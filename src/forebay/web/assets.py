"""Styles, scripts and pictures of pages, each under an address with the digest of its content."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from forebay.charts import drawing

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of every page: nothing inline, no evaluation of text, no other host."""
IMMUTABLE = "public, max-age=31536000, immutable"
"""Cache-Control of an asset: another content has another address."""


@dataclass(frozen=True)
class Asset:
    """A file for pages: its bytes, plain and compressed, and its media type."""

    body: bytes
    compressed: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """The part of its address that changes with its content."""
        return hashlib.blake2b(self.body, digest_size=8).hexdigest()


def _file(package: str, name: str) -> Callable[[], bytes]:
    return (resources.files(package) / "static" / name).read_bytes


_JAVASCRIPT, _CSS = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "report.css": (_file("forebay.report", "report.css"), _CSS),
    "pages.css": (_file("forebay.web", "pages.css"), _CSS),
    "vega.js": (lambda: drawing.vega_bundle().encode(), _JAVASCRIPT),
    "start.js": (_file("forebay.report", "start.js"), _JAVASCRIPT),
    "live.js": (_file("forebay.web", "live.js"), _JAVASCRIPT),
    "fold.js": (_file("forebay.web", "fold.js"), _JAVASCRIPT),
    "overview.js": (_file("forebay.web", "overview.js"), _JAVASCRIPT),
    "scenario.js": (_file("forebay.web", "scenario.js"), _JAVASCRIPT),
    "alerts.js": (_file("forebay.web", "alerts.js"), _JAVASCRIPT),
    "icon.svg": (_file("forebay.web", "icon.svg"), "image/svg+xml"),
}


@cache
def asset(name: str) -> Asset:
    """The asset of this name.

    Raises
    ------
    KeyError
        If there is none.
    """
    read, media_type = _FILES[name]
    body = read()
    return Asset(body, gzip.compress(body, mtime=0), media_type)


def asset_url(name: str) -> str:
    """Address of an asset on this server.

    The bundle of Vega takes seconds to build, so its address has the version of vl-convert instead of its digest.
    """
    return f"/static/{drawing.bundle_name() if name == 'vega.js' else asset(name).digest}/{name}"
