"""Doubts about the level: supported crests, unsupported steps, and changes of the level."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.features.samples import Samples, make_samples
from forebay.screen.evidence import Evidence, evidence_for
from forebay.screen.flags import VALID_REASONS, daily_known_on, screen_daily
from forebay.tables import DEFAULT_MODEL, LEVEL_BREAK, QUANTILES
from forebay.verify.verification import verify_hindcast
from tests.synthetic import daily_frame, rain_gauge, small_dam

DAYS, CREST = 1100, 1000
LEVEL, RELEASE, INFLOW = "reservoir_level", "release_o", "inflow_i"
RELEASE_GAUGE = {"role": "release", "station": "o", "variable": "release", "unit": "ft3/s"}
INFLOW_GAUGE = {"role": "inflow", "station": "i", "variable": "inflow", "unit": "ft3/s"}
M3 = 0.3048**3
RISES, FALLS = (2.0, 5.0, 8.0, 16.0, 9.5), (-9.4, -9.5, -9.5, -4.0, -3.5, -3.0, -2.5)
"""Changes of the level (ft) on the days until the crest of a spillway crisis, and on the days after it."""


def crisis(*, release: float = 100_000.0, inflow: float = 200_000.0, until: int = DAYS) -> tuple[Dam, pl.DataFrame]:
    """A lake of 900 ft whose level rises to a crest on day `CREST` and falls, with its release and inflow (ft³/s)."""
    dam = small_dam(INFLOW_GAUGE, RELEASE_GAUGE, unit="ft", hindcast={"leads": (1, 3)})
    rng = np.random.default_rng(5)
    season = np.sin(2 * np.pi * np.arange(DAYS) / 365)
    changes = 0.3 * season + rng.normal(0, 0.15, DAYS)
    changes[CREST - len(RISES) + 1 : CREST + 1] = RISES
    changes[CREST + 1 : CREST + 1 + len(FALLS)] = FALLS
    flows = {INFLOW: 3000 + 2000 * season + rng.normal(0, 50, DAYS), RELEASE: 400 + rng.normal(0, 20, DAYS)}
    flows[INFLOW][CREST - len(RISES) : CREST] = inflow
    flows[RELEASE][CREST : CREST + 1 + len(FALLS)] = release
    columns = {name: (flow * M3).tolist() for name, flow in flows.items()}
    return dam, daily_frame(dam, columns | {LEVEL: (850 + np.cumsum(changes)).tolist()}).head(until)


def doubted_days(dam: Dam, frame: pl.DataFrame) -> list[int]:
    """Numbers of the days whose level was ever doubted, relative to the crest."""
    flags = screen_daily(frame, dam).filter(pl.col("gauge") == LEVEL, ~pl.col("reason").is_in(VALID_REASONS))
    return sorted((day - frame["date"][CREST]).days for day in flags["date"].unique())


@pytest.mark.parametrize("support", [{}, {"inflow": 3000.0}, {"release": 400.0}], ids=["both", "release", "inflow"])
def test_a_supported_crest_is_no_spike(support: dict[str, float]) -> None:
    dam, frame = crisis(**support)
    spikes = screen_daily(frame, dam).filter(pl.col("reason") == "spike")
    assert spikes.is_empty()
    if "inflow" not in support:
        assert doubted_days(dam, frame) == []


def test_a_crest_that_nothing_supports_is_a_spike() -> None:
    dam, frame = crisis(release=400.0, inflow=3000.0)
    assert 0 in doubted_days(dam, frame)


@pytest.mark.parametrize("days", [0, 1, 2])
def test_the_last_change_after_the_crest_is_that_of_the_newest_reading(days: int) -> None:
    dam, frame = crisis(until=CREST + days + 1)
    samples = make_samples(frame, frame, dam)
    assert samples.inputs["last_change"][-1] == pytest.approx((RISES[-1:] + FALLS)[days])
    assert samples.level_age[-1] == 0


def inflow_evidence(*flows: np.ndarray, latency_h: float = 0.0) -> Evidence:
    """Evidence for the level of a quiet lake with these inflows."""
    inflows = [
        {"role": "inflow", "station": f"i{n}", "variable": "inflow", "unit": "m3/s", "latency_h": latency_h * n}
        for n in range(len(flows))
    ]
    dam = small_dam(*inflows)
    values = {f"inflow_i{n}": flow for n, flow in enumerate(flows)} | {LEVEL: np.full(DAYS, 100.0)}
    return evidence_for(dam.target_gauge, dam, values)


USUAL_FLOW = np.where(np.arange(DAYS) % 8 == 0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("second", "latency_h", "contradicts"),
    [(1.0, 0.0, True), (9.0, 0.0, False), (np.nan, 0.0, False), (1.0, 30.0, False)],
)
def test_inflows_contradict_a_rise_if_all_are_low_and_known(
    second: float, latency_h: float, contradicts: bool
) -> None:
    other = USUAL_FLOW.copy()
    other[1001:1004] = second
    assert bool(inflow_evidence(USUAL_FLOW, other, latency_h=latency_h).low_inflow[1003]) is contradicts


def test_a_flood_supports_a_rise_for_ten_days() -> None:
    flow = USUAL_FLOW.copy()
    flow[CREST + 1] = 50.0
    water = inflow_evidence(flow).water
    assert np.flatnonzero(water[CREST - 100 :]).tolist() == list(range(101, 112))


def test_the_lake_is_no_evidence_for_its_own_storage() -> None:
    storage = {"role": "storage", "station": "s", "variable": "storage", "unit": "ML"}
    dam = small_dam(storage, rain_gauge())
    level = 95 + np.cumsum(np.random.default_rng(3).normal(0, 0.01, DAYS))
    level[CREST:] += 4.0
    rain = [0.2 * (day % 7 == 0) for day in range(DAYS)]
    frame = daily_frame(dam, {LEVEL: level.tolist(), "storage_s": (100 * level).tolist(), "rainfall_r1": rain})
    jumps = screen_daily(frame, dam).filter(date=frame["date"][CREST], reason="jump")
    assert jumps["gauge"].to_list() == [LEVEL, "storage_s"]


def step_samples(size: float, reason: str = "jump") -> tuple[Dam, pl.DataFrame, Samples]:
    """Samples whose last level is `size` above a quiet level (ft); the inflow is 95 ft³/s, as usual, without rain."""
    dam = small_dam(INFLOW_GAUGE, rain_gauge(), unit="ft", hindcast={"leads": (1, 3)})
    rng = np.random.default_rng(7)
    level = 300 + np.cumsum(rng.normal(0, 0.05, DAYS))
    level[-1] = level[-2] * 0.3048 if reason == "unit" else level[-1] + size
    inflow, rain = rng.normal(95, 15, DAYS), np.where(rng.random(DAYS) < 0.1, 8.0, 0.0)
    inflow[400:403], inflow[-2:], rain[-20:] = 2000.0, 95.0, 0.0
    inflow[-9] = 150.0  # a small flood a week ago
    frame = daily_frame(dam, {LEVEL: level.tolist(), INFLOW: (inflow * M3).tolist(), "rainfall_r1": rain.tolist()})
    return dam, frame, make_samples(frame, frame, dam)


def test_a_step_that_the_inflow_contradicts_is_doubted_and_not_forecast_on() -> None:
    dam, frame, samples = step_samples(10.0)
    _, _, quiet = step_samples(0.0)
    assert (samples.suspect_reason, quiet.suspect_reason) == ("jump", None)
    assert samples.start_level[-1] == frame[LEVEL][-2]
    assert abs(samples.inputs["last_change"][-1]) < 0.2
    forecasts = verify_hindcast(samples, dam, frame).forecasts.filter(model=DEFAULT_MODEL, quantile=0.5)
    issued = forecasts.filter(init_date=frame["date"][-1])["level"].to_numpy()
    assert np.abs(issued - frame[LEVEL][-2]).max() < 0.5


@pytest.mark.parametrize("reason", ["jump", "unit"])
def test_the_interval_includes_a_last_level_that_is_doubted_for_any_reason(reason: str) -> None:
    dam, frame, samples = step_samples(10.0, reason)
    assert samples.suspect_reason == reason
    forecasts = verify_hindcast(samples, dam, frame).forecasts.filter(model=DEFAULT_MODEL, init_date=frame["date"][-1])
    for lead in dam.hindcast.leads:
        levels = forecasts.filter(lead_time=lead).sort("quantile")["level"].to_numpy()
        assert len(levels) == len(QUANTILES) and (np.diff(levels) >= 0).all()
        assert levels[0] - 1e-9 <= frame[LEVEL][-1] <= levels[-1] + 1e-9


@pytest.mark.parametrize("days", [1, 2])
def test_no_change_of_the_level_crosses_a_doubted_day(days: int) -> None:
    """A spike of two days, known on the third: the change resumes between the two newest accepted readings."""
    dam = small_dam()
    level = 95 + np.cumsum(np.random.default_rng(3).normal(0, 0.01, 800))
    level[700:702] += 4.0
    level[702:] -= 0.08  # not seen in the mean over the spike
    frame = daily_frame(dam, {LEVEL: level.tolist()}).head(702 + days)
    samples = make_samples(frame, frame, dam)
    before = level[699] - level[698]
    if days == 1:
        assert samples.inputs["last_change"][-1] == pytest.approx(0.9**3 * before)
    else:
        assert samples.inputs["last_change"][-1] == pytest.approx(level[703] - level[702])
        assert samples.inputs["change_lag1"][-1] is None
    known = daily_known_on(frame, screen_daily(frame, dam), frame["date"][-1], dam)
    first = frame["date"][700]
    assert known.filter(LEVEL_BREAK)["date"].to_list() == [first + timedelta(days=k) for k in range(3)]


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("size", [3.5, 5.0, 9.0])
def test_the_level_is_not_doubted_when_it_is_back_where_it_was(size: float, length: int) -> None:
    """No gauge can say whether the rise was water: whatever it was, the readings before and after it agree."""
    dam = small_dam(hindcast={"leads": (1,)})
    changes = np.random.default_rng(3).normal(0, 0.05, DAYS)
    level = 100 + np.cumsum(changes)
    high = size * float(np.quantile(-changes[changes < 0], 0.99))
    level[CREST - length + 1 : CREST + 1] += high
    frame = daily_frame(dam, {LEVEL: level.tolist()})
    assert [day for day in doubted_days(dam, frame) if day > 0] == []
    for days in (1, 2, 5):
        until = frame.head(CREST + days + 1)
        samples = make_samples(until, until, dam)
        assert samples.level_age[-1] == 0
        assert samples.start_level[-1] == pytest.approx(level[CREST + days])
