"""Unit and definition of each model input, for an application that computes the inputs itself (docs/export.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forebay.dams.delays import input_delay
from forebay.days.labels import gauge_labels
from forebay.features.inputs import AHEAD, BALANCE, CONTEXT, FORCING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge


class InputNote(NamedTuple):
    """Unit and definition of an input."""

    unit: str
    description: str


def input_notes(names: Sequence[str], dam: Dam) -> list[dict[str, str]]:
    """`name`, `unit` and `description` of each of the inputs `names`, in their order.

    Raises
    ------
    KeyError
        If an input has no definition here (a programming error).
    """
    notes = _level_notes(dam) | _rain_notes() | _weather_notes() | _balance_notes(dam)
    for gauge in dam.gauges:
        notes |= _gauge_notes(gauge, dam)
    notes |= _forcing_notes(dam)
    return [{"name": name, **notes[name.removeprefix(CONTEXT)]._asdict()} for name in names]


def _level_notes(dam: Dam) -> dict[str, InputNote]:
    unit = dam.target.unit
    daily = f"{unit}/d"
    return {
        "last_change": InputNote(
            daily,
            "change from the level before to today's, divided by the days between; without today's level the last one, "
            "times 0.9 per day since then",
        ),
        **{f"change_lag{k}": InputNote(daily, f"that change, {k} day(s) ago") for k in (1, 2)},
        **{f"change_{k}d": InputNote(daily, f"mean of last_change over {k} days") for k in (3, 7)},
        **{f"median_change_{k}d": InputNote(daily, f"median daily change of {k} days") for k in (30, 90)},
        "day_of_year": InputNote("1", "day of the year, 1 for 1 January"),
        "season_sin": InputNote("1", "sine of 2π · day_of_year / 365.25"),
        "season_cos": InputNote("1", "cosine of 2π · day_of_year / 365.25"),
        "level": InputNote(unit, "today's value of the target"),
        "below_full": InputNote("1", "full supply minus level, divided by near_full_margin, within −2 and 20"),
        "rise_per_flow": InputNote(
            f"{unit}/d per m3/s", "change by a flow of 1 m3/s, by the slope of the storage curve at today's level"
        ),
        "rain_api_rise": InputNote(f"mm2 {unit}/d per m3/s", "rain_api · rise_per_flow"),
        "rain_3d_api_rise": InputNote(f"mm2 {unit}/d per m3/s", "rain_3d_api · rise_per_flow"),
    }


def _rain_notes() -> dict[str, InputNote]:
    return {
        **{f"rain_lag{k}": InputNote("mm", f"mean of the rain gauges that report, {k} day(s) ago") for k in (0, 1, 2)},
        **{
            f"rain_{k}d": InputNote("mm", f"sum of that rain over {k} days, of which at least {least} are known")
            for k, least in ((3, 2), (7, 5), (14, 10), (30, 21))
        },
        "api": InputNote("mm", "wetness index: 0.9 · index of yesterday + rain; a missing day counts as the mean day"),
        "rain_api": InputNote("mm2", "rain_lag0 · api"),
        "rain_api_lag1": InputNote("mm2", "rain_lag0 · api, of yesterday"),
        "rain_3d_api": InputNote("mm2", "rain_3d · api"),
    }


def _weather_notes() -> dict[str, InputNote]:
    return {
        "degree_days": InputNote("degC d", "mean temperature of the gauges that report, at least 0"),
        "degree_days_3d": InputNote("degC d", "sum of degree_days over 3 days, of which at least 2 are known"),
        "evaporation": InputNote("mm", "mean of the evaporation gauges that report"),
        "evaporation_7d": InputNote("mm", "mean of evaporation over 7 days, of which at least 4 are known"),
        "snow": InputNote("mm", "mean snow water equivalent of the gauges that report"),
        "snow_change": InputNote("mm", "snow minus that of yesterday"),
        "snow_change_7d": InputNote("mm", "snow minus that of 7 days ago"),
        "snow_melt": InputNote("mm", "the smaller of snow and 4 mm · degree_days"),
    }


def _balance_notes(dam: Dam) -> dict[str, InputNote]:
    unit = _flow_unit(dam)
    known = {
        "inflow": "sum of the inflow gauges (or of the releases upstream), as a change of the target",
        "release": "sum of the release gauges, as a change of the target",
        "expected": "mean of inflow minus release, of today and of yesterday",
        "change": "level minus that of yesterday",
    }
    return {
        f"{BALANCE}{name}{end}": InputNote(dam.target.unit + "/d" if name == "change" else unit, text + ending)
        for name, text in known.items()
        for end, ending in (("", ""), ("_10d", ": median of 10 days, of which at least 5 are known"))
    }


def _flow_unit(dam: Dam) -> str:
    """Unit of a flow as a change of the target; ML/d where a flow determines no change."""
    return f"{dam.target.unit}/d" if dam.has_volume else "ML/d"


def _gauge_notes(gauge: Gauge, dam: Dam) -> dict[str, InputNote]:
    """Definitions of the inputs of one gauge with a flow or a level."""
    name, unit, delay = gauge.column, gauge.kind.unit, input_delay(gauge, dam)
    label = gauge_labels(dam)[name] + (f", {delay} day(s) late" if delay else "")
    due = {
        f"{name}_due_{k}d": InputNote(unit, f"{label}: mean of the water that arrives in the next {k} day(s)")
        for k in range(1, 1 + int(gauge.travel_time_h / 24))
    }
    return {
        name: InputNote(unit, f"{label}: value of the day"),
        f"{name}_rise": InputNote(unit, f"{label}: value minus that of the day before"),
        f"{name}_rise_3d": InputNote(unit, f"{label}: value minus that of 3 days before"),
        f"{name}_anomaly_30d": InputNote(unit, f"{label}: value minus its mean of 30 days, of which at least 10 known"),
        f"{name}_root": InputNote(f"({unit})^0.5", f"{label}: root of the size of the value, with its sign"),
        f"{name}_arriving": InputNote(unit, f"{label}: value of the water that arrives at the dam today"),
        **due,
    }


def _forcing_notes(dam: Dam) -> dict[str, InputNote]:
    """Definitions of the inputs from forecasts and plans, at each lead time."""
    notes = {}
    unit = dam.target.unit if dam.has_volume else "ML"
    for forcing in dam.forcings:
        name, title = f"{FORCING}{forcing.id}", forcing.title
        if forcing.kind == "rain":
            for span in (*(f"{k}d" for k in (1, 2, 3, 5)), "lead"):
                until = "the valid date" if span == "lead" else f"{span[:-1]} day(s) ahead"
                notes[f"{name}_{span}"] = InputNote("mm", f"{title}: sum from tomorrow until {until}")
                notes[f"{name}_{span}_api"] = InputNote("mm2", f"{title}: that sum · api")
        else:
            notes[f"{name}_lead"] = InputNote(unit, f"{title}: change of the target over the lead time")
            notes[f"{name}_step"] = InputNote(unit, f"{title}: that change minus the one if today's flow continued")
        for statistic in ("mean", "q10", "q50", "q90", "spread"):
            text = f"{title}, {statistic}: mean change of the target per day over the lead time"
            notes[f"{AHEAD}{forcing.id}_{statistic}"] = InputNote(_flow_unit(dam), text)
    return notes
