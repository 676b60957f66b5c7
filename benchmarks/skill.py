"""Scores of every dam in `tests/dams` at 1, 3 and 7 days and their requirements, as the page `docs/skill.md`.

Run: ``scripts/skill [-o FILE] [--table FILE] [--against FILE] [DAM FILE …]``. Each dam is hindcast in a separate
process, two at a time. The records come from the files that the dam files name; if one is missing, the error names it.

``--table`` stores the losses by blocks of days (`skill_blocks`). ``--against`` compares with such a table: the page
then has every score of `default` before and after, with the band of the change.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dam_records import DAM_FILES, daily_tables
from forebay.dams.dam import Dam
from forebay.errors import ForebayError, ModelError
from forebay.features.samples import Samples, make_samples
from forebay.jobs.forecast_value import interval_ends, other_inputs
from forebay.models import FLOW_MODELS, FORECAST_MODELS, MODELS, models_for
from forebay.models.day_kinds import FALLING
from forebay.models.model import Array
from forebay.models.regression import MIN_ROWS
from forebay.tables import DEFAULT_MODEL, REFERENCES
from forebay.verify import hindcast, scorecard, uncertainty
from forebay.verify.default import with_default
from forebay.verify.forecast_value import forecast_value
from forebay.verify.point_forecasts import PointForecasts
from forebay.verify.tables import FORECAST_VALUE
from skill_blocks import REGIMES, block_scores, block_sums, compare

PROJECT = Path(__file__).resolve().parents[1]
LEADS = (1, 3, 7)
ALL_LEADS = tuple(range(1, 8))
"""Lead times of the hindcasts; they are smoothed together, and scored at `LEADS`."""
TEST_DAMS = ("bilancino", "lavon", "canyon", "georgetown", "conroe", "beltzville", "cannonsville", "cantareira",
             "salagou", "olivettes", "palisades", "jackson_lake", "kabini", "folsom")  # fmt: skip
"""Dams other than Warragamba. A few parameters were chosen on them: those of `models.response`, `models.lead_curve`,
`models.stages` and `features.input_range`; their results are a little better than those of other dams may be."""

LIGHTGBM_MAE = {
    "bilancino": 0.032,
    "lavon": 0.040,
    "canyon": 0.018,
    "georgetown": 0.024,
    "beltzville": 0.074,
    "cannonsville": 118.0,
    "cantareira": 0.086,
}
"""Next-day MAE of an untuned LightGBM (L1, 150 trees) on the last 20% of days, spikes removed."""

LIMITS = {
    ("T10", "mae"): (0.0155, 0.0520, 0.131),
    ("T4", "mae"): (0.0180, 0.0630, 0.168),
    ("T10", "mae_top5"): (0.125, 0.50, 1.30),
    ("T4", "mae_top5"): (0.172, 0.68, 1.85),
    ("T4", "pinball"): (0.0068, 0.0255, 0.071),
}
"""Upper limits of Warragamba's errors in metres at 1, 3, 7 days, by (window, metric)."""
FORECAST_MONTHS = {"kabini": range(6, 12)}
"""Months on which forecasts as inputs are scored, where not all: the south-west monsoon and the months after it."""
MIN_GAINS = {"kabini": {1: 0.0, 3: 0.05, 5: 0.0, 7: 0.05}, "folsom": {1: 0.10, 3: 0.20, 7: 0.20}}
"""Dam → lead time → least gain by forecasts as inputs."""
ONSET_MONTHS = {"kabini": 6}
"""Month of the init dates in the regime `onset`, at dams with a monsoon."""
BAND_DAMS = ("kabini",)
"""Dams whose gain is against the hindcast without forecasts and has a band above 0; the others' is against the better
of this hindcast and the best reference."""
MAX_ERRORS = {"folsom": {3: 10.5, 7: 24.0}}
"""Dam → lead time → largest MAE with forecasts as inputs, in the dam's unit."""
MIN_NEAR_FULL = 200
"""Days near full supply from which on a dam has requirements for them."""
COVERAGE_LIMITS = {"coverage_80": (0.76, 0.84), "coverage_90": (0.87, 0.93)}
"""Limits of Warragamba's coverage on T10 at each lead time."""

