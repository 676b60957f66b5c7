"""Trees, and trees on what the line leaves; what holds for every model stands in test_models."""

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


def at(**values: float | None) -> pl.DataFrame:
    """One row with these inputs, the others 0."""
    given = {name: [values.get(name, 0.0)] for name in INPUTS.columns}
    return pl.DataFrame(given, schema=dict.fromkeys(INPUTS.columns, pl.Float64))


def test_trees_find_a_step_that_no_line_has() -> None:
    made = Trees(1).fit(INPUTS, STEP + NOISE).predict(pl.concat([at(a=0.2), at(a=-0.2)]))
    assert made == pytest.approx([1.0, -1.0], abs=0.1)


def test_trees_learn_what_a_missing_input_means() -> None:
    target = np.where(INPUTS["silent"].is_null(), 1.0, 0.0) + NOISE
    made = Trees(1).fit(INPUTS.select("silent"), target).predict(pl.concat([at(silent=None), at()]).select("silent"))
    assert made == pytest.approx([1.0, 0.0], abs=0.1)


def test_trees_use_the_context_and_the_line_does_not() -> None:
    target = np.where(INPUTS["context_c"].to_numpy() > 0, 1.0, -1.0) + NOISE
    rows = pl.concat([at(context_c=1.0), at(context_c=-1.0)])
    assert np.ptp(Trees(1).fit(INPUTS, target).predict(rows)) > 1.5
    line = Huber(1).fit(INPUTS, target)
    assert not any(name.startswith("context_") for name in line.columns_)
    assert np.ptp(line.predict(rows)) == 0


def test_beyond_what_was_seen_trees_stay_and_the_corrected_line_goes_on() -> None:
    target = 2 * INPUTS["a"].to_numpy() + NOISE
    most = float(np.abs(target).max())
    far = at(a=10.0)
    assert abs(Trees(1).fit(INPUTS, target).predict(far)[0]) <= most
    assert BoostedHuber(1).fit(INPUTS, target).predict(far)[0] == pytest.approx(20.0, abs=0.5)


def test_the_correction_is_what_the_line_leaves() -> None:
    target = STEP + 2 * INPUTS["b"].to_numpy() + NOISE
    model = BoostedHuber(1).fit(INPUTS, target)
    line = Huber(1).fit(INPUTS, target)
    assert model.huber_.coefficients_ is line.coefficients_, "the fit that other models start from, not another one"
    by_hand = line.predict(INPUTS) + Trees(1, 100).fit(INPUTS, target - line.predict(INPUTS)).predict(INPUTS)
    np.testing.assert_array_equal(model.predict(INPUTS), by_hand)
    alone = np.abs(line.predict(INPUTS) - target).mean()
    assert np.abs(model.predict(INPUTS) - target).mean() < 0.5 * alone


def test_outer_quantiles_lie_where_their_share_of_the_days_does() -> None:
    """Of noise that grows tenfold where b > 0; on days that the trees have not seen, half of the record."""
    target = NOISE * np.where(INPUTS["b"].to_numpy() > 0, 10.0, 1.0)
    half = N // 2
    for quantile in (0.1, 0.9):
        made = Trees(1, 30, quantile).fit(INPUTS[:half], target[:half]).predict(INPUTS[half:])
        assert float((target[half:] < made).mean()) == pytest.approx(quantile, abs=0.05)


def test_the_spread_tells_lively_days_from_quiet_ones() -> None:
    lively = INPUTS["b"].to_numpy() > 0
    model = BoostedHuber(1).fit(INPUTS, NOISE * np.where(lively, 10.0, 1.0))
    spread = model.spread(INPUTS)
    assert (spread >= 0).all()
    assert np.median(spread[lively]) > 4 * np.median(spread[~lively])


@pytest.mark.parametrize("model", [Trees, BoostedHuber])
def test_the_order_of_the_rows_does_not_matter_to_the_last_bag(model: type[Trees | BoostedHuber]) -> None:
    """Bags are drawn by row number; rows with the same inputs and target are the same whichever comes first."""
    twice = pl.concat([INPUTS, INPUTS.head(100)])
    target = np.round(np.append(STEP + NOISE, (STEP + NOISE)[:100]), 1)  # many equal ones
    order = np.random.default_rng(1).permutation(len(target))
    shuffled = model(1).fit(twice[order], target[order]).predict(INPUTS)
    np.testing.assert_allclose(shuffled, model(1).fit(twice, target).predict(INPUTS), atol=1e-6)


@pytest.mark.parametrize("model", [Trees, BoostedHuber])
def test_too_few_days_are_refused(model: type[Trees | BoostedHuber]) -> None:
    with pytest.raises(ModelError, match="at least 200 past days to learn from, but there are 199"):
        model(1).fit(INPUTS.head(199), STEP[:199])
    model(1).fit(INPUTS.head(200), STEP[:200])
