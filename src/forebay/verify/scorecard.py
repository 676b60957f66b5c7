"""Scores of a hindcast by lead, window and regime, with bootstrap bands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay import metrics
from forebay.dams.dam import Dam
from forebay.features.samples import Samples, in_spells
from forebay.models import REFERENCES
from forebay.models.model import Array
from forebay.tables import QUANTILES, SCORES
from forebay.verify.hindcast import scored_from

BLOCK_DAYS = 60
RESAMPLES = 500
BAND = (0.05, 0.95)
LAST = 0.2
"""Share of the record's days in the window `last20`."""
MIDDLE = QUANTILES.index(0.5)
LEVEL_MISSING = "level_missing"
"""The regime of days without a level, whose forecasts start from the last good one: scored apart, in no other cell."""
EVENT_GAP = 10
"""Days without a large rise that make the next one an event of its own."""


@dataclass(frozen=True)
class DailyScores:
    """What a table of quantiles does not hold, of the models that have it, per day of the record.

    crps: model → lead time → CRPS of the day's sample paths, shape (n,), NaN where there is none.
    outside: model → whether the day was outside experience, shape (n,).
    """

    crps: Mapping[str, Mapping[int, Array]] = field(default_factory=dict)
    outside: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


@dataclass(frozen=True)
class Paired:
    """Forecasts of all models on one lead time's scored days, row by row beside what came.

    quantiles: model → shape (n, 7); observed: shape (n,); days: index of each row's init date; crps: model → (n,).
    """

    quantiles: dict[str, Array]
    observed: Array
    days: NDArray[np.intp]
    crps: dict[str, Array] = field(default_factory=dict)

    def rows(self, chosen: NDArray[np.bool_]) -> Paired:
        """The rows whose init date is `chosen` (one flag per day of the record)."""
        keep = chosen[self.days]
        quantiles, crps = ({m: rows[keep] for m, rows in of.items()} for of in (self.quantiles, self.crps))
        return Paired(quantiles, self.observed[keep], self.days[keep], crps)


def windows(samples: Samples, dam: Dam) -> dict[str, NDArray[np.bool_]]:
    """Window name → whether each init date lies in it: `all`, `last20`, and those of the dam file."""
    index = np.arange(len(samples.dates))
    start = scored_from(samples, dam)
    made = {"all": index >= start, "last20": index >= max(start, len(index) - int(LAST * len(index)))}
    for window in dam.hindcast.windows:
        made[window.name] = in_spells(samples.dates, (window,)) & ~in_spells(samples.dates, window.exclude)
    return {name: inside for name, inside in made.items() if inside.any()}


def score(
    forecasts: pl.DataFrame, samples: Samples, dam: Dam, *, daily_scores: DailyScores | None = None
) -> pl.DataFrame:
    """Scores (`tables.SCORES`) of every model of a hindcast, on the same days for all.

    Years are scored as regimes `y2012`, … of the window `all`. Days without a level are scored apart, as the regime
    `level_missing`, by the change from the last good level, and count in no other cell. The 90% bands of MAE and of
    skill come from resampling 60-day blocks, the same blocks for a model and its reference. `share_forecast` and
    `outside_experience` count other days: all those of the window and regime, whether or not what came is known.
    """
    daily_scores = daily_scores or DailyScores()
    cards = [pl.DataFrame(schema=SCORES.columns)]
    spans = windows(samples, dam)
    years = samples.dates.astype("datetime64[Y]").astype(int) + 1970
    silent = samples.level_age > 0
    for lead in dam.hindcast.leads:
        wide = _wide(forecasts, samples, lead)
        crps = {m: of[lead] for m, of in daily_scores.crps.items()}
        paired = _pair(wide, np.where(silent, np.nan, samples.observed_change(lead)), crps)
        apart = _pair(wide, np.where(silent, samples.observed_change(lead), np.nan), crps)
        for window, inside in spans.items():
            cells = [(regime, belongs, paired) for regime, belongs in samples.regimes.items()]
            for regime, belongs, rows in [*cells, (LEVEL_MISSING, silent, apart)]:
                cell = (window, regime, lead)
                card = _card(rows.rows(inside & belongs), dam, cell)
                if not card.is_empty():
                    cards += [card, _shares(wide, daily_scores, inside & belongs, dam=dam, cell=cell)]
        for year in np.unique(years[spans["all"]]) if "all" in spans else []:
            cards.append(_card(paired.rows(spans["all"] & (years == year)), dam, ("all", f"y{year}", lead)))
    return SCORES.check(pl.concat(cards), unique=True)


def pair(forecasts: pl.DataFrame, samples: Samples, lead: int) -> Paired:
    """All models' quantiles on the days that can be scored at one lead and that every model forecast."""
    change = np.where(samples.level_age > 0, np.nan, samples.observed_change(lead))
    return _pair(_wide(forecasts, samples, lead), change, {})


def _wide(forecasts: pl.DataFrame, samples: Samples, lead: int) -> dict[str, Array]:
    """Every model's quantiles at one lead, shape (days of the record, 7); NaN where there is no forecast."""
    wide: dict[str, Array] = {}
    for (model,), rows in forecasts.filter(pl.col("lead_time") == lead).group_by("model", maintain_order=True):
        of_model = np.full((len(samples.dates), len(QUANTILES)), np.nan)
        day = (rows["init_date"].to_numpy().astype("datetime64[D]") - samples.dates[0]).astype(int)
        of_model[day, np.searchsorted(QUANTILES, rows["quantile"].to_numpy() - 1e-9)] = rows["change"].to_numpy()
        wide[str(model)] = of_model
    return wide


