"""Scores of past probabilities of reaching thresholds: Brier score and skill, and reliability.

Scored are init dates with a level that is not beyond the threshold. An init date whose outcome is unknown, because a
level is missing and none was beyond the threshold, is left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay import metrics
from forebay.features.full_supply import near_full_margin
from forebay.tables import MIN_EVENTS, summary_leads
from forebay.verify.hindcast import first_origin, refit_days
from forebay.verify.scorecard import BAND, EVENT_GAP, RESAMPLES, paired_gain, windows
from forebay.verify.tables import PROBABILITY_RELIABILITY, PROBABILITY_SCORES

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.models.model import Array
    from forebay.verify.exceedance import ThresholdForecast
    from forebay.verify.thresholds_ahead import ThresholdAhead

NEAR_MARGINS = 2
"""A day is near a threshold within so many margins of it (`near_full_margin`)."""
MIN_DAYS, MIN_SPELLS = 20, 5
"""Days, and spells of days, that each bin of the reliability has at least."""
BIN_ENDS = (0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Probabilities between the bins, before bins with few days are joined."""


def score_probabilities(forecasts: Sequence[ThresholdForecast], samples: Samples, dam: Dam) -> pl.DataFrame:
    """`verify.tables.PROBABILITY_SCORES` of every threshold, kind and window, at the lead times of `summary_leads`."""
    refits = refit_days(samples.dates, first_origin(samples, dam))
    spans = list(zip(refits, [*refits[1:], len(samples.dates)], strict=True))
    inside = windows(samples, dam)
    rows = [
        row
        for forecast in forecasts
        for row in _scores_of(forecast, samples, dam, windows=inside, spans=spans)
    ]
    return PROBABILITY_SCORES.check(pl.DataFrame(rows, schema=PROBABILITY_SCORES.columns), unique=True)


def _scores_of(
    forecast: ThresholdForecast,
    samples: Samples,
    dam: Dam,
    *,
    windows: Mapping[str, NDArray[np.bool_]],
    spans: Sequence[tuple[int, int]],
) -> Iterator[dict[str, object]]:
    threshold, starts = forecast.threshold, starts_before(forecast.threshold, samples)
    regimes = {"all": starts}
    if not threshold.is_rise:
        regimes["near"] = starts & _is_near(threshold, samples, dam)
    for kind in ("on", "by"):
        probability, outcome = getattr(forecast.probabilities, kind), getattr(forecast.outcomes, kind)
        for lead in summary_leads(dam.hindcast.leads):
            column = dam.hindcast.leads.index(lead)
            reference = past_frequency(outcome[:, column], starts, spans, lead)
            columns = np.stack([probability[:, column], outcome[:, column], reference])
            for window, in_window in windows.items():
                for regime, mask in regimes.items():
                    scores = _score(columns, np.flatnonzero(in_window & mask))
                    yield {
                        "dam": dam.id, "threshold": threshold.name, "direction": threshold.direction, "kind": kind,
                        "window": window, "regime": regime, "lead_time": lead, **scores,
                    }  # fmt: skip


def starts_before(threshold: ThresholdAhead, samples: Samples) -> NDArray[np.bool_]:
    """Whether each init date has a level of its own that is not beyond the threshold, shape (n,)."""
    is_known = np.isfinite(threshold.known).all(axis=1)
    return np.asarray((samples.level_age == 0) & np.isfinite(samples.level) & ~threshold.is_beyond & is_known)


def _is_near(threshold: ThresholdAhead, samples: Samples, dam: Dam) -> NDArray[np.bool_]:
    margin = near_full_margin(dam, pl.Series(samples.dates).cast(pl.Date)).to_numpy().astype(float)
    distance = np.abs(threshold.known[:, 0] - samples.start_level)
    return np.asarray(distance <= NEAR_MARGINS * margin)


def past_frequency(
    outcome: Array, starts: NDArray[np.bool_], spans: Sequence[tuple[int, int]], lead: int
) -> Array:
    """Share of the outcomes known at the start of each span, over the days in `starts`; NaN without one; shape (n,)."""
    frequency = np.full(len(outcome), np.nan)
    for start, end in spans:
        past = outcome[: max(0, start - lead)][starts[: max(0, start - lead)]]
        past = past[np.isfinite(past)]
        if len(past):
            frequency[start:end] = past.mean()
    return frequency


