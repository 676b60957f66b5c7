"""Flows against their own past: an absurd flow is flagged and not used, a flood with support is not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from forebay.features.samples import make_samples
from forebay.models import MODELS
from forebay.screen.flags import screen_daily
from forebay.screen.flows import USUAL_DAYS, flow_findings
from forebay.verify import hindcast
from forebay.verify.default import with_default
from tests.synthetic import FIRST_DAY, daily_frame, frame_from_changes, random_rain, small_dam

DAYS, DAY = 900, 800
RELEASE = {"role": "release", "station": "o", "variable": "release", "unit": "m3/s"}
INFLOW = {"role": "inflow", "station": "i", "variable": "inflow", "unit": "m3/s"}


def quiet_lake() -> np.ndarray:
    return 95 + np.cumsum(np.random.default_rng(3).normal(0, 0.01, DAYS))


def found(
    *changes: tuple[int, float], water: int | None = None, lake: np.ndarray | None = None
) -> list[tuple[int, int, int | None]]:
    """Day, day on which it is known and day of the withdrawal of each finding of a flow of about 400 m³/s.

    changes: (day, flow); water: a day with a source of water.
    """
    flow = np.random.default_rng(1).uniform(300, 500, DAYS)
    for day, value in changes:
        flow[day] = value
    wet = np.arange(DAYS) == (-1 if water is None else water)
    findings = flow_findings(flow, wet, quiet_lake() if lake is None else lake)
    return [(int(finding.days[0]), finding.known, finding.withdrawn) for finding in findings]


def test_an_absurd_flow_is_known_on_its_own_day() -> None:
    assert found() == []
    assert found((DAY, 1400.0)) == []
    assert found((DAY, 30_520.0)) == [(DAY, DAY, None)]
    assert found((DAY, -30_520.0)) == [(DAY, DAY, None)]
    assert found((200, 30_520.0)) == [], "in the first year there is no bound"


def test_an_absurd_flow_is_no_record() -> None:
    assert found((DAY, 30_520.0), (DAY + 20, 29_000.0)) == [(day, day, None) for day in (DAY, DAY + 20)]


@pytest.mark.parametrize(("flow", "water", "expected"), [
    (4_000.0, DAY, []),
    (4_000.0, DAY + 2, [(DAY, DAY, DAY + 2)]),
    (4_000.0, DAY + 4, [(DAY, DAY, None)]),
    (30_520.0, DAY, [(DAY, DAY, None)]),
])  # fmt: skip
def test_water_supports_a_large_flow_and_no_absurd_one(
    flow: float, water: int, expected: list[tuple[int, int, int | None]]
) -> None:
    assert found((DAY, flow), water=water) == expected


def test_a_flow_that_later_water_supports_is_a_record() -> None:
    supported = (DAY, DAY, DAY + 2)
    assert found((DAY, 4_000.0), (DAY + 20, 3_900.0), water=DAY + 2) == [supported]
    assert found((DAY, 4_000.0), (DAY + 20, 13_000.0), water=DAY + 2) == [supported, (DAY + 20, DAY + 20, None)]


@pytest.mark.parametrize("change", [3.0, -3.0])
def test_a_change_of_the_lake_supports_any_flow(change: float) -> None:
    for delay, expected in ((-1, []), (0, []), (2, [(DAY, DAY, DAY + 2)]), (5, [(DAY, DAY, None)])):
        lake = quiet_lake() + np.where(np.arange(DAYS) >= DAY + delay, change, 0.0)
        assert found((DAY, 30_520.0), lake=lake) == expected


def test_a_flow_that_stays_is_accepted() -> None:
    days = found(*((DAY + k, 5_000.0) for k in range(50)))
    assert days == [(DAY + k, DAY + k, DAY + USUAL_DAYS - 1) for k in range(USUAL_DAYS)]


def test_an_absurd_inflow_supports_no_rise_of_the_level() -> None:
    dam = small_dam(INFLOW)
    level = quiet_lake()
    level[DAY:] += 4.0
    inflow = np.random.default_rng(1).uniform(300, 500, DAYS)
    inflow[100], inflow[DAY - 15 : DAY + 15] = 1_200.0, 350.0
    level_column, inflow_column = (gauge.column for gauge in dam.gauges)
    for absurd, doubted in ((30_520.0, True), (1_200.0, False)):  # the second is a flood within its record
        inflow[DAY - 1] = absurd
        frame = daily_frame(dam, {level_column: level.tolist(), inflow_column: inflow.tolist()})
        flags = screen_daily(frame, dam)
        rise = flags.filter(pl.col("gauge") == level_column, pl.col("date") == frame["date"][DAY])
        assert (not rise.is_empty()) is doubted


def test_an_absurd_release_moves_no_forecast() -> None:
    dam = small_dam(RELEASE, {"role": "rainfall", "station": "r1", "variable": "rainfall", "unit": "mm"},
                    hindcast={"leads": (1, 3)})  # fmt: skip
    rain = random_rain(DAYS)
    release = 400 + 40 * np.random.default_rng(2).normal(size=DAYS)
    changes = 0.01 * np.append(0.0, rain[:-1]) - 0.0002 * release
    last = {}
    for name, value in (("usual", 400.0), ("absurd", 30_520.0)):
        release[-1] = value
        frame = frame_from_changes(dam, changes, {"rainfall_r1": rain, "release_o": release})
        samples = make_samples(frame, frame, dam)
        points = with_default(hindcast.point_forecasts(samples, dam, MODELS), samples)
        last[name] = [points["default"].changes[lead][-1] for lead in (1, 3)]
        assert samples.inputs["release_o"][-1] == (None if name == "absurd" else value)
    spread = np.std(np.diff(frame["reservoir_level"].to_numpy()))
    assert np.abs(np.subtract(last["absurd"], last["usual"])).max() < spread
    assert frame["date"][0] == FIRST_DAY