HEAD = """\
# Skill of the forecasts

`scripts/skill` wrote this page on {today} with forebay {version}. It hindcasts every dam in `tests/dams` as
`forebay run` does, at lead times of 1 to 7 days, and shows 1, 3 and 7. The training window expands, each 1 January
fits the models again, and no forecast uses data that was not known at the time. The records are not part of the
project. `default` is the model for users: the blend of all models.

Errors are in the unit of the dam's target. The columns and windows are:

- *skill*: 1 − MAE / MAE of the best of the four references on the same days, with the 90% band of a paired 60-day block
  bootstrap. The references are {references}.
- *top 5%*: MAE on the largest 5% of rises.
- *80%*, *90%*: shares of observed values within these intervals.
- Window `all`: everything after the first 40% of a record, or after the start in the dam file.
- Window `last20`: the last 20% of the days in `all`. The dam file defines the other windows.
- *without*, *as issued*, *perfect*: `default` without the forecasts of rain or inflow, with those issued by the time of
  the forecast, and with observed values in their place. The last is a bound and no forecast. Where no gauge observes
  the rain, the last forecast of a day counts as perfect. A gain is 1 − MAE / MAE without.
- The first table of each dam has `default` by regime, window `all`. On *falling* days the last change is below the
  5% quantile of the changes so far. *onset* is June, in which the monsoon reaches Kabini. *below .05* and *above .95*
  are the shares of observed values outside these quantiles.
"""


COMPARISON = """\
Scores of `default`, each on the same days: the change of an error is a ratio, that of a share is a difference. The band
is that of a paired bootstrap of 60-day blocks. A star marks a cell of which some blocks have other days now; only the
other blocks count."""

SAME_INPUTS = """\
*Same inputs* marks an untuned LightGBM on forebay's own inputs. At Conroe, which has no published figure, it sets the
requirement. At the other dams the published figure sets the requirement, and the check against the same inputs, which
is harder, is for information."""


@dataclass(frozen=True)
class Skill:
    """One dam's scores.

    Attributes
    ----------
    dam, title, unit
        Id, name and unit of the dam file.
    scores
        `verify.tables.SCORES` of the regimes `REGIMES`.
    untuned
        Next-day MAE on `last20` of an untuned LightGBM with our inputs.
    blocks
        Losses by blocks of days, as `skill_blocks.block_sums` returns them.
    forecast_value
        `verify.tables.FORECAST_VALUE` of the days in `FORECAST_MONTHS`; empty without forcings.
    """

    dam: str
    title: str
    unit: str
    scores: pl.DataFrame
    untuned: float
    blocks: pl.DataFrame
    forecast_value: pl.DataFrame

    def value(self, window: str, lead: int, metric: str, *, model: str = DEFAULT_MODEL, regime: str = "all") -> float:
        """One score; NaN if it is missing."""
        values = self._rows(window, lead, metric, model=model).filter(pl.col("regime") == regime)["value"].to_list()
        return float("nan") if not values or values[0] is None else float(values[0])

    @property
    def models(self) -> list[str]:
        """The models of the dam."""
        scored = set(self.scores["model"])
        return [name for name in MODELS | FLOW_MODELS | FORECAST_MODELS if name in scored]

    def best_reference(self, window: str, lead: int) -> str:
        """The reference with the least MAE."""
        return min(REFERENCES, key=lambda name: self.value(window, lead, "mae", model=name))

    def skill(self, window: str, lead: int, model: str) -> tuple[float, float, float]:
        """Skill against the best reference, and its 90% band; NaN where they are not defined."""
        metric = f"skill_{self.best_reference(window, lead)}"
        row = self._rows(window, lead, metric, model=model).filter(pl.col("regime") == "all")
        cells = row["value", "low", "high"].row(0) if len(row) else (None,) * 3
        value, low, high = (float("nan") if x is None else float(x) for x in cells)
        return value, low, high

    def n(self, window: str, lead: int, *, regime: str = "all") -> int:
        """Number of scored days; 0 where the dam does not have the regime."""
        row = self._rows(window, lead, "mae", model=DEFAULT_MODEL).filter(pl.col("regime") == regime)
        return int(row["n"].sum())

    def _rows(self, window: str, lead: int, metric: str, *, model: str) -> pl.DataFrame:
        return self.scores.filter(
            pl.col("window") == window,
            pl.col("lead_time") == lead,
            pl.col("metric") == metric,
            pl.col("model") == model,
        )


