"""Readings of gauges from services, files and the simulation: one module or folder per protocol, one call for all.

A fetch gives the readings of one gauge for a span of local days, or raises. It never gives part of a span as if it were
whole. A gauge without readings in that span gives an empty table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

import polars as pl

from forebay.errors import ConfigError, ForebayError, SourceError
from forebay.log import add_counts, step
from forebay.services import service_named, services_offering
from forebay.sources import cdec, csv_files, cwms, hydstra, kiwis, open_meteo, simulated, uk_ea, usgs
from forebay.sources.answers import errors_at
from forebay.sources.stations import (
    NearbyStations,
    SeriesRow,
    StationList,
    StationSearch,
    nearby_stations,
    services_near,
)

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.dams.weather import Weather
    from forebay.services import Service
    from forebay.settings import Settings
    from forebay.sources.request import PlannedRequest, Request, Send


class Fetch(Protocol):
    """Signature of a protocol's fetch."""

    def __call__(
        self, gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
    ) -> pl.DataFrame:
        """Readings (`tables.READINGS`) of `gauge` whose local day lies in `since` … `until`, both included.

        Without `since` the span starts with the station's record. A value that begins after `now` is among them, also
        if it is of a later day: the archive counts it and does not store it.

        Raises
        ------
        ConfigError
            If the dam file asks for something that the source does not have.
        SourceError
            If the source does not answer, or its answer cannot be read.
        """
        ...


class Plan(Protocol):
    """Signature of a protocol's plan."""

    def __call__(
        self, gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
    ) -> list[PlannedRequest]:
        """The requests that a fetch would send, in order; sends none."""
        ...


class SearchStations(Protocol):
    """Signature of a protocol's search for stations."""

    def __call__(self, search: StationSearch, *, settings: Settings) -> StationList:
        """The stations that a service has near a place."""
        ...


class GaugeKeys(Protocol):
    """Signature of a protocol's keys for a gauge."""

    def __call__(self, series: SeriesRow, service: Service) -> dict[str, object] | None:
        """Keys of a dam file's gauge that reads a series, without source, variable, unit and role.

        None if no gauge reads it: a daily highest value, say.
        """
        ...


class WeatherSource(Protocol):
    """Functions of a protocol that give weather forecasts (`tables.WEATHER_VALUES`), and the requests that they send.

    A function raises a `SourceError` if the service does not answer, or its answer cannot be read; a `MissingRunError`
    if the service does not have the run.
    """

    def current_forecast(
        self, send: Send, weather: Weather, dam: Dam, *, settings: Settings, now: datetime
    ) -> pl.DataFrame:
        """The current forecast, of an answer that names no run: it is issued at `now`."""
        ...

    def ensemble_members(
        self, send: Send, weather: Weather, dam: Dam, *, settings: Settings, now: datetime
    ) -> pl.DataFrame:
        """The members of the current ensemble."""
        ...

    def single_run(self, send: Send, weather: Weather, dam: Dam, run: datetime, *, settings: Settings) -> pl.DataFrame:
        """One past run."""
        ...

    def previous_days(
        self, send: Send, weather: Weather, dam: Dam, days: tuple[date, date], *, settings: Settings
    ) -> pl.DataFrame:
        """Predictions of the days before."""
        ...

    def current_request(self, weather: Weather, dam: Dam, *, settings: Settings) -> Request:
        """Request of `current_forecast`."""
        ...

    def members_request(self, weather: Weather, dam: Dam, *, settings: Settings) -> Request:
        """Request of `ensemble_members`."""
        ...

    def run_request(self, weather: Weather, dam: Dam, run: datetime, *, settings: Settings) -> Request:
        """Request of `single_run`."""
        ...

    def previous_request(self, weather: Weather, first: date, last: date, *, settings: Settings) -> Request:
        """Request of `previous_days`."""
        ...


@dataclass(frozen=True)
class SourceProtocol:
    """The code of one protocol."""

    fetch: Fetch
    plan: Plan
    search_stations: SearchStations | None = None
    weather: WeatherSource | None = None
    gauge_keys: GaugeKeys | None = None


