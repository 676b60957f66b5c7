"""The rolling-origin hindcast: the forecast of every past day, from data that were known on that day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # no types published

from forebay.dams.local_time import to_utc
from forebay.errors import DataError, ModelError
from forebay.features.input_range import InputRange
from forebay.log import add_counts, step
from forebay.models.fits import Fits, fitter
from forebay.models.model import Array, Model, PredictsSpread
from forebay.models.rows import ALL_ROWS, Rows, Scalar
from forebay.tables import FORECASTS, QUANTILES, REFERENCES
from forebay.verify.point_forecasts import PointForecasts, from_start_level
from forebay.verify.uncertainty import quantile_changes

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.verify.row_store import RowStore

FALLBACK = "damped_change"
"""The model that replaces another one while the record is too short for it."""

MAIN_MODEL = "boosted_huber"
"""The model of which the forecast reports that the record is too short for it."""

WARM_UP = 0.4
"""Share of the record before the first scored init date, where the dam file states no start."""

EARLY_REFITS = (30, 60, 120, 240)
"""Days of the record on which models are refitted in addition to each 1 January, so that a short record has models."""

SPAN_DAYS = 366
"""Rows of each prediction, at least: a linear algebra library may compute the last rows of a matrix in another way."""

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
    hindcasts
        Store of the rows of earlier hindcasts, read and extended; None computes every day.
    """

    fits: Fits | None = None
    workers: int = 1
    progress: Progress | None = None
    hindcasts: RowStore | None = None


SEQUENTIAL = Execution()
"""One thread, no store, no progress."""


def scored_from(samples: Samples, dam: Dam) -> int:
    """Index of the first scored init date: the start in the dam file, or the end of the first 40% of the record.

    Only scores depend on it, no forecast does.
    """
    if dam.hindcast.start is not None:
        return samples.position(dam.hindcast.start)
    return int(np.ceil(WARM_UP * len(samples.dates)))


