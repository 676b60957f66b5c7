"""`forebay.dams.curves`: storage never falls as the level rises, and the two directions are inverse within 1e-6."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from forebay.dams.curves import StorageCurve, curve_on
from forebay.dams.dam_file import load_dam
from forebay.errors import DataError
from tests.shared import PROJECT, needs_shared


def make_curve(*points: tuple[float, float], valid_from: date | None = None) -> StorageCurve:
    return StorageCurve(level_unit="m", storage_unit="ML", points=points, valid_from=valid_from)


@st.composite
def curves(draw: st.DrawFn, *, flat: bool = True) -> StorageCurve:
    """A curve of 2 to 12 points; with `flat` some steps may add no storage."""
    increments = st.one_of(st.just(0), st.integers(1, 5000)) if flat else st.integers(1, 5000)
    steps = draw(st.lists(st.tuples(st.integers(1, 50), increments), min_size=1, max_size=11))
    level, storage = draw(st.integers(-100, 1000)), draw(st.integers(0, 10_000))
    points = [(float(level), float(storage))]
    for rise, added in steps:
        level, storage = level + rise, storage + added
        points.append((float(level), float(storage)))
    return make_curve(*points)


def inside(curve: StorageCurve, share: float) -> float:
    """Level at a share of the range of the curve."""
    lowest, highest = curve.points[0][0], curve.points[-1][0]
    return min(max(lowest + share * (highest - lowest), lowest), highest)


shares = st.floats(0, 1)


@given(curves(), shares, shares)
def test_storage_never_falls_as_the_level_rises(curve: StorageCurve, first: float, second: float) -> None:
    low, high = sorted([inside(curve, first), inside(curve, second)])
    low_storage, high_storage = curve.storage(pl.Series([low, high]))
    assert low_storage <= high_storage + 1e-9


@given(curves(flat=False), shares)
def test_a_level_converted_to_storage_and_back_is_the_same_level(curve: StorageCurve, share: float) -> None:
    level = inside(curve, share)
    assert curve.level(curve.storage(pl.Series([level])))[0] == pytest.approx(level, abs=1e-6)


@given(curves(), shares)
def test_a_storage_converted_to_level_and_back_is_the_same_storage_on_flat_curves_too(
    curve: StorageCurve, share: float
) -> None:
    storage = curve.storage(pl.Series([inside(curve, share)]))
    assert curve.storage(curve.level(storage))[0] == pytest.approx(storage[0], rel=1e-9, abs=1e-6)


@given(curves())
def test_the_surveyed_points_are_exact(curve: StorageCurve) -> None:
    levels = pl.Series([level for level, _ in curve.points])
    assert curve.storage(levels).to_list() == [storage for _, storage in curve.points]


def test_values_beyond_the_survey_are_missing() -> None:
    curve = make_curve((10.0, 100.0), (20.0, 300.0))
    levels = pl.Series([9.99, 10.0, 15.0, 20.0, 20.01, None])
    assert curve.storage(levels).to_list() == [None, 100, 200, 300, None, None]
    assert curve.rise_per_storage(levels).to_list() == [None, 0.05, 0.05, 0.05, None, None]
    storages = pl.Series([99.0, 100.0, 200.0, 300.0, 301.0, None])
    assert curve.level(storages).to_list() == [None, 10, 15, 20, None, None]


def test_a_flat_stretch_gives_its_highest_level() -> None:
    curve = make_curve((0.0, 0.0), (5.0, 0.0), (10.0, 50.0), (12.0, 50.0))
    storages = [0.0, 25.0, 50.0]
    assert curve.level(pl.Series(storages)).to_list() == [5.0, 7.5, 12.0]
    assert [curve.level(pl.Series([storage]))[0] for storage in storages] == [5.0, 7.5, 12.0]


@given(curves(), shares)
def test_the_rise_per_storage_is_the_slope_of_the_segment_around_the_level(curve: StorageCurve, share: float) -> None:
    level = inside(curve, share)
    segments = zip(curve.points, curve.points[1:], strict=False)
    slopes = [
        None if high == low else (top - bottom) / (high - low)
        for (bottom, low), (top, high) in segments
        if bottom <= level <= top
    ]
    rise = curve.rise_per_storage(pl.Series([level]))[0]
    assert rise in slopes, "null where additional storage does not raise the level by a known amount"


@given(curves(), shares)
def test_on_a_flat_stretch_the_level_and_back_is_the_highest_level_of_that_storage(
    curve: StorageCurve, share: float
) -> None:
    level = inside(curve, share)
    storage = curve.storage_at(level)
    highest = curve.level_at(storage)
    assert highest >= level - 1e-6
    assert curve.storage_at(highest) == pytest.approx(storage, rel=1e-9, abs=1e-6)
    above = highest + 1e-3
    assert above > curve.points[-1][0] or curve.storage_at(above) > storage - 1e-6


@given(curves(), st.floats(1e-6, 1e6))
def test_one_value_beyond_the_curve_is_refused_with_the_value_and_the_range(curve: StorageCurve, excess: float) -> None:
    (lowest, least), (highest, most) = curve.points[0], curve.points[-1]
    for level in (lowest - excess, highest + excess):
        with pytest.raises(DataError, match=r"^level .* m is beyond the storage curve .* has levels from .*; give one"):
            curve.storage_at(level)
    for storage in (least - excess, most + excess):
        with pytest.raises(DataError, match=r"^storage .* ML is beyond the storage curve .* has storages from .*; "):
            curve.level_at(storage)


def test_the_refusal_has_the_value_the_survey_and_the_range() -> None:
    curve = make_curve((448.4, 0.0), (503.5, 1234567.8)).model_copy(update={"survey_date": date(2011, 6, 30)})
    with pytest.raises(DataError) as error:
        curve.storage_at(503.51)
    assert str(error.value) == (
        "level 503.51 m is beyond the storage curve (survey 2011-06-30), which has levels from 448.4 to 503.5 m; "
        "give one of these, or a curve with a wider range"
    )


REAL_CURVES = {
    "lavon": 448.4, "canyon": 761.9, "conroe": 122.5, "georgetown": 706.5, "beltzville": 489.0, "salagou": 136.0,
    "olivettes": 137.0,
}  # fmt: skip
"""Dam file → lowest level of its curve, from the first line of the survey's file."""


