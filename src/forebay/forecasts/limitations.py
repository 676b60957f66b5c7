"""The limitations of a forecast, as sentences: missing data, missing intervals, values outside experience."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.dams.gauge import LAKE_ROLES
from forebay.days.daily import usable_values
from forebay.days.labels import gauge_labels, rain_unit
from forebay.features.inputs import AHEAD, FORCING
from forebay.features.reading_pattern import ReadingPattern, reading_pattern
from forebay.forecasts.explain import input_source
from forebay.models.blend import disagrees_wildly, range_of_models
from forebay.models.intervals import MIN_ERRORS
from forebay.screen.flags import REASONS
from forebay.tables import DEFAULT_MODEL, MANUAL, QUANTILES, flag_of
from forebay.verify.hindcast import FALLBACK, MAIN_MODEL

if TYPE_CHECKING:
    from datetime import date

    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.verify.point_forecasts import PointForecasts

_GROUPS = {"rain": "rain", "level": "change of the level", "season": "time of year", "weather": "weather"}
LOWER_BOUND = "the intervals are a lower bound of the uncertainty"
_QUANTITIES = {
    "rain": "catchment rain of the last day",
    "wetness": "wetness of the catchment (antecedent precipitation index)",
    "level": "level",
    "last_change": "last daily change",
    "degree_days": "degree-days of the last day",
    "evaporation": "evaporation of the last day",
    "snow": "snow water equivalent",
}


def limitations(
    daily: pl.DataFrame, samples: Samples, dam: Dam, default: PointForecasts, forecasts: pl.DataFrame
) -> tuple[str, ...]:
    """Sentences on the limitations of the forecast from the last day of `daily`; empty without any.

    Parameters
    ----------
    default
        Point forecasts of the model `default`.
    forecasts
        `tables.FORECASTS` of the hindcast.
    """
    pattern = reading_pattern(samples.level, 0.0 if samples.resolution is None else float(samples.resolution[-1]))
    if pattern is None or pattern.is_daily:
        record = [*_short_record(samples, default), *_missing_intervals(samples, forecasts)]
    else:
        record = _readings(pattern, samples, dam, forecasts)
    return (
        *record,
        *_constant_level(samples),
        *_implausible_levels(daily, dam),
        *_level_by_hand(daily, samples, dam),
        *_unknown_datum(samples),
        *_missing_level(samples, dam),
        *_missing_drivers(samples, dam),
        *_missing_gauges(daily, samples, dam),
        *_missing_kinds(dam),
        *_reading_time(dam),
    )


def outside_experience(experience: pl.DataFrame, samples: Samples, dam: Dam) -> tuple[str, ...]:
    """Sentences on the quantities of the last day that lie outside the range of the training days.

    Parameters
    ----------
    experience
        The table of `features.experience.experience`.
    """
    today = experience.filter("outside", pl.col("day") == len(samples.dates) - 1)
    if samples.suspect_reason is not None and samples.level_age[-1] > 0:
        today = today.filter(pl.col("quantity") != "level")  # it is suspect and not used
    sentences = []
    for row in today.iter_rows(named=True):
        title, unit, size = _title_and_unit(row["quantity"], dam)
        is_above = row["value"] > row["high"]
        side, end, limit = ("above", "maximum", row["high"]) if is_above else ("below", "minimum", row["low"])
        sentences.append(
            f"Outside experience: {title}, {_number(row['value'] / size)} {unit}, is {side} the "
            f"range of the training days ({end} {_number(limit / size)} {unit}): {LOWER_BOUND}."
        )
    return tuple(sentences)


def _title_and_unit(quantity: str, dam: Dam) -> tuple[str, str, float]:
    """Title of a quantity of `features.experience`, its unit for readers, and the size of that unit."""
    for gauge in dam.gauges:
        if gauge.column == quantity:
            return gauge_labels(dam)[quantity], gauge.unit, gauge.kind.conversion(gauge.unit)[0]
    for forcing in dam.forcings:
        if quantity == f"{AHEAD}{forcing.id}_mean":
            kind = dam.target_gauge.kind.title.lower()
            return f"daily change of the {kind} by {forcing.title}", dam.target.unit, 1.0
        if quantity == f"{FORCING}{forcing.id}_lead":
            if forcing.kind == "rain":
                return forcing.title, *rain_unit(dam)
            return f"change of the {dam.target_gauge.kind.title.lower()} by {forcing.title}", dam.target.unit, 1.0
    if quantity in ("rain", "wetness"):
        return _QUANTITIES[quantity], *rain_unit(dam)
    units = {"level": dam.target.unit, "last_change": dam.target.unit, "degree_days": "°C d"}
    return _QUANTITIES[quantity], units.get(quantity, "mm"), 1.0


def far_outside_experience(samples: Samples, dam: Dam, points: Mapping[str, PointForecasts]) -> tuple[str, ...]:
    """Sentences on inputs of the last day that the models do not use as they are, and on models that disagree wildly.

    Parameters
    ----------
    points
        Model → point forecasts, as `verify.default.with_default` returns them.
    """
    main = points[MAIN_MODEL]
    labels: dict[str, None] = {}
    for lead, input_range in main.input_range.items():
        day = samples.inputs_at(lead).tail(1)
        for column in input_range.columns_far_outside(day):
            group, title = input_source(column, dam)
            labels[title or _GROUPS.get(group, group)] = None
    models = {name: point.changes for name, point in points.items() if name != DEFAULT_MODEL}
    ranges = {lead: range_of_models({name: changes[lead] for name, changes in models.items()}) for lead in main.changes}
    wild = [lead for lead, model_range in ranges.items() if disagrees_wildly(model_range)[-1]]
    sentences = []
    if labels:
        sentences.append(
            f"Far outside experience: {', '.join(labels)}. The models use the nearest value that they accept, and "
            f"expect errors as large as the largest so far: {LOWER_BOUND}."
        )
    if wild:
        sentences.append(
            f"The models disagree as never before at lead times {', '.join(map(str, wild))} days: the forecast uses "
            "only those whose changes stay within the record, and expects errors as large as the largest so far: "
            f"{LOWER_BOUND}."
        )
    return tuple(sentences)


def _readings(pattern: ReadingPattern, samples: Samples, dam: Dam, forecasts: pl.DataFrame) -> list[str]:
    """Sentence on a level that is not read every day, and on the lead times at which nothing can be scored."""
    steps = f", resolution {pattern.resolution:,.6g} {dam.target.unit}" if pattern.resolution else ""
    sentence = f"{dam.target_gauge.kind.title} is read {pattern.frequency}{steps}"
    leads = _leads_without_interval(samples, forecasts)
    if not leads:
        return [f"{sentence}."]
    return [
        f"{sentence}: at lead times {', '.join(map(str, leads))} days no two past readings are so far apart, so "
        "nothing can be scored there, and the forecast has no interval."
    ]


def _short_record(samples: Samples, default: PointForecasts) -> list[str]:
    last = samples.dates[-1].item()
    leads = [lead for lead, until in default.fallback_until.items() if until == last]
    if not leads:
        return []
    return [
        f"The record ({len(samples.dates)} days) is too short for the regression: {FALLBACK} replaces it at lead times "
        f"{', '.join(map(str, leads))}."
    ]


def _missing_intervals(samples: Samples, forecasts: pl.DataFrame) -> list[str]:
    leads = _leads_without_interval(samples, forecasts)
    if not leads:
        return []
    return [
        f"No intervals at lead times {', '.join(map(str, leads))}: at the start of the month fewer than {MIN_ERRORS} "
        "past forecasts had an observed level."
    ]


def _leads_without_interval(samples: Samples, forecasts: pl.DataFrame) -> list[int]:
    """Lead times at which the newest forecast has no interval."""
    issued = forecasts.filter(pl.col("model") == DEFAULT_MODEL, pl.col("init_date") == samples.dates[-1].item())
    quantiles = issued.group_by("lead_time").len()
    return quantiles.filter(pl.col("len") < len(QUANTILES))["lead_time"].sort().to_list()


def _constant_level(samples: Samples) -> list[str]:
    if len(samples.dates) == 1 or np.nanmax(samples.level) > np.nanmin(samples.level):
        return []
    return [f"The level did not change in {len(samples.dates)} days: the gauge may be stuck."]


def _implausible_levels(daily: pl.DataFrame, dam: Dam) -> list[str]:
    flag = daily[flag_of(dam.target_gauge.column)]
    count = int(flag.is_in(["sentinel", "range"]).sum())
    if not count:
        return []
    days = "1 day has a level" if count == 1 else f"{count:,} days have a level"
    return [
        f"{days} outside the plausible range, or a number that means no value: such a level counts as missing, and is "
        "neither used nor scored."
    ]


def _level_by_hand(daily: pl.DataFrame, samples: Samples, dam: Dam) -> list[str]:
    """Sentence on a level that was read by hand, from which the forecast starts."""
    day = samples.dates[-1 - int(samples.level_age[-1])].item()
    flags = daily.filter(pl.col("date") == day)[flag_of(dam.target_gauge.column)]
    if MANUAL not in flags:
        return []
    gauge = dam.target_gauge
    value = f"reading at {gauge.reading_at:%H:%M}" if gauge.reading_at is not None else f"{gauge.aggregate} of the day"
    return [
        f"The level of {day} was read by hand, because the gauge has no usable value of that day: it is one reading "
        f"and stands for the {value}."
    ]


def _unknown_datum(samples: Samples) -> list[str]:
    if samples.withheld_from is None:
        return []
    return [
        f"The datum of the level seems to have changed on {samples.withheld_from}: full supply, thresholds and storage "
        "are withheld from that day until the dam file states the change (datum_offsets)."
    ]


def _missing_level(samples: Samples, dam: Dam) -> list[str]:
    age, reason = int(samples.level_age[-1]), samples.suspect_reason
    why = "" if reason is None else f"{reason}: {REASONS[reason]}"
    level_of_day = f"The level of {samples.dates[-1]}"
    if age == 0:
        return [f"{level_of_day} is suspect ({why}); the forecast still starts from it."] if why else []
    sentences = [f"{level_of_day} is suspect and not used ({why})."] if why else []
    level = f"{samples.start_level[-1]:,.3f} {dam.target.unit}"
    return [
        *sentences,
        f"No level since {samples.dates[-1 - age]} ({_days(age)}): the forecast starts from the level of that day, "
        f"{level}. Its intervals come from past forecasts that start from a level of that age.",
    ]


def _missing_drivers(samples: Samples, dam: Dam) -> list[str]:
    age = 0 if samples.outages is None else int(samples.outages.drivers_age[-1])
    if age == 0:
        return []
    kind = "rain" if dam.columns("rainfall") else "flow"
    return [
        f"No {kind} is known since {samples.dates[-1 - age]} ({_days(age)}): the intervals come from past forecasts "
        f"without rain and flows, if at least {MIN_ERRORS} of them had an observed level."
    ]


def substituted_gauges(substitutions: pl.DataFrame, dam: Dam, init_date: date) -> dict[str, str]:
    """Column of each gauge whose newest input on the init date is an estimate → a sentence on it.

    Parameters
    ----------
    substitutions
        `features.substitutes.SUBSTITUTIONS` of the hindcast and of the forecast.
    """
    labels, sentences = gauge_labels(dam), {}
    past = substitutions.filter(pl.col("init_date") < init_date)
    for gauge in dam.gauges:
        rows = substitutions.filter(pl.col("init_date") == init_date, pl.col("gauge") == gauge.column)
        for row in rows.iter_rows(named=True):
            source, factor = labels[row["substitute"]], f"{row['factor']:.3g}"
            estimate = f"the value of {source}, times {factor},"
            if gauge.kind.aggregate != "total":
                estimate = f"its last value, plus {factor} times the change of {source} since then,"
            count = past.filter(pl.col("gauge") == gauge.column).height
            sentences[gauge.column] = (
                f"The value of {labels[gauge.column]} of {row['date']} is missing or late: {estimate} is used "
                f"instead. The hindcast does the same; there the newest value was an estimate on {_days(count)}."
            )
    return sentences


def _missing_gauges(daily: pl.DataFrame, samples: Samples, dam: Dam) -> list[str]:
    known = usable_values(daily, dam)
    last = known["date"][-1]
    sentences, labels = [], gauge_labels(dam)
    substituted = substituted_gauges(samples.substitutions, dam, samples.dates[-1].item())
    for gauge in (gauge for gauge in dam.gauges if gauge.role != "target"):
        label = labels[gauge.column]
        days = known.filter(pl.col(gauge.column).is_not_null())["date"]
        if gauge.column in substituted:
            sentences.append(substituted[gauge.column])
        elif days.is_empty():
            sentences.append(f"{label} has no usable value; the models work without it.")
        elif (age := (last - days[-1]).days) > 0:
            sentences.append(
                f"{label} has no value since {days[-1]} ({_days(age)}); the models take the gap into account, "
                "and nothing fills it."
            )
    return sentences


def _missing_kinds(dam: Dam) -> list[str]:
    """Sentences on the kinds of gauge and the full supply level that the dam file does not have."""
    sentences = []
    if not any(gauge.role not in LAKE_ROLES for gauge in dam.gauges):
        sentences.append("No gauge of rain or flow: the forecast uses the past levels only.")
    elif not dam.columns("rainfall"):
        sentences.append("No rain gauge: rain affects the forecast only after the inflow or the level rises.")
    if dam.full_supply is None:
        sentences.append("The dam file has no full supply level: distance to full supply and spills are unknown.")
    return sentences


def _reading_time(dam: Dam) -> list[str]:
    gauge = dam.target_gauge
    if gauge.reading != "instantaneous" or gauge.reading_at is None:
        return []
    return [
        f"The level is read at {gauge.reading_at:%H:%M}: a lead time of 1 day reaches the next reading, and the level "
        "does not yet include the rain since the last reading."
    ]


def _number(value: float) -> str:
    """A number to about four digits, without an exponent."""
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}").replace("-", "−")


def _days(count: int) -> str:
    return f"{count:,} day{'' if count == 1 else 's'}"
