"""Scores of a run, computed again without forebay: from `hindcast.parquet`, the dam file and the raw CSV file.

Run: ``scripts/rescore RUN DAM_FILE [--model NAME] [--json]``. RUN is the folder of a run or its `hindcast.parquet`. The
target of the dam must be a CSV file with one reading per day. Nothing here imports forebay, so that an error of its
reader, its sample selection or its metrics shows as a difference.

The scored set is that of the verification: init dates on which the level of the day and of the valid day are neither
coded as missing, nor implausible, nor in `verification_exclude`, and for which every model has a forecast. References
are computed from the levels alone, refitted each 1 January on changes whose valid date is before that day.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Table = Mapping[str, Any]  # Any: a table of a TOML file
Row = dict[str, str | int | float | None]

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
LEADS = (1, 3, 7)
WARM_UP, LAST_SHARE, TOP_SHARE = 0.4, 0.2, 0.05
CLIMATOLOGY_DAYS = 15
MISSING_CODES = {"waternsw": ("201", "255")}
"""Service → its quality codes that mean no value."""
UNITS = {
    "m": 1.0, "ft": 0.3048, "cm": 0.01, "mm": 0.001, "ML": 1.0, "GL": 1e3, "m3": 1e-3, "hm3": 1e3,
    "MG": 3.785411784, "ac-ft": 1.23348183754752, "%": 1.0,
}  # fmt: skip
"""Unit → its size in m, ML or %."""
PLAUSIBLE = {"reservoir_level": (-500.0, 9000.0), "storage": (0.0, 5e8), "storage_percent": (-50.0, 300.0)}
"""Variable → range of plausible values, in m, ML or %."""
UNSUPPORTED = ("where", "locale", "time_zone")
"""Keys of a file's layout that this program does not read."""


@dataclass(frozen=True)
class Levels:
    """The level on consecutive days from the first to the last one with a level.

    level: in the unit of the target, NaN where missing; excluded: whether the dam file excludes the day.
    implausible: number of readings outside the plausible range, which count as missing.
    """

    first: date
    level: Array
    excluded: Bools
    implausible: int

    @property
    def dates(self) -> list[date]:
        """All days."""
        return [self.first + timedelta(days=k) for k in range(len(self.level))]

    @property
    def observed(self) -> Array:
        """The level without excluded days."""
        return np.where(self.excluded, np.nan, self.level)


@dataclass(frozen=True)
class Hindcast:
    """Quantiles of the level by lead time, shape (n, 7), and whether every model has a forecast, shape (n,)."""

    quantiles: dict[int, Array]
    complete: dict[int, Bools]


def read_rows(layout: Table, folder: Path) -> list[dict[str, str]]:
    """The lines of a gauge's files as texts by column."""
    unsupported = [key for key in UNSUPPORTED if key in layout]
    if unsupported:
        sys.exit(f"rescore: the file layout has {', '.join(unsupported)}, which this program does not read")
    paths = [layout["path"]] if isinstance(layout["path"], str) else layout["path"]
    rows: list[dict[str, str]] = []
    for path in paths:
        lines = (folder / path).read_text(layout.get("encoding", "utf-8")).lstrip("\ufeff").splitlines()
        lines = lines[layout.get("header_line", layout.get("skip_lines", 0) + 1) - 1 :]
        comment = layout.get("comment")
        lines = [line for line in lines if line.strip() and not (comment and line.startswith(comment))]
        if layout.get("units_line") is True:
            del lines[1]
        rows += csv.DictReader(lines, delimiter=layout.get("separator", ","))
    return rows


def read_levels(dam: Table, folder: Path) -> Levels:
    """The levels of the dam from its raw file."""
    target = next(gauge for gauge in dam["gauges"] if gauge["role"] == "target")
    for key in ("datum_offsets", "interval", "day_start", "valid_range", "sentinels", "readings_from"):
        if key in target or key in dam:
            sys.exit(f"rescore: the dam file has {key}, which this program does not read")
    layout = target["file"]
    factor = target.get("scale", 1.0) * UNITS[target["unit"]] / UNITS[dam["target"]["unit"]]
    low, high = (bound / UNITS[dam["target"]["unit"]] for bound in PLAUSIBLE[dam["target"]["variable"]])
    missing = {*MISSING_CODES.get(layout.get("quality_codes", ""), ()), *map(str, layout.get("missing_codes", ()))}
    missing |= set(map(str, layout.get("grades", {}).get("missing", ())))
    by_day: dict[date, float] = {}
    implausible = 0
    for row in read_rows(layout, folder):
        value = number(row[layout["value"]], layout)
        if value is None or ("quality" in layout and row[layout["quality"]].strip() in missing):
            continue
        if not low <= value * factor <= high:
            implausible += 1
            continue
        by_day[day_of(row, layout, target)] = value * factor
    first = min(by_day)
    days = [first + timedelta(days=k) for k in range((max(by_day) - first).days + 1)]
    level = np.array([by_day.get(day, np.nan) for day in days])
    spells = dam.get("hindcast", {}).get("verification_exclude", [])
    return Levels(first, level, np.array([inside(day, spells) for day in days]), implausible)


