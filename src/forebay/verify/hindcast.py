"""The rolling-origin hindcast: every forecast that would have been issued, with only what was known then."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
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
from forebay.models.fits import Fits, fitter
from forebay.models.intervals import State, error_quantiles, quiet_median, state_of
from forebay.models.model import Array, Model
from forebay.models.paths import LEVELS, join_leads
from forebay.prepare.samples import WARM_UP, Samples
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
    weights, shift
        Of a blend, on the last day: each model's weight, and what was added to their mean because the day is quiet.
    """

    changes: dict[int, Array]
    replaced: dict[int, date] = field(default_factory=dict)
    fitted: dict[int, Model] = field(default_factory=dict)
    weights: dict[int, dict[str, float]] = field(default_factory=dict)
    shift: dict[int, float] = field(default_factory=dict)


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
    samples: Samples,
    dam: Dam,
    models: Mapping[str, Callable[[int], Model]],
    *,
    fits: Fits | None = None,
    progress: Progress | None = None,
) -> dict[str, Points]:
    """Expected changes of every model, lead time and day from the first origin on.

    A model fitted on refit day R learns from the days whose valid date lies before R, and forecasts until the next
    refit day. Where it refuses for lack of past days, `damped_change` stands in, and `Points.replaced` says so.

    Parameters
    ----------
    fits
        Where fitted models are kept for the next hindcast; without it all are fitted. The forecasts are the same.
    """
    origin = first_origin(samples, dam)
    starts = refit_days(samples.dates, origin)
    spans = list(zip(starts, [*starts[1:], len(samples.dates)], strict=True))
    made = {name: Points({h: np.full(len(samples.dates), np.nan) for h in dam.hindcast.leads}) for name in models}
    import sklearn.linear_model  # noqa: F401  # its libraries must be there before their threads can be limited

    # The matrices are small: more threads within one product would only wait for each other.
    with threadpool_limits(1), ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        work = [pool.submit(_forecast_lead, samples, h, models, spans=spans, fits=fits) for h in dam.hindcast.leads]
        for done, _ in enumerate(as_completed(work)):
            if progress:
                progress("hindcast", done + 1, len(work))
        for lead, future in zip(dam.hindcast.leads, work, strict=True):
            for name, of_lead in future.result().items():
                made[name].changes[lead] = of_lead.change
                if of_lead.fitted is not None:
                    made[name].fitted[lead] = of_lead.fitted
                if of_lead.replaced is not None:
                    made[name].replaced[lead] = of_lead.replaced
    if fits:
        fits.prune()
    return made


@dataclass
class _OfLead:
    """One model's forecasts at one lead time, as in `Points`."""

    change: Array
    replaced: date | None = None
    fitted: Model | None = None


def _forecast_lead(
    samples: Samples,
    lead: int,
    models: Mapping[str, Callable[[int], Model]],
    *,
    spans: Sequence[tuple[int, int]],
    fits: Fits | None,
) -> dict[str, _OfLead]:
    """Each model's forecasts at one lead time."""
    target = samples.change(samples.trusted, lead)
    inputs = samples.inputs_at(lead)
    made = {name: _OfLead(np.full(len(samples.dates), np.nan)) for name in models}
    for start, end in spans:
        past = np.flatnonzero(np.isfinite(target[: max(0, start - lead)]))
        fit = fitter(fits, inputs[past], target[past])
        for name, make in models.items():
            into = made[name]
            try:
                into.fitted = fit(make(lead))
            except ModelError:
                into.fitted = fit(models[FALLBACK](lead))
                into.replaced = samples.dates[end - 1].item()
            into.change[start:end] = into.fitted.predict(inputs[start:end])
    return made


