"""The rolling-origin hindcast: every forecast that would have been issued, with only what was known then."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # no types published

from forebay.dams.dam import Dam
from forebay.dams.local_time import to_utc
from forebay.errors import DataError, ModelError
from forebay.metrics import crps_ensemble
from forebay.models import REFERENCES
from forebay.models.blend import blend
from forebay.models.intervals import State, error_quantiles, state_of
from forebay.models.model import Array, Model
from forebay.models.paths import LEVELS, join_leads
from forebay.prepare.samples import WARM_UP, Samples
from forebay.prepare.silence import DRILL_DAYS
from forebay.tables import FORECASTS, QUANTILES

FALLBACK = "damped_change"
"""What `default` is while the past is too short for its model."""

LEARNING_DAYS = 3 * 366

DEFAULT = "default"
MAIN = "boosted_huber"
"""The model whose want of past days the forecast reports."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is."""


@dataclass(frozen=True)
class Points:
    """Point forecasts of one model, by lead time.

    Attributes
    ----------
    changes
        Expected change per day, shape (n,); NaN where none was made.
    replaced
        Last init date on which the model had too little past and `damped_change` stood in for it.
    fitted
        The model that made the last day's forecast: as fitted on the last refit day, or what stood in for it.
    weights
        Of a blend: each model's weight on the last day.
    drilled
        Kind of silence → the expected changes in its drills (`prepare.silence`), as `changes`; NaN on other days.

    Changes are from the level that the forecast starts from: where the day's own is silent, from the last good one,
    with the changes expected of each day since.
    """

    changes: dict[int, Array]
    replaced: dict[int, date] = field(default_factory=dict)
    fitted: dict[int, Model] = field(default_factory=dict)
    weights: dict[int, dict[str, float]] = field(default_factory=dict)
    drilled: dict[str, dict[int, Array]] = field(default_factory=dict)


def scored_from(samples: Samples, dam: Dam) -> int:
    """Index of the first scored init date: the dam file's start, or after the first 40% of the record."""
    if dam.hindcast.start is not None:
        return samples.position(dam.hindcast.start)
    return int(np.ceil(WARM_UP * len(samples.dates)))


