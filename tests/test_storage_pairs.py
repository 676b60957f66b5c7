"""`forebay.screen.storage_pairs` and `curve_fit`: pairs against a curve, breaks, and fits; levels are simulated."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.dams.curves import StorageCurve
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.errors import DataError
from forebay.screen.curve_fit import BLOCKS, MAX_POINTS, fit_curve
from forebay.screen.storage_pairs import (
    PAIRS,
    TOLERANCE,
    CurveUnits,
    compare_with_curves,
    errors_by_band,
    errors_by_segment,
    find_breaks,
    is_constant,
    pair_gauges,
    storage_pairs,
    tolerance_of,
    units_of,
)
from tests import synthetic
from tests.shared import PROJECT, SHARED, needs_shared

FIRST = date(2010, 1, 1)
UNITS = CurveUnits("m", "ML")
POINTS = tuple((float(level), float(20 * (level - 90) ** 2)) for level in range(90, 121))


def simulated_pairs(days: int = 1500, *, seed: int = 3) -> pl.DataFrame:
    """Pairs of a simulated lake whose storage is 20 (level − 90)² ML, at levels from about 95 to 115 m."""
    rng = np.random.default_rng(seed)
    level = 105 + 8 * np.sin(np.arange(days) / 60) + synthetic.ar1_series(days, sd=0.7, seed=int(rng.integers(1000)))
    level = np.round(np.clip(level, 91, 119), 2)
    dates = pl.date_range(FIRST, FIRST + timedelta(days=days - 1), eager=True)
    return PAIRS.check(pl.DataFrame({"date": dates, "level": level, "storage": 20 * (level - 90) ** 2}))


def from_day(pairs: pl.DataFrame, day: int, factor: float) -> pl.DataFrame:
    """`pairs` with other storages from a day on, by a factor."""
    later = pl.col("date") >= FIRST + timedelta(days=day)
    return pairs.with_columns(pl.when(later).then(factor * pl.col("storage")).otherwise("storage").alias("storage"))


def curve_of(points: tuple[tuple[float, float], ...] = POINTS, **keys: object) -> StorageCurve:
    return StorageCurve.model_validate({"level_unit": "m", "storage_unit": "ML", "points": points} | keys)


def dam_with(*curves: StorageCurve, unit: str = "m") -> Dam:
    """A dam with level and storage gauges and these curves."""
    gauge = {"role": "storage", "source": "simulated", "station": "s", "variable": "storage", "unit": "ML"}
    dam = synthetic.small_dam(gauge, unit=unit)
    return dam.model_copy(update={"storage_curves": curves})


def test_the_fit_follows_the_pairs_with_few_points_and_stays_in_their_range() -> None:
    pairs = simulated_pairs()
    fit = fit_curve(pairs, UNITS)
    levels, storages = zip(*fit.points, strict=True)
    assert len(fit.points) <= MAX_POINTS
    assert (levels[0], levels[-1]) == (pairs["level"].min(), pairs["level"].max())
    assert list(storages) == sorted(storages)
    error = np.abs(np.array(storages) - 20 * (np.array(levels) - 90) ** 2).max()
    assert error < 0.002 * pairs["storage"].max()  # type: ignore[operator]  # polars: of floats
    assert fit.in_sample.n == len(pairs)
    assert fit.unseen.n + fit.beyond == len(pairs)
    assert 0 < fit.in_sample.error_95 < 0.001 * max(storages)
    assert 0 < fit.unseen.error_95 < 0.002 * max(storages)
    assert fit.left_out.is_empty()
    assert curve_of(fit.points).points == fit.points, "a valid curve of a dam file"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(1.0, 3.0), st.floats(0, 0.002), st.booleans())
def test_every_fit_is_monotone_whatever_the_noise(seed: int, power: float, noise: float, is_flat: bool) -> None:
    rng = np.random.default_rng(seed)
    level = np.round(rng.uniform(10, 30, 400), 2)
    storage = 100 * (np.maximum(level, 18 if is_flat else 0) - 9) ** power
    storage = storage + noise * storage.max() * rng.normal(0, 0.3, 400)
    dates = pl.date_range(FIRST, FIRST + timedelta(days=399), eager=True)
    fit = fit_curve(pl.DataFrame({"date": dates, "level": level, "storage": storage}), UNITS)
    levels, storages = np.array(fit.points).T
    assert (np.diff(levels) > 0).all()
    assert (np.diff(storages) >= 0).all()
    assert len(levels) <= MAX_POINTS
    assert storages.min() >= storage.min() - 1e-6 * storage.max()
    assert storages.max() <= storage.max() * (1 + 1e-6)


def test_isolated_wrong_readings_are_left_out_by_name_and_change_nothing() -> None:
    pairs = simulated_pairs()
    days = [FIRST + timedelta(days=k) for k in (100, 700, 701, 1300)]
    wrong = pairs.with_columns(
        pl.when(pl.col("date").is_in(days)).then(pl.col("storage") * 1.8).otherwise("storage").alias("storage")
    )
    fit = fit_curve(wrong, UNITS)
    assert fit.left_out["date"].to_list() == days
    right = pairs.filter(pl.col("date").is_in(days))["storage"]
    assert fit.left_out["expected"].to_list() == pytest.approx(right.to_list(), rel=0.01)
    assert fit.in_sample.n == len(pairs) - len(days)
    expected = np.interp(105.0, *zip(*fit_curve(pairs, UNITS).points, strict=True))
    assert np.interp(105.0, *zip(*fit.points, strict=True)) == pytest.approx(expected, rel=1e-3)


def test_the_unseen_error_is_of_days_that_the_fit_has_not_seen() -> None:
    """The last fifth of the days is slightly lower, within the tolerance: a fit of the others does not follow it."""
    pairs = simulated_pairs()
    lower = from_day(pairs, 1500 - 1500 // BLOCKS, 0.996)
    fit = fit_curve(lower, UNITS)
    assert fit.unseen.error_95 > 1.2 * fit.in_sample.error_95


@pytest.mark.parametrize("factor", [0.97, 1.02])
def test_two_surveys_are_refused_with_the_day_the_level_and_the_size(factor: float) -> None:
    with pytest.raises(DataError) as error:
        fit_curve(from_day(simulated_pairs(), 900, factor), UNITS)
    text = str(error.value)
    assert text.startswith("the pairs contradict each other: on 2012-06-19 the storage at level ")
    assert f"ML ({100 * (factor - 1):+.1f}%)" in text
    assert text.endswith("; fit each survey by itself with --since and --until")
    assert FIRST + timedelta(days=900) == date(2012, 6, 19)


def test_a_change_of_unit_is_refused_with_the_units() -> None:
    with pytest.raises(DataError, match=r"on 2012-06-19 .* \(\+23\.\d%, as from ac-ft to ML\)"):
        fit_curve(from_day(simulated_pairs(), 900, 1.23348), UNITS)


def test_mixed_units_are_refused_with_two_days() -> None:
    pairs = simulated_pairs().with_row_index("k")
    mixed = pairs.with_columns(
        pl.when(pl.col("k") % 7 == 3).then(1.23348 * pl.col("storage")).otherwise("storage").alias("storage")
    )
    sentence = r"2\d\d of 1500 have another storage .* on 20.* on 20.*, as from ac-ft to ML; correct the unit"
    with pytest.raises(DataError, match=sentence):  # 214 days have the other unit
        fit_curve(mixed.drop("k"), UNITS)


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        (simulated_pairs(59), "59 pairs at .* levels are too few for a storage curve, which needs 60 pairs at 20"),
        (simulated_pairs().with_columns(pl.col("level").clip(100, 112).round(0)), "1500 pairs at 13 levels are too"),
        (
            simulated_pairs(8000).filter(pl.col("level").is_between(104.9, 105.2)),
            "the pairs cover storages from 4,.* to 4,.* ML, 3.*% of the largest; a storage curve needs 5%: fetch a",
        ),
    ],
    ids=["few pairs", "few levels", "small range"],
)
def test_too_few_pairs_or_a_small_range_are_refused(pairs: pl.DataFrame, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        fit_curve(pairs, UNITS)


def test_a_new_survey_shows_as_a_break_against_the_old_curve() -> None:
    pairs = from_day(simulated_pairs(), 900, 0.96)
    residuals = compare_with_curves(pairs, dam_with(curve_of()))
    (change,) = find_breaks(residuals, tolerance_of(pairs))
    assert change.day == date(2012, 6, 19)
    assert change.after == pytest.approx(0.96 * change.before, rel=0.01)
    assert change.change < 0
    segments = errors_by_segment(residuals, [change])
    assert segments["differs"].to_list() == [False, True]
    assert segments["from"].to_list() == [FIRST, date(2012, 6, 19)]
    second = curve_of(tuple((x, 0.96 * y) for x, y in POINTS), valid_from=date(2012, 6, 19))
    both = compare_with_curves(pairs, dam_with(curve_of(), second))
    assert find_breaks(both, tolerance_of(pairs)) == []
    assert not errors_by_segment(both, [])["differs"].any()


def test_two_breaks_have_their_days() -> None:
    pairs = from_day(from_day(simulated_pairs(2400), 800, 0.97), 1600, 0.96)
    residuals = compare_with_curves(pairs, dam_with(curve_of()))
    days = [change.day for change in find_breaks(residuals, tolerance_of(pairs))]
    assert days == [FIRST + timedelta(days=800), FIRST + timedelta(days=1600)]


@pytest.mark.parametrize("seed", range(5))
def test_noise_and_outliers_are_no_break(seed: int) -> None:
    pairs = simulated_pairs(seed=seed)
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.002, len(pairs)) + np.where(rng.random(len(pairs)) < 0.02, -0.5, 0.0)
    noisy = pairs.with_columns(storage=pl.col("storage") * pl.Series(1 + noise))
    assert find_breaks(compare_with_curves(noisy, dam_with(curve_of())), tolerance_of(noisy)) == []


def test_errors_by_level_and_of_all_levels() -> None:
    storage = [5.0, 20.0, 1620.0, 2000.0]
    pairs = pl.DataFrame({"date": [FIRST] * 4, "level": [90.0, 91.0, 99.0, 100.0], "storage": storage})
    bands = errors_by_band(compare_with_curves(pairs, dam_with(curve_of())), bands=2)
    assert bands["n"].to_list() == [2, 2, 4]
    assert bands["low"].to_list() == [90.0, 95.0, 90.0]
    assert bands["median"].to_list() == [2.5, 0.0, 0.0]
    assert bands["error_95"].to_list() == [pytest.approx(4.75), 0.0, pytest.approx(4.25)]


def test_pairs_beyond_the_curve_are_not_compared() -> None:
    pairs = pl.DataFrame({"date": [FIRST, FIRST], "level": [89.0, 91.0], "storage": [1.0, 20.0]})
    residuals = compare_with_curves(pairs, dam_with(curve_of()))
    assert residuals["residual"].to_list() == [None, 0.0]


def test_each_pair_is_compared_with_the_curve_in_force_in_its_units() -> None:
    feet = tuple((x / 0.3048, y / 1.23348183754752) for x, y in POINTS)
    old = curve_of(feet, level_unit="ft", storage_unit="ac-ft")
    new = curve_of(tuple((x, 2 * y) for x, y in POINTS), valid_from=date(2010, 1, 2))
    dam = dam_with(new, old)
    pairs = pl.DataFrame(
        {"date": [FIRST, FIRST + timedelta(days=1)], "level": [100.0, 100.0], "storage": [2001.0, 4002.0]}
    )
    assert units_of(dam) == UNITS
    assert compare_with_curves(pairs, dam)["residual"].to_list() == pytest.approx([1.0, 2.0], abs=1e-6)


def test_a_constant_difference_is_told_from_a_varying_one() -> None:
    pairs = simulated_pairs()
    dam = dam_with(curve_of())
    for change, expected in ((-100.0, True), (0.0, False), (-0.2, False)):
        other = pairs.with_columns(pl.col("storage") + change)
        assert is_constant(compare_with_curves(other, dam)) is expected
    assert not is_constant(compare_with_curves(from_day(pairs, 0, 0.98), dam))


def test_flagged_values_are_no_pairs_and_units_are_those_of_the_dam_file() -> None:
    dam = dam_with()
    days = 400
    level = 100 + np.sin(np.arange(days) / 30)
    storage = 20 * (level - 90) ** 2
    level[200] = 250.0
    column = next(gauge.column for gauge in dam.gauges if gauge.role == "storage")
    daily = synthetic.daily_frame(dam, {"reservoir_level": level.tolist(), column: storage.tolist()})
    pairs = storage_pairs(daily, dam)
    assert len(pairs) >= days - 5
    assert daily["date"][200] not in pairs["date"].to_list()
    assert pairs["storage"].to_list() == pytest.approx((20 * (pairs["level"] - 90) ** 2).to_list())
    day = daily["date"][300]
    assert storage_pairs(daily, dam, since=day)["date"].min() == day
    assert storage_pairs(daily, dam, until=day)["date"].max() == day
    assert pair_gauges(synthetic.dam()) is None
    assert storage_pairs(synthetic.daily(synthetic.dam()), synthetic.dam()).is_empty()


@needs_shared
def test_lavon_differs_from_its_curve_by_a_constant() -> None:
    """The storage of the file is the curve of the file minus 2,971.81 ac-ft on every day."""
    dam = load_dam(str(PROJECT / "tests/dams/lavon.toml"))
    table = pl.read_csv(SHARED / "data/texas/Lavon.csv", try_parse_dates=True)
    residuals = compare_with_curves(table.select("date", "level", "storage").drop_nulls(), dam)
    assert residuals["residual"].drop_nulls().median() == pytest.approx(-2971.81, abs=0.01)
    assert is_constant(residuals)
    assert find_breaks(residuals, TOLERANCE * 670_000) == []


@needs_shared
@pytest.mark.parametrize(
    ("name", "columns", "error"),
    [
        ("kabini/kabini_observed", ("level_ft", "storage_tmc"), 0.001),
        ("herault/salagou", ("level_m", "volume_m3"), 0.0001),
        ("herault/olivettes", ("level_m", "volume_m3"), 0.001),
        ("texas/Conroe", ("level", "storage"), 0.0001),
        ("texas/Georgetown", ("level", "storage"), 0.0002),
    ],
)
def test_fits_of_real_lakes_have_a_small_error_on_unseen_days(
    name: str, columns: tuple[str, str], error: float
) -> None:
    """95% of the pairs of held-out days are within this share of the largest storage."""
    table = pl.read_csv(SHARED / "data" / f"{name}.csv", infer_schema_length=None, try_parse_dates=True)
    numbers = (pl.col(column).cast(pl.Float64) for column in columns)
    pairs = table.select("date", *numbers).rename(dict(zip(columns, ("level", "storage"), strict=True)))
    typed = pairs.drop_nulls().filter(pl.col("level").is_between(0, 2300))  # -999999 at Conroe, 2837.20 at Kabini
    fit = fit_curve(typed, UNITS)
    assert fit.unseen.error_95 < error * fit.points[-1][1]
    assert len(fit.points) <= MAX_POINTS
