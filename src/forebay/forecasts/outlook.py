"""The outlook of one init date: how likely the level reaches each threshold within the forecast, and by when.

All probabilities refer to the daily value of the target gauge (`verify.exceedance`). The scores of earlier
probabilities stand beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from forebay.models.exceedance import first_times
from forebay.tables import PROBABILITIES
from forebay.verify.exceedance import probability_table
from forebay.verify.tables import PROBABILITY_RELIABILITY, PROBABILITY_SCORES
from forebay.verify.thresholds_ahead import RISES

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.forecasts.issue import IssuedForecast
    from forebay.verify.verification import Verification

TIME_PROBABILITIES = (0.1, 0.5, 0.9)
"""Probabilities of having reached a threshold, of which an outlook has the first day."""


@dataclass(frozen=True)
class Outlook:
    """Probabilities of reaching thresholds from one init date, and how good such probabilities were.

    Attributes
    ----------
    verification
        The hindcast that the forecast belongs to; None on a server's pages.
    probabilities
        `tables.PROBABILITIES` of the init date.
    times
        threshold, direction, threshold_level (first valid date), is_beyond (whether the level is beyond it now),
        day_10, day_50, day_90: first day by which the probability of having reached it is so many percent; null if that
        is later than the last day of the forecast.
    notes
        Sentences: to what the probabilities refer, and what is unknown.
    stored_scores, stored_reliability
        Where there is no hindcast: what the last refresh stored of it; None without.
    """

    verification: Verification | None = field(repr=False)
    probabilities: pl.DataFrame
    times: pl.DataFrame
    notes: tuple[str, ...]
    stored_scores: pl.DataFrame | None = field(default=None, repr=False)
    stored_reliability: pl.DataFrame | None = field(default=None, repr=False)

    @property
    def is_scored(self) -> bool:
        """Whether `scores` are known, be it that there are too few days for one."""
        return self.verification is not None or self.stored_scores is not None

    @property
    def scores(self) -> pl.DataFrame:
        """`verify.tables.PROBABILITY_SCORES` of the hindcast; empty without one."""
        if self.verification is not None:
            return self.verification.probability_scores
        return PROBABILITY_SCORES.empty() if self.stored_scores is None else self.stored_scores

    @property
    def reliability(self) -> pl.DataFrame:
        """`verify.tables.PROBABILITY_RELIABILITY` of the hindcast; empty without one."""
        if self.verification is not None:
            return self.verification.probability_reliability
        return PROBABILITY_RELIABILITY.empty() if self.stored_reliability is None else self.stored_reliability


def make_outlook(verification: Verification, issued: IssuedForecast) -> Outlook:
    """The outlook of an issued forecast."""
    samples, dam, forecasts = verification.samples, verification.dam, verification.threshold_forecasts
    probabilities = probability_table(forecasts, samples, dam, issued.init_date)
    day = samples.position(issued.init_date)
    beyond: dict[tuple[str, str], bool] = {
        (f.threshold.name, f.threshold.direction): bool(f.threshold.is_beyond[day]) for f in forecasts
    }
    return Outlook(
        verification=verification,
        probabilities=probabilities,
        times=_times(probabilities, beyond),
        notes=tuple(_notes(dam, issued, probabilities)),
    )


def recorded_outlook(probabilities: pl.DataFrame, issued: IssuedForecast, dam: Dam, level: float | None) -> Outlook:
    """The outlook of a recorded forecast, without the scores of earlier ones.

    Parameters
    ----------
    probabilities
        `tables.PROBABILITIES` of the record.
    level
        The level that the forecast starts from; None if it is unknown.
    """
    rows = PROBABILITIES.check(probabilities)
    beyond: dict[tuple[str, str], bool] = {}
    for name, direction, threshold in rows.select("threshold", "direction", "threshold_level").unique().iter_rows():
        is_beyond = level is not None and (level >= threshold if direction == "above" else level <= threshold)
        beyond[name, direction] = beyond.get((name, direction), True) and is_beyond
    return Outlook(None, rows, _times(rows, beyond), tuple(_notes(dam, issued, rows)))


def _times(probabilities: pl.DataFrame, beyond: dict[tuple[str, str], bool]) -> pl.DataFrame:
    """`Outlook.times`."""
    rows = []
    by = probabilities.filter(pl.col("kind") == "by").sort("lead_time", maintain_order=True)
    for (name, direction), group in by.group_by("threshold", "direction", maintain_order=True):
        dates = dict(zip(group["lead_time"], group["valid_date"], strict=True))
        first = first_times(group["probability"].to_numpy(), TIME_PROBABILITIES, group["lead_time"].to_list())
        days = [None if lead is None else dates[lead] for lead in first]
        is_beyond = beyond[str(name), str(direction)]
        rows.append((name, direction, group["threshold_level"][0], is_beyond, *days))
    columns = {"threshold": pl.String, "direction": pl.String, "threshold_level": pl.Float64, "is_beyond": pl.Boolean}
    days_of = {f"day_{100 * probability:.0f}": pl.Date for probability in TIME_PROBABILITIES}
    return pl.DataFrame(rows, schema={**columns, **days_of}, orient="row")


def _notes(dam: Dam, issued: IssuedForecast, probabilities: pl.DataFrame) -> list[str]:
    gauge = dam.target_gauge
    value = "reading" if gauge.reading_at is not None else f"{gauge.aggregate} of the day"
    notes = [f"Probabilities refer to the {value} at {gauge.title}; within a day the level can be higher or lower."]
    if issued.withheld_from is not None:
        notes.append(
            f"Full supply and thresholds are unknown: the datum of the gauge seems to have changed on "
            f"{issued.withheld_from}."
        )
    if dam.full_supply is None:
        notes.append(
            "The dam file states no full supply, so the probability of filling is unknown; add full_supply to it."
        )
    if (dam.target.variable, dam.target.unit) not in RISES and not dam.thresholds and dam.full_supply is None:
        notes.append("It has no thresholds either; add [[thresholds]] with a name and a level.")
    if probabilities.is_empty() and not issued.table.is_empty():
        notes.append("There are no probabilities: too few past errors are known for intervals.")
    return notes
