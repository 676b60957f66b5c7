"""The content of answers, from the states of dams."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from forebay.dams.local_time import local_date
from forebay.forecasts.alerts import with_acknowledgements
from forebay.forecasts.record import record_id
from forebay.tables import DEFAULT_MODEL
from forebay.web import answers
from forebay.web.answers import source_of
from forebay.web.dam_state import LEVEL_DAYS, DamState
from forebay.web.formats import finite, finite_rows

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam

_QUANTILES = {"q05": 0.05, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q95": 0.95}


def age_of(state: DamState, now: datetime) -> dict[str, Any]:
    """The fields of `answers.Age`."""
    age, record = state.age(now), state.record
    return {
        "init_date": None if record is None else record["init_date"],
        "issue_time": None if record is None else record["issue_time"],
        "level_date": state.level_date,
        "start_level": finite(state.start_level),
        "age_hours": None if age is None else round(age / timedelta(hours=1), 1),
        "stale": state.is_stale(now),
    }


def summary(state: DamState, now: datetime) -> answers.DamSummary:
    """One dam in the overview."""
    return answers.DamSummary(**_summary_fields(state, now))


def details(state: DamState, now: datetime) -> answers.DamDetails:
    """One dam with its gauges."""
    dam = state.dam
    gauges = [
        answers.Gauge(
            gauge=gauge.column,
            title=gauge.title,
            role=gauge.role,
            unit=gauge.unit,
            source=gauge.source,
            station=gauge.station,
        )
        for gauge in dam.gauges
    ]
    return answers.DamDetails(
        **_summary_fields(state, now),
        latitude=dam.latitude,
        longitude=dam.longitude,
        datum=dam.target.datum or None,
        full_supply=_full_supply(dam, local_date(now, dam.time_zone)),
        has_storage_curve=bool(dam.storage_curves),
        gauges=gauges,
    )


def forecast_of(state: DamState, now: datetime, *, model: str) -> answers.Forecast:
    """The recorded forecast of a state, which has one.

    Parameters
    ----------
    model
        A model of the forecast, or "all".
    """
    content = state.record
    assert content is not None
    rows = state.forecast if model == "all" else state.forecast.filter(pl.col("model") == model)
    rows = rows.select(list(answers.ForecastRow.model_fields))
    return answers.Forecast(
        **source_of(state.dam),
        **age_of(state, now),
        record=content["id"],
        hash=state.record_hash,
        retrospective=content["retrospective"],
        limitations=content["limitations"],
        outside_experience=content["outside_experience"],
        forecast=[answers.ForecastRow(**row) for row in finite_rows(rows)],
        probabilities=chances_of(state),
        explanation=state.result.get("explanation"),
        notes=list(state.notes),
    )


def chances_of(state: DamState) -> list[answers.Chance]:
    """Every probability of a forecast."""
    if state.probabilities.is_empty():
        return []
    rows = state.probabilities.select(list(answers.Chance.model_fields))
    return [answers.Chance(**row) for row in finite_rows(rows)]


def record_rows(index: pl.DataFrame) -> list[answers.RecordRow]:
    """Rows of `tables.RECORDS` without their content."""
    return [
        answers.RecordRow(record=record_id(row["dam"], row["sequence"]), **{k: v for k, v in row.items() if k != "dam"})
        for row in index.to_dicts()
    ]


def alert_states(archive: Archive, dam: str) -> list[answers.AlertState]:
    """State of each alert rule of a dam, with who has acknowledged a raised one."""
    states = with_acknowledgements(archive.alerts.last_decisions(dam), archive.alerts.acknowledgements(dam))
    return [answers.AlertState(**row) for row in finite_rows(states.select(list(answers.AlertState.model_fields)))]


def _summary_fields(state: DamState, now: datetime) -> dict[str, Any]:
    """The fields of `answers.DamSummary`; all but the age are computed once for each state."""
    if "summary" not in state.cache:
        state.cache["summary"] = _fixed_fields(state)
    return {**state.cache["summary"], **age_of(state, now)}


def _fixed_fields(state: DamState) -> dict[str, Any]:
    dam = state.dam
    return {
        **source_of(dam),
        "variable": dam.target.variable,
        "record": None if state.record is None else state.record["id"],
        "levels": [
            answers.Level(**row, suspect=state.suspect.get(row["date"]))
            for row in finite_rows(state.levels.tail(LEVEL_DAYS))
        ],
        "forecast": list(intervals(state.forecast)),
        "chances": _longest(chances_of(state)),
        "alerts": state.alerts.filter(pl.col("state") == "raised")["rule"].to_list(),
        "notes": list(state.notes),
    }


def intervals(forecast: pl.DataFrame) -> Iterable[answers.Interval]:
    """Quantiles of each day of a forecast (`tables.FORECASTS`), of the model `default`."""
    rows = forecast.filter(pl.col("model") == DEFAULT_MODEL)
    for (lead, day), group in rows.group_by("lead_time", "valid_date", maintain_order=True):
        levels = {round(q, 6): finite(level) for q, level in group.select("quantile", "level").iter_rows()}
        quantiles = {name: levels.get(q) for name, q in _QUANTILES.items()}
        assert isinstance(lead, int) and isinstance(day, date)
        yield answers.Interval(lead_time=lead, valid_date=day, **quantiles)


def _longest(chances: list[answers.Chance]) -> list[answers.Chance]:
    """The probabilities `by` the longest lead time."""
    longest = max((chance.lead_time for chance in chances), default=0)
    return [chance for chance in chances if chance.kind == "by" and chance.lead_time == longest]


def _full_supply(dam: Dam, day: date) -> float | None:
    if dam.full_supply is None:
        return None
    return finite(dam.full_supply.on(pl.Series([day]))[0])


def now_utc() -> datetime:
    """The present time, UTC."""
    return datetime.now(UTC)
