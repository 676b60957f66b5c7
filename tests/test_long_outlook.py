"""Traces of long outlooks against known inflows, direct counts and the rule that nothing later has an effect."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from forebay.dams.dam import Dam
from forebay.errors import ConfigError, DataError
from forebay.features.volumes import Volumes
from forebay.features.water_balance import MAX_GAP_DAYS, balance_until
from forebay.forecasts.long_notes import long_notes
from forebay.forecasts.long_text import parse_demand, parse_threshold
from forebay.jobs.long_outlook import LongOutlookResult, Question, long_outlook_of, parse_question
from forebay.metrics import plotting_quantiles
from forebay.verify.long_hindcast import (
    EVENTS,
    Demand,
    LongForecast,
    LongHindcast,
    StorageThreshold,
    long_forecast,
    long_hindcast,
    thresholds_of,
)
from forebay.verify.long_hindcast import MONTHS as MONTHS_SCHEMA
from forebay.verify.long_scores import long_event_scores, long_scores
from forebay.verify.long_tables import (
    LONG_BALANCE,
    LONG_EVENT_SCORES,
    LONG_OUTLOOK,
    LONG_PROBABILITIES,
    LONG_SCORES,
    LONG_TRACES,
    MIN_YEARS,
)
from forebay.verify.traces import (
    MIN_TRACES,
    RETURN_DAYS,
    Limits,
    PastWindows,
    month_ends,
    return_rate,
    route,
    same_day,
)
from tests import synthetic
from tests.long_outlook_dams import (
    FULL,
    LEVELS,
    LOWEST,
    ML_PER_M3S,
    RELEASE_DAM,
    STAGE_1,
    STORAGE_DAM,
    TARGET,
    YEARS,
    frame_of,
    record_of,
    tables_of,
    truth,
)

MONTHS = 6
INIT = date(2031, 2, 1)
"""Init date of most tests: with months after it, and with 13 past years."""
END = (INIT - synthetic.FIRST_DAY).days


@cache
def outlook_of(
    dam: Dam, *, end: int = END, months: int = MONTHS, demand: str | None = None, past_demand: str | None = None,
    thresholds: tuple[str, ...] = (),
) -> LongOutlookResult:  # fmt: skip
    """The long outlook of a day of the known record."""
    question = parse_question(dam, Question(months, demand, past_demand, thresholds))
    return long_outlook_of(dam, tables_of(frame_of(dam, truth().storage, truth().release).head(end + 1)), question)


def outlook_from(dam: Dam, storage: np.ndarray) -> LongOutlookResult:
    """The long outlook of `INIT` from another series of the target."""
    frame = frame_of(dam, storage).head(END + 1)
    return long_outlook_of(dam, tables_of(frame), parse_question(dam, Question(MONTHS)))


def test_month_ends_begin_with_the_month_of_the_next_day() -> None:
    assert month_ends(date(2023, 1, 30), 2) == [date(2023, 1, 31), date(2023, 2, 28)]
    assert month_ends(date(2023, 1, 31), 1) == [date(2023, 2, 28)]
    assert month_ends(date(2023, 10, 1), 4)[-1] == date(2024, 1, 31)
    assert same_day(date(2024, 2, 29), 2023) == date(2023, 2, 28)


def test_a_trace_is_the_true_inflow_of_its_year_under_the_demand() -> None:
    """The inflow that made the record returns, day by day, in a loop of its own."""
    known = truth()
    result = outlook_of(RELEASE_DAM, demand="0.9 m3/s")
    forecast = result.outlook.forecast
    assert forecast.windows.years == tuple(range(2018, 2031))
    assert result.outlook.balance["days_full"].sum() > 0, "the record has years that spill"
    for year, net in zip(forecast.windows.years, forecast.windows.net, strict=True):
        start = (same_day(INIT, year) - synthetic.FIRST_DAY).days
        inflow = known.inflow[start + 1 : start + 1 + forecast.leads[-1]]
        assert net == pytest.approx(ML_PER_M3S * inflow, abs=1e-6)
        storage = known.storage[END]
        for day, value in enumerate(inflow):
            storage = min(FULL, max(LOWEST, storage + ML_PER_M3S * (value - 0.9)))
            row = forecast.traces.storage[forecast.windows.years.index(year), day + 1]
            assert row == pytest.approx(storage, abs=1e-6)


def test_a_steady_lake_falls_by_what_is_demanded_beyond_its_inflow() -> None:
    days = 8 * 365
    ripple = 5 * np.sin(np.arange(days))  # a gauge that never moves would be flagged
    frame = frame_of(RELEASE_DAM, 6_000 + ripple, 2.0 + 0.01 * ripple)
    question = parse_question(RELEASE_DAM, Question(3, "4 m3/s"))
    outlook = long_outlook_of(RELEASE_DAM, tables_of(frame), question).outlook
    for end, rows in outlook.months.group_by("valid_date"):
        lead = (end[0] - outlook.forecast.init_date).days
        expected = max(LOWEST, outlook.forecast.start - 2 * ML_PER_M3S * lead)
        assert rows["storage"].to_numpy() == pytest.approx(expected, abs=30)
    assert (outlook.balance["shortfall"] > 0).all(), "the demand empties the lake within three months"


@pytest.mark.parametrize("demand", [None, "0.02 m3/s", "0.5,0.5,0.6,0.7,1,1.2,2,2,1,0.8,0.6,0.5 m3/s", "4 m3/s"])
def test_no_water_is_lost(demand: str | None) -> None:
    outlook = outlook_of(RELEASE_DAM, demand=demand).outlook
    LONG_TRACES.check(outlook.traces, unique=True)
    LONG_BALANCE.check(outlook.balance, unique=True)
    start = pl.col("storage").shift(1).over("year").fill_null(outlook.forecast.start)
    flows = pl.col("net_inflow") - pl.col("outflow") - pl.col("spill") + pl.col("shortfall")
    error = outlook.traces.select(pl.col("storage") - start - flows).to_series()
    assert error.abs().max() < 1e-8
    total = outlook.balance.select(pl.col("start") + flows - pl.col("end")).to_series()
    assert total.abs().max() < 1e-6
    if demand is None:
        assert outlook.traces["storage"].is_between(LOWEST, FULL).all()
    elif demand == "0.02 m3/s":
        assert outlook.balance["spill"].min() > 0
    elif demand == "4 m3/s":
        assert outlook.balance["shortfall"].min() > 0


@given(
    net=st.lists(st.lists(st.floats(-500, 500), min_size=6, max_size=6), min_size=1, max_size=4),
    start=st.floats(0, 1500),
    demand=st.lists(st.floats(0, 300), min_size=6, max_size=6),
    rate=st.sampled_from([0.0, 1 / 30]),
)
def test_storage_stays_within_its_limits_and_no_water_is_lost(
    net: list[list[float]], start: float, demand: list[float], rate: float
) -> None:
    flows = np.array(net)
    full = np.array([1000.0, 1000, 900, 800, 900, 1000])
    windows = windows_of(flows, np.full((len(flows), 7), 600.0))
    traces = route(start, windows, np.array(demand), Limits(full, 0.0, full), rate=rate)
    assert (traces.storage[:, 1:] <= full).all() and (traces.storage[:, 1:] >= 0).all()
    assert (traces.spill >= 0).all() and (traces.shortfall >= 0).all()
    balance = np.diff(traces.storage, axis=1) - (flows - traces.outflow - traces.spill + traces.shortfall)
    assert np.abs(balance).max() < 1e-9
    assert not ((traces.spill > 0) & (traces.storage[:, 1:] < full)).any(), "only a full lake spills"


def windows_of(net: np.ndarray, storage: np.ndarray) -> PastWindows:
    count = np.zeros(len(net), int)
    return PastWindows(tuple(range(2000, 2000 + len(net))), count, net, storage, count, count, {})


def test_a_larger_demand_never_gives_more_water() -> None:
    storages = [outlook_of(RELEASE_DAM, demand=f"{flow} m3/s").outlook.traces["storage"] for flow in (0.5, 0.8, 1.5)]
    assert (storages[0] >= storages[1]).all() and (storages[1] >= storages[2]).all()


def test_a_stated_past_demand_adds_to_the_change_of_storage() -> None:
    """Without a release gauge, demand = past demand returns the balance as observed."""
    known = truth()
    outlook = outlook_of(STORAGE_DAM, demand="2 m3/s", past_demand="1,1,1,1,1,2,2,2,1,1,1,1 m3/s").outlook
    change = np.diff(known.storage)
    row = outlook.traces.filter(pl.col("year") == 2020)
    first = (same_day(INIT, 2020) - synthetic.FIRST_DAY).days
    days = [same_day(INIT, 2020) + timedelta(days=k + 1) for k in range(len(row))]
    past = [2.0 if day.month in (6, 7, 8) else 1.0 for day in days]
    assert row["net_inflow"].to_numpy() == pytest.approx(
        change[first : first + len(row)] + ML_PER_M3S * np.array(past), abs=1e-6
    )
    assert row["outflow"].unique().to_list() == pytest.approx([2 * ML_PER_M3S])


def test_a_flood_pool_of_the_past_does_not_lower_a_trace() -> None:
    """A flood that rises above full supply and is released again leaves a full lake full."""
    storage = np.full(8 * 365, FULL) + 3 * np.sin(np.arange(8 * 365)) - 4
    for year in range(7):
        storage[365 * year + 200 : 365 * year + 220] += np.r_[np.arange(10), np.arange(10, 0, -1)] * 100.0
    frame = frame_of(STORAGE_DAM, storage)
    _, record = record_of(STORAGE_DAM, frame)
    forecast = long_forecast(record, STORAGE_DAM, len(storage) - 1, 12)
    assert (forecast.traces.storage > FULL - 20).all()
    assert (forecast.windows.days_full[:-1] > 10).all()


def test_todays_storage_returns_to_that_of_the_past_years_at_the_rate_that_they_show() -> None:
    days = np.arange(121)
    starts = np.array([100.0, 300, 450, 600, 900])
    course = 500 + 50 * np.sin(days / 20)
    limits = Limits(np.full(120, np.inf), 0.0, np.full(120, np.nan))
    for typical in (60.0, 180.0, np.inf):
        storage = course + (1 - 1 / typical) ** days * (starts[:, None] - 500)
        windows = windows_of(np.diff(storage, axis=1), storage)
        rate = return_rate(windows, [30, 60, 90, 120], limits)
        assert rate == 1 / typical and typical in RETURN_DAYS
        traces = route(700.0, windows, np.zeros(120), limits, rate=rate)
        assert traces.storage == pytest.approx(np.tile(course + (1 - rate) ** days * 200, (5, 1)))


def test_only_years_that_are_complete_by_the_init_date_count() -> None:
    frame = frame_of(STORAGE_DAM, truth().storage)
    _, record = record_of(STORAGE_DAM, frame)
    for init, last in ((date(2026, 3, 31), 2025), (date(2027, 3, 31), 2025), (date(2026, 9, 2), 2025)):
        day = (init - synthetic.FIRST_DAY).days
        forecast = long_forecast(record, STORAGE_DAM, day, 12)
        assert forecast.windows.years == tuple(range(2018, last + 1))
        ends = [same_day(init, year) + timedelta(days=forecast.leads[-1]) for year in (last, last + 1)]
        assert ends[0] <= init < ends[1], "366 days from 31 March 2026 end after 31 March 2027"


def same_traces(one: LongForecast, other: LongForecast) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.traces, other.traces, strict=True)) and one.rate == other.rate


@pytest.mark.parametrize("dam", [STORAGE_DAM, RELEASE_DAM], ids=["net change", "with releases"])
def test_what_comes_later_changes_nothing(dam: Dam) -> None:
    """Other levels and releases after the init date, or none at all, leave every trace as it is."""
    known = truth()
    demand = Demand((0.8,) * 12) if dam is RELEASE_DAM else None
    release, storage = known.release.copy(), known.storage.copy()
    storage[END - 3 : END] = np.nan  # a gap that the init date ends
    later = slice(END + 1, None)
    other_storage, other_release = storage.copy(), release.copy()
    other_storage[later] = 0.7 * storage[later] + 300
    other_release[later] = 9.0
    frames = (frame_of(dam, storage, release), frame_of(dam, other_storage, other_release))
    forecasts = [long_forecast(record_of(dam, frame)[1], dam, END, MONTHS, demand) for frame in frames]
    cut = long_forecast(record_of(dam, frames[0].head(END + 1))[1], dam, END, MONTHS, demand)
    assert same_traces(forecasts[0], forecasts[1]) and same_traces(forecasts[0], cut)


def test_a_gap_that_ends_after_the_init_date_is_not_bridged() -> None:
    storage = truth().storage.copy()
    day = (date(2026, 6, 1) - synthetic.FIRST_DAY).days
    storage[day - 2 : day + 2] = np.nan
    _, record = record_of(STORAGE_DAM, frame_of(STORAGE_DAM, storage))
    balance = balance_until(record, day, None, with_surcharge=False)
    assert np.isnan(balance.net[-3:]).all() and not balance.is_bridged[-3:].any()
    assert balance_until(record, day + 10, None, with_surcharge=False).is_bridged[day - 2 : day + 2].all()


def test_the_live_outlook_is_the_hindcast_of_a_longer_record() -> None:
    known = truth()
    frame = frame_of(STORAGE_DAM, known.storage)
    samples, record = record_of(STORAGE_DAM, frame)
    thresholds = thresholds_of(STORAGE_DAM)
    events = long_hindcast(record, samples, STORAGE_DAM, MONTHS, thresholds).events
    live = outlook_of(STORAGE_DAM).outlook.probabilities.filter(~pl.col("is_beyond"))
    keys = ["threshold", "direction", "kind", "month"]
    row = events.filter(pl.col("init_date") == synthetic.FIRST_DAY + timedelta(days=END))
    assert len(row) == len(live) > 0
    assert_frame_equal(row.sort(keys).select(*keys, "probability"), live.sort(keys).select(*keys, "probability"))


def test_past_outlooks_do_not_change_when_the_record_grows() -> None:
    known = truth()
    tables = []
    for end in (END, END + 150):
        samples, record = record_of(STORAGE_DAM, frame_of(STORAGE_DAM, known.storage).head(end + 1))
        tables.append(long_hindcast(record, samples, STORAGE_DAM, MONTHS, thresholds_of(STORAGE_DAM)).months)
    assert len(tables[0]) > 400
    keys = ["init_date", "month"]
    assert_frame_equal(tables[0], tables[1].join(tables[0], on=keys, how="semi"))


@pytest.mark.parametrize(("length", "left_out"), [(MAX_GAP_DAYS, False), (MAX_GAP_DAYS + 1, True)])
def test_a_year_with_a_long_gap_is_left_out_and_counted(length: int, left_out: bool) -> None:
    known = truth()
    storage, first = known.storage.copy(), (date(2022, 5, 10) - synthetic.FIRST_DAY).days
    storage[first : first + length] = np.nan
    result = outlook_from(STORAGE_DAM, storage)
    windows = result.outlook.forecast.windows
    assert windows.left_out == ({2022: length + 1} if left_out else {})
    assert (2022 in windows.years) is not left_out
    sentence = next(note for note in result.notes if "gaps of" in note)
    if left_out:
        assert "1 of 13 years, 2022 (9 days)" in sentence
        return
    assert sentence.startswith("Days without a value: 7, in 1 of 13 traces. ")
    whole = outlook_of(STORAGE_DAM).outlook.balance.filter(pl.col("year") == 2022)["net_inflow"][0]
    row = result.outlook.balance.filter(pl.col("year") == 2022).row(0, named=True)
    assert row["days_bridged"] == length and row["net_inflow"] == pytest.approx(whole)


def test_chances_are_direct_counts_of_traces() -> None:
    outlook = outlook_of(STORAGE_DAM, thresholds=("40%", "7 GL")).outlook
    table = LONG_PROBABILITIES.check(outlook.probabilities, unique=True)
    assert set(table["threshold"]) == {"full_supply", "Stage 1", "40% full", "7 GL"}
    sides = {name: set(rows["direction"]) for (name,), rows in table.group_by("threshold")}
    assert sides == dict.fromkeys(sides, {"above", "below"}) | {"full_supply": {"above"}}
    level = {"full_supply": FULL, "Stage 1": STAGE_1, "40% full": 0.4 * FULL, "7 GL": 7000.0}
    traces = [rows.sort("valid_date") for _, rows in outlook.traces.group_by("year")]
    for row in table.iter_rows(named=True):
        count, limit = 0, level[row["threshold"]]
        for trace in traces:
            days = trace.filter(pl.col("valid_date") <= row["valid_date"])["storage"].to_list()
            days = days[-1:] if row["kind"] == "on" else days
            count += any(s >= limit if row["direction"] == "above" else s <= limit for s in days)
        assert (row["traces"], row["all_traces"]) == (count, len(traces))
        assert row["threshold_storage"] == limit and row["probability"] == count / len(traces)
    assert table.filter(pl.col("traces").is_between(1, 12)).height and table["probability"].n_unique() > 3


def test_quantiles_of_a_month_are_those_of_the_traces_on_its_last_day() -> None:
    outlook = outlook_of(STORAGE_DAM).outlook
    table = LONG_OUTLOOK.check(outlook.months, unique=True)
    for end, rows in table.group_by("valid_date"):
        storage = outlook.traces.filter(pl.col("valid_date") == end[0])["storage"].to_numpy()
        assert rows["storage"].to_numpy() == pytest.approx(plotting_quantiles(storage, rows["quantile"].to_numpy()))
        assert rows["storage_percent"].to_numpy() == pytest.approx(rows["storage"].to_numpy() / FULL * 100)
        assert rows["level"].null_count() == len(rows), "there is no storage curve"


def test_a_further_year_lies_below_a_quantile_with_its_probability() -> None:
    """Of values of one distribution, the share below the 10 and the 90% quantile of 13 others is 10 and 90%."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=(4000, 14))
    ends = np.array([plotting_quantiles(row[:13], (0.1, 0.9)) for row in values])
    assert (values[:, 13, None] < ends).mean(axis=0) == pytest.approx([0.1, 0.9], abs=0.015)


