"""The losses by blocks of days: they give the scores of the hindcast, and the paired change between two versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from benchmarks.skill_blocks import KEY, LOSSES, block_scores, block_sums, compare

from forebay.features.samples import make_samples
from forebay.models import MODELS
from forebay.verify import hindcast, scorecard
from forebay.verify.default import with_default
from tests import synthetic

LEADS = (1, 3)


@pytest.fixture(scope="module")
def example() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The block table of a synthetic hindcast, and its scores by the scorecard."""
    dam = synthetic.dam()
    dam = dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"leads": LEADS})})
    frame = synthetic.daily(dam, days=900)
    samples = make_samples(frame, frame, dam)
    models = {name: MODELS[name] for name in ("no_change", "last_change", "damped_change", "climatology")}
    models["boosted_huber"] = MODELS["damped_change"]  # the blend asks for this name
    points = with_default(hindcast.point_forecasts(samples, dam, models), samples)
    forecasts = hindcast.forecast_table(samples, dam, points)
    n = len(samples.dates)
    reached = np.where(np.arange(n) % 4 == 0, 1.0, 0.0)
    probability = np.where(np.arange(n) % 4 == 0, 0.8, 0.1)
    blocks = block_sums(forecasts, samples, dam, reaches_full=(probability, reached))
    return blocks, scorecard.score(forecasts, samples, dam)


@pytest.mark.parametrize("regime", ["all", "wet"])
@pytest.mark.parametrize(
    ("loss", "metric"),
    [("mae", "mae"), ("pinball", "pinball"), ("inside_80", "coverage_80"), ("inside_90", "coverage_90"),
     ("above_95", "above_95"), ("width_90", "width_90")],
)  # fmt: skip
def test_sums_over_blocks_give_the_scores_of_the_scorecard(
    example: tuple[pl.DataFrame, pl.DataFrame], regime: str, loss: str, metric: str
) -> None:
    blocks, scores = example
    for lead in LEADS:
        cell = (pl.col("window") == "all") & (pl.col("regime") == regime) & (pl.col("lead_time") == lead)
        row = block_scores(blocks.filter(cell)).row(0, named=True)
        known = scores.filter(cell, pl.col("model") == "default", pl.col("metric") == metric).row(0, named=True)
        assert row["n"] == known["n"]
        assert row[loss] == pytest.approx(known["value"], rel=1e-5)


def test_the_largest_rises_are_a_regime(example: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    blocks, scores = example
    for lead in LEADS:
        cell = (pl.col("window") == "all") & (pl.col("lead_time") == lead)
        row = block_scores(blocks.filter(cell, pl.col("regime") == "top5")).row(0, named=True)
        known = scores.filter(cell, pl.col("regime") == "all", pl.col("model") == "default")
        assert row["mae"] == pytest.approx(known.filter(pl.col("metric") == "mae_top5")["value"][0], rel=1e-5)


def test_the_brier_skill_of_a_known_forecast(example: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    blocks, _ = example
    row = block_scores(blocks.filter(pl.col("window") == "all", pl.col("regime") == "all"))
    assert row["brier_skill"].is_null().to_list() == [True, False], "only the last lead time has a probability"
    share = row["full"][1] / row["n_full"][1]
    brier = share * 0.2**2 + (1 - share) * 0.1**2
    assert row["brier_skill"][1] == pytest.approx(1 - brier / (share * (1 - share)), rel=1e-5)


def test_a_change_is_paired_on_blocks_with_equal_days(example: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    blocks, _ = example
    other = blocks["block"] == blocks["block"].max()
    better = blocks.with_columns(pl.col("mae") * 0.9, n=pl.when(other).then(pl.col("n") + 1).otherwise("n"))
    table = compare(blocks, better)
    mae = table.filter(pl.col("metric") == "mae")
    np.testing.assert_allclose(mae.select("change", "low", "high").to_numpy(), 0.9, rtol=1e-5)
    last = blocks.filter(other).select(KEY[:-1])
    starred = table.filter(~pl.col("same_days")).select(KEY[:-1]).unique()
    assert starred.join(last, on=KEY[:-1], how="anti").is_empty()
    assert not starred.is_empty()
    share = table.filter(pl.col("metric") == "inside_90")["change"]
    assert (share == 0).all()


def test_a_day_without_interval_is_no_perfect_one(example: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    blocks, _ = example
    hidden = blocks.with_columns(pinball=pl.when(pl.col("block") % 2 == 0).then("pinball"))
    cell = (pl.col("window") == "all") & (pl.col("regime") == "all")
    kept = block_scores(blocks.filter(cell, pl.col("block") % 2 == 0))
    assert block_scores(hidden.filter(cell))["pinball"].to_list() == pytest.approx(kept["pinball"].to_list())


def test_a_table_survives_its_file(example: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path) -> None:
    blocks, _ = example
    blocks.write_parquet(tmp_path / "blocks.parquet", compression="zstd")
    table = compare(pl.read_parquet(tmp_path / "blocks.parquet"), blocks)
    assert table["same_days"].all()
    ratios = table.filter(pl.col("metric").is_in(["mae", "pinball", "width_90"]))["change"]
    np.testing.assert_allclose(ratios.to_numpy(), 1.0)
    assert set(LOSSES) <= set(blocks.columns)
