"""Tables of the long outlook that the terminal shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.formats import NO_VALUE, format_level, format_number, format_value
from forebay.charts.outlook_tables import event_title
from forebay.verify.long_tables import MIN_YEARS

if TYPE_CHECKING:
    from forebay.forecasts.long_outlook import LongOutlook


def format_share(count: int, total: int) -> str:
    """So many of all traces, and as whole percent; none or all of them do not make it certain.

    >>> format_share(5, 34), format_share(0, 34), format_share(8, 8)
    ('5/34 (15%)', '0/34 (< 3%)', '8/8 (> 88%)')
    """
    step = 100 / total
    if count == 0:
        return f"0/{total} (< {step:.0f}%)"
    if count == total:
        return f"{count}/{total} (> {100 - step:.0f}%)"
    return f"{count}/{total} ({100 * count / total:.0f}%)"


def month_cells(outlook: LongOutlook) -> list[dict[str, object]]:
    """A row per month-end: storage, % full and level at the quantiles .1, .5 and .9, where they are known."""
    cells = []
    columns = (("storage", f"storage, {outlook.volumes.unit}"), ("storage_percent", "% full"), ("level", "level"))
    for (_, end), rows in outlook.months.group_by("month", "valid_date", maintain_order=True):
        cell: dict[str, object] = {"end of month": str(end)}
        at = {q: rows.filter(pl.col("quantile") == q).row(0, named=True) for q in (0.1, 0.5, 0.9)}
        for column, title in columns:
            if at[0.5][column] is None:
                continue
            unit = at[0.5]["level_unit"]
            texts = {q: _text(row[column], column, unit) for q, row in at.items()}
            header = f"{title}, {unit}" if column == "level" else title
            cell[f"{header}: median"] = texts[0.5]
            cell[f"{header}: 10–90%"] = f"{texts[0.1]} … {texts[0.9]}"
        cells.append(cell)
    return cells


def _text(value: float | None, column: str, unit: str) -> str:
    if value is None:
        return NO_VALUE
    if column == "level":
        return format_level(value, unit)
    return format_number(value, 1) if column == "storage_percent" else format_value(value)


def chance_rows(outlook: LongOutlook) -> pl.DataFrame:
    """The probabilities that readers see: of each threshold the side that the storage is not on."""
    return outlook.probabilities.filter(~pl.col("is_beyond"))


def last_chances(outlook: LongOutlook) -> pl.DataFrame:
    """The rows of `chance_rows` on any day up to the end of the last month."""
    rows = chance_rows(outlook)
    return rows.filter(pl.col("kind") == "by", pl.col("month") == pl.col("month").max())


def chance_cells(outlook: LongOutlook) -> list[dict[str, object]]:
    """A row per threshold and kind with the share of the traces at the end of each month."""
    cells = []
    groups = chance_rows(outlook).group_by("threshold", "direction", "kind", maintain_order=True)
    for (name, direction, kind), rows in groups:
        cell: dict[str, object] = {
            "event": event_title(str(name), str(direction)),
            "when": "on the day" if kind == "on" else "at any time until",
        }
        cell |= {
            f"{end:%Y-%m}": format_share(count, total)
            for end, count, total in rows.select("valid_date", "traces", "all_traces").iter_rows()
        }
        cells.append(cell)
    return cells


def score_cells(scores: pl.DataFrame) -> list[dict[str, object]]:
    """A row per month ahead: number of past outlooks, CRPS and skills with their bands, coverage."""
    return [
        {
            "month ahead": row["month"],
            "past outlooks": row["n"],
            "years": row["years"],
            "CRPS": format_value(row["crps"]),
            "skill against past years": _skill(row, ""),
            "against today's storage": _skill(row, "_persistence"),
            "inside 10–90%": f"{100 * row['coverage_80']:.0f}%",
        }
        for row in scores.iter_rows(named=True)
    ]


def _skill(row: Mapping[str, float | None], suffix: str) -> str:
    """Skill with its band; a dash with fewer than `MIN_YEARS` years."""
    value, low, high = (row[f"{name}{suffix}"] for name in ("skill", "low", "high"))
    if value is None:
        return f"{NO_VALUE} (under {MIN_YEARS} years)"
    text = format_number(value, 2)
    return text if low is None else f"{text} ({format_number(low, 2)} to {format_number(high, 2)})"
