"""Scores per window, regime and lead time: values by hand, the same days for all models, and bands."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.features.samples import Samples
from forebay.jobs.forecast_value import interval_ends
from forebay.models.model import Array
from forebay.tables import QUANTILES, REFERENCES
from forebay.verify import scorecard, uncertainty
from forebay.verify.tables import SCORES
from tests.synthetic import FIRST_DAY, small_dam

SPREAD = np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
"""Offsets of the quantiles from the point forecast."""
DAYS = 400


def day(number: int) -> object:
    return FIRST_DAY + timedelta(days=number)


def samples_of(observed: list[float], **regimes: list[bool]) -> Samples:
    """Samples without inputs: scoring needs none."""
    level = np.array(observed, float)
    dates = np.datetime64(FIRST_DAY, "D") + np.arange(len(level))
    masks = {"all": [True] * len(level)} | regimes
    return Samples(dates, pl.DataFrame(), level, level, level, {k: np.array(v, bool) for k, v in masks.items()})


def table_of(samples: Samples, dam: Dam, changes: dict[str, Array], *, spread: Array = SPREAD) -> pl.DataFrame:
    """Forecasts of each model at every lead: `changes` by day (NaN: none) with quantiles at `spread` around them."""
    parts = []
    for model, change in changes.items():
        rows = np.flatnonzero(np.isfinite(change))
        columns = {
            "init_date": np.repeat(samples.dates[rows], len(QUANTILES)),
            "quantile": np.tile(QUANTILES, len(rows)),
            "change": (change[rows, None] + spread).ravel(),
        }
        table = pl.DataFrame(columns).with_columns(model=pl.lit(model))
        parts += [table.with_columns(lead_time=lead) for lead in dam.hindcast.leads]
    return pl.concat(parts)


def cell(
    scores: pl.DataFrame, metric: str, *, model: str = "default", window: str = "all", regime: str = "all"
) -> dict[str, object]:
    """The one row of a score at lead 1."""
    where = {"metric": metric, "model": model, "window": window, "regime": regime, "lead_time": 1}
    return scores.filter(pl.col(key) == value for key, value in where.items()).row(0, named=True)


SMALL = small_dam(hindcast={"leads": (1,), "start": FIRST_DAY})
#  changes 1, −1, 2, 0; forecast errors (observed minus forecast) 0, −2, 1.5, −.5; wet on the first and third day
OBSERVED = [0.0, 1.0, 0.0, 2.0, 2.0]
FORECAST = np.array([1.0, 1.0, 0.5, 0.5, 9.0])
WET = [True, False, True, False, True]


@pytest.fixture(scope="module")
def by_hand() -> pl.DataFrame:
    samples = samples_of(OBSERVED, wet=WET)
    changes = {"no_change": np.zeros(5), "default": FORECAST}
    return scorecard.score(table_of(samples, SMALL, changes), samples, SMALL)


def test_scores_equal_values_by_hand(by_hand: pl.DataFrame) -> None:
    expected = {
        "mae": 1.0,
        "rmse": np.sqrt(6.5 / 4),
        "bias": 0.25,
        "nse": 1 - 6.5 / 5,
        "skill_no_change": 0.0,  # no_change's errors are 1, 1, 2, 0
        "mae_top5": 1.5,  # one day: the change of 2
        "mae_top1": 1.5,
        "coverage_80": 1.0,  # the bounds −2 and 2 are inside
        "coverage_90": 1.0,
        "width_80": 4.0,
        "width_90": 6.0,
        "above_95": 0.0,
    }
    for metric, value in expected.items():
        assert cell(by_hand, metric)["value"] == pytest.approx(value, abs=1e-12), metric
        assert cell(by_hand, metric)["n"] == 4
    errors = np.array([0.0, -2.0, 1.5, -0.5])[:, None] - SPREAD
    p = np.array(QUANTILES)
    assert cell(by_hand, "pinball")["value"] == pytest.approx(np.where(errors > 0, p * errors, (p - 1) * errors).mean())


def test_scores_of_regimes_and_years_equal_values_by_hand(by_hand: pl.DataFrame) -> None:
    assert cell(by_hand, "mae", regime="wet")["value"] == 0.75
    assert cell(by_hand, "mae", regime="wet")["n"] == 2
    assert cell(by_hand, "mae", regime="y2018")["value"] == 1.0
    assert by_hand.filter(pl.col("regime") == "y2019").is_empty()


def test_scores_of_many_days_are_those_of_a_direct_count() -> None:
    """With uneven intervals, so that no two scores are equal."""
    rng = np.random.default_rng(8)
    samples = samples_of(list(np.cumsum(rng.normal(size=DAYS))))
    change = np.append(np.diff(samples.observed), np.nan)
    forecast, spread = change + rng.normal(0, 1.0, DAYS), np.array([-1.5, -1.0, -0.4, 0.0, 0.5, 1.3, 2.1])
    dam = small_dam(hindcast={"leads": (1,)})
    scores = scorecard.score(table_of(samples, dam, {"no_change": np.zeros(DAYS), "default": forecast}, spread=spread),
                             samples, dam)  # fmt: skip
    days = range(160, DAYS - 1)
    truth, median = [float(change[day]) for day in days], [float(forecast[day]) for day in days]
    ends = {share: [(m + spread[k], m + spread[-1 - k]) for m in median] for k, share in ((1, 80), (0, 90))}
    expected: dict[str, float] = {"above_95": np.mean([x > m + 2.1 for x, m in zip(truth, median, strict=True)])}
    for share, pairs in ends.items():
        expected[f"coverage_{share}"] = np.mean([low <= x <= high for x, (low, high) in zip(truth, pairs, strict=True)])
        expected[f"width_{share}"] = np.mean([high - low for low, high in pairs])
    by_rise = sorted(zip(truth, median, strict=True), reverse=True)
    for metric, count in (("mae_top5", 12), ("mae_top1", 3)):  # 5% and 1% of 239 days, rounded up
        expected[metric] = np.mean([abs(x - m) for x, m in by_rise[:count]])
    found = {metric: cell(scores, metric)["value"] for metric in expected}
    assert found == pytest.approx(expected)
    assert len({round(value, 6) for value in expected.values()}) == len(expected)


def test_scores_keep_the_contract(by_hand: pl.DataFrame) -> None:
    SCORES.check(by_hand, unique=True)
    assert not any(by_hand[name].is_nan().any() for name in ("value", "low", "high"))
    references = [name for name in REFERENCES if name != "no_change"]
    assert by_hand.filter(pl.col("metric").is_in([f"skill_{name}" for name in references])).is_empty()


def test_an_undefined_score_is_null() -> None:
    """An observed level that never changes has no efficiency, and no skill against a perfect no_change."""
    samples = samples_of([2.0] * 5)
    scores = scorecard.score(table_of(samples, SMALL, {"no_change": np.zeros(5), "default": FORECAST}), samples, SMALL)
    for metric in ("nse", "kge", "skill_no_change"):
        assert cell(scores, metric)["value"] is None
    assert cell(scores, "skill_no_change")["low"] is None
    assert cell(scores, "mae", model="no_change")["value"] == 0


def test_a_perfect_forecast_has_the_best_scores() -> None:
    rng = np.random.default_rng(1)
    samples = samples_of(list(np.cumsum(rng.normal(size=DAYS))))
    change = np.append(np.diff(samples.observed), 0.0)
    dam = small_dam(hindcast={"leads": (1,)})
    scores = scorecard.score(table_of(samples, dam, {"no_change": np.zeros(DAYS), "default": change}), samples, dam)
    perfect = {
        "mae": 0,
        "rmse": 0,
        "bias": 0,
        "nse": 1,
        "skill_no_change": 1,
        "mae_top5": 0,
        "coverage_80": 1,
        "above_95": 0,
    }
    for metric, value in perfect.items():
        assert cell(scores, metric)["value"] == pytest.approx(value, abs=1e-12)
    assert cell(scores, "kge")["value"] == pytest.approx(1)
    assert cell(scores, "mae")["n"] == DAYS - 160 - 1, "after the first 40% of the record, less the last day"
    assert cell(scores, "mae", window="last20")["n"] == 80 - 1


SCORED = 438 - 30 - 1 - 1
"""Of two years the last 60%, less a gap of 30 days, the day before it and the last day."""


@pytest.fixture(scope="module")
def two_years() -> tuple[Samples, Dam, dict[str, Array]]:
    """Two years of a random walk, a missing spell, two models."""
    rng = np.random.default_rng(2)
    level = np.cumsum(rng.normal(size=730))
    level[300:330] = np.nan
    dam = small_dam(
        hindcast={
            "leads": (1,),
            "windows": [
                {"name": "W", "from": day(500), "to": day(599)},
                {"name": "Wx", "from": day(500), "to": day(599), "exclude": [{"from": day(510), "to": day(529)}]},
                {"name": "never", "from": day(5000), "to": day(5001)},
            ],
        }
    )
    change = np.append(np.diff(level), 0.0)
    return samples_of(list(level)), dam, {"no_change": np.zeros(730), "default": change + rng.normal(0, 0.5, 730)}


def test_every_window_of_the_dam_file_is_scored(two_years: tuple[Samples, Dam, dict[str, Array]]) -> None:
    samples, dam, changes = two_years
    scores = scorecard.score(table_of(samples, dam, changes), samples, dam)
    assert cell(scores, "mae", window="W")["n"] == 100
    assert cell(scores, "mae", window="Wx")["n"] == 80
    assert set(scores["window"]) == {"all", "last20", "W", "Wx"}
    scored = np.isfinite(samples.change(samples.observed, 1))[292:]
    assert cell(scores, "mae")["n"] == scored.sum() == SCORED
    assert set(scores["regime"]) == {"all", "y2018", "y2019"}


def test_a_year_scores_its_own_days_of_the_window(two_years: tuple[Samples, Dam, dict[str, Array]]) -> None:
    samples, dam, changes = two_years
    scores = scorecard.score(table_of(samples, dam, changes), samples, dam)
    error = np.abs(changes["default"] - samples.change(samples.observed, 1))
    for regime, days in (("y2018", slice(292, 365)), ("y2019", slice(365, 730))):
        scored = error[days][np.isfinite(error[days])]
        assert cell(scores, "mae", regime=regime)["n"] == len(scored)
        assert cell(scores, "mae", regime=regime)["value"] == pytest.approx(scored.mean())


def test_bands_contain_the_value_and_are_reproducible(two_years: tuple[Samples, Dam, dict[str, Array]]) -> None:
    samples, dam, changes = two_years
    scores, repeated = (scorecard.score(table_of(samples, dam, changes), samples, dam) for _ in range(2))
    assert scores.equals(repeated)
    banded = scores.filter(pl.col("window") == "all", pl.col("low").is_not_null())
    assert set(banded["metric"]) == {"mae", "skill_no_change", "skill_best"}
    assert (banded["low"] <= banded["value"] + 1e-12).all()
    assert (banded["high"] >= banded["value"] - 1e-12).all()
    skill = cell(scores, "skill_no_change")
    assert skill["low"] < skill["value"] < skill["high"]  # type: ignore[operator]  # numbers
    skill_of_reference = cell(scores, "skill_no_change", model="no_change")
    assert (skill_of_reference["value"], skill_of_reference["low"], skill_of_reference["high"]) == (0, 0, 0), (
        "the same blocks for a model and its reference"
    )


def test_all_models_are_scored_on_the_same_days(two_years: tuple[Samples, Dam, dict[str, Array]]) -> None:
    samples, dam, changes = two_years
    fewer = changes["default"].copy()
    fewer[600:650] = np.nan
    scores = scorecard.score(table_of(samples, dam, changes | {"default": fewer}), samples, dam)
    paired = scores.filter(pl.col("metric") != "share_forecast")  # it counts days without an observed change too
    n = paired.group_by("window", "regime").agg(pl.col("n").n_unique())
    assert (n["n"] == 1).all()
    assert cell(scores, "mae", model="no_change")["n"] == SCORED - 50


def test_a_regime_without_days_has_no_rows(two_years: tuple[Samples, Dam, dict[str, Array]]) -> None:
    samples, dam, changes = two_years
    dry = [False] * 730
    near_full = [number < 100 for number in range(730)]  # in the warm-up only
    samples = samples_of(list(samples.observed), dry=dry, near_full=near_full)
    scores = scorecard.score(table_of(samples, dam, changes), samples, dam)
    assert {"dry", "near_full"}.isdisjoint(scores["regime"])


def test_intervals_are_scored_only_where_all_days_have_one(two_years: tuple[Samples, Dam, dict[str, Array]]) -> None:
    samples, dam, changes = two_years
    table = table_of(samples, dam, changes)
    early = (pl.col("init_date") < day(400)) & (pl.col("quantile") != 0.5)
    scores = scorecard.score(table.filter(~early), samples, dam)
    whole = scores.filter(pl.col("window") == "all", pl.col("regime") == "all")
    for metric in ("pinball", "coverage_80", "coverage_90", "width_80", "width_90", "above_95"):
        assert whole.filter(pl.col("metric") == metric).is_empty()
        assert cell(scores, metric, window="W")["n"] == 100
    assert cell(scores, "mae")["n"] == SCORED


def test_a_record_without_scored_days_has_no_scores() -> None:
    """Two days: one forecast without an observed level."""
    samples = samples_of([1.0, 2.0])
    dam = small_dam(hindcast={"leads": (1,)})
    scores = scorecard.score(table_of(samples, dam, {"default": np.array([np.nan, 0.0])}), samples, dam)
    assert SCORES.check(scores).is_empty()


def test_a_unit_scales_errors_and_leaves_skill(two_years: tuple[Samples, Dam, dict[str, Array]]) -> None:
    samples, dam, changes = two_years
    feet = samples_of(list(samples.observed / 0.3048))
    metres = scorecard.score(table_of(samples, dam, changes), samples, dam)
    in_feet = {model: change / 0.3048 for model, change in changes.items()}
    scores = scorecard.score(table_of(feet, dam, in_feet, spread=SPREAD / 0.3048), feet, dam)
    free = ("nse", "kge", "skill_no_change", "skill_best", "coverage_80", "coverage_90", "above_95")
    free += ("events", "share_forecast")
    both = metres.join(scores, on=SCORES.key, suffix="_ft")
    assert len(both) == len(metres) == len(scores)
    factor = pl.when(pl.col("metric").is_in(free)).then(1.0).otherwise(0.3048)
    for name in ("value", "low", "high"):
        difference = both.select((pl.col(name) - pl.col(f"{name}_ft") * factor).abs().max()).item()
        assert difference < 1e-9


def test_skill_is_against_the_best_reference(two_years: tuple[Samples, Dam, dict[str, Array]]) -> None:
    samples, dam, changes = two_years
    better = {"last_change": changes["default"] + 0.1}
    scores = scorecard.score(table_of(samples, dam, changes | better), samples, dam)
    best, last, no_change = (cell(scores, f"skill_{name}") for name in ("best", "last_change", "no_change"))
    assert [best[k] for k in ("value", "low", "high")] == [last[k] for k in ("value", "low", "high")]
    assert best["value"] < no_change["value"]  # type: ignore[operator]  # numbers


def test_the_share_of_days_with_a_forecast_counts_every_day(two_years: tuple[Samples, Dam, dict[str, Array]]) -> None:
    samples, dam, changes = two_years
    fewer = changes["default"].copy()
    fewer[600:650] = np.nan
    wet = np.arange(730) >= 640
    wet_samples = samples_of(list(samples.observed), wet=wet.tolist())
    scores = scorecard.score(table_of(wet_samples, dam, changes | {"default": fewer}), wet_samples, dam)
    share = cell(scores, "share_forecast")
    assert share["n"] == 438
    forecast_days = np.isfinite(fewer)[292:]
    assert share["value"] == pytest.approx(forecast_days.mean())
    assert cell(scores, "share_forecast", regime="wet")["value"] == pytest.approx(1 - 10 / 90)


def test_crps_and_shares_of_days_outside_experience(two_years: tuple[Samples, Dam, dict[str, Array]]) -> None:
    samples, dam, changes = two_years
    crps = np.arange(730.0)
    crps[:400] = np.nan
    daily_scores = scorecard.DailyScores({"default": {1: crps}}, {"default": np.arange(730) % 2 == 0})
    scores = scorecard.score(table_of(samples, dam, changes), samples, dam, daily_scores=daily_scores)
    assert cell(scores, "crps", window="W")["value"] == pytest.approx(np.arange(500, 600).mean())
    whole = scores.filter(pl.col("metric") == "crps", pl.col("window") == "all", pl.col("regime") == "all")
    assert whole.is_empty(), "only if every day has one"
    assert cell(scores, "outside_experience", window="W")["value"] == 0.5


def test_the_skill_by_crps_is_against_the_best_reference(two_years: tuple[Samples, Dam, dict[str, Array]]) -> None:
    """A reference that lacks a CRPS on one of the days does not count."""
    samples, dam, changes = two_years
    models = ("default", "no_change", "last_change", "climatology")
    sizes = dict(zip(models, (1.0, 4.0, 2.0, 1.5), strict=True))
    crps = {name: {1: np.full(730, size)} for name, size in sizes.items()}
    crps["climatology"][1][550] = np.nan
    forecasts = table_of(samples, dam, dict.fromkeys(models, changes["default"]))
    scores = scorecard.score(forecasts, samples, dam, daily_scores=scorecard.DailyScores(crps, {}))
    skills = [cell(scores, "crps_skill_best", model=name, window="W")["value"] for name in models[:3]]
    assert skills == [0.5, -1.0, 0.0]


def test_the_last_window_begins_no_earlier_than_the_scores() -> None:
    samples = samples_of([1.0] * DAYS)
    dam = small_dam(hindcast={"leads": (1,), "start": day(390)})
    spans = scorecard.windows(samples, dam)
    assert np.flatnonzero(spans["all"]).tolist() == np.flatnonzero(spans["last20"]).tolist() == list(range(390, 400))


def test_the_largest_changes_are_rises() -> None:
    """Of 20 changes, one is a fall of 9 with an error of 5, one is a rise of 3 with an error of 2."""
    changes = np.array([0.0] * 8 + [-9.0] + [0.0] * 6 + [3.0] + [0.0] * 4)
    errors = np.where(changes < 0, 5.0, np.where(changes > 0, 2.0, 0.0))
    samples = samples_of([0.0, *np.cumsum(changes)])
    forecast = np.append(changes - errors, 0.0)
    scores = scorecard.score(table_of(samples, SMALL, {"default": forecast}), samples, SMALL)
    assert cell(scores, "mae_top5")["value"] == cell(scores, "mae_top1")["value"] == 2.0


def test_the_blocks_of_the_bands_are_days_of_the_calendar() -> None:
    """Two spells of 20 scored days, months apart and with different errors, are never one block."""
    level = np.zeros(400)
    level[21:300], level[321:] = np.nan, np.nan
    samples = samples_of(level.tolist())
    error = np.where(np.arange(400) < 100, 0.0, 1.0)
    scores = scorecard.score(table_of(samples, SMALL, {"default": error}), samples, SMALL)
    mae = cell(scores, "mae")
    assert (mae["value"], mae["low"], mae["high"], mae["n"]) == (0.5, 0.0, 1.0, 40)


def test_the_crps_of_a_day_is_that_of_the_newest_levels() -> None:
    samples = replace(samples_of([0.0, 0.0, 0.0]), observed=np.array([1.0, 3.0, 9.0]))
    crps = uncertainty.crps_by_day(samples, np.zeros((3, 2, 1)), (1, 2))
    np.testing.assert_array_equal(crps[1], [2.0, 6.0, np.nan])
    np.testing.assert_array_equal(crps[2], [8.0, np.nan, np.nan])


def test_events_are_counted_by_their_gaps() -> None:
    """240 scored days have 12 large rises: six in a row, three after a gap of 10 days, three after a gap of 11 days."""
    rises = np.zeros(400)
    rises[[200, 201, 202, 203, 204, 205, 215, 216, 217, 228, 229, 230]] = 5.0
    level = np.append(0.0, rises[:-1].cumsum())
    dam = small_dam(hindcast={"leads": (1,), "start": day(159)})
    samples = samples_of(list(level))
    scores = scorecard.score(table_of(samples, dam, {"no_change": np.zeros(400)}), samples, dam)
    assert cell(scores, "mae", model="no_change")["n"] == 240
    assert cell(scores, "mae_top5", model="no_change")["value"] == 5
    assert cell(scores, "events", model="no_change")["value"] == 2


def test_the_interval_of_the_value_of_forecasts_is_the_90_interval() -> None:
    samples = samples_of(OBSERVED)
    table = table_of(samples, SMALL, {"no_change": np.zeros(5), "default": FORECAST})
    ends = interval_ends(table, samples, SMALL)
    np.testing.assert_array_equal(ends[1], FORECAST[:, None] + [-3.0, 3.0])
