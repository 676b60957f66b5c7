"""Changes of published readings by an agency: when, and by how much, in the units of the dam's tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import to_local
from forebay.dams.staff_gauge import staff_gauge
from forebay.dams.variables import DAY_S
from forebay.errors import ConfigError
from forebay.tables import INSTANT, Table

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

CHANGES = Table(
    "changes",
    {
        "gauge": pl.String(),  # its column in the daily table
        "day": pl.Date(),  # station-local day that the reading belongs to
        "time": INSTANT,  # start of its interval
        "interval": pl.Int32(),  # seconds, as in `tables.READINGS`
        "held_since": INSTANT,  # when the old version was fetched
        "changed": INSTANT,  # when the new one was
        "old_value": pl.Float64(),
        "value": pl.Float64(),
        "change": pl.Float64(),  # null where one of the two is missing
        "unit": pl.String(),  # the dam's for the target, the variable's canonical one for others
        "old_code": pl.String(),
        "code": pl.String(),
        "old_quality": pl.String(),
        "quality": pl.String(),
        "old_raw_value": pl.String(),  # as published
        "raw_value": pl.String(),
    },
    ("gauge", "time", "changed"),
)
"""Revisions of a dam's readings."""


def select_gauges(dam: Dam, name: str | None) -> tuple[Gauge, ...]:
    """The gauges of `dam`, and its staff gauge, with this station or column; all of them if `name` is None."""
    own = (*dam.gauges, staff_gauge(dam))
    gauges = tuple(gauge for gauge in own if name in (None, gauge.station, gauge.column))
    if not gauges:
        allowed = ", ".join(f"{gauge.station} ({gauge.column})" for gauge in own)
        raise ConfigError(f"--gauge {name!r} is no gauge of {dam.name}; give a station or column of {allowed}")
    return gauges


def changes(
    dam: Dam, archive: Archive, gauges: Sequence[Gauge], *, since: date | None = None, until: date | None = None
) -> pl.DataFrame:
    """Changes of the readings of `gauges` (`CHANGES`), by gauge and time.

    Parameters
    ----------
    since, until
        Only changes that were fetched on these station-local days, both included.
    """
    if since is not None and until is not None and until < since:
        raise ConfigError(f"until ({until}) must not be before since ({since})")
    fetched_on = to_local(pl.col("fetched_at"), dam.time_zone).dt.date()
    in_span = fetched_on.is_between(since or date.min, until or date.max)
    parts = [_gauge_changes(archive.revisions([gauge]).filter(in_span), gauge, dam) for gauge in gauges]
    return CHANGES.check(pl.concat([CHANGES.empty(), *parts]))


def _gauge_changes(revisions: pl.DataFrame, gauge: Gauge, dam: Dam) -> pl.DataFrame:
    """Rows of `CHANGES` for the revisions of one gauge."""
    is_target = gauge.role == "target"
    old, new = pl.col("old_value"), pl.col("value")
    if is_target:
        old, new = dam.in_target_unit(old), dam.in_target_unit(new)
    return revisions.select(
        pl.lit(gauge.column).alias("gauge"),
        gauge.local_day(dam.time_zone).alias("day"),
        "time",
        "interval",
        pl.col("old_fetched_at").alias("held_since"),
        pl.col("fetched_at").alias("changed"),
        old.alias("old_value"),
        new.alias("value"),
        (new - old).alias("change"),
        pl.lit(dam.target.unit if is_target else gauge.kind.unit).alias("unit"),
        pl.col("old_quality_code").alias("old_code"),
        pl.col("quality_code").alias("code"),
        "old_quality",
        "quality",
        "old_raw_value",
        "raw_value",
    )


def summary(table: pl.DataFrame) -> list[dict[str, object]]:
    """A row per gauge of `CHANGES`: number of revisions and of revised readings, the last and the largest change."""
    size = pl.col("change").abs()
    counts = table.group_by("gauge", maintain_order=True).agg(
        pl.len().alias("revisions"),
        pl.col("time").n_unique().alias("readings"),
        pl.col("changed").max().alias("last"),
        (size > 0).sum().alias("values changed"),
        pl.col("change").sort_by(size, nulls_last=False).last().alias("largest change"),
        pl.col("unit").first(),
    )
    return counts.to_dicts()


def text_rows(table: pl.DataFrame) -> list[dict[str, object]]:
    """Rows of `CHANGES` as short texts for a terminal."""
    return [
        {
            "gauge": row["gauge"],
            "reading": row["day"] if row["interval"] == DAY_S else row["time"],
            "changed": row["changed"],
            "value": _transition(_number(row["old_value"]), _number(row["value"])) or _number(row["value"]),
            "change": f"{row['change']:+.4g}" if row["change"] else None,
            "unit": row["unit"],
            "code": _transition(row["old_code"], row["code"]),
            "quality": _transition(row["old_quality"], row["quality"]),
            "as published": _transition(row["old_raw_value"], row["raw_value"]) if row["change"] == 0 else None,
        }
        for row in table.iter_rows(named=True)
    ]


def _number(value: float | None) -> str:
    return "missing" if value is None else f"{value:,.10g}"


def _transition(old: object, new: object) -> str | None:
    return None if old == new else f"{old or 'none'} → {new or 'none'}"