@needs_shared
@pytest.mark.parametrize(("name", "lowest"), REAL_CURVES.items())
def test_real_curves_are_inverse_within_a_millionth(name: str, lowest: float) -> None:
    (curve,) = load_dam(str(PROJECT / "tests/dams" / f"{name}.toml")).storage_curves
    assert curve.points[0][0] == lowest
    levels, storages = (np.array(axis) for axis in zip(*curve.points, strict=True))
    between = pl.Series(np.linspace(levels[0], levels[-1], 20_000))
    storage = curve.storage(between)
    assert np.abs(curve.storage(curve.level(storage)) - storage).max() <= 1e-6
    segment = np.searchsorted(levels, between.to_numpy(), side="right") - 1
    rising = np.append(np.diff(storages) > 0, False)[segment]
    assert rising.mean() > 0.85  # Conroe: the lowest tenth of the file has no storage
    assert np.abs(curve.level(storage) - between).filter(pl.Series(rising)).max() <= 1e-6


def test_the_series_keep_their_names() -> None:
    curve = make_curve((0.0, 0.0), (1.0, 1.0))
    assert curve.storage(pl.Series("level", [0.5])).name == "level"
    assert curve.level(pl.Series("storage", [0.5])).name == "storage"


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        (((1.0, 5.0), (1.0, 6.0)), r"\(1, 5\) is followed by \(1, 6\)"),
        (((2.0, 5.0), (1.0, 6.0)), r"\(2, 5\) is followed by \(1, 6\)"),
        (((1.0, 5.0), (2.0, 4.0)), r"\(1, 5\) is followed by \(2, 4\)"),
        (((1.0, 5.0),), "at least 2 items"),
        (((1.0, 5.0), (2.0, float("nan"))), "finite number"),
    ],
)
def test_an_invalid_curve_is_refused(points: tuple[tuple[float, float], ...], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        make_curve(*points)


def test_the_newest_started_curve_applies() -> None:
    first, second, third = (make_curve((0.0, 0.0), (1.0, volume), valid_from=day) for volume, day in [
        (10.0, None), (9.0, date(2000, 1, 1)), (8.0, date(2010, 6, 1))])  # fmt: skip
    curves = [third, first, second]  # the order in the dam file has no effect
    assert curve_on(curves, date(1999, 12, 31)) is first
    assert curve_on(curves, date(2000, 1, 1)) is second
    assert curve_on(curves, date(2010, 5, 31)) is second
    assert curve_on(curves, date(2010, 6, 1)) is third


def test_a_day_before_every_curve_has_none() -> None:
    with pytest.raises(DataError, match="no storage curve is in force on 1999-12-31; add one"):
        curve_on([make_curve((0.0, 0.0), (1.0, 1.0), valid_from=date(2000, 1, 1))], date(1999, 12, 31))