class Untuned:
    """LightGBM with L1 loss, 150 trees and default parameters, on our inputs."""

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """The model with fitted trees; raises `ModelError` with fewer than 200 rows."""
        import lightgbm

        if len(target) < MIN_ROWS:
            raise ModelError(f"trees need at least {MIN_ROWS} past days to learn from, but there are {len(target)}")

        parameters = {"objective": "l1", "seed": 1, "num_threads": 1, "verbose": -1}
        self.columns_ = inputs.columns
        self.booster_ = lightgbm.train(parameters, lightgbm.Dataset(_matrix(inputs), target), 150)
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Predicted change of each row."""
        changes = self.booster_.predict(_matrix(inputs.select(self.columns_)), num_threads=1)
        return np.asarray(changes, float)


def _matrix(inputs: pl.DataFrame) -> Array:
    return np.asarray(inputs.cast(pl.Float64).to_numpy())


@dataclass(frozen=True)
class Check:
    """One requirement: description, dam, measured value, allowed values, and whether the value is allowed."""

    description: str
    dam: str
    measured: str
    allowed: str
    holds: bool


def measure(path: Path) -> Skill:
    """Scores of one dam's hindcast.

    Raises
    ------
    ForebayError
        If its file, or a file that it names, cannot be read.
    """
    dam, tables = daily_tables(path, ALL_LEADS)
    samples = make_samples(tables.known, tables.newest, dam, tables.forcings)
    points = with_default(hindcast.point_forecasts(samples, dam, models_for(dam)), samples)
    forecasts = hindcast.forecast_table(samples, dam, points)
    scores = scorecard.score(forecasts, samples, dam)
    scores = scores.filter(pl.col("regime").is_in(REGIMES), pl.col("lead_time").is_in(LEADS))
    by_kind = replace(samples, regimes=samples.regimes | _kinds_of_days(samples, dam, points))
    blocks = block_sums(forecasts, by_kind, dam, reaches_full=_reaches_full(samples, dam, points))
    blocks = blocks.filter(pl.col("lead_time").is_in(LEADS))
    value = FORECAST_VALUE.empty()
    if dam.forcings:
        ends = interval_ends(forecasts, samples, dam)
        days = np.isin(_months(samples), FORECAST_MONTHS.get(dam.id, range(1, 13)))
        value = forecast_value(samples, dam, points, other_inputs(dam, tables), quantiles=ends, days=days)
    return Skill(dam.id, dam.name, dam.target.unit, scores, _untuned(samples, dam), blocks, value)


def _months(samples: Samples) -> Array:
    """Month of each init date, 1 to 12, shape (n,)."""
    return np.asarray(samples.dates.astype("datetime64[M]").astype(int) % 12 + 1)


def _kinds_of_days(samples: Samples, dam: Dam, points: dict[str, PointForecasts]) -> dict[str, NDArray[np.bool_]]:
    """Regime → its days: `falling`, those of a fast fall, and `onset`, those of `ONSET_MONTHS`."""
    kinds = uncertainty.interval_kinds(samples, points, min(LEADS))
    days = {"falling": kinds & FALLING > 0}
    if dam.id in ONSET_MONTHS:
        days["onset"] = _months(samples) == ONSET_MONTHS[dam.id]
    return days


def _reaches_full(samples: Samples, dam: Dam, points: dict[str, PointForecasts]) -> tuple[Array, Array] | None:
    """Per day, the probability that full supply is reached by the last lead, and whether it was; NaN if unknown.

    The probability is the largest of those of the lead times, for which full supply is that of the valid date.
    """
    if dam.full_supply is None:
        return None
    leads, longest = dam.hindcast.leads, max(dam.hindcast.leads)
    days = pl.Series(samples.dates).cast(pl.Date)
    full = np.stack([dam.full_supply.on(days.dt.offset_by(f"{lead}d")) for lead in leads], axis=1).astype(float)
    levels = samples.start_level[:, None, None] + uncertainty.marginals(samples, points, DEFAULT_MODEL)
    is_known = np.isfinite(levels).all(axis=(1, 2)) & np.isfinite(full).all(axis=1)
    probability = np.where(is_known, (levels >= full[:, :, None]).mean(axis=2).max(axis=1), np.nan)
    observed = np.full((len(days), longest), np.nan)
    for lead in range(1, longest + 1):
        observed[:-lead, lead - 1] = samples.observed[lead:] - dam.full_supply.on(days[lead:]).to_numpy()
    reached = (observed >= 0).any(axis=1)
    return probability, np.where(reached | np.isfinite(observed).all(axis=1), reached, np.nan)


def _untuned(samples: Samples, dam: Dam) -> float:
    """Next-day MAE of an untuned LightGBM on `last20`."""
    next_day = dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"leads": (1,)})})
    models = {"damped_change": MODELS["damped_change"], "untuned": Untuned}
    changes = hindcast.point_forecasts(samples, next_day, models)["untuned"].changes[1]
    errors = np.abs(changes - samples.change(samples.observed, 1))[scorecard.windows(samples, dam)["last20"]]
    return float(np.nanmean(errors))


def checks(skills: Sequence[Skill]) -> Iterator[Check]:
    """Every requirement, dam by dam, with its result."""
    for skill in skills:
        if skill.dam == "warragamba":
            yield from _limits(skill)
            yield from _wet(skill)
        yield from _never_worse(skill)
        yield from _near_full(skill)
        yield from _limits_of_the_dam(skill)
        yield from _forecast_value(skill)
        if skill.dam in TEST_DAMS:
            yield from _against_references(skill)
            yield from _against_untuned(skill)
    cells = [(skill, lead) for skill in skills for lead in LEADS]
    ahead = sum(ratio_to_best(skill, lead)[0] < 1 for skill, lead in cells)
    description = "dams and lead times with an MAE below that of the best single model"
    yield Check(description, "all", f"{ahead} of {len(cells)}", "most", 2 * ahead > len(cells))
    better = [skill.dam for skill in skills if skill.dam in TEST_DAMS and skill.skill("all", 1, DEFAULT_MODEL)[1] > 0]
    tested = [skill for skill in skills if skill.dam in TEST_DAMS]
    if len(tested) == len(TEST_DAMS):
        yield Check(
            "MAE at 1 day below that of the best reference, including the 90% band",
            "all but warragamba",
            f"{len(better)} of {len(TEST_DAMS)}",
            "≥ 3 of 4",
            4 * len(better) >= 3 * len(TEST_DAMS),
        )


def _limits(skill: Skill) -> Iterator[Check]:
    for (window, metric), upper_limits in LIMITS.items():
        for lead, limit in zip(LEADS, upper_limits, strict=True):
            value = skill.value(window, lead, metric)
            yield Check(f"{metric}, {window}, {lead} d", skill.dam, f"{value:.4f}", f"≤ {limit}", value <= limit)
    for metric, bounds in COVERAGE_LIMITS.items():
        for lead in LEADS:
            yield _within(f"{metric}, T10, {lead} d", skill.dam, skill.value("T10", lead, metric), bounds)


def _wet(skill: Skill) -> Iterator[Check]:
    for lead in LEADS:
        coverage = skill.value("T10", lead, "coverage_90", regime="wet")
        yield Check(f"coverage_90, T10 wet, {lead} d", skill.dam, f"{coverage:.3f}", "≥ 0.83", coverage >= 0.83)
        above = skill.value("T10", lead, "above_95", regime="wet")
        yield Check(f"above_95, T10 wet, {lead} d", skill.dam, f"{above:.3f}", "≤ 0.12", above <= 0.12)


def _near_full(skill: Skill) -> Iterator[Check]:
    for lead in LEADS:
        if skill.n("all", lead, regime="near_full") < MIN_NEAR_FULL:
            continue
        errors = {m: skill.value("all", lead, "mae", model=m, regime="near_full") for m in (DEFAULT_MODEL, *REFERENCES)}
        best = min(REFERENCES, key=lambda name: errors[name])
        ratio = errors[DEFAULT_MODEL] / errors[best]
        description = f"near full supply, MAE / that of the best reference ({best}), {lead} d"
        yield Check(description, skill.dam, f"{ratio:.3f}", "≤ 0.98", ratio <= 0.98)
        coverage = skill.value("all", lead, "coverage_90", regime="near_full")
        yield _within(f"near full supply, coverage_90, {lead} d", skill.dam, coverage, (0.85, 0.95))
        below = 1 - coverage - skill.value("all", lead, "above_95", regime="near_full")
        limit = 0.12 if lead == max(LEADS) else 0.10
        description = f"near full supply, levels below the .05 quantile, {lead} d"
        yield Check(description, skill.dam, f"{below:.3f}", f"≤ {limit}", below <= limit)


def _limits_of_the_dam(skill: Skill) -> Iterator[Check]:
    for lead in LEADS:
        outside = int(skill.value("all", lead, "outside_limits"))
        holds = outside <= 0.001 * skill.n("all", lead)
        description = f"observed levels outside the limits, all, {lead} d"
        yield Check(description, skill.dam, str(outside), "≤ 0.1% of days", holds)


def _forecast_value(skill: Skill) -> Iterator[Check]:
    """Requirements for the forecasts as inputs, on the days with a forecast."""
    for row in skill.forecast_value.iter_rows(named=True):
        gains, limits = MIN_GAINS.get(skill.dam, {}), MAX_ERRORS.get(skill.dam, {})
        lead, gain = row["lead_time"], row["gain"]
        if lead in gains:
            description = f"with forecasts as inputs, MAE against that without, {lead} d"
            allowed, holds = f"≤ {-gains[lead]:.0%}", gain >= gains[lead]
            if skill.dam in BAND_DAMS:
                allowed, holds = f"{allowed}, band below 0", holds and (gains[lead] == 0 or row["gain_low"] > 0)
            else:
                best = min(row["mae_without"], row["mae_best_reference"])
                gain = 1 - row["mae_as_issued"] / best
                description = f"with forecasts as inputs, MAE against the better of without and reference, {lead} d"
                holds = gain >= gains[lead]
            yield Check(description, skill.dam, f"{-gain:+.1%}", allowed, holds)
        if lead in limits:
            mae = row["mae_as_issued"]
            description = f"with forecasts as inputs, MAE ({skill.unit}), {lead} d"
            yield Check(description, skill.dam, f"{mae:.3g}", f"≤ {limits[lead]:g}", mae <= limits[lead])
        if lead in gains and limits:
            coverage = row["coverage_90"]
            yield _within(f"with forecasts as inputs, coverage_90, {lead} d", skill.dam, coverage, (0.85, 0.95))


def ratio_to_best(skill: Skill, lead: int) -> tuple[float, str]:
    """MAE of `default` / MAE of the best single model, and that model's name."""
    best = min(skill.models, key=lambda name: skill.value("all", lead, "mae", model=name))
    return skill.value("all", lead, "mae") / skill.value("all", lead, "mae", model=best), best


