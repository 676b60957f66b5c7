"""Bad input: the result is a wider forecast that states the reason, or an error of one sentence."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.days.datum import on_one_datum
from forebay.features.samples import make_samples
from forebay.models import MODELS
from forebay.verify import hindcast, scorecard, uncertainty
from forebay.verify.default import with_default
from tests import synthetic
from tests.command_line import CommandResult, forebay
from tests.synthetic import daily_frame, rain_gauge, small_dam
from tests.test_flags import lake

LEADS = {"leads": (1, 3)}
DAYS = 1100
BARE = small_dam(hindcast=LEADS, full_supply=110.0)
RAINY = small_dam(rain_gauge(), hindcast=LEADS, full_supply=110.0)


def record(dam: Dam, *, days: int = DAYS, seed: int = 4) -> pl.DataFrame:
    """A level (m) that rises with the rain of the previous day, and the rain."""
    rng = np.random.default_rng(seed)
    rain = np.where(rng.random(days) < 0.3, rng.gamma(1.0, 12.0, days), 0.0)
    level = 95 + np.cumsum(0.01 * np.append(0.0, rain[:-1]) - 0.01 * rain.mean() + rng.normal(0, 0.01, days))
    return daily_frame(dam, {"reservoir_level": level.tolist(), "rainfall_r1": rain.tolist()})


def with_gap(frame: pl.DataFrame, column: str, first: int, after: int) -> pl.DataFrame:
    """`frame` with `column` absent from day number `first` to `after`."""
    days = pl.int_range(pl.len()).is_between(first, after - 1)
    flag = f"{column}_flag"
    return frame.with_columns(
        pl.when(~days).then(column).alias(column), pl.when(days).then(pl.lit("absent")).otherwise(flag).alias(flag)
    )


def run_dam(dam: Dam, frame: pl.DataFrame, folder: Path) -> CommandResult:
    """Result of `forebay run` with a dam file whose gauges have the values of `frame`."""
    path = synthetic.write_dam(dam, frame, folder)
    return forebay("run", path, "--archive", f"sqlite:///{folder}/archive.db", "-o", folder / "report", "--json")


def typical_widths(folder: Path) -> list[float]:
    """Median width (m) of the 90% interval of `default` over the forecasts of the last 365 days, by lead time."""
    rows = pl.read_parquet(folder / "report" / "hindcast.parquet").filter(
        pl.col("model") == "default", pl.col("init_date") > pl.col("init_date").max() - timedelta(days=365)
    )
    bounds = rows.filter(pl.col("quantile").is_in([0.05, 0.95])).group_by("lead_time", "init_date")
    width = (pl.col("level").max() - pl.col("level").min()).alias("width")
    return bounds.agg(width).group_by("lead_time").agg(pl.median("width")).sort("lead_time")["width"].to_list()


@pytest.mark.slow
def test_drivers_missing_for_a_year_widen_the_intervals(tmp_path: Path) -> None:
    frame = record(RAINY)
    (tmp_path / "whole").mkdir()
    (tmp_path / "stopped").mkdir()
    whole = run_dam(RAINY, frame, tmp_path / "whole")
    stopped = run_dam(RAINY, with_gap(frame, "rainfall_r1", DAYS - 365, DAYS), tmp_path / "stopped")
    assert (whole.code, stopped.code) == (0, 0), stopped.err
    assert whole.json["lacks"] == []
    assert any("No rain is known since" in sentence and "(365 days)" in sentence for sentence in stopped.json["lacks"])
    # The rain of one more day is unknown: by simulation the interval is 7 times as wide at 1 day, 1.24 times at 3 days.
    ratios = np.divide(typical_widths(tmp_path / "stopped"), typical_widths(tmp_path / "whole"))
    assert ratios[0] > 4, ratios
    assert ratios[1] > 1.2, ratios


def test_a_constant_level_is_a_limitation(tmp_path: Path) -> None:
    frame = record(RAINY, days=500).with_columns(reservoir_level=pl.lit(95.0))
    result = run_dam(RAINY, frame, tmp_path)
    assert result.code == 0, result.err
    assert "The level did not change in 500 days: the gauge may be stuck." in result.json["lacks"]


@pytest.mark.slow
def test_days_with_a_missing_level_have_a_forecast(tmp_path: Path) -> None:
    frame = record(RAINY, days=900)
    is_missing = pl.Series(np.random.default_rng(1).random(900) < 0.4)
    frame = frame.with_columns(
        pl.when(~is_missing).then("reservoir_level").alias("reservoir_level"),
        pl.when(is_missing).then(pl.lit("absent")).alias("reservoir_level_flag"),
    )
    result = run_dam(RAINY, frame, tmp_path)
    assert result.code == 0, result.err
    shares = [s for s in result.json["scores"] if s["metric"] == "share_forecast" and s["model"] == "default"]
    assert {s["value"] for s in shares if s["window"] == "all"} == {1.0}, "also on days without a level"


def test_a_dam_without_drivers_is_a_limitation(tmp_path: Path) -> None:
    result = run_dam(BARE, record(BARE, days=600), tmp_path)
    assert result.code == 0, result.err
    assert "No gauge of rain or flow: the forecast uses the past levels only." in result.json["lacks"]


def test_a_level_missing_for_too_long_is_refused_in_one_sentence(tmp_path: Path) -> None:
    result = run_dam(RAINY, with_gap(record(RAINY, days=500), "reservoir_level", 400, 500), tmp_path)
    last = synthetic.FIRST_DAY + timedelta(days=399)
    assert result.code == 1
    assert result.err.startswith(f"forebay: Small Dam: the last usable reservoir_level is of {last}, 100 days before")
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(("suspect", "reason"), [(98.0, "(jump: "), (999.09, "(range: ")])
def test_a_suspect_level_starts_no_forecast(suspect: float, reason: str, tmp_path: Path) -> None:
    """A rise of metres without rain, or a value out of range: the forecast starts from the previous day."""
    frame = record(RAINY, days=700)
    dry = pl.when(pl.int_range(pl.len()) < 690).then("rainfall_r1").otherwise(0.0).alias("rainfall_r1")
    yesterday = frame["reservoir_level"][-2]
    level = [*frame["reservoir_level"][:-1], suspect]
    path = synthetic.write_dam(RAINY, frame.with_columns(dry, reservoir_level=pl.Series(level)), tmp_path)
    path.write_text(path.read_text().replace('station = "lake"', 'station = "lake"\nvalid_range = [0.0, 500.0]'))
    result = forebay("run", path, "--archive", f"sqlite:///{tmp_path}/a.db", "-o", tmp_path / "report", "--json")
    assert result.code == 0, result.err
    rows = [row for row in result.json["forecast"] if row["model"] == "default" and row["quantile"] == 0.5]
    assert all(abs(row["level"] - yesterday) < 1.0 for row in rows)
    sentences = [sentence for sentence in result.json["lacks"] if "is suspect and not used" in sentence]
    assert len(sentences) == 1
    assert reason in sentences[0]


def test_changes_across_a_step_of_datum_are_not_learned() -> None:
    frame = daily_frame(BARE, {"reservoir_level": lake((600, -4.0))})
    samples = make_samples(frame, frame, BARE)
    for lead in (1, 3, 7):
        changes = samples.change(samples.trusted, lead)
        assert np.nanmax(np.abs(changes)) < 3.0
        assert np.nanmax(np.abs(samples.change(samples.observed, lead))) > 3.5, "verification uses the observed levels"


@pytest.mark.slow
def test_intervals_are_reliable_while_rain_is_missing_for_a_year() -> None:
    frame, outage = with_gap(record(RAINY, days=1800), "rainfall_r1", 1300, 1665), np.arange(1300, 1665)
    samples = make_samples(frame, frame, RAINY)
    points = with_default(hindcast.point_forecasts(samples, RAINY, MODELS), samples)
    for lead in LEADS["leads"]:
        offsets = uncertainty.interval_offsets(samples, points, ["default"], lead_time=lead)[:, 0][outage]
        error = (samples.observed_change(lead) - points["default"].changes[lead])[outage]
        assert ((offsets[:, 0] <= error) & (error <= offsets[:, -1])).mean() >= 0.83


def test_days_without_a_level_are_scored_separately() -> None:
    """Eleven days of each month lack a level: their forecasts do not count in the scores of the remaining days."""
    frame = record(RAINY, days=900)
    is_missing = np.zeros(900, bool)
    for first in range(450, 880, 31):
        frame = with_gap(frame, "reservoir_level", first, first + 11)
        is_missing[first : first + 11] = True
    samples = make_samples(frame, frame, RAINY)
    points = with_default(hindcast.point_forecasts(samples, RAINY, MODELS), samples)
    scores = scorecard.score(hindcast.forecast_table(samples, RAINY, points), samples, RAINY)
    rows = scores.filter(metric="mae", model="default", window="all", lead_time=1)
    n = dict(rows.select("regime", "n").iter_rows())
    days = np.arange(360, 899)
    assert n["all"] == int((~is_missing[days] & ~is_missing[days + 1]).sum())
    assert n["level_missing"] == int((is_missing[days] & ~is_missing[days + 1]).sum())


@pytest.mark.parametrize("stated", [False, True])
def test_full_supply_is_withheld_after_a_step_of_datum_that_the_dam_file_does_not_state(stated: bool) -> None:
    """A step of 4 m on day 600 is known ten days later; full supply is withheld from that day."""
    step = synthetic.FIRST_DAY + timedelta(days=600)
    offsets = [{"from": step, "offset": -4.0}] if stated else []
    dam = small_dam(hindcast=LEADS, full_supply=94.0, datum_offsets=offsets)
    frame = on_one_datum(daily_frame(dam, {"reservoir_level": lake((600, -4.0))}), dam)
    samples = make_samples(frame, frame, dam)
    below = samples.inputs["context_below_full"].is_null().to_numpy()
    assert samples.withheld is not None
    if stated:
        assert samples.withheld_from is None
        assert not samples.withheld.any()
        assert not below.any()
        assert samples.regimes["near_full"][700:].any()
        return
    assert samples.withheld_from == step
    assert np.flatnonzero(samples.withheld).tolist() == list(range(610, 900))
    assert below[610:].all()
    assert not samples.regimes["near_full"][610:].any()
    before = make_samples(frame.head(609), frame.head(609), dam)
    assert before.withheld_from is None, "the step is unknown nine days after it"
