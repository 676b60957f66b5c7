"""A gauge of a dam: its role, its source, and how its numbers are to be read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import date, time, timedelta
from os.path import abspath
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PrivateAttr, model_validator

from forebay.dams.conversion import Conversion, ReadingsFrom, Scale, canonical_values, conversions
from forebay.dams.csv_layout import FileLayout
from forebay.dams.fields import Clock, FrozenModel, check_unique
from forebay.dams.forcing import MAX_HOURS
from forebay.dams.local_time import to_local
from forebay.dams.variables import DAY_S, TARGETS, VARIABLES, Variable
from forebay.services import service_named
from forebay.text import public_url

Role = Literal[
    "target",
    "rainfall",
    "stream",
    "inflow",
    "release",
    "storage",
    "level",
    "temperature",
    "evaporation",
    "snow",
    "upstream_level",
    "upstream_release",
]
ROLE_VARIABLES: dict[str, tuple[str, ...]] = {
    "target": TARGETS,
    "rainfall": ("rainfall",),
    "stream": ("stream_level", "discharge"),
    "inflow": ("inflow", "discharge"),
    "release": ("release", "discharge"),
    "storage": ("storage", "storage_percent"),
    "level": ("reservoir_level",),
    "temperature": ("temperature",),
    "evaporation": ("evaporation",),
    "snow": ("snow_water_equivalent",),
    "upstream_level": ("reservoir_level",),
    "upstream_release": ("release", "discharge"),
}
"""Variables that a gauge of each role may measure."""
LAKE_ROLES = ("target", "storage", "level")
"""Roles of gauges that measure the lake itself: they are no drivers of each other."""

_INTERVAL = re.compile(r"(\d{1,3})min")
_RULES = {
    "unit", "scale", "offset", "readings_from", "reading", "interval", "stamp", "day_start", "reading_at", "file",
    "request",
}  # fmt: skip
"""Keys that affect the value or the time of a reading."""
_DIGEST_LETTERS = 12


def _check_source(text: str) -> str:
    service_named(text)
    return text


def _request_pairs(table: object) -> object:
    """(key, text) of each entry of a table of texts and numbers, sorted; anything else is left to the validation."""
    if not isinstance(table, Mapping):
        return table
    for key, value in table.items():
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise ValueError(f"request.{_printable_key(key)} = {value!r} must be a text or a whole number")
    return tuple(sorted((str(key), str(value)) for key, value in table.items()))


def _printable_key(key: object) -> str:
    """A key of a table for a message of one line."""
    return str(key) if str(key).isprintable() else repr(key)


def _names(names: object) -> object:
    """A single name as a tuple of one; anything else is left to the validation."""
    return (names,) if isinstance(names, str) else names


Request = Annotated[
    tuple[tuple[str, str], ...], BeforeValidator(_request_pairs), PlainSerializer(dict, return_type=dict[str, str])
]
"""Parameters of the requests to a service: a table in the dam file, pairs of key and text here."""


def _check_variable(text: str) -> str:
    if text not in VARIABLES:
        raise ValueError(f"variable {text!r} is unknown; allowed are {', '.join(VARIABLES)}")
    return text


class Sentinels(FrozenModel):
    """Published numbers that mean "no value"."""

    values: tuple[float, ...] = ()
    below: float | None = None
    above: float | None = None

    @property
    def declared(self) -> bool:
        """Whether the dam file declares any."""
        return bool(self.values) or self.below is not None or self.above is not None


class AcceptedSpell(FrozenModel):
    """Local days (`to` included; without it, all days from `from` on) whose readings the screen must not flag."""

    from_: Annotated[date, Field(alias="from")]
    to: date | None = None
    reason: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.to is not None and self.to < self.from_:
            raise ValueError(f"to ({self.to}) must not be before from ({self.from_})")
        return self


class Gauge(FrozenModel):
    """One series of one station: its role for the dam, its source, and how its numbers are to be read.

    Attributes
    ----------
    role
        Role for the dam; the models build their inputs from roles.
    reading
        What one published number is: the mean or the total of its interval, an instantaneous value, or the total
        since a reset ("accumulated"), from which the totals of intervals are computed.
    interval
        "day", "hour", or "15min" and the like: time from one number to the next.
    stamp
        Whether a number's time is its interval's start or end.
    day_start, reading_at
        Clock times (station-local): the start of the gauge's day; the time of an instantaneous daily reading.
    aggregate, share_required
        How sub-daily numbers become a day's value, and the share of the day's hours that is necessary for one.
    latency_h
        Hours from the end of an interval until its number is available.
    travel_time_h
        Of a gauge upstream: hours until its water arrives at the dam.
    substitute
        Columns or stations of the gauges, in order, whose values replace a missing or late value of this gauge.
    scale, offset
        Value in `unit` = scale × published number + offset.
    readings_from
        Other scale, offset or unit from a local day on.
    accept
        Spells whose readings are right, although the screen flags them: a drawdown for works, a change of operation.
    request
        Parameters of the requests to the service, where its defaults do not fit; each service has its own keys.
    valid_range
        Closed range in `unit` outside of which a value is flagged; by default the variable's plausible range.
    """

    role: Role
    source: Annotated[str, AfterValidator(_check_source)]
    station: Annotated[str, Field(min_length=1)]
    variable: Annotated[str, AfterValidator(_check_variable)]
    unit: str
    name: str = ""
    reading: Literal["mean", "total", "instantaneous", "accumulated"]
    interval: str = "day"
    stamp: Literal["start", "end"] = "start"
    day_start: Clock = time(0)
    reading_at: Clock | None = None
    aggregate: Literal["mean", "total", "min", "max", "last"]
    share_required: Annotated[float, Field(gt=0, le=1)] = 0.9
    latency_h: Annotated[float, Field(ge=0, le=24 * 30)] = 0.0
    travel_time_h: Annotated[float, Field(ge=0, le=MAX_HOURS)] = 0.0
    substitute: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_names)] = ()
    scale: Scale = 1.0
    offset: float = 0.0
    readings_from: tuple[ReadingsFrom, ...] = ()
    accept: tuple[AcceptedSpell, ...] = ()
    valid_range: tuple[float, float] | None = None
    sentinels: Sentinels = Sentinels()
    file: FileLayout | None = None
    request: Request = ()
    _time_zone: str = PrivateAttr("+00:00")

    @model_validator(mode="before")
    @classmethod
    def _add_defaults(cls, fields: object) -> object:
        """`aggregate` and `reading` follow the variable where the dam file omits them."""
        if not isinstance(fields, dict):
            return fields
        if "hydstra" in fields and "request" not in fields:  # its name until version 0.2
            fields = {("request" if key == "hydstra" else key): value for key, value in fields.items()}
        if str(fields.get("variable")) not in VARIABLES:
            return fields
        aggregate = VARIABLES[str(fields["variable"])].aggregate
        return {"aggregate": aggregate, "reading": aggregate} | fields

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.variable not in ROLE_VARIABLES[self.role]:
            raise ValueError(
                f"variable {self.variable!r} does not fit role {self.role!r}; allowed are "
                f"{', '.join(ROLE_VARIABLES[self.role])}"
            )
        self.conversions(self.unit)
        if unknown := {key for key, _ in self.request} - set(service_named(self.source).request_keys):
            allowed = ", ".join(service_named(self.source).request_keys) or "none"
            key = _printable_key(min(unknown))
            raise ValueError(f"request.{key} is unknown; allowed with source = {self.source!r}: {allowed}")
        if not (url := dict(self.request).get("url", "http://")).startswith(("http://", "https://")):
            raise ValueError(f"request.url = {public_url(url)!r} must start with http:// or https://")
        check_unique("readings_from: from", (change.from_ for change in self.readings_from))
        if self.interval_s is None:
            raise ValueError(f"interval {self.interval!r} is unknown; allowed are 'day', 'hour', '15min' and the like")
        if (self.reading_at is not None) != (self.reading == "instantaneous" and self.interval == "day"):
            raise ValueError('reading_at goes with reading = "instantaneous" and interval = "day", which require it')
        if self.accumulated and (self.kind.aggregate != "total" or self.file is None):
            raise ValueError('reading = "accumulated" is for rainfall and evaporation with source = "csv"')
        if (self.file is None) == (service_named(self.source).protocol == "csv"):
            raise ValueError('a gauge with source = "csv" needs a [gauges.file] table, and no other gauge may have one')
        if self.travel_time_h and not self.role.startswith("upstream"):
            raise ValueError(f"travel_time_h goes with roles upstream_level and upstream_release, not {self.role!r}")
        if self.valid_range is not None and not self.valid_range[0] < self.valid_range[1]:
            raise ValueError(f"valid_range = {list(self.valid_range)} must be [lowest, highest]")
        return self

    @property
    def interval_s(self) -> int | None:
        """Seconds from one number to the next; 86,400 stands for a local day; None if the text is not an interval."""
        if self.interval == "day":
            return DAY_S
        if self.interval == "hour":
            return 3600
        match = _INTERVAL.fullmatch(self.interval)
        minutes = int(match[1]) if match else 0
        return minutes * 60 if 0 < minutes <= 720 and 1440 % minutes == 0 else None

    @property
    def table_interval(self) -> int:
        """`interval` of the gauge's rows in the table of observations: 0 for instantaneous readings."""
        return 0 if self.reading == "instantaneous" else (self.interval_s or 0)

    @property
    def accumulated(self) -> bool:
        """Whether the published numbers are totals since a reset."""
        return self.reading == "accumulated"

    @property
    def kind(self) -> Variable:
        """The measured variable."""
        return VARIABLES[self.variable]

    def in_time_zone(self, time_zone: str) -> Self:
        """The gauge with the time zone of its dam, which is one of its reading rules."""
        if self._time_zone == time_zone:
            return self
        gauge = self.model_copy()
        gauge._time_zone = time_zone
        return gauge

    @property
    def time_zone(self) -> str:
        """Time zone of the dam, as far as `in_time_zone` has set it."""
        return self._time_zone

    @property
    def reading_rules(self) -> str:
        """Reading rules as JSON: everything that affects the value or the time of a reading.

        Keys with their default value are left out, so that a new key of the dam file changes no digest.
        """
        rules = self.model_dump(mode="json", include=_RULES, exclude_defaults=True)
        if "request" in rules and service_named(self.source).protocol == "hydstra":
            rules["hydstra"] = rules.pop("request")  # the key's name when the first digests were made
        if self.file is not None:
            rules["file"] |= {"path": [abspath(path) for path in self.file.paths]}
        return json.dumps(rules | {"time_zone": self._time_zone}, sort_keys=True)

    @property
    def series(self) -> dict[str, str | int]:
        """Identity of the gauge's series in the archive: source, station, variable, aggregate, interval, rules.

        `rules` is a digest of `reading_rules`: after a correction of the dam file, the gauge has another series.
        """
        return {
            "source": f"csv:{self.file.dam}" if self.file else self.source,
            "station": self.station,
            "variable": self.variable,
            "aggregate": "total" if self.accumulated else self.reading,
            "interval": self.table_interval,
            "rules": hashlib.sha256(self.reading_rules.encode()).hexdigest()[:_DIGEST_LETTERS],
        }

    def conversions(self, unit: str) -> list[tuple[date, Conversion]]:
        """First day and conversion of each part of the series, whose numbers are in `unit` until it changes."""
        return conversions(self.kind, unit, (self.scale, self.offset), self.readings_from)

    def canonical(self, numbers: pl.Series, times: pl.Series, unit: str) -> pl.Series:
        """Published numbers, which are in `unit` until it changes, in the variable's canonical unit.

        Parameters
        ----------
        times
            Start of each number's interval (UTC).
        """
        return canonical_values(numbers, times, self.conversions(unit), self._time_zone)

    @property
    def file_names(self) -> str:
        """Path of the gauge's file or files, for messages; empty without a file."""
        return ", ".join(self.file.paths) if self.file else ""

    @property
    def column(self) -> str:
        """Column of the daily table: the variable for the target, variable and station for all others."""
        return self.variable if self.role == "target" else f"{self.variable}_{self.station}"

    @property
    def title(self) -> str:
        """Name for people."""
        return self.name or f"{self.kind.title} {self.station}"

    @property
    def ready_after(self) -> timedelta:
        """Time from an interval's end until its value is available."""
        return timedelta(hours=self.latency_h)

    @property
    def ends_next_day(self) -> bool:
        """Whether a daily value's interval ends on the day after the one that it starts on."""
        return self.reading_at is None and self.day_start != time(0)

    def local_day(self, time_zone: str) -> pl.Expr:
        """The first local day by whose end a reading is complete, from the column `time`, its interval's start.

        A calendar-day mean belongs to its day; the rain from 9:00 on day d to 9:00 on day d+1 to d+1; an instantaneous
        reading to the day that contains it.
        """
        start = to_local(pl.col("time"), time_zone).dt.date()
        if self.table_interval == 0:
            return start
        if self.interval == "day":
            # Not by adding hours: where a clock change skips midnight, the day starts at 01:00 and has 23 h.
            return start + timedelta(days=1) if self.ends_next_day else start
        end = pl.col("time") + timedelta(seconds=self.table_interval)
        return to_local(end - timedelta(microseconds=1), time_zone).dt.date()
