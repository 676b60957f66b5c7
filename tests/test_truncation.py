"""Live equals hindcast: the hindcast up to a day is the same whether the record ends on that day or goes on.

The forecast of the last day of a record is the live forecast. It must be equal to the last bit to the row that a
hindcast over the longer record has on that day, and so must all earlier rows: every model, every quantile, the blend,
inputs, regimes and paths. `test_no_look_ahead` changes the values after a day; here they do not exist yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.hindcast import Hindcast
from forebay.dams.local_time import init_time
from forebay.days.daily import usable_values
from forebay.models import FLOW_MODELS, models_for, regression
from forebay.tables import FORCINGS
from tests import synthetic
from tests.csv_tables import daily_from_files
from tests.shared import PROJECT, needs_shared
from tests.test_no_look_ahead import (
    DAMS,
    LEADS,
    NEW_YEAR,
    NO_DRIVERS,
    NO_LEVEL,
    RISE,
    STEP,
    HindcastResult,
    compare_until,
    daily_with_events,
    run_hindcast,
    unchanged_result,
    with_two_leads,
)

ENDS = {
    "rain and a river": (35, NEW_YEAR + 1, STEP + 8),
    "a river alone": (150, NEW_YEAR - 1, RISE),
    "late rain, an inflow, feet": (2, 250, NO_DRIVERS),
    "snow, evaporation, a dam upstream, a curve": (301, NO_LEVEL, NO_LEVEL + 1),
}
"""Dam → days on which the shorter records end: in the first weeks, near refits, in outages, on a suspect level."""


def run_uncached(frame: pl.DataFrame, dam: Dam, issues: pl.DataFrame | None = None) -> HindcastResult:
    """The hindcast over `frame`, whose regressions do not come from the cache of an earlier hindcast."""
    regression._CACHE.clear()
    return run_hindcast(frame, dam, models_for(dam) | FLOW_MODELS, issues)


@pytest.mark.parametrize(("name", "end"), [(name, end) for name, ends in ENDS.items() for end in ends])
def test_a_shorter_record_has_the_same_forecasts(name: str, end: int) -> None:
    dam = with_two_leads(DAMS[name])
    shorter = run_uncached(daily_with_events(dam).head(end + 1), dam)
    assert shorter.forecasts["init_date"].max() == synthetic.FIRST_DAY + timedelta(days=end)
    compare_until(end, shorter, unchanged_result(name))


GAUGES: dict[str, dict[str, object]] = {
    "rain": synthetic.rain_gauge(),
    "late rain": synthetic.rain_gauge("r2", latency_h=30),
    "stream": {"role": "stream", "station": "s", "variable": "discharge", "unit": "m3/s"},
    "inflow": {"role": "inflow", "station": "i", "variable": "inflow", "unit": "m3/s"},
    "release": {"role": "release", "station": "o", "variable": "release", "unit": "m3/s"},
    "upstream": {"role": "upstream_level", "station": "u", "variable": "reservoir_level", "unit": "m",
                 "travel_time_h": 40},
    "temperature": {"role": "temperature", "station": "t", "variable": "temperature", "unit": "degC"},
}  # fmt: skip
TARGETS = (("reservoir_level", "m"), ("reservoir_level", "ft"), ("storage", "ML"), ("storage_percent", "%"))
FORECASTS = (
    {"kind": "rain", "id": "outlook", "unit": "mm", "latency_h": 6},
    {"kind": "inflow", "id": "outlook", "unit": "m3/s", "latency_h": 6, "max_age_h": 40},
)


@dataclass(frozen=True)
class World:
    """A dam with its daily table and its forecasts of rain or inflow, and the day on which the shorter record ends."""

    dam: Dam
    frame: pl.DataFrame
    issues: pl.DataFrame
    end: int

    def until(self, day: int) -> World:
        """The world as known at the end of day number `day`."""
        known = init_time(synthetic.FIRST_DAY + timedelta(days=day), self.dam.time_zone)
        return World(self.dam, self.frame.head(day + 1), self.issues.filter(pl.col("known_time") <= known), day)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Dams with any gauges and records with outages of level and drivers, spikes, and steps."""
    variable, unit = draw(st.sampled_from(TARGETS))
    names = draw(st.lists(st.sampled_from(sorted(GAUGES)), unique=True, max_size=3))
    target = {"role": "target", "station": "lake", "variable": variable, "unit": unit}
    keys: dict[str, object] = {"full_supply": 95.3} if draw(st.booleans()) else {}
    keys |= {"forcings": [draw(st.sampled_from(FORECASTS))]} if draw(st.booleans()) else {}
    dam = with_two_leads(synthetic.small_dam(target, *(GAUGES[name] for name in names), unit=unit, **keys))
    days = draw(st.integers(250, 400))
    frame = synthetic.daily(dam, days=600, seed=draw(st.integers(1, 99))).head(days)
    day, column = np.arange(days), dam.target_gauge.column
    level = frame[column].to_numpy().copy()
    for _ in range(draw(st.integers(0, 3))):
        first, last, size = draw(st.integers(5, days)), draw(st.integers(0, 3)), draw(st.sampled_from((-4.0, 0.5, 3.0)))
        level[(day >= first) & ((day <= first + last) | (last == 3))] += size
    hidden: dict[str, np.ndarray] = {gauge.column: np.zeros(days, bool) for gauge in dam.gauges}
    for _ in range(draw(st.integers(0, 3))):
        first, length = draw(st.integers(5, days)), draw(st.integers(1, 40))
        drivers = [gauge.column for gauge in dam.gauges if gauge.role != "target"]
        for name in draw(st.sampled_from(([column], drivers, [column, *drivers]))):
            hidden[name] |= (day >= first) & (day < first + length)
    frame = frame.with_columns(pl.Series(column, level, nan_to_null=True)).with_columns(
        pl.when(~pl.Series(mask)).then(pl.col(name)).alias(name) for name, mask in hidden.items()
    )
    issues = FORCINGS.empty()
    if dam.forcings:
        issues = synthetic.forcing_issues(dam, synthetic.random_rain(days), forcing="outlook", days=3, error=0.3)
    return World(dam, frame, issues, draw(st.integers(8, days - 1)))


