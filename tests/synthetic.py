"""Synthetic input of the tests: simulated dams with their daily frames, forecasts, scores and forcings.

Levels are a random walk with one flood, and every dam has the flag `simulated`. Forecasts are persistence with normal
intervals. The tables have the columns of real ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from forebay import tables
from forebay.dams.dam import Dam
from forebay.dams.local_time import init_time, to_local
from forebay.tables import QUANTILES, flag_of
from forebay.verify.tables import SCORES

FIRST_DAY = date(2018, 1, 1)
FLOOD_ONSET = date(2020, 2, 9)
"""Last day before the synthetic flood."""
FLOOD_M = (4.0, 2.0, 0.5)
"""Rise on each day of the synthetic flood, m."""
LEADS = (1, 2, 3, 4, 5, 6, 7)
MODELS = ("default", "no_change", "last_change", "damped_change", "climatology", "huber")


def dam(*, name: str = "Synthetic Dam", full_supply: float = 100.0, notes: str = "") -> Dam:
    """A simulated dam with a level gauge, two rain gauges and a river; level in m above a datum."""
    rain = [{"role": "rainfall", "station": s, "variable": "rainfall", "unit": "mm"} for s in ("r1", "r2")]
    gauges = [
        {"role": "target", "station": "lake", "name": "The lake", "variable": "reservoir_level", "unit": "m"},
        *rain,
        {"role": "stream", "station": "creek", "name": "A creek", "variable": "stream_level", "unit": "m"},
    ]
    return Dam.model_validate(
        {
            "id": "synthetic",
            "name": name,
            "country": "Nowhere",
            "latitude": 0.0,
            "longitude": 0.0,
            "time_zone": "+10:00",
            "licence": "none: simulated",
            "notes": notes,
            "simulated": True,
            "full_supply": full_supply,
            "target": {"variable": "reservoir_level", "unit": "m", "datum": "metres above nothing"},
            "hindcast": {"windows": [{"name": "T1", "from": date(2020, 1, 1), "to": date(2020, 12, 31)}]},
            "gauges": [gauge | {"source": "simulated"} for gauge in gauges],
        }
    )


def level_table(dam: Dam, first_day: date, levels: Sequence[float | None]) -> pl.DataFrame:
    """Columns date, level of the target and its flag (null), of consecutive days."""
    column = dam.target_gauge.column
    dates = [first_day + timedelta(days=k) for k in range(len(levels))]
    no_flags = pl.Series([None] * len(levels), dtype=pl.String)
    return pl.DataFrame({"date": dates, column: pl.Series(levels, dtype=pl.Float64), flag_of(column): no_flags})


def daily(dam: Dam, *, days: int = 1200, seed: int = 1) -> pl.DataFrame:
    """A daily frame: dam, date, a column and its flag per gauge, with gaps, poor values and a flood."""
    rng = np.random.default_rng(seed)
    dates = pl.date_range(FIRST_DAY, FIRST_DAY + timedelta(days=days - 1), eager=True)
    level = 95 + np.cumsum(rng.normal(0, 0.02, days))
    onset = (FLOOD_ONSET - FIRST_DAY).days
    for k, rise in enumerate(FLOOD_M, start=1):
        level[onset + k :] += rise
    columns: dict[str, pl.Series] = {"dam": pl.Series([dam.id]).new_from_index(0, days), "date": dates}
    for gauge in dam.gauges:
        values = level if gauge.role == "target" else rng.gamma(0.3, 12.0, days)
        flags: list[str | None] = [None] * days
        start = int(rng.integers(0, 200))
        for state, first, length in (("unavailable", start, 40), ("poor", start + 90, 25), ("absent", start + 300, 3)):
            flags[first : first + length] = [state] * length
        missing = pl.Series([f in ("unavailable", "absent") for f in flags])
        columns[gauge.column] = pl.select(pl.when(~missing).then(pl.Series(values))).to_series()
        columns[flag_of(gauge.column)] = pl.Series(flags, dtype=pl.String)
    return pl.DataFrame(columns)


def forecasts(dam: Dam, frame: pl.DataFrame, inits: list[date]) -> pl.DataFrame:
    """`tables.FORECASTS` of every model from `inits`: persistence, with a spread that grows with √(lead time)."""
    normal = dict(zip(QUANTILES, (-1.645, -1.282, -0.674, 0.0, 0.674, 1.282, 1.645), strict=True))
    levels = dict(frame.select("date", dam.target_gauge.column).iter_rows())
    rows = []
    for init in inits:
        start = levels.get(init)
        if start is None:
            continue
        for rank, model in enumerate(MODELS):
            for lead in LEADS:
                for quantile, z in normal.items():
                    change = 0.001 * rank * lead + z * 0.02 * lead**0.5
                    valid = init + timedelta(days=lead)
                    time = init_time(init, dam.time_zone)
                    rows.append((dam.id, model, init, time, lead, valid, quantile, change, start + change, init))
    return tables.FORECASTS.check(pl.DataFrame(rows, schema=tables.FORECASTS.columns, orient="row"), unique=True)


def scores(dam: Dam) -> pl.DataFrame:
    """`verify.tables.SCORES` in every window and regime; the default beats every reference, and `huber` equals it."""
    rows = []
    cells = (("all", "all", 300), ("last20", "all", 240), ("T1", "all", 200), ("all", "wet", 60), ("all", "y2020", 150))
    for window, regime, n in cells:
        for rank, model in enumerate(MODELS):
            mae = 0.01 if model == "huber" else 0.01 + 0.002 * rank
            for lead in LEADS:
                metrics = {"mae": mae * lead, "mae_top5": mae * lead * 6, "coverage_80": 0.81, "coverage_90": 0.89}
                for name in MODELS[1:5]:
                    metrics[f"skill_{name}"] = 1 - mae / (0.01 + 0.002 * MODELS.index(name))
                for metric, value in metrics.items():
                    band = (value - 0.1, value + 0.1) if metric.startswith("skill") else (None, None)
                    rows.append((dam.id, model, window, regime, lead, metric, value, n, *band))
    return SCORES.check(pl.DataFrame(rows, schema=SCORES.columns, orient="row"), unique=True)


def explanation(dam: Dam, init: date) -> pl.DataFrame:
    """`tables.EXPLANATION` of every lead: rain raises the level, its last change lowers it, the rest is small."""
    parts = (
        ("base", "", 0.002, "baseline"),
        ("rain", "", 0.12, "38 mm yesterday on a wet catchment"),
        ("level", "", -0.05, "level fell 0.050 m yesterday"),
        ("stream", "A creek", 0.03, "A creek rising (0.21 m a day)"),
        ("season", "", -0.0004, "time of year (April)"),
    )
    rows = [(dam.id, init, lead, *source, part * lead, words) for lead in LEADS for *source, part, words in parts]
    return tables.EXPLANATION.check(pl.DataFrame(rows, schema=tables.EXPLANATION.columns, orient="row"), unique=True)


NOW = datetime(2021, 4, 15, 3, 0, tzinfo=UTC)
"""About a day after the end of the synthetic daily frame."""


def small_dam(*gauges: Mapping[str, object], unit: str = "m", **keys: object) -> Dam:  # keys: of a dam file
    """A simulated dam of `gauges`, with a level gauge "lake" before them unless one of them is the target."""
    level = {"role": "target", "station": "lake", "variable": "reservoir_level", "unit": unit}
    target = next((gauge for gauge in gauges if gauge["role"] == "target"), None)
    all_gauges = gauges if target else (level, *gauges)
    return Dam.model_validate(
        {
            "id": "small",
            "name": "Small Dam",
            "country": "Nowhere",
            "latitude": 0.0,
            "longitude": 0.0,
            "time_zone": "+10:00",
            "simulated": True,
            "target": {"variable": (target or level)["variable"], "unit": unit, "datum": "above nothing"},
            "gauges": [{"source": "simulated"} | dict(gauge) for gauge in all_gauges],
        }
        | keys
    )


def rain_gauge(station: str = "r1", **keys: object) -> dict[str, object]:
    """The keys of a rain gauge in a dam file, with `keys` added."""
    return {"role": "rainfall", "station": station, "variable": "rainfall", "unit": "mm"} | keys


def daily_frame(dam: Dam, columns: Mapping[str, Sequence[float | str | None]]) -> pl.DataFrame:
    """A daily frame from `FIRST_DAY` with `columns`; a gauge without a column is absent, and other flags are null."""
    days = len(next(iter(columns.values())))
    frame = {
        "dam": pl.Series([dam.id] * days),
        "date": pl.date_range(FIRST_DAY, FIRST_DAY + timedelta(days=days - 1), eager=True),
    }
    for gauge in dam.gauges:
        name, flag = gauge.column, flag_of(gauge.column)
        frame[name] = pl.Series(columns.get(name, [None] * days), dtype=pl.Float64)
        absent = pl.select(pl.when(frame[name].is_null()).then(pl.lit("absent"))).to_series()
        frame[flag] = pl.Series(columns[flag], dtype=pl.String) if flag in columns else absent
    return pl.DataFrame(frame)


def write_dam(dam: Dam, frame: pl.DataFrame, folder: Path, issued: pl.DataFrame | None = None) -> Path:
    """Path of a dam file of `dam` in `folder`; its gauges read `small.csv`, which has a column of `frame` per gauge.

    issued: `tables.FORCINGS`, in canonical units; each forcing becomes a file.
    """
    values = [gauge.column for gauge in dam.gauges]
    frame.select("date", *values).write_csv(folder / "small.csv")
    lines = [f'{key} = "{value}"' for key, value in (("id", dam.id), ("name", dam.name), ("country", dam.country))]
    lines += ["latitude = 0.0", "longitude = 0.0", f'time_zone = "{dam.time_zone}"', "simulated = true"]
    for key in ("full_supply", "lowest_level"):
        if (level := getattr(dam, key)) is not None:
            lines += [f"{key} = {level.value}"]
    lines += ["[target]", *(f'{key} = "{value}"' for key, value in dam.target.model_dump().items())]
    lines += ["[hindcast]", f"leads = {list(dam.hindcast.leads)}"]
    for threshold in dam.thresholds:
        lines += ["[[thresholds]]", f'name = "{threshold.name}"', f"level = {threshold.level.value}"]
    for gauge in dam.gauges:
        keys = gauge.model_dump(include={"role", "station", "name", "variable", "unit"})
        lines += ["[[gauges]]", 'source = "csv"', *(f'{key} = "{value}"' for key, value in keys.items())]
        lines += [f"latency_h = {gauge.latency_h}"]
        lines += [f"substitute = {list(gauge.substitute)}"] if gauge.substitute else []
        lines += ["[gauges.file]", 'path = "small.csv"', 'date = "date"', f'value = "{gauge.column}"']
    for forcing in dam.forcings:
        assert issued is not None
        local = to_local(pl.col("issue_time"), dam.time_zone).dt.strftime("%Y-%m-%d %H:%M").alias("issued")
        rows = issued.filter(pl.col("forcing") == forcing.id).select(local, "valid_date", "value")
        rows.write_csv(folder / f"{forcing.id}.csv")
        keys = forcing.model_dump(include={"kind", "id", "name", "unit"})
        lines += ["[[forcings]]", *(f'{key} = "{value}"' for key, value in keys.items())]
        lines += [f"latency_h = {forcing.latency_h}", "[forcings.file]", f'path = "{forcing.id}.csv"']
        lines += ['issued = "issued"', 'valid = "valid_date"', 'value = "value"']
    path = folder / f"{dam.id}.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def frame_from_changes(
    dam: Dam, changes: np.ndarray, columns: Mapping[str, np.ndarray], *, noise: float = 0.002
) -> pl.DataFrame:
    """A daily frame whose level changes by `changes` plus noise from the day before, with `columns` of gauges."""
    errors = np.random.default_rng(3).normal(0, noise, len(changes))
    level = 95 + np.cumsum(changes - np.mean(changes) + errors)
    values = {name: column.tolist() for name, column in columns.items()}
    return daily_frame(dam, {"reservoir_level": level.tolist()} | values)


def random_rain(days: int, seed: int = 5) -> np.ndarray:
    """Daily rain, mm; two days of three are dry."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(days) < 0.33, rng.gamma(1.0, 12.0, days), 0.0)