def crps_by_definition(members: np.ndarray, truth: float) -> float:
    spread = np.abs(members[:, None] - members[None]).mean()
    return float(np.abs(members - truth).mean() - spread / 2)


def test_scores_are_those_of_a_count_by_hand() -> None:
    known = truth()
    frame = frame_of(STORAGE_DAM, known.storage)
    samples, record = record_of(STORAGE_DAM, frame)
    hindcast = long_hindcast(record, samples, STORAGE_DAM, 2, thresholds_of(STORAGE_DAM))
    scores = LONG_SCORES.check(long_scores(hindcast, "small"), unique=True)
    own, climatology, persistence, brier, brier_climatology, happened, inside = ([] for _ in range(7))
    event_years = set()
    for day in range(len(record.dates)):
        init: date = record.dates[day].astype(object)
        forecast = long_forecast(record, STORAGE_DAM, day, 2) if init.day == 1 else None
        if forecast is None or len(forecast.windows.years) < MIN_TRACES or day + forecast.leads[1] >= len(record.dates):
            continue
        lead = forecast.leads[1]
        past = np.array([known.storage[(date(year, init.month, 1) - synthetic.FIRST_DAY).days + lead]
                         for year in forecast.windows.years])  # fmt: skip
        truth_then = known.storage[day + lead]
        own.append(crps_by_definition(forecast.traces.storage[:, lead], truth_then))
        climatology.append(crps_by_definition(past, truth_then))
        persistence.append(abs(known.storage[day] - truth_then))
        low, high = plotting_quantiles(forecast.traces.storage[:, lead], (0.1, 0.9))
        inside.append(low <= truth_then <= high)
        if known.storage[day] > STAGE_1:
            happened.append(float((known.storage[day + 1 : day + lead + 1] <= STAGE_1).any()))
            event_years |= {init.year} if happened[-1] else set()
            brier.append((forecast.traces.storage[:, 1:] <= STAGE_1).any(axis=1).mean() - happened[-1])
            windows = (
                known.storage[(date(year, init.month, 1) - synthetic.FIRST_DAY).days :][1 : lead + 1]
                for year in forecast.windows.years
            )
            brier_climatology.append(np.mean([(w <= STAGE_1).any() for w in windows]) - happened[-1])
    row = scores.row(1, named=True)
    assert (row["month"], row["n"], row["years"]) == (2, len(own), YEARS - 5)
    assert row["crps"] == pytest.approx(np.mean(own))
    assert row["crps_climatology"] == pytest.approx(np.mean(climatology))
    assert row["crps_persistence"] == pytest.approx(np.mean(persistence))
    assert row["coverage_80"] == pytest.approx(np.mean(inside)) and 0.5 < row["coverage_80"] < 1
    assert hindcast.months.filter(pl.col("month") == 2)["inside_80"].to_list() == inside
    events = LONG_EVENT_SCORES.check(long_event_scores(hindcast, "small"), unique=True).filter(
        pl.col("threshold") == "Stage 1", pl.col("direction") == "below", pl.col("kind") == "by", pl.col("month") == 2
    )  # fmt: skip
    event = events.row(0, named=True)
    assert event["frequency"] == pytest.approx(np.mean(happened)) and 0 < event["frequency"] < 1
    assert event["brier"] == pytest.approx(np.mean(np.square(brier)))
    assert event["brier_climatology"] == pytest.approx(np.mean(np.square(brier_climatology)))
    assert event["brier_persistence"] == pytest.approx(np.mean(happened))
    assert event["event_years"] == len(event_years) < event["years"]