def number(text: str, layout: Table) -> float | None:
    """The number in a cell; None if the cell is empty or means no value."""
    text = text.strip()
    if text in ("", "NA", "NaN", "nan", "null", *layout.get("no_value", ())):
        return None
    if layout.get("thousands"):
        text = text.replace(layout["thousands"], "")
    return float(text.replace(",", ".") if layout.get("decimal_comma") else text)


def day_of(row: Mapping[str, str], layout: Table, gauge: Table) -> date:
    """The local day of a reading. A reading with the stamp of its interval's end belongs to the day before."""
    columns = [layout["date"]] if isinstance(layout["date"], str) else layout["date"]
    text = " ".join(row[column].strip() for column in columns)
    day = datetime.strptime(text, layout.get("date_format", "%Y-%m-%d")).date()
    return day - timedelta(days=1) if gauge.get("stamp") == "end" else day


def inside(day: date, spells: Sequence[Table]) -> bool:
    """Whether a day lies in one of the spells, both ends included."""
    return any(spell["from"] <= day <= spell["to"] for spell in spells)


def reference_level(stated: float | Table | None, days: Sequence[date]) -> Array:
    """A level of the dam file on each day: constant, dated or a rule curve; NaN where it is not stated."""
    if stated is None:
        return np.full(len(days), np.nan)
    if isinstance(stated, (int, float)):
        return np.full(len(days), float(stated))
    if "rule_curve" in stated:
        points = sorted((day_of_leap_year(point["day"]), point["value"]) for point in stated["rule_curve"])
        numbers, values = [p[0] for p in points], [p[1] for p in points]
        today = [day_of_leap_year(day.strftime("%m-%d")) for day in days]
        return np.interp(today, numbers, values, period=366)
    level = np.full(len(days), stated.get("value", np.nan))
    for entry in sorted(stated.get("dated", ()), key=lambda entry: entry["from"]):
        level[np.array([day >= entry["from"] for day in days])] = entry["value"]
    return level


def day_of_leap_year(text: str) -> int:
    """Number of the day "MM-DD" in a leap year."""
    return datetime.strptime(f"2000-{text}", "%Y-%m-%d").timetuple().tm_yday


def read_hindcast(path: Path, levels: Levels, model: str) -> Hindcast:
    """The quantiles of a model on the days of `levels`, from `hindcast.parquet`."""
    if not path.is_file():
        sys.exit(f"rescore: {path} is not there; give the folder of a run, or its hindcast.parquet")
    table = pl.read_parquet(path)
    names = table["model"].unique()
    if model not in names:
        sys.exit(f"rescore: {path} has no model {model!r}; it has {', '.join(sorted(names))}")
    days = len(levels.level)
    row = (pl.col("init_date") - pl.lit(levels.first)).dt.total_days()
    table = table.with_columns(row.alias("row")).filter(pl.col("row").is_between(0, days - 1))
    quantiles, complete = {}, {}
    for (lead,), part in table.group_by("lead_time"):
        own = part.filter(pl.col("model") == model)
        wide = np.full((days, len(QUANTILES)), np.nan)
        column = np.array([int(np.argmin(np.abs(np.array(QUANTILES) - q))) for q in own["quantile"]], int)
        wide[own["row"].to_numpy(), column] = own["level"].to_numpy()
        medians = part.filter((pl.col("quantile") - 0.5).abs() < 1e-9)
        count = np.bincount(medians["row"].to_numpy(), minlength=days)
        quantiles[int(str(lead))], complete[int(str(lead))] = wide, count == len(names)
    return Hindcast(quantiles, complete)


def changes(level: Array, lead: int) -> Array:
    """L(d + lead) − L(d) on each day; NaN where one is missing."""
    change = np.full(len(level), np.nan)
    change[:-lead] = level[lead:] - level[:-lead]
    return change


