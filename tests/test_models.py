"""One conformance suite for all models, and the references' forecasts by hand."""

import itertools
import json
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from forebay.dams.hindcast import Hindcast
from forebay.errors import ModelError
from forebay.features.inputs import build_inputs
from forebay.models import FLOW_MODELS, FORECAST_MODELS, MODELS, NETS, models_for, serialisation
from forebay.models.model import Array, Explainable, Model
from forebay.models.references import Climatology, DampedChange, LastChange
from forebay.tables import REFERENCES
from tests import synthetic

LEADS = (1, 7)
FAST_MODELS = [*MODELS.values(), *FLOW_MODELS.values(), *FORECAST_MODELS.values()]
NET_CASES = [pytest.param(net, 1, marks=pytest.mark.slow) for net in NETS.values()]  # one lead time: a fit is slow
for_all_models = pytest.mark.parametrize(("make", "lead"), [*itertools.product(FAST_MODELS, LEADS), *NET_CASES])


def tolerances(make: Callable[[int], Model], *, rtol: float, atol: float) -> dict[str, float]:
    """Tolerances for results that differ by rounding; nets use single precision, and training amplifies rounding."""
    return {"rtol": 0.0, "atol": 1e-3} if make in NETS.values() else {"rtol": rtol, "atol": atol}


@pytest.fixture(scope="module")
def past() -> tuple[pl.DataFrame, Array]:
    """Inputs with gaps of every kind, and changes that depend on some of them."""
    stream = {"role": "stream", "station": "s", "variable": "stream_level", "unit": "m"}
    flows = [{"role": r, "station": r[0], "variable": r, "unit": "m3/s"} for r in ("inflow", "release")]
    dam = synthetic.small_dam(synthetic.rain_gauge(), synthetic.rain_gauge("r2"), stream, *flows, full_supply=100.0)
    frame = synthetic.daily(dam, days=900)
    inputs = build_inputs(frame, dam).drop("date")
    ahead = inputs["balance_inflow"].fill_null(3.0).to_numpy() + np.random.default_rng(6).normal(0, 1, len(inputs))
    inputs = inputs.with_columns(
        pl.Series(f"balance_ahead_f_{s}", np.where(np.arange(len(inputs)) % 4, ahead * k, np.nan), nan_to_null=True)
        for s, k in (("mean", 1.0), ("q50", 0.9), ("spread", 0.4))
    )
    change = 0.7 * inputs["last_change"].fill_null(0.0) + 0.01 * inputs["rain_lag0"].fill_null(0.0)
    return inputs, change.to_numpy() + np.random.default_rng(5).normal(0, 0.01, len(inputs))


@for_all_models
def test_predictions_have_the_shape_of_the_rows_and_no_nan(
    make: Callable[[int], Model], lead: int, past: tuple[pl.DataFrame, Array]
) -> None:
    inputs, target = past
    model = make(lead)
    assert model.fit(inputs, target) is model
    assert model.lead_time == lead
    for rows in (inputs, inputs.head(1), inputs.head(0)):
        prediction = model.predict(rows)
        assert prediction.shape == (len(rows),)
        assert prediction.dtype == float
        assert np.isfinite(prediction).all()


