"""Skill of long outlooks at the dams of `tests/dams` that have a volume, as the tables of `docs/long_outlook.md`.

Run: ``python benchmarks/long_outlook.py [--plain] [DAM FILE …]``. Past outlooks of six months start from the first of
each month, with the years that were complete by then. The tables have the skill against the storage of the same days in
these years and against today's storage, the share inside the 80% interval, and the Brier skill of restriction
thresholds at 80, 60 and 40% of full supply. ``--plain`` repeats the net change of each past year without the return to
its storage.

The last table is no forecast: of dams with a release gauge, traces under a demand equal to the outflow of the months to
come. It shows what a demand that does not react to the inflow costs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dam_records import DAM_FILES, daily_tables
from forebay.errors import DataError
from forebay.features.samples import make_samples
from forebay.features.water_balance import MAX_GAP_DAYS, bridge, storage_record
from forebay.metrics import crps_ensemble
from forebay.models import traces
from forebay.verify.long_hindcast import Demand, LongHindcast, StorageThreshold, long_forecast, long_hindcast
from forebay.verify.long_scores import long_event_scores, long_scores
from forebay.verify.long_tables import MIN_YEARS
from forebay.verify.scorecard import resampled_gain

MONTHS = 6
SHARES = (0.8, 0.6, 0.4)


def hindcast_of(path: Path) -> tuple[str, LongHindcast]:
    """Id of the dam, and its past outlooks."""
    dam, tables = daily_tables(path)
    samples = make_samples(tables.known, tables.newest, dam, tables.forcings)
    record = storage_record(samples, dam, tables.known)
    thresholds = [StorageThreshold(f"{100 * share:.0f}%", share=share) for share in SHARES]
    return dam.id, long_hindcast(record, samples, dam, MONTHS, thresholds)


def known_outflow_line(path: Path) -> str | None:
    """Skill of traces whose demand is the later outflow, by month ahead; None without a release gauge."""
    dam, tables = daily_tables(path)
    if not dam.columns("release"):
        return None
    samples = make_samples(tables.known, tables.newest, dam, tables.forcings)
    record = storage_record(samples, dam, tables.known)
    assert record.outflow is not None
    rows = []
    for day in np.flatnonzero(record.dates == record.dates.astype("datetime64[M]")):
        forecast = long_forecast(record, dam, int(day), MONTHS, Demand((0.0,) * 12))
        outflow, _ = bridge(record.outflow[day + 1 : day + 1 + forecast.leads[-1]], MAX_GAP_DAYS)
        if not forecast.is_complete or len(outflow) < forecast.leads[-1] or not np.isfinite(outflow).all():
            continue
        later = record.volumes.storage(samples.observed[day + 1 : day + 1 + len(outflow)], forecast.init_date)
        later = np.minimum(later, forecast.limits.full)
        routed = traces.route(forecast.start, forecast.windows, outflow, forecast.limits)
        for month, lead in enumerate(forecast.leads, start=1):
            truth = later[lead - 1 : lead]
            past = np.minimum(forecast.windows.storage[:, lead], forecast.limits.full[lead - 1])
            if np.isfinite(truth[0]):
                crps = [crps_ensemble(members[None], truth)[0] for members in (routed.storage[:, lead], past)]
                rows.append((month, forecast.init_date.year, *crps))
    table = np.array(rows)
    cells = [dam.id, str(len(np.unique(table[:, 1])))]
    for month in range(1, MONTHS + 1):
        _, years, own, climatology = table[table[:, 0] == month].T
        value, low, high = resampled_gain(own, climatology, years.astype(int))
        enough = len(np.unique(years)) >= MIN_YEARS
        cells.append(f"{value:.2f} ({low:.2f} to {high:.2f})" if enough else f"[{value:.2f}]")
    return "| " + " | ".join(cells) + " |"


def score_line(dam: str, scores: pl.DataFrame) -> str:
    """Years, and per month ahead the skills; the skills against today's storage and the coverage of some months."""
    cells = [dam, str(scores["n"][0]), str(scores["years"].min())]
    for row in scores.iter_rows(named=True):
        value = 1 - row["crps"] / row["crps_climatology"]
        band = "" if row["low"] is None else f" ({row['low']:.2f} to {row['high']:.2f})"
        cells.append(f"{value:.2f}{band}" if row["skill"] is not None else f"[{value:.2f}]")
    for month in (1, 3, 6):
        row = scores.row(month - 1, named=True)
        value = 1 - row["crps"] / row["crps_persistence"]
        cells.append(f"{value:.2f}" if row["skill_persistence"] is not None else f"[{value:.2f}]")
    cells += [f"{scores['coverage_80'][month - 1]:.2f}" for month in (1, 3, 6)]
    return "| " + " | ".join(cells) + " |"


def event_lines(dam: str, scores: pl.DataFrame) -> Iterator[str]:
    """Brier skill of falling to a threshold within 3 and 6 months, where it happened in ten years."""
    rows = scores.filter(
        pl.col("direction") == "below", pl.col("kind") == "by", pl.col("month").is_in([3, 6]),
        pl.col("skill").is_not_null(),
    )  # fmt: skip
    for row in rows.sort("threshold", "month").iter_rows(named=True):
        band = "" if row["low"] is None else f" ({row['low']:.2f} to {row['high']:.2f})"
        yield (
            f"| {dam} | {row['threshold']} | {row['month']} | {row['n']} | {row['event_years']} of {row['years']} | "
            f"{row['frequency']:.2f} | {row['skill']:.2f}{band} | {row['skill_persistence']:.2f} |"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dams", nargs="*", type=Path, help="dam files; by default those of tests/dams")
    parser.add_argument("--plain", action="store_true", help="without the return to the storage of the past years")
    arguments = parser.parse_args()
    if arguments.plain:
        traces.RETURN_DAYS = (np.inf,)  # type: ignore[assignment]  # a tuple of one number
    lines, events, with_outflow = [], [], []
    for path in arguments.dams or DAM_FILES:
        start = time.process_time()
        try:
            dam, hindcast = hindcast_of(path)
        except DataError as error:
            print(f"{path.stem}: {error}", file=sys.stderr)
            continue
        print(f"{dam}: {time.process_time() - start:.1f} s of CPU time", file=sys.stderr, flush=True)
        lines.append(score_line(dam, long_scores(hindcast, dam)))
        events += event_lines(dam, long_event_scores(hindcast, dam))
        if (line := known_outflow_line(path)) is not None:
            with_outflow.append(line)
    months = " | ".join(f"month {month}" for month in range(1, MONTHS + 1))
    print(f"| dam | n | years | {months} | today 1 | 3 | 6 | inside 1 | 3 | 6 |")
    print("| --- |" + " --- |" * (MONTHS + 8))
    print("\n".join(lines))
    print("\n| dam | at or below | months | n | years with it | happened | skill | against never |")
    print("| --- |" + " --- |" * 7)
    print("\n".join(events))
    print(f"\n| dam | years | {months} |")
    print("| --- |" + " --- |" * (MONTHS + 1))
    print("\n".join(with_outflow))


if __name__ == "__main__":
    main()
