"""Small pictures of the overview: the last days of the level, and the forecast with its 90% interval."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forebay.web.answers import DamSummary

WIDTH, HEIGHT, MARGIN = 150.0, 36.0, 3.0


@dataclass(frozen=True)
class Sparkline:
    """Coordinates of a picture of `WIDTH` by `HEIGHT`.

    Attributes
    ----------
    observed
        Points "x,y x,y …" of each run of days without a gap.
    band, median
        Points of the 90% interval, as a closed shape, and of the median; both from the level of the start on.
    """

    observed: tuple[str, ...]
    band: str
    median: str


def sparkline(dam: DamSummary) -> Sparkline | None:
    """The picture of a dam; None without a level and a forecast.

    A stale forecast is left out.
    """
    days = [row.date for row in dam.levels] + [row.valid_date for row in ([] if dam.stale else dam.forecast)]
    levels = [None if row.suspect else row.level for row in dam.levels]
    fan = [] if dam.stale else [row for row in dam.forecast if row.q50 is not None]
    bounds = [level for row in fan for level in (row.q05, row.q50, row.q95)]
    values = [level for level in (*levels, *bounds) if level is not None]
    if not values:
        return None
    first, last = min(days), max(days)
    low, high = min(values), max(values)
    span_x, span_y = max((last - first).days, 1), (high - low) or 1.0

    def point(day: object, level: float) -> str:
        x = MARGIN + (WIDTH - 2 * MARGIN) * (day - first).days / span_x  # type: ignore[operator]  # dates
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (level - low) / span_y
        return f"{x:.1f},{y:.1f}"

    start = [(dam.level_date, dam.start_level)] if fan and dam.level_date and dam.start_level is not None else []
    start = [(day, level) for day, level in start if day >= first]
    median = [*start, *((row.valid_date, row.q50) for row in fan if row.q50 is not None)]
    upper = [*start, *((row.valid_date, row.q95) for row in fan if row.q95 is not None)]
    lower = [*start, *((row.valid_date, row.q05) for row in fan if row.q05 is not None)]
    return Sparkline(
        observed=tuple(_runs([None if level is None else point(day, level)
                              for day, level in zip((row.date for row in dam.levels), levels, strict=True)])),
        band=" ".join(point(day, level) for day, level in [*upper, *reversed(lower)]) if len(upper) > 1 else "",
        median=" ".join(point(day, level) for day, level in median),
    )  # fmt: skip


def _runs(points: Iterable[str | None]) -> Iterable[str]:
    """Points of each run without None."""
    run: list[str] = []
    for point in (*points, None):
        if point is not None:
            run.append(point)
        elif run:
            yield " ".join(run)
            run = []
