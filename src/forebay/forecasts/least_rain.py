"""The inverse of scenarios: the least rain that brings the level to a threshold with a given probability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.dams.variables import VARIABLES
from forebay.forecasts.scenario import Scenario
from forebay.tables import LEAST_RAIN

if TYPE_CHECKING:
    from forebay.forecasts.scenario import ScenarioDay
    from forebay.models.model import Array

DAYS = (1, 2, 3)
"""Days on which the rain falls, in equal parts."""
LIKELIHOODS = (0.1, 0.5, 0.9)
"""Probabilities of reaching the threshold by the last lead time."""
FIRST_STEPS, NEXT_STEPS = 40, 32
"""Amounts that are tried, from 1 mm to the largest, and between two of them: the answer is exact to 1%."""


def least_rain(
    day: ScenarioDay, dam_id: str, name: str, levels: Array, release: tuple[float, ...] = ()
) -> pl.DataFrame:
    """`tables.LEAST_RAIN` of one threshold.

    Parameters
    ----------
    name, levels
        The threshold, and its level on each valid date, shape (leads,).
    release
        As in `Scenario`.
    """
    rows = []
    largest_daily = VARIABLES["rainfall"].plausible[1]
    for days in (days for days in DAYS if days <= max(day.leads)):

        def reached(amounts: Array, days: int = days) -> Array:
            """Probability of reaching the threshold by the last lead time, for each amount."""
            scenarios = [Scenario("", (float(amount) / days,) * days, release=release) for amount in amounts]
            return day.answer(scenarios).probabilities(levels).by[:, -1]

        for likelihood, rain in zip(LIKELIHOODS, _least(reached, largest_daily * days), strict=True):
            rows.append(
                {
                    "dam": dam_id,
                    "init_date": day.init_date,
                    "threshold": name,
                    "hours": 24 * days,
                    "probability": likelihood,
                    "rain": rain,
                    "largest": largest_daily * days,
                    "extrapolates": None if rain is None else _extrapolates(day, rain, days),
                }
            )
    return LEAST_RAIN.check(pl.DataFrame(rows, schema=LEAST_RAIN.columns))


def _least(reached: Callable[[Array], Array], largest: float) -> list[float | None]:
    """The least rain (mm) with each of `LIKELIHOODS`; None where the largest amount is not enough."""
    amounts = np.concatenate([[0.0], np.geomspace(1.0, largest, FIRST_STEPS)])
    coarse = reached(amounts)
    answers: list[float | None] = []
    for likelihood in LIKELIHOODS:
        enough = np.flatnonzero(coarse >= likelihood)
        if not len(enough):
            answers.append(None)
        elif enough[0] == 0:
            answers.append(0.0)
        else:
            between = np.linspace(amounts[enough[0] - 1], amounts[enough[0]], NEXT_STEPS)
            answers.append(float(between[np.flatnonzero(reached(between) >= likelihood)[0]]))
    return answers


def _extrapolates(day: ScenarioDay, rain: float, days: int) -> bool:
    """Whether the rain is more than any of so many days, or of the next longer lead time, in training."""
    lead = min(lead for lead in day.leads if lead >= days)
    return rain > day.leads[lead].largest_rain


def least_rain_sentences(table: pl.DataFrame) -> Sequence[str]:
    """What the answers of `table` do not say: no rain is needed, no rain is enough, or it is beyond the record."""
    sentences = []
    if (table["rain"] == 0).any():
        sentences.append("0 mm: the level reaches the threshold with this probability without any rain.")
    missing = table.filter(pl.col("rain").is_null())
    if len(missing):
        first = missing.unique("hours", keep="first", maintain_order=True).select("largest", "hours", "probability")
        parts = (f"{row[0]:,.0f} mm in {row[1]} h ({100 * row[2]:.0f}%)" for row in first.iter_rows())
        sentences.append(f"Not reached even by the largest rain that is answered: {', '.join(parts)}.")
    if table["extrapolates"].any():
        sentences.append("Amounts with * are more than any rain in the training record; they are extrapolations.")
    return sentences
