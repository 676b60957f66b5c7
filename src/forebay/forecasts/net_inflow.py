"""Inflow inferred from the water balance: change of storage plus release, and how well the balance closes.

Rain on the lake, evaporation and seepage are not gauged: they are part of what the balance infers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.variables import DAY_S, VARIABLES
from forebay.days.labels import gauge_labels
from forebay.forecasts.storage import add_storage
from forebay.tables import LEVEL_BREAK

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

CLOSURE_DAYS = 365
"""Days before the init date whose closure errors are summarised."""
MIN_DAYS = 30
"""Closure errors of fewer days are not summarised."""
MEAN_DAYS = 7
ASSUMED_STEP = 0.01
"""Step of a level whose resolution is unknown, in the target's unit: the effect of one step is an example then."""
_SAME_SHARE = 0.02
"""Median closure error, as a share of the median change of storage, below which the inflow is that same balance."""
_NEGLIGIBLE_STEP = 1e-5
"""Step of a storage, as a share of it, that is no resolution of a gauge but of numbers."""
_UNKNOWN = " unknown: "
"""What `forecasts.storage` writes before the reason for an unknown storage."""
_ML_PER_FLOW = DAY_S / 1000
"""ML per day of 1 m³/s."""


@dataclass(frozen=True)
class Closure:
    """Closure error of the balance: the inflow by the balance minus the measured one, in the unit of the flows.

    Attributes
    ----------
    mean, low, high
        Mean, 10% and 90% quantile of the error; None where unknown.
    days
        Days that have both.
    note
        Why the balance cannot be closed, or what the error means; empty without.
    """

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    days: int = 0
    note: str = ""


@dataclass(frozen=True)
class Step:
    """One step of the level (target's unit), its volume, and its flow over one day in the unit of the flows.

    `is_assumed`: whether the step is an example, because the readings show no resolution.
    """

    step: float
    volume: float
    volume_unit: str
    flow: float
    is_assumed: bool


@dataclass(frozen=True)
class NetInflow:
    """The inflow of a day by the balance, in `unit`; None where unknown, with the reason in `note`.

    Attributes
    ----------
    unit
        Unit of all flows: that of the dam's inflow or release gauge, or m³/s without one.
    date
        Day to whose level the change of storage leads.
    storage_from
        Where the storage comes from: "the storage curve", "the target", or the label of a storage gauge.
    storage_change, release
        Terms of the balance: the change of storage to the day, and the release of the same time.
    inflow
        Their sum: inflow minus losses. Without a release gauge: inflow minus releases and losses.
    mean, mean_days
        Mean of the last 7 days, and the number of days with a balance among them.
    scatter
        Median difference, without its sign, of a day from the mean of its last 7 days; of the last 365 days.
    includes_release
        Whether the release is known, so that the result is an inflow.
    measured
        Sum of the inflow gauges for the same time; None without one.
    closure
        Closure error of the last 365 days.
    step
        Effect of one step of the level; None where unknown.
    note
        Why the inflow is unknown.
    """

    unit: str
    date: date
    storage_from: str = ""
    storage_change: float | None = None
    release: float | None = None
    inflow: float | None = None
    mean: float | None = None
    mean_days: int = 0
    scatter: float | None = None
    includes_release: bool = False
    measured: float | None = None
    closure: Closure = Closure()
    step: Step | None = None
    note: str = ""


def net_inflow(
    daily: pl.DataFrame, dam: Dam, level_date: date, *, withheld_from: date | None = None, resolution: float = 0.0
) -> NetInflow:
    """The inflow by the balance on `level_date`, with the closure errors of the last 365 days.

    Parameters
    ----------
    daily
        date, the gauges' usable values as known at the init date, and if known `LEVEL_BREAK`; the target in its unit,
        flows in m³/s.
    level_date
        Day of the newest usable level.
    withheld_from
        First day of a datum that the dam file does not state.
    resolution
        Step of the published levels, in the target's unit; 0 without one.
    """
    unit, size = _flow_unit(dam)
    recent = daily.filter(pl.col("date") > level_date - timedelta(days=CLOSURE_DAYS + 1), pl.col("date") <= level_date)
    stored, origin = _storage_ml(recent, dam, level_date, withheld_from)
    if isinstance(stored, str):
        return NetInflow(unit, level_date, note=stored)
    days = _balance_days(recent, stored, dam).with_columns(pl.exclude("date") / size)
    today = days.row(-1, named=True)
    last = days.tail(MEAN_DAYS)["inflow"].drop_nulls()
    return NetInflow(
        unit=unit,
        date=level_date,
        storage_from=origin,
        storage_change=today["change"],
        release=today["release"] if dam.columns("release") else None,
        inflow=today["inflow"],
        mean=float(last.mean()) if len(last) else None,  # type: ignore[arg-type]  # of a column of numbers
        mean_days=len(last),
        scatter=_scatter(days["inflow"]),
        includes_release=bool(dam.columns("release")),
        measured=today["measured"] if dam.columns("inflow") else None,
        closure=_closure(days, dam),
        step=_step(recent, dam, level_date, resolution),
        note=_missing(today, dam),
    )


def _flow_unit(dam: Dam) -> tuple[str, float]:
    """Unit of the flows, and its size in m³/s."""
    for role in ("inflow", "release"):
        for gauge in dam.gauges:
            if gauge.role == role:
                return gauge.unit, gauge.kind.conversion(gauge.unit)[0]
    return "m3/s", 1.0


