"""Trees alone and on the residuals of the regression. `test_models` tests the contract of every model."""

import numpy as np
import polars as pl
import pytest

from forebay.errors import ModelError
from forebay.models.boosting import BoostedHuber, Trees
from forebay.models.regression import Huber

N = 1500
RNG = np.random.default_rng(11)
INPUTS = pl.DataFrame(
    {
        "a": RNG.normal(size=N),
        "b": RNG.normal(size=N),
        "context_c": RNG.normal(size=N),
        "silent": pl.Series(RNG.normal(size=N), nan_to_null=True),
    }
).with_columns(pl.when(pl.col("b") > -0.5).then("silent").alias("silent"))
NOISE = RNG.normal(0, 0.05, N)
STEP = np.where(INPUTS["a"].to_numpy() > 0, 1.0, -1.0)


def row_with(**values: float | None) -> pl.DataFrame:
    """One row with these inputs; all others are 0."""
    row = {name: [values.get(name, 0.0)] for name in INPUTS.columns}
    return pl.DataFrame(row, schema=dict.fromkeys(INPUTS.columns, pl.Float64))


def test_trees_fit_a_step() -> None:
    prediction = Trees(1).fit(INPUTS, STEP + NOISE).predict(pl.concat([row_with(a=0.2), row_with(a=-0.2)]))
    assert prediction == pytest.approx([1.0, -1.0], abs=0.1)


def test_trees_learn_the_effect_of_a_missing_input() -> None:
    target = np.where(INPUTS["silent"].is_null(), 1.0, 0.0) + NOISE
    rows = pl.concat([row_with(silent=None), row_with()]).select("silent")
    prediction = Trees(1).fit(INPUTS.select("silent"), target).predict(rows)
    assert prediction == pytest.approx([1.0, 0.0], abs=0.1)


def test_trees_use_context_inputs_and_the_regression_does_not() -> None:
    target = np.where(INPUTS["context_c"].to_numpy() > 0, 1.0, -1.0) + NOISE
    rows = pl.concat([row_with(context_c=1.0), row_with(context_c=-1.0)])
    assert np.ptp(Trees(1).fit(INPUTS, target).predict(rows)) > 1.5
    huber = Huber(1).fit(INPUTS, target)
    assert not any(name.startswith("context_") for name in huber.columns_)
    assert np.ptp(huber.predict(rows)) == 0


def test_outside_the_training_range_trees_are_bounded_and_boosted_huber_extrapolates() -> None:
    target = 2 * INPUTS["a"].to_numpy() + NOISE
    largest = float(np.abs(target).max())
    far = row_with(a=10.0)
    assert abs(Trees(1).fit(INPUTS, target).predict(far)[0]) <= largest
    assert BoostedHuber(1).fit(INPUTS, target).predict(far)[0] == pytest.approx(20.0, abs=0.5)


def test_the_correction_fits_the_residuals_of_the_regression() -> None:
    target = STEP + 2 * INPUTS["b"].to_numpy() + NOISE
    model = BoostedHuber(1).fit(INPUTS, target)
    huber = Huber(1).fit(INPUTS, target)
    assert model.huber_.coefficients_ is huber.coefficients_, "the fit is cached for other models"
    by_hand = huber.predict(INPUTS) + Trees(1, 100).fit(INPUTS, target - huber.predict(INPUTS)).predict(INPUTS)
    np.testing.assert_array_equal(model.predict(INPUTS), by_hand)
    huber_error = np.abs(huber.predict(INPUTS) - target).mean()
    assert np.abs(model.predict(INPUTS) - target).mean() < 0.5 * huber_error


def test_outer_quantiles_have_their_share_of_days_below() -> None:
    """The noise is ten times larger where b > 0; the check uses the half of the record without training rows."""
    target = NOISE * np.where(INPUTS["b"].to_numpy() > 0, 10.0, 1.0)
    half = N // 2
    for quantile in (0.1, 0.9):
        prediction = Trees(1, 30, quantile).fit(INPUTS[:half], target[:half]).predict(INPUTS[half:])
        assert float((target[half:] < prediction).mean()) == pytest.approx(quantile, abs=0.05)


def test_the_spread_is_larger_on_active_days() -> None:
    active = INPUTS["b"].to_numpy() > 0
    model = BoostedHuber(1).fit(INPUTS, NOISE * np.where(active, 10.0, 1.0))
    spread = model.spread(INPUTS)
    assert (spread >= 0).all()
    assert np.median(spread[active]) > 4 * np.median(spread[~active])


def test_quantiles_that_cross_have_no_spread() -> None:
    model = BoostedHuber(1).fit(INPUTS, NOISE)
    assert (model.spread(INPUTS) > 0).all()
    model.low_, model.high_ = model.high_, model.low_
    assert (model.spread(INPUTS) == 0).all()


@pytest.mark.parametrize("model", [Trees, BoostedHuber])
def test_the_order_of_the_rows_does_not_matter(model: type[Trees | BoostedHuber]) -> None:
    """LightGBM samples by row number; rows with equal inputs and target are interchangeable."""
    rows = pl.concat([INPUTS, INPUTS.head(100)])
    target = np.round(np.append(STEP + NOISE, (STEP + NOISE)[:100]), 1)  # many equal values
    order = np.random.default_rng(1).permutation(len(target))
    shuffled = model(1).fit(rows[order], target[order]).predict(INPUTS)
    np.testing.assert_allclose(shuffled, model(1).fit(rows, target).predict(INPUTS), atol=1e-6)


@pytest.mark.parametrize("model", [Trees, BoostedHuber])
def test_too_few_days_are_refused(model: type[Trees | BoostedHuber]) -> None:
    with pytest.raises(ModelError, match="at least 200 past days to learn from, but there are 199"):
        model(1).fit(INPUTS.head(199), STEP[:199])
    model(1).fit(INPUTS.head(200), STEP[:200])