def _never_worse(skill: Skill) -> Iterator[Check]:
    for lead in LEADS:
        limit = 1.02 if skill.n("all", lead) >= 1500 else 1.03
        ratio, best = ratio_to_best(skill, lead)
        description = f"MAE / that of the best single model ({best}), all, {lead} d"
        yield Check(description, skill.dam, f"{ratio:.3f}", f"≤ {limit}", ratio <= limit)


def _against_references(skill: Skill) -> Iterator[Check]:
    for lead in LEADS:
        best = skill.best_reference("all", lead)
        ratio = skill.value("all", lead, "mae") / skill.value("all", lead, "mae", model=best)
        description = f"MAE / that of the best reference ({best}), all, {lead} d"
        yield Check(description, skill.dam, f"{ratio:.3f}", "≤ 1.01", ratio <= 1.01)
    for lead in LEADS:
        yield _within(f"coverage_90, all, {lead} d", skill.dam, skill.value("all", lead, "coverage_90"), (0.87, 0.93))


def _against_untuned(skill: Skill) -> Iterator[Check]:
    mae = skill.value("last20", 1, "mae")
    measured = f"{mae:.4g}"
    description = f"MAE ({skill.unit}) at 1 day against an untuned LightGBM, last20"
    if skill.dam in LIGHTGBM_MAE:
        limit = LIGHTGBM_MAE[skill.dam]
        digits = len(f"{limit:g}".partition(".")[2])  # the published figure is rounded, so ours is rounded too
        rounded = round(mae, digits)
        shown = f"{rounded:.{digits}f} (rounded from {measured})"
        yield Check(f"{description}, as published", skill.dam, shown, f"≤ {limit:g}", rounded <= limit)
    limit = skill.untuned
    yield Check(f"{description}, same inputs", skill.dam, measured, f"≤ {limit:.4g}", mae <= limit)