def first_origin(samples: Samples, dam: Dam) -> int:
    """Index of the first init date of the hindcast.

    It is the day of the second usable level. If the dam file states a start, it is half-way to that date, or
    `learning_days` before it if this is later. It does not depend on the length of the record. Intervals and blend
    weights learn from all errors since that day.

    Raises
    ------
    DataError
        If the record has fewer than two usable levels, or ends before the hindcast starts.
    """
    usable = np.flatnonzero(np.isfinite(samples.level))
    if len(usable) < 2:
        raise DataError(
            f"{dam.name}: a usable level on {samples.dates[0]} only; a forecast needs at least 2 days with a level"
        )
    if dam.hindcast.start is None:
        return int(usable[1])
    start = scored_from(samples, dam)
    if start >= len(samples.dates):
        raise DataError(
            f"the hindcast starts on {dam.hindcast.start}, but the record of {dam.name} ends on {samples.dates[-1]}; "
            "set hindcast.start in the dam file to an earlier day"
        )
    return max(int(usable[1]), start // 2, start - dam.hindcast.learning_days)


def refit_days(dates: NDArray[np.datetime64], origin: int) -> list[int]:
    """Indices of the days on which models are refitted: the first hindcast day, `EARLY_REFITS`, each 1 January."""
    years = dates.astype("datetime64[Y]")
    day = np.arange(len(dates))
    is_refit = (years != np.roll(years, 1)) | np.isin(day, EARLY_REFITS)
    return [origin, *map(int, np.flatnonzero(is_refit & (day > origin)))]


@step("point_forecasts")
def point_forecasts(
    samples: Samples,
    dam: Dam,
    models: Mapping[str, Callable[[int], Model]],
    *,
    execution: Execution = SEQUENTIAL,
    rows: Rows = ALL_ROWS,
) -> dict[str, PointForecasts]:
    """Model → its point forecasts of every lead time and day from the first origin on.

    A model fitted on refit day R learns from the days with a valid date before R, and forecasts until the next refit
    day. If it has too few samples, `damped_change` replaces it (`PointForecasts.fallback_until`).

    Parameters
    ----------
    models
        Name → constructor, called with the lead time.
    rows
        The days to compute: those from the last refit day before `rows.first` on.
    """
    origin = first_origin(samples, dam)
    starts = refit_days(samples.dates, origin)
    spans = [span for span in zip(starts, [*starts[1:], len(samples.dates)], strict=True) if span[1] > rows.first]
    tasks = [(lead, span) for span in spans for lead in dam.hindcast.leads]
    if not _has_all_fits(samples, tasks if rows.first else (), models, execution.fits):
        import sklearn.linear_model  # noqa: F401  # threadpool_limits sees loaded libraries only

    reads = len(execution.fits.reads) if execution.fits else 0
    # The longest tasks come first, so that all workers finish at about the same time. The matrices are small: more
    # threads within one matrix product would only wait for each other.
    with threadpool_limits(1), ThreadPoolExecutor(max_workers=execution.workers) as pool:
        futures = [pool.submit(_forecast_span, samples, *task, models, execution.fits) for task in reversed(tasks)]
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                future.result()  # an error ends the hindcast at once
                if execution.progress:
                    execution.progress("hindcast", count, len(futures))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after an error or Ctrl-C, the waiting fits do not begin
    add_counts({"models": len(models), "fits": len(futures) * len(models), "from_cache": 0})
    if execution.fits:
        add_counts({"from_cache": len(execution.fits.reads) - reads})
        if execution.fits.writes:
            execution.fits.prune()
    points = _join_spans(samples, [future.result() for future in reversed(futures)], rows)
    return {name: from_start_level(point, samples) for name, point in points.items()}


@dataclass(frozen=True)
class ForecastChanges:
    """Quantiles of the forecast changes of every day.

    leads: lead times in days; by_model: model → changes, shape (n, leads, quantiles), NaN without a forecast.
    """

    leads: tuple[int, ...]
    by_model: Mapping[str, Array]

    def at(self, lead: int) -> dict[str, Array]:
        """Model → its quantiles at one lead time, shape (n, quantiles), of the models with any forecast."""
        column = self.leads.index(lead)
        by_model = {name: changes[:, column] for name, changes in self.by_model.items()}
        return {name: changes for name, changes in by_model.items() if np.isfinite(changes).any()}


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


def _has_all_fits(
    samples: Samples,
    tasks: Sequence[tuple[int, tuple[int, int]]],
    models: Mapping[str, Callable[[int], Model]],
    fits: Fits | None,
) -> bool:
    """Whether all fits of the few `tasks` are stored, so that no regression is fitted; False without tasks."""
    return fits is not None and bool(tasks) and all(
        fits.has_all((make(lead) for make in models.values()), *_training_rows(samples, lead, span[0]))
        for lead, span in tasks
    )


def _training_rows(samples: Samples, lead: int, refit_day: int) -> tuple[pl.DataFrame, Array]:
    """Inputs and changes of the days whose valid date lies before a refit day."""
    target = samples.change(samples.trusted, lead)[: max(0, refit_day - lead)]
    past = np.flatnonzero(np.isfinite(target))
    return samples.inputs_at(lead)[past], target[past]


class _SpanForecasts(NamedTuple):
    """Forecasts of all models at one lead time from a refit day to the next.

    outage_rows: kind of outage → indices of the days of its simulated outages; by_model: model → its forecasts;
    input_range: range of the training inputs; far_outside: whether each day has an input far outside it.
    """

    lead: int
    span: tuple[int, int]
    outage_rows: dict[str, NDArray[np.intp]]
    by_model: dict[str, _ModelForecasts]
    input_range: InputRange
    far_outside: NDArray[np.bool_]


def _forecast_span(
    samples: Samples, lead: int, span: tuple[int, int], models: Mapping[str, Callable[[int], Model]], fits: Fits | None
) -> _SpanForecasts:
    """Forecasts of all models at one lead time from a refit day to the next.

    An input far outside the training range has the nearest accepted value: one absurd reading must not determine a
    forecast, and no regression is valid far from its rows. The references keep their definition.
    """
    start, end = span
    training_inputs, target = _training_rows(samples, lead, start)
    fit, input_range = fitter(fits, training_inputs, target), InputRange.of(training_inputs)
    inputs = samples.inputs_at(lead)
    rows, outage_inputs = {}, {}
    for kind, outage in (samples.outages.simulated if samples.outages else {}).items():
        rows[kind] = outage.rows[np.searchsorted(outage.rows, start) : np.searchsorted(outage.rows, end)]
        if len(rows[kind]):
            outage_inputs[kind] = outage.inputs_at(lead)[rows[kind]]
    as_known = {"": inputs[start:end], **outage_inputs}
    days = {kind: len(table) for kind, table in as_known.items()}
    as_known = {kind: _lengthened(table) for kind, table in as_known.items()}
    winsorised = {kind: input_range.winsorised(table) for kind, table in as_known.items()}
    by_model = {}
    for name, make in models.items():
        try:
            fitted, is_fallback = fit(make(lead)), False
        except ModelError:
            fitted, is_fallback = fit(models[FALLBACK](lead)), True
        tables = as_known if name in REFERENCES else winsorised
        forecasts = {kind: predict_with_spread(fitted, table)[:, : days[kind]] for kind, table in tables.items()}
        by_model[name] = _ModelForecasts(fitted, is_fallback, forecasts.pop(""), forecasts)
    return _SpanForecasts(lead, span, rows, by_model, input_range, input_range.far_outside(inputs[start:end]))


def predict_with_spread(fitted: Model, inputs: pl.DataFrame) -> Array:
    """Expected change and predicted spread of each row, shape (2, n); the spread is NaN if the model predicts none."""
    spread = fitted.spread(inputs) if isinstance(fitted, PredictsSpread) else np.full(len(inputs), np.nan)
    return np.stack([fitted.predict(inputs), spread])


def _lengthened(inputs: pl.DataFrame) -> pl.DataFrame:
    """`inputs` with their last row repeated up to `SPAN_DAYS` rows.

    No digit of a forecast may depend on the number of rows after it: the forecast of today is the same when the record
    has grown.
    """
    return inputs[np.minimum(np.arange(max(SPAN_DAYS, len(inputs))), len(inputs) - 1)]


def _join_spans(samples: Samples, spans: Sequence[_SpanForecasts], rows: Rows) -> dict[str, PointForecasts]:
    """Model → its forecasts of all spans and of the earlier rows; the spans of a lead time are in the order of days."""
    points: dict[str, PointForecasts] = {}
    fallbacks: dict[str, dict[int, NDArray[np.bool_]]] = {}

    def put(by_lead: dict[int, Array], lead: int, rows: slice | NDArray[np.intp], values: Array) -> None:
        by_lead.setdefault(lead, np.full(len(samples.dates), np.nan))[rows] = values

    for lead, (start, end), outage_days, by_model, input_range, far_outside in spans:
        for name, model in by_model.items():
            point = points.setdefault(name, PointForecasts({}))
            put(point.changes, lead, slice(start, end), model.forecasts[0])
            put(point.spreads, lead, slice(start, end), model.forecasts[1])
            point.fitted[lead], point.input_range[lead] = model.fitted, input_range
            point.far_outside.setdefault(lead, np.zeros(len(samples.dates), bool))[start:end] = far_outside
            is_fallback = fallbacks.setdefault(name, {}).setdefault(lead, np.zeros(len(samples.dates), bool))
            is_fallback[start:end] = model.is_fallback
            for kind, days in outage_days.items():
                change, spread = model.outage_forecasts.get(kind, np.empty((2, 0)))
                put(point.outage_changes.setdefault(kind, {}), lead, days, change)
                put(point.outage_spreads.setdefault(kind, {}), lead, days, spread)
    return {name: _with_earlier(point, fallbacks[name], samples, name, rows) for name, point in points.items()}


def _with_earlier(
    point: PointForecasts, fallbacks: Mapping[int, NDArray[np.bool_]], samples: Samples, name: str, rows: Rows
) -> PointForecasts:
    """`point` with the earlier rows of a model, and the last day on which it had a fallback at each lead time."""

    def extended(values: Mapping[int, NDArray[Scalar]], part: str) -> dict[int, NDArray[Scalar]]:
        joined = rows.extend(f"{name}/{part}", np.stack(list(values.values()), axis=1))
        return dict(zip(values, np.ascontiguousarray(joined.T), strict=True))

    last = {lead: np.flatnonzero(days) for lead, days in extended(fallbacks, "fallback").items()}
    return replace(
        point,
        changes=extended(point.changes, "changes"),
        spreads=extended(point.spreads, "spreads"),
        far_outside=extended(point.far_outside, "far_outside"),
        outage_changes={kind: extended(values, kind) for kind, values in point.outage_changes.items()},
        outage_spreads={kind: extended(values, f"{kind} spread") for kind, values in point.outage_spreads.items()},
        fallback_until={lead: samples.dates[days[-1]].item() for lead, days in last.items() if len(days)},
    )


@step("intervals")
def forecast_changes(
    samples: Samples, points: Mapping[str, PointForecasts], rows: Rows = ALL_ROWS
) -> ForecastChanges:
    """Quantiles of the forecast changes of all models.

    Intervals come from the past errors of the same model. Where fewer than 20 errors are known, only the median is
    known. A day without a level is forecast from the last usable level, if that is recent enough.
    """
    add_counts({"models": len(points), "days": rows.count - rows.first if rows.count else len(samples.dates)})
    by_model = {}
    late = samples.since(rows.begin)
    for name, changes in quantile_changes(samples, points, list(points), rows=rows).items():
        by_lead = [including_suspect_level(changes[:, column], late) for column in range(changes.shape[1])]
        with_suspect = np.stack(by_lead, axis=1)
        has_level = np.isfinite(with_suspect + late.start_level[:, None, None])
        by_model[name] = rows.extend(f"{name}/quantiles", np.where(has_level, with_suspect, np.nan))
    return ForecastChanges(tuple(next(iter(points.values())).changes), by_model)


def forecast_table(samples: Samples, dam: Dam, points: Mapping[str, PointForecasts]) -> pl.DataFrame:
    """`tables.FORECASTS` of `points`: one row per model, init date, lead time and quantile of `forecast_changes`."""
    return table_of(forecast_changes(samples, points), samples, dam)


def table_of(forecasts: ForecastChanges, samples: Samples, dam: Dam, first: int = 0) -> pl.DataFrame:
    """`tables.FORECASTS` of the init dates from index `first` on."""
    parts = []
    for name, changes in forecasts.by_model.items():
        for column, lead in enumerate(forecasts.leads):
            days = np.flatnonzero(np.isfinite(changes[first:, column]).any(axis=1)) + first
            parts.append(
                _quantile_rows(samples, days, changes[days, column]).with_columns(
                    pl.lit(name).alias("model"), pl.lit(lead, pl.Int32).alias("lead_time")
                )
            )
    return _add_dates(pl.concat(parts), dam)


def including_suspect_level(changes: Array, samples: Samples) -> Array:
    """`changes` (n, quantiles); on days with a suspect level, the outer quantiles include it, if there are intervals.

    The screen may be wrong: until the next readings decide, the lake may stand at either level.
    """
    if samples.suspect_level is None:
        return changes
    suspect = samples.suspect_level - samples.start_level
    low, high = (np.where(np.isnan(suspect), end, suspect) for end in (np.inf, -np.inf))
    return np.column_stack([np.minimum(changes[:, 0], low), changes[:, 1:-1], np.maximum(changes[:, -1], high)])


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
    ).filter(pl.col("change").is_finite())


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