def references(levels: Levels, lead: int) -> dict[str, Array]:
    """Reference → its forecast of the change on each day."""
    change = np.concatenate([[np.nan], np.diff(levels.observed)])
    newest = np.maximum.accumulate(np.where(np.isfinite(change), np.arange(len(change)), -1))
    last = np.where(newest >= 0, change[np.maximum(newest, 0)], 0.0)
    target = changes(levels.observed, lead)
    day_of_year = np.array([day.timetuple().tm_yday for day in levels.dates])
    damped, climatology = np.zeros(len(target)), np.zeros(len(target))
    years = np.array([day.year for day in levels.dates])
    for year in np.unique(years)[1:]:
        days = np.flatnonzero(years == year)
        past = np.flatnonzero(np.isfinite(target[: max(0, days[0] - lead)]))
        if len(past) == 0:
            continue
        damped[days] = least_error_factor(last[past], target[past]) * last[days]
        for day in days:
            distance = np.abs(day_of_year[past] - day_of_year[day])
            near = past[np.minimum(distance, 366 - distance) <= CLIMATOLOGY_DAYS]
            climatology[day] = np.median(target[near if len(near) else past])
    zero = np.zeros(len(target))
    return {"no_change": zero, "last_change": lead * last, "damped_change": damped, "climatology": climatology}


def least_error_factor(values: Array, target: Array) -> float:
    """The factor φ with the least Σ|target − φ · values|: the weighted median of target / values."""
    used = values != 0
    ratio, weight = target[used] / values[used], np.abs(values[used])
    if len(ratio) == 0:
        return 0.0
    order = np.argsort(ratio)
    return float(ratio[order][np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)])


def windows(dam: Table, levels: Levels, last_init: date) -> dict[str, Bools]:
    """Window → whether each day is an init date in it."""
    settings = dam.get("hindcast", {})
    count = (last_init - levels.first).days + 1
    index = np.arange(len(levels.level))
    start = (settings["start"] - levels.first).days if "start" in settings else int(np.ceil(WARM_UP * count))
    masks = {"all": index >= start, "last20": index >= max(start, count - int(LAST_SHARE * count))}
    for window in settings.get("windows", ()):
        excluded = window.get("exclude", ())
        masks[window["name"]] = np.array(
            [window["from"] <= day <= window["to"] and not inside(day, excluded) for day in levels.dates]
        )
    return masks


def near_full(dam: Table, levels: Levels) -> Bools:
    """Whether each day's level is within the margin of full supply."""
    full = reference_level(dam.get("full_supply"), levels.dates)
    unit, variable = UNITS[dam["target"]["unit"]], dam["target"]["variable"]
    default = {"reservoir_level": 0.5 / unit, "storage": 0.02 * full, "storage_percent": 2.0}[variable]
    return np.asarray(np.abs(levels.level - full) <= dam.get("hindcast", {}).get("near_full_margin", default))


def score(quantiles: Array, start: Array, observed: Array, by_reference: Mapping[str, Array]) -> Row:
    """Scores on a set of days.

    Parameters
    ----------
    quantiles
        Of the level, shape (n, 7).
    start, observed
        Level of the init date and of the valid date, shape (n,).
    by_reference
        Reference → its change, shape (n,).
    """
    error = np.abs(quantiles[:, QUANTILES.index(0.5)] - observed)
    top = np.argsort(start - observed, kind="stable")[: int(np.ceil(TOP_SHARE * len(observed)))]
    row: Row = {"n": len(observed), "mae": float(error.mean()), "mae_top5": float(error[top].mean())}
    for name, change in by_reference.items():
        row[f"mae_{name}"] = float(np.abs(start + change - observed).mean())
    if not np.isfinite(quantiles).all():
        return row
    gap = observed[:, None] - quantiles
    levels = np.array(QUANTILES)
    row["pinball"] = float(np.maximum(levels * gap, (levels - 1) * gap).mean())
    for share, low, high in ((80, 1, 5), (90, 0, 6)):
        row[f"coverage_{share}"] = float(((gap[:, low] >= 0) & (gap[:, high] <= 0)).mean())
    row["below_05"] = float((gap[:, 0] < 0).mean())
    row["above_95"] = float((gap[:, 6] > 0).mean())
    return row


def outside_limits(dam: Table, levels: Levels, quantiles: Array, lead: int, days: NDArray[np.intp]) -> Row:
    """Number of outcomes and of forecasts (any quantile) beyond `lowest_level` and `crest_level` of the dam file."""
    low, high = (reference_level(dam.get(key), levels.dates) for key in ("lowest_level", "crest_level"))
    outcome, valid = levels.level[days + lead], days + lead
    beyond = ((outcome < low[valid]) | (outcome > high[valid])).sum()
    forecasts = ((quantiles < low[days][:, None] - 1e-9) | (quantiles > high[days][:, None] + 1e-9)).any(axis=1).sum()
    return {"outcomes_outside": int(beyond), "forecasts_outside": int(forecasts)}


