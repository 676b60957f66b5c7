"""Scores of a hindcast by lead time, window and regime, with bootstrap bands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay import metrics
from forebay.features.known_inputs import in_date_ranges
from forebay.log import step
from forebay.tables import QUANTILES, REFERENCES
from forebay.verify.hindcast import ForecastChanges, scored_from
from forebay.verify.tables import SCORES

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.models.model import Array

_Cell: TypeAlias = tuple[str, str, int]  # window, regime, lead time
_Row: TypeAlias = "tuple[str, str, float, float | None, float | None]"  # model, metric, value, low, high
Forecasts: TypeAlias = "pl.DataFrame | ForecastChanges"
"""Forecasts of all models: `tables.FORECASTS`, or the same as arrays."""

BLOCK_DAYS = 60
RESAMPLES = 500
BAND = (0.05, 0.95)
LAST_SHARE = 0.2
"""Share of the record in the window `last20`."""
MIDDLE = QUANTILES.index(0.5)
LEVEL_MISSING = "level_missing"
"""Regime of days without a level. Their forecasts start from the last usable level and count in no other regime."""
LARGEST = {"mae_top5": 0.05, "mae_top1": 0.01}
"""Metric → share of the largest observed rises whose error it is."""
EVENT_GAP = 10
"""Days without a large rise after which the next one is a new event."""


POINT_METRICS: dict[str, Callable[[Array, Array], float]] = {
    "rmse": metrics.rmse,
    "nse": metrics.nse,
    "kge": metrics.kge,
    "bias": metrics.bias,
}
"""Metric → function of the median forecasts and the observed changes."""


@dataclass(frozen=True)
class DailyScores:
    """Scores of single days that do not follow from a table of quantiles.

    crps: model → lead time → CRPS of the sample paths of each day, shape (n,); NaN without one.
    outside: model → whether each day is outside experience, shape (n,).
    """

    crps: Mapping[str, Mapping[int, Array]] = field(default_factory=dict)
    outside: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


@dataclass(frozen=True)
class Paired:
    """Forecasts of all models and observed changes on the scored days of one lead time.

    quantiles: model → shape (n, 7); observed: shape (n,); days: index of the init date of each row; crps: model → (n,).
    """

    quantiles: dict[str, Array]
    observed: Array
    days: NDArray[np.intp]
    crps: dict[str, Array] = field(default_factory=dict)

    def rows(self, mask: NDArray[np.bool_]) -> Paired:
        """The rows with an init date in `mask`, which has one flag per day of the record."""
        inside = mask[self.days]
        quantiles, crps = (
            {model: rows[inside] for model, rows in table.items()} for table in (self.quantiles, self.crps)
        )
        return Paired(quantiles, self.observed[inside], self.days[inside], crps)


def windows(samples: Samples, dam: Dam) -> dict[str, NDArray[np.bool_]]:
    """Window name → whether each init date lies in it: `all`, `last20`, and those of the dam file."""
    index = np.arange(len(samples.dates))
    start = scored_from(samples, dam)
    masks = {"all": index >= start, "last20": index >= max(start, len(index) - int(LAST_SHARE * len(index)))}
    for window in dam.hindcast.windows:
        masks[window.name] = in_date_ranges(samples.dates, (window,)) & ~in_date_ranges(samples.dates, window.exclude)
    return {name: inside for name, inside in masks.items() if inside.any()}


@step("scores")
def score(
    forecasts: Forecasts,
    samples: Samples,
    dam: Dam,
    *,
    daily_scores: DailyScores | None = None,
    only_all: bool = False,
) -> pl.DataFrame:
    """`verify.tables.SCORES` of every model of a hindcast, on the same days for all models.

    Each year of the window `all` is a regime: `y2012`, …. Days without a level form the regime `level_missing`. It
    scores the change from the last usable level. These days count in no other regime. A day with a suspect
    level counts as all others do, with the change from the level that its forecast starts from. The 90% bands of MAE
    and skill come from resampled 60-day blocks, the same blocks for a model and its reference. `share_forecast` and
    `outside_experience` count all days of the window and regime, with or without an observed change. `outside_limits`
    is the number of observed levels outside the limits of the forecasts (`features.limits`).

    Parameters
    ----------
    only_all
        Whether only the rows of the regime `all` are computed.
    """
    daily_scores = daily_scores or DailyScores()
    cells: list[tuple[_Cell, int, list[_Row]]] = []
    spans = windows(samples, dam)
    years = samples.dates.astype("datetime64[Y]").astype(int) + 1970
    level_missing = samples.level_missing
    for lead in dam.hindcast.leads:
        wide = quantiles_by_day(forecasts, samples, lead)
        crps = {model: by_lead[lead] for model, by_lead in daily_scores.crps.items()}
        observed = samples.observed_change(lead)
        paired = _pair(wide, np.where(level_missing, np.nan, observed), crps)
        paired_missing = _pair(wide, np.where(level_missing, observed, np.nan), crps)
        for window, inside in spans.items():
            regimes = [(regime, mask, paired) for regime, mask in samples.regimes.items()]
            regimes.append((LEVEL_MISSING, level_missing, paired_missing))
            for regime, mask, rows in (cell for cell in regimes if not only_all or cell[0] == "all"):
                cell, scored = (window, regime, lead), rows.rows(inside & mask)
                if len(scored.observed):
                    outside = _outside_limits(scored, samples, lead)
                    cells.append((cell, len(scored.observed), [*_scores(scored), *outside]))
                    cells.append((cell, int((inside & mask).sum()), _shares(wide, daily_scores, inside & mask)))
        for year in np.unique(years[spans["all"]]) if "all" in spans and not only_all else []:
            scored = paired.rows(spans["all"] & (years == year))
            if len(scored.observed):
                cells.append((("all", f"y{year}", lead), len(scored.observed), _scores(scored)))
    return SCORES.check(_score_table(cells, dam), unique=True)


def pair(forecasts: Forecasts, samples: Samples, lead: int) -> Paired:
    """Quantiles of all models on the days of one lead time with an observed change and a forecast by every model."""
    change = np.where(samples.level_missing, np.nan, samples.observed_change(lead))
    return _pair(quantiles_by_day(forecasts, samples, lead), change, {})


def quantiles_by_day(forecasts: Forecasts, samples: Samples, lead: int) -> dict[str, Array]:
    """Model → its quantiles at one lead time, shape (days of the record, 7); NaN without a forecast."""
    if isinstance(forecasts, ForecastChanges):
        return forecasts.at(lead)
    wide: dict[str, Array] = {}
    for (model,), rows in forecasts.filter(pl.col("lead_time") == lead).group_by("model", maintain_order=True):
        quantiles = np.full((len(samples.dates), len(QUANTILES)), np.nan)
        day = (rows["init_date"].to_numpy().astype("datetime64[D]") - samples.dates[0]).astype(int)
        quantiles[day, np.searchsorted(QUANTILES, rows["quantile"].to_numpy() - 1e-9)] = rows["change"].to_numpy()
        wide[str(model)] = quantiles
    return wide


def _pair(wide: dict[str, Array], observed: Array, crps: dict[str, Array]) -> Paired:
    common = np.isfinite(observed)
    for quantiles in wide.values():
        common &= np.isfinite(quantiles[:, MIDDLE])
    days = np.flatnonzero(common)
    return Paired({m: q[days] for m, q in wide.items()}, observed[days], days, {m: c[days] for m, c in crps.items()})


def _outside_limits(paired: Paired, samples: Samples, lead: int) -> list[_Row]:
    """Per model that has limits, the number of observed levels that were outside them."""
    models = [model for model in paired.quantiles if model not in REFERENCES]
    if lead not in samples.limits:
        return []
    low, high = (limit[paired.days] for limit in samples.limits[lead])
    level = samples.start_level[paired.days] + paired.observed
    reserve = 1e-9 * np.maximum(1.0, np.abs(level))  # the rounding of start + change
    count = float(((level < low - reserve) | (level > high + reserve)).sum())
    return [(model, "outside_limits", count, None, None) for model in models]


def _shares(wide: dict[str, Array], daily_scores: DailyScores, mask: NDArray[np.bool_]) -> list[_Row]:
    """Per model, the share of the days in `mask` with a forecast, and the share of those outside experience."""
    rows: list[_Row] = []
    for model, quantiles in wide.items():
        rows.append((model, "share_forecast", float(np.isfinite(quantiles[mask, MIDDLE]).mean()), None, None))
        if model in daily_scores.outside:
            rows.append((model, "outside_experience", float(daily_scores.outside[model][mask].mean()), None, None))
    return rows


def _scores(paired: Paired) -> list[_Row]:
    """Scores of one window, regime and lead time, which has at least one day."""
    errors = {m: np.abs(q[:, MIDDLE] - paired.observed) for m, q in paired.quantiles.items()}
    resampled = _block_sums(errors, paired.days)
    largest = {name: metrics.largest(paired.observed, share) for name, share in LARGEST.items()}
    events = metrics.independent_events(paired.days[largest["mae_top5"]], EVENT_GAP)
    mae = {model: float(error.mean()) for model, error in errors.items()}
    rows: list[_Row] = []
    for model, quantiles in paired.quantiles.items():
        for metric, value in _values(quantiles, paired.observed, largest):
            rows.append((model, metric, value, None, None))
        rows += _crps(model, paired.crps)
        rows.append((model, "events", float(events), None, None))
        rows.append((model, "mae", mae[model], *_band(resampled[model] / resampled["n"])))
        rows += _skills(model, mae, resampled)
    return rows


def _crps(model: str, crps: dict[str, Array]) -> Iterator[_Row]:
    """Rows with the CRPS of a model and its skill against the reference with the least CRPS; none without a CRPS.

    A reference counts if it has a CRPS on every day.
    """
    means = {name: float(by_day.mean()) for name, by_day in crps.items() if np.isfinite(by_day).all()}
    if model not in means:
        return
    yield model, "crps", means[model], None, None
    references = [means[name] for name in REFERENCES if name in means]
    if references:
        yield model, "crps_skill_best", metrics.skill(means[model], min(references)), None, None


def _skills(model: str, mae: dict[str, float], resampled: dict[str, Array]) -> Iterator[_Row]:
    """Rows with the skill of a model against each reference, and against the best reference of these days."""
    references = [name for name in REFERENCES if name in mae]
    if not references:
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        bands = {name: _band(1 - resampled[model] / resampled[name]) for name in references}
    by_metric = {f"skill_{name}": name for name in references}
    by_metric["skill_best"] = min(references, key=lambda name: mae[name])
    for metric, reference in by_metric.items():
        yield model, metric, metrics.skill(mae[model], mae[reference]), *bands[reference]


def paired_gain(errors: Array, baseline: Array, days: NDArray[np.intp]) -> tuple[float, float | None, float | None]:
    """1 − mean of `errors` / mean of the `baseline` errors on the same `days`, and its 90% band.

    The band is that of a paired bootstrap of 60-day blocks; None where a resample has no `baseline` error.
    """
    return resampled_gain(errors, baseline, days // BLOCK_DAYS)


def resampled_gain(
    errors: Array, baseline: Array, blocks: NDArray[np.intp]
) -> tuple[float, float | None, float | None]:
    """As `paired_gain`, with the number of each row's block in `blocks`, in any order."""
    resampled = _sums_of_blocks({"errors": errors, "baseline": baseline}, blocks)
    with np.errstate(divide="ignore", invalid="ignore"):
        band = _band(1 - resampled["errors"] / resampled["baseline"])
    return metrics.skill(float(errors.mean()), float(baseline.mean())), *band


