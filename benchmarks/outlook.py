"""Skill and reliability of the probabilities of reaching full supply, dam by dam, as the page `docs/outlook_skill.md`.

Run: ``python benchmarks/outlook.py [-o FILE] [DAM FILE …]``. Each dam of `tests/dams` with a full supply is hindcast as
`forebay run` does. Scored is the probability of reaching full supply by day 7, from days below it, against

- the frequency so far, refitted each 1 January;
- a logistic regression on the logarithm of the distance to full supply and the last change, refitted each 1 January;
- the largest of the probabilities of the single days, which sample paths improve on.

The threshold-weighted CRPS (Gneiting and Ranjan, 2011) is that of the week's highest level, with weight 1 from full
supply minus half a margin on and 0 below: the CRPS of max(level, full supply − margin / 2).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dam_records import DAM_FILES, daily_tables
from forebay import metrics
from forebay.features.samples import Samples, make_samples
from forebay.models import models_for
from forebay.models.exceedance import shares
from forebay.models.model import Array
from forebay.verify import hindcast, uncertainty
from forebay.verify.default import with_default
from forebay.verify.exceedance import ThresholdForecast, threshold_forecasts
from forebay.verify.exceedance_scores import (
    NEAR_MARGINS,
    past_frequency,
    reliability_of_probabilities,
    starts_before,
)
from forebay.verify.scorecard import EVENT_GAP, paired_gain, windows

LEADS = tuple(range(1, 8))
WINDOW = {"warragamba": "T10"}
MIN_HITS = 3
"""Days with the event from which on the logistic regression is fitted."""

HEAD = """\
# Skill of the probabilities of reaching full supply

`python benchmarks/outlook.py` wrote this page on {today} with forebay {version}. It hindcasts the dams of `tests/dams`
that state a full supply, and scores the probability that the level reaches it by day 7, from days below it. The records
are not part of the project.

- *n*: scored days (window `all`; Warragamba: T10). *left out*: days after which a level is missing and none was full.
- *happened*: share of the days after which full supply was reached within 7 days. *events*: groups of such days more
  than 10 days apart. With fewer than 10 events no skill is claimed, and the number is in brackets.
- *frequency*: Brier skill against the frequency so far, refitted each 1 January, with the 90% band of 60-day blocks.
- *logistic*: the same against a logistic regression on the logarithm of the distance to full supply and the last
  change.
- *single days*: Brier skill against the frequency, of the largest probability of the seven days.
- *near*: the same against the frequency, within {near} margins of full supply (1 m at Warragamba).
- *tw CRPS*: skill of the threshold-weighted CRPS of the week's highest level against the paths of `damped_change`, with
  weight 1 from full supply minus half a margin on.

"""


@dataclass(frozen=True)
class Record:
    """A hindcast of one dam: its samples, the forecast of full supply, and the paths of `default` and a reference."""

    dam: str
    samples: Samples
    full: ThresholdForecast
    paths: Array
    reference_paths: Array
    reliability: list[dict[str, object]]
    scored: NDArray[np.bool_]
    spans: Sequence[tuple[int, int]]
    margin: Array


def record_of(path: Path) -> Record | None:
    """The hindcast of a dam; None without a full supply."""
    dam, tables = daily_tables(path, LEADS)
    if dam.full_supply is None:
        return None
    samples = make_samples(tables.known, tables.newest, dam, tables.forcings)
    points = with_default(hindcast.point_forecasts(samples, dam, models_for(dam)), samples)
    paths, reference = (
        uncertainty.sample_paths(samples, points, uncertainty.marginals(samples, points, name), name)
        for name in ("default", "damped_change")
    )
    forecasts = threshold_forecasts(samples, dam, paths)
    full = forecasts[0]
    table = reliability_of_probabilities([full], samples, dam)
    refits = hindcast.refit_days(samples.dates, hindcast.first_origin(samples, dam))
    assert samples.full_supply is not None
    return Record(
        dam=dam.id,
        samples=samples,
        full=full,
        paths=paths,
        reference_paths=reference,
        reliability=table.filter(table["lead_time"] == max(LEADS)).to_dicts(),
        scored=windows(samples, dam)[WINDOW.get(dam.id, "all")],
        spans=list(zip(refits, [*refits[1:], len(samples.dates)], strict=True)),
        margin=samples.full_supply.margin,
    )


def logistic(record: Record) -> Array:
    """Probability by a logistic regression on log distance and last change, refitted on each refit day; (n,)."""
    from sklearn.linear_model import LogisticRegression

    samples, outcome = record.samples, record.full.outcomes.by[:, -1]
    starts = starts_before(record.full.threshold, samples)
    distance = record.full.threshold.known[:, 0] - samples.start_level
    inputs = np.column_stack([
        np.log(np.maximum(distance, 0.02 * record.margin)),
        samples.inputs["last_change"].cast(float).fill_null(0.0).to_numpy(),
    ])  # fmt: skip
    usable = starts & np.isfinite(inputs).all(axis=1)
    probability = past_frequency(outcome, starts, record.spans, max(LEADS))
    for start, end in record.spans:
        past = np.flatnonzero((usable & np.isfinite(outcome))[: max(0, start - max(LEADS))])
        rows = np.flatnonzero(usable[start:end]) + start
        if not len(rows) or not MIN_HITS <= outcome[past].sum() < len(past):
            continue
        mean, spread = inputs[past].mean(axis=0), inputs[past].std(axis=0)
        fitted = LogisticRegression().fit((inputs[past] - mean) / spread, outcome[past])
        probability[rows] = fitted.predict_proba((inputs[rows] - mean) / spread)[:, 1]
    return probability


def weighted_crps(record: Record, paths: Array, rows: NDArray[np.intp]) -> Array:
    """Threshold-weighted CRPS of the week's highest level on the days `rows`."""
    samples, floor = record.samples, record.full.threshold.known[:, 0] - record.margin / 2
    highest = (samples.start_level[:, None, None] + paths).max(axis=1)
    observed = np.stack([samples.observed[rows + lead] for lead in LEADS]).max(axis=0)
    return metrics.crps_ensemble(
        np.sort(np.maximum(highest[rows], floor[rows, None]), axis=1), np.maximum(observed, floor[rows])
    )


