"""The rolling-origin hindcast: every forecast that would have been issued, with only what was known then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # no types published

from forebay.dams.dam import Dam
from forebay.dams.local_time import to_utc
from forebay.errors import DataError, ModelError
from forebay.features.samples import WARM_UP, Samples
from forebay.models.blend import blend
from forebay.models.fits import Fits, fitter
from forebay.models.intervals import quiet_median
from forebay.models.model import Array, Model, PredictsSpread
from forebay.tables import FORECASTS, QUANTILES
from forebay.verify.point_forecasts import DEFAULT, PointForecasts, from_last_level
from forebay.verify.uncertainty import interval_offsets, ordinary, regime, state_at

FALLBACK = "damped_change"
"""What `default` is while the past is too short for its model."""

WET, NEAR_FULL = 1, 2
"""Kinds of day whose weights in the blend are learned apart; a day may be both."""

MAIN = "boosted_huber"
"""The model whose want of past days the forecast reports."""

Progress = Callable[[str, int, int], None]
"""Callback with the name of the task, the number of finished steps and the number of all steps."""


@dataclass(frozen=True)
class Execution:
    """How a hindcast runs. Its forecasts do not depend on it.

    Attributes
    ----------
    fits
        Store of fitted models, read and extended; None fits every model.
    workers
        Number of threads.
    progress
        Callback after each step.
    """

    fits: Fits | None = None
    workers: int = 1
    progress: Progress | None = None


SEQUENTIAL = Execution()
"""One thread, no store, no progress."""


def scored_from(samples: Samples, dam: Dam) -> int:
    """Index of the first scored init date: the dam file's start, or after the first 40% of the record."""
    if dam.hindcast.start is not None:
        return samples.position(dam.hindcast.start)
    return int(np.ceil(WARM_UP * len(samples.dates)))