def test_skill_needs_ten_independent_years() -> None:
    """A month before the tenth year of past outlooks there is no skill, and the sentence names the number of years."""
    last = (date(2031, 12, 30) - synthetic.FIRST_DAY).days
    short = outlook_of(STORAGE_DAM, months=1, end=last)
    assert short.scores["years"].to_list() == [MIN_YEARS - 1] and short.scores["skill"].null_count() == 1
    assert "No skill is claimed: past outlooks are from 9 years, at least 10 are needed." in short.notes
    long = truth(YEARS + 2)
    frame = frame_of(STORAGE_DAM, long.storage)
    result = long_outlook_of(STORAGE_DAM, tables_of(frame), parse_question(STORAGE_DAM, Question(1)))
    row = result.scores.row(0, named=True)
    assert row["years"] >= MIN_YEARS
    assert row["skill"] == pytest.approx(1 - row["crps"] / row["crps_climatology"])
    assert row["low"] <= row["skill"] <= row["high"]


def test_a_curve_gives_levels_of_the_same_traces() -> None:
    """Level and storage dam with the same water: equal storages, and the level lies on the curve."""
    curve = {"level_unit": "m", "storage_unit": "ML", "points": [(0.0, 0.0), (10.0, 2_000.0), (30.0, 12_000.0)]}
    dam = synthetic.small_dam(
        full_supply=26.0, lowest_level=2.5, storage_curves=[curve], thresholds=[{"name": "Stage 1", "level": 16.0}]
    )
    volumes = Volumes(dam)
    assert volumes.storage(np.array([26.0, 2.5, 16.0]), date(2020, 1, 1)).tolist() == [FULL, LOWEST, STAGE_1]
    levels = volumes.level(truth().storage, date(2020, 1, 1))
    by_level, by_storage = outlook_from(dam, levels).outlook, outlook_of(STORAGE_DAM).outlook
    assert by_level.months["storage"].to_numpy() == pytest.approx(by_storage.months["storage"].to_numpy())
    assert by_level.probabilities["traces"].to_list() == by_storage.probabilities["traces"].to_list()
    storage = np.interp(by_level.months["level"].to_numpy(), *np.array(curve["points"]).T)
    assert storage == pytest.approx(by_level.months["storage"].to_numpy())