def check_truncation(world: World) -> None:
    """Fail if anything up to the world's end differs from the hindcast over the record that ends there."""
    shorter = world.until(world.end)
    compare_until(
        world.end,
        run_uncached(shorter.frame, shorter.dam, shorter.issues),
        run_uncached(world.frame, world.dam, world.issues),
    )


@pytest.mark.slow
@given(world=worlds())
@settings(max_examples=8)
def test_any_record_that_ends_on_any_day_has_the_same_forecasts(world: World) -> None:
    check_truncation(world)


@pytest.mark.slow
@given(world=worlds())
@settings(max_examples=60)
def test_many_records_that_end_on_any_day_have_the_same_forecasts(world: World) -> None:
    check_truncation(world)


INFLOW_DAYS = 240


@cache
def inflow_world() -> tuple[World, HindcastResult]:
    """A lake with a gauged release and forecasts of its inflow, some of which are missing; its hindcast."""
    target = {"role": "target", "station": "lake", "variable": "storage", "unit": "ML"}
    gauges = (target, GAUGES["release"], GAUGES["inflow"])
    dam = with_two_leads(synthetic.small_dam(*gauges, unit="ML", forcings=[FORECASTS[1]]))
    frame = synthetic.daily(dam, days=600, seed=5).head(INFLOW_DAYS)
    truth = 5.0 + synthetic.random_rain(INFLOW_DAYS)
    issues = synthetic.forcing_issues(dam, truth, forcing="outlook", days=3, error=0.3)
    missing = init_time(synthetic.FIRST_DAY + timedelta(days=160), dam.time_zone)
    issues = issues.filter(~pl.col("issue_time").is_between(missing, missing + timedelta(days=4)))
    world = World(dam, frame, issues, INFLOW_DAYS - 1)
    return world, run_uncached(frame, dam, issues)


@pytest.mark.parametrize(("end", "has_forecast"), [(60, True), (162, False), (220, True)])
def test_a_live_forecast_from_an_inflow_forecast_is_its_later_hindcast_row(end: int, has_forecast: bool) -> None:
    """As known at the end of the day: later issues of the same forecast do not exist yet."""
    world, later = inflow_world()
    live = world.until(end)
    result = run_uncached(live.frame, live.dam, live.issues)
    compare_until(end, result, later)
    last = result.forecasts.filter(init_date=synthetic.FIRST_DAY + timedelta(days=end), quantile=0.5)
    last = last.filter(pl.col("lead_time") > 0).sort("lead_time")
    by_inflow, by_change = (last.filter(model=name)["change"].to_list() for name in ("inflow_ahead", "damped_change"))
    assert len(by_inflow) >= 2
    assert (by_inflow != by_change) == has_forecast, "the live forecast uses the issue of its day"


KABINI_DAYS = 900


@cache
def kabini() -> tuple[Dam, pl.DataFrame, HindcastResult]:
    """The dam, its daily table of 900 days and the hindcast over it, computed once."""
    dam = load_dam(str(PROJECT / "tests" / "dams" / "kabini.toml"))
    dam = dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"leads": LEADS})})
    frame = daily_from_files(dam)
    first = usable_values(frame, dam).filter(pl.col(dam.target.variable).is_not_null())["date"][0]
    frame = frame.filter(pl.col("date") >= first).head(KABINI_DAYS)
    return dam, frame, run_uncached(frame, dam)


@needs_shared
@pytest.mark.parametrize("end", [400, 777])
def test_a_real_record_that_ends_earlier_has_the_same_forecasts(end: int) -> None:
    dam, frame, longer = kabini()
    compare_until(end, run_uncached(frame.head(end + 1), dam), longer, first_day=frame["date"][0])


def test_the_length_of_the_record_decides_neither_the_first_day_nor_the_refits() -> None:
    dam = synthetic.small_dam(GAUGES["stream"]).model_copy(update={"hindcast": Hindcast(leads=(1,))})
    frame = synthetic.daily(dam, days=600)
    first_days = {
        run_uncached(frame.head(days), dam).forecasts["init_date"].min() for days in (60, 230, 400)
    }
    assert first_days == {synthetic.FIRST_DAY + timedelta(days=1)}
