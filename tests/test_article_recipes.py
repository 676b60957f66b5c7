"""`forebay.article.recipes`: rows, labels and splits of the article, against domain.md 1's figures and pandas."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay import metrics
from forebay.article import faults, gauges, run, trials
from forebay.article.recipes import (
    ELIXIR,
    MULTI_DAY,
    PUBLISHED,
    PYTHON,
    UNAVAILABLE,
    Recipe,
    RecipeRows,
    Split,
    corrected,
    recipe_rows,
    split_rows,
)
from forebay.article.trials import (
    TrainedNet,
    Trial,
    baselines,
    baselines_on_all,
    recipe_result,
    seed_trials,
    trial_baselines,
)
from forebay.dams.dam_file import load_dam
from forebay.errors import DataError
from forebay.nets.networks import Network, Normalisation
from forebay.nets.rows import sample
from tests import synthetic
from tests.article_rows import record
from tests.shared import needs_shared

FIRST = date(2020, 1, 1)


def level(values: list[float], codes: list[int] | None = None) -> pl.DataFrame:
    days = [FIRST + timedelta(days=k) for k in range(len(values))]
    return pl.DataFrame({"date": days, "v": values, "q": codes or [4] * len(values)})


def drivers(values: list[float | None], codes: list[int] | None = None) -> pl.DataFrame:
    days = [FIRST + timedelta(days=k) for k in range(len(values))]
    return pl.DataFrame(
        {"date": days, "v_1_10": values, "q_1_10": codes or [4] * len(values)}, schema_overrides={"v_1_10": pl.Float64}
    )


@needs_shared
@pytest.mark.parametrize(
    ("recipe", "count", "sizes"),  # domain.md 1, table "Measured on data/warragamba"
    [(PYTHON, 4717, (3774, 943)), (MULTI_DAY, 4626, (3701, 925)), (ELIXIR, 4640, (3712, 928))],
)
def test_the_published_recipes_have_the_articles_rows(
    recipe: Recipe, count: int, sizes: tuple[int, int]
) -> None:
    rows = recipe_rows(recipe, record().level, record().drivers)
    split = split_rows(recipe, len(rows.table), 0)
    assert len(rows.table) == count
    assert (len(split.train), len(split.test)) == sizes
    assert len(rows.input_names) == (21 if recipe is MULTI_DAY else 7)


@needs_shared
@pytest.mark.parametrize(
    ("recipe", "expected"),  # domain.md 1, the same table: no change, median, last change, Huber, LightGBM
    [(PYTHON, (0.02651, 0.02458, 0.01467, 0.01859, 0.0177)), (MULTI_DAY, (0.02597, 0.02386, 0.01274, 0.01652, 0.0163))],
)
def test_the_baselines_equal_the_table(recipe: Recipe, expected: tuple[float, ...]) -> None:
    rows = recipe_rows(recipe, record().level, record().drivers)
    split = split_rows(recipe, len(rows.table), 0)
    scores = baselines(rows, split.train, split.test)
    assert list(scores.values())[:3] == pytest.approx(expected[:3], abs=5e-6)
    assert list(scores.values())[3:] == pytest.approx(expected[3:], abs=1e-4)


@needs_shared
def test_elixirs_baselines_on_all_rows_equal_the_table() -> None:
    rows = recipe_rows(ELIXIR, record().level, record().drivers)
    scores = baselines_on_all(rows)
    known = [scores[name] for name in ("no_change", "train_median", "last_change")]
    assert known == pytest.approx([0.0432, 0.0411, 0.0338], abs=5e-5)  # domain.md 1
    plausible = np.abs(rows.target()) <= 8  # domain.md 1, note on the rows of −9.9 and −55 m
    assert metrics.mae(np.zeros(plausible.sum()), rows.target()[plausible]) == pytest.approx(0.0293, abs=5e-5)
    last = rows.table["last_change"].to_numpy()[plausible]
    assert metrics.mae(last, rows.target()[plausible]) == pytest.approx(0.0191, abs=5e-5)


@needs_shared
def test_elixirs_baselines_on_the_test_rows_are_those_of_the_page() -> None:
    rows = recipe_rows(ELIXIR, record().level, record().drivers)
    scores = [trial_baselines(trial)["last_change"] for trial in seed_trials(ELIXIR, rows, 2)]
    assert np.mean(scores) == pytest.approx(0.0136, abs=5e-5)  # issue 11, section 5: two seeds


@needs_shared
def test_the_corrected_recipes_use_available_readings_and_test_on_later_days() -> None:
    for recipe in map(corrected, PUBLISHED.values()):
        rows = recipe_rows(recipe, record().level, record().drivers)
        split = split_rows(recipe, len(rows.table), 0)
        bad = record().level.filter(pl.col("q").is_in(UNAVAILABLE))["date"]
        assert not rows.table["date"].is_in(bad.implode()).any()
        assert not (rows.table["date"] + timedelta(days=1)).is_in(bad.implode()).any()
        assert split.fitted.max() < split.validating.min() <= split.validating.max() < split.test.min()
        assert "past_change" in rows.input_names


@pytest.mark.parametrize("count", [10, 4717, 4626, 123])
def test_the_split_is_that_of_pandas_bit_for_bit(count: int) -> None:
    pandas = pytest.importorskip("pandas")
    expected = pandas.DataFrame({"row": range(count)}).sample(frac=0.8, random_state=12345)["row"].tolist()
    assert sample(count, 0.8, 12345).tolist() == expected


@given(count=st.integers(20, 400), seed=st.integers(0, 5))
def test_every_row_is_in_exactly_one_part(count: int, seed: int) -> None:
    for recipe in (*PUBLISHED.values(), *map(corrected, PUBLISHED.values())):
        split = split_rows(recipe, count, seed)
        assert sorted([*split.fitted, *split.validating, *split.test]) == list(range(count))


def test_the_livebook_loses_the_pairs_and_its_repair_keeps_them() -> None:
    target = np.arange(100.0)
    split, paired = (split_rows(recipe, 100, 0) for recipe in (ELIXIR, replace(ELIXIR, split="shuffle in pairs")))
    assert not np.array_equal(split.labels(target)[0], target[split.fitted])
    assert np.array_equal(paired.labels(target)[0], target[paired.fitted])
    assert [len(part) for part in (split.fitted, split.validating, split.test)] == [64, 16, 20]


def test_the_python_recipe_keeps_levels_with_code_255_and_uses_them_for_the_label() -> None:
    table = recipe_rows(PYTHON, level([1.0, 1.1, 9.0, 1.2, 1.3], [4, 201, 255, 4, 4]), drivers([0.0] * 5)).table
    # 1 Jan has no label, 2 Jan has code 201, 4 Jan has −7.8
    assert table["date"].to_list() == [date(2020, 1, 3), date(2020, 1, 5)]
    assert table["change"].to_list() == pytest.approx([7.9, 0.1])


def test_an_unavailable_driver_is_zero_as_published_and_left_out_as_corrected() -> None:
    levels, driver_values = level([1.0, 1.1, 1.2, 1.3]), drivers([5.0, 5.0, None, 7.0], [4, 4, 255, 4])
    assert recipe_rows(PYTHON, levels, driver_values).table["v_1_10"].to_list() == [5.0, 0.0, 7.0]
    assert recipe_rows(corrected(PYTHON), levels, driver_values).table["date"].to_list() == [date(2020, 1, 2)]


def test_a_lag_is_a_calendar_day_and_a_row_without_one_is_dropped() -> None:
    table = recipe_rows(MULTI_DAY, level([1.0, 1.1, 1.2, 1.3]), drivers([1.0, 2.0, 3.0, 4.0])).table
    assert table.select("v_1_10", "v_1_10_dm1", "v_1_10_dm2").rows() == [(3.0, 2.0, 1.0), (4.0, 3.0, 2.0)]


def test_the_corrected_label_is_tomorrows_change_and_yesterdays_is_an_input() -> None:
    table = recipe_rows(corrected(PYTHON), level([1.0, 1.1, 1.3, 1.6]), drivers([0.0] * 4)).table
    assert table["change"].to_list() == pytest.approx([0.2, 0.3])
    assert table["past_change"].to_list() == pytest.approx([0.1, 0.2])


def random_rows(recipe: Recipe, count: int = 50) -> RecipeRows:
    """Rows of a recipe from random levels and rain."""
    random = np.random.default_rng(2)
    levels, rain = random.normal(0, 0.1, count).tolist(), random.gamma(1, 5, count).tolist()
    return recipe_rows(recipe, level(levels), drivers(rain))


def trained(trial: Trial, prediction: np.ndarray) -> TrainedNet:
    """A net without content that has these predictions."""
    history = pl.DataFrame({"epoch": [1], "loss": [0.1], "val_loss": [0.1]})
    scale = Normalisation(np.zeros(1, np.float32), np.ones(1, np.float32))
    return TrainedNet(trial, Network((), scale, (), tuple(trial.rows.input_names), history), prediction)


@pytest.mark.parametrize("recipe", [PYTHON, corrected(PYTHON), corrected(ELIXIR)], ids=lambda r: r.name + r.variant)
def test_only_the_published_recipes_normalise_by_validation_rows(recipe: Recipe) -> None:
    (trial,) = seed_trials(recipe, random_rows(recipe), 1)
    inputs, split = trial.rows.inputs().to_numpy(), trial.split
    known = inputs[split.train if recipe.variant == "published" else split.fitted]
    scale = trials._job(trial).scale
    assert scale is not None and scale.mean == pytest.approx(known.mean(axis=0), rel=1e-4)


def test_every_prediction_has_its_day_and_its_part() -> None:
    (trial,) = seed_trials(PYTHON, random_rows(PYTHON), 1)
    target = trial.rows.target()
    table = recipe_result([trained(trial, target + 0.5)], "jax").predictions
    assert table["date"].equals(trial.rows.table["date"])
    assert table["actual"].to_list() == target.tolist()
    assert (table["prediction"] - table["actual"]).to_list() == pytest.approx([0.5] * len(target))
    for part, rows in (("validation", trial.split.validating), ("test", trial.split.test)):
        assert table.filter(part=part)["date"].to_list() == trial.rows.table["date"].gather(np.sort(rows)).to_list()


def test_the_last_change_is_scored_with_the_label_of_today_and_with_that_of_the_next_day() -> None:
    values = level([0.0, 0.1, 0.1, 0.4, 0.4, 0.4, 1.0])
    next_day = replace(PYTHON, label="forecast")
    today, tomorrow = (recipe_rows(recipe, values, drivers([0.0] * 7)) for recipe in (PYTHON, next_day))
    days = pl.Series("date", [FIRST + timedelta(days=k) for k in (2, 3)])
    nets = [
        [trained(Trial(recipe, rows, Split(numbers[:1], numbers[1:2], numbers[test]), 0), np.zeros(len(numbers)))]
        for recipe, rows, test in ((PYTHON, today, slice(1, 3)), (next_day, tomorrow, slice(2, 4)))
        for numbers in [np.arange(len(rows.table))]
    ]
    scored = [net.trial.rows.table["date"].gather(net.trial.split.test) for (net,) in nets]
    assert scored[0].to_list() == scored[1].to_list() == days.to_list()
    fault = faults._known_label(*nets)
    # 3 January: changes 0.1 before, 0.0 today, 0.3 tomorrow; 4 January: 0.0 before, 0.3 today, 0.0 tomorrow
    assert fault.values["last_change_today"] == pytest.approx((0.1 + 0.3) / 2)
    assert fault.values["last_change_next_day"] == pytest.approx((0.3 + 0.3) / 2)
    assert (fault.published, fault.corrected) == (pytest.approx((0.15,)), pytest.approx((0.15,)))


def test_the_fault_of_zeros_counts_the_days_on_which_a_driver_is_unavailable() -> None:
    """60 days, rain unavailable on each seventh; errors of 0.5 m as published and 0.25 m without these days."""
    random = np.random.default_rng(2)
    codes = [201 if k % 7 == 0 else 4 for k in range(60)]
    values = SimpleNamespace(level=level(random.normal(0, 0.1, 60).tolist()), drivers=drivers([5.0] * 60, codes))
    (trial,) = seed_trials(PYTHON, recipe_rows(PYTHON, values.level, values.drivers), 1)
    (complete,) = faults._same_split(faults._NO_ZEROS, values, trial, 1)  # type: ignore[arg-type]  # a small record
    nets = [trained(part, part.rows.target() + error) for part, error in ((trial, 0.5), (complete, 0.25))]
    fault = faults._zeros(nets[:1], nets[1:])
    days = trial.rows.table["date"].to_list()
    with_zero = {day for day in days if (day - FIRST).days % 7 == 0}
    tested = set(trial.rows.table["date"].gather(trial.split.test))
    assert 0 < len(with_zero & tested) < len(tested)
    assert fault.values == {
        "days": len(tested - with_zero), "with_zero": len(with_zero), "rows": len(days),
        "test_with_zero": len(with_zero & tested), "published_with_zero": pytest.approx(0.5),
    }  # fmt: skip
    assert (fault.published, fault.corrected) == (pytest.approx((0.5,)), pytest.approx((0.25,)))


def test_every_fold_is_tested_once_and_four_fifths_of_the_others_are_fitted() -> None:
    rows = random_rows(PYTHON)
    folds = trials.blocks(len(rows.table), 5)
    parts = [trial.split for trial in faults._fold_trials(rows, folds, 2)]
    assert [split.test.tolist() for split in parts] == [fold.tolist() for fold in folds] * 2
    for split in parts:
        others = len(rows.table) - len(split.test)
        assert (len(split.fitted), len(split.validating)) == (int(0.8 * others), others - int(0.8 * others))
        assert sorted([*split.fitted, *split.validating, *split.test]) == list(range(len(rows.table)))


def test_the_fault_of_quality_codes_lists_the_largest_wrong_labels_of_either_sign() -> None:
    """Levels with code 255 are numbers that mean nothing: five labels, of which the largest three are listed."""
    wrong = {10: 20.0, 20: -30.0, 30: 5.0, 31: 6.0}
    levels = [wrong.get(k, 0.001 * k) for k in range(60)]
    codes = [255 if k in wrong else 4 for k in range(60)]
    values = SimpleNamespace(level=level(levels, codes), drivers=drivers([5.0] * 60))
    recipe = replace(PYTHON, least_change=None)
    (trial,) = seed_trials(recipe, recipe_rows(recipe, values.level, values.drivers), 1)
    good = replace(recipe, no_level_before=UNAVAILABLE, no_level_after=())
    (available,) = faults._same_split(good, values, trial, 1)  # type: ignore[arg-type]  # a small record
    nets = [trained(part, part.rows.target() + error) for part, error in ((trial, 0.5), (available, 0.25))]
    fault = faults._quality_codes(nets[:1], nets[1:])
    changes = trial.rows.table.join(available.rows.table, on="date", how="anti")["change"]
    assert fault.values["largest"] == sorted(changes, key=abs, reverse=True)[:3]
    assert min(fault.values["largest"]) < -20 < 10 < max(fault.values["largest"])  # type: ignore[operator, type-var]
    assert (fault.values["wrong_labels"], fault.values["rows"]) == (len(changes), len(trial.rows.table))
    assert (fault.values["test"], fault.values["good_test"]) == (len(trial.split.test), len(available.split.test))
    assert fault.values["published_on_good"] == pytest.approx(0.5)


def test_the_median_of_the_training_rows_is_scored_on_the_test_rows() -> None:
    parts = seed_trials(ELIXIR, random_rows(ELIXIR), 2)
    nets = [trained(trial, (k + 1) * trial.rows.target()) for k, trial in enumerate(parts)]
    fault = faults._separate_shuffles(nets, nets[:1], nets[1:])
    target = parts[0].rows.target()
    errors = [np.abs(np.median(target[t.split.train]) - target[t.split.test]).mean() for t in parts]
    spreads = [(k + 1) * target[t.split.test].std() for k, t in enumerate(parts)]
    assert fault.values["median"] == pytest.approx(np.mean(errors))
    assert fault.values["spread"] == pytest.approx(np.mean(spreads))
    assert (fault.values["paired_spread"], fault.values["normalised_spread"]) == pytest.approx(tuple(spreads))
    assert fault.values["paired"] == 0.0, "these predictions equal the changes"


@pytest.mark.parametrize("recipe", [PYTHON, ELIXIR], ids=lambda recipe: recipe.name)
def test_without_the_fault_of_the_baseline_the_last_change_replaces_the_net(recipe: Recipe) -> None:
    """On the rows of the test labels, which the livebook takes from other days than its inputs."""
    parts = seed_trials(recipe, random_rows(recipe), 2)
    nets = [trained(trial, np.full(len(trial.rows.table), 0.5)) for trial in parts]
    fault = faults.baseline_fault(nets, pl.DataFrame({"lead_time": [1], "mae": [0.01]}))
    assert fault.published == pytest.approx([net.mae() for net in nets])
    assert fault.corrected == pytest.approx([trials.trial_baselines(trial)["last_change"] for trial in parts])
    assert fault.cost == pytest.approx(np.mean(fault.corrected) - np.mean(fault.published)) != 0
    assert fault.values == {
        "recipe": recipe.name, "test": len(parts[0].split.test), "leads": [{"lead_time": 1, "mae": 0.01}]
    }  # fmt: skip


@pytest.mark.parametrize("code", [201, 255])
def test_the_forecast_starts_from_the_last_available_level(code: int) -> None:
    values = level([1.0, 1.1, 1.2, 1.3], [4, 4, code, 4]).with_columns(pl.when(pl.col("v") < 1.3).then("v"))
    assert gauges.last_day(values) == FIRST + timedelta(days=1)
    with pytest.raises(DataError, match="no level reading is available"):
        gauges.last_day(values.with_columns(q=pl.lit(code)))


def test_a_reading_belongs_to_its_local_day_and_a_day_without_one_is_missing() -> None:
    dam = load_dam("warragamba")
    starts = [datetime(2020, 1, day, 14, tzinfo=UTC) for day in (1, 2, 4)]  # 00:00 on 2, 3 and 5 January
    cells = {"time": starts, "raw_value": ["-1.5", "", "9.0"], "quality_code": ["10", "201", "255"]}
    series = {key: [value] * 3 for key, value in dam.target_gauge.series.items()}
    table = gauges._days(pl.DataFrame(cells | series), dam.target_gauge, dam, "")
    days = [date(2020, 1, day) for day in (2, 3, 4, 5)]
    assert table.rows() == list(zip(days, [-1.5, None, None, 9.0], [10, 201, None, 255], strict=True))


def test_all_models_are_scored_on_the_days_that_all_have_and_the_bias_is_forecast_minus_observed() -> None:
    lake = synthetic.dam()
    days = [FIRST + timedelta(days=k) for k in range(8)]
    levels = [9.0, 9.1, 9.1, 9.4, 9.4, 9.3, 9.3, 9.3]
    rows = recipe_rows(replace(PYTHON, label="forecast", least_change=None), level(levels), drivers([1.0] * 8))
    numbers = np.arange(len(rows.table))
    trials_of_seeds = [Trial(PYTHON, rows, Split(numbers[:1], numbers[1:2], numbers[2:]), seed) for seed in (0, 1)]
    forecasts = synthetic.forecasts(lake, synthetic.level_table(lake, FIRST, [*levels[:5], None, *levels[6:]]), days)
    observed = np.diff([*levels, np.nan])
    samples = SimpleNamespace(dates=np.array(days, "datetime64[D]"), observed=None, change=lambda *_: observed)
    forecast = SimpleNamespace(verification=SimpleNamespace(samples=samples, forecasts=forecasts))
    nets = [trained(trial, rows.target() + (0.01, 0.03)[trial.seed]) for trial in trials_of_seeds]
    scores = run._same_day_scores(nets, forecast)  # type: ignore[arg-type]  # these parts of a forecast alone
    assert (scores.n, scores.first, scores.last) == (4, str(days[2]), str(days[6]))
    truth = observed[[2, 3, 4, 6]]  # the sixth day has no forecast, the last one no outcome
    assert (scores.mae["net"], scores.bias["net"], scores.top5["net"]) == pytest.approx((0.02,) * 3)
    assert scores.bias["default"] == pytest.approx(-truth.mean())
    assert scores.mae["no_change"] == pytest.approx(np.abs(truth - 0.001).mean())
    assert scores.top5["last_change"] == pytest.approx(0.3 - 0.002)


def test_a_recipe_without_rows_is_an_error() -> None:
    with pytest.raises(DataError, match="recipe python .* none of 2 level days"):
        recipe_rows(PYTHON, level([1.0, 1.1], [201, 201]), drivers([0.0, 0.0]))


def test_a_label_of_just_the_least_change_is_dropped() -> None:
    """The article keeps changes above −0.3 m."""
    values = [0.3, 0.0, -0.25, -0.125]
    assert PYTHON.least_change == values[1] - values[0]
    assert recipe_rows(PYTHON, level(values), drivers([1.0] * 4)).target().tolist() == [-0.25, 0.125]