def first_origin(samples: Samples, dam: Dam) -> int:
    """Index of the first hindcast day: half-way to the first scored one, but at most three years before it.

    Intervals and weights learn from the errors between the two.
    """
    start = scored_from(samples, dam)
    if len(samples.dates) < 2:
        raise DataError(
            f"{dam.name}: a usable level on {samples.dates[0]} only; a forecast needs at least 2 days that have one"
        )
    if start >= len(samples.dates):
        raise DataError(
            f"the hindcast starts on {dam.hindcast.start}, but the record of {dam.name} ends on {samples.dates[-1]}; "
            "set hindcast.start in the dam file to an earlier day"
        )
    return max(1, start // 2, start - LEARNING_DAYS)


def refit_days(dates: NDArray[np.datetime64], origin: int) -> list[int]:
    """Indices of the days on which models are fitted anew: the first hindcast day, then each 1 January."""
    years = dates.astype("datetime64[Y]")
    new_year = np.flatnonzero((years != np.roll(years, 1)) & (np.arange(len(dates)) > origin))
    return [origin, *map(int, new_year)]


def point_forecasts(
    samples: Samples, dam: Dam, models: Mapping[str, Callable[[int], Model]], *, progress: Progress | None = None
) -> dict[str, Points]:
    """Expected changes of every model, lead time and day from the first origin on.

    A model fitted on refit day R learns from the days whose valid date lies before R, and forecasts until the next
    refit day. Where it refuses for lack of past days, `damped_change` stands in, and `Points.replaced` says so.
    """
    origin = first_origin(samples, dam)
    starts = refit_days(samples.dates, origin)
    spans = list(zip(starts, [*starts[1:], len(samples.dates)], strict=True))
    made = {name: Points({h: np.full(len(samples.dates), np.nan) for h in dam.hindcast.leads}) for name in models}
    import sklearn.linear_model  # noqa: F401  # its libraries must be there before their threads can be limited

    # The matrices are small: more threads within one product would only wait for each other.
    with threadpool_limits(1), ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        work = [pool.submit(_forecast_lead, samples, lead, models, spans) for lead in dam.hindcast.leads]
        for done, _ in enumerate(as_completed(work)):
            if progress:
                progress("hindcast", done + 1, len(work))
        for lead, future in zip(dam.hindcast.leads, work, strict=True):
            for name, of_lead in future.result().items():
                made[name].changes[lead] = of_lead.change
                for kind, change in of_lead.drilled.items():
                    made[name].drilled.setdefault(kind, {})[lead] = change
                if of_lead.fitted is not None:
                    made[name].fitted[lead] = of_lead.fitted
                if of_lead.replaced is not None:
                    made[name].replaced[lead] = of_lead.replaced
    return {name: from_last_level(points, samples) for name, points in made.items()}


@dataclass
class _OfLead:
    """One model's forecasts at one lead time, as in `Points`."""

    change: Array
    drilled: dict[str, Array]
    replaced: date | None = None
    fitted: Model | None = None


def _forecast_lead(
    samples: Samples, lead: int, models: Mapping[str, Callable[[int], Model]], spans: Sequence[tuple[int, int]]
) -> dict[str, _OfLead]:
    """Each model's forecasts at one lead time."""
    target = samples.change(samples.trusted, lead)
    drills = samples.silence.drills if samples.silence else {}
    nothing = np.full(len(samples.dates), np.nan)
    made = {name: _OfLead(nothing.copy(), {kind: nothing.copy() for kind in drills}) for name in models}
    for start, end in spans:
        for name, make in models.items():
            into = made[name]
            try:
                into.fitted = _fit(make(lead), samples, target, start)
            except ModelError:
                into.fitted = _fit(models[FALLBACK](lead), samples, target, start)
                into.replaced = samples.dates[end - 1].item()
            into.change[start:end] = into.fitted.predict(samples.inputs[start:end])
            for kind, drill in drills.items():
                rows = drill.rows[np.searchsorted(drill.rows, start) : np.searchsorted(drill.rows, end)]
                if len(rows):
                    into.drilled[kind][rows] = into.fitted.predict(drill.inputs[rows])
    return made


def _fit(model: Model, samples: Samples, target: Array, start: int) -> Model:
    past = np.flatnonzero(np.isfinite(target[: max(0, start - model.lead_time)]))
    return model.fit(samples.inputs[past], target[past])


def from_last_level(points: Points, samples: Samples) -> Points:
    """`points` whose changes are from the level that each forecast starts from, in the drills too.

    Where that is an older one, the changes expected of each day since come on top, one day at a time: so what fell and
    flowed meanwhile is in the forecast.
    """
    if samples.silence is None:
        return points
    step = min(points.changes)
    since = since_last_level(points.changes[step] / step, samples.level_age)
    drilled = {}
    for kind, of_kind in points.drilled.items():
        drill = samples.silence.drills[kind]
        daily = points.changes[step].copy()
        daily[drill.rows] = of_kind[step][drill.rows]
        unseen = since_last_level(daily / step, drill.level_age)
        drilled[kind] = {lead: change + unseen for lead, change in of_kind.items()}
    return replace(points, changes={lead: c + since for lead, c in points.changes.items()}, drilled=drilled)


def since_last_level(daily: Array, level_age: NDArray[np.intp]) -> Array:
    """The sum of `daily` changes from the last good level to each day; 0 where the level is there, NaN if one is."""
    total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(daily))])
    unknown = np.concatenate([[0], np.cumsum(np.isnan(daily))])
    day = np.arange(len(daily))
    summed = np.where(unknown[day] > unknown[day - level_age], np.nan, total[day] - total[day - level_age])
    return np.where(level_age > 0, summed, 0.0)


def forecast_table(samples: Samples, dam: Dam, points: Mapping[str, Points]) -> pl.DataFrame:
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


def interval_offsets(
    samples: Samples,
    points: Mapping[str, Points],
    model: str,
    *,
    lead_time: int,
    probabilities: Sequence[float] = QUANTILES,
) -> Array:
    """What turns a model's expected changes into their quantiles, shape (n, 7); NaN where too few errors were known.

    The size of its errors is told by the state of the day, the size of the change that it expects, and the spread of
    what all models expect.
    """
    ordinary = samples.silence is None or (samples.silence.level_age == 0) & (samples.silence.drivers_age == 0)
    change, spread = _expected(points, model, lambda point: point.changes[lead_time])
    state = state_of(samples.inputs, _wet(samples), samples.dates).beside(np.abs(change), spread)
    errors = np.where(ordinary, samples.change(samples.trusted, lead_time) - change, np.nan)
    offsets = error_quantiles(errors, state, lead_time=lead_time, probabilities=probabilities)
    if samples.silence is None:
        return offsets
    offsets[samples.level_age > 0] = np.nan  # told by drills alone
    for kind, drill in samples.silence.drills.items():
        told = silent_offsets(samples, points, model, kind, lead_time=lead_time, probabilities=probabilities)
        known = drill.days & np.isfinite(told).all(axis=1)
        offsets[known] = told[known]
    return offsets