@for_all_models
def test_a_second_fit_gives_the_same_numbers(
    make: Callable[[int], Model], lead: int, past: tuple[pl.DataFrame, Array]
) -> None:
    inputs, target = past
    first, second = (make(lead).fit(inputs, target).predict(inputs) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@for_all_models
def test_row_and_column_order_do_not_matter(
    make: Callable[[int], Model], lead: int, past: tuple[pl.DataFrame, Array]
) -> None:
    inputs, target = past
    order = np.random.default_rng(1).permutation(len(target))
    shuffled = make(lead).fit(inputs[order].select(inputs.columns[::-1]), target[order])
    expected = make(lead).fit(inputs, target).predict(inputs)
    np.testing.assert_allclose(shuffled.predict(inputs), expected, **tolerances(make, rtol=1e-6, atol=1e-6))


@for_all_models
def test_the_forecast_of_a_row_does_not_depend_on_other_rows(
    make: Callable[[int], Model], lead: int, past: tuple[pl.DataFrame, Array]
) -> None:
    inputs, target = past
    model = make(lead).fit(inputs, target)
    single, joint = model.predict(inputs[500:501]), model.predict(inputs)[500:501]
    np.testing.assert_allclose(single, joint, **tolerances(make, rtol=1e-9, atol=1e-12))


@for_all_models
def test_a_serialised_model_gives_the_same_numbers(
    make: Callable[[int], Model], lead: int, past: tuple[pl.DataFrame, Array]
) -> None:
    """Forecasts and contributions are equal to the last digit, and the saved form is plain JSON."""
    inputs, target = past
    model = make(lead).fit(inputs, target)
    text = serialisation.to_json(model)
    json.loads(text)
    restored = serialisation.from_json(text)
    assert type(restored) is type(model)
    assert serialisation.to_json(restored) == text
    for rows in (inputs, inputs.head(1), inputs.head(0)):
        np.testing.assert_array_equal(restored.predict(rows), model.predict(rows))
    if make not in NETS.values():  # nets have no contributions
        assert isinstance(model, Explainable) and isinstance(restored, Explainable)
        assert restored.contributions(inputs).equals(model.contributions(inputs))


@for_all_models
def test_inputs_that_are_missing_or_never_vary(
    make: Callable[[int], Model], lead: int, past: tuple[pl.DataFrame, Array]
) -> None:
    """One gauge has no reading in training; then a gauge has readings in training only."""
    inputs, target = past
    missing = inputs.with_columns(pl.lit(None, pl.Float64).alias("rain_lag0"), pl.lit(3.0).alias("api"))
    assert np.isfinite(make(lead).fit(missing, target).predict(inputs)).all()
    assert np.isfinite(make(lead).fit(inputs, target).predict(missing)).all()
    empty = inputs.with_columns(pl.lit(None, pl.Float64).alias(c) for c in inputs.columns if c != "day_of_year")
    assert np.isfinite(make(lead).fit(inputs, target).predict(empty)).all()


@for_all_models
def test_too_few_days_are_fitted_or_refused(
    make: Callable[[int], Model], lead: int, past: tuple[pl.DataFrame, Array]
) -> None:
    inputs, target = past
    for count in (0, 1, 3, 60):
        try:
            prediction = make(lead).fit(inputs.head(count), target[:count]).predict(inputs)
        except ModelError as refused:
            assert str(count) in str(refused) or count == 0
        else:
            assert np.isfinite(prediction).all()


@for_all_models
@pytest.mark.parametrize("constant", [0.0, 0.25])
def test_a_constant_target_gives_finite_forecasts(
    make: Callable[[int], Model], lead: int, constant: float, past: tuple[pl.DataFrame, Array]
) -> None:
    inputs, target = past
    prediction = make(lead).fit(inputs, np.full_like(target, constant)).predict(inputs)
    assert np.isfinite(prediction).all()
    if make is MODELS["huber"] or make is MODELS["climatology"]:
        # within 1%: the optimiser stops early, and the first rows of the record are far from its mean
        np.testing.assert_allclose(prediction, constant, rtol=0.01, atol=1e-3)


@for_all_models
def test_a_change_of_unit_changes_only_the_unit(
    make: Callable[[int], Model], lead: int, past: tuple[pl.DataFrame, Array]
) -> None:
    inputs, target = past
    levels = ["last_change", "change_lag1", "change_lag2", "median_change_30d"]
    levels += ["balance_change", "balance_change_10d"]
    feet = make(lead).fit(inputs.with_columns(pl.col(levels) / 0.3048), target / 0.3048)
    prediction = feet.predict(inputs.with_columns(pl.col(levels) / 0.3048)) * 0.3048
    expected = make(lead).fit(inputs, target).predict(inputs)
    np.testing.assert_allclose(prediction, expected, **tolerances(make, rtol=1e-6, atol=1e-9))


def test_a_dam_uses_the_articles_net_only_on_request() -> None:
    dam = synthetic.dam()
    assert set(models_for(dam)) == set(MODELS)
    net_dam = dam.model_copy(update={"hindcast": Hindcast(nets=True)})
    assert set(models_for(net_dam)) == set(MODELS) | set(NETS)
    rng = np.random.default_rng(6)
    inputs = pl.DataFrame({"last_change": rng.normal(0, 0.1, 1500), "season_sin": rng.uniform(-1, 1, 1500)})
    target = np.where(inputs["last_change"] > 0, 0.8 * inputs["last_change"], 0.0)  # no line
    prediction = NETS["article_net"](1).fit(inputs, target).predict(inputs)
    assert np.abs(prediction - target).mean() < 0.6 * np.abs(target - np.median(target)).mean()


def test_every_reference_is_a_model() -> None:
    assert list(MODELS)[: len(REFERENCES)] == list(REFERENCES) == [
        "no_change",
        "last_change",
        "damped_change",
        "climatology",
    ]  # fmt: skip


def _changes(*values: float | None) -> pl.DataFrame:
    return pl.DataFrame({"last_change": pl.Series(values, dtype=pl.Float64)})


def test_last_change_is_multiplied_by_the_lead_time() -> None:
    assert LastChange(3).predict(_changes(0.5, None, -0.25)).tolist() == [1.5, 0.0, -0.75]


def test_damped_change_has_the_least_absolute_error() -> None:
    """Ratios 2, .5, 1 with weights 1, 4, 2: half of 7 is reached at .5. With fewer than 30 changes the factor is 0."""
    last_changes, observed = [1.0, -4.0, 2.0, 0.0, None], [2.0, -2.0, 2.0, 9.0, 9.0]
    assert DampedChange(1).fit(_changes(*last_changes * 10), np.array(observed * 10)).factor_ == 0.5
    assert DampedChange(1).fit(_changes(*last_changes), np.array(observed)).factor_ == 0.0
    rng = np.random.default_rng(3)
    change, target = rng.normal(size=200), rng.normal(size=200)
    best = DampedChange(1).fit(_changes(*change), target).factor_
    errors = [np.abs(target - factor * change).sum() for factor in np.linspace(-3, 3, 2001)]
    assert np.abs(target - best * change).sum() <= min(errors) + 1e-12


def test_days_without_a_change_are_no_past_changes() -> None:
    """Of 45 rows, 29 have a change: one too few for a factor."""
    rows = [-4.0] * 29 + [0.0] * 8 + [None] * 8
    assert DampedChange(1).fit(_changes(*rows), np.full(45, -2.0)).factor_ == 0.0
    assert DampedChange(1).fit(_changes(-4.0, *rows), np.full(46, -2.0)).factor_ == 0.5


def test_a_damped_change_is_that_of_its_whole_lead_time() -> None:
    """φ is learned for the lead time itself: 3 days of a change of 1 m that halves bring 1.75 m."""
    model = DampedChange(3).fit(_changes(*[1.0, -2.0] * 20), np.array([1.75, -3.5] * 20))
    assert model.predict(_changes(4.0, None)).tolist() == [7.0, 0.0]


def test_climatology_takes_the_median_of_days_within_fifteen() -> None:
    days = np.array([1, 16, 17, 352, 351, 200])
    model = Climatology(1).fit(pl.DataFrame({"day_of_year": days}), np.array([1.0, 2.0, 50.0, 3.0, 60.0, -5.0]))
    rows = pl.DataFrame({"day_of_year": [1, 200, 366, 100]})
    # day 1: days 1, 16 and, over the new year, 352; day 366: days 1 and 352, 351; day 100: none near, so all
    assert model.predict(rows).tolist() == [2.0, -5.0, 3.0, 2.5]


def test_huber_is_robust_against_outliers() -> None:
    rng = np.random.default_rng(2)
    inputs = pl.DataFrame({"a": rng.normal(size=500), "b": rng.normal(5, 2, size=500)})
    target = 2 * inputs["a"].to_numpy() - 0.5 * inputs["b"].to_numpy() + 1 + rng.normal(0, 0.01, 500)
    target[::25] += 100
    prediction = MODELS["huber"](1).fit(inputs, target).predict(pl.DataFrame({"b": [5.0, 5.0], "a": [0.0, 1.0]}))
    assert prediction == pytest.approx([-1.5, 0.5], abs=0.02)


def test_huber_learns_the_effect_of_a_missing_input() -> None:
    """The gauge fails in floods: rises are large where its reading is missing."""
    rng = np.random.default_rng(4)
    missing = rng.random(600) < 0.2
    inputs = pl.DataFrame({"a": rng.normal(size=600)}).with_columns(
        pl.when(~pl.Series(missing)).then("a").alias("a"), pl.Series("season_sin", rng.normal(size=600))
    )
    model = MODELS["huber"](1).fit(inputs, np.where(missing, 1.0, 0.0) + rng.normal(0, 0.01, 600))
    rows = pl.DataFrame({"a": [None, 0.0], "season_sin": [0.0, 0.0]}, schema_overrides={"a": pl.Float64})
    assert model.predict(rows) == pytest.approx([1.0, 0.0], abs=0.02)


def test_huber_refuses_inputs_that_never_vary() -> None:
    constant = pl.DataFrame({"a": [1.0] * 300, "day_of_year": [1] * 300})
    with pytest.raises(ModelError, match=r"needs an input that varies, but all of \['a'\] are constant"):
        MODELS["huber"](1).fit(constant, np.arange(300.0))
