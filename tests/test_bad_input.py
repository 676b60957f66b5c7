"""Bad input: each ends in a forecast that is wider and says why, or in one sentence."""

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
from tests import synthetic
from tests.command_line import CommandResult, forebay
from tests.synthetic import daily_frame, rain_gauge, small_dam
from tests.test_flags import lake

LEADS = {"leads": (1, 3)}
DAYS = 1100
BARE = small_dam(hindcast=LEADS, full_supply=110.0)
RAINY = small_dam(rain_gauge(), hindcast=LEADS, full_supply=110.0)


def record(dam: Dam, *, days: int = DAYS, seed: int = 4) -> pl.DataFrame:
    """A level (m) that rises with the rain of the day before, and the rain."""
    rng = np.random.default_rng(seed)
    rain = np.where(rng.random(days) < 0.3, rng.gamma(1.0, 12.0, days), 0.0)
    level = 95 + np.cumsum(0.01 * np.append(0.0, rain[:-1]) - 0.01 * rain.mean() + rng.normal(0, 0.01, days))
    return daily_frame(dam, {"reservoir_level": level.tolist(), "rainfall_r1": rain.tolist()})


def without(frame: pl.DataFrame, column: str, first: int, after: int) -> pl.DataFrame:
    """`frame` with `column` absent from day number `first` to `after`."""
    days = pl.int_range(pl.len()).is_between(first, after - 1)
    flag = f"{column}_flag"
    return frame.with_columns(
        pl.when(~days).then(column).alias(column), pl.when(days).then(pl.lit("absent")).otherwise(flag).alias(flag)
    )


def ran(dam: Dam, frame: pl.DataFrame, folder: Path) -> CommandResult:
    """`forebay run` of a dam file whose gauges hold `frame`."""
    path = synthetic.write_dam(dam, frame, folder)
    return forebay("run", path, "--archive", f"sqlite:///{folder}/archive.db", "-o", folder / "report", "--json")


def widths(result: CommandResult) -> list[float]:
    """Width of the 90% interval of `default` by lead."""
    at = {(r["lead_time"], r["quantile"]): r["level"] for r in result.json["forecast"] if r["model"] == "default"}
    return [at[lead, 0.95] - at[lead, 0.05] for lead in LEADS["leads"]]


def test_drivers_that_stop_for_a_year(tmp_path: Path) -> None:
    frame = record(RAINY)
    (tmp_path / "whole").mkdir()
    (tmp_path / "stopped").mkdir()
    whole = ran(RAINY, frame, tmp_path / "whole")
    stopped = ran(RAINY, without(frame, "rainfall_r1", DAYS - 365, DAYS), tmp_path / "stopped")
    assert (whole.code, stopped.code) == (0, 0), stopped.err
    assert whole.json["lacks"] == []
    assert any("No rain is known since" in sentence and "(365 days)" in sentence for sentence in stopped.json["lacks"])
    for wide, narrow in zip(widths(stopped), widths(whole), strict=True):
        assert wide > narrow


def test_a_constant_level(tmp_path: Path) -> None:
    frame = record(RAINY, days=500).with_columns(reservoir_level=pl.lit(95.0))
    result = ran(RAINY, frame, tmp_path)
    assert result.code == 0, result.err
    assert "The level never changed in 500 days: is the gauge stuck?" in result.json["lacks"]


def test_a_level_with_gaps_on_four_days_of_ten(tmp_path: Path) -> None:
    frame = record(RAINY, days=900)
    is_missing = pl.Series(np.random.default_rng(1).random(900) < 0.4)
    frame = frame.with_columns(
        pl.when(~is_missing).then("reservoir_level").alias("reservoir_level"),
        pl.when(is_missing).then(pl.lit("absent")).alias("reservoir_level_flag"),
    )
    result = ran(RAINY, frame, tmp_path)
    assert result.code == 0, result.err
    shares = [s for s in result.json["scores"] if s["metric"] == "share_forecast" and s["model"] == "default"]
    assert {s["value"] for s in shares if s["window"] == "all"} == {1.0}, "from the last good level where it is missing"


def test_no_drivers_at_all(tmp_path: Path) -> None:
    result = ran(BARE, record(BARE, days=600), tmp_path)
    assert result.code == 0, result.err
    assert "No gauge but the level's own: rain and inflow are not known to the forecast." in result.json["lacks"]