def test_no_dam_without_a_volume_or_a_balance_has_an_outlook() -> None:
    no_curve = synthetic.small_dam()
    with pytest.raises(DataError, match="has no storage curve, so the volume of its level is unknown"):
        parse_question(no_curve, Question(6))
    share = {"role": "target", "station": "lake", "variable": "storage_percent", "unit": "%"}
    percent = synthetic.small_dam(share, unit="%")
    with pytest.raises(DataError, match="the target is a percentage"):
        parse_question(percent, Question(6))
    with pytest.raises(ConfigError, match="has no release gauge, so the past inflow cannot be separated"):
        parse_question(STORAGE_DAM, Question(6, "1 m3/s"))
    with pytest.raises(ConfigError, match="--past-demand needs --demand"):
        parse_question(STORAGE_DAM, Question(6, past_demand="1 m3/s"))
    with pytest.raises(ConfigError, match="--months 13 must be 1 to 12"):
        parse_question(STORAGE_DAM, Question(13))
    with pytest.raises(DataError, match="on each of the 182 days, but before 2022-06-01 there are 4; ask for"):
        outlook_of(STORAGE_DAM, end=(date(2022, 6, 1) - synthetic.FIRST_DAY).days)
    assert parse_question(RELEASE_DAM, Question(6, "1 m3/s")).demand == Demand((1.0,) * 12)


