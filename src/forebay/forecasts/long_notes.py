"""Sentences on what a long outlook assumes, what it leaves out, and how good such outlooks were."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.days.labels import gauge_labels
from forebay.features.water_balance import MAX_GAP_DAYS
from forebay.verify.long_tables import MIN_YEARS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.forecasts.long_outlook import LongOutlook
    from forebay.verify.long_hindcast import Demand, LongForecast


def long_notes(outlook: LongOutlook, dam: Dam, scores: pl.DataFrame, level_date: date) -> tuple[str, ...]:
    """Assumptions, gaps and limits of a long outlook as sentences.

    Parameters
    ----------
    scores
        `long_tables.LONG_SCORES` of the dam.
    level_date
        Day of the level that the traces start from.
    """
    forecast = outlook.forecast
    return (
        *_method(forecast, level_date),
        *_operation(outlook, dam),
        *_record(outlook, dam),
        *_limits(outlook, dam),
        *_skill(outlook, scores),
    )


def _method(forecast: LongForecast, level_date: date) -> Iterator[str]:
    if level_date < forecast.init_date:
        yield f"The traces start on {forecast.init_date} from the storage of {level_date}, the last that is known."
    years = forecast.windows.years
    count = len(years)
    yield (
        f"Each of the {count} traces repeats the balance of the same days of a past year ({years[0]} to {years[-1]}). "
        f"All are equally likely: one trace is a probability of 1/{count}, {100 / count:.1f}%."
    )
    yield "No weather forecast, no river and no soil of today is in it; a trend of the climate is not in it either."


def _operation(outlook: LongOutlook, dam: Dam) -> Iterator[str]:
    """What the traces assume about releases and withdrawals."""
    demand, unit, forecast = outlook.demand, outlook.volumes.unit, outlook.forecast
    if demand is None:
        yield (
            "No demand is stated: the balance is the net change of storage as observed, so that each trace assumes the "
            "releases, withdrawals and rules of its year."
        )
        if forecast.rate:
            yield (
                "In past years a fuller lake released more. The difference of a trace from its past year therefore "
                f"decays with a time of {1 / forecast.rate:.0f} days, learned from these years."
            )
        return
    gauges = [gauge_labels(dam)[column] for column in dam.columns("release")]
    known = " and ".join([*gauges, *(["the stated past demand"] if any(demand.past) else [])])
    yield (
        f"The traces release the stated demand, {_flows(demand, outlook)}, in place of the past outflow ({known}). "
        "Outflow that is not in it stays in the balance as it was."
    )
    total = float(forecast.traces.shortfall.sum(axis=1).max())
    if total:
        count = int((forecast.traces.shortfall.sum(axis=1) > 0).sum())
        yield (
            f"In {count} of {len(forecast.windows.years)} traces the lake falls to its lowest storage and the demand "
            f"is not met; the largest shortfall is {_volume(total)} {unit}."
        )
    yield (
        "A stated demand does not react to the inflow, as operation does: read the traces as the answer to a question, "
        "not as a forecast of what operators will do."
    )
    yield "Past levels cannot verify a stated demand: the scores are those of traces as operated."


def _flows(demand: Demand, outlook: LongOutlook) -> str:
    volumes = outlook.volumes.volume_per_day(np.array(demand.future))
    low, high = float(volumes.min()), float(volumes.max())
    unit = f"{outlook.volumes.unit} a day"
    return f"{_volume(low)} {unit}" if low == high else f"{_volume(low)} to {_volume(high)} {unit} by month"


def _record(outlook: LongOutlook, dam: Dam) -> Iterator[str]:
    """Years that are left out, gaps that are bridged, days on which the inflow is not in the record."""
    windows = outlook.forecast.windows
    count = len(windows.years)
    if windows.left_out:
        years = ", ".join(f"{year} ({days} days)" for year, days in windows.left_out.items())
        yield (
            f"Left out, because their balance has gaps of more than {MAX_GAP_DAYS} days: "
            f"{len(windows.left_out)} of {count + len(windows.left_out)} years, {years}."
        )
    bridged = int(windows.days_bridged.sum())
    if bridged:
        traces = int((windows.days_bridged > 0).sum())
        yield (
            f"Days without a value: {bridged:,}, in {traces} of {count} traces. The change over their gaps of at most "
            f"{MAX_GAP_DAYS} days is known and spread evenly."
        )
    full = windows.days_full
    if full.any():
        typical = int(np.median(full[full > 0]))
        days = f"{typical} day{'' if typical == 1 else 's'}"
        censored = (
            "What it spilt then is not in the balance, so that these traces understate the inflow"
            if outlook.demand is None or not dam.columns("release")
            else "Their inflow is understated if the release gauges do not measure the spill"
        )
        yield (
            f"In {int((full > 0).sum())} of {count} past years the lake was full, on {days} in the median of "
            f"these years. {censored}."
        )


def _limits(outlook: LongOutlook, dam: Dam) -> Iterator[str]:
    forecast, unit = outlook.forecast, outlook.volumes.unit
    if np.isfinite(forecast.limits.full_supply).all():
        yield "Traces are storage up to full supply; what exceeds it counts as spill, also in a flood pool."
        if forecast.start > forecast.limits.full[0]:
            yield "The storage is above full supply now; the excess counts as spill of the first day."
    elif np.isfinite(forecast.limits.full).all():
        yield "Full supply is unknown: the traces fill the lake up to the top of the storage curve."
    else:
        yield "Full supply is unknown, so that nothing limits the traces upwards; state full_supply in the dam file."
    origin = "of the dam file" if dam.lowest_level is not None else "without lowest_level in the dam file"
    yield f"The lowest storage is {_volume(forecast.limits.lowest)} {unit}, {origin}."
    yield (
        "Evaporation and seepage are in the balance as on the lake of then; those of a smaller or larger lake differ."
    )
    if outlook.left_out:
        names = ", ".join(outlook.left_out)
        yield f"Left out, because no trace can be there (above full supply, or below the lowest storage): {names}."


def _skill(outlook: LongOutlook, scores: pl.DataFrame) -> Iterator[str]:
    if scores.is_empty():
        yield "There is no past outlook to judge this one by: the record is too short."
        return
    years = int(scores["years"].min())  # type: ignore[arg-type]  # polars: the minimum of a column of integers
    if years < MIN_YEARS:
        yield f"No skill is claimed: past outlooks are from {years} years, at least {MIN_YEARS} are needed."
        return
    useless = scores.filter((pl.col("low") <= 0) | pl.col("low").is_null())["month"].to_list()
    if useless:
        months = f"month {useless[0]}" if len(useless) == 1 else f"months {', '.join(map(str, useless))}"
        yield (
            f"In {months} past outlooks were not surely better than the storage of the same days in past years: the "
            "90% band of the skill includes 0 or lies below it."
        )


def _volume(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.4g}"


def event_sentence(scores: pl.DataFrame, event: str, key: dict[str, object]) -> str:
    """Brier skill of past chances of an event in words; claimed only with enough years in which it happened.

    Parameters
    ----------
    scores
        `long_tables.LONG_EVENT_SCORES`.
    event
        What the chance is of.
    key
        threshold, direction, kind and month of the row.
    """
    rows = scores.filter(*(pl.col(name) == value for name, value in key.items()))
    if rows.is_empty():
        return f"{event}: no past outlook is from the other side of it."
    row = rows.row(0, named=True)
    count = f"it happened after past outlooks of {row['event_years']} of {row['years']} years"
    if row["skill"] is None and row["event_years"] >= MIN_YEARS:
        return f"{event}: the same past years leave nothing to gain; {count}."
    if row["skill"] is None:
        return f"{event}: no skill is claimed, {count}; at least {MIN_YEARS} with it are needed."
    band = "" if row["low"] is None else f" (90% band {row['low']:.2f} to {row['high']:.2f})"
    return f"{event}: Brier skill {row['skill']:.2f}{band} against the same past years; {count}."
