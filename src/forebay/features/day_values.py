"""Every array and table of a dataclass that has a value per day: as columns, and without its first days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray


def day_columns(value: object, count: int, name: str = "") -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Name and values of each column with `count` days in `value` and in its parts; a date as its number.

    Raises
    ------
    TypeError
        If a part has a type that cannot have values per day and is no number or None: no part may be overlooked.
    """
    if isinstance(value, pl.DataFrame):
        for column in value.columns:
            yield f"{name}.{column}", value[column].cast(pl.Float64).to_numpy()
    elif isinstance(value, np.ndarray):
        if len(value) != count:
            raise TypeError(f"{name} has {len(value)} values for {count} days")
        yield name, value.astype(np.int64 if value.dtype.kind == "M" else float).astype(float)
    elif isinstance(value, int | float):
        yield name, np.full(count, float(value))
    elif value is not None:
        for part, inner in _parts(value, name):
            yield from day_columns(inner, count, f"{name}.{part}")


def days_since(value: Any, begin: int) -> Any:  # Any: the type of the value stays the same
    """`value` without the first `begin` days of each of its arrays and tables."""
    if isinstance(value, pl.DataFrame | np.ndarray):
        return value[begin:]
    if isinstance(value, Mapping):
        return {key: days_since(part, begin) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(days_since(part, begin) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: days_since(getattr(value, field.name), begin) for field in fields(value)})
    return value


def _parts(value: object, name: str) -> Iterator[tuple[object, object]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, tuple):
        yield from enumerate(value)
    elif is_dataclass(value):
        yield from ((field.name, getattr(value, field.name)) for field in fields(value))
    else:
        raise TypeError(f"{name} of type {type(value).__name__} has no values per day")