@pytest.mark.parametrize(
    ("text", "flows"),
    [("86.4 ML/d", [1.0] * 12), ("1,2,3,4,5,6,7,8,9,10,11,12 m3/s", list(range(1, 13)))],
)
def test_a_demand_is_one_flow_or_one_of_each_month(text: str, flows: list[float]) -> None:
    assert list(parse_demand("--demand", text)) == pytest.approx(flows)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a lot", "must be one flow such as"),
        ("1,2,3 m3/s", "must be one flow such as"),
        ("12", "has no unit; end it with one of m3/s"),
        ("-1 m3/s", "--demand: -1 m3/s must be 0 to 400,000 m3/s"),
        ("12 GL", "unit 'GL' is not one of release's units"),
    ],
)
def test_a_bad_demand_gets_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_demand("--demand", text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("full", "must be a share of full supply such as 40%, or a level or a storage with its unit"),
        ("120%", "must be above 0% and below 100%"),
        ("100%", "must be above 0% and below 100%"),
        ("0%", "must be above 0% and below 100%"),
        ("3 m", "unit 'm' is not one of %, ML"),
        ("3 m%", "must be a share of full supply"),
    ],
)
def test_a_bad_threshold_gets_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_threshold(text, STORAGE_DAM, Volumes(STORAGE_DAM))


def test_the_answer_says_what_it_assumes() -> None:
    notes = " ".join(outlook_of(STORAGE_DAM).notes)
    assert "one trace is a probability of 1/13, 7.7%" in notes
    assert "each trace assumes the releases, withdrawals and rules of its year" in notes
    assert "these traces understate the inflow" in notes and "Evaporation and seepage" in notes
    stated = " ".join(outlook_of(RELEASE_DAM, demand="2 m3/s").notes)
    assert "The traces release the stated demand, 172.8 ML a day, in place of the past outflow" in stated
    assert "Past levels cannot verify a stated demand" in stated
    assert "A stated demand does not react to the inflow, as operation does" in stated
    assert "understated if the release gauges do not measure the spill" in stated


def test_a_threshold_that_no_trace_can_reach_is_left_out_by_name() -> None:
    """The traces are storage between the lowest one and full supply: a chance of 0 beyond them would mislead."""
    names = {"Road under water": FULL + 1, "Outlet dry": LOWEST - 1}
    thresholds = [{"name": name, "level": level} for name, level in names.items()]
    result = outlook_of(synthetic.small_dam(TARGET, unit="ML", **(LEVELS | {"thresholds": thresholds})))
    assert result.outlook.probabilities["threshold"].unique().to_list() == ["full_supply"]
    assert result.outlook.left_out == tuple(names) and result.notes[-2].endswith(": Road under water, Outlet dry.")
    assert set(result.event_scores["threshold"]) == {"full_supply"}


def test_without_full_supply_nothing_limits_the_traces_and_nothing_is_percent() -> None:
    dated = {"dated": [{"from": "2031-03-01", "value": FULL}]}
    for keys in ({"full_supply": dated}, {}):
        dam = synthetic.small_dam(TARGET, unit="ML", **keys)
        result = outlook_from(dam, truth().storage)
        outlook = result.outlook
        assert outlook.probabilities.is_empty() and outlook.months["storage_percent"].is_null().all()
        assert outlook.balance["spill"].sum() == 0 and outlook.traces["storage"].is_finite().all()
        assert "Full supply is unknown, so that nothing limits the traces upwards" in " ".join(result.notes)