def _storage_ml(
    daily: pl.DataFrame, dam: Dam, level_date: date, withheld_from: date | None
) -> tuple[pl.Series | str, str]:
    """Storage of each day (ML) and where it comes from; or why it is unknown on the last day.

    A storage gauge replaces a missing curve.
    """
    if daily.is_empty() or daily[dam.target_gauge.column][-1] is None:
        return "the newest level is missing or suspect", ""
    stored = _storages(daily, dam, level_date, withheld_from)
    if stored["storage"][-1] is not None:
        unit = stored["storage_unit"][-1]
        origin = "the target" if dam.target.variable == "storage" else "the storage curve"
        return stored["storage"] * VARIABLES["storage"].conversion(unit)[0], origin
    gauges = [gauge for gauge in dam.gauges if gauge.role == "storage" and gauge.variable == "storage"]
    if gauges and daily[gauges[0].column][-1] is not None:
        return daily[gauges[0].column].cast(pl.Float64), gauge_labels(dam)[gauges[0].column]
    return str(stored["storage_note"][-1]).rpartition(_UNKNOWN)[2], ""


def _scatter(inflow: pl.Series) -> float | None:
    """Median difference of a day from the mean of its last 7 days; None with too few days."""
    differences = (inflow - inflow.rolling_mean(MEAN_DAYS)).abs().drop_nulls()
    return None if len(differences) < MIN_DAYS else float(differences.median())  # type: ignore[arg-type]  # numbers


def _storages(daily: pl.DataFrame, dam: Dam, level_date: date, withheld_from: date | None) -> pl.DataFrame:
    """`daily` as level and storage, all by the curve in force on `level_date`: no change is one of the curve."""
    levels = daily.select(
        pl.lit(level_date).alias("init_date"), valid_date="date", level=pl.col(dam.target_gauge.column)
    )
    return add_storage(levels, dam, level_date, withheld_from)


def _balance_days(daily: pl.DataFrame, storage_ml: pl.Series, dam: Dam) -> pl.DataFrame:
    """date, change, release, inflow, measured of each day (m³/s), null where unknown."""
    is_break = pl.col(LEVEL_BREAK) if LEVEL_BREAK in daily.columns else pl.lit(False)
    share = _share_of_day(dam)

    def flow(*roles: str) -> pl.Expr:
        """Sum of the gauges over the time between two levels, null unless all report."""
        columns = dam.columns(*roles)
        if not columns:
            return pl.lit(None, pl.Float64)
        total = pl.sum_horizontal(columns, ignore_nulls=False).cast(pl.Float64)
        return total if share == 1.0 else share * total + (1 - share) * total.shift()

    frame = daily.with_columns(ml=storage_ml).select(
        "date",
        change=pl.when(~is_break).then(pl.col("ml").diff() / _ML_PER_FLOW),
        release=flow("release"),
        measured=flow("inflow"),
    )
    released = pl.col("release") if dam.columns("release") else 0.0
    return frame.with_columns(inflow=pl.col("change") + released)


def _share_of_day(dam: Dam) -> float:
    """Share of the time between two daily levels that lies on the day of the second one.

    A mean stands for the middle of its day, a last value for its end, a reading for its time.
    """
    gauge = dam.target_gauge
    if gauge.reading_at is not None:
        return (gauge.reading_at.hour + gauge.reading_at.minute / 60) / 24
    return 1.0 if gauge.aggregate == "last" else 0.5


def _missing(today: dict[str, float | None], dam: Dam) -> str:
    """Why the day has no inflow; empty if it has one."""
    if today["inflow"] is not None:
        return ""
    if today["change"] is None:
        return "the level of the day before is unknown"
    return "a release of these days is unknown" if dam.columns("release") else "the change of storage is unknown"


def _closure(days: pl.DataFrame, dam: Dam) -> Closure:
    """Closure error of the days of a balance."""
    has = {role: bool(dam.columns(role)) for role in ("inflow", "release")}
    if not all(has.values()):
        missing = " and no ".join(f"{role} gauge" for role, is_there in has.items() if not is_there)
        return Closure(note=f"the balance cannot be closed, because the dam file has no {missing}")
    errors = days.select("change", error=pl.col("inflow") - pl.col("measured")).drop_nulls()
    if len(errors) < MIN_DAYS:
        return Closure(days=len(errors), note=f"unknown, because only {len(errors)} days have all terms")
    size, change = errors.select(pl.col("error").abs().median(), pl.col("change").abs().median()).row(0)
    is_same = size < _SAME_SHARE * change
    mean, low, high = errors.select(
        mean=pl.col("error").mean(),
        low=pl.col("error").quantile(0.1, "linear"),
        high=pl.col("error").quantile(0.9, "linear"),
    ).row(0)
    return Closure(mean, low, high, len(errors), "the measured inflow is itself this balance" if is_same else "")


def _is_volume(dam: Dam) -> bool:
    return dam.target.variable == "storage"


def _step(daily: pl.DataFrame, dam: Dam, level_date: date, resolution: float) -> Step | None:
    """Effect of one step of the level below that of the last day; None where it is unknown."""
    is_assumed = resolution <= 0 and dam.target.variable == "reservoir_level"
    step = ASSUMED_STEP if is_assumed else resolution
    level = pl.col(dam.target_gauge.column)
    pair = daily.tail(1).select("date", level)
    stored = _storages(pl.concat([pair, pair.with_columns(level - step)]), dam, level_date, None)
    if stored["storage"].null_count() or (_is_volume(dam) and step <= _NEGLIGIBLE_STEP * stored["level"][0]):
        return None
    volume = float(stored["storage"][0] - stored["storage"][1])
    unit = str(stored["storage_unit"][0])
    ml = volume * VARIABLES["storage"].conversion(unit)[0]
    return Step(step, volume, unit, ml / _ML_PER_FLOW / _flow_unit(dam)[1], is_assumed)
