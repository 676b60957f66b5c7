"""Requests to Open-Meteo: the host, the parameters, the user's key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from forebay.services import service_named
from forebay.sources.open_meteo.parse import check_answer
from forebay.sources.request import Request

if TYPE_CHECKING:
    from forebay.dams.weather import Point
    from forebay.settings import Settings

ERROR_STATUSES = frozenset({400, 401, 403, 429})
"""Statuses whose body says what is wrong."""

PARAMETERS = {"rainfall": "precipitation", "temperature": "temperature_2m", "evaporation": "et0_fao_evapotranspiration"}
"""Variable → the service's hourly variable: rain and reference evaporation (FAO-56) are totals of the hour before."""

TOTALS = ("rainfall", "evaporation")
"""Variables whose hourly values are totals; the values of others are momentary."""


def make_request(
    source: str, endpoint: str, points: Sequence[Point], parameters: Mapping[str, str], *, settings: Settings
) -> Request:
    """The request for `points`; times are UTC.

    `timezone=auto` would lose hours where clocks change, and its offset is today's for all dates.

    Parameters
    ----------
    endpoint
        Name of one of the service's `endpoints`; empty: its URL.
    """
    query = {
        "latitude": ",".join(f"{latitude:.6g}" for latitude, _ in points),
        "longitude": ",".join(f"{longitude:.6g}" for _, longitude in points),
        **parameters,
        "timezone": "GMT",
    }
    url = service_url(source, endpoint, settings)
    return Request(
        f"{url}{'&' if '?' in url else '?'}{urlencode(query, safe=',:')}",
        check=partial(check_answer, places=points),
        error_statuses=ERROR_STATUSES,
        secret_query=settings.key_query(source),
        cost=len(points),
    )


def service_url(source: str, endpoint: str, settings: Settings) -> str:
    """URL of an endpoint: the one of the settings, or with a key the default host for customers."""
    service = service_named(source)
    url = settings.endpoint_url(source, endpoint) if endpoint else settings.sources[source].url
    default = service.endpoints[endpoint] if endpoint else service.url
    prefix = service.options.get("customer_prefix", "")
    if url != default or not settings.key_query(source):
        return url
    scheme, mark, place = url.partition("://")
    return f"{scheme}{mark}{prefix}{place}"