def _within(description: str, dam: str, value: float, bounds: tuple[float, float]) -> Check:
    low, high = bounds
    return Check(description, dam, f"{value:.3f}", f"{low:g}–{high:g}", low <= value <= high)


def page(skills: Sequence[Skill], today: date, *, against: Path | None = None) -> str:
    """The page as Markdown; with a comparison if there is a table to compare with."""
    results = list(checks(skills))
    failed = [check for check in results if not check.holds]
    lines = [HEAD.format(today=today, version=version("forebay"), references=", ".join(f"`{r}`" for r in REFERENCES))]
    lines += ["## Requirements and results", ""]
    lines += [SAME_INPUTS, ""]
    holding = len(results) - len(failed)
    lines += [f"{holding} of {len(results)} checks of `default` hold." if failed else "All checks hold."]
    if failed:
        lines += ["These checks fail:", "", *_check_table(failed)]
    lines += ["", "All checks:", "", *_check_table(results)]
    for skill in skills:
        lines += ["", f"## {skill.title}", "", f"Errors in {skill.unit}.", "", *_score_table(skill)]
    if against is not None:
        after = pl.concat([skill.blocks for skill in skills])
        lines += _comparison(pl.read_parquet(against), after, against.name)
    return "\n".join(lines) + "\n"


