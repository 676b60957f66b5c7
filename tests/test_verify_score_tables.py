"""Scores arranged by window, regime and lead time."""

import polars as pl
import pytest

from forebay.dams.hindcast import Hindcast
from forebay.verify.score_tables import compare_scores, input_costs, score_summary
from forebay.verify.tables import SCORES
from tests import synthetic


def test_scores_of_the_default_are_compared_with_the_references() -> None:
    table = compare_scores(synthetic.scores(synthetic.dam()), [("all", "all"), ("T1", "all"), ("unknown", "all")])
    assert table.select("window", "lead_time").rows() == [(w, h) for w in ("all", "T1") for h in (1, 3, 7)]
    first = table.row(0, named=True)
    assert first["mae"] == pytest.approx(0.010)
    assert first["no_change"] == pytest.approx(0.012)
    assert first["best"] == "no_change"
    assert first["skill"] == pytest.approx(1 - 0.010 / 0.012)
    assert first["skill_low"] < first["skill"] < first["skill_high"]
    assert (first["n"], first["coverage_80"], first["coverage_90"]) == (300, 0.81, 0.89)


def test_missing_scores_are_null() -> None:
    only_mae = synthetic.scores(synthetic.dam()).filter((pl.col("metric") == "mae") & (pl.col("model") == "default"))
    row = compare_scores(only_mae, [("all", "all")]).row(0, named=True)
    assert row["best"] is None and row["skill"] is None and row["no_change"] is None
    assert compare_scores(SCORES.empty(), [("all", "all")]).is_empty()


def test_a_cell_without_the_error_of_the_default_has_no_row() -> None:
    is_default = (pl.col("model") == "default") & (pl.col("metric") == "mae") & (pl.col("lead_time") == 3)
    unknown = synthetic.scores(synthetic.dam()).with_columns(value=pl.when(~is_default).then("value"))
    assert compare_scores(unknown, [("all", "all"), ("T1", "all")])["lead_time"].to_list() == [1, 7, 1, 7]


def test_a_summary_row_has_the_best_reference() -> None:
    dam = synthetic.dam()
    rows = score_summary(synthetic.scores(dam), dam)
    cells = {("all", "all"), ("all", "wet"), ("last20", "all"), ("T1", "all")}
    assert {(row["window"], row["days"]) for row in rows} == cells
    assert [row["lead"] for row in rows[:3]] == ["1 d", "3 d", "7 d"]
    assert {row["best reference"] for row in rows} == {"no_change"}
    assert rows[0]["n"] == 300
    assert rows[0]["its mae"] == pytest.approx(0.012)


def test_a_dam_without_summary_leads_shows_its_first_leads() -> None:
    dam = synthetic.dam().model_copy(update={"hindcast": Hindcast(leads=(2, 4))})
    rows = score_summary(synthetic.scores(dam), dam)
    assert {row["lead"] for row in rows} == {"2 d", "4 d"}


def test_the_summary_of_no_scores_is_empty() -> None:
    assert score_summary(SCORES.empty(), synthetic.dam()) == []


@pytest.mark.parametrize(("factor", "cost"), [(1.25, "+25.0%"), (0.5, "-50.0%"), (1.0, "+0.0%")])
def test_the_cost_of_other_inputs_is_the_increase_of_the_error(factor: float, cost: str) -> None:
    dam = synthetic.dam()
    on_time = synthetic.scores(dam)
    metric, value = pl.col("metric"), pl.col("value")
    variant = on_time.filter(pl.col("regime") != "wet").with_columns(
        pl.when(metric == "mae").then(value * factor)
        .when(metric == "coverage_90").then(0.75)
        .when(metric.str.starts_with("skill")).then(0.125)
        .otherwise(value).alias("value")
    )  # fmt: skip
    rows = input_costs(on_time, variant, dam)
    assert [row["lead"] for row in rows[:3]] == ["1 d", "3 d", "7 d"]
    assert "wet" not in {row["days"] for row in rows}, "only what both have"
    for row, lead in zip(rows, (1, 3, 7), strict=False):
        assert (row["n"], row["mae"]) == (300, pytest.approx(0.01 * lead))
        assert row["mae then"] == pytest.approx(0.01 * lead * factor)
        assert (row["cost"], row["in 90% then"], row["skill then"]) == (cost, 0.75, 0.125)
