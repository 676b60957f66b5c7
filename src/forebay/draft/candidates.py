"""Gauges near a place that may serve a dam: levels to forecast, and drivers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from forebay.dams.variables import TARGETS, VARIABLES
from forebay.draft.roles import ROLES
from forebay.services import service_named
from forebay.sources import PROTOCOLS
from forebay.sources.stations import SeriesRow

if TYPE_CHECKING:
    from forebay.sources.stations import NearbyStations

MAX_PER_VARIABLE = 5
"""Most drivers of one variable that are fetched: the nearest ones."""
ENDED_DAYS = 60
"""A series whose last day is longer ago has ended."""
WEATHER_SERVICE = "open_meteo"
_MAX_CODES = 5


@dataclass(frozen=True)
class Candidate:
    """A series near the place, and the keys of a gauge that reads it.

    `distance_km` is null for a weather point, which lies at the place.
    """

    source: str
    name: str
    variable: str
    unit: str
    keys: Mapping[str, object]
    distance_km: float | None
    first_day: date | None
    last_day: date | None

    @property
    def is_target(self) -> bool:
        """Whether a level, a storage or a percentage is measured."""
        return self.variable in TARGETS

    @property
    def key(self) -> str:
        """Source, station and variable: the key of its decisions."""
        return f"{self.source}:{self.keys['station']}:{self.variable}"

    @property
    def title(self) -> str:
        """Name, distance, period and unit for a person."""
        place = "at the place" if self.distance_km is None else f"{self.distance_km:.1f} km"
        return ", ".join([self.name or str(self.keys["station"]), place, *self._period, self.unit])

    @property
    def _period(self) -> list[str]:
        """Period of record in words, as far as the service states it."""
        if self.first_day is not None and self.last_day is not None:
            return [f"{self.first_day} to {self.last_day}"]
        ends = (("since", self.first_day), ("until", self.last_day))
        return [f"{word} {day}" for word, day in ends if day is not None]

    def table(self, *, is_target: bool = False) -> dict[str, object]:
        """Table of a gauge in a dam file."""
        role = "target" if is_target else ROLES[self.variable]
        name = {"name": self.name} if self.name else {}
        return {"role": role, "source": self.source, **name, "variable": self.variable, "unit": self.unit, **self.keys}

    def with_keys(self, keys: Mapping[str, object]) -> Candidate:
        """The candidate with further keys of its gauge."""
        return replace(self, keys={**self.keys, **keys})


def candidates(nearby: NearbyStations, today: date) -> tuple[list[Candidate], list[str]]:
    """Series that a gauge can read, the nearest first, and notes on those that are left out.

    Of several series of one station and variable, the one with the longest period counts.
    """
    notes: list[str] = []
    unread: list[tuple[str, str]] = []
    best: dict[tuple[str, str, str], Candidate] = {}
    for station in nearby.stations.iter_rows(named=True):
        own = nearby.series.filter(source=station["source"], station=station["station"])
        rows = own.drop_nulls(["variable", "unit"])
        for row in rows.iter_rows(named=True):
            candidate = _candidate(station, row)
            if candidate is None:
                unread.append((station["source"], row["code"]))
                continue
            if candidate.last_day is not None and (today - candidate.last_day).days > ENDED_DAYS:
                notes.append(f"{candidate.title}: left out, it has ended")
                continue
            place = (candidate.source, station["station"], candidate.variable)
            if place not in best or _days(candidate, today) > _days(best[place], today):
                best[place] = candidate
    return list(best.values()), [*dict.fromkeys(notes), *_unread_notes(unread), *_unknown_notes(nearby)]


def _unread_notes(unread: Sequence[tuple[str, str]]) -> list[str]:
    """A sentence per service on series whose interval or kind a gauge does not read: (service, code)."""
    codes: dict[str, list[str]] = {}
    for source, code in unread:
        codes.setdefault(source, []).append(code)
    return [
        f"{source}: {len(of_source)} series left out, because no gauge reads their kind or interval: "
        + ", ".join(of_source[:_MAX_CODES])
        + (" …" if len(of_source) > _MAX_CODES else "")
        for source, of_source in codes.items()
    ]


def _unknown_notes(nearby: NearbyStations) -> list[str]:
    """A sentence on the number of series whose variable or unit forebay does not have."""
    count = len(nearby.series) - len(nearby.series.drop_nulls(["variable", "unit"]))
    return [f"{count} series left out, because they measure something else, or in an unknown unit"] if count else []


def far_notes(series: Sequence[Candidate], target: Candidate, drivers: Sequence[Candidate]) -> list[str]:
    """A sentence per variable of which more gauges lie within the radius than are ranked."""
    counts = Counter(one.variable for one in series if _is_driver(one, target) and one not in drivers)
    return [
        f"{count} more of {VARIABLES[variable].title.lower()} within the radius; the nearest "
        f"{MAX_PER_VARIABLE} are ranked"
        for variable, count in counts.items()
    ]


def _candidate(station: Mapping[str, object], row: Mapping[str, object]) -> Candidate | None:
    """Candidate of a station's series; None if no gauge reads it."""
    source = str(station["source"])
    service = service_named(source)
    sources = station["datasources"]
    datasources = tuple(map(str, sources)) if isinstance(sources, Sequence) else ()
    fields = {name: row[name] for name in ("station", "variable", "unit", "code", "description")}
    gauge_keys = PROTOCOLS[service.protocol].gauge_keys
    keys = gauge_keys(SeriesRow(**fields, datasources=datasources), service) if gauge_keys else None  # type: ignore[arg-type]
    if keys is None:
        return None
    return Candidate(
        source,
        str(station["name"] or ""),
        str(row["variable"]),
        str(row["unit"]),
        keys,
        float(str(station["distance_km"])),
        row["first_day"] if isinstance(row["first_day"], date) else None,
        row["last_day"] if isinstance(row["last_day"], date) else None,
    )


def _days(candidate: Candidate, today: date) -> timedelta:
    """Length of the period; without a first day, none."""
    return (candidate.last_day or today) - (candidate.first_day or candidate.last_day or today)


def weather_points(latitude: float, longitude: float) -> list[Candidate]:
    """Rain of a reanalysis at the place (the service `open_meteo`)."""
    keys = {"station": f"{latitude:g},{longitude:g}", "latency_h": 120.0}
    unit = VARIABLES["rainfall"].unit
    return [Candidate(WEATHER_SERVICE, "Rain at the dam (reanalysis)", "rainfall", unit, keys, None, None, None)]


def drivers_near(series: Sequence[Candidate], target: Candidate) -> list[Candidate]:
    """Candidates for drivers of a target: the nearest ones of each variable, without other levels of lakes."""
    drivers: list[Candidate] = []
    for candidate in series:
        same = sum(one.variable == candidate.variable for one in drivers)
        if _is_driver(candidate, target) and same < MAX_PER_VARIABLE:
            drivers.append(candidate)
    return drivers


def _is_driver(candidate: Candidate, target: Candidate) -> bool:
    """Whether a series may drive the target: no other level of a lake, and a storage only at the target's station."""
    is_used = candidate.variable in ROLES and candidate.variable not in TARGETS
    is_volume = candidate.variable == "storage" and target.variable == "reservoir_level"
    is_same_place = candidate.keys["station"] == target.keys["station"]
    return candidate is not target and (is_used or (is_volume and is_same_place))
