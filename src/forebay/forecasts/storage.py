"""Forecasts as level, storage and percentage of the storage at full supply, by the dam's storage curve.

Storage never falls as the level rises. A quantile of the level is therefore the same quantile of the storage. A value
that the dam file cannot tell is null with its reason: it is never 0, and nothing is extrapolated beyond the curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Literal, TypeAlias

import polars as pl

from forebay.dams.curves import curve_on
from forebay.dams.variables import VARIABLES
from forebay.errors import DataError
from forebay.tables import FORECASTS, STORAGE_FORECASTS

if TYPE_CHECKING:
    from forebay.dams.curves import StorageCurve
    from forebay.dams.dam import Dam

Axis = Literal["level", "storage"]
Column: TypeAlias = "pl.Series | pl.Expr"

_VARIABLES = {"level": VARIABLES["reservoir_level"], "storage": VARIABLES["storage"]}
_EDGE = 1e-9
"""Share of the curve's range by which a value may leave it: the error of a conversion of units."""


def add_storage(forecasts: pl.DataFrame, dam: Dam, init_date: date, withheld_from: date | None = None) -> pl.DataFrame:
    """`forecasts` with the columns that `tables.STORAGE_FORECASTS` adds to `tables.FORECASTS`.

    Parameters
    ----------
    forecasts
        init_date, valid_date, level (dam's unit), and any other columns.
    init_date
        The curve in force on this day is that of all rows.
    withheld_from
        First day of a datum that the dam file does not state: a value from that day on is not on the curve.
    """
    value = forecasts["level"].cast(pl.Float64).fill_nan(None)
    if dam.target.variable == "storage_percent":
        columns = _of_percent(value, dam)
    elif withheld_from is not None:
        columns = _on_unknown_datum(value, dam, withheld_from)
    else:
        of_target = _of_storage if dam.target.variable == "storage" else _of_level
        columns = of_target(value, dam, _curve(dam, init_date), _full_supply(forecasts, dam))
    added = {name: kind for name, kind in STORAGE_FORECASTS.columns.items() if name not in FORECASTS.columns}
    empty = [pl.lit(None, kind).alias(name) for name, kind in added.items()]
    table = forecasts.with_columns(empty).with_columns(columns)
    no_forecast = pl.when(pl.Series(value.is_null())).then(pl.lit("there is no forecast"))
    return table.with_columns(no_forecast.otherwise("storage_note").alias("storage_note"))


def _curve(dam: Dam, init_date: date) -> StorageCurve | str:
    """The curve in force on the init date, or the reason why there is none."""
    if not dam.storage_curves:
        return "the dam file has no storage curve"
    try:
        return curve_on(dam.storage_curves, init_date)
    except DataError:
        return f"no storage curve is in force on {init_date}"


def _full_supply(forecasts: pl.DataFrame, dam: Dam) -> pl.Series:
    """Full supply of each row's valid date as known on its init date, in the target's unit; null where unknown."""
    if dam.full_supply is None:
        return pl.Series([None], dtype=pl.Float64).new_from_index(0, len(forecasts))
    return dam.full_supply.known_on(forecasts["init_date"], forecasts["valid_date"]).cast(pl.Float64)


def _of_level(level: pl.Series, dam: Dam, curve: StorageCurve | str, full_level: pl.Series) -> list[Column]:
    """Columns of a level: storage and percentage by the curve."""
    unit = dam.target.unit
    columns: list[Column] = [level.alias("reservoir_level"), pl.lit(unit).alias("level_unit")]
    if isinstance(curve, str):
        return [*columns, pl.lit(f"storage and % are unknown: {curve}").alias("storage_note")]
    levels = _on_curve(level, unit, curve, "level")
    storage, full = curve.storage(levels), curve.storage(_on_curve(full_level, unit, curve, "level"))
    denominators = [
        f"storage at full supply level {_number(x)} {unit}: {_number(volume)} {curve.storage_unit} ({curve.survey})"
        for x, volume in zip(full_level, full, strict=True)
    ]
    reasons = [
        "the dam file has no full supply level"
        if x is None
        else f"full supply level {_number(x)} {unit} is beyond the storage curve, {_range(curve, 'level')}"
        for x in full_level
    ]
    return [
        *columns,
        storage.alias("storage"),
        pl.lit(curve.storage_unit).alias("storage_unit"),
        pl.lit(curve.survey_date, pl.Date).alias("survey_date"),
        *_percentage(storage, full, denominators, reasons, notes=_beyond(levels, curve, "level")),
    ]