def ar1_series(days: int, *, mean: float = 0.0, sd: float = 1.0, seed: int = 5) -> np.ndarray:
    """A daily autoregressive series of order 1 around `mean`: coefficient 0.5, innovations of deviation `sd`."""
    innovations = np.random.default_rng(seed).normal(0, sd, days)
    series = np.zeros(days)
    for day in range(1, days):
        series[day] = 0.5 * series[day - 1] + innovations[day]
    return mean + series


def forcing_issues(
    dam: Dam, truth: np.ndarray, *, forcing: str, days: int = 7, error: float = 0.0, seed: int = 9
) -> pl.DataFrame:
    """`tables.FORCINGS`: each noon the values of that day and of the next `days` days, with errors that grow.

    error: standard deviation of the logarithm of tomorrow's value; of the day k ahead √k times as much.
    """
    rng = np.random.default_rng(seed)
    latency = next(timedelta(hours=f.latency_h) for f in dam.forcings if f.id == forcing)
    rows = []
    for day in range(len(truth)):
        issued = init_time(FIRST_DAY + timedelta(days=day), dam.time_zone) - timedelta(hours=12)
        for ahead in range(days + 1):
            if day + ahead < len(truth):
                value = truth[day + ahead] * np.exp(error * ahead**0.5 * rng.normal())
                rows.append((forcing, issued, issued + latency, FIRST_DAY + timedelta(days=day + ahead), value))
    return tables.FORCINGS.check(pl.DataFrame(rows, tables.FORCINGS.columns, orient="row"), unique=True)
