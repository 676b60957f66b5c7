"""A dam and its gauges, read from a TOML file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Annotated, Literal, Self, TypeVar

import numpy as np
import polars as pl
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from forebay.dams.curves import StorageCurve
from forebay.dams.forcing import HOURS_MOST, Forcing
from forebay.dams.layout import FileLayout
from forebay.dams.local_time import to_local, zone
from forebay.dams.variables import DAY_S, TARGETS, VARIABLES, Variable
from forebay.services import service_named

Numbers = TypeVar("Numbers", pl.Expr, pl.Series)
Role = Literal[
    "target",
    "rainfall",
    "stream",
    "inflow",
    "release",
    "storage",
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
    "temperature": ("temperature",),
    "evaporation": ("evaporation",),
    "snow": ("snow_water_equivalent",),
    "upstream_level": ("reservoir_level",),
    "upstream_release": ("release", "discharge"),
}
"""What each role's gauge may measure."""

_INTERVAL = re.compile(r"(\d{1,3})min")


def _id(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", text):
        raise ValueError(f"{text!r} must be 1 to 64 of a-z, 0-9, '_', '-', and start with a letter or digit")
    return text


def _known_source(text: str) -> str:
    service_named(text)
    return text


def _known_variable(text: str) -> str:
    if text not in VARIABLES:
        raise ValueError(f"variable {text!r} is unknown; allowed are {', '.join(VARIABLES)}")
    return text


def _each_once(what: str, names: Iterable[object]) -> None:
    seen: set[object] = set()
    for name in names:
        if name in seen:
            shown = repr(name) if isinstance(name, str) and not name.isprintable() else name
            raise ValueError(f"{what} {shown} stands twice; each may stand once")
        seen.add(name)


def _known_zone(text: str) -> str:
    zone(text)
    return text


def _clock(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError(f"{value!r} must be a clock time like '08:00'")
    return time.fromisoformat(value)


Clock = Annotated[time, BeforeValidator(_clock)]
TimeZone = Annotated[str, AfterValidator(_known_zone)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Dated(_Frozen):
    """A value that holds from a day on."""

    from_: Annotated[date, Field(alias="from")]
    value: float


class RulePoint(_Frozen):
    """A point of a day-of-year rule curve, `day` as "MM-DD"."""

    day: str
    value: float

    @property
    def day_of_year(self) -> int:
        """Day of a leap year, 1 to 366."""
        return datetime.strptime(f"2000-{self.day}", "%Y-%m-%d").timetuple().tm_yday

    @model_validator(mode="after")
    def _is_a_day(self) -> Self:
        try:
            _ = self.day_of_year
        except ValueError:
            raise ValueError(f"day {self.day!r} must be a day of the year like '03-31'") from None
        return self


_LINE_KINDS = (
    'give a number, or one of dated = [{from = DAY, value = …}, …] and rule_curve = [{day = "MM-DD", value = …}, …]'
)


class Line(_Frozen):
    """A level (or storage) that is constant, changes on dates, or follows a rule curve over the year.

    Just one of the three is given; a number alone in the TOML is a constant. A rule curve is linear between its points
    and closes over the new year.
    """

    value: float | None = None
    dated: tuple[Dated, ...] = ()
    rule_curve: tuple[RulePoint, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        if isinstance(value, dict | Line):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{value!r} is not a level; {_LINE_KINDS}")
        return {"value": value}

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.value is not None) + bool(self.dated) + bool(self.rule_curve) != 1:
            raise ValueError(_LINE_KINDS)
        _each_once("dated: day", (step.from_ for step in self.dated))
        _each_once("rule_curve: day", (point.day for point in self.rule_curve))
        return self

    def on(self, days: pl.Series) -> pl.Series:
        """The value in force on each of `days` (dates); null before the first dated one."""
        if self.value is not None:
            return pl.Series([self.value], dtype=pl.Float64).new_from_index(0, len(days))
        if self.dated:
            start = np.array([step.from_ for step in sorted(self.dated, key=lambda s: s.from_)], "datetime64[D]")
            value = np.array([np.nan, *(step.value for step in sorted(self.dated, key=lambda s: s.from_))])
            return pl.Series(value[np.searchsorted(start, days.to_numpy(), side="right")], nan_to_null=True)
        points = sorted((p.day_of_year, p.value) for p in self.rule_curve)
        first, last = points[0], points[-1]
        closed = [(last[0] - 366, last[1]), *points, (first[0] + 366, first[1])]
        in_leap_year = days.dt.replace(year=2000).dt.ordinal_day()
        return pl.Series(np.interp(in_leap_year.to_numpy(), *np.array(closed).T))


class Threshold(_Frozen):
    """A level (or storage) that matters to people, such as minor flood or dead storage."""

    name: str
    level: Line


class Spell(_Frozen):
    """Days from `from` to `to`, both included."""

    from_: Annotated[date, Field(alias="from")]
    to: date
    reason: str = ""

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.to < self.from_:
            raise ValueError(f"to ({self.to}) must not be before from ({self.from_})")
        return self


class DatumOffset(_Frozen):
    """From a day on the target's readings are `offset` (its unit) higher than on the datum that the dam file names."""

    from_: Annotated[date, Field(alias="from")]
    offset: float
    reason: str = ""


DEFAULT_WINDOWS = ("all", "last20")
"""Windows that every hindcast is scored over: all after the warm-up, and the last 20% of the days."""


class Window(Spell):
    """A named span of init dates over which a hindcast is scored."""

    name: Annotated[str, AfterValidator(lambda n: _id(n.lower()) and n)]
    exclude: tuple[Spell, ...] = ()


class Hindcast(_Frozen):
    """How the dam's hindcast is run and scored.

    `start` is the first init date that is scored; without it the first 40% of the record are for warming up. The
    hindcast itself begins `learning_days` before, or half-way to it, for intervals and weights to learn from. With
    `nets` the article's net is hindcast too and joins the blend: it needs the extra of that name, and minutes.
    """

    start: date | None = None
    learning_days: Annotated[int, Field(ge=365)] = 3 * 365
    leads: Annotated[tuple[Annotated[int, Field(ge=1, le=30)], ...], Field(min_length=1)] = (1, 2, 3, 4, 5, 6, 7)
    windows: tuple[Window, ...] = ()
    verification_exclude: tuple[Spell, ...] = ()
    near_full_margin: Annotated[float | None, Field(gt=0)] = None
    nets: bool = False

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if list(self.leads) != sorted(set(self.leads)):
            raise ValueError(f"leads = {list(self.leads)} must rise, each standing once")
        _each_once("windows: name", (window.name for window in self.windows))
        for window in self.windows:
            if window.name in DEFAULT_WINDOWS:
                raise ValueError(f"windows: name {window.name!r} is taken: every dam has {', '.join(DEFAULT_WINDOWS)}")
        return self


class Sentinels(_Frozen):
    """Numbers that mean "no value", in the gauge's unit."""

    values: tuple[float, ...] = ()
    below: float | None = None
    above: float | None = None


class HydstraSeries(_Frozen):
    """What to ask a Hydstra service for, where the variable's own defaults do not fit."""

    variable: str | None = None
    varfrom: str | None = None
    varto: str | None = None
    datasource: str | None = None


class Gauge(_Frozen):
    """One series of one station: what it is to the dam, where it comes from, and how its numbers are to be read.

    Attributes
    ----------
    role
        What it is to the dam; the models build their inputs from roles.
    reading
        What one published number is: the mean or the total of its interval, or an instantaneous value.
    interval
        "day", "hour", or "15min" and the like: how often the source gives a number.
    stamp
        Whether a number's time names its interval's start or end.
    day_start, reading_at
        Clock times (station-local): when the gauge's day starts; when an instantaneous daily value is read.
    aggregate, share_required
        How sub-daily numbers become a day's value, and the share of the day's hours that must be there.
    latency_h
        Hours after its interval's end until a number can be had.
    travel_time_h
        Of a gauge upstream: hours until the water that it sees arrives.
    valid_range
        Closed range in `unit` outside of which a value is flagged; by default the variable's plausible range.
    """

    role: Role
    source: Annotated[str, AfterValidator(_known_source)]
    station: Annotated[str, Field(min_length=1)]
    variable: Annotated[str, AfterValidator(_known_variable)]
    unit: str
    name: str = ""
    reading: Literal["mean", "total", "instantaneous"]
    interval: str = "day"
    stamp: Literal["start", "end"] = "start"
    day_start: Clock = time(0)
    reading_at: Clock | None = None
    aggregate: Literal["mean", "total", "min", "max", "last"]
    share_required: Annotated[float, Field(gt=0, le=1)] = 0.9
    latency_h: Annotated[float, Field(ge=0, le=24 * 30)] = 0.0
    travel_time_h: Annotated[float, Field(ge=0, le=HOURS_MOST)] = 0.0
    valid_range: tuple[float, float] | None = None
    sentinels: Sentinels = Sentinels()
    file: FileLayout | None = None
    hydstra: HydstraSeries = HydstraSeries()

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, given: object) -> object:
        """`aggregate` and `reading` follow the variable where they are not given."""
        if not isinstance(given, dict) or str(given.get("variable")) not in VARIABLES:
            return given
        natural = VARIABLES[str(given["variable"])].aggregate
        return {"aggregate": natural, "reading": natural} | given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.variable not in ROLE_VARIABLES[self.role]:
            raise ValueError(
                f"variable {self.variable!r} does not fit role {self.role!r}; allowed are "
                f"{', '.join(ROLE_VARIABLES[self.role])}"
            )
        VARIABLES[self.variable].conversion(self.unit)
        if self.interval_s is None:
            raise ValueError(f"interval {self.interval!r} is unknown; allowed are 'day', 'hour', '15min' and the like")
        if (self.reading_at is not None) != (self.reading == "instantaneous" and self.interval == "day"):
            raise ValueError('reading_at goes with reading = "instantaneous" and interval = "day", and is needed there')
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
        """The `interval` of its rows in the table of observations: 0 for instantaneous readings."""
        return 0 if self.reading == "instantaneous" else (self.interval_s or 0)

    @property
    def kind(self) -> Variable:
        """The variable that it measures."""
        return VARIABLES[self.variable]

    @property
    def series(self) -> dict[str, str | int]:
        """What identifies its series in the archive: source, station, variable, aggregate, interval."""
        return {
            "source": f"csv:{self.file.dam}" if self.file else self.source,
            "station": self.station,
            "variable": self.variable,
            "aggregate": self.reading,
            "interval": self.table_interval,
        }

    @property
    def column(self) -> str:
        """Its column in the daily frame: the target by its variable, any other with its station."""
        return self.variable if self.role == "target" else f"{self.variable}_{self.station}"

    @property
    def title(self) -> str:
        """How people see it named."""
        return self.name or f"{self.kind.title} {self.station}"

    @property
    def ready_after(self) -> timedelta:
        """From a value's interval's end until it can be had."""
        return timedelta(hours=self.latency_h)

    @property
    def ends_next_day(self) -> bool:
        """Whether a daily value's interval runs into the day after the one that it starts on."""
        return self.reading_at is None and self.day_start != time(0)

    def local_day(self, time_zone: str) -> pl.Expr:
        """The first local day by whose end a reading is complete, from the column `time`, its interval's start.

        A calendar-day mean belongs to its day, the rain of 9:00 on day d to 9:00 on day d+1 to d+1, an instantaneous
        reading to the day that it lies in.
        """
        start = to_local(pl.col("time"), time_zone).dt.date()
        if self.table_interval == 0:
            return start
        if self.interval == "day":
            # Not by adding hours: where a clock change skips midnight, the day starts at 01:00 and has 23 h.
            return start + timedelta(days=1) if self.ends_next_day else start
        end = pl.col("time") + timedelta(seconds=self.table_interval)
        return to_local(end - timedelta(microseconds=1), time_zone).dt.date()


class Target(_Frozen):
    """What is forecast, and in which unit."""

    variable: str
    unit: str
    datum: str

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.variable not in TARGETS:
            raise ValueError(f"variable {self.variable!r} cannot be forecast; allowed are {', '.join(TARGETS)}")
        VARIABLES[self.variable].conversion(self.unit)
        return self


class Dam(_Frozen):
    """A dam: where it is, what is forecast, what is known of it, and its gauges."""

    id: Annotated[str, AfterValidator(_id)]
    name: str
    country: str
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    time_zone: TimeZone
    notes: str = ""
    licence: str = ""
    simulated: bool = False
    target: Target
    full_supply: Line | None = None
    thresholds: tuple[Threshold, ...] = ()
    storage_curves: tuple[StorageCurve, ...] = ()
    datum_offsets: tuple[DatumOffset, ...] = ()
    hindcast: Hindcast = Hindcast()
    gauges: Annotated[tuple[Gauge, ...], Field(min_length=1)]
    forcings: tuple[Forcing, ...] = ()

    @model_validator(mode="after")
    def _gauges_fit(self) -> Self:
        targets = [g for g in self.gauges if g.role == "target"]
        if len(targets) != 1:
            raise ValueError(f'gauges: exactly one must have role = "target", not {len(targets)}')
        if targets[0].variable != self.target.variable:
            raise ValueError(
                f"gauges: the target gauge measures {targets[0].variable!r}, but [target] says {self.target.variable!r}"
            )
        _each_once("thresholds: name", (threshold.name for threshold in self.thresholds))
        _each_once("datum_offsets: from", (offset.from_ for offset in self.datum_offsets))
        _each_once("forcings: id", (forcing.id for forcing in self.forcings))
        seen: dict[str, Gauge] = {}
        for gauge in self.gauges:
            if gauge.column in seen:
                raise ValueError(
                    f"gauges: station {gauge.station!r} stands twice with variable {gauge.variable!r}; each pair may "
                    "stand once"
                )
            seen[gauge.column] = gauge
        return self

    @property
    def title(self) -> str:
        """How people see it named: that it is simulated is said."""
        said = " (SIMULATED)" if self.simulated and "simulated" not in self.name.lower() else ""
        return f"{self.name}{said}"

    @cached_property
    def target_gauge(self) -> Gauge:
        """The gauge of the level (or storage) that is forecast."""
        return next(g for g in self.gauges if g.role == "target")

    def columns(self, *roles: str) -> list[str]:
        """Columns of the daily frame whose gauges have one of `roles`."""
        return [g.column for g in self.gauges if g.role in roles]

    def in_target_unit(self, canonical: Numbers) -> Numbers:
        """Canonical values of the target's variable, in the target's unit."""
        factor, offset = VARIABLES[self.target.variable].conversion(self.target.unit)
        return (canonical - offset) / factor
