"""`forebay.tables`: a frame that breaks its contract is refused; a valid frame is returned with ordered columns."""

from datetime import UTC, datetime

import polars as pl
import pytest

from forebay import tables
from forebay.errors import DataError
from forebay.tables import Table
from forebay.verify.tables import SCORES

ALL = [
    tables.READINGS, tables.OBSERVATIONS, tables.REVISIONS, tables.FORCINGS, tables.FORECASTS, SCORES,
    tables.EXPLANATION,
]  # fmt: skip


def reading(value: float) -> dict[str, object]:
    return {
        "source": "csv",
        "station": "1",
        "variable": "rainfall",
        "aggregate": "total",
        "time": datetime(2020, 1, 1, tzinfo=UTC),
        "interval": 86_400,
        "value": value,
        "raw_value": str(value),
        "quality": "good",
        "quality_code": "1",
    }


def readings(*values: float) -> pl.DataFrame:
    return pl.DataFrame([reading(value) for value in values], schema=tables.READINGS.columns)


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_an_empty_table_fulfils_its_contract(table: Table) -> None:
    empty = table.check(table.empty(), unique=True)
    assert empty.is_empty()
    assert dict(empty.schema) == dict(table.columns)


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_the_key_consists_of_columns(table: Table) -> None:
    assert set(table.key) <= set(table.columns)
    values = {name for name, dtype in table.columns.items() if dtype == pl.Float64()} - {"quantile"}
    assert values.isdisjoint(table.key), "a value does not identify its row"


def test_check_puts_columns_in_order_and_leaves_others_out() -> None:
    shuffled = readings(1.0).with_columns(note=pl.lit("x")).select(pl.all().reverse()).select(pl.all())
    reordered = shuffled.select(list(reversed(shuffled.columns)))
    assert tables.READINGS.check(reordered).equals(readings(1.0))


def test_check_names_the_missing_column() -> None:
    with pytest.raises(DataError, match=r"^table readings: column 'value' is missing; it has \['source'"):
        tables.READINGS.check(readings(1.0).drop("value"))


def test_check_names_the_column_of_another_type() -> None:
    with pytest.raises(DataError, match=r"column 'value' is Float32, must be Float64$"):
        tables.READINGS.check(readings(1.0).cast({"value": pl.Float32}))


def test_instants_without_a_zone_are_refused() -> None:
    naive = readings(1.0).with_columns(pl.col("time").dt.replace_time_zone(None))
    with pytest.raises(DataError, match="column 'time' is Datetime"):
        tables.READINGS.check(naive)


def test_a_duplicate_key_is_refused_only_on_request() -> None:
    duplicates = readings(1.0, 2.0)
    assert len(tables.READINGS.check(duplicates)) == 2
    with pytest.raises(DataError, match="must identify a row, but some occur twice"):
        tables.READINGS.check(duplicates, unique=True)


def test_a_revision_is_a_new_observation_of_the_same_reading() -> None:
    fetched = pl.Series("fetched_at", [datetime(2020, 1, 2, tzinfo=UTC), datetime(2020, 1, 3, tzinfo=UTC)]).cast(
        tables.INSTANT
    )
    both = readings(1.0, 2.0).with_columns(fetched)
    assert len(tables.OBSERVATIONS.check(both, unique=True)) == 2


def test_quantiles_rise_and_contain_the_point_forecast() -> None:
    assert list(tables.QUANTILES) == sorted(set(tables.QUANTILES))
    assert 0.5 in tables.QUANTILES
