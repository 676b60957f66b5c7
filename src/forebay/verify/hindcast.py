"""The rolling-origin hindcast: the forecast of every past day, from data that were known on that day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # no types published

from forebay.dams.local_time import to_utc
from forebay.errors import DataError, ModelError
from forebay.features.samples import WARM_UP, Samples
from forebay.models.blend import blend
from forebay.models.fits import Fits, fitter
from forebay.models.intervals import quiet_median
from forebay.models.model import Array, Model, PredictsSpread
from forebay.tables import DEFAULT_MODEL, FORECASTS, QUANTILES
from forebay.verify.point_forecasts import PointForecasts, from_start_level
from forebay.verify.uncertainty import error_state, interval_offsets, regime_mask, within_limits, without_outage

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

FALLBACK = "damped_change"
"""The model that replaces another one while the record is too short for it."""

WET, NEAR_FULL = 1, 2
"""Regimes with their own blend weights; their sum is the regime of a day that is both."""

MAIN_MODEL = "boosted_huber"
"""The model of which the forecast reports that the record is too short for it."""

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
    """Index of the first scored init date: the start in the dam file, or the end of the first 40% of the record."""
    if dam.hindcast.start is not None:
        return samples.position(dam.hindcast.start)
    return int(np.ceil(WARM_UP * len(samples.dates)))


def first_origin(samples: Samples, dam: Dam) -> int:
    """Index of the first init date of the hindcast.

    It is half-way to the first scored init date, or `learning_days` before that date if this is later. Intervals and
    blend weights learn from the errors between the two dates.

    Raises
    ------
    DataError
        If the record has fewer than two usable levels, or ends before the hindcast starts.
    """
    start = scored_from(samples, dam)
    if np.isfinite(samples.level).sum() < 2:
        raise DataError(
            f"{dam.name}: a usable level on {samples.dates[0]} only; a forecast needs at least 2 days with a level"
        )
    if start >= len(samples.dates):
        raise DataError(
            f"the hindcast starts on {dam.hindcast.start}, but the record of {dam.name} ends on {samples.dates[-1]}; "
            "set hindcast.start in the dam file to an earlier day"
        )
    return max(1, start // 2, start - dam.hindcast.learning_days)


def refit_days(dates: NDArray[np.datetime64], origin: int) -> list[int]:
    """Indices of the days on which models are refitted: the first hindcast day, then each 1 January."""
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
    """Model → its point forecasts of every lead time and day from the first origin on.

    A model fitted on refit day R learns from the days with a valid date before R, and forecasts until the next refit
    day. If it has too few samples, `damped_change` replaces it (`PointForecasts.fallback_until`).

    Parameters
    ----------
    models
        Name → constructor, called with the lead time.
    """
    origin = first_origin(samples, dam)
    starts = refit_days(samples.dates, origin)
    spans = list(zip(starts, [*starts[1:], len(samples.dates)], strict=True))
    import sklearn.linear_model  # noqa: F401  # threadpool_limits sees loaded libraries only

    tasks = [(lead, span) for span in spans for lead in dam.hindcast.leads]
    # The longest tasks come first, so that all workers finish at about the same time. The matrices are small: more
    # threads within one matrix product would only wait for each other.
    with threadpool_limits(1), ThreadPoolExecutor(max_workers=execution.workers) as pool:
        futures = [pool.submit(_forecast_span, samples, *task, models, execution.fits) for task in reversed(tasks)]
        for count, _ in enumerate(as_completed(futures), start=1):
            if execution.progress:
                execution.progress("hindcast", count, len(futures))
    if execution.fits:
        execution.fits.prune()
    points = _join_spans(samples, [future.result() for future in reversed(futures)])
    return {name: from_start_level(point, samples) for name, point in points.items()}


class _ModelForecasts(NamedTuple):
    """Forecasts of one model in one span.

    fitted: the model that forecasts; is_fallback: whether it is `damped_change` in place of a model that has too few
    samples; forecasts: change and spread of each day as `predict_with_spread` returns them; outage_forecasts: kind of
    outage → the same in its simulated outages.
    """

    fitted: Model
    is_fallback: bool
    forecasts: Array
    outage_forecasts: dict[str, Array]


class _SpanForecasts(NamedTuple):
    """Forecasts of all models at one lead time from a refit day to the next.

    outage_rows: kind of outage → indices of the days of its simulated outages; by_model: model → its forecasts.
    """

    lead: int
    span: tuple[int, int]
    outage_rows: dict[str, NDArray[np.intp]]
    by_model: dict[str, _ModelForecasts]


def _forecast_span(
    samples: Samples, lead: int, span: tuple[int, int], models: Mapping[str, Callable[[int], Model]], fits: Fits | None
) -> _SpanForecasts:
    """Forecasts of all models at one lead time from a refit day to the next."""
    start, end = span
    target, inputs = samples.change(samples.trusted, lead), samples.inputs_at(lead)
    past = np.flatnonzero(np.isfinite(target[: max(0, start - lead)]))
    fit = fitter(fits, inputs[past], target[past])
    rows, outage_inputs = {}, {}
    for kind, outage in (samples.outages.simulated if samples.outages else {}).items():
        rows[kind] = outage.rows[np.searchsorted(outage.rows, start) : np.searchsorted(outage.rows, end)]
        if len(rows[kind]):
            outage_inputs[kind] = outage.inputs_at(lead)[rows[kind]]
    by_model = {}
    for name, make in models.items():
        try:
            fitted, is_fallback = fit(make(lead)), False
        except ModelError:
            fitted, is_fallback = fit(models[FALLBACK](lead)), True
        outage_forecasts = {kind: predict_with_spread(fitted, table) for kind, table in outage_inputs.items()}
        forecasts = predict_with_spread(fitted, inputs[start:end])
        by_model[name] = _ModelForecasts(fitted, is_fallback, forecasts, outage_forecasts)
    return _SpanForecasts(lead, span, rows, by_model)


def predict_with_spread(fitted: Model, inputs: pl.DataFrame) -> Array:
    """Expected change and predicted spread of each row, shape (2, n); the spread is NaN if the model predicts none."""
    spread = fitted.spread(inputs) if isinstance(fitted, PredictsSpread) else np.full(len(inputs), np.nan)
    return np.stack([fitted.predict(inputs), spread])


def _join_spans(samples: Samples, spans: Sequence[_SpanForecasts]) -> dict[str, PointForecasts]:
    """Model → its forecasts of all spans; the spans of a lead time are in the order of their days."""
    points: dict[str, PointForecasts] = {}

    def put(by_lead: dict[int, Array], lead: int, rows: slice | NDArray[np.intp], values: Array) -> None:
        by_lead.setdefault(lead, np.full(len(samples.dates), np.nan))[rows] = values

    for lead, (start, end), outage_rows, by_model in spans:
        for name, model in by_model.items():
            point = points.setdefault(name, PointForecasts({}))
            put(point.changes, lead, slice(start, end), model.forecasts[0])
            put(point.spreads, lead, slice(start, end), model.forecasts[1])
            point.fitted[lead] = model.fitted
            if model.is_fallback:
                point.fallback_until[lead] = samples.dates[end - 1].item()
            for kind, rows in outage_rows.items():
                change, spread = model.outage_forecasts.get(kind, np.empty((2, 0)))
                put(point.outage_changes.setdefault(kind, {}), lead, rows, change)
                put(point.outage_spreads.setdefault(kind, {}), lead, rows, spread)
    return points


def with_default(points: Mapping[str, PointForecasts], samples: Samples) -> dict[str, PointForecasts]:
    """`points` with the model `default` appended: the blend of all models, corrected on quiet days.

    The correction is the median of the blend's past errors on quiet days (`intervals.quiet_median`). Weights are
    learned separately for wet days and for days near full supply.
    """
    outage_kinds = points[MAIN_MODEL].outage_changes
    default = PointForecasts(
        {}, points[MAIN_MODEL].fallback_until, outage_changes={kind: {} for kind in outage_kinds}
    )
    full = regime_mask(samples, "near_full") | regime_mask(samples, "above_full")
    regimes = NEAR_FULL * full.astype(int) + WET * regime_mask(samples, "wet")
    is_complete = without_outage(samples)
    for lead in next(iter(points.values())).changes:
        forecasts = {name: point.changes[lead] for name, point in points.items()}
        observed = samples.change(samples.trusted, lead)
        blended, weights = blend(forecasts, observed, lead_time=lead, regimes=regimes)
        errors = np.where(is_complete, observed - blended, np.nan)
        shift = quiet_median(errors, error_state(samples, points, blended, lead), lead_time=lead)
        shift = np.where(is_complete, shift, 0.0)
        default.changes[lead] = blended + shift
        default.weights[lead] = {name: float(daily[-1]) for name, daily in weights.items()}
        default.shift[lead] = float(shift[-1])
        for kind in outage_kinds:
            if kind != "level":  # without rain data no day is known to be wet
                dry = regimes & ~WET
                weights = blend(forecasts, observed, lead_time=lead, regimes=regimes, weight_regimes=dry)[1]
            parts = [weights[name] * point.outage_changes[kind][lead] for name, point in points.items()]
            default.outage_changes[kind][lead] = np.sum(parts, axis=0)
    return {**points, DEFAULT_MODEL: default}


def forecast_table(samples: Samples, dam: Dam, points: Mapping[str, PointForecasts]) -> pl.DataFrame:
    """`tables.FORECASTS` of `points`: one row per model, init date, lead time and quantile.

    Intervals come from the past errors of the same model. Where fewer than 20 errors are known, the table has the
    median only. A day without a level is forecast from the last usable level, if that is recent enough.
    """
    parts = []
    for name, point in points.items():
        for lead, change in point.changes.items():
            rows = np.flatnonzero(np.isfinite(change))
            changes = change[:, None] + interval_offsets(samples, points, name, lead_time=lead)
            changes = including_suspect_level(within_limits(changes, samples), samples)
            parts.append(
                _quantile_rows(samples, rows, changes[rows]).with_columns(
                    pl.lit(name).alias("model"), pl.lit(lead, pl.Int32).alias("lead_time")
                )
            )
    return _add_dates(pl.concat(parts), dam)


def including_suspect_level(changes: Array, samples: Samples) -> Array:
    """`changes` (n, quantiles) whose last row includes the suspect level of the last day, if it has intervals.

    The screen may be wrong: until the next readings decide, the lake may stand at either level.
    """
    suspect = samples.suspect_level - samples.start_level[-1]
    if np.isfinite(suspect):
        changes[-1, 0], changes[-1, -1] = min(changes[-1, 0], suspect), max(changes[-1, -1], suspect)
    return changes


def _quantile_rows(samples: Samples, rows: NDArray[np.intp], changes: Array) -> pl.DataFrame:
    """init_date, level_date, quantile, change, level of the init dates `rows`; `changes` has shape (rows, 7)."""
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


def _add_dates(table: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """`table` with dam, init_time and valid_date, checked."""
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
