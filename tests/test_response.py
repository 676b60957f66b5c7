"""The response near full supply, on dams whose answer to a predicted rise is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.features.full_supply import FullSupply
from forebay.models.response import RESPONSES, respond, response_weights
from forebay.tables import QUANTILES

DAYS, FULL, MARGIN = 400, 100.0, 0.5
RNG = np.random.default_rng(7)
START = FULL - RNG.uniform(0.0, 0.4, DAYS)
CHANGES = RNG.uniform(-0.2, 1.5, (DAYS, 1))


def full_supply(days_above: int = 0, *, level: float = FULL, margin: float = MARGIN, days: int = DAYS) -> FullSupply:
    full = np.full(days, level)
    return FullSupply(full, np.full(days, margin), np.full(days, days_above), dict.fromkeys(range(1, 8), full))


def weights_of(
    changes: np.ndarray, observed: np.ndarray, start: np.ndarray, full: FullSupply, lead_time: int = 1,
    probabilities: Sequence[float] = (0.5,),
) -> np.ndarray:
    """`response_weights` of one lead time, shape (n, k, responses)."""
    return response_weights(
        changes[:, None], observed[:, None], start, full, leads=[lead_time], probabilities=probabilities
    )[:, 0]


def answer(changes: np.ndarray, start: np.ndarray, full: FullSupply, weights: np.ndarray) -> np.ndarray:
    """`respond` of one lead time, shape (n, k)."""
    return respond(changes[:, None], start, full, weights[:, None], leads=[1])[:, 0]


def after_response(observed: np.ndarray, changes: np.ndarray = CHANGES, **options: object) -> np.ndarray:
    full = full_supply(**options)  # type: ignore[arg-type]  # options of full_supply
    weights = weights_of(changes, observed, START, full, probabilities=[0.5] * changes.shape[1])
    return answer(changes, START, full, weights)


def test_gates_that_hold_the_level_are_learned() -> None:
    held = np.minimum(CHANGES[:, 0], FULL - START)
    error = np.abs(after_response(held)[:, 0] - held)
    assert error[-100:].mean() < 0.2 * error[:3].mean()
    assert error[:3].mean() < np.abs(CHANGES[:3, 0] - held[:3]).mean(), "the first weights expect a response"


@pytest.mark.parametrize("days_above", [0, 30])
def test_a_dam_without_response_keeps_its_forecasts(days_above: int) -> None:
    error = np.abs(after_response(CHANGES[:, 0], days_above=days_above) - CHANGES)
    assert error[-100:].mean() < 0.01
    assert error[0] < (1.0 if days_above else 2.0)


def test_days_in_a_flood_pool_count_against_a_response() -> None:
    unknown = np.full(DAYS, np.nan)
    effects = [np.abs(after_response(unknown, days_above=days) - CHANGES).mean() for days in (0, 10, 1000)]
    assert effects[0] > 1.5 * effects[1] > 10 * effects[2] > 0


def test_a_part_of_the_rise_remains() -> None:
    part = np.where(START + CHANGES[:, 0] > FULL, FULL + 0.3 * (START + CHANGES[:, 0] - FULL) - START, CHANGES[:, 0])
    error = np.abs(after_response(part)[:, 0] - part)
    assert error[-100:].mean() < 0.3 * np.abs(CHANGES[-100:, 0] - part[-100:]).mean()


def test_a_forecast_below_full_supply_is_not_changed() -> None:
    changes = np.minimum(CHANGES, (FULL - 0.6 * MARGIN - START)[:, None])
    np.testing.assert_allclose(after_response(np.full(DAYS, np.nan), changes), changes, rtol=1e-12)


def test_without_full_supply_nothing_changes() -> None:
    unknown = full_supply(level=np.nan)
    held = np.minimum(CHANGES[:, 0], FULL - START)
    weights = weights_of(CHANGES, held, START, unknown)
    np.testing.assert_array_equal(answer(CHANGES, START, unknown, weights), CHANGES)


@settings(max_examples=40)
@given(st.integers(1, 7), st.integers(10, 300), st.integers(0, 2**32 - 1))
def test_weights_use_only_changes_that_are_known(lead_time: int, day: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    observed = np.where(rng.random(DAYS) < 0.5, -5.0, 5.0)  # far below or above every forecast
    other = -observed
    later = np.where(np.arange(DAYS) <= day - lead_time, observed, other)
    weights = [weights_of(CHANGES, known, START, full_supply(), lead_time) for known in (observed, later)]
    np.testing.assert_array_equal(weights[0][: day + 1], weights[1][: day + 1])
    acts = START + CHANGES[:, 0] > FULL - 0.5 * MARGIN
    if day + 1 < DAYS - 1 and START[day - lead_time + 1] + CHANGES[day - lead_time + 1, 0] > FULL and acts[day + 1]:
        assert (weights[0][day + 1] != weights[1][day + 1]).any()


@pytest.mark.parametrize("unit", [0.001, 3.28])
def test_the_unit_and_the_datum_do_not_matter(unit: float) -> None:
    held = np.minimum(CHANGES[:, 0], FULL - START)
    expected = after_response(held)
    full = full_supply(level=unit * FULL + 7.0, margin=unit * MARGIN)
    start = unit * START + 7.0
    weights = weights_of(unit * CHANGES, unit * held, start, full)
    np.testing.assert_allclose(answer(unit * CHANGES, start, full, weights), unit * expected, rtol=1e-6, atol=1e-9)


def test_each_quantile_learns_from_its_own_loss() -> None:
    """The level is held on two days of three: the median learns it, the 0.95 quantile keeps the rise."""
    changes = np.tile(CHANGES, (1, len(QUANTILES)))
    held = np.where(np.arange(DAYS) % 3 > 0, np.minimum(CHANGES[:, 0], FULL - START), CHANGES[:, 0])
    weights = weights_of(changes, held, START, full_supply(), probabilities=QUANTILES)
    answered = answer(changes, START, full_supply(), weights)
    rises = np.flatnonzero(START + CHANGES[:, 0] > FULL + MARGIN)[-30:]
    excess = (START[:, None] + answered - FULL)[rises] / (START + CHANGES[:, 0] - FULL)[rises, None]
    assert excess[:, 3].mean() < 0.2
    assert excess[:, 6].mean() > 0.9


def test_starts_above_full_supply_learn_apart() -> None:
    """Above the margin the level falls to full supply; near it nothing responds."""
    start = np.where(np.arange(DAYS) % 2 == 0, FULL + 2.0, START)
    changes = np.full((DAYS, 1), 1.0)
    observed = np.where(start > FULL + MARGIN, FULL - start, 1.0)
    weights = weights_of(changes, observed, start, full_supply())
    returns = np.array([response.returns for response in RESPONSES])
    assert weights[-2, 0, returns].sum() > 0.9
    assert weights[-1, 0, 0] > 0.9


@given(st.integers(0, 2**32 - 1))
def test_a_level_forecast_above_full_supply_stays_above_it(seed: int) -> None:
    """So the response changes how far a lake rises beyond full supply, never whether it is full."""
    rng = np.random.default_rng(seed)
    start = FULL + rng.uniform(-2.0, 2.0, DAYS)
    changes = rng.uniform(-3.0, 3.0, (DAYS, 3))
    observed = rng.uniform(-3.0, 3.0, DAYS)
    weights = weights_of(changes, observed, start, full_supply(), probabilities=[0.1, 0.5, 0.9])
    before, after = start[:, None] + changes, start[:, None] + answer(changes, start, full_supply(), weights)
    np.testing.assert_array_equal(after >= FULL - 1e-9, before >= FULL - 1e-9)


def test_a_response_has_no_jump_at_full_supply() -> None:
    """Quantiles a hair below and above full supply stay together, so rounding changes no forecast."""
    start = np.full(DAYS, FULL - 0.5)
    below, above = np.full((DAYS, 1), 0.5 - 1e-9), np.full((DAYS, 1), 0.5 + 1e-9)
    weights = weights_of(above, np.full(DAYS, np.nan), start, full_supply())
    gap = answer(above, start, full_supply(), weights) - answer(below, start, full_supply(), weights)
    assert (gap >= 0).all()
    assert gap.max() < 1e-8


def test_near_lead_times_have_near_responses() -> None:
    """Gates hold the lake, but the outcomes of 4 days are unknown: 4 days learns from 3 and 5, and less from 1."""
    leads = (1, 3, 4, 5)
    changes = np.repeat(CHANGES[:, None], 4, axis=1)
    held = np.minimum(changes[:, :, 0], (FULL - START)[:, None])
    held[:, 2] = np.nan
    weights = response_weights(changes, held, START, full_supply(), leads=leads, probabilities=[0.5])
    unknown = np.full_like(held, np.nan)
    first = response_weights(changes, unknown, START, full_supply(), leads=leads, probabilities=[0.5])
    answered = respond(changes, START, full_supply(), weights, leads=leads)
    untaught = respond(changes, START, full_supply(), first, leads=leads)
    rises = np.flatnonzero(START + CHANGES[:, 0] > FULL + MARGIN)[-30:]
    excess, before = ((START[:, None] + x[:, 2] - FULL)[rises].mean() for x in (answered, untaught))
    assert excess < 0.5 * before
    only_first = held.copy()
    only_first[:, 1:] = np.nan
    weak = response_weights(changes, only_first, START, full_supply(), leads=leads, probabilities=[0.5])
    far = np.abs(weak[-1, 2] - first[-1, 2]).sum()
    assert far < np.abs(weights[-1, 2] - first[-1, 2]).sum()


def test_distant_lead_times_learn_apart() -> None:
    """Gates hold the lake for a day; after a week the rise has come in full."""
    leads = (1, 7)
    changes = np.repeat(CHANGES[:, None], 2, axis=1)
    outcomes = np.column_stack([np.minimum(CHANGES[:, 0], FULL - START), CHANGES[:, 0]])
    weights = response_weights(changes, outcomes, START, full_supply(), leads=leads, probabilities=[0.5])
    answered = START[:, None] + respond(changes, START, full_supply(), weights, leads=leads)[:, :, 0] - FULL
    rises = np.flatnonzero(START + CHANGES[:, 0] > FULL + MARGIN)[-30:]
    assert answered[rises, 0].mean() < 0.15 * (START + CHANGES[:, 0] - FULL)[rises].mean()
    assert answered[rises, 1].mean() > 0.85 * (START + CHANGES[:, 0] - FULL)[rises].mean()


def test_a_start_above_full_supply_is_above_that_of_its_own_day() -> None:
    """The rule curve falls by 2 in a day: a lake at full supply is not in the flood pool, whatever comes."""
    full = FullSupply(np.full(DAYS, FULL), np.full(DAYS, MARGIN), np.zeros(DAYS, int), {1: np.full(DAYS, FULL - 2.0)})
    start = np.full(DAYS, FULL)
    in_pool = np.arange(DAYS) % 2 == 0
    start[in_pool] += 2.0
    changes = np.full((DAYS, 1), 1.0)
    observed = np.where(in_pool, FULL - 2.0 - start, 1.0)
    weights = weights_of(changes, observed, start, full)
    assert weights[-1, 0, 0] > 0.9, "at full supply no response, as observed"
    assert weights[-2, 0, 0] < 0.1
