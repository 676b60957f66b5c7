"""What the global model (`models.global_trees`) adds to `default`: dams with a short record, and with a long one.

Run: ``python benchmarks/global_model.py short|long [--train FILES …] [--records N] [--years N] [--median]
[--cache FOLDER] [-o FILE] [DAM FILE …]``; all of `tests/dams` by default, one after the other.

Each dam has a model of its own, that learned from all other dams and from no change that ended later than the vintage.

``short``: the dam's record is cut into records of two years, up to four that begin at even distances. `default` is
computed from such a record alone, without and with the global model, whose vintage is the 1 January before the record
begins. A record before which the other dams have too few rows does not count. Init dates count from day 30 to the end
of the first year (at most a year of own data), and in the second year.

``long``: the whole record, or its last years, with a vintage every third 1 January, on the days of the window `all`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dam_records import DAM_FILES, daily_tables
from forebay.dams.dam import Dam
from forebay.dams.global_model import GlobalModel, Vintage, global_model_text, named_model
from forebay.errors import ModelError
from forebay.features.daily_tables import DailyTables
from forebay.features.global_rows import global_rows
from forebay.features.samples import Samples, make_samples
from forebay.metrics import mae, pinball
from forebay.models import GLOBAL_MODEL, models_for
from forebay.models.fits import Fits
from forebay.models.global_trees import input_names, vintage
from forebay.models.model import Array
from forebay.tables import DEFAULT_MODEL, QUANTILES
from forebay.verify import hindcast, scorecard, uncertainty
from forebay.verify.default import with_default

LEADS = tuple(range(1, 8))
RECORDS, RECORD_DAYS = 4, 730
FIRST_DAY, YEAR = 30, 365
EVERY = 3
"""Years between the vintages of a long record."""
COLUMNS = ("dam", "record", "own data", "lead_time", "n", "mae", "mae_with", "pinball", "pinball_with")


def rows_of_dams(paths: Sequence[Path]) -> pl.DataFrame:
    """The training rows of all dams."""
    tables = []
    for path in paths:
        dam, tables_of_dam = daily_tables(path, LEADS)
        tables.append(global_rows(_samples(dam, tables_of_dam), dam))
    return pl.concat(tables)


def _samples(dam: Dam, tables: DailyTables) -> Samples:
    return make_samples(tables.known, tables.newest, dam, tables.forcings)


def with_model(dam: Dam, rows: pl.DataFrame, days: Sequence[date], folder: Path) -> Dam | None:
    """The dam with a global model that has a vintage of each day and learned from the other dams alone.

    A day before which the other dams have too few rows has no vintage; None without any vintage.
    """
    vintages = list[Vintage]()
    for day in days:
        try:
            vintages.append(vintage(rows, day, without=dam.id))
        except ModelError as error:
            print(f"{dam.id}, {day}: {error}", flush=True)
    if not vintages:
        return None
    path = folder / "model.txt"
    path.write_text(global_model_text(GlobalModel(input_names(rows), (), tuple(vintages))))
    return dam.model_copy(update={"global_model": named_model(path)})


def short_records(
    path: Path, rows: pl.DataFrame, fits: Fits, folder: Path, *, records: int
) -> Iterator[tuple[object, ...]]:
    """Rows of `COLUMNS` for each short record of a dam, of which there are at most `records`."""
    dam, tables = daily_tables(path, LEADS)
    dam = dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"start": None, "windows": ()})})
    days, length = len(tables.known), RECORD_DAYS + max(LEADS)
    count = min(records, days // length)
    for number, first in enumerate(np.linspace(0.08 * days, days - length, count).astype(int).tolist()):
        cut = slice(first, first + length)
        start: date = tables.known["date"][first]
        named = with_model(dam, rows, [date(start.year, 1, 1)], folder)
        if named is None:
            continue
        samples = make_samples(tables.known[cut], tables.newest[cut], named, tables.forcings)
        day = np.arange(length)
        kinds = {
            "up to 1 year": (day >= FIRST_DAY) & (day < YEAR),
            "1 to 2 years": (day >= YEAR) & (day < RECORD_DAYS),
        }
        for kind, *scores in both(samples, named, fits, kinds):
            yield dam.id, number, kind, *scores


def long_record(
    path: Path, rows: pl.DataFrame, fits: Fits, folder: Path, *, years: int, with_intervals: bool
) -> Iterator[tuple[object, ...]]:
    """Rows of `COLUMNS` for the last `years` of a dam's record."""
    dam, tables = daily_tables(path, LEADS)
    tables = replace(tables, known=tables.known.tail(366 * years), newest=tables.newest.tail(366 * years))
    first, last = tables.known["date"][0], tables.known["date"][-1]
    earlier = rows.filter(pl.col("dam") != dam.id)["valid_date"].min()
    assert isinstance(earlier, date)
    days = [date(year, 1, 1) for year in range(max(first.year, earlier.year + 2), last.year + 1, EVERY)]
    named = with_model(dam, rows, days, folder)
    assert named is not None
    samples = make_samples(tables.known, tables.newest, named, tables.forcings)
    kinds = {"all": scorecard.windows(samples, dam)["all"]}
    for _, *scores in both(samples, named, fits, kinds, with_intervals=with_intervals):
        yield dam.id, 0, "long record", *scores


