"""Probabilities of reaching thresholds from sample paths, against direct counts and known truths."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.dams.dam import Dam
from forebay.features.full_supply import near_full_margin
from forebay.features.samples import Samples, make_samples
from forebay.models.exceedance import (
    Probabilities,
    calibration,
    first_times,
    past_frequencies,
    resolved,
    shares,
    shifted,
)
from forebay.verify.exceedance import ThresholdForecast, probability_table, threshold_forecasts
from forebay.verify.exceedance_scores import (
    MIN_DAYS,
    MIN_SPELLS,
    _bin,
    _is_near,
    past_frequency,
    reliability_bins,
    reliability_of_probabilities,
    score_probabilities,
    starts_before,
)
from forebay.verify.thresholds_ahead import thresholds_ahead
from tests.synthetic import FIRST_DAY, daily_frame, small_dam

LEADS = (1, 3, 7)
seeds = st.integers(0, 2**32 - 1)


def random_paths(seed: int, n: int = 6, leads: int = 3, members: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, leads, members)).round(1)


@given(seeds, st.sampled_from([-0.5, 0.0, 0.4]))
def test_the_shares_are_those_of_a_direct_count(seed: int, level: float) -> None:
    paths = random_paths(seed)
    thresholds = level + np.array([0.0, 0.1, -0.2]) * np.ones((len(paths), 1))
    above, below = (shares(paths, thresholds, direction) for direction in ("above", "below"))
    for row, path_set in enumerate(paths):
        for lead in range(3):
            on = [path[lead] >= thresholds[row, lead] for path in path_set.T]
            by = [any(path[k] >= thresholds[row, k] for k in range(lead + 1)) for path in path_set.T]
            assert above.on[row, lead] == np.mean(on) and above.by[row, lead] == np.mean(by)
            fallen = [any(path[k] <= thresholds[row, k] for k in range(lead + 1)) for path in path_set.T]
            assert below.by[row, lead] == np.mean(fallen)


@given(seeds)
def test_the_probability_by_a_day_rises_and_is_never_below_that_on_a_day(seed: int) -> None:
    paths = random_paths(seed)
    of_paths = shares(paths, np.zeros((len(paths), 3)), "above")
    changes = np.random.default_rng(seed).normal(size=(40, 3))
    past = past_frequencies(changes, np.full((6, 3), 0.3), [(0, 6)], leads=[1, 2, 3], direction="above")
    for frequency in (past, Probabilities(np.full((6, 3), np.nan), np.full((6, 3), np.nan))):
        result = Probabilities(*(resolved(s, f, 8) for s, f in zip(of_paths, frequency, strict=True)))
        for shift in (-1.0, 0.0, 2.0):
            on, by = (shifted(probability, shift) for probability in result)
            assert (np.diff(by, axis=1) >= 0).all() and (by >= on).all()
            assert ((by >= 0) & (by <= 1)).all()


def test_a_path_counts_by_a_day_if_it_was_beyond_on_any_day_before() -> None:
    paths = np.array([[[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]]])
    result = shares(paths, np.ones((1, 3)), "above")
    assert result.on.tolist() == [[0.5, 0.5, 0.0]]
    assert result.by.tolist() == [[0.5, 1.0, 1.0]], "each path was beyond on one day"


def test_without_a_forecast_or_a_threshold_nothing_is_given() -> None:
    paths = random_paths(1, n=3)
    paths[0, 1] = np.nan
    thresholds = np.zeros((3, 3))
    thresholds[1, 2] = np.nan
    result = shares(paths, thresholds, "above")
    assert np.isnan(result.on).tolist() == [[False, True, False], [False, False, True], [False] * 3]
    assert np.isnan(result.by).tolist() == [[False, True, True], [False, False, True], [False] * 3]


@pytest.mark.parametrize("seed", range(4))
def test_past_frequencies_are_those_of_a_direct_count(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, spans = 30, [(5, 12), (12, 30)]
    changes = random.normal(size=(n, 3)).round(1)
    changes[random.random((n, 3)) < 0.1] = np.nan
    distances = random.normal(0.5, 0.5, size=(n, 3)).round(1)
    for direction, sign in (("above", 1), ("below", -1)):
        result = past_frequencies(changes, distances, spans, leads=[1, 2, 4], direction=direction)
        expected = Probabilities(np.full((n, 3), np.nan), np.full((n, 3), np.nan))
        for start, end in spans:
            for column, lead in enumerate([1, 2, 4]):
                past = [sign * row for row in changes[: start - lead]]
                on = [row[column] for row in past if np.isfinite(row[column])]
                by = [row[: column + 1].max() for row in past if np.isfinite(row[: column + 1]).all()]
                for day in range(start, end):
                    need = sign * distances[day]
                    if on:
                        expected.on[day, column] = np.mean(np.array(on) >= need[column])
                    if by:
                        expected.by[day, column] = np.mean(np.array(by) >= need[: column + 1].min())
        np.testing.assert_allclose(np.stack(result), np.stack(expected))


def test_half_a_path_is_the_limit_of_what_the_past_changes() -> None:
    share = np.array([0.0, 0.0, 0.0, 0.02, 0.98, 1.0, 1.0, 1.0, np.nan])
    past = np.array([0.004, 0.5, np.nan, 0.5, 0.5, 0.5, 0.997, np.nan, 0.5])
    expected = [0.004, 0.01, 0.0, 0.02, 0.98, 0.99, 0.997, 1.0, np.nan]
    np.testing.assert_array_equal(resolved(share, past, 50), expected)


def calibrated_shift(error: float, days: int, seed: int = 3) -> float:
    """The shift after `days` forecasts whose log-odds are too low by `error`."""
    random = np.random.default_rng(seed)
    probability = random.uniform(0.05, 0.6, days)
    reached = (random.random(days) < shifted(probability, error)).astype(float)
    padded = [np.append(values, [np.nan] * 8) for values in (probability, reached)]
    return float(calibration(*padded, [(days + 7, days + 8)], longest_lead=7)[-1])


@pytest.mark.parametrize("error", [-1.0, 0.0, 0.8])
def test_a_constant_error_is_corrected_when_many_outcomes_show_it(error: float) -> None:
    assert calibrated_shift(error, 200_000) == pytest.approx(error, abs=0.05)


def test_few_outcomes_hardly_correct() -> None:
    assert abs(calibrated_shift(1.0, 30)) < 0.4 < calibrated_shift(1.0, 3000)


def test_the_shift_is_the_most_probable_one() -> None:
    """Against a search over a grid of the posterior: the normal prior times each outcome to the power of 1/14."""
    random = np.random.default_rng(5)
    probability = random.uniform(0.02, 0.9, 400)
    reached = (random.random(400) < 0.3).astype(float)
    grid = np.linspace(-3, 3, 6001)
    likelihood = [
        (np.log(np.where(reached, shifted(probability, g), 1 - shifted(probability, g))).sum() / 14) for g in grid
    ]
    best = grid[np.argmax(np.array(likelihood) - grid**2 / (2 * 0.5**2))]
    padded = [np.append(values, [np.nan] * 8) for values in (probability, reached)]
    assert calibration(*padded, [(407, 408)], longest_lead=7)[407] == pytest.approx(best, abs=1e-3)


def test_only_outcomes_known_at_the_refit_count() -> None:
    probability, reached = np.full(100, 0.2), np.zeros(100)
    spans = [(50, 60), (60, 100)]
    before = calibration(probability, reached, spans, longest_lead=7)
    later = reached.copy()
    later[50 - 7 :] = 1.0
    after = calibration(probability, later, spans, longest_lead=7)
    assert after[50] == before[50] != 0 and after[60] > before[60]
    assert before[:50].tolist() == [0.0] * 50, "before the first span nothing is learned"


def test_first_times() -> None:
    assert list(first_times(np.array([0.1, 0.5, 0.5]), [0.1, 0.5, 0.9], LEADS)) == [1, 3, None]


# The probabilities of a dam


def lake(
    days: int = 500, seed: int = 2, *, leads: tuple[int, ...] = LEADS, members: int = 50, **dam: object
) -> tuple[Dam, Samples, np.ndarray]:
    """A dam whose level returns to 9.9 m after random changes, its samples, and paths of the same process."""
    random = np.random.default_rng(seed)

    def next_level(level: np.ndarray) -> np.ndarray:
        return 9.9 + 0.95 * (level - 9.9) + random.normal(0, 0.05, level.shape)

    level = np.full(days, 9.9)
    for day in range(1, days):
        level[day : day + 1] = next_level(level[day - 1 : day])
    made = small_dam(hindcast={"leads": leads}, **({"full_supply": 10.0} | dam))
    frame = daily_frame(made, {"reservoir_level": level.tolist()})
    samples = make_samples(frame, frame, made)
    steps = [np.repeat(level[:, None], members, axis=1)]
    for _ in range(max(leads)):
        steps.append(next_level(steps[-1]))
    return made, samples, np.stack([steps[lead] - level[:, None] for lead in leads], axis=1)


def of(forecasts: list[ThresholdForecast], name: str, direction: str = "above") -> ThresholdForecast:
    return next(f for f in forecasts if (f.threshold.name, f.threshold.direction) == (name, direction))


def test_the_thresholds_of_a_dam() -> None:
    curve = {"rule_curve": [{"day": "01-01", "value": 8.0}, {"day": "07-01", "value": 9.0}]}
    dated = {"dated": [{"from": FIRST_DAY, "value": 9.5}, {"from": FIRST_DAY + timedelta(days=100), "value": 9.9}]}
    dam, samples, _ = lake(thresholds=[{"name": "rule", "level": curve}, {"name": "alert", "level": dated}])
    ahead = {(t.name, t.direction): t for t in thresholds_ahead(samples, dam)}
    rises = [f"level+{rise} m" for rise in ("0.1", "0.25", "0.5", "1")]
    both = [(name, side) for name in ("full_supply", "rule", "alert") for side in ("above", "below")]
    assert list(ahead) == both + [(name, "above") for name in rises]
    rule = dam.thresholds[0].level
    for column, lead in enumerate(LEADS):
        valid = pl.Series([FIRST_DAY + timedelta(days=200 + lead)])
        assert ahead["rule", "above"].known[200, column] == rule.on(valid)[0], "of each valid date"
    alert = ahead["alert", "below"]
    assert alert.known[97].tolist() == [9.5, 9.5, 9.5], "a later value is not known yet"
    assert alert.in_force[97].tolist() == [9.5, 9.9, 9.9]
    assert alert.known[100].tolist() == [9.9] * 3
    start = samples.start_level
    np.testing.assert_array_equal(ahead["level+0.25 m", "above"].known[:, 1], start + 0.25)
    np.testing.assert_array_equal(ahead["full_supply", "above"].is_beyond, start >= 10.0)
    np.testing.assert_array_equal(alert.is_beyond[200:], start[200:] <= 9.9)


def test_a_level_at_a_threshold_is_beyond_it_on_both_sides() -> None:
    dam, samples, _ = lake()
    level = samples.level.copy()
    level[100:103] = [9.999, 10.0, 10.001]
    samples = replace(samples, level=level, outages=None)
    ahead = {t.direction: t for t in thresholds_ahead(samples, dam) if not t.is_rise}
    assert {side: ahead[side].is_beyond[100:103].tolist() for side in ahead} == {
        "above": [False, True, True], "below": [True, True, False],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["full_supply", "level+1 m"])
def test_names_of_forebay_are_no_names_of_thresholds(name: str) -> None:
    with pytest.raises(ValueError, match="is a name of forebay itself; choose one that is not 'full_supply'"):
        small_dam(thresholds=[{"name": name, "level": 3.0}])


def test_the_probability_refers_to_the_threshold_of_each_side() -> None:
    dam, samples, paths = lake()
    forecasts = threshold_forecasts(samples, dam, paths)
    above, below = of(forecasts, "full_supply"), of(forecasts, "full_supply", "below")
    day = int(np.flatnonzero((samples.start_level < 10.0) & (samples.start_level > 9.95))[-10])
    levels = samples.start_level[day] + paths[day]
    raw = (levels >= 10.0).mean(axis=1)
    inside = (raw > 0) & (raw < 1)
    ratio = above.probabilities.on[day][inside] / (1 - above.probabilities.on[day][inside])
    odds = raw[inside] / (1 - raw[inside])
    assert np.allclose(ratio / odds, (ratio / odds)[0]), "one shift of the log-odds for all lead times"
    assert inside.sum() > 1 and ratio[0] != odds[0]
    assert below.threshold.is_beyond[day] and below.probabilities.by[day, 0] > 0.5


@pytest.mark.parametrize("direction", ["above", "below"])
def test_forecasts_from_days_beyond_the_threshold_correct_no_others(direction: str) -> None:
    """The chance to stay beyond is another question than the chance to get there."""
    dam, samples, paths = lake(days=900)
    own = of(threshold_forecasts(samples, dam, paths), "full_supply", direction)
    beyond = own.threshold.is_beyond
    assert min(beyond.sum(), (~beyond).sum()) > 100
    changed = np.where(beyond[:, None, None], np.random.default_rng(7).permuted(-paths, axis=2), paths)
    other = of(threshold_forecasts(samples, dam, changed), "full_supply", direction)
    for one, two in zip(own.probabilities, other.probabilities, strict=True):
        np.testing.assert_array_equal(one[~beyond], two[~beyond])
        assert not np.array_equal(one[beyond], two[beyond], equal_nan=True)


def test_no_probability_of_a_level_that_the_dam_cannot_hold() -> None:
    dam, samples, paths = lake(
        days=900, crest_level=10.5, thresholds=[{"name": "over the crest", "level": 10.6}], lowest_level=8.0
    )
    high = of(threshold_forecasts(samples, dam, paths + 2), "over the crest")
    assert (high.probabilities.by[5:] == 0).all() and (high.probabilities.on[5:] == 0).all()
    reachable = of(threshold_forecasts(samples, dam, paths + 2), "full_supply")
    assert reachable.probabilities.by[5:].min() > 0.5


def test_outcomes_count_every_day_up_to_the_lead_time() -> None:
    dam, samples, paths = lake()
    forecast = of(threshold_forecasts(samples, dam, paths), "level+0.1 m")
    observed = samples.observed.copy()
    for day in range(20, 490):
        need = samples.start_level[day] + 0.1
        for column, lead in enumerate(LEADS):
            assert forecast.outcomes.on[day, column] == (observed[day + lead] >= need)
            assert forecast.outcomes.by[day, column] == (observed[day + 1 : day + lead + 1] >= need).any()
    assert np.isnan(forecast.outcomes.on[-1]).all()


def test_a_missing_level_leaves_the_outcome_open_unless_it_was_reached() -> None:
    dam, samples, paths = lake()
    observed = samples.observed
    rise = of(threshold_forecasts(samples, dam, paths), "level+0.1 m")
    day = int(np.flatnonzero((rise.outcomes.by[:400, 2] == 1) & (rise.outcomes.by[:400, 0] == 0))[5])
    last = next(k for k in range(1, 8) if observed[day + k] >= samples.start_level[day] + 0.1)
    observed[day + 1] = np.nan
    again = of(threshold_forecasts(samples, dam, paths), "level+0.1 m")
    assert np.isnan(again.outcomes.by[day, 0]) and again.outcomes.by[day, 2] == 1.0
    observed[day + last] = np.nan
    rest = observed[day + 1 : day + 8]
    expected = 1.0 if (rest[np.isfinite(rest)] >= samples.start_level[day] + 0.1).any() else np.nan
    np.testing.assert_equal(of(threshold_forecasts(samples, dam, paths), "level+0.1 m").outcomes.by[day, 2], expected)


def test_true_paths_are_reliable_and_have_skill() -> None:
    """The paths have the distribution of the level itself, so the probabilities are right on average."""
    dam, samples, paths = lake(days=5000, seed=4, leads=(1, 2, 3), members=300)
    forecasts = threshold_forecasts(samples, dam, paths)
    reliability = reliability_of_probabilities(forecasts, samples, dam)
    rises = reliability.filter(pl.col("threshold") == "level+0.1 m", pl.col("n") >= 300)
    assert len(rises) >= 5 and set(rises["lead_time"]) == {1, 3}
    assert (rises["forecast"] - rises["observed"]).abs().max() < 0.04  # type: ignore[operator]  # a number
    scores = score_probabilities(forecasts, samples, dam).filter(
        pl.col("threshold") == "full_supply", pl.col("direction") == "above", pl.col("window") == "all",
        pl.col("kind") == "by",
    )  # fmt: skip
    assert set(scores["regime"]) == {"all", "near"}
    whole = scores.filter(pl.col("regime") == "all")
    assert (whole["events"] >= 10).all() and (whole["low"] > 0).all()
    assert (whole["low"] <= whole["skill"]).all() and (whole["skill"] <= whole["high"]).all()


def test_the_scores_are_those_of_a_direct_computation() -> None:
    dam, samples, paths = lake(days=1500, seed=9)
    samples.observed[700:720] = np.nan
    forecasts = threshold_forecasts(samples, dam, paths)
    forecast = of(forecasts, "full_supply")
    row = score_probabilities(forecasts, samples, dam).filter(
        pl.col("threshold") == "full_supply", pl.col("direction") == "above", pl.col("window") == "all",
        pl.col("regime") == "all", pl.col("kind") == "by", pl.col("lead_time") == 7,
    ).row(0, named=True)  # fmt: skip
    errors, outcomes, days, left_out = [], [], [], 0
    for day in range(600, 1500):  # after 40% of the record
        if samples.start_level[day] >= 10.0 or not np.isfinite(forecast.probabilities.by[day, 2]):
            continue
        week = samples.observed[day + 1 : day + 8]
        reached = bool((week[np.isfinite(week)] >= 10.0).any())
        if not reached and (len(week) < 7 or np.isnan(week).any()):
            left_out += 1
            continue
        errors.append((forecast.probabilities.by[day, 2] - reached) ** 2)
        outcomes.append(reached)
        days.append(day)
    assert (row["n"], row["left_out"]) == (len(days), left_out) and left_out > 7
    assert row["brier"] == pytest.approx(np.mean(errors)) and row["frequency"] == pytest.approx(np.mean(outcomes))
    hits = np.array(days)[outcomes]
    assert row["events"] == 1 + int((np.diff(hits) > 10).sum())


def test_no_skill_with_fewer_than_ten_events() -> None:
    dam, samples, paths = lake(days=600)
    scores = score_probabilities(threshold_forecasts(samples, dam, paths), samples, dam)
    assert scores.filter(pl.col("events") < 10)["skill"].null_count() == len(scores.filter(pl.col("events") < 10)) > 0
    assert scores.filter(pl.col("events") >= 10, pl.col("brier_frequency") > 0)["skill"].null_count() == 0


def test_the_past_frequency_counts_the_outcomes_known_before_a_span() -> None:
    outcome = np.array([1, 0, 0, 0, 1, 1, np.nan, 0, 0, 0], float)
    starts = np.ones(10, bool)
    starts[1] = False
    result = past_frequency(outcome, starts, [(5, 8), (8, 10)], lead=2)
    assert np.isnan(result[:5]).all()
    assert result[5:8].tolist() == [1 / 2] * 3 and result[8:].tolist() == [3 / 5] * 2


@given(seeds, st.integers(1, 60))
def test_every_bin_has_enough_days_and_spells(seed: int, persistence: int) -> None:
    random = np.random.default_rng(seed)
    probability = np.repeat(random.beta(0.3, 2, 900), persistence)[:900]
    days = np.flatnonzero(random.random(900) < 0.5)
    bins = reliability_bins(probability, days)
    if bins:
        np.testing.assert_array_equal(np.sort(np.concatenate(bins)), days)
    for low, high in zip(bins, bins[1:], strict=False):
        assert probability[low].max() <= probability[high].min()
    for days_of_bin in bins:
        assert len(days_of_bin) >= MIN_DAYS
        assert 1 + (np.diff(days_of_bin) > 10).sum() >= MIN_SPELLS
    assert reliability_bins(probability, days[:15]) == []


def test_days_beyond_the_threshold_and_without_a_level_are_not_scored() -> None:
    dam, samples, paths = lake(days=400)
    forecast = of(threshold_forecasts(samples, dam, paths), "full_supply")
    starts = starts_before(forecast.threshold, samples)
    assert not starts[samples.start_level >= 10.0].any() and starts[samples.start_level < 10.0].all()


def test_the_table_has_a_row_per_threshold_kind_and_lead_time() -> None:
    dam, samples, paths = lake(days=300)
    forecasts = threshold_forecasts(samples, dam, paths)
    day: date = samples.dates[250].item()
    table = probability_table(forecasts, samples, dam, day)
    assert len(table) == len(forecasts) * 2 * len(LEADS)
    row = table.filter(
        pl.col("threshold") == "level+0.5 m", pl.col("kind") == "by", pl.col("lead_time") == 3
    ).row(0, named=True)  # fmt: skip
    assert row["valid_date"] == day + timedelta(days=3)
    assert row["threshold_level"] == samples.start_level[250] + 0.5
    assert row["probability"] == of(forecasts, "level+0.5 m").probabilities.by[250, 1]
    assert len(probability_table(forecasts, samples, dam)) > 200 * len(table)


def test_only_a_level_of_the_day_that_is_not_beyond_is_a_start() -> None:
    """A forecast from an older level does not show whether the lake is beyond the threshold now."""
    level = np.array([9.0, np.nan, 9.0, 11.0, 9.0])
    samples = SimpleNamespace(level=level, start_level=np.array([9.0, 9.0, 9.0, 11.0, 9.0]),
                              level_age=np.array([0, 1, 2, 0, 0]))  # fmt: skip
    known = np.full((5, 3), 10.0)
    known[4, 1] = np.nan
    threshold = SimpleNamespace(known=known, is_beyond=samples.start_level >= 10.0)
    assert starts_before(threshold, samples).tolist() == [True, False, False, False, False]  # type: ignore[arg-type]


def test_a_day_is_near_within_two_margins() -> None:
    dam, samples, _ = lake(days=400)
    margin = near_full_margin(dam, pl.Series(samples.dates).cast(pl.Date)).to_numpy().astype(float)
    distance = np.linspace(-4, 4, len(margin))
    threshold = SimpleNamespace(known=(samples.start_level + distance * margin)[:, None])
    near = _is_near(threshold, samples, dam)  # type: ignore[arg-type]  # its level alone
    assert near.tolist() == (np.abs(distance) <= 2).tolist() and np.isfinite(margin).all()


@pytest.mark.parametrize(("gap", "spells"), [(1, 1), (10, 1), (11, 30)])
def test_days_at_most_ten_days_apart_are_one_spell_of_a_bin(gap: int, spells: int) -> None:
    days = 3 + gap * np.arange(30)
    row = _bin(np.full(30, 0.2), np.arange(30) % 5 == 0, days)
    assert (row["n"], row["spells"], row["observed"]) == (30, spells, 0.2)


def test_a_probability_at_the_end_of_a_bin_belongs_to_the_next_one() -> None:
    days = np.arange(80) * 20
    probability = np.zeros(1600)
    probability[days] = np.repeat([0.05, 0.1, 0.15, 0.2], 20)
    shares = [sorted(set(probability[one].tolist())) for one in reliability_bins(probability, days)]
    assert shares == [[0.05], [0.1, 0.15], [0.2]]