def test_a_new_survey_is_no_change_of_the_storage() -> None:
    """From the first day of the second curve on, the same level has less storage: no water has left the lake."""
    survey = date(2024, 4, 1)
    points = [[(0.0, 0.0), (40.0, 16_000.0)], [(0.0, 0.0), (40.0, 12_000.0)]]
    curve = {"level_unit": "m", "storage_unit": "ML"}
    curves = [curve | {"points": points[0]}, curve | {"points": points[1], "valid_from": survey}]
    dam = synthetic.small_dam(storage_curves=curves, full_supply=30.0)
    level = 20 + 3 * np.sin(np.arange(14 * 365) / 58)
    record = record_of(dam, frame_of(dam, level))[1]
    day = record.position(survey)
    balance = balance_until(record, len(level) - 1, None, with_surcharge=False)
    change = np.diff(level)
    assert balance.net[1:day] == pytest.approx(400 * change[: day - 1])
    assert balance.net[day:] == pytest.approx(300 * change[day - 1 :])
    assert balance.storage == pytest.approx(300 * level), "today's curve gives the storage to compare with"
    forecast = long_forecast(record, dam, len(level) - 1, 6)
    assert 2024 in forecast.windows.years and np.abs(np.diff(forecast.traces.storage, axis=1)).max() < 50


def test_a_level_beyond_the_curve_has_no_outlook() -> None:
    curve = {"level_unit": "m", "storage_unit": "ML", "points": [(0.0, 0.0), (20.0, 8_000.0)]}
    dam = synthetic.small_dam(storage_curves=[curve])
    level = 15 + 6 * np.sin(np.arange(14 * 365) / 58)
    day = int(np.argmax(level[4000:])) + 4000
    question = parse_question(dam, Question(3))
    with pytest.raises(DataError, match=r"the storage of \d{4}-\d\d-\d\d is unknown"):
        long_outlook_of(dam, tables_of(frame_of(dam, level).head(day + 1)), question)


def test_days_at_full_supply_are_counted_in_each_year() -> None:
    windows = outlook_of(STORAGE_DAM).outlook.forecast.windows
    for year, count in zip(windows.years, windows.days_full.tolist(), strict=True):
        first = (same_day(INIT, year) - synthetic.FIRST_DAY).days + 1
        assert count == (truth().storage[first : first + windows.net.shape[1]] >= FULL).sum()
    assert 0 < windows.days_full.max() < windows.net.shape[1]


def test_a_year_before_the_record_is_neither_a_trace_nor_left_out() -> None:
    """The record begins on 1 March 2018, the init date is 1 February: the first February is that of 2019."""
    cut = (date(2018, 3, 1) - synthetic.FIRST_DAY).days
    frame = frame_of(STORAGE_DAM, truth().storage).slice(cut, END + 1 - cut)
    windows = long_outlook_of(
        STORAGE_DAM, tables_of(frame), parse_question(STORAGE_DAM, Question(MONTHS))
    ).outlook.forecast.windows
    assert windows.years == tuple(range(2019, 2031)) and windows.left_out == {}


def test_a_release_gauge_does_not_change_an_outlook_as_operated() -> None:
    """Without a demand the release is not in the balance, so storage above full supply counts as full."""
    storage = truth().storage.copy()
    storage[storage >= FULL] += 50 * np.arange(int((storage >= FULL).sum())) % 900
    record = record_of(RELEASE_DAM, frame_of(RELEASE_DAM, storage, truth().release))[1]
    assert record.outflow is not None and np.nanmax(record.storages) > FULL + 200
    with_gauge, without = (
        long_forecast(one, RELEASE_DAM, END, MONTHS) for one in (record, replace(record, outflow=None))
    )
    assert len(with_gauge.windows.years) > MIN_TRACES
    assert with_gauge.windows.net.tolist() == without.windows.net.tolist()
    assert with_gauge.traces.storage.tolist() == without.traces.storage.tolist()


def test_a_rule_curve_of_full_supply_is_that_of_the_coming_days() -> None:
    rule = {"rule_curve": [{"day": "01-01", "value": FULL}, {"day": "07-01", "value": 8000.0}]}
    outlook = outlook_of(synthetic.small_dam(TARGET, unit="ML", full_supply=rule)).outlook
    forecast = outlook.forecast
    days = np.array([(INIT + timedelta(days=k + 1)).timetuple().tm_yday for k in range(forecast.leads[-1])])
    of_leap_year = days + (days > 59)
    expected = np.interp(of_leap_year, [1, 183, 367], [FULL, 8000.0, FULL])
    assert forecast.limits.full == pytest.approx(expected) and forecast.limits.full_supply == pytest.approx(expected)
    assert (forecast.traces.storage[:, 1:] <= expected + 1e-9).all()
    for month, lead in enumerate(forecast.leads, start=1):
        rows = outlook.months.filter(pl.col("month") == month)
        percent = 100 * rows["storage"] / expected[lead - 1]
        assert rows["storage_percent"].to_list() == pytest.approx(percent.to_list())


def test_a_threshold_beyond_the_traces_has_no_past_events() -> None:
    thresholds = [StorageThreshold("over", storage=FULL + 1), StorageThreshold("dry", storage=LOWEST - 1),
                  StorageThreshold("known", storage=STAGE_1)]  # fmt: skip
    samples, record = record_of(STORAGE_DAM, frame_of(STORAGE_DAM, truth().storage))
    events = long_hindcast(record, samples, STORAGE_DAM, 1, thresholds).events
    assert set(events["threshold"]) == {"known"}


