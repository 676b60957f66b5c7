"""Write the measured tables of docs/verification.md and docs/screening.md.

Run: ``scripts/figures [NAME …]``; all of `TABLES` by default. A table stands on its page between the lines
``<!-- figures: NAME -->`` and ``<!-- end of figures -->``.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from tests.csv_tables import daily_from_files
from tests.simulated_faults import simulated_days

from dam_records import DAM_FILES
from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.archive.store import open_archive
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.days.daily import usable_values
from forebay.features import known_inputs
from forebay.features.samples import make_samples
from forebay.jobs.hindcast import VARIANTS, hindcast
from forebay.metrics import mae
from forebay.models import models_for
from forebay.settings import Settings
from forebay.tables import DEFAULT_MODEL
from forebay.verify import scorecard
from forebay.verify.hindcast import point_forecasts

PROJECT = Path(__file__).resolve().parents[1]
LEADS = (1, 3, 7)
WINDOWS = ("T10", "T4")
FAULTS = ("spike", "stuck", "clean")
SEED = 11
Lines = list[str]


def variants() -> Lines:
    """MAE of `default` at Warragamba in each variant of the hindcast, against the hindcast on time."""
    dam = load_dam(str(PROJECT / "tests" / "dams" / "warragamba.toml"))
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/a.db"
        with open_archive(url) as archive:
            fetch_dam(dam, archive, settings=Settings(), request=FetchRequest(datetime.now(UTC)))
        hindcasts = hindcast(dam, archive=url, settings=Settings(), variants=list(VARIANTS)).hindcasts
    keys = {"model": DEFAULT_MODEL, "regime": "all", "metric": "mae"}
    errors = {
        name: {(row["window"], row["lead_time"]): row["value"] for row in
               verified.scores.filter(*(pl.col(key) == value for key, value in keys.items())).iter_rows(named=True)}
        for name, verified in hindcasts.items()
    }  # fmt: skip
    rows = []
    for name, by_cell in errors.items():
        for window in WINDOWS:
            cells = [_error(by_cell[window, lead], errors["on_time"][window, lead]) for lead in LEADS]
            rows.append([f"`{name}`", window, *cells])
    return table(["hindcast", "window", *(f"{lead} d" for lead in LEADS)], rows)


def _error(value: float, on_time: float) -> str:
    change = "" if value == on_time else f" ({value / on_time - 1:+.1%})"
    return f"{value:.4f} m{change}".replace("-", "−")


def detection() -> Lines:
    """Days of each fault of the simulated dam, and how many of them the screen flags."""
    days = simulated_days().filter(pl.col("fault").is_in(FAULTS))
    gauges = pl.when(pl.col("fault") == "clean").then(pl.lit("all")).otherwise("variable").alias("gauges")
    rows = days.group_by("fault", gauges).agg(pl.len().alias("days"), pl.col("flagged").count()).sort("days")
    cells = [
        [fault, variable.replace("_", " "), f"{count:,}", f"{flagged:,}"]
        for fault, variable, count, flagged in rows.iter_rows()
    ]
    return table(["fault", "gauges", "days", "flagged"], cells)


@contextmanager
def without_screen() -> Iterator[None]:
    """Samples from every usable value."""
    screen = known_inputs.screen_daily
    known_inputs.screen_daily = lambda daily, dam: screen(daily, dam).clear()
    try:
        yield
    finally:
        known_inputs.screen_daily = screen


def with_faults(frame: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """The record with one random spike per year and gauge, 3 to 10 times the 99% quantile of its changes."""
    rng = np.random.default_rng(SEED)
    for gauge in dam.gauges:
        values = frame[gauge.column].to_numpy().astype(float)
        large = float(np.nanquantile(np.abs(np.diff(values[np.isfinite(values)])), 0.99))
        for start in range(365, len(values) - 365, 365):
            day = start + int(rng.integers(0, 365))
            if np.isfinite(values[day]):
                values[day] += large * rng.uniform(3, 10)
        frame = frame.with_columns(pl.Series(gauge.column, values, nan_to_null=True))
    return frame


def huber_errors(dam: Dam, frame: pl.DataFrame, clean: pl.DataFrame) -> list[float]:
    """MAE of `huber` by lead time in the dam's longest window, with the inputs of `frame` and the levels of `clean`."""
    observed = make_samples(clean, clean, dam)
    samples = make_samples(frame, frame, dam)
    chosen = {name: make for name, make in models_for(dam).items() if name in ("huber", "damped_change")}
    forecasts = point_forecasts(samples, dam, chosen)["huber"]
    windows = scorecard.windows(observed, dam)
    scored = windows.get("T10", windows["all"])
    errors = []
    for lead in LEADS:
        change = forecasts.changes[lead]
        target = np.full(len(observed.level), np.nan)
        target[:-lead] = observed.level[lead:] - samples.start_level[:-lead]
        known = scored & np.isfinite(target) & np.isfinite(change)
        errors.append(mae(change[known], target[known]))
    return errors


def screen_effect() -> Lines:
    """Change of the error of `huber` that the screen brings, on records as published and with faults."""
    rows = []
    for path in DAM_FILES:
        dam = load_dam(str(path))
        dam = dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"leads": LEADS})})
        frame = daily_from_files(dam)
        days = usable_values(frame, dam).filter(pl.col(dam.target.variable).is_not_null())["date"]
        frame = frame.filter(pl.col("date").is_between(days[0], days[-1]))
        cells = []
        for record in (frame, with_faults(frame, dam)):
            screened = huber_errors(dam, record, frame)
            with without_screen():
                unscreened = huber_errors(dam, record, frame)
            changes = (f"{a / b - 1:+.1%}" for a, b in zip(screened, unscreened, strict=True))
            cells.append(" / ".join(changes).replace("-", "−"))
        rows.append([dam.name, *cells])
    return table(["dam", "as published", "with a random spike per year and gauge"], rows)


def table(head: list[str], rows: list[list[str]]) -> Lines:
    """A Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


TABLES: dict[str, tuple[str, Callable[[], Lines]]] = {
    "variants": ("verification.md", variants),
    "detection": ("screening.md", detection),
    "screen_effect": ("screening.md", screen_effect),
}
"""Name → page of docs/, and the function that measures the table."""


def main() -> None:
    """Measure the tables and write them into their pages."""
    names = sys.argv[1:] or list(TABLES)
    if unknown := set(names) - set(TABLES):
        sys.exit(f"no table {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    for name in names:
        page, measure = TABLES[name]
        path = PROJECT / "docs" / page
        lines = measure()
        print(*lines, sep="\n")
        block = "\n".join([f"<!-- figures: {name} -->", "", *lines, "", "<!-- end of figures -->"])
        pattern = rf"(?s)<!-- figures: {name} -->.*?<!-- end of figures -->"
        before, *after = re.split(pattern, path.read_text("utf-8"))
        if len(after) != 1:
            sys.exit(f"{path} has {len(after)} places for the table {name}; it needs one")
        path.write_text(f"{before}{block}{after[0]}", "utf-8")


if __name__ == "__main__":
    main()