def forecast_table(samples: Samples, dam: Dam, points: Mapping[str, Points]) -> pl.DataFrame:
    """`points` with their quantiles as a table (`tables.FORECASTS`), one row per model, init date, lead and quantile.

    Intervals come from each model's own past errors; where fewer than 20 are known, only the median is given. Days
    without a usable level have no forecast: a level cannot be stated from an unknown one.
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
    change = points[model].changes[lead_time]
    state = _state(samples, points, change, lead_time)
    errors = samples.change(samples.trusted, lead_time) - change
    return error_quantiles(errors, state, lead_time=lead_time, probabilities=probabilities)


def _state(samples: Samples, points: Mapping[str, Points], change: Array, lead_time: int) -> State:
    """What the size of the errors of a model depends on that expects `change`."""
    each = [point.changes[lead_time] for name, point in points.items() if name not in REFERENCES]
    spread = np.max(each, axis=0) - np.min(each, axis=0) if len(each) > 1 else np.zeros(len(change))
    return state_of(samples.inputs_at(lead_time), _regime(samples, "wet"), samples.dates).beside(np.abs(change), spread)


def _regime(samples: Samples, name: str) -> NDArray[np.bool_]:
    """Whether each day belongs to a regime; no day where it cannot be told."""
    return samples.regimes.get(name, np.zeros(len(samples.dates), bool))


def marginals(samples: Samples, points: Mapping[str, Points], model: str) -> Array:
    """A model's members: changes at 50 equally likely quantiles per day and lead, rising, shape (n, leads, 50).

    NaN where there is no forecast, no level to start from, or no interval.
    """
    members = [
        change[:, None] + interval_offsets(samples, points, model, lead_time=lead, probabilities=LEVELS.tolist())
        for lead, change in points[model].changes.items()
    ]
    made = np.stack(members, axis=1)
    made[~(np.isfinite(samples.level) | np.isfinite(samples.observed))] = np.nan
    return made


def sample_paths(samples: Samples, points: Mapping[str, Points], members: Array, model: str = DEFAULT) -> Array:
    """The paths of a model: its `marginals` joined over the leads by how its past errors went on, the same shape."""
    changes = points[model].changes
    came = np.stack([samples.change(samples.trusted, lead) for lead in changes], axis=1)
    low, high = np.searchsorted(LEVELS, (0.1, 0.9))
    width = members[:, :, high] - members[:, :, low]
    errors = came - np.stack(list(changes.values()), axis=1)
    scaled = np.divide(errors, width, out=np.zeros_like(errors), where=(width > 0) | ~np.isfinite(width + errors))
    return join_leads(members, scaled, leads=list(changes), days=samples.dates, wet=_regime(samples, "wet"))


def with_default(points: Mapping[str, Points], samples: Samples) -> dict[str, Points]:
    """`points` and beside them `default`, what a user gets: the blend of all, on quiet days set right by its median.

    Weights are learned apart for wet days and for days near full supply.
    """
    made = Points({}, points[MAIN].replaced)
    kind = 2 * _regime(samples, "near_full").astype(int) + _regime(samples, "wet")
    for lead in next(iter(points.values())).changes:
        each = {name: point.changes[lead] for name, point in points.items()}
        came = samples.change(samples.trusted, lead)
        blended, daily = blend(each, came, lead_time=lead, kind=kind)
        shift = quiet_median(came - blended, _state(samples, points, blended, lead), lead_time=lead)
        made.changes[lead] = blended + shift
        made.weights[lead] = {name: float(of_day[-1]) for name, of_day in daily.items()}
        made.shift[lead] = float(shift[-1])
    return {**points, DEFAULT: made}


def _rows(samples: Samples, rows: NDArray[np.intp], changes: Array) -> pl.DataFrame:
    level = np.where(np.isfinite(samples.level), samples.level, samples.observed)[rows]
    return pl.DataFrame(
        {
            "init_date": np.repeat(samples.dates[rows], len(QUANTILES)),
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
            pl.col("init_date").cast(pl.Date),
        ).with_columns(
            to_utc(pl.col("init_date").cast(pl.Datetime("us")) + pl.duration(days=1), dam.time_zone).alias("init_time"),
            (pl.col("init_date") + days).alias("valid_date"),
        )
    )


def crps_by_day(samples: Samples, members: Array, leads: Sequence[int]) -> dict[int, Array]:
    """Lead time → CRPS of each day's members, shape (n,); NaN where there are none or what came is unknown.

    How members are joined over the leads does not matter here: `marginals` and `sample_paths` give the same.
    """
    return {lead: crps_ensemble(members[:, k], samples.change(samples.observed, lead)) for k, lead in enumerate(leads)}
