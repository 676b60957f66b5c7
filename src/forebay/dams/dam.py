"""A dam: its place, its target, its reference levels and its gauges, as a dam file describes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from html import escape
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from forebay.dams.alert_rules import AlertRule
from forebay.dams.curves import StorageCurve
from forebay.dams.fields import FrozenModel, TimeZone, check_id, check_unique
from forebay.dams.forcing import Forcing
from forebay.dams.gauge import Gauge
from forebay.dams.global_model import GlobalModelFile
from forebay.dams.hindcast import Hindcast
from forebay.dams.local_time import zone
from forebay.dams.substitutes import substitute_columns
from forebay.dams.thresholds import FULL_SUPPLY, ReferenceLevel, Threshold
from forebay.dams.variables import TARGETS, VARIABLES, Numbers
from forebay.dams.weather import Weather
from forebay.services import attributions

Verification = Literal["recording", "documentation"]
"""What supports the station ids: a recorded answer of the service that a test replays, or public documentation."""


class Target(FrozenModel):
    """The forecast variable, its unit and its datum."""

    variable: str
    unit: str
    datum: str

    @model_validator(mode="after")
    def _check_variable(self) -> Self:
        if self.variable not in TARGETS:
            raise ValueError(f"variable {self.variable!r} cannot be forecast; allowed are {', '.join(TARGETS)}")
        VARIABLES[self.variable].conversion(self.unit)
        return self


class DatumOffset(FrozenModel):
    """Offset (target's unit) of the target's readings above the dam file's datum, from a day on."""

    from_: Annotated[date, Field(alias="from")]
    offset: float
    reason: str = ""


class Dam(FrozenModel):
    """A dam and its gauges."""

    id: Annotated[str, AfterValidator(check_id)]
    name: str
    country: str
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    time_zone: TimeZone
    notes: str = ""
    licence: str = ""
    origin: str = ""
    verified: Verification | None = None
    simulated: bool = False
    target: Target
    full_supply: ReferenceLevel | None = None
    crest_level: ReferenceLevel | None = None
    lowest_level: ReferenceLevel | None = None
    thresholds: tuple[Threshold, ...] = ()
    storage_curves: tuple[StorageCurve, ...] = ()
    datum_offsets: tuple[DatumOffset, ...] = ()
    hindcast: Hindcast = Hindcast()
    gauges: Annotated[tuple[Gauge, ...], Field(min_length=1)]
    forcings: tuple[Forcing, ...] = ()
    weather: tuple[Weather, ...] = ()
    alerts: tuple[AlertRule, ...] = ()
    global_model: GlobalModelFile | None = None

    @model_validator(mode="after")
    def _check_gauges(self) -> Self:
        targets = [gauge for gauge in self.gauges if gauge.role == "target"]
        if len(targets) != 1:
            raise ValueError(f'gauges: exactly one must have role = "target", not {len(targets)}')
        if targets[0].variable != self.target.variable:
            raise ValueError(
                f"gauges: the target gauge measures {targets[0].variable!r}, but target.variable is "
                f"{self.target.variable!r}; both must be the same"
            )
        check_unique("thresholds: name", (threshold.name for threshold in self.thresholds))
        check_unique("datum_offsets: from", (offset.from_ for offset in self.datum_offsets))
        check_unique("weather: id", (weather.id for weather in self.weather))
        # Forecasts of a service are forcings too, whose values come from the archive instead of a file.
        from_weather = tuple(weather.forcing for weather in self.weather if weather.forcing is not None)
        own = tuple(forcing for forcing in self.forcings if forcing not in from_weather)
        self.__dict__["forcings"] = (*own, *from_weather)
        check_unique("forcings and weather: id" if from_weather else "forcings: id", (f.id for f in self.forcings))
        columns: set[str] = set()
        for gauge in self.gauges:
            if gauge.column in columns:
                raise ValueError(
                    f"gauges: station {gauge.station!r} occurs twice with variable {gauge.variable!r}; each pair must "
                    "be unique"
                )
            columns.add(gauge.column)
        substitute_columns(self.gauges)
        # A copy, because another dam may have the same gauge in another time zone.
        self.__dict__["gauges"] = tuple(gauge.in_time_zone(self.time_zone) for gauge in self.gauges)
        return self

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        """The lake must fit between its lowest level, full supply and its crest."""
        limits = {name: getattr(self, name) for name in ("lowest_level", "full_supply", "crest_level")}
        from_below = [(name, limit.values) for name, limit in limits.items() if limit is not None]
        for (low, below), (high, above) in pairwise(from_below):
            if min(below) > max(above):
                raise ValueError(
                    f"{high} ({max(above):g}) is below {low} ({min(below):g}); give both in the target's unit and on "
                    "its datum"
                )
        return self

    @model_validator(mode="after")
    def _check_alerts(self) -> Self:
        check_alerts(self.alerts, self)
        return self

    def __repr__(self) -> str:
        target = f"{self.target.variable} ({self.target.unit})"
        return f"<Dam: {self.title}, {target}, {len(self.gauges)} gauge{'s' if len(self.gauges) > 1 else ''}>"

    def _repr_html_(self) -> str:
        """The dam, and a row per gauge."""
        rows = (
            "".join(f"<td>{escape(text)}</td>" for text in (gauge.role, gauge.title, gauge.source, gauge.column))
            for gauge in self.gauges
        )
        return f"<p><b>{escape(self.title)}</b></p><table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"

    @property
    def title(self) -> str:
        """Name for people, with a mark if the dam is simulated."""
        suffix = " (SIMULATED)" if self.simulated and "simulated" not in self.name.lower() else ""
        return f"{self.name}{suffix}"

    @property
    def has_position(self) -> bool:
        """Whether the dam file states latitude and longitude."""
        return self.latitude is not None and self.longitude is not None

    @property
    def attributions(self) -> list[str]:
        """Sentences on the origin and the licence of the data of services, to show wherever the data are shown."""
        return attributions(self.services)

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services of its gauges and weather forecasts, each once, the target's first."""
        return tuple(dict.fromkeys([
            self.target_gauge.source,
            *(gauge.source for gauge in self.gauges),
            *(weather.service for weather in self.weather),
        ]))  # fmt: skip

    @cached_property
    def target_gauge(self) -> Gauge:
        """The gauge of the forecast level (or storage)."""
        return next(gauge for gauge in self.gauges if gauge.role == "target")

    @property
    def substitutes(self) -> dict[str, tuple[str, ...]]:
        """Column of each gauge with substitutes → their columns, in order; empty without any."""
        return substitute_columns(self.gauges)

    @property
    def known_by_clock(self) -> timedelta:
        """Local time of a day by which its forecast must know its inputs, from the start of the day.

        The end of the day; where the level is read at a clock time, that time. A forecast from that level can be made
        then, and what comes later must not change its hindcast.
        """
        read_at = self.target_gauge.reading_at
        return timedelta(days=1) if read_at is None else timedelta(hours=read_at.hour, minutes=read_at.minute)

    def known_by(self, init_date: date) -> datetime:
        """Instant (UTC) by which the forecast of a day must know its inputs: `known_by_clock` of that day."""
        start = datetime.combine(init_date, time(), zone(self.time_zone))
        return (start + self.known_by_clock).astimezone(UTC)

    @property
    def has_volume(self) -> bool:
        """Whether a flow determines a change of the target: of a storage, or of a level with a storage curve."""
        is_level = self.target.variable == "reservoir_level"
        return self.target.variable == "storage" or (is_level and bool(self.storage_curves))

    def columns(self, *roles: str) -> list[str]:
        """Columns of the daily table whose gauges have one of `roles`."""
        return [gauge.column for gauge in self.gauges if gauge.role in roles]

    def in_target_unit(self, canonical: Numbers) -> Numbers:
        """Canonical values of the target's variable, in the target's unit."""
        return VARIABLES[self.target.variable].from_canonical(canonical, self.target.unit)


def check_alerts(rules: Sequence[AlertRule], dam: Dam) -> None:
    """Raise a ValueError unless the rules fit the dam: its thresholds, lead times and gauges."""
    check_unique("alerts: id", (rule.id for rule in rules))
    references = [FULL_SUPPLY] if dam.full_supply is not None else []
    references += [threshold.name for threshold in dam.thresholds]
    allowed: dict[str, Sequence[object]] = {
        "threshold": references, "within_days": dam.hindcast.leads, "gauges": [g.station for g in dam.gauges]
    }  # fmt: skip
    for rule in rules:
        values: dict[str, Sequence[object]] = {
            "threshold": [rule.threshold], "within_days": [rule.within_days], "gauges": rule.gauges
        }  # fmt: skip
        for key, known in allowed.items():
            for value in values[key]:
                if value is not None and value not in known:
                    raise ValueError(
                        f"alert {rule.id!r}: {key} {value!r} is not one of this dam's; allowed are "
                        f"{', '.join(map(str, known)) or 'none: state full_supply or [[thresholds]] first'}"
                    )