def probability_at_least(quantiles: Array, level: Array) -> Array:
    """P(value ≥ level) per row, shape (n,), linear between the quantiles; the outer steps continue beyond them."""
    low = 2 * quantiles[:, :1] - quantiles[:, 1:2]
    high = 2 * quantiles[:, -1:] - quantiles[:, -2:-1]
    values, shares = np.hstack([low, quantiles, high]), (0.0, *QUANTILES, 1.0)
    below = [np.interp(x, row, shares) if x > row[0] else 0.0 for x, row in zip(level, values, strict=True)]
    return 1 - np.array(below)


def brier_skill(dam: Table, levels: Levels, hindcast: Hindcast, days: Bools) -> tuple[float, int]:
    """Brier skill of P(level ≥ full supply by day 7) against the frequency on these days, and their number.

    The probability is the largest of those of the lead times. NaN without full supply or without all lead times.
    """
    if "full_supply" not in dam or not set(range(1, 8)) <= set(hindcast.quantiles):
        return float("nan"), 0
    count = len(levels.level)
    full = reference_level(dam["full_supply"], [levels.first + timedelta(days=k) for k in range(count + 7)])
    later = np.concatenate([levels.observed, np.full(7, np.nan)])
    excess = np.stack([later[k : k + count] - full[k : k + count] for k in range(1, 8)], axis=1)
    reached = (excess >= 0).any(axis=1)
    known = reached | np.isfinite(excess).all(axis=1)
    for lead in range(1, 8):
        known &= np.isfinite(hindcast.quantiles[lead]).all(axis=1)
    rows = np.flatnonzero(known & days & np.isfinite(levels.observed))
    if len(rows) == 0:
        return float("nan"), 0
    chances = [probability_at_least(hindcast.quantiles[k][rows], full[rows + k]) for k in range(1, 8)]
    outcome = reached[rows].astype(float)
    loss, base = np.mean((np.max(chances, axis=0) - outcome) ** 2), outcome.mean() * (1 - outcome.mean())
    return (float(1 - loss / base) if base > 0 else float("nan")), len(rows)


def rescore(run: Path, dam_file: Path, model: str = "default") -> list[Row]:
    """One row per window, regime (all, near_full) and lead time, then one per window for the Brier skill."""
    dam = tomllib.loads(dam_file.read_text("utf-8"))
    levels = read_levels(dam, dam_file.parent)
    path = run / "hindcast.parquet" if run.is_dir() else run
    hindcast = read_hindcast(path, levels, model)
    last_init = pl.read_parquet(path, columns=["init_date"])["init_date"].max()
    assert isinstance(last_init, date)
    regimes = {"all": np.ones(len(levels.level), bool), "near_full": near_full(dam, levels)}
    rows: list[Row] = []
    spans = windows(dam, levels, last_init)
    for lead in (lead for lead in LEADS if lead in hindcast.quantiles):
        by_reference = references(levels, lead)
        known = np.isfinite(changes(levels.observed, lead))
        for window, in_window in spans.items():
            for regime, in_regime in regimes.items():
                days = np.flatnonzero(known & in_window & in_regime & hindcast.complete[lead])
                if len(days) == 0:
                    continue
                quantiles = hindcast.quantiles[lead][days]
                row: Row = {"window": window, "regime": regime, "lead_time": lead}
                row |= score(
                    quantiles,
                    levels.level[days],
                    levels.level[days + lead],
                    {name: change[days] for name, change in by_reference.items()},
                )
                row["no_forecast"] = int((known & in_window & in_regime & ~hindcast.complete[lead]).sum())
                rows.append(row | outside_limits(dam, levels, quantiles, lead, days))
    for window, in_window in spans.items():
        value, count = brier_skill(dam, levels, hindcast, in_window)
        if count:
            rows.append({"window": window, "regime": "full by day 7", "lead_time": 7, "n": count, "brier_skill": value})
    return sorted(rows, key=lambda row: list(spans).index(str(row["window"])))


FORMATS: dict[str, Callable[[Any], str]] = {  # Any: a cell
    **dict.fromkeys(("coverage_80", "coverage_90", "below_05", "above_95", "brier_skill"), "{:.3f}".format),
    **dict.fromkeys(("window", "regime", "lead_time", "n"), str),
    **dict.fromkeys(("no_forecast", "outcomes_outside", "forecasts_outside"), str),
}


def as_text(rows: Sequence[Row]) -> str:
    """The rows as one table of text."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns]
    for row in rows:
        cells.append(["" if row.get(c) is None else FORMATS.get(c, "{:.5g}".format)(row[c]) for c in columns])
    widths = [max(len(line[k]) for line in cells) for k in range(len(columns))]
    return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in cells)


def main(arguments: Sequence[str]) -> None:
    """Print the scores of a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run, or its hindcast.parquet")
    parser.add_argument("dam_file", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    rows = rescore(options.run, options.dam_file, options.model)
    print(json.dumps(rows, indent=1) if options.json else as_text(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
