"""Sums over the gauges of a day: the same digits with any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from forebay.features.row_sums import row_mean, row_sum

PROGRAM = """
import hashlib
import numpy as np
import polars as pl
from forebay.features.row_sums import row_mean, row_sum
values = np.random.default_rng(1).gamma(0.3, 20.0, (500, 9))
table = pl.DataFrame(values, schema=[f"g{k}" for k in range(9)])
digits = table.select(row_sum(table.columns).alias("sum"), row_mean(table.columns[:5]).alias("mean"))
print(hashlib.sha256(digits.to_numpy().tobytes()).hexdigest())
"""


def test_digits_depend_on_no_number_of_threads() -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    printed = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environ | {"POLARS_MAX_THREADS": threads}, check=True, capture_output=True, text=True,
        ).stdout
        for threads in ("1", "2", "7")
    }  # fmt: skip
    assert len(printed) == 1 and len(printed.pop()) == 65


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_sums_and_means_are_those_of_the_values_that_are_there(count: int) -> None:
    values = np.random.default_rng(count).gamma(0.3, 20.0, (200, count))
    values[::7, 0] = np.nan
    values[::21] = np.nan
    names = [f"g{k}" for k in range(count)]
    table = pl.DataFrame(values, schema=names).with_columns(pl.all().fill_nan(None))
    result = table.select(row_sum(names).alias("sum"), row_mean(pl.col(name) for name in names).alias("mean"))
    known = ~np.isnan(values)
    whole, some = known.all(axis=1), known.any(axis=1)
    assert result["sum"].is_null().to_list() == (~whole).tolist()
    assert result["mean"].is_null().to_list() == (~some).tolist()
    np.testing.assert_allclose(result["sum"].to_numpy()[whole], values[whole].sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(result["mean"].to_numpy()[some], np.nanmean(values[some], axis=1), rtol=1e-12)


def test_whole_numbers_have_sums_and_means_with_decimals() -> None:
    table = pl.DataFrame({"a": [1, None], "b": [2, 5]})
    result = table.select(row_sum(["a", "b"]).alias("sum"), row_mean(["a", "b"]).alias("mean"))
    assert result.rows() == [(3.0, 1.5), (None, 5.0)] and set(result.dtypes) == {pl.Float64}
