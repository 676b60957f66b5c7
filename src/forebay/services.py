"""The table of every service that a gauge's readings can come from: data only.

A service speaks a protocol; `forebay.sources.PROTOCOLS` has the code of each protocol. One more service of a known
protocol is one entry in `SERVICES`. Settings, the validation of dam files, quality grades, `fetch --dry-run`,
`stations`, help texts and docs/services.md take it from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from forebay.errors import ConfigError

Offer = Literal["readings", "stations", "weather_forecasts"]


@dataclass(frozen=True)
class Limits:
    """The service's own limits of one request, and of requests at a time; None where none is known.

    The limits of the settings (`http`) hold too: the lower of two counts. The limits per minute, hour and day hold for
    the fetch of past weather forecasts, in which each point counts as a request.
    """

    requests_at_once: int | None = None
    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    requests_per_day: int | None = None
    points_per_request: int | None = None
    days_per_request: int | None = None
    stations_per_request: int = 20


@dataclass(frozen=True)
class Service:
    """One service.

    Attributes
    ----------
    title
        Name for people.
    protocol
        Key of `forebay.sources.PROTOCOLS`.
    url
        Default URL; None for a source without a network service, empty where the settings or the gauge must give it.
    offers
        What it has: readings of gauges, a search for stations, weather forecasts.
    quality_codes
        Grade (`tables.GRADES`) → its codes, as numbers and ranges ("1-6 34") or as words ("Approved REVISED"). A code
        that is not listed is "unknown".
    options
        Constants of the protocol. Hydstra: `datasource`. KiWIS: `datasource`, its name of each variable, its name of
        the series for each "reading interval day_start", the end of the names of series with stamps at the end of the
        day (`end_stamp`), and the code that a zero without a measurement has (`zero_code`). UK: `api`.
    request_keys
        Keys that a gauge's `request` may have in the dam file.
    endpoints
        Other URLs of the service, by name; each is a setting (`sources.NAME.endpoints.ENDPOINT`).
    run_delay_h
        Of weather forecasts: hours from the time of a model run until its values are available.
    key_header, key_query, key_variable
        HTTP header or parameter of the query that takes the user's API key, and the environment variable that its other
        clients read the key from; empty for a service without keys.
    covers
        Box that its stations lie in: south, west, north and east in degrees; None for the whole earth. A search for
        stations asks only the services whose box is within reach.
    licence, attribution
        Licence of its data, and the name to show with them; empty if they are not known here.
    """

    title: str
    protocol: str
    url: str | None = None
    offers: tuple[Offer, ...] = ("readings",)
    quality_codes: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    request_keys: tuple[str, ...] = ()
    endpoints: Mapping[str, str] = field(default_factory=dict)
    run_delay_h: float = 0.0
    key_header: str = ""
    key_query: str = ""
    key_variable: str = ""
    covers: tuple[float, float, float, float] | None = None
    licence: str = ""
    attribution: str = ""
    limits: Limits = Limits()

    @property
    def takes_key(self) -> bool:
        """Whether the service has API keys."""
        return bool(self.key_header or self.key_query)


ENGLAND = (49.8, -6.5, 55.9, 1.9)
KIWIS_KEYS = ("ts_id", "ts_path", "parametertype_name", "ts_name", "datasource")
HYDSTRA_KEYS = ("variable", "varfrom", "varto", "datasource")

SERVICES: dict[str, Service] = {
    "waternsw": Service(
        title="WaterNSW (New South Wales)",
        protocol="hydstra",
        url="https://realtimedata.waternsw.com.au/cgi/webservice.exe",
        offers=("readings", "stations"),
        quality_codes={
            "good": "1-6 34 38",
            "fair": "7-10 30 32 33 36 40 44 52 57 58 60 62-64 67 68 77",
            "estimated": "11 39 51 66 75 80 82 91 94 95",
            "unknown": "26 41 45 46 61 65 100 130 140 145",
            "poor": "12 17 31 35 54 69 71 151-153 180",
            "missing": "201 255",  # of class F those that read "data unavailable"
        },
        options={"datasource": "CP"},
        covers=(-37.6, 140.9, -28.1, 153.7),
        request_keys=HYDSTRA_KEYS,
        licence="CC BY 4.0",
        attribution="WaterNSW, continuous water monitoring network",
    ),
    "vicwater": Service(
        title="Water Measurement Information System (Victoria)",
        protocol="hydstra",
        url="https://data.water.vic.gov.au/WMIS/cgi/webservice.exe",
        offers=("readings", "stations"),
        quality_codes={
            "good": "1-3 5 6 8-10 13-15 20 26 30 31 239",
            "fair": "32 35 50 75-77 237",
            "estimated": "36 104 148 150",
            "unknown": "4 42 100 146 149 152 160 165 170 235 236 238 240",
            "poor": "151 153 155 161 180 190 200 201 250 254 255",
        },
        options={"datasource": "A"},
        covers=(-39.2, 140.9, -33.9, 150.1),
        request_keys=HYDSTRA_KEYS,
    ),
    "qldwater": Service(
        title="Water Monitoring Information Portal (Queensland)",
        protocol="hydstra",
        url="https://water-monitoring.information.qld.gov.au/cgi/webservice.exe",
        offers=("readings", "stations"),
        quality_codes={
            "good": "1 9 10 15 19 20 26 31 32 59 69 80",
            "fair": "30 33-37 79",
            "estimated": "60 119",
            "unknown": "38 130 140 150",
            "poor": "39 151 160 170 180 200",
        },
        options={"datasource": "A"},
        covers=(-29.3, 137.9, -9.0, 153.6),
        request_keys=HYDSTRA_KEYS,
    ),
    "bom": Service(
        title="Water Data Online (Bureau of Meteorology, Australia)",
        protocol="kiwis",
        url="http://www.bom.gov.au/waterdata/services",
        offers=("readings", "stations"),
        quality_codes={
            "good": "10",
            "fair": "90",
            "estimated": "110",
            "unknown": "130 140",
            "poor": "210",
            "missing": "-1",
        },
        options={
            "datasource": "0",
            "reservoir_level": "Storage Level",
            "storage": "Storage Volume",
            "rainfall": "Rainfall",
            "stream_level": "Water Course Level",
            "discharge": "Water Course Discharge",
            "mean day 00:00": "DMQaQc.Merged.DailyMean.24HR",
            "mean day 09:00": "DMQaQc.Merged.DailyMean.09HR",
            "total day 00:00": "DMQaQc.Merged.DailyTotal.24HR",
            "total day 09:00": "DMQaQc.Merged.DailyTotal.09HR",
            "mean hour 00:00": "DMQaQc.Merged.HourlyMean.HR",
            "total hour 00:00": "DMQaQc.Merged.HourlyTotal.HR",
            "end_stamp": ".09HR",
            "zero_code": "210",
        },
        request_keys=KIWIS_KEYS,
        licence="CC BY (Australia)",
        attribution="Bureau of Meteorology, Water Data Online, and the agency that measures",
        covers=(-44.0, 112.0, -9.0, 154.0),
        limits=Limits(points_per_request=100_000),
    ),
    "kiwis": Service(
        title="Any other KiWIS hub, by its URL",
        protocol="kiwis",
        url="",
        offers=("readings", "stations"),
        options={"datasource": "0"},
        request_keys=(*KIWIS_KEYS, "url"),
        licence="that of the hub",
        attribution="the agency that runs the hub",
        limits=Limits(points_per_request=100_000),
    ),
    "uk_ea": Service(
        title="Hydrology archive (Environment Agency, England)",
        protocol="uk_ea",
        url="https://environment.data.gov.uk/hydrology",
        offers=("readings", "stations"),
        quality_codes={
            "good": "Good",
            "estimated": "Estimated",
            "unknown": "Unchecked",
            "poor": "Suspect Good/Incomplete Estimated/Incomplete Unchecked/Incomplete Suspect/Incomplete",
            "missing": "Missing Missing/Incomplete",
        },
        options={"api": "hydrology"},
        request_keys=("measure",),
        licence="OGL 3.0",
        attribution="Environment Agency, Hydrology Data Explorer",
        covers=ENGLAND,
        limits=Limits(points_per_request=100_000),
    ),
    "uk_ea_flood": Service(
        title="Real-time flood monitoring, last 4 weeks (Environment Agency, England)",
        protocol="uk_ea",
        url="https://environment.data.gov.uk/flood-monitoring",
        offers=("readings", "stations"),
        options={"api": "flood-monitoring"},
        request_keys=("measure",),
        licence="OGL 3.0",
        attribution="Environment Agency, flood and river level data from the real-time data API (Beta)",
        covers=ENGLAND,
        limits=Limits(points_per_request=10_000),
    ),
    "usgs": Service(
        title="USGS Water Data (United States)",
        protocol="usgs",
        url="https://api.waterdata.usgs.gov/ogcapi/v1",
        offers=("readings", "stations"),
        quality_codes={
            "good": "Approved REVISED",
            "unknown": "Provisional",
            "estimated": "ESTIMATED FORCEINTERPOLATION",
            "poor": "ICE EQUIP",
        },
        covers=(-14.6, -215.4, 71.5, -64.5),  # from Guam (144.6° E) eastwards to the Virgin Islands
        request_keys=("parameter", "statistic", "datum", "series"),
        key_header="X-Api-Key",
        key_variable="API_USGS_PAT",
        licence="Public domain (U.S. Government)",
        attribution="U.S. Geological Survey, Water Data for the Nation",
        limits=Limits(points_per_request=50_000, stations_per_request=200),
    ),
    "cwms": Service(
        title="CWMS Data API (US Army Corps of Engineers)",
        protocol="cwms",
        url="https://cwms-data.usace.army.mil/cwms-data",
        offers=("readings", "stations"),
        covers=(17.5, -170.0, 71.5, -64.0),
        request_keys=("office", "datum"),
        licence="Public domain (U.S. Government)",
        attribution="US Army Corps of Engineers, CWMS Data API",
    ),
    "cdec": Service(
        title="California Data Exchange Center",
        protocol="cdec",
        url="https://cdec.water.ca.gov/dynamicapp/req/JSONDataServlet",
        quality_codes={"poor": "N"},
        request_keys=("sensor",),
        licence="public data of the State of California",
        attribution="California Department of Water Resources, CDEC",
    ),
    "open_meteo": Service(
        title="Open-Meteo, reanalysis and forecasts of weather models (free use is non-commercial)",
        protocol="open_meteo",
        url="https://archive-api.open-meteo.com/v1/archive",
        endpoints={
            "forecast": "https://api.open-meteo.com/v1/forecast",
            "ensemble": "https://ensemble-api.open-meteo.com/v1/ensemble",
            "single_runs": "https://single-runs-api.open-meteo.com/v1/forecast",
            "previous_runs": "https://previous-runs-api.open-meteo.com/v1/forecast",
        },
        offers=("readings", "weather_forecasts"),
        options={"customer_prefix": "customer-"},
        request_keys=("points", "model", "variable"),
        run_delay_h=6.0,
        key_query="apikey",
        key_variable="OPEN_METEO_API_KEY",
        licence="CC BY 4.0",
        attribution="Weather data by Open-Meteo.com (https://open-meteo.com)",
        limits=Limits(requests_per_minute=600, requests_per_hour=5000, requests_per_day=10_000),
    ),
    "csv": Service(title="A CSV file that the dam file describes", protocol="csv"),
    "simulated": Service(title="The simulation behind the dam `demo`", protocol="simulated", licence="Apache-2.0"),
}
"""Every service by the name that a dam file gives as `source`.