def _pair(wide: dict[str, Array], change: Array, crps: dict[str, Array]) -> Paired:
    common = np.isfinite(change)
    for quantiles in wide.values():
        common &= np.isfinite(quantiles[:, MIDDLE])
    days = np.flatnonzero(common)
    return Paired({m: q[days] for m, q in wide.items()}, change[days], days, {m: c[days] for m, c in crps.items()})


def _shares(
    wide: dict[str, Array],
    daily_scores: DailyScores,
    chosen: NDArray[np.bool_],
    *,
    dam: Dam,
    cell: tuple[str, str, int],
) -> pl.DataFrame:
    """Shares of the chosen days on which each model issued a forecast, and which were outside experience."""
    days = int(chosen.sum())
    rows: list[_Row] = []
    for model, quantiles in wide.items():
        rows.append((model, "share_forecast", float(np.isfinite(quantiles[chosen, MIDDLE]).mean()), None, None))
        if model in daily_scores.outside:
            rows.append((model, "outside_experience", float(daily_scores.outside[model][chosen].mean()), None, None))
    return _table(rows, dam, cell, days)


_Row = tuple[str, str, float, float | None, float | None]


def _card(paired: Paired, dam: Dam, cell: tuple[str, str, int]) -> pl.DataFrame:
    """Scores of one window, regime and lead; no rows where nothing can be scored."""
    n = len(paired.observed)
    if n == 0:
        return SCORES.empty()
    misses = {m: np.abs(q[:, MIDDLE] - paired.observed) for m, q in paired.quantiles.items()}
    resampled = _block_sums(misses, paired.days)
    events = metrics.independent_events(paired.days[metrics.largest(paired.observed, 0.05)], EVENT_GAP)
    rows: list[_Row] = []
    for model, quantiles in paired.quantiles.items():
        for metric, value in _values(quantiles, paired.observed):
            rows.append((model, metric, value, None, None))
        if model in paired.crps and np.isfinite(paired.crps[model]).all():
            rows.append((model, "crps", float(paired.crps[model].mean()), None, None))
        rows.append((model, "events", float(events), None, None))
        rows.append((model, "mae", float(misses[model].mean()), *_band(resampled[model] / resampled["n"])))
        rows += _skills(model, misses, resampled)
    return _table(rows, dam, cell, n)


def _skills(model: str, misses: dict[str, Array], resampled: dict[str, Array]) -> Iterator[_Row]:
    """Skill of a model against each reference, and against the one of them that is best on these days."""
    mae = {name: float(misses[name].mean()) for name in (model, *REFERENCES) if name in misses}
    references = [name for name in REFERENCES if name in mae]
    against = {f"skill_{name}": name for name in references}
    if references:
        against["skill_best"] = min(references, key=lambda name: mae[name])
    for metric, reference in against.items():
        with np.errstate(divide="ignore", invalid="ignore"):
            band = _band(1 - resampled[model] / resampled[reference])
        yield model, metric, metrics.skill(mae[model], mae[reference]), *band


def _table(rows: list[_Row], dam: Dam, cell: tuple[str, str, int], n: int) -> pl.DataFrame:
    window, regime, lead = cell
    table = pl.DataFrame(rows, schema=["model", "metric", "value", "low", "high"], orient="row")
    return table.with_columns(
        pl.lit(dam.id).alias("dam"),
        pl.lit(window).alias("window"),
        pl.lit(regime).alias("regime"),
        pl.lit(lead, pl.Int32).alias("lead_time"),
        pl.lit(n, pl.Int64).alias("n"),
        pl.col("value", "low", "high").cast(pl.Float64).fill_nan(None),
    ).select(list(SCORES.columns))


def _values(quantiles: Array, observed: Array) -> Iterator[tuple[str, float]]:
    """Every metric without a band. Interval scores only where all rows have an interval."""
    point = quantiles[:, MIDDLE]
    yield "rmse", metrics.rmse(point, observed)
    yield "nse", metrics.nse(point, observed)
    yield "kge", metrics.kge(point, observed)
    yield "bias", metrics.bias(point, observed)
    for share, name in ((0.05, "mae_top5"), (0.01, "mae_top1")):
        top = metrics.largest(observed, share)
        yield name, metrics.mae(point[top], observed[top])
    if np.isfinite(quantiles).all():
        yield "pinball", metrics.pinball(quantiles, observed, QUANTILES)
        for low, high, share in ((0.1, 0.9, 80), (0.05, 0.95, 90)):
            ends = quantiles[:, QUANTILES.index(low)], quantiles[:, QUANTILES.index(high)]
            yield f"coverage_{share}", metrics.coverage(*ends, observed)
            yield f"width_{share}", metrics.width(*ends)
        yield "above_95", metrics.share_above(quantiles[:, QUANTILES.index(0.95)], observed)


def _block_sums(misses: dict[str, Array], days: NDArray[np.intp]) -> dict[str, Array]:
    """Sums of absolute errors (and of days, "n") over resampled 60-day blocks, shape (500,) each; seeded."""
    block = days // BLOCK_DAYS
    block = np.searchsorted(np.unique(block), block)
    count = int(block[-1]) + 1
    drawn = np.random.default_rng(20120101).multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(float)
    sums = {m: drawn @ np.bincount(block, miss, count) for m, miss in misses.items()}
    return sums | {"n": drawn @ np.bincount(block, minlength=count).astype(float)}


def _band(resampled: Array) -> tuple[float | None, float | None]:
    finite = resampled[np.isfinite(resampled)]
    if len(finite) < len(resampled):
        return None, None
    low, high = metrics.quantiles(finite, BAND)
    return float(low), float(high)
