"""`forebay.charts.score_tables`: windows, regimes and years in order, and errors by lead time."""

import polars as pl
import pytest

from forebay.charts.score_tables import (
    errors_by_lead,
    models_equal_to_default,
    scored_regimes,
    scored_windows,
    scored_years,
    without_repeats,
)
from forebay.dams.dam import Dam
from tests import synthetic


@pytest.fixture(scope="module")
def lake() -> Dam:
    return synthetic.dam()


def test_windows_regimes_and_years_are_in_order(lake: Dam) -> None:
    scores = synthetic.scores(lake)
    assert scored_windows(scores, lake) == [("all", "all"), ("last20", "all"), ("T1", "all")]
    assert scored_regimes(scores) == [("all", "wet")]
    assert scored_years(scores) == [("all", "y2020")]


def test_a_model_that_equals_the_default_is_listed_once(lake: Dam) -> None:
    scores = synthetic.scores(lake)
    assert models_equal_to_default(scores) == ["huber"]
    errors = errors_by_lead(scores, "all", "all")
    assert errors["model"].unique(maintain_order=True).to_list() == list(synthetic.MODELS[:5])
    assert errors["lead_time"].to_list() == list(synthetic.LEADS) * 5
    of_huber = (pl.col("model") == "huber") & (pl.col("lead_time") == 5)
    almost = scores.with_columns(value=pl.when(of_huber).then(pl.col("value") + 1e-6).otherwise("value"))
    assert models_equal_to_default(almost) == [], "equal at every lead time but one"


def test_a_window_with_the_days_of_another_is_left_out(lake: Dam) -> None:
    scores = synthetic.scores(lake)
    windows = scored_windows(scores, lake)
    assert without_repeats(scores, windows) == ([("all", "all"), ("last20", "all"), ("T1", "all")], {})
    same = scores.with_columns(n=pl.when(pl.col("window") == "T1").then(300).otherwise("n"))
    assert without_repeats(same, windows) == ([("all", "all"), ("last20", "all")], {"T1": "all"})
    assert without_repeats(scores.with_columns(n=300), windows) == ([("all", "all")], {"last20": "all", "T1": "all"})