def _score_table(cells: list[tuple[_Cell, int, list[_Row]]], dam: Dam) -> pl.DataFrame:
    """`verify.tables.SCORES` of cells, each with its number of days."""
    names = ["window", "regime", "lead_time", "n", "model", "metric", "value", "low", "high"]
    rows = [(*cell, days, *row) for cell, days, scores in cells for row in scores]
    types = {name: SCORES.columns[name] for name in names}
    table = pl.DataFrame(rows, schema=types, orient="row", strict=False)
    table = table.with_columns(pl.col("value", "low", "high").fill_nan(None), dam=pl.lit(dam.id))
    return table.select(list(SCORES.columns))


def _values(
    quantiles: Array, observed: Array, largest: Mapping[str, NDArray[np.intp]]
) -> Iterator[tuple[str, float]]:
    """Name and value of every metric without a band; interval scores only if all rows have an interval.

    `largest` has the rows of the largest rises by the name of their metric (`LARGEST`).
    """
    point = quantiles[:, MIDDLE]
    for name, metric in POINT_METRICS.items():
        yield name, metric(point, observed)
    for name, top in largest.items():
        yield name, metrics.mae(point[top], observed[top])
    if np.isfinite(quantiles).all():
        yield "pinball", metrics.pinball(quantiles, observed, QUANTILES)
        for low, high, share in ((0.1, 0.9, 80), (0.05, 0.95, 90)):
            ends = quantiles[:, QUANTILES.index(low)], quantiles[:, QUANTILES.index(high)]
            yield f"coverage_{share}", metrics.coverage(*ends, observed)
            yield f"width_{share}", metrics.width(*ends)
        yield "above_95", metrics.share_above(quantiles[:, QUANTILES.index(0.95)], observed)