def _expected(
    points: Mapping[str, Points], model: str, change_of: Callable[[Points], Array]
) -> tuple[Array, Array]:
    """What a model expects, and the spread of what all but the references expect."""
    each = [change_of(point) for name, point in points.items() if name not in REFERENCES]
    change = change_of(points[model])
    return change, np.max(each, axis=0) - np.min(each, axis=0) if len(each) > 1 else np.zeros(len(change))


def _wet(samples: Samples) -> NDArray[np.bool_]:
    return samples.regimes.get("wet", np.zeros(len(samples.dates), bool))


def silent_offsets(
    samples: Samples,
    points: Mapping[str, Points],
    model: str,
    kind: str,
    *,
    lead_time: int,
    probabilities: Sequence[float],
) -> Array:
    """What turns expected changes into quantiles on days of one kind of silence, from the errors of its drills.

    Beside what tells the size of other errors, it is told by how long level and drivers have been silent. Without
    drivers nobody knows which days are wet: none is calibrated apart.
    """
    assert samples.silence is not None
    drill, real = samples.silence.drills[kind], samples.silence
    days = drill.days
    change, spread = _expected(
        points, model, lambda p: np.where(days, p.changes[lead_time], p.drilled[kind][lead_time])
    )
    start = np.where(days, samples.start, drill.start)
    came = np.full(len(days), np.nan)
    came[:-lead_time] = samples.trusted[lead_time:] - start[:-lead_time]
    state = state_of(samples.inputs, _wet(samples) & (kind == "level"), samples.dates)
    drilled = state_of(drill.inputs, state.wet, samples.dates)
    told = State(samples.dates, state.wet, np.where(days[:, None], state.sizes, drilled.sizes)).beside(
        np.abs(change),
        spread,
        np.where(days, real.level_age, drill.level_age),
        np.where(days, real.drivers_age, drill.drivers_age),
    )
    return error_quantiles(
        came - change,
        told,
        lead_time=lead_time,
        probabilities=probabilities,
        wanted=days,
        lasting=3 * lead_time + DRILL_DAYS,
    )


def marginals(samples: Samples, points: Mapping[str, Points], model: str) -> Array:
    """A model's members: changes at 50 equally likely quantiles per day and lead, rising, shape (n, leads, 50).

    NaN where there is no forecast, no level to start from, or no interval.
    """
    members = [
        change[:, None] + interval_offsets(samples, points, model, lead_time=lead, probabilities=LEVELS.tolist())
        for lead, change in points[model].changes.items()
    ]
    made = np.stack(members, axis=1)
    made[~np.isfinite(samples.start)] = np.nan
    return made


def sample_paths(samples: Samples, points: Mapping[str, Points], members: Array, model: str = DEFAULT) -> Array:
    """The paths of a model: its `marginals` joined over the leads by how its past errors went on, the same shape."""
    changes = points[model].changes
    came = np.stack([samples.change(samples.trusted, lead) for lead in changes], axis=1)
    low, high = np.searchsorted(LEVELS, (0.1, 0.9))
    width = members[:, :, high] - members[:, :, low]
    errors = came - np.stack(list(changes.values()), axis=1)
    scaled = np.divide(errors, width, out=np.zeros_like(errors), where=(width > 0) | ~np.isfinite(width + errors))
    return join_leads(members, scaled, leads=list(changes), days=samples.dates, wet=_wet(samples))


def with_default(points: Mapping[str, Points], samples: Samples) -> dict[str, Points]:
    """`points` and beside them `default`, the blend of all: what a user gets."""
    blended, weights = {}, {}
    drilled: dict[str, dict[int, Array]] = {kind: {} for kind in points[MAIN].drilled}
    for lead in next(iter(points.values())).changes:
        each = {name: point.changes[lead] for name, point in points.items()}
        blended[lead], daily = blend(each, samples.change(samples.trusted, lead), lead_time=lead)
        weights[lead] = {name: float(of_day[-1]) for name, of_day in daily.items()}
        for kind, of_kind in drilled.items():
            of_kind[lead] = np.sum([daily[name] * point.drilled[kind][lead] for name, point in points.items()], axis=0)
    return {**points, DEFAULT: Points(blended, points[MAIN].replaced, weights=weights, drilled=drilled)}


def _rows(samples: Samples, rows: NDArray[np.intp], changes: Array) -> pl.DataFrame:
    level = samples.start[rows]
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


def crps_by_day(samples: Samples, members: Array, leads: Sequence[int]) -> dict[int, Array]:
    """Lead time → CRPS of each day's members, shape (n,); NaN where there are none or what came is unknown.

    How members are joined over the leads does not matter here: `marginals` and `sample_paths` give the same.
    """
    return {lead: crps_ensemble(members[:, k], samples.came(lead)) for k, lead in enumerate(leads)}
