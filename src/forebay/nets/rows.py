"""Rows of a net: a table as arrays, their splits, batches and normalisation; each target stays with its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.errors import ModelError

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Arrays:
    """Inputs (n, k) and target (n,) of the same n rows, with the inputs' names."""

    inputs: Floats
    target: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.target)

    def table(self) -> pl.DataFrame:
        """The inputs as a table with their names."""
        return pl.DataFrame(self.inputs, schema=list(self.names))

    def take(self, rows: NDArray[np.intp] | slice) -> Arrays:
        """The arrays of these rows only."""
        return replace(self, inputs=self.inputs[rows], target=self.target[rows])


def arrays(table: pl.DataFrame, *, inputs: Sequence[str], target: str) -> Arrays:
    """Columns of a table as arrays of single precision.

    Raises
    ------
    ModelError
        If a column is absent, or has a null or a number that is not finite, because nets accept no missing values.

    Examples
    --------
    >>> rows = arrays(pl.DataFrame({"rain": [0, 12], "change": [0.0, 0.1]}), inputs=["rain"], target="change")
    >>> rows.inputs.tolist(), len(rows)
    ([[0.0], [12.0]], 2)
    """
    values = matrix(table, [*inputs, target])
    return Arrays(np.ascontiguousarray(values[:, :-1]), values[:, -1].copy(), tuple(inputs))


def matrix(table: pl.DataFrame, columns: Sequence[str]) -> Floats:
    """Columns of a table as one array (n, k); raises as `arrays`."""
    for column in columns:
        if column not in table.columns:
            raise ModelError(f"column {column!r} is not in the table; it has {table.columns}")
        missing = len(table) - int(table[column].cast(pl.Float64).is_finite().sum())
        if missing:
            raise ModelError(
                f"column {column!r} has no finite number in {missing} of {len(table)} rows; a net needs one in every "
                "row, so remove these rows"
            )
    return table.select(columns).to_numpy().astype(np.float32)


def split_validation(rows: Arrays, share: float) -> tuple[Arrays, Arrays]:
    """The first int(n · (1 − share)) rows, and the rest for validation, in their order (as Keras does).

    Examples
    --------
    >>> rows = Arrays(np.zeros((3774, 7), np.float32), np.zeros(3774, np.float32), ())
    >>> [len(part) for part in split_validation(rows, 0.2)]
    [3019, 755]
    """
    cut = int(len(rows) * (1 - share))
    return rows.take(slice(0, cut)), rows.take(slice(cut, None))


def sample(count: int, share: float, seed: int) -> NDArray[np.intp]:
    """Rows that pandas' `sample(frac=share, random_state=seed)` selects from `count` rows, in its order.

    Examples
    --------
    >>> sample(10, 0.8, 12345).tolist()
    [0, 7, 3, 9, 6, 4, 1, 8]
    """
    rows: NDArray[np.intp] = np.random.RandomState(seed).choice(count, round(share * count), replace=False)
    return rows


def split_test(rows: Arrays, share: float, *, seed: int | None = None) -> tuple[Arrays, Arrays]:
    """Training rows and test rows; the test rows are the last `share`, in their order.

    Parameters
    ----------
    seed
        If given, the training rows are pandas' `sample` with this seed, in its order, and the rest is the test. For a
        forecast, test on later days: leave it out.

    Examples
    --------
    >>> rows = Arrays(np.arange(10, dtype=np.float32)[:, None], np.arange(10, dtype=np.float32), ("x",))
    >>> [part.target.tolist() for part in split_test(rows, 0.2)]
    [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], [8.0, 9.0]]
    >>> split_test(rows, 0.2, seed=12345)[1].target.tolist()
    [2.0, 5.0]
    """
    if seed is None:
        cut = len(rows) - round(share * len(rows))
        return rows.take(slice(0, cut)), rows.take(slice(cut, None))
    train = sample(len(rows), 1 - share, seed)
    return rows.take(train), rows.take(np.setdiff1d(np.arange(len(rows)), train))


def shuffle(rows: Arrays, seed: int) -> Arrays:
    """The rows in a random order; each target stays with its inputs."""
    return rows.take(np.random.default_rng(seed).permutation(len(rows)))


def batches(rows: Arrays, size: int, *, leftover: Literal["kept", "dropped"] = "kept") -> Iterator[Arrays]:
    """The rows in parts of `size`; the `leftover` rows are a smaller last part, or are dropped.

    Examples
    --------
    >>> rows = Arrays(np.zeros((20, 7), np.float32), np.zeros(20, np.float32), ())
    >>> [len(batch) for batch in batches(rows, 8)], [len(batch) for batch in batches(rows, 8, leftover="dropped")]
    ([8, 8, 4], [8, 8])
    """
    end = len(rows) if leftover == "kept" else len(rows) - len(rows) % size
    for start in range(0, end, size):
        yield rows.take(slice(start, min(start + size, end)))


@dataclass(frozen=True)
class Normalisation:
    """Mean and variance per input, shape (k,); the net's first layer computes (x − mean)/√variance."""

    mean: Floats
    variance: Floats


def normalisation(rows: Arrays) -> Normalisation:
    """Mean and variance of the inputs of `rows`; pass training rows only."""
    values = rows.inputs.astype(np.float64)
    return Normalisation(values.mean(axis=0).astype(np.float32), values.var(axis=0).astype(np.float32))