def _block_sums(errors: dict[str, Array], days: NDArray[np.intp]) -> dict[str, Array]:
    """Model → sums of absolute errors over resampled 60-day blocks, shape (500,); "n" → numbers of days. Seeded."""
    return _sums_of_blocks(errors, days // BLOCK_DAYS)


def _sums_of_blocks(errors: dict[str, Array], blocks: NDArray[np.intp]) -> dict[str, Array]:
    """Model → sums of `errors` over resampled blocks, shape (500,); "n" → numbers of rows. Seeded."""
    numbers = np.unique(blocks)
    block, count = np.searchsorted(numbers, blocks), len(numbers)
    block_counts = _block_counts(count)
    sums = {m: block_counts @ np.bincount(block, error, count) for m, error in errors.items()}
    return sums | {"n": block_counts @ np.bincount(block, minlength=count).astype(float)}


@lru_cache(maxsize=256)
def _block_counts(count: int) -> Array:
    """How often each of `count` blocks is in each resample, shape (500, count). Seeded."""
    random = np.random.default_rng(20120101)
    return random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(float)


def _band(resampled: Array) -> tuple[float | None, float | None]:
    """Ends of the 90% band; None if one of the resampled values is not finite."""
    if not np.isfinite(resampled).all():
        return None, None
    low, high = metrics.quantiles(resampled, BAND)
    return float(low), float(high)
