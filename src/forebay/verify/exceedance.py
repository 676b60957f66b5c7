"""The probabilities of reaching thresholds on every init date of a hindcast, and what happened.

The forecast of an init date is its row of the hindcast. The probabilities refer to the daily value that the target
gauge defines, such as the mean of the day: within the day the level can be higher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.models.exceedance import (
    Probabilities,
    calibration,
    past_frequencies,
    resolved,
    shares,
    shifted,
    signed,
)
from forebay.models.rows import ALL_ROWS, Rows
from forebay.tables import PROBABILITIES
from forebay.verify.hindcast import first_origin, refit_days
from forebay.verify.thresholds_ahead import ThresholdAhead, thresholds_ahead

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.models.model import Array


@dataclass(frozen=True)
class ThresholdForecast:
    """Probabilities of a threshold on every init date, and the outcomes.

    Attributes
    ----------
    threshold
        The threshold.
    probabilities
        NaN where there is no forecast or the threshold is unknown.
    outcomes
        1 where the level was beyond the threshold, 0 where not, NaN where unknown; as `probabilities`.
    """

    threshold: ThresholdAhead
    probabilities: Probabilities
    outcomes: Probabilities


def threshold_forecasts(
    samples: Samples, dam: Dam, paths: Array, rows: Rows = ALL_ROWS
) -> tuple[ThresholdForecast, ...]:
    """Probabilities and outcomes of every threshold of the dam on every init date.

    Parameters
    ----------
    paths
        Changes of the sample paths of `default`, shape (n, leads, members).
    rows
        The rows of an earlier hindcast, and the days to compute.
    """
    leads = dam.hindcast.leads
    refits = refit_days(samples.dates, first_origin(samples, dam))
    spans = [span for span in zip(refits, [*refits[1:], len(samples.dates)], strict=True) if span[1] > rows.first]
    changes = samples.changes(samples.trusted, leads)
    forecasts = []
    for threshold in thresholds_ahead(samples, dam):
        name = f"{threshold.name}/{threshold.direction}"
        distances = threshold.known - samples.start_level[:, None]
        past = past_frequencies(changes, distances, spans, leads=leads, direction=threshold.direction)
        late = slice(rows.first, None)
        levels = samples.start_level[late, None, None] + paths[late]
        of_paths = shares(levels, threshold.known[late], threshold.direction)
        raw = (resolved(s, f[late], paths.shape[2]) for s, f in zip(of_paths, past, strict=True))
        possible = (is_possible[late] for is_possible in _possible(samples, threshold, leads))
        of_limits = (np.where(is_possible, p, 0.0 * p) for p, is_possible in zip(raw, possible, strict=True))
        raw_rows = (rows.extend(f"{name}/{kind}", p) for kind, p in zip(Probabilities._fields, of_limits, strict=True))
        probabilities = Probabilities(*raw_rows)
        learns = (samples.level_age == 0) & ~threshold.is_beyond
        shift = calibration(
            np.where(learns, probabilities.by[:, -1], np.nan),
            _outcomes(samples.trusted, threshold, leads).by[:, -1],
            [span for span in spans if span[0] >= rows.first],
            longest_lead=max(leads),
        )
        shift = _since_refit(shift, f"{name}/shift", spans, rows)
        shift = np.where(threshold.is_beyond, 0.0, shift)[:, None]
        calibrated = Probabilities(*(shifted(probability, shift) for probability in probabilities))
        forecasts.append(ThresholdForecast(threshold, calibrated, _outcomes(samples.observed, threshold, leads)))
    return tuple(forecasts)


def _since_refit(shift: Array, name: str, spans: Sequence[tuple[int, int]], rows: Rows) -> Array:
    """The shift of each day; a span that began before the first computed day goes on with the shift of the day before.

    Parameters
    ----------
    shift
        Of the spans that begin later, shape (n,).
    """
    if rows.first and spans and spans[0][0] < rows.first:
        shift[rows.first : spans[0][1]] = rows.earlier[name][rows.first - 1]
    return rows.extend(name, shift)


def _possible(
    samples: Samples, threshold: ThresholdAhead, leads: Sequence[int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the dam's limits allow a level beyond the threshold on each lead time, and on any day up to it."""
    side = 1 if threshold.direction == "above" else 0
    ends = np.stack([samples.limits.get(lead, samples.possible)[side] + np.zeros(len(samples.dates)) for lead in leads])
    possible: NDArray[np.bool_] = np.asarray(~(signed(ends.T - threshold.known, threshold.direction) < 0))
    return possible, np.logical_or.accumulate(possible, axis=1)


def _outcomes(level: Array, threshold: ThresholdAhead, leads: Sequence[int]) -> Probabilities:
    """Whether a level, shape (n,), was beyond a threshold on each lead time, and on any day up to it.

    The days between two lead times count by the threshold of the later one.
    """
    above = np.full((len(level), max(leads)), np.nan)
    in_force = threshold.in_force[:, np.searchsorted(leads, np.arange(1, max(leads) + 1))]
    for day in range(1, max(leads) + 1):
        above[:-day, day - 1] = level[day:] - in_force[:-day, day - 1]
    beyond = signed(above, threshold.direction) >= 0
    unknown = np.isnan(above)
    on = np.where(unknown, np.nan, beyond)
    by_now = np.logical_or.accumulate(beyond, axis=1)
    by = np.where(by_now, 1.0, np.where(np.logical_or.accumulate(unknown, axis=1), np.nan, 0.0))
    columns = np.asarray(leads) - 1
    return Probabilities(on[:, columns], by[:, columns])


def probability_table(
    forecasts: Sequence[ThresholdForecast], samples: Samples, dam: Dam, init_date: date | None = None
) -> pl.DataFrame:
    """`tables.PROBABILITIES` of every init date, or of one of them."""
    rows = np.arange(len(samples.dates))
    if init_date is not None:
        rows = rows[samples.dates == np.datetime64(init_date)]
    parts = [_rows_of(forecast, samples, dam, rows) for forecast in forecasts]
    return PROBABILITIES.check(pl.concat([PROBABILITIES.empty(), *parts]), unique=True)


def _rows_of(forecast: ThresholdForecast, samples: Samples, dam: Dam, rows: NDArray[np.intp]) -> pl.DataFrame:
    """Rows of one threshold: the init dates of each lead time, `on` before `by`."""
    leads, kinds = np.asarray(dam.hindcast.leads), Probabilities._fields
    lead_time = np.tile(np.repeat(leads, len(rows)), len(kinds))
    dates = np.tile(samples.dates[rows], len(kinds) * len(leads))
    level = np.tile(forecast.threshold.known[rows].T.ravel(), len(kinds))
    return pl.DataFrame(
        {
            "dam": dam.id,
            "init_date": pl.Series(dates).cast(pl.Date),
            "threshold": forecast.threshold.name,
            "direction": forecast.threshold.direction,
            "kind": pl.Series(np.repeat(kinds, len(leads) * len(rows))),
            "lead_time": pl.Series(lead_time).cast(pl.Int32),
            "valid_date": pl.Series(dates + lead_time.astype("timedelta64[D]")).cast(pl.Date),
            "threshold_level": level,
            "probability": np.concatenate([p[rows].T.ravel() for p in forecast.probabilities]),
        }
    ).filter(pl.col("probability").is_finite())
