"""Forecasts of weather models at the points of a `[[weather]]` table: current, by member, by run, by days before.

Every function returns `tables.WEATHER_VALUES`. The hourly values of a run are stored as they are. Members and the
values of `_previous_dayN` are stored as totals or means of the dam's local days, which take a twentieth of the space.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.variables import DAY_S
from forebay.dams.weather import DAYS_BEFORE, days_before_model
from forebay.errors import SourceError
from forebay.services import service_named
from forebay.sources.hours import HOUR, HOUR_S, day_values
from forebay.sources.open_meteo.parse import check_zone, parse_series
from forebay.sources.open_meteo.request import PARAMETERS, TOTALS, make_request
from forebay.sources.units import unit_of
from forebay.tables import INSTANT, WEATHER_VALUES

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.weather import Weather
    from forebay.settings import Settings
    from forebay.sources.request import Request, Send

MAX_FORECAST_DAYS = 16
_DAY = timedelta(days=1)


def current_request(weather: Weather, dam: Dam, *, settings: Settings) -> Request:
    """Request of the current forecast."""
    return _request("forecast", weather, weather.model, {"forecast_days": str(_forecast_days(dam))}, settings)


def members_request(weather: Weather, dam: Dam, *, settings: Settings) -> Request:
    """Request of the members of the current ensemble."""
    return _request("ensemble", weather, weather.member_model, {"forecast_days": str(_forecast_days(dam))}, settings)


def run_request(weather: Weather, dam: Dam, run: datetime, *, settings: Settings) -> Request:
    """Request of one run."""
    parameters = {"run": f"{run.astimezone(UTC):%Y-%m-%dT%H:%M}", "forecast_days": str(_forecast_days(dam))}
    return _request("single_runs", weather, weather.model, parameters, settings)


def previous_request(weather: Weather, first: date, last: date, *, settings: Settings) -> Request:
    """Request of the values that were predicted 2 to 7 days before each hour of some days (UTC)."""
    variables = ",".join(f"{PARAMETERS[weather.variable]}_previous_day{number}" for number in DAYS_BEFORE)
    parameters = {"hourly": variables, "start_date": first.isoformat(), "end_date": last.isoformat()}
    return _request("previous_runs", weather, weather.model, parameters, settings)


def current_forecast(send: Send, weather: Weather, dam: Dam, *, settings: Settings, now: datetime) -> pl.DataFrame:
    """The current forecast, hour by hour from `now` on. The answer names no run: its issue time is `now`.

    Raises
    ------
    SourceError
        If the service does not answer, or the answer is not that of today or has no value.
    """
    hours = _hours(send(current_request(weather, dam, settings=settings)), weather, weather.model)
    _refuse_wrong_clock(hours, now)
    later = hours.filter(pl.col("start") + HOUR > now).drop_nulls("value")
    if later.is_empty():
        raise SourceError("the answer has no value for any later hour; choose another model or point in the dam file")
    return _values(later, weather, weather.model, issued_at=now, known_at=now)


def ensemble_members(send: Send, weather: Weather, dam: Dam, *, settings: Settings, now: datetime) -> pl.DataFrame:
    """The members of the current ensemble for each local day that begins after `now`; the control is member 0.

    Raises
    ------
    SourceError
        As of `current_forecast`; also if there is only one member.
    """
    answer = send(members_request(weather, dam, settings=settings))
    hours = _hours(answer, weather, weather.member_model)
    _refuse_wrong_clock(hours, now)
    if hours["member"].n_unique() < 2:
        raise SourceError(f"model {weather.member_model} has no members; choose an ensemble_model in the dam file")
    days = _days(hours, weather, dam, by=("point", "member")).filter(pl.col("start") >= now)
    if days.is_empty():
        raise SourceError("the answer has no complete later day; choose another ensemble_model in the dam file")
    return _values(days, weather, weather.member_model, issued_at=now, known_at=now)


def single_run(send: Send, weather: Weather, dam: Dam, run: datetime, *, settings: Settings) -> pl.DataFrame:
    """One run, hour by hour; if it has no value, its first hour without one.

    Raises
    ------
    MissingRunError
        If the service does not have the run.
    SourceError
        If the service does not answer, or with something else.
    """
    hours = _hours(send(run_request(weather, dam, run, settings=settings)), weather, weather.model)
    first, expected = _first_time(hours), run.astimezone(UTC)
    later = hours.filter(pl.col("start") >= run)
    if first.date() != expected.date() or later.is_empty():
        raise SourceError(
            f"the answer begins at {first:%Y-%m-%d %H:%M} UTC instead of on the day of the run "
            f"{expected:%Y-%m-%d %H:%M} UTC; try again later"
        )
    values = later.drop_nulls("value")
    if values.is_empty():
        values = later.group_by("point", maintain_order=True).first().select(later.columns)
    delay = timedelta(hours=service_named(weather.service).run_delay_h)
    return _values(values, weather, weather.model, issued_at=run, known_at=run + delay)


def previous_days(
    send: Send, weather: Weather, dam: Dam, days: tuple[date, date], *, settings: Settings
) -> pl.DataFrame:
    """Predictions of 2 to 7 days before, for each local day that `days` (UTC) cover.

    The value of an hour with `_previous_dayN` comes from the newest run that started N · 24 hours before the hour. So
    the total of a day is complete when the run for its last hour is available: its issue time is the end of the day
    minus N · 24 hours, and it is known after the service's delay. At lead day k, this admits N ≥ k + 1 only.
    """
    answer = send(previous_request(weather, *days, settings=settings))
    hours = _hours(answer, weather, weather.model).filter(pl.col("days_before").is_in(list(DAYS_BEFORE)))
    delay = timedelta(hours=service_named(weather.service).run_delay_h)
    parts = [WEATHER_VALUES.empty()]
    for number in DAYS_BEFORE:
        of_number = hours.filter(pl.col("days_before") == number)
        values = _days(of_number, weather, dam, by=("point", "member"))
        issued = pl.col("end") - number * _DAY
        stamped = values.with_columns(issued.alias("issued_at"), (issued + delay).alias("known_at"))
        parts.append(_table(stamped, weather, days_before_model(weather.model, number)))
    return pl.concat(parts)


def _forecast_days(dam: Dam) -> int:
    """Days of a forecast that cover each lead time: today, and a day more because local days are not UTC days."""
    return min(MAX_FORECAST_DAYS, max(dam.hindcast.leads) + 3)


def _request(
    endpoint: str, weather: Weather, model: str, parameters: Mapping[str, str], settings: Settings
) -> Request:
    query = {"hourly": PARAMETERS[weather.variable], "models": model} | dict(parameters)
    return make_request(weather.service, endpoint, weather.places, query, settings=settings)


def _hours(answer: bytes, weather: Weather, model: str) -> pl.DataFrame:
    """point (label), days_before, member, time (UTC, as published), start (of the hour), value (canonical unit)."""
    check_zone(answer)
    series = parse_series(answer, PARAMETERS[weather.variable], model)
    units = series["unit"].unique().to_list()
    unit = unit_of(units[0])
    if len(units) != 1 or unit not in weather.kind.units:
        names, allowed = ", ".join(map(repr, sorted(units))), ", ".join(weather.kind.units)
        raise SourceError(f"the answer's unit {names} is not one of {weather.variable} ({allowed}); try again later")
    assert unit is not None
    before = HOUR if weather.variable in TOTALS else timedelta(0)
    labels = pl.DataFrame({"label": weather.labels}).with_row_index("point").cast({"point": pl.Int32})
    time = pl.col("time").dt.replace_time_zone("UTC").cast(INSTANT)
    return series.join(labels, on="point", maintain_order="left").select(
        pl.col("label").alias("point"),
        "days_before",
        "member",
        time.alias("time"),
        (time - before).alias("start"),
        weather.kind.to_canonical(pl.col("value"), unit).alias("value"),
    )


def _days(hours: pl.DataFrame, weather: Weather, dam: Dam, *, by: tuple[str, ...]) -> pl.DataFrame:
    return day_values(hours, dam.time_zone, is_sum=weather.variable in TOTALS, by=by)


def _refuse_wrong_clock(hours: pl.DataFrame, now: datetime) -> None:
    first, today = _first_time(hours), now.astimezone(UTC)
    if abs((first.date() - today.date()).days) > 1:
        raise SourceError(
            f"the forecast begins at {first:%Y-%m-%d %H:%M} UTC, but the time is {today:%Y-%m-%d %H:%M} UTC; check "
            "the clock of this machine, or try again later"
        )


def _first_time(hours: pl.DataFrame) -> datetime:
    first = hours["time"].min()
    if not isinstance(first, datetime):
        raise SourceError("the answer has no time; try again later")
    return first


def _values(
    values: pl.DataFrame, weather: Weather, model: str, *, issued_at: datetime, known_at: datetime
) -> pl.DataFrame:
    """`tables.WEATHER_VALUES` of one run: with `end` days (and members), otherwise hours."""
    stamps = (pl.lit(issued_at, INSTANT).alias("issued_at"), pl.lit(known_at, INSTANT).alias("known_at"))
    return _table(values.with_columns(stamps), weather, model)


def _table(values: pl.DataFrame, weather: Weather, model: str) -> pl.DataFrame:
    is_ensemble = "member" in values.columns and values["member"].n_unique() > 1
    interval = DAY_S if "end" in values.columns else HOUR_S
    texts = {"service": weather.service, "model": model, "variable": weather.variable}
    table = values.with_columns(
        *(pl.lit(text).alias(name) for name, text in texts.items()),
        pl.col("start").alias("valid_time"),
        pl.lit(interval, pl.Int32).alias("interval"),
        (pl.col("member") if is_ensemble else pl.lit(None, pl.Int32)).alias("member"),
    )
    return WEATHER_VALUES.check(table, unique=True)
