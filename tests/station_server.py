"""A Hydstra service on loopback with a site table, based on the server of `hydstra_server`.

Stations and their records are invented; the answers have the shape of the recorded answers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tests.hydstra_server import Handler, Json, hydstra_server

RAIN = ("10.00", "Rainfall", "Millimetres", "")
STAGE = ("100.00", "Stream Water Level", "Metres", "")
PEAK = ("100.09", "Stream Water Level", "Metres", "Externally supplied peak")
LAKE = ("130.00", "Reservoir Water Level", "Metres", "")
VOLTS = ("300.00", "Logger Battery Voltage", "Volts", "")


@dataclass(frozen=True)
class Site:
    """A row of the site table, and the station's variables and datasource."""

    station: str
    latitude: object
    longitude: object
    variables: Sequence[tuple[str, str, str, str]] = (RAIN,)
    datasource: str = "A"
    period: tuple[str, str] = ("19900101000000", "20241118163000")

    def row(self) -> dict[str, object]:
        """The site in the form of an answer to `get_db_info`."""
        return {
            "station": self.station,
            "stname": f"STATION {self.station}",
            "latitude": self.latitude,
            "longitude": self.longitude,
            "active": True,
            "commence": "19900101",
            "cease": "18991230",
        }


@dataclass
class Service:
    """The service's content and behaviour, and the calls that it received."""

    sites: Sequence[Site]
    longitude_first: bool = False
    refuses: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Function → envelope of an error that replaces each of its answers."""
    calls: list[Json] = field(default_factory=list)

    def answer(self, call: Json) -> Json:
        """The answer to a call, recorded in `calls`."""
        self.calls.append(call)
        function, params = call["function"], call["params"]
        if function in self.refuses:
            return dict(self.refuses[function])
        if function == "get_db_info":
            assert (call["version"], params["table_name"], params["return_type"]) == ("3", "site", "array")
            return {"error_num": 0, "return": {"rows": self._around(*params["geo_filter"]["circle"])}}
        requested = params["site_list"].split(",")
        assert call["version"] == "1" and len(requested) <= 20, "few sites per call"
        known = [site for site in self.sites if site.station in requested]
        if function == "get_datasources_by_site":
            return {"error_num": 0, "return": {"sites": [
                {"site": site.station, "datasources": [site.datasource, "PROV"]} for site in known
            ]}}  # fmt: skip
        assert function == "get_variable_list"
        return {"error_num": 0, "return": {"sites": [self._listed(site, params["datasource"]) for site in known]}}

    def _around(self, first: float, second: float, radius: float) -> list[dict[str, object]]:
        """Rows within the circle on a map of degrees, and all rows without coordinates, as real services do."""
        latitude, longitude = (second, first) if self.longitude_first else (first, second)
        rows = []
        for site in self.sites:
            try:
                away = math.hypot(float(str(site.latitude)) - latitude, float(str(site.longitude)) - longitude)
            except ValueError:
                away = 0.0
            if away <= radius or site.latitude in ("0", 0):
                rows.append(site.row())
        return rows

    def _listed(self, site: Site, datasource: str) -> dict[str, object]:
        start, end = site.period
        variables = [
            {
                "period_end": end,
                "period_start": start,
                "subdesc": description,
                "variable": code,
                "units": units,
                "name": name,
            }
            for code, name, units, description in (site.variables if datasource == site.datasource else ())
        ]
        details = {"timezone": "10.0", "short_name": site.station, "name": f"STATION {site.station}"}
        return {"site_details": details, "variables": variables, "site": site.station}


@contextmanager
def station_server(service: Service) -> Iterator[str]:
    """The URL of a server that answers as `service` does."""

    class Searched(Handler):
        def reply(self, text: str) -> None:
            self.send_whole(200, json.dumps(service.answer(json.loads(text)), indent=4).encode())

    with hydstra_server(handler=Searched) as url:
        yield url


@lru_cache(maxsize=1)
def around_warragamba() -> tuple[Site, ...]:
    """Fictitious stations around Warragamba Dam: three near, one 40 km away, two without coordinates."""
    return (
        Site("900001", "-33.8838", "150.5955", (LAKE, VOLTS), "CP"),
        Site("900002", "-33.9738", "150.5955", (RAIN,)),  # 0.09° south: 10.008 km
        Site("900003", "-33.8838", "150.3800", (STAGE, PEAK, RAIN), period=("19800703120000", "18991230000000")),
        Site("900004", "-33.5238", "150.5955", (RAIN,)),  # 0.36° north: 40.03 km
        Site("900005", "", "", (RAIN,)),
        Site("900006", "0", "0", (RAIN,)),
    )


def as_settings(url: str, **http: Any) -> Mapping[str, Any]:  # Any: a JSON value
    """Settings that send every service's requests to `url`, with one attempt."""
    services = {name: {"url": url} for name in ("waternsw", "vicwater", "qldwater")}
    return {"sources": services, "http": {"attempts": 1, "first_wait_s": 0.0, **http}}