Quality codes of Australian agencies: the Bureau of Meteorology's classes A (good), B (fair), C (estimated), E (unknown)
and F (poor) of each agency's codes. Those of USGS: the approval status and the qualifiers.
"""


def service_named(name: str) -> Service:
    """The service of this name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name not in SERVICES:
        raise ConfigError(f"source {name!r} is unknown; allowed are {', '.join(SERVICES)}")
    return SERVICES[name]


def services_offering(offer: Offer) -> list[str]:
    """Names of the services that offer this.

    >>> services_offering("stations")[:3]
    ['waternsw', 'vicwater', 'qldwater']
    """
    return [name for name, service in SERVICES.items() if offer in service.offers]


def services_with_quality_codes() -> list[str]:
    """Names of the services whose quality codes are numbers with grades: a file can use them."""
    codes = {name: " ".join(service.quality_codes.values()).split() for name, service in SERVICES.items()}
    return [name for name, listed in codes.items() if listed and all(code[0].isdecimal() for code in listed)]


def attributions(names: Iterable[str]) -> list[str]:
    """Sentence on the origin and the licence of the data of each service that states one, in the order of the table.

    >>> attributions(["open_meteo", "csv", "open_meteo"])
    ['Weather data by Open-Meteo.com (https://open-meteo.com), licence CC BY 4.0.']
    """
    names = set(names)
    services = [service for name, service in SERVICES.items() if name in names]
    return [
        f"{', licence '.join(filter(None, (service.attribution, service.licence)))}."
        for service in services
        if service.attribution
    ]


def default_urls() -> dict[str, str]:
    """Default URL of each service on the network; empty where the user must give it."""
    return {name: service.url for name, service in SERVICES.items() if service.url is not None}