def test_a_level_silent_for_too_long_is_refused_in_one_sentence(tmp_path: Path) -> None:
    result = ran(RAINY, without(record(RAINY, days=500), "reservoir_level", 400, 500), tmp_path)
    last = synthetic.FIRST_DAY + timedelta(days=399)
    assert result.code == 1
    assert result.err.startswith(f"forebay: Small Dam: the last usable reservoir_level is of {last}, 100 days before")
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(("wrong", "why"), [(98.0, "(jump: "), (999.09, "(range: ")])
def test_a_level_that_is_doubted_today_is_not_forecast_from(wrong: float, why: str, tmp_path: Path) -> None:
    """Metres in a day without rain, or a number that no lake has: the forecast starts from the day before."""
    frame = record(RAINY, days=700)
    dry = pl.when(pl.int_range(pl.len()) < 690).then("rainfall_r1").otherwise(0.0).alias("rainfall_r1")
    yesterday = frame["reservoir_level"][-2]
    level = [*frame["reservoir_level"][:-1], wrong]
    path = synthetic.write_dam(RAINY, frame.with_columns(dry, reservoir_level=pl.Series(level)), tmp_path)
    path.write_text(path.read_text().replace('station = "lake"', 'station = "lake"\nvalid_range = [0.0, 500.0]'))
    result = forebay("run", path, "--archive", f"sqlite:///{tmp_path}/a.db", "-o", tmp_path / "report", "--json")
    assert result.code == 0, result.err
    rows = [row for row in result.json["forecast"] if row["model"] == "default" and row["quantile"] == 0.5]
    assert all(abs(row["level"] - yesterday) < 1.0 for row in rows)
    sentences = [sentence for sentence in result.json["lacks"] if "is doubted and not used" in sentence]
    assert len(sentences) == 1
    assert why in sentences[0]


def test_no_change_across_a_step_of_datum_is_learned_from() -> None:
    frame = daily_frame(BARE, {"reservoir_level": lake((600, -4.0))})
    samples = make_samples(frame, frame, BARE)
    for lead in (1, 3, 7):
        changes = samples.change(samples.trusted, lead)
        assert np.nanmax(np.abs(changes)) < 3.0
        assert np.nanmax(np.abs(samples.change(samples.observed, lead))) > 3.5, "what it is judged by stands as it is"


def test_intervals_hold_while_rain_is_silent_for_a_year() -> None:
    frame, silent = without(record(RAINY, days=1800), "rainfall_r1", 1300, 1665), np.arange(1300, 1665)
    samples = make_samples(frame, frame, RAINY)
    points = hindcast.with_default(hindcast.point_forecasts(samples, RAINY, MODELS), samples)
    for lead in LEADS["leads"]:
        off = uncertainty.interval_offsets(samples, points, "default", lead_time=lead)[silent]
        error = (samples.observed_change(lead) - points["default"].changes[lead])[silent]
        assert ((off[:, 0] <= error) & (error <= off[:, -1])).mean() >= 0.83


def test_days_without_a_level_are_scored_separately() -> None:
    """Eleven days of each month without a level: the other days' scored set is what it would be without forecasts."""
    frame = record(RAINY, days=900)
    is_missing = np.zeros(900, bool)
    for first in range(450, 880, 31):
        frame = without(frame, "reservoir_level", first, first + 11)
        is_missing[first : first + 11] = True
    samples = make_samples(frame, frame, RAINY)
    points = hindcast.with_default(hindcast.point_forecasts(samples, RAINY, MODELS), samples)
    scores = scorecard.score(hindcast.forecast_table(samples, RAINY, points), samples, RAINY)
    of = scores.filter(metric="mae", model="default", window="all", lead_time=1)
    n = dict(of.select("regime", "n").iter_rows())
    day = np.arange(360, 899)
    assert n["all"] == int((~is_missing[day] & ~is_missing[day + 1]).sum())
    assert n["level_missing"] == int((is_missing[day] & ~is_missing[day + 1]).sum())


@pytest.mark.parametrize("stated", [False, True])
def test_full_supply_is_withheld_after_a_step_of_datum_until_the_dam_file_states_it(stated: bool) -> None:
    """A step of 4 m on day 600 is known on the tenth day after it: withheld from then on, and not before."""
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
    assert before.withheld_from is None, "nine days after the step nobody knows"