def row_of(record: Record) -> str:
    """The line of one dam."""
    probability, outcome = record.full.probabilities.by[:, -1], record.full.outcomes.by[:, -1]
    starts = starts_before(record.full.threshold, record.samples) & record.scored & np.isfinite(probability)
    frequency = past_frequency(
        outcome, starts_before(record.full.threshold, record.samples), record.spans, max(LEADS)
    )
    starts &= np.isfinite(frequency)
    rows = np.flatnonzero(starts & np.isfinite(outcome))
    events = metrics.independent_events(rows[outcome[rows] > 0], EVENT_GAP)
    levels = record.samples.start_level[:, None, None] + record.paths
    single = shares(levels, record.full.threshold.known, "above").on.max(axis=1)

    def gain(forecast: Array, reference: Array, days: NDArray[np.intp]) -> str:
        errors = [(values[days] - outcome[days]) ** 2 for values in (forecast, reference)]
        if not errors[1].sum():
            return "–"
        value, low, high = paired_gain(errors[0], errors[1], days)
        band = "" if low is None else f" ({low:.2f} to {high:.2f})"
        return f"{value:.3f}{band}" if events >= 10 else f"[{value:.3f}]" if events else "–"

    distance = record.full.threshold.known[:, 0] - record.samples.start_level
    near = rows[distance[rows] <= NEAR_MARGINS * record.margin[rows]]
    complete = rows[rows + max(LEADS) < len(record.samples.dates)]
    known = np.isfinite(np.stack([record.samples.observed[complete + lead] for lead in LEADS])).all(axis=0)
    week = complete[known & np.isfinite(record.reference_paths[complete]).all(axis=(1, 2))]
    losses = [weighted_crps(record, paths, week) for paths in (record.paths, record.reference_paths)]
    value, low, high = paired_gain(losses[0], losses[1], week)
    cells = [
        record.dam, f"{len(rows):,}", f"{int(starts.sum()) - len(rows)}", f"{outcome[rows].mean():.3f}", str(events),
        gain(probability, frequency, rows), gain(probability, logistic(record), rows), gain(single, frequency, rows),
        gain(probability, frequency, near), f"{value:.3f}" + ("" if low is None else f" ({low:.2f} to {high:.2f})"),
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def page(records: Sequence[Record]) -> Iterator[str]:
    """The lines of the page."""
    yield HEAD.format(today=date.today(), version=version("forebay"), near=NEAR_MARGINS)
    yield "| dam | n | left out | happened | events | frequency | logistic | single days | near | tw CRPS |"
    yield "| --- |" + " --- |" * 9
    yield from (row_of(record) for record in records)
    yield "\n## Reliability\n"
    yield "Bins have at least 20 days in 5 spells. The band is that of resampled spells.\n"
    yield "| dam | probabilities | days | spells | mean probability | happened | 90% band |"
    yield "| --- |" + " --- |" * 6
    for record in records:
        for row in record.reliability:
            yield (
                f"| {record.dam} | {row['lowest']:.3f} to {row['highest']:.3f} | {row['n']:,} | {row['spells']} | "
                f"{row['forecast']:.4f} | {row['observed']:.4f} | {row['low']:.3f} to {row['high']:.3f} |"
            )


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dams", nargs="*", type=Path, help="dam files; by default those of tests/dams")
    parser.add_argument("-o", "--output", type=Path, help="file of the page; by default the standard output")
    arguments = parser.parse_args()
    records = []
    for path in arguments.dams or DAM_FILES:
        record = record_of(path)
        if record is not None:
            records.append(record)
            print(f"{record.dam}: {row_of(record)}", file=sys.stderr, flush=True)
    text = "\n".join(page(records)) + "\n"
    if arguments.output:
        arguments.output.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
