"""Tables of the outlook that the report and the terminal show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.formats import NO_VALUE, TargetFormat, format_day
from forebay.dams.thresholds import FULL_SUPPLY, RISE
from forebay.tables import MIN_EVENTS, summary_leads

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.forecasts.outlook import Outlook


def format_probability(probability: float | None) -> str:
    """A probability as whole percent; never 0% or 100%, because no forecast is certain.

    >>> [format_probability(p) for p in (0.004, 0.126, 0.996, None)]
    ['< 1%', '13%', '> 99%', '–']
    """
    if probability is None:
        return NO_VALUE
    if round(100 * probability) < 1:
        return "< 1%"
    return "> 99%" if round(100 * probability) > 99 else f"{100 * probability:.0f}%"


def threshold_title(name: str) -> str:
    """Name of a threshold for readers.

    >>> threshold_title("full_supply"), threshold_title("level+0.25 m")
    ('Full supply', 'Rise of 0.25 m')
    """
    if name == FULL_SUPPLY:
        return "Full supply"
    return f"Rise of {name.removeprefix(RISE)}" if name.startswith(RISE) else name


def event_title(name: str, direction: str) -> str:
    """What a probability is of.

    >>> event_title("full_supply", "above"), event_title("full_supply", "below"), event_title("level+0.25 m", "above")
    ('At or above full supply', 'At or below full supply', 'Rise of 0.25 m')
    """
    if name.startswith(RISE):
        return threshold_title(name)
    return f"At or {direction} {'full supply' if name == FULL_SUPPLY else name}"


@dataclass(frozen=True)
class OutlookRow:
    """One event of an outlook, for readers.

    threshold, direction: of `tables.PROBABILITIES`. event: its title. level: of the threshold, with its unit; of the
    first and the last day where it changes. by: lead time → probability of the event by then. day_50: first day by
    which it is 50% likely.
    """

    threshold: str
    direction: str
    event: str
    level: str
    by: Mapping[int, float | None]
    day_50: str

    @property
    def texts(self) -> dict[int, str]:
        """Lead time → probability as text."""
        return {lead: format_probability(probability) for lead, probability in self.by.items()}

    @property
    def is_rise(self) -> bool:
        """Whether it is a rise of the level and not a level of the dam."""
        return self.threshold.startswith(RISE)


def outlook_rows(outlook: Outlook, dam: Dam) -> list[OutlookRow]:
    """A row per threshold with the probability by the lead times of `summary_leads`.

    A threshold has the row of the side that the level is not on: the chance of leaving its own side.
    """
    target = TargetFormat(dam)
    by = outlook.probabilities.filter(pl.col("kind") == "by")
    leads = summary_leads(by["lead_time"])
    rows = []
    for row in outlook.times.filter(~pl.col("is_beyond")).iter_rows(named=True):
        name, direction = row["threshold"], row["direction"]
        own = by.filter(pl.col("threshold") == name, pl.col("direction") == direction)
        chances = dict(own.select("lead_time", "probability").iter_rows())
        last_level = own.filter(pl.col("lead_time") == leads[-1])["threshold_level"]
        levels = [row["threshold_level"], *last_level]  # of the first and the last day: a rule curve changes
        rows.append(
            OutlookRow(
                threshold=name,
                direction=direction,
                event=event_title(name, direction),
                level=" to ".join(dict.fromkeys(map(target.quantity, levels))),
                by={lead: chances.get(lead) for lead in leads},
                day_50=NO_VALUE if row["day_50"] is None else format_day(row["day_50"]),
            )
        )
    return rows


def main_row(rows: Sequence[OutlookRow]) -> OutlookRow | None:
    """The row that a headline has: full supply, or the first threshold of the dam file; None for rises alone."""
    return next((row for row in rows if not row.is_rise), None)


def skill_sentence(scores: pl.DataFrame, threshold: str, direction: str, lead_time: int) -> str:
    """One sentence on the skill of past probabilities of reaching a threshold by a day, window `all`.

    A skill is claimed only from `MIN_EVENTS` independent events on.
    """
    rows = scores.filter(
        pl.col("threshold") == threshold,
        pl.col("direction") == direction,
        pl.col("kind") == "by",
        pl.col("window") == "all",
        pl.col("regime") == "all",
        pl.col("lead_time") == lead_time,
    )
    if rows.is_empty() or not rows["n"][0]:
        return "The hindcast has no day from which to judge it."
    row = rows.row(0, named=True)
    count = f"{row['events']} independent event{'' if row['events'] == 1 else 's'} in {row['n']:,} days"
    if row["events"] < MIN_EVENTS or row["skill"] is None:
        return f"No skill is claimed: the hindcast has {count}, and at least {MIN_EVENTS} are needed to judge it."
    band = "" if row["low"] is None else f" (90% band {row['low']:.2f} to {row['high']:.2f})"
    return f"Brier skill against the past frequency: {row['skill']:.2f}{band}, from {count}."
