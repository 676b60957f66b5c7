"""The brief of one forecast: what an operator reads in the morning, as numbers.

`brief_content` is the only source of what the terminal and the report's head show of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import zone
from forebay.dams.variables import VARIABLES
from forebay.days.labels import rain_unit
from forebay.forecasts.storage import add_storage
from forebay.tables import DEFAULT_MODEL, MANUAL, summary_leads
from forebay.verify.tables import RECENT_SCORES

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.daily_tables import Reading
    from forebay.forecasts.analogs import Analogs
    from forebay.forecasts.issue import IssuedForecast
    from forebay.forecasts.net_inflow import NetInflow
    from forebay.forecasts.outlook import Outlook

CHANGE_DAYS = (1, 7, 30)
"""Days over which the change of the lake is stated."""
_STATE = {
    "reservoir_level": ("Level", "level_unit"),
    "storage": ("Storage", "storage_unit"),
    "storage_percent": ("% full", None),
    "airspace": ("Airspace below full supply", "storage_unit"),
}
"""Column of `tables.STORAGE_FORECASTS` → title and the column of its unit."""


@dataclass(frozen=True)
class Brief:
    """Everything that a brief states.

    Attributes
    ----------
    dam, issued, outlook
        The dam, its forecast and the probabilities of its thresholds.
    reading
        The newest single reading of the target; None if there is none.
    state
        As `lake_state` returns it.
    storage_forecasts
        `tables.STORAGE_FORECASTS` of the forecast.
    inflow
        The inflow by the water balance.
    dry
        `tables.SCENARIOS` of one scenario without further rain, or the sentence that says why there is none.
    gauges
        gauge (label), last_date, age_days, is_late, flag, a row per gauge.
    analogs
        The past days most like the init date.
    recent
        Days of a span → `verify.tables.RECENT_SCORES` over it.
    """

    dam: Dam
    issued: IssuedForecast
    outlook: Outlook
    reading: Reading | None
    state: pl.DataFrame
    storage_forecasts: pl.DataFrame
    inflow: NetInflow
    dry: pl.DataFrame | str
    gauges: pl.DataFrame
    analogs: Analogs
    recent: Mapping[int, pl.DataFrame]


def lake_state(daily: pl.DataFrame, dam: Dam, issued: IssuedForecast) -> pl.DataFrame:
    """quantity, title, unit, value, change_1d, change_7d, change_30d, percent_of: level, storage, % full and airspace.

    The value is that of the level that the forecast starts from. All days are on the curve that is in force on the init
    date, so that no change is one of the curve. What is unknown has no row; a change from a missing level is null.

    Parameters
    ----------
    daily
        date, and the usable target as known at the init date.
    """
    days = [issued.level_date - timedelta(days=back) for back in (0, *CHANGE_DAYS)]
    known = dict(daily.select("date", dam.target_gauge.column).iter_rows())
    levels = [_start_level(issued), *(known.get(day) for day in days[1:])]
    rows = pl.DataFrame(
        {"valid_date": days, "level": pl.Series(levels, dtype=pl.Float64)}
    ).with_columns(pl.lit(issued.init_date).alias("init_date"))
    stored = add_storage(rows, dam, issued.init_date, issued.withheld_from)
    table = []
    for quantity, (title, unit_column) in _STATE.items():
        value, *before = stored[quantity].to_list()
        if value is None:
            continue
        unit = "%" if unit_column is None else stored[unit_column][0]
        changes = [None if past is None else value - past for past in before]
        names = (f"change_{back}d" for back in CHANGE_DAYS)
        # A target in % is a share of what its publisher names, which may not be full supply
        own_title = dam.target_gauge.kind.title if dam.target.variable == "storage_percent" else title
        row = {"quantity": quantity, "title": own_title, "unit": unit, "value": value}
        row["percent_of"] = stored["percent_of"][0] if quantity == "storage_percent" else None
        table.append(row | dict(zip(names, changes, strict=True)))
    columns: dict[str, type[pl.DataType]] = {
        "quantity": pl.String, "title": pl.String, "unit": pl.String, "value": pl.Float64
    }  # fmt: skip
    columns |= {f"change_{back}d": pl.Float64 for back in CHANGE_DAYS} | {"percent_of": pl.String}
    return pl.DataFrame(table, schema=columns)


def _start_level(issued: IssuedForecast) -> float | None:
    """The level that the forecast starts from."""
    rows = issued.table.filter(pl.col("model") == DEFAULT_MODEL, (pl.col("quantile") - 0.5).abs() < 1e-9)
    start = rows.select(pl.col("level") - pl.col("change")).to_series().fill_nan(None).drop_nulls()
    return None if start.is_empty() else float(start[0])


def brief_content(brief: Brief) -> dict[str, object]:
    """The brief as JSON has it: texts, numbers, lists and objects only; days and times by ISO 8601."""
    dam, issued = brief.dam, brief.issued
    content: dict[str, object] = {
        "dam": dam.id,
        "title": dam.title,
        "simulated": dam.simulated,
        "variable": dam.target.variable,
        "unit": dam.target.unit,
        "datum": dam.target.datum,
        "init_date": issued.init_date,
        "init_time": _local(issued.init_time, dam),
        "issue_time": _local(issued.issue_time, dam),
        "age_days": issued.age_days,
        "level_date": issued.level_date,
        "level_age_days": issued.level_age_days,
        "is_stale": issued.stale,
        "is_retrospective": issued.is_retrospective,
        "reading": None if brief.reading is None else _reading(brief.reading, dam),
        "lake": brief.state.to_dicts(),
        "storage_notes": brief.storage_forecasts["storage_note"].drop_nulls().unique(maintain_order=True).to_list(),
        "percent_of": brief.storage_forecasts["percent_of"].drop_nulls().unique(maintain_order=True).to_list(),
        "inflow": asdict(brief.inflow),
        "forecast": _forecast_rows(brief),
        "without_rain_note": brief.dry if isinstance(brief.dry, str) else "",
        "thresholds": _threshold_rows(brief.outlook),
        "gauges": brief.gauges.to_dicts(),
        "late_gauges": int(brief.gauges["is_late"].sum()),
        "similar": _similar(brief.analogs, brief.inflow.unit, dam),
        "recent": [{"days": days, **row} for days, table in brief.recent.items() for row in _scores(table)],
        "outside_experience": list(issued.outside_experience),
        "lacks": list(issued.limitations),
    }
    plain = _plain(content)
    assert isinstance(plain, dict)
    return plain


def _local(instant: datetime, dam: Dam) -> str:
    return instant.astimezone(zone(dam.time_zone)).isoformat(timespec="minutes")


def _reading(reading: Reading, dam: Dam) -> dict[str, object]:
    is_of_day = dam.target_gauge.interval == "day" and dam.target_gauge.table_interval > 0 and reading.quality != MANUAL
    return {
        "time": _local(reading.time, dam), "value": reading.value, "quality": reading.quality, "is_of_day": is_of_day
    }  # fmt: skip


def _forecast_rows(brief: Brief) -> list[dict[str, object]]:
    """A row per lead time of `summary_leads`: the forecast as level, storage and %, and the path without rain."""
    table = brief.storage_forecasts.filter(pl.col("model") == DEFAULT_MODEL)
    dry = None if isinstance(brief.dry, str) else brief.dry
    rows = []
    for lead in summary_leads(table["lead_time"]):
        own = {round(100 * row["quantile"]): row for row in table.filter(pl.col("lead_time") == lead).to_dicts()}
        median = own[50]
        row = {"lead_time": lead, "valid_date": median["valid_date"], "change": median["change"]}
        for name, column in (("level", "level"), ("storage", "storage"), ("percent", "storage_percent")):
            row |= {f"{name}_{end}": own[q][column] if q in own else None for end, q in _ENDS.items()}
        row["storage_unit"] = median["storage_unit"]
        if dry is not None:
            levels = {round(100 * q): level for q, level in dry.filter(pl.col("lead_time") == lead).select(
                "quantile", "level").iter_rows()}  # fmt: skip
            row |= {f"dry_{end}": levels.get(q) for end, q in _ENDS.items()}
        rows.append(row)
    return rows


_ENDS = {"low": 5, "median": 50, "high": 95}


def _threshold_rows(outlook: Outlook) -> list[dict[str, object]]:
    """A row per event that the level has not reached, with the probability by each lead time of `summary_leads`."""
    by = outlook.probabilities.filter(pl.col("kind") == "by")
    leads = summary_leads(by["lead_time"])
    rows = []
    for row in outlook.times.filter(~pl.col("is_beyond")).iter_rows(named=True):
        own = by.filter(pl.col("threshold") == row["threshold"], pl.col("direction") == row["direction"])
        chances = dict(own.select("lead_time", "probability").iter_rows())
        levels = dict(own.select("lead_time", "threshold_level").iter_rows())
        names = ("threshold", "direction", "threshold_level", "day_50")
        rows.append({name: row[name] for name in names} | {
            "threshold_level_last": levels.get(leads[-1], row["threshold_level"]),
            "by": [{"lead_time": lead, "probability": chances.get(lead)} for lead in leads]
        })  # fmt: skip
    return rows


def _similar(analogs: Analogs, flow_unit: str, dam: Dam) -> dict[str, object]:
    """The analogs with rain in the dam's unit of rain, and flows in `flow_unit`."""
    unit, size = rain_unit(dam)
    flow_size = VARIABLES["inflow"].conversion(flow_unit)[0]
    to_unit = [pl.col("rain_1d", "rain_7d") / size, pl.col("inflow") / flow_size]
    return {
        "today": analogs.today.with_columns(to_unit).to_dicts()[0],
        "days": analogs.days.with_columns(to_unit).to_dicts(),
        "rain_unit": unit,
        "inflow_unit": flow_unit,
        "compared": list(analogs.compared),
        "candidates": analogs.candidates,
        "first": analogs.first,
        "median_distance": analogs.median_distance,
        "is_above_full_supply": dam.full_supply is not None,
    }


def _scores(table: pl.DataFrame) -> list[dict[str, object]]:
    return RECENT_SCORES.check(table).to_dicts()


def _plain(value: object) -> object:
    """`value` with days as ISO text, and null for what is no number."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, date):
        return value.isoformat()
    return value