def _of_storage(storage: pl.Series, dam: Dam, curve: StorageCurve | str, full: pl.Series) -> list[Column]:
    """Columns of a storage: level by the curve, and percentage of the full supply storage."""
    unit = dam.target.unit
    columns: list[Column] = [storage.alias("storage"), pl.lit(unit).alias("storage_unit")]
    notes: list[str | None] = [f"the level is unknown: {curve}"] * len(storage)
    if not isinstance(curve, str):
        storages = _on_curve(storage, unit, curve, "storage")
        notes = _beyond(storages, curve, "storage")
        columns += [
            curve.level(storages).alias("reservoir_level"),
            pl.lit(curve.level_unit).alias("level_unit"),
            pl.lit(curve.survey_date, pl.Date).alias("survey_date"),
        ]
    denominators = [f"full supply storage {_number(x)} {unit}" for x in full]
    reasons = ["the dam file has no full supply storage"] * len(full)
    return [*columns, *_percentage(storage, full, denominators, reasons, notes=notes)]


def _on_unknown_datum(value: pl.Series, dam: Dam, since: date) -> list[Column]:
    """Columns of a level or storage on a datum that the dam file does not state: only the value itself."""
    name, unit, unknown = {
        "reservoir_level": ("level", "level_unit", "storage and % are"),
        "storage": ("storage", "storage_unit", "level and % are"),
    }[dam.target.variable]
    return [
        value.alias(dam.target.variable),
        pl.lit(dam.target.unit).alias(unit),
        pl.lit(f"{unknown} unknown: the datum of the {name} seems to have changed on {since}").alias("storage_note"),
    ]


def _of_percent(percent: pl.Series, dam: Dam) -> list[Column]:
    """Columns of a percentage: its volume is that of the publisher."""
    note = "level and storage are unknown: the target is a percentage, and the dam file does not state its volume"
    return [
        percent.alias("storage_percent"),
        pl.lit(f"as published: {dam.target.datum}").alias("percent_of"),
        pl.lit(note).alias("storage_note"),
    ]


def _percentage(
    storage: pl.Series,
    full: pl.Series,
    denominators: Sequence[str],
    reasons: Sequence[str],
    *,
    notes: Sequence[str | None],
) -> list[Column]:
    """airspace, storage_percent, percent_of and storage_note; null without a storage at full supply above 0.

    Parameters
    ----------
    full
        Storage at full supply, in the unit of `storage`; null where unknown.
    denominators, reasons
        `full` in words, and why it is null.
    notes
        Why another value is null; None where none is.
    """
    positive = pl.Series([volume is not None and volume > 0 for volume in full], dtype=pl.Boolean)
    nothing = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(full))
    without = [
        f"% is unknown: {reason if volume is None else 'the storage at full supply is not above 0'}"
        for volume, reason in zip(full, reasons, strict=True)
    ]
    percent_notes = [None if known else text for known, text in zip(positive, without, strict=True)]
    joined = ["; ".join(filter(None, pair)) or None for pair in zip(notes, percent_notes, strict=True)]
    names = [text if known else None for known, text in zip(positive, denominators, strict=True)]
    return [
        (full - storage).zip_with(positive, nothing).alias("airspace"),
        (100 * storage / full).zip_with(positive, nothing).alias("storage_percent"),
        pl.Series("percent_of", names, pl.String),
        pl.Series("storage_note", joined, pl.String),
    ]


def _on_curve(values: pl.Series, unit: str, curve: StorageCurve, axis: Axis) -> pl.Series:
    """Values in the curve's unit; a value that leaves the curve by the error of the conversion is that of its end."""
    kind, curve_unit = _VARIABLES[axis], curve.level_unit if axis == "level" else curve.storage_unit
    low, high = _ends(curve, axis)
    if unit == curve_unit:
        return values
    converted = kind.from_canonical(kind.to_canonical(values, unit), curve_unit)
    margin = _EDGE * max(abs(low), abs(high))
    is_near = converted.is_between(low - margin, high + margin)
    return converted.clip(low, high).zip_with(is_near.fill_null(False), converted)


def _beyond(values: pl.Series, curve: StorageCurve, axis: Axis) -> list[str | None]:
    """Why a value has no partner on the curve; None where it has one or is missing."""
    low, high = _ends(curve, axis)
    unknown = "storage and % are" if axis == "level" else "the level is"
    text = f"{unknown} unknown: the {axis} is {{}} the storage curve, {_range(curve, axis)}"
    sides = (None if x is None else "below" if x < low else "above" if x > high else None for x in values)
    return [None if side is None else text.format(side) for side in sides]


def _ends(curve: StorageCurve, axis: Axis) -> tuple[float, float]:
    place = 0 if axis == "level" else 1
    return curve.points[0][place], curve.points[-1][place]


def _range(curve: StorageCurve, axis: Axis) -> str:
    low, high = _ends(curve, axis)
    return f"{_number(low)} to {_number(high)} {curve.level_unit if axis == 'level' else curve.storage_unit}"


def _number(value: float | None) -> str:
    """A number to about six digits, without an exponent; whole numbers in full."""
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:,.6g}"