def _score(columns: Array, rows: NDArray[np.intp]) -> dict[str, object]:
    """Scores of the days `rows`; `columns` are probability, outcome and reference, shape (3, n)."""
    rows = rows[np.isfinite(columns[[0, 2]][:, rows]).all(axis=0)]
    scored = rows[np.isfinite(columns[1, rows])]
    result: dict[str, object] = dict.fromkeys(
        ("frequency", "brier", "brier_frequency", "skill", "low", "high")
    )
    result |= {"n": len(scored), "left_out": len(rows) - len(scored), "events": 0}
    if not len(scored):
        return result
    probability, outcome, reference = columns[:, scored]
    errors, reference_errors = (probability - outcome) ** 2, (reference - outcome) ** 2
    events = metrics.independent_events(scored[outcome > 0], EVENT_GAP)
    result |= {"frequency": float(outcome.mean()), "events": events}
    result |= {"brier": float(errors.mean()), "brier_frequency": float(reference_errors.mean())}
    if events >= MIN_EVENTS:
        result |= dict(zip(("skill", "low", "high"), paired_gain(errors, reference_errors, scored), strict=True))
    return result


def reliability_of_probabilities(
    forecasts: Sequence[ThresholdForecast], samples: Samples, dam: Dam
) -> pl.DataFrame:
    """`verify.tables.PROBABILITY_RELIABILITY` of reaching each threshold by each lead time of `summary_leads`."""
    inside = windows(samples, dam).get("all", np.zeros(len(samples.dates), bool))
    parts = [PROBABILITY_RELIABILITY.empty()]
    for forecast in forecasts:
        starts = inside & starts_before(forecast.threshold, samples)
        for lead in summary_leads(dam.hindcast.leads):
            column = dam.hindcast.leads.index(lead)
            probability, outcome = forecast.probabilities.by[:, column], forecast.outcomes.by[:, column]
            days = np.flatnonzero(starts & np.isfinite(probability) & np.isfinite(outcome))
            rows = [
                {
                    "dam": dam.id, "threshold": forecast.threshold.name, "direction": forecast.threshold.direction,
                    "lead_time": lead, **_bin(probability[bin_days], outcome[bin_days], bin_days),
                }
                for bin_days in reliability_bins(probability, days)
            ]  # fmt: skip
            parts.append(pl.DataFrame(rows, schema=PROBABILITY_RELIABILITY.columns))
    return PROBABILITY_RELIABILITY.check(pl.concat(parts), unique=True)


def reliability_bins(probability: Array, days: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """`days` by bins of their probability, rising; each has `MIN_DAYS` and `MIN_SPELLS`; empty with too few days.

    A bin with too few is joined to the next one, the last to those before it. Days between two spells make one of them.
    """
    place = np.searchsorted(BIN_ENDS, probability[days], side="right")
    bins: list[NDArray[np.intp]] = []
    waiting = days[:0]
    for number in range(len(BIN_ENDS) + 1):
        waiting = np.union1d(waiting, days[place == number])
        if _is_enough(waiting):
            bins.append(waiting)
            waiting = days[:0]
    while bins and len(waiting):
        waiting = np.union1d(bins.pop(), waiting)
        if _is_enough(waiting):
            bins.append(waiting)
            break
    return bins


def _is_enough(days: NDArray[np.intp]) -> bool:
    return len(days) >= MIN_DAYS and metrics.independent_events(days, EVENT_GAP) >= MIN_SPELLS


def _bin(probability: Array, outcome: Array, days: NDArray[np.intp]) -> dict[str, object]:
    """A bin's row: its size, mean probability, observed frequency and the band of resampled spells (seeded)."""
    spell = np.cumsum(np.diff(days, prepend=days[0]) > EVENT_GAP)
    count = int(spell[-1]) + 1
    random = np.random.default_rng(20120101)
    resampled = random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(float)
    frequency = resampled @ np.bincount(spell, outcome) / (resampled @ np.bincount(spell))
    low, high = metrics.quantiles(frequency, BAND)
    return {
        "lowest": float(probability.min()), "highest": float(probability.max()), "n": len(days), "spells": count,
        "forecast": float(probability.mean()), "observed": float(outcome.mean()), "low": low, "high": high,
    }  # fmt: skip