def first_origin(samples: Samples, dam: Dam) -> int:
    """Index of the first hindcast day: half-way to the first scored one, or `learning_days` before it if that is later.

    Intervals and weights learn from the errors between the two.
    """
    start = scored_from(samples, dam)
    if np.isfinite(samples.level).sum() < 2:
        raise DataError(
            f"{dam.name}: a usable level on {samples.dates[0]} only; a forecast needs at least 2 days that have one"
        )
    if start >= len(samples.dates):
        raise DataError(
            f"the hindcast starts on {dam.hindcast.start}, but the record of {dam.name} ends on {samples.dates[-1]}; "
            "set hindcast.start in the dam file to an earlier day"
        )
    return max(1, start // 2, start - dam.hindcast.learning_days)


def refit_days(dates: NDArray[np.datetime64], origin: int) -> list[int]:
    """Indices of the days on which models are fitted anew: the first hindcast day, then each 1 January."""
    years = dates.astype("datetime64[Y]")
    new_year = np.flatnonzero((years != np.roll(years, 1)) & (np.arange(len(dates)) > origin))
    return [origin, *map(int, new_year)]


def point_forecasts(
    samples: Samples,
    dam: Dam,
    models: Mapping[str, Callable[[int], Model]],
    *,
    execution: Execution = SEQUENTIAL,
) -> dict[str, PointForecasts]:
    """Expected changes of every model, lead time and day from the first origin on.

    A model fitted on refit day R learns from the days whose valid date lies before R, and forecasts until the next
    refit day. Where it refuses for lack of past days, `damped_change` stands in, see
    `PointForecasts.fallback_until`.
    """
    origin = first_origin(samples, dam)
    starts = refit_days(samples.dates, origin)
    spans = list(zip(starts, [*starts[1:], len(samples.dates)], strict=True))
    import sklearn.linear_model  # noqa: F401  # its libraries must be there before their threads can be limited

    tasks = [(lead, span) for span in spans for lead in dam.hindcast.leads]
    # The longest come first, so that none is left over at the end. The matrices are small: more threads within one
    # product would only wait for each other.
    with threadpool_limits(1), ThreadPoolExecutor(max_workers=execution.workers) as pool:
        work = [pool.submit(_forecast_span, samples, *task, models, execution.fits) for task in reversed(tasks)]
        for done, _ in enumerate(as_completed(work)):
            if execution.progress:
                execution.progress("hindcast", done + 1, len(work))
    if execution.fits:
        execution.fits.prune()
    made = _joined(samples, [future.result() for future in reversed(work)])
    return {name: from_last_level(points, samples) for name, points in made.items()}


class _OfModel(NamedTuple):
    """What one model says of a span's days and of the drills in it (kind of silence → days), as `_said` has it.

    replaced: whether `damped_change` stood in for it.
    """

    fitted: Model
    replaced: bool
    said: Array
    drilled: dict[str, Array]


class _OfSpan(NamedTuple):
    """What each model says, by name, of one lead time from a refit day to the next.

    drilled: kind of silence → numbers of the days of its drills.
    """

    lead: int
    span: tuple[int, int]
    drilled: dict[str, NDArray[np.intp]]
    by_model: dict[str, _OfModel]


def _forecast_span(
    samples: Samples, lead: int, span: tuple[int, int], models: Mapping[str, Callable[[int], Model]], fits: Fits | None
) -> _OfSpan:
    """Each model's forecasts of one lead time from a refit day to the next."""
    start, end = span
    target, inputs = samples.change(samples.trusted, lead), samples.inputs_at(lead)
    past = np.flatnonzero(np.isfinite(target[: max(0, start - lead)]))
    fit = fitter(fits, inputs[past], target[past])
    rows, drills = {}, {}
    for kind, drill in (samples.outages.simulated if samples.outages else {}).items():
        rows[kind] = drill.rows[np.searchsorted(drill.rows, start) : np.searchsorted(drill.rows, end)]
        if len(rows[kind]):
            drills[kind] = drill.inputs_at(lead)[rows[kind]]
    made = {}
    for name, make in models.items():
        try:
            fitted, replaced = fit(make(lead)), False
        except ModelError:
            fitted, replaced = fit(models[FALLBACK](lead)), True
        drilled = {kind: _said(fitted, given) for kind, given in drills.items()}
        made[name] = _OfModel(fitted, replaced, _said(fitted, inputs[start:end]), drilled)
    return _OfSpan(lead, span, rows, made)


def _said(fitted: Model, inputs: pl.DataFrame) -> Array:
    """The expected change and how far apart the changes lie that may come, shape (2, n); NaN where it is not told."""
    spread = fitted.spread(inputs) if isinstance(fitted, PredictsSpread) else np.full(len(inputs), np.nan)
    return np.stack([fitted.predict(inputs), spread])


def _joined(samples: Samples, parts: Sequence[_OfSpan]) -> dict[str, PointForecasts]:
    """Each model's forecasts of all spans, those of a lead time in the order of their days."""
    made: dict[str, PointForecasts] = {}

    def put(into: dict[int, Array], lead: int, rows: slice | NDArray[np.intp], values: Array) -> None:
        into.setdefault(lead, np.full(len(samples.dates), np.nan))[rows] = values

    for lead, (start, end), rows, by_model in parts:
        for name, of_model in by_model.items():
            into = made.setdefault(name, PointForecasts({}))
            put(into.changes, lead, slice(start, end), of_model.said[0])
            put(into.spreads, lead, slice(start, end), of_model.said[1])
            into.fitted[lead] = of_model.fitted
            if of_model.replaced:
                into.fallback_until[lead] = samples.dates[end - 1].item()
            for kind, days in rows.items():
                change, spread = of_model.drilled.get(kind, np.empty((2, 0)))
                put(into.outage_changes.setdefault(kind, {}), lead, days, change)
                put(into.outage_spreads.setdefault(kind, {}), lead, days, spread)
    return made


def forecast_table(samples: Samples, dam: Dam, points: Mapping[str, PointForecasts]) -> pl.DataFrame:
    """`points` with their quantiles as a table (`tables.FORECASTS`), one row per model, init date, lead and quantile.

    Intervals come from each model's own past errors; where fewer than 20 are known, only the median is given. Days
    without a level are forecast from the last good one, if it is not too old.
    """
    parts = []
    for name, point in points.items():
        for lead, change in point.changes.items():
            rows = np.flatnonzero(np.isfinite(change))
            changes = change[:, None] + interval_offsets(samples, points, name, lead_time=lead)
            parts.append(
                _rows(samples, rows, changes[rows]).with_columns(
                    pl.lit(name).alias("model"), pl.lit(lead, pl.Int32).alias("lead_time")
                )
            )
    return _finish(pl.concat(parts), dam)


def with_default(points: Mapping[str, PointForecasts], samples: Samples) -> dict[str, PointForecasts]:
    """`points` and beside them `default`, what a user gets: the blend of all, on quiet days set right by its median.

    Weights are learned apart for wet days and for days near full supply.
    """
    kinds = points[MAIN].outage_changes
    made = PointForecasts({}, points[MAIN].fallback_until, outage_changes={kind: {} for kind in kinds})
    of_day = NEAR_FULL * regime(samples, "near_full").astype(int) + WET * regime(samples, "wet")
    for lead in next(iter(points.values())).changes:
        each = {name: point.changes[lead] for name, point in points.items()}
        came = samples.change(samples.trusted, lead)
        blended, weights = blend(each, came, lead_time=lead, regimes=of_day)
        state = state_at(samples, points, blended, lead)
        usual = ordinary(samples)
        missed = np.where(usual, came - blended, np.nan)
        shift = np.where(usual, quiet_median(missed, state, lead_time=lead), 0.0)
        made.changes[lead] = blended + shift
        made.weights[lead] = {name: float(daily[-1]) for name, daily in weights.items()}
        made.shift[lead] = float(shift[-1])
        for kind in kinds:
            if kind != "level":  # who knows no rain knows of no wet day
                weights = blend(each, came, lead_time=lead, regimes=of_day, weight_regimes=of_day & ~WET)[1]
            drilled = [weights[name] * point.outage_changes[kind][lead] for name, point in points.items()]
            made.outage_changes[kind][lead] = np.sum(drilled, axis=0)
    return {**points, DEFAULT: made}


def _rows(samples: Samples, rows: NDArray[np.intp], changes: Array) -> pl.DataFrame:
    level = samples.start_level[rows]
    return pl.DataFrame(
        {
            "init_date": np.repeat(samples.dates[rows], len(QUANTILES)),
            "level_date": np.repeat((samples.dates - samples.level_age)[rows], len(QUANTILES)),
            "quantile": np.tile(QUANTILES, len(rows)),
            "change": changes.ravel(),
            "level": (changes + level[:, None]).ravel(),
        }
    ).filter(pl.col("change").is_finite() & pl.col("level").is_finite())


def _finish(table: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    days = pl.duration(days=pl.col("lead_time"))
    return FORECASTS.check(
        table.with_columns(
            pl.lit(dam.id).alias("dam"),
            pl.col("init_date", "level_date").cast(pl.Date),
        ).with_columns(
            to_utc(pl.col("init_date").cast(pl.Datetime("us")) + pl.duration(days=1), dam.time_zone).alias("init_time"),
            (pl.col("init_date") + days).alias("valid_date"),
        )
    )