def both(
    samples: Samples, dam: Dam, fits: Fits, kinds: dict[str, NDArray[np.bool_]], *, with_intervals: bool = True
) -> Iterator[tuple[object, ...]]:
    """Kind, lead time, number of days, MAE and pinball loss without and with the global model, on the same days.

    Without intervals, the pinball loss is NaN.
    """
    execution = hindcast.Execution(fits=fits)
    points = hindcast.point_forecasts(samples, dam, models_for(dam), execution=execution)
    local = {name: point for name, point in points.items() if name != GLOBAL_MODEL}
    quantiles = [_quantiles(samples, members, with_intervals=with_intervals) for members in (local, points)]
    observed = np.stack([samples.observed_change(lead) for lead in LEADS], axis=1)
    known = np.isfinite(observed) & np.all([np.isfinite(values).all(axis=2) for values in quantiles], axis=0)
    probabilities = QUANTILES if with_intervals else (0.5,)
    median = probabilities.index(0.5)
    for kind, days in kinds.items():
        for column, lead in enumerate(LEADS):
            scored = known[:, column] & days
            if not scored.any():
                continue
            outcome = observed[scored, column]
            values = [table[scored, column] for table in quantiles]
            errors = [mae(table[:, median], outcome) for table in values]
            losses = [pinball(table, outcome, QUANTILES) if with_intervals else float("nan") for table in values]
            yield kind, lead, int(scored.sum()), *errors, *losses


def _quantiles(samples: Samples, points: dict[str, hindcast.PointForecasts], *, with_intervals: bool) -> Array:
    """Quantiles of the changes of `default`, shape (n, leads, quantiles), or the median alone."""
    blended = with_default(points, samples)
    if not with_intervals:
        return np.stack(list(blended[DEFAULT_MODEL].changes.values()), axis=1)[:, :, None]
    return uncertainty.quantile_changes(samples, blended, [DEFAULT_MODEL])[DEFAULT_MODEL]


def summary(table: pl.DataFrame) -> pl.DataFrame:
    """Change of MAE and pinball loss of each dam in percent, means over the lead times, and at 1, 3 and 7 days."""
    n = pl.col("n")
    losses = ("mae", "mae_with", "pinball", "pinball_with")
    means = [(pl.col(name) * n).sum() / n.sum() for name in losses]
    pooled = table.group_by("dam", "own data", "lead_time").agg(n.sum(), *means)
    change = {name: 100 * (pl.col(f"{name}_with") / pl.col(name) - 1) for name in ("mae", "pinball")}
    at = [change["mae"].filter(pl.col("lead_time") == lead).first().alias(f"MAE {lead} d, %") for lead in (1, 3, 7)]
    by_dam = pooled.group_by("dam", "own data").agg(
        n.max(), change["mae"].mean().alias("MAE, %"), change["pinball"].mean().alias("pinball, %"), *at
    )
    return by_dam.sort("own data", "dam")


def print_summary(table: pl.DataFrame) -> None:
    """Print the summary as a table of Markdown."""
    rows = summary(table)
    print("| " + " | ".join(rows.columns) + " |\n| " + " | ".join(["---"] * rows.width) + " |")
    for row in rows.iter_rows():
        print("| " + " | ".join(f"{cell:+.1f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")


def main() -> None:
    """Measure the dams, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("short", "long"))
    parser.add_argument("dams", nargs="*", type=Path, help="dam files; by default those of tests/dams")
    parser.add_argument("--train", nargs="+", type=Path, default=DAM_FILES, help="dam files to learn from")
    parser.add_argument("--records", type=int, default=RECORDS, help="short records of each dam, at most")
    parser.add_argument("--years", type=int, default=100, help="years of a long record, at most")
    parser.add_argument("--median", action="store_true", help="only the median of long records, without intervals")
    parser.add_argument("--cache", type=Path, default=Path("runs/fits"), help="folder of the fits")
    parser.add_argument("-o", "--output", type=Path, help="CSV file of the scores by record and lead time")
    arguments = parser.parse_intermixed_args()
    rows, fits = rows_of_dams(arguments.train), Fits(arguments.cache, 4 * 10**9)
    measure: Callable[..., Iterator[tuple[object, ...]]]
    if arguments.part == "short":
        measure = partial(short_records, records=arguments.records)
    else:
        measure = partial(long_record, years=arguments.years, with_intervals=not arguments.median)
    scores = list[tuple[object, ...]]()
    with tempfile.TemporaryDirectory() as folder:
        for path in arguments.dams or DAM_FILES:
            scores += measure(path, rows, fits, Path(folder))
            table = pl.DataFrame(scores, schema=COLUMNS, orient="row")
            if arguments.output:
                table.write_csv(arguments.output)
            print(path.stem, flush=True)
    print_summary(table)


if __name__ == "__main__":
    main()