def test_events_of_which_no_outcome_is_known_are_not_scored() -> None:
    row = {"init_date": date(2020, 1, 1), "year": 2020, "threshold": "a", "direction": "above", "kind": "on",
           "month": 1, "probability": 0.5, "climatology": 0.25, "outcome": True}  # fmt: skip
    unknown = [row | {"threshold": "b", "outcome": None}, row | {"month": 2, "outcome": None}]
    left_out = row | {"init_date": date(2020, 2, 1), "outcome": None}
    hindcast = LongHindcast(pl.DataFrame(schema=MONTHS_SCHEMA), pl.DataFrame([row, left_out, *unknown], schema=EVENTS))
    scores = long_event_scores(hindcast, "small")
    assert scores.select("threshold", "month", "n", "left_out", "years", "event_years", "brier").rows() == [
        ("a", 1, 1, 1, 1, 1, 0.25)
    ]


def test_a_value_at_the_end_of_a_curve_is_on_it_in_spite_of_rounding() -> None:
    """Both ways; a value that is beyond the curve by more has none."""
    curve = {"level_unit": "m", "storage_unit": "ML", "points": [(0.0, 0.0), (30.0, 12_000.0)]}
    volumes, day = Volumes(synthetic.small_dam(storage_curves=[curve])), date(2020, 1, 1)
    assert volumes.storage(np.array([-1e-9, 30 + 1e-9]), day) == pytest.approx([0, 12_000], abs=1e-5)
    assert np.isnan(volumes.storage(np.array([-1e-6, 30 + 1e-6]), day)).all()
    assert volumes.level(np.array([-1e-7, 12_000 + 1e-7]), day) == pytest.approx([0, 30], abs=1e-9)
    assert np.isnan(volumes.level(np.array([-1e-3, 12_000 + 1e-3]), day)).all()


def test_a_storage_keeps_its_unit_whatever_the_unit_of_its_curve() -> None:
    curve = {"level_unit": "m", "storage_unit": "ML", "points": [(0.0, 0.0), (30.0, 12_000.0)]}
    target = {**TARGET, "unit": "GL"}
    volumes = Volumes(synthetic.small_dam(target, unit="GL", storage_curves=[curve]))
    day = date(2020, 1, 1)
    assert volumes.unit == "GL" and volumes.storage(np.array([6.0]), day).tolist() == [6.0]
    assert volumes.level(np.array([6.0]), day) == pytest.approx([15.0]) and volumes.level_unit(day) == "m"
    assert volumes.volume_per_day(np.array([1.0])) == pytest.approx([0.0864])


def test_what_is_unknown_is_null_and_no_number() -> None:
    storage = truth().storage.copy()
    storage[END - 40 : END - 30] = np.nan
    past = outlook_from(STORAGE_DAM, storage).past
    assert past["storage"].null_count() == 10 and past["storage"].is_nan().sum() == 0


@pytest.mark.parametrize(
    ("low", "sentence"),
    [
        ([0.1, 0.2, 0.3], None),
        ([0.1, 0.0, 0.3], "In month 2 past outlooks were not surely better"),
        ([None, 0.1, -0.1], "In months 1, 3 past outlooks were not surely better"),
    ],
)
def test_months_without_a_sure_skill_are_named(low: list[float | None], sentence: str | None) -> None:
    outlook = outlook_of(STORAGE_DAM).outlook
    years = {"years": [MIN_YEARS, MIN_YEARS, MIN_YEARS]}
    scores = pl.DataFrame({"month": [1, 2, 3], "low": low, **years}, schema_overrides={"low": pl.Float64})
    notes = [note for note in long_notes(outlook, STORAGE_DAM, scores, INIT) if "surely better" in note]
    assert [note.partition(" than ")[0] for note in notes] == ([] if sentence is None else [sentence])


def test_the_limits_upwards_are_named() -> None:
    curve = {"level_unit": "m", "storage_unit": "ML", "points": [(0.0, 0.0), (40.0, 16_000.0)]}
    with_curve = outlook_from(synthetic.small_dam(storage_curves=[curve]), truth().storage / 400)
    top = "Full supply is unknown: the traces fill the lake up to the top of the storage curve."
    full = "Traces are storage up to full supply; what exceeds it counts as spill, also in a flood pool."
    assert top in with_curve.notes and full not in with_curve.notes
    assert full in outlook_of(STORAGE_DAM).notes and top not in outlook_of(STORAGE_DAM).notes


def test_a_day_before_the_first_curve_has_no_storage() -> None:
    curve = {"level_unit": "m", "storage_unit": "ML", "points": [(0.0, 0.0), (40.0, 16_000.0)]}
    dam = synthetic.small_dam(storage_curves=[curve | {"valid_from": date(2020, 1, 1)}])
    record = record_of(dam, frame_of(dam, truth().storage / 400))[1]
    first = record.position(date(2020, 1, 1))
    assert np.isnan(record.start[:first]).all() and np.isfinite(record.start[first:]).all()
    assert np.isnan(balance_until(record, first, None, with_surcharge=True).net[:first]).all()


def test_a_release_that_no_gauge_can_measure_is_no_outflow() -> None:
    known = truth()
    release = known.release.copy()
    release[2000] = 500_000.0
    record = record_of(RELEASE_DAM, frame_of(RELEASE_DAM, known.storage, release))[1]
    assert record.outflow is not None
    expected = np.where(np.arange(len(release)) == 2000, np.nan, ML_PER_M3S * release)
    np.testing.assert_allclose(record.outflow, expected)


@pytest.mark.parametrize(
    ("keys", "lowest", "origin"),
    [({}, 0.0, "without lowest_level in the dam file"), ({"lowest_level": LOWEST}, LOWEST, "of the dam file")],
)
def test_the_lowest_storage_of_a_storage_is_zero_or_stated(keys: dict[str, float], lowest: float, origin: str) -> None:
    result = outlook_of(synthetic.small_dam(TARGET, unit="ML", full_supply=FULL, **keys))
    assert result.outlook.forecast.limits.lowest == lowest
    assert f"The lowest storage is {lowest:,.4g} ML, {origin}." in result.notes


