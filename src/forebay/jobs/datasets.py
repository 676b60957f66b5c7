"""Forecasts and daily tables as xarray datasets by the CF conventions (CF-1.11), and as NetCDF files.

Times follow the forecast vocabulary of CF: `init_time` is the forecast reference time, `lead_time` the forecast period,
`valid_time` their sum. A level carries the standard name `water_surface_height_above_reference_datum`; its datum is in
`datum`, since CF has no name for a dam's own datum.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay import __version__
from forebay.jobs.results import require_extra
from forebay.tables import FORECASTS, flag_of

if TYPE_CHECKING:
    import xarray

    from forebay.dams.dam import Dam

UDUNITS = {
    "ML": "megaliter",
    "GL": "gigaliter",
    "MG": "1e6 US_liquid_gallon",  # in UDUNITS, MG is a megagauss
    "Mgal": "1e6 US_liquid_gallon",
    "hm3": "hm3",
    "MCM": "hm3",
    "Mcum": "hm3",
    "BCM": "km3",
    "ac-ft": "acre_foot",
    "kac-ft": "1e3 acre_foot",
    "TAF": "1e3 acre_foot",
    "Mft3": "1e6 foot3",
    "TMC": "1e9 foot3",
    "%": "percent",
    "ft": "foot",
}
"""Unit of a dam file → the same unit as UDUNITS spells it, where the two differ."""
STANDARD_NAMES = {
    "reservoir_level": "water_surface_height_above_reference_datum",
    "rainfall": "lwe_thickness_of_precipitation_amount",
    "temperature": "air_temperature",
    "discharge": "water_volume_transport_in_river_channel",
}
"""Variable → CF standard name, where CF has one."""
_STORAGE_COLUMNS = (
    ("reservoir_level", "level_unit", "level by the storage curve"),
    ("storage", "storage_unit", "storage by the storage curve"),
    ("storage_percent", None, "storage as a percentage of the storage at full supply"),
)
"""Column, column of its unit, and text of each quantity besides the target."""
_CURVE_COLUMNS = ("survey_date", "storage_note")


def forecast_dataset(forecasts: pl.DataFrame, dam: Dam) -> xarray.Dataset:
    """`level` and `change` with the dimensions init_time, lead_time and quantile; NaN where there is no forecast.

    With the columns of `tables.STORAGE_FORECASTS` also `reservoir_level`, `storage` and `storage_percent`, NaN where
    unknown; `survey_date`, `percent_of` and `comment` (the reason) are attributes. Without a storage curve there is no
    unit and no variable of what the curve would give.

    Parameters
    ----------
    forecasts
        `tables.FORECASTS` of one model, or `tables.STORAGE_FORECASTS`.

    Raises
    ------
    ConfigError
        If xarray is not installed (extra `xarray`).
    """
    require_extra("xarray", "xarray", "h5netcdf")
    import xarray

    table = FORECASTS.check(forecasts.select(list(FORECASTS.columns)), unique=True)
    axes = {name: table[name].unique().sort() for name in ("init_time", "lead_time", "quantile")}
    rows = tuple(np.searchsorted(axis.to_numpy(), table[name].to_numpy()) for name, axis in axes.items())
    shape = tuple(len(axis) for axis in axes.values())
    names = tuple(axes)
    unit = UDUNITS.get(dam.target.unit, dam.target.unit)
    variables = {}
    for name, text in (("level", "forecast"), ("change", "forecast change from level_date to valid_date")):
        values = np.full(shape, np.nan)
        values[rows] = table[name].to_numpy()
        variables[name] = (names, values, {"units": unit, "long_name": f"{dam.target.variable}, {text}"})
    if dam.target.variable in STANDARD_NAMES:
        variables["level"][2]["standard_name"] = STANDARD_NAMES[dam.target.variable]
    variables["level"][2]["datum"] = dam.target.datum
    variables |= _storage_variables(forecasts, dam, names, rows, shape)
    return xarray.Dataset(variables, _forecast_axes(table, axes, rows), _attributes(dam, table["model"]))


def _storage_variables(
    forecasts: pl.DataFrame, dam: Dam, names: tuple[str, ...], rows: tuple[np.ndarray, ...], shape: tuple[int, ...]
) -> dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, str]]]:
    """Level, storage and percentage of a forecast besides its target, with their units, survey and denominator."""
    variables = {}
    for name, unit_column, text in _STORAGE_COLUMNS:
        if name not in forecasts.columns or name == dam.target.variable:
            continue
        units = ["%"] if unit_column is None else forecasts[unit_column].drop_nulls().unique().to_list()
        if not units:
            continue
        values = np.full(shape, np.nan)
        values[rows] = forecasts[name].cast(pl.Float64).to_numpy()
        attributes = {"units": UDUNITS.get(units[0], units[0]), "long_name": f"{text}, forecast"}
        if name in STANDARD_NAMES:
            attributes["standard_name"] = STANDARD_NAMES[name]
        columns = ("survey_date", "percent_of", "storage_note") if name == "storage_percent" else _CURVE_COLUMNS
        texts = {"comment" if column == "storage_note" else column: _texts(forecasts[column]) for column in columns}
        variables[name] = (names, values, attributes | {key: value for key, value in texts.items() if value})
    return variables


def _texts(column: pl.Series) -> str:
    """Distinct texts of a column in their order, in one."""
    return "; ".join(column.drop_nulls().cast(pl.String).unique(maintain_order=True))


def _forecast_axes(
    table: pl.DataFrame, axes: dict[str, pl.Series], rows: tuple[np.ndarray, ...]
) -> dict[str, tuple[object, ...]]:
    init = axes["init_time"].dt.replace_time_zone(None).to_numpy().astype("datetime64[ns]")
    lead = axes["lead_time"].to_numpy().astype("timedelta64[D]").astype("timedelta64[ns]")
    dates = {}
    for name, pair in (("level_date", rows[:1]), ("valid_date", rows[:2])):
        values = np.full([len(axis) for axis in list(axes.values())[: len(pair)]], np.datetime64("NaT", "ns"))
        values[pair] = table[name].to_numpy().astype("datetime64[ns]")
        dates[name] = values
    return {
        "init_time": ("init_time", init, {"standard_name": "forecast_reference_time", "long_name": "init time, UTC"}),
        "lead_time": ("lead_time", lead, {"standard_name": "forecast_period", "long_name": "lead time"}),
        "quantile": ("quantile", axes["quantile"].to_numpy(), {"units": "1", "long_name": "probability"}),
        "valid_time": (
            ("init_time", "lead_time"),
            init[:, None] + lead[None, :],
            {"standard_name": "time", "long_name": "valid time, UTC"},
        ),
        "valid_date": (
            ("init_time", "lead_time"), dates["valid_date"], {"long_name": "local day that the forecast is for"}
        ),
        "level_date": ("init_time", dates["level_date"], {"long_name": "local day of the level that it starts from"}),
    }  # fmt: skip


def daily_dataset(daily: pl.DataFrame, dam: Dam) -> xarray.Dataset:
    """A variable and a `…_flag` per gauge with the dimension date; NaN where missing, flag "" where there is none.

    Parameters
    ----------
    daily
        Daily table: the target in the dam's unit, other gauges in their canonical unit.

    Raises
    ------
    ConfigError
        If xarray is not installed (extra `xarray`).
    """
    require_extra("xarray", "xarray", "h5netcdf")
    import xarray

    variables: dict[str, tuple[str, np.ndarray, dict[str, str]]] = {}
    for gauge in dam.gauges:
        unit = dam.target.unit if gauge.role == "target" else gauge.kind.unit
        flag = flag_of(gauge.column)
        attributes = {"units": UDUNITS.get(unit, unit), "long_name": gauge.title, "ancillary_variables": flag}
        if gauge.variable in STANDARD_NAMES:
            attributes["standard_name"] = STANDARD_NAMES[gauge.variable]
        variables[gauge.column] = ("date", daily[gauge.column].cast(pl.Float64).to_numpy(), attributes)
        reasons = daily[flag].fill_null("").to_numpy().astype(str)
        variables[flag] = ("date", reasons, {"long_name": f"{gauge.title}: reason of the flag"})
    dates = daily["date"].to_numpy().astype("datetime64[ns]")
    axes = {"date": ("date", dates, {"standard_name": "time", "long_name": f"local day, zone {dam.time_zone}"})}
    return xarray.Dataset(variables, axes, _attributes(dam, None))


def _attributes(dam: Dam, models: pl.Series | None) -> dict[str, str]:
    simulated = "SIMULATED: " if dam.simulated else ""
    attributes = {
        "Conventions": "CF-1.11",
        "title": f"{simulated}{dam.name}, {dam.target.variable}",
        "source": f"forebay {__version__}",
        "dam": dam.id,
        "license": dam.licence or "not stated",
    }
    if dam.attributions:
        attributes["attribution"] = " ".join(dam.attributions)
    return attributes if models is None or models.is_empty() else attributes | {"model": models[0]}


def write_netcdf(dataset: xarray.Dataset, path: Path, *, now: datetime) -> None:
    """Write `dataset` as NetCDF 4; `history` states the time of writing."""
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    dataset.assign_attrs(history=f"{stamp} written by forebay {__version__}").to_netcdf(path, engine="h5netcdf")
