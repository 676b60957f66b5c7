"""The storage of the coming months: quantiles, chances of thresholds and traces of one init date, and past scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.errors import ConfigError, DataError
from forebay.metrics import plotting_quantiles
from forebay.tables import QUANTILES
from forebay.verify.long_hindcast import (
    beyond_by_month,
    is_beyond,
    is_reachable,
    long_forecast,
    sides,
    threshold_storages,
)
from forebay.verify.long_tables import LONG_BALANCE, LONG_OUTLOOK, LONG_PROBABILITIES, LONG_TRACES
from forebay.verify.traces import MIN_TRACES

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.volumes import Volumes
    from forebay.features.water_balance import Array, StorageRecord
    from forebay.verify.long_hindcast import Demand, LongForecast, LongHindcast, StorageThreshold


@dataclass(frozen=True)
class LongOutlook:
    """Traces of the coming months from one init date.

    Attributes
    ----------
    forecast
        The traces as arrays.
    volumes
        The dam's conversion between target and storage.
    demand
        The stated demand; None: as operated in the past years.
    months, probabilities, traces, balance
        `long_tables.LONG_OUTLOOK`, `LONG_PROBABILITIES`, `LONG_TRACES` and `LONG_BALANCE`.
    hindcast
        Past long outlooks as operated, up to the init date, with their scores.
    thresholds
        Storage of each threshold on each coming day, shape (days,).
    left_out
        Names of thresholds that no trace can reach, or that are unknown: on all days above full supply or below the
        lowest storage.
    """

    forecast: LongForecast
    volumes: Volumes
    demand: Demand | None
    months: pl.DataFrame
    probabilities: pl.DataFrame
    traces: pl.DataFrame
    balance: pl.DataFrame
    hindcast: LongHindcast = field(repr=False)
    thresholds: Mapping[str, Array] = field(default_factory=dict, repr=False)
    left_out: tuple[str, ...] = ()


def check_demand(dam: Dam, demand: str | None, past_demand: str | None) -> None:
    """Raise `ConfigError` if a demand is stated and the past outflow is unknown, or a past demand has no use."""
    if past_demand is not None and demand is None:
        raise ConfigError(
            "--past-demand needs --demand: without one, the traces repeat the outflow of their years, whatever it was"
        )
    if demand is not None and past_demand is None and not dam.columns("release"):
        raise ConfigError(
            f"{dam.name} has no release gauge, so the past inflow cannot be separated from the past outflow and "
            "--demand has no balance to apply to; state the past outflow with --past-demand, add a gauge with role = "
            '"release" to the dam file, or leave --demand out'
        )


def make_long_outlook(  # noqa: PLR0913  # record and hindcast are of the same dam; the rest is the question
    record: StorageRecord,
    dam: Dam,
    hindcast: LongHindcast,
    *,
    months: int,
    demand: Demand | None = None,
    thresholds: Sequence[StorageThreshold] = (),
) -> LongOutlook:
    """The long outlook of the last day of a record.

    Raises
    ------
    DataError
        If the storage of the day is unknown, or too few past years have a balance.
    """
    forecast = long_forecast(record, dam, len(record.dates) - 1, months, demand)
    _refuse_incomplete(forecast, dam, record)
    volumes = record.volumes
    storages = {t.name: threshold_storages(t, forecast, record) for t in thresholds}
    allowed = {name: level for name, level in storages.items() if is_reachable(level, forecast.limits)}
    return LongOutlook(
        forecast=forecast,
        volumes=volumes,
        demand=demand,
        months=_months(forecast, dam, volumes),
        probabilities=_probabilities(forecast, dam, allowed),
        traces=_traces(forecast, dam, volumes),
        balance=_balance(forecast, dam, volumes),
        hindcast=hindcast,
        thresholds=allowed,
        left_out=tuple(name for name in storages if name not in allowed),
    )


def _refuse_incomplete(forecast: LongForecast, dam: Dam, record: StorageRecord) -> None:
    """Raise `DataError` if the traces have no start or too few years."""
    day, unit = forecast.init_date, record.volumes.unit
    if not np.isfinite(forecast.start):
        raise DataError(
            f"{dam.name}: the storage of {day} is unknown ({unit}), because the level is missing, beyond the storage "
            "curve or on another datum; choose another day with --init"
        )
    count = len(forecast.windows.years)
    if count < MIN_TRACES:
        gaps = "".join(f"; {year}: {days} days without a balance" for year, days in forecast.windows.left_out.items())
        raise DataError(
            f"{dam.name}: a long outlook needs {MIN_TRACES} past years with a balance on each of the "
            f"{forecast.leads[-1]} days, but before {day} there are {count}; ask for fewer --months, or fetch a longer "
            f"record{gaps}"
        )


def _months(forecast: LongForecast, dam: Dam, volumes: Volumes) -> pl.DataFrame:
    """`long_tables.LONG_OUTLOOK`."""
    parts = []
    for month, (end, lead) in enumerate(zip(forecast.ends, forecast.leads, strict=True), start=1):
        storage = plotting_quantiles(forecast.traces.storage[:, lead], QUANTILES)
        parts.append(
            pl.DataFrame({"month": [month] * len(QUANTILES), "valid_date": end, "quantile": QUANTILES})
            .with_columns(storage=pl.Series(storage))
            .with_columns(_other_columns(storage, forecast, volumes, full=forecast.limits.full_supply[lead - 1]))
        )
    table = _with_key(pl.concat(parts), forecast, dam).with_columns(pl.col("month").cast(pl.Int32))
    return LONG_OUTLOOK.check(table, unique=True)


def _other_columns(
    storage: Array, forecast: LongForecast, volumes: Volumes, *, full: Array | float
) -> list[pl.Series | pl.Expr]:
    """storage_unit, storage_percent, level and level_unit of storages, whose full supply is `full`."""
    unit = volumes.level_unit(forecast.init_date)
    return [
        pl.lit(volumes.unit).alias("storage_unit"),
        pl.Series("storage_percent", 100 * storage / full, nan_to_null=True),
        pl.Series("level", volumes.level(storage, forecast.init_date), nan_to_null=True),
        pl.lit(unit or None, pl.String).alias("level_unit"),
    ]


def _with_key(table: pl.DataFrame, forecast: LongForecast, dam: Dam) -> pl.DataFrame:
    return table.with_columns(pl.lit(dam.id).alias("dam"), pl.lit(forecast.init_date).alias("init_date"))


def _probabilities(forecast: LongForecast, dam: Dam, thresholds: dict[str, Array]) -> pl.DataFrame:
    """`long_tables.LONG_PROBABILITIES`."""
    rows = []
    traces = forecast.traces.storage[:, 1:]
    for name, level in thresholds.items():
        for direction in sides(name):
            beyond_now = bool(is_beyond(np.array([forecast.start]), level[:1], direction)[0])
            events = beyond_by_month(traces, level, direction, forecast.leads)
            for kind, beyond in zip(("on", "by"), events, strict=True):
                for column, (end, lead) in enumerate(zip(forecast.ends, forecast.leads, strict=True)):
                    count = int(beyond[:, column].sum())
                    rows.append((
                        dam.id, forecast.init_date, name, direction, kind, column + 1, end, float(level[lead - 1]),
                        beyond_now, count, len(traces), count / len(traces),
                    ))  # fmt: skip
    return LONG_PROBABILITIES.check(
        pl.DataFrame(rows, schema=LONG_PROBABILITIES.columns, orient="row"), unique=True
    )


def _traces(forecast: LongForecast, dam: Dam, volumes: Volumes) -> pl.DataFrame:
    """`long_tables.LONG_TRACES`."""
    traces, years = forecast.traces, forecast.windows.years
    storage = traces.storage[:, 1:].ravel()
    days = forecast.valid_dates
    table = pl.DataFrame({
        "year": np.repeat(np.array(years, np.int32), len(days)),
        "valid_date": pl.concat([days] * len(years)),
        "storage": storage,
        "net_inflow": forecast.windows.net.ravel(),
        "outflow": traces.outflow.ravel(),
        "spill": traces.spill.ravel(),
        "shortfall": traces.shortfall.ravel(),
    })  # fmt: skip
    full = np.tile(forecast.limits.full_supply, len(years))
    table = table.with_columns(_other_columns(storage, forecast, volumes, full=full))
    return LONG_TRACES.check(_with_key(table, forecast, dam), unique=True)


def _balance(forecast: LongForecast, dam: Dam, volumes: Volumes) -> pl.DataFrame:
    """`long_tables.LONG_BALANCE`."""
    traces, windows = forecast.traces, forecast.windows
    table = pl.DataFrame({
        "year": np.array(windows.years, np.int32),
        "days_full": windows.days_full.astype(np.int32),
        "days_bridged": windows.days_bridged.astype(np.int32),
        "start": np.full(len(windows.years), forecast.start),
        "net_inflow": windows.net.sum(axis=1),
        "outflow": traces.outflow.sum(axis=1),
        "spill": traces.spill.sum(axis=1),
        "shortfall": traces.shortfall.sum(axis=1),
        "end": traces.storage[:, -1],
    }).with_columns(pl.lit(volumes.unit).alias("storage_unit"))  # fmt: skip
    return LONG_BALANCE.check(_with_key(table, forecast, dam), unique=True)