def rate_by_hand(windows: PastWindows, leads: tuple[int, ...], limits: Limits, *, relative: bool) -> float:
    """The rate with the least mean CRPS, by loops; `relative`: each lead is divided by its mean over the rates."""
    rates, count = [1 / days for days in RETURN_DAYS], len(windows.years)
    crps = np.zeros((len(rates), len(leads)))
    for row, rate in enumerate(rates):
        for column, lead in enumerate(leads):
            for year in range(count):
                members = []
                for other in (k for k in range(count) if k != year):
                    storage = windows.storage[year, 0]
                    for day in range(lead):
                        free = storage + windows.net[other, day] - rate * (storage - windows.storage[other, day])
                        storage = min(limits.full[day], max(limits.lowest, free))
                    members.append(storage)
                crps[row, column] += crps_by_definition(np.array(members), windows.storage[year, lead]) / count
    weights = 1 / crps.mean(axis=0) if relative else np.ones(len(leads))
    return rates[int(np.argmin(np.round((crps * weights).mean(axis=1), 9)))]


def test_each_lead_time_counts_alike_in_the_rate_of_return() -> None:
    """The storages differ more at the longer lead, which would decide alone by its CRPS as a volume."""
    days, leads, differ = 60, (4, 60), 0
    limits = Limits(np.full(days, 5000.0), 0.0, np.full(days, 5000.0))
    none = np.zeros(6, int)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        storage = rng.uniform(1000, 3000, (6, 1)) + np.cumsum(rng.normal(0, 25, (6, days + 1)), axis=1)
        storage += np.linspace(0, 1, days + 1) * rng.normal(0, 400, (6, 1))
        windows = PastWindows(tuple(range(2010, 2016)), none, np.diff(storage), storage, none, none, {})
        expected = rate_by_hand(windows, leads, limits, relative=True)
        assert return_rate(windows, leads, limits) == expected
        differ += expected != rate_by_hand(windows, leads, limits, relative=False)
    assert differ > 0


def test_a_stated_past_outflow_does_not_measure_what_spilt() -> None:
    """Without a gauge of the release, storage above full supply counts as full, also under a demand."""
    storage = truth().storage.copy()
    storage[storage >= FULL] += 50 * np.arange(int((storage >= FULL).sum())) % 900
    record = record_of(STORAGE_DAM, frame_of(STORAGE_DAM, storage))[1]
    capped = replace(record, storages=np.fmin(record.storages, np.where(np.isnan(record.storages), np.nan, FULL)))
    demand = Demand((1.0,) * 12, (0.5,) * 12)
    with_flood, without = (long_forecast(one, STORAGE_DAM, END, MONTHS, demand) for one in (record, capped))
    assert np.nanmax(record.storages) > FULL + 200 and len(without.windows.years) > MIN_TRACES
    assert with_flood.windows.net == pytest.approx(without.windows.net)


def test_past_outlooks_are_compared_with_the_storage_up_to_full_supply_on_a_known_datum() -> None:
    storage = np.minimum(FULL, 1.3 * truth().storage)
    samples, record = record_of(STORAGE_DAM, frame_of(STORAGE_DAM, storage))
    flood = replace(samples, observed=np.where(storage >= FULL, FULL + 300.0, samples.observed))
    months, with_flood = (long_hindcast(record, one, STORAGE_DAM, 1, []).months for one in (samples, flood))
    ends = [(month_ends(init, 1)[0] - synthetic.FIRST_DAY).days for init in months["init_date"]]
    assert max(storage[ends]) >= FULL, "some outlooks end with a full lake"
    assert_frame_equal(months, with_flood)
    withheld = np.arange(len(storage)) >= len(storage) - 400
    known = long_hindcast(record, replace(samples, withheld=withheld), STORAGE_DAM, 1, []).months
    last = (synthetic.FIRST_DAY + timedelta(days=len(storage) - 401)).replace(day=1)
    first = last.replace(month=last.month - 1) if last.month > 1 else date(last.year - 1, 12, 1)
    assert known["init_date"].max() == first and months["init_date"].max() > first  # type: ignore[operator]  # dates


def test_persistence_is_the_storage_of_the_init_date_up_to_full_supply() -> None:
    storage = 1.3 * truth().storage
    samples, record = record_of(STORAGE_DAM, frame_of(STORAGE_DAM, storage))
    months = long_hindcast(record, samples, STORAGE_DAM, 1, []).months
    days = [(init - synthetic.FIRST_DAY).days for init in months["init_date"]]
    ends = [(month_ends(init, 1)[0] - synthetic.FIRST_DAY).days for init in months["init_date"]]
    assert (storage[days] > FULL + 10).sum() > 5 and (storage[days] < FULL).sum() > 5
    expected = np.abs(np.minimum(storage[days], FULL) - np.minimum(storage[ends], FULL))
    assert months["crps_persistence"].to_list() == pytest.approx(expected.tolist())


def test_the_days_of_a_full_lake_are_the_median_of_the_years_in_which_it_was_full() -> None:
    spilt = "What it spilt then is not in the balance, so that these traces understate the inflow."
    for dam, demand, past, sentence in (
        (STORAGE_DAM, None, None, spilt),
        (STORAGE_DAM, "1 m3/s", "0.5 m3/s", spilt),
        (RELEASE_DAM, None, None, spilt),
        (RELEASE_DAM, "1 m3/s", None, "Their inflow is understated if the release gauges do not measure the spill."),
    ):
        result = outlook_of(dam, demand=demand, past_demand=past)
        full = result.outlook.balance["days_full"].to_numpy()
        count, typical = int((full > 0).sum()), int(np.median(full[full > 0]))
        assert 0 < count < 13 and typical != int(np.median(full))
        (note,) = (note for note in result.notes if "the lake was full" in note)
        assert note == (
            f"In {count} of 13 past years the lake was full, on {typical} days in the median of these years. {sentence}"
        )