def _check_table(results: Sequence[Check]) -> list[str]:
    answers = {True: "yes", False: "**no**"}
    rows = [f"| {c.dam} | {c.description} | {c.measured} | {c.allowed} | {answers[c.holds]} |" for c in results]
    return ["| dam | what | measured | allowed | holds |", "| --- | --- | --- | --- | --- |", *rows]


def _score_table(skill: Skill) -> list[str]:
    lines = [*_regime_table(skill), "", *_value_table(skill)]
    heads = ["window", "lead", "model", "n", "MAE", "skill (90% band)", "top 5%", "pinball", "80%", "90%"]
    lines += [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for window in skill.scores["window"].unique(maintain_order=True):
        for lead in LEADS:
            for model in (DEFAULT_MODEL, *reversed(skill.models)):
                value, low, high = skill.skill(window, lead, model)
                errors = (skill.value(window, lead, m, model=model) for m in ("mae", "mae_top5", "pinball"))
                mae, top, pinball = (_number(error, ".4g") for error in errors)
                shares = [skill.value(window, lead, f"coverage_{share}", model=model) for share in (80, 90)]
                band = f"{value:+.3f} ({low:+.3f} … {high:+.3f})" if np.isfinite(low) else _number(value, "+.3f")
                cells = [window, f"{lead} d", model, str(skill.n(window, lead)), mae, band, top, pinball]
                lines.append(f"| {' | '.join(cells + [_number(share, '.3f') for share in shares])} |")
    return lines


def _regime_table(skill: Skill) -> list[str]:
    """Scores of `default` by regime, window `all`."""
    shares = ["80%", "90%", "below .05", "above .95"]
    heads = ["regime", "lead", "n", "MAE", "best reference", "its MAE", "pinball", *shares]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    cells = skill.blocks.filter(pl.col("window") == "all")
    table = block_scores(cells)
    for regime in REGIMES:
        for row in table.filter(pl.col("regime") == regime).iter_rows(named=True):
            best = min(REFERENCES, key=lambda name: row[f"mae_{name}"])
            errors = [_number(row[name], ".4g") for name in ("mae", f"mae_{best}", "pinball")]
            shares = [_number(row[name], ".3f") for name in ("inside_80", "inside_90", "below_05", "above_95")]
            numbers = [errors[0], best, *errors[1:], *shares]
            lines.append(f"| {regime} | {row['lead_time']} d | {row['n']} | {' | '.join(numbers)} |")
    return lines


def _value_table(skill: Skill) -> list[str]:
    """MAE without, with issued and with perfect forecasts as inputs on the same days, each lead time of `ALL_LEADS`."""
    if skill.forecast_value.is_empty():
        return []
    months = FORECAST_MONTHS.get(skill.dam)
    season = f", {date(2000, months[0], 1):%B} to {date(2000, months[-1], 1):%B}" if months else ""
    lines = [f"Forecasts as inputs, on the days with a forecast{season}:", ""]
    heads = ["lead", "n", "best reference", "its MAE", "MAE without", "as issued", "perfect", "gain (90% band)",
             "gain of perfect", "90%"]  # fmt: skip
    lines += [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for row in skill.forecast_value.iter_rows(named=True):
        errors = [_number(row[f"mae_{name}"], ".4g") for name in ("best_reference", "without", "as_issued", "perfect")]
        gain = f"{row['gain']:+.1%} ({_number(row['gain_low'], '+.1%')} … {_number(row['gain_high'], '+.1%')})"
        shares = [_number(row["gain_perfect"], "+.1%"), _number(row["coverage_90"], ".3f")]
        cells = [f"{row['lead_time']} d", str(row["n"]), row["best_reference"], *errors, gain, *shares]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _comparison(before: pl.DataFrame, after: pl.DataFrame, name: str) -> list[str]:
    """Lines of the page: each score of `default` in the table `before` and now."""
    table = compare(before, after)
    lines = ["", f"## Against {name}", "", COMPARISON, ""]
    heads = ["dam", "window", "regime", "lead", "n", "metric", "before", "now", "change (90% band)"]
    lines += [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for row in table.iter_rows(named=True):
        days = "" if row["same_days"] else " *"
        form = "+.3f" if row["metric"].startswith(("inside", "below", "above")) else ".3f"
        change = f"{row['change']:{form}} ({row['low']:{form}} … {row['high']:{form}})"
        values = f"{row['before']:.4g} | {row['after']:.4g} | {change}"
        cell = f"{row['dam']} | {row['window']} | {row['regime']} | {row['lead_time']} d | {row['n']}{days}"
        lines.append(f"| {cell} | {row['metric']} | {values} |")
    return lines


def _number(value: float | None, form: str) -> str:
    if value is None:
        return "–"
    return format(value, form) if np.isfinite(value) else "–"


def _order(path: Path) -> tuple[bool, str]:
    """Warragamba first, the others by name."""
    return path.stem in TEST_DAMS, path.stem


def main() -> None:
    """Measure, write the page, and print the checks that fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dams", nargs="*", type=Path, help="dam files; default: all in tests/dams")
    parser.add_argument("-o", "--output", type=Path, default=PROJECT / "docs" / "skill.md")
    parser.add_argument("--table", type=Path, help="file (.parquet) for the losses by blocks of days")
    parser.add_argument("--against", type=Path, help="such a table of another version, to compare with")
    arguments = parser.parse_args()
    paths = arguments.dams or sorted(DAM_FILES, key=_order)
    fresh = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(max_workers=2, mp_context=fresh, max_tasks_per_child=1) as pool:
            skills = list(pool.map(measure, paths))
    except ForebayError as error:
        sys.exit(f"skill: {error}")
    if arguments.table is not None:
        pl.concat([skill.blocks for skill in skills]).write_parquet(arguments.table, compression="zstd")
    arguments.output.write_text(page(skills, date.today(), against=arguments.against), encoding="utf-8")
    failed = [check for check in checks(skills) if not check.holds]
    for check in failed:
        print(f"{check.dam}: {check.description}: {check.measured}, required {check.allowed}")
    print(f"{arguments.output}: {len(skills)} dams, {len(failed)} checks fail")


if __name__ == "__main__":
    main()
