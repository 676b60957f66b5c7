"""Weather forecasts of a service for the points of a catchment, and points as a dam file writes them."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from forebay.dams.fields import FrozenModel
from forebay.dams.forcing import MAX_HOURS, Forcing
from forebay.dams.variables import VARIABLES, Variable
from forebay.errors import ConfigError
from forebay.services import SERVICES, service_named, services_offering

MAX_POINTS = 20
"""Largest number of points of one series: a request has the points of a series."""

DAYS_BEFORE = range(2, 8)
"""N of the values that were predicted N days before each valid hour. At lead day k, N must be at least k + 1: of N = k,
the last hours of the day come from runs that were not available at the init time."""

Point = tuple[float, float]
"""Latitude and longitude in degrees."""

_NUMBER = r"[+-]?\d{1,3}(?:\.\d{1,6})?"
_POINT = re.compile(rf"({_NUMBER})\s*,\s*({_NUMBER})")


def parse_points(text: str) -> tuple[Point, ...]:
    """Points of a text "lat,lon; lat,lon".

    Raises
    ------
    ConfigError
        If the text has another form, a point is not on the globe or occurs twice, or there are too many.

    Examples
    --------
    >>> parse_points("-33.9,150.6; -34.1, 150.2")
    ((-33.9, 150.6), (-34.1, 150.2))
    """
    points: list[Point] = []
    for part in text.split(";"):
        match = _POINT.fullmatch(part.strip())
        if match is None:
            raise ConfigError(f"point {part.strip()!r} must be a latitude and a longitude like '-33.9,150.6'")
        point = float(match[1]), float(match[2])
        if abs(point[0]) > 90 or abs(point[1]) > 180:
            raise ConfigError(
                f"point {part.strip()!r} is not on the globe; give the latitude (-90 to 90), then the longitude "
                "(-180 to 180)"
            )
        if point in points:
            raise ConfigError(f"point {part.strip()!r} occurs twice; each point must be unique")
        points.append(point)
    if len(points) > MAX_POINTS:
        raise ConfigError(f"there are {len(points)} points; at most {MAX_POINTS} are allowed")
    return tuple(points)


def point_label(point: Point) -> str:
    """A point as the archive names it.

    >>> point_label((-33.90, 150.6))
    '-33.9,150.6'
    """
    return ",".join(f"{degrees + 0.0:.6f}".rstrip("0").rstrip(".") for degrees in point)


def days_before_model(model: str, days: int) -> str:
    """Name in the archive of what a model predicted at least so many days before each valid hour."""
    return f"{model}:previous_day{days}"


def _check_points(text: str) -> str:
    parse_points(text)
    return text


def _check_service(name: str) -> str:
    if name not in SERVICES or "weather_forecasts" not in SERVICES[name].offers:
        allowed = ", ".join(services_offering("weather_forecasts"))
        raise ValueError(f"service {name!r} offers no weather forecasts; allowed are {allowed}")
    return name


def _check_model(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,63}", name):
        raise ValueError(f"model {name!r} must be the service's name of a model, of a-z, 0-9 and '_'")
    return name


class Weather(FrozenModel):
    """Forecasts of one variable by one weather model, at one or several points of the catchment.

    Attributes
    ----------
    id
        Part of the names of its inputs.
    model
        The service's name of the model; `ensemble_model` the one whose members are stored, by default the same.
    points
        "lat,lon; lat,lon": their mean counts.
    members
        Whether a fetch stores the members of the ensemble too.
    input
        Values that the models of forebay use: of the single forecast, or the mean of the members.
    max_age_h
        Age of a run, in hours, from which on no forecast uses it. The default, two days, lets the run before stand in
        for one missing run of a day; a run that is older is missing.
    history
        Where `--forecasts-since` gets older forecasts: run by run, or by the days before each valid hour.
    """

    id: str
    name: str = ""
    service: Annotated[str, AfterValidator(_check_service)] = "open_meteo"
    model: Annotated[str, AfterValidator(_check_model)]
    ensemble_model: Annotated[str, AfterValidator(_check_model)] | None = None
    variable: Literal["rainfall", "temperature", "evaporation"] = "rainfall"
    points: Annotated[str, Field(min_length=1), AfterValidator(_check_points)]
    members: bool = False
    input: Literal["deterministic", "member_mean"] = "deterministic"
    max_age_h: Annotated[float, Field(gt=0, le=MAX_HOURS)] = 48.0
    history: Literal["single_runs", "previous_runs"] = "single_runs"

    @model_validator(mode="after")
    def _check_combinations(self) -> Weather:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,31}", self.id):
            raise ValueError(f"id {self.id!r} must be 1 to 32 of a-z, 0-9, '_', and start with a letter or digit")
        if self.input == "member_mean" and not self.members:
            raise ValueError('input = "member_mean" needs members = true')
        if self.ensemble_model is not None and not self.members:
            raise ValueError("ensemble_model goes with members = true")
        delay_h = service_named(self.service).run_delay_h
        if self.max_age_h <= delay_h:
            raise ValueError(
                f"max_age_h = {self.max_age_h:g} must be larger than {delay_h:g}, the hours after which a run is known"
            )
        return self

    @property
    def places(self) -> tuple[Point, ...]:
        """The points."""
        return parse_points(self.points)

    @property
    def labels(self) -> tuple[str, ...]:
        """The points as the archive names them."""
        return tuple(map(point_label, self.places))

    @property
    def kind(self) -> Variable:
        """The forecast variable."""
        return VARIABLES[self.variable]

    @property
    def uses_history(self) -> bool:
        """Whether past forecasts of the service are of use: it has none of the members."""
        return self.input != "member_mean"

    @property
    def member_model(self) -> str:
        """Model whose members are stored."""
        return self.ensemble_model or self.model

    @property
    def column(self) -> str:
        """Its name in the report of a fetch."""
        return f"forecast_{self.id}"

    @property
    def title(self) -> str:
        """Name for people."""
        return self.name or f"{self.kind.title.lower()} forecast {self.id} ({self.model})"

    @property
    def forcing(self) -> Forcing | None:
        """The forcing that the models of forebay use; None for a variable that they do not use."""
        if self.variable != "rainfall":
            return None
        return Forcing(kind="rain", id=self.id, name=self.title, unit=self.kind.unit, max_age_h=self.max_age_h)