PROTOCOLS: dict[str, SourceProtocol] = {
    "hydstra": SourceProtocol(
        hydstra.fetch_readings, hydstra.plan_requests, hydstra.search_stations, gauge_keys=hydstra.gauge_keys
    ),
    "cwms": SourceProtocol(cwms.fetch_readings, cwms.plan_requests, cwms.search_stations, gauge_keys=cwms.gauge_keys),
    "cdec": SourceProtocol(cdec.fetch_readings, cdec.plan_requests),
    "usgs": SourceProtocol(usgs.fetch_readings, usgs.plan_requests, usgs.search_stations, gauge_keys=usgs.gauge_keys),
    "kiwis": SourceProtocol(
        kiwis.fetch_readings, kiwis.plan_requests, kiwis.search_stations, gauge_keys=kiwis.gauge_keys
    ),
    "uk_ea": SourceProtocol(
        uk_ea.fetch_readings, uk_ea.plan_requests, uk_ea.search_stations, gauge_keys=uk_ea.gauge_keys
    ),
    "open_meteo": SourceProtocol(
        open_meteo.fetch_readings, open_meteo.plan_requests, weather=open_meteo.forecasts
    ),
    "csv": SourceProtocol(csv_files.fetch_readings, csv_files.plan_requests),
    "simulated": SourceProtocol(simulated.fetch_readings, simulated.plan_requests),
}
"""Every protocol that a service (`forebay.services.SERVICES`) may speak."""


def fetch_readings(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings of a gauge of any source, of a service until `now`; see `Fetch`."""
    readings = fetch_all_readings(gauge, dam, since, until, settings=settings, now=now)
    return readings if gauge.file is not None else readings.filter(pl.col("time") <= now)


def fetch_all_readings(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings of a gauge of any source, and values that begin after `now`, where a clock or a date is wrong."""
    protocol = PROTOCOLS[service_named(gauge.source).protocol]
    return protocol.fetch(gauge, dam, since, until, settings=settings, now=now)


def plan_requests(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[PlannedRequest]:
    """The requests that `fetch_readings` would send; see `Plan`."""
    protocol = PROTOCOLS[service_named(gauge.source).protocol]
    return protocol.plan(gauge, dam, since, until, settings=settings, now=now)


def weather_source(service: str) -> WeatherSource:
    """The functions that give the weather forecasts of a service.

    Raises
    ------
    ConfigError
        If the service has none.
    """
    source = PROTOCOLS[service_named(service).protocol].weather
    if source is None:
        raise ConfigError(f"service {service!r} offers no weather forecasts")
    return source


@step("stations")
def search_stations(search: StationSearch, *, settings: Settings) -> StationList:
    """The stations that a service has near a place.

    Raises
    ------
    ConfigError
        If the service has no search for stations, or does not know the variable.
    SourceError
        If the service does not answer, or its answer is not a list of stations.
    """
    search_by_protocol = PROTOCOLS[service_named(search.source).protocol].search_stations
    if search_by_protocol is None:
        raise ConfigError(f"source {search.source!r} offers no search for stations")
    with errors_at(search.source):
        station_list = search_by_protocol(search, settings=settings)
    add_counts({"source": search.source, "stations": len(station_list.stations)})
    return station_list


def search_services(
    latitude: float,
    longitude: float,
    radius_km: float,
    *,
    sources: Sequence[str] | None = None,
    variable: str | None = None,
    settings: Settings,
) -> NearbyStations:
    """The stations of several services near a place, the nearest first; by default of all services in that region.

    A service that fails, or that does not know the variable, is a note. If all fail, the first error is raised.

    Raises
    ------
    ConfigError
        If a value is wrong, or no service has stations in that region.
    SourceError
        If no service answers.
    """
    names = list(sources or services_near(latitude, longitude, radius_km))
    if not names:
        everywhere = ", ".join(services_offering("stations"))
        raise ConfigError(
            f"no service has stations near {latitude:g}, {longitude:g}; there are {everywhere}; name one with --service"
        )
    searches = [StationSearch(latitude, longitude, radius_km, name, variable) for name in names]
    lists: list[StationList] = []
    errors: dict[str, ForebayError] = {}
    for search in searches:
        try:
            lists.append(search_stations(search, settings=settings))
        except (SourceError, ConfigError) as error:
            errors[search.source] = error
    if not lists:
        raise next(iter(errors.values()))
    return nearby_stations(lists, [f"{name} has no result: {error}" for name, error in errors.items()])
