"""Diagnostic tables by hand: reliability, ranks, coverage by year, peaks and misses."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.features.samples import Samples, make_samples
from forebay.tables import QUANTILES
from forebay.verify import diagnostics as diagnostics_module
from forebay.verify.diagnostics import Diagnostics, diagnose
from forebay.verify.scorecard import EVENT_GAP
from tests import synthetic
from tests.synthetic import FIRST_DAY, FLOOD_ONSET

DAYS = 1200
START = FIRST_DAY + timedelta(days=300)


@pytest.fixture(scope="module")
def known() -> tuple[pl.DataFrame, pl.DataFrame, Samples, Dam]:
    """Daily frame, forecasts of every day, samples, dam: persistence with intervals, one flood."""
    plain = synthetic.dam()
    dam = plain.model_copy(update={"hindcast": plain.hindcast.model_copy(update={"start": START, "windows": ()})})
    frame = synthetic.daily(dam, days=DAYS)
    table = synthetic.forecasts(dam, frame, frame["date"].to_list())
    table = table.filter(pl.col("model").is_in(["default", "no_change"]))
    samples = replace(make_samples(frame, frame, dam), outages=None)  # forecasts start from each day's own level
    return frame, table, samples, dam


@pytest.fixture(scope="module")
def diagnostics(known: tuple[pl.DataFrame, pl.DataFrame, Samples, Dam]) -> Diagnostics:
    frame, table, samples, dam = known
    return diagnose(table, samples, dam, daily=frame)


@pytest.fixture(scope="module")
def observations(known: tuple[pl.DataFrame, pl.DataFrame, Samples, Dam]) -> pl.DataFrame:
    """init_date, observed, each quantile: the scored days at lead 3, paired independently."""
    frame, table, _, _ = known
    level = frame.select("date", level="reservoir_level")
    rows = table.filter(pl.col("model") == "default", pl.col("lead_time") == 3, pl.col("init_date") >= START)
    wide = rows.pivot("quantile", index=["init_date", "valid_date"], values="level")
    return wide.join(level, left_on="valid_date", right_on="date").drop_nulls("level")


def test_the_reliability_equals_the_observed_shares(diagnostics: Diagnostics, observations: pl.DataFrame) -> None:
    rows = diagnostics.reliability.filter(pl.col("lead_time") == 3, pl.col("regime") == "all")
    assert rows["quantile"].to_list() == list(QUANTILES)
    assert rows["n"].unique().to_list() == [len(observations)]
    for quantile, share in rows.select("quantile", "observed").iter_rows():
        assert share == pytest.approx((observations["level"] <= observations[str(quantile)]).mean())


def test_the_wet_days_are_those_of_the_regime(
    diagnostics: Diagnostics, observations: pl.DataFrame, known: tuple[pl.DataFrame, pl.DataFrame, Samples, Dam]
) -> None:
    _, _, samples, _ = known
    wet = observations.filter(pl.col("init_date").is_in(pl.Series(samples.dates[samples.regimes["wet"]]).implode()))
    assert 30 < len(wet) < len(observations) / 2
    rows = diagnostics.reliability.filter(lead_time=3, regime="wet")
    assert rows["n"].unique().to_list() == [len(wet)]
    shares = [(wet["level"] <= wet[str(quantile)]).mean() for quantile in QUANTILES]
    assert rows["observed"].to_list() == pytest.approx(shares)
    bins = diagnostics.pit_histogram.filter(lead_time=3, regime="wet")
    assert bins["n"].unique().to_list() == [len(wet)]
    assert bins["observed"].cum_sum().to_list()[:-1] == pytest.approx(shares)


def test_ranks_add_up_and_agree_with_the_reliability(diagnostics: Diagnostics) -> None:
    sums = diagnostics.pit_histogram.group_by("regime", "lead_time").agg(pl.col("expected", "observed").sum())
    assert sums["expected"].to_list() == pytest.approx([1.0] * len(sums))
    assert sums["observed"].to_list() == pytest.approx([1.0] * len(sums))
    below = diagnostics.pit_histogram.with_columns(pl.col("observed").cum_sum().over("regime", "lead_time"))
    reliability = diagnostics.reliability.rename({"quantile": "high"})
    both = below.join(reliability, on=["regime", "lead_time", "high"])
    assert len(both) == len(diagnostics.reliability)
    assert both["observed"].to_list() == pytest.approx(both["observed_right"].to_list())
    assert set(diagnostics.pit_histogram["regime"]) == {"all", "wet"}


def test_coverage_by_year_and_over_the_last_365_days(diagnostics: Diagnostics, observations: pl.DataFrame) -> None:
    inside = observations.with_columns(hit=pl.col("level").is_between("0.05", "0.95"))
    by_year = diagnostics.coverage_by_year.filter(pl.col("lead_time") == 3).select("year", "n", "coverage_90")
    for year, n, share in by_year.iter_rows():
        rows = inside.filter(pl.col("init_date").dt.year() == year)
        assert (n, share) == (len(rows), pytest.approx(rows["hit"].mean()))
    rolling = diagnostics.rolling_coverage.filter(pl.col("lead_time") == 3)
    assert rolling["init_date"].min() >= inside["init_date"].min() + timedelta(days=364)  # type: ignore[operator]  # dates
    last = rolling.row(-1, named=True)
    rows = inside.filter(pl.col("init_date") > last["init_date"] - timedelta(days=365))
    assert (last["n"], last["coverage_90"]) == (len(rows), pytest.approx(rows["hit"].mean()))


def test_peaks_are_the_largest_rises(diagnostics: Diagnostics, observations: pl.DataFrame) -> None:
    peaks = diagnostics.peaks.filter(pl.col("lead_time") == 3)
    assert len(peaks) == int(np.ceil(0.05 * len(observations)))
    assert FLOOD_ONSET in peaks["init_date"].to_list()
    assert (peaks["q05"] < peaks["q50"]).all()


def test_the_largest_miss_is_the_flood_and_is_listed_once(diagnostics: Diagnostics) -> None:
    misses = diagnostics.largest_misses.filter(pl.col("lead_time") == 1)
    first = misses.row(0, named=True)
    assert first["init_date"] == FLOOD_ONSET
    assert first["miss"] == pytest.approx(first["observed"] - first["q50"])
    assert first["miss"] == pytest.approx(4, abs=0.2), "the flood's first day"
    days = misses["init_date"].sort()
    assert (days.diff().drop_nulls().dt.total_days() > EVENT_GAP).all()
    assert {"rain_lag0", "api", "last_change", "stream_level_creek", "flags"} <= set(misses.columns)
    assert misses["miss"].abs().is_sorted(descending=True)


def test_of_two_misses_within_the_gap_the_larger_one_is_an_event_before_or_after_others() -> None:
    sizes = {100: 9.0, 50: -8.0, 100 + EVENT_GAP: 7.0, 100 - EVENT_GAP: -6.5, 101 + EVENT_GAP: 6.0, 20: 5.0}
    days = {day: FIRST_DAY + timedelta(days=day) for day in sorted(sizes)}
    misses = pl.DataFrame({"init_date": list(days.values()), "miss": [sizes[day] for day in days]})
    events = diagnostics_module._largest_by_event(misses)
    assert events["init_date"].to_list() == [days[day] for day in (100, 50, 101 + EVENT_GAP, 20)]


def test_the_rolling_coverage_of_a_lead_time_begins_a_year_after_its_own_first_forecast() -> None:
    first = {1: 0, 7: 90}
    parts = [
        pl.DataFrame({"init_date": [FIRST_DAY + timedelta(days=n) for n in range(start, 600)]}).with_columns(
            lead_time=lead, observed=pl.lit(0.0), q05=pl.lit(-1.0), q95=pl.lit(1.0)
        )
        for lead, start in first.items()
    ]
    rolling = diagnostics_module._rolling_coverage(pl.concat(parts))
    for lead, start in first.items():
        days = rolling.filter(lead_time=lead)
        assert days["init_date"][0] == FIRST_DAY + timedelta(days=start + 364)
        assert set(days["n"]) == {365}


@pytest.mark.parametrize("sign", [1, -1])
def test_a_fall_is_a_miss_too_and_has_the_level_known_then(
    sign: int, known: tuple[pl.DataFrame, pl.DataFrame, Samples, Dam]
) -> None:
    """Mirrored, the flood is a collapse. The newest levels are half a metre higher than those known then."""
    frame, table, samples, dam = known
    table = table.with_columns(pl.col("change") * sign, quantile=0.5 + sign * (pl.col("quantile") - 0.5).round(9))
    level = 100 + sign * (samples.level - 100)
    mirrored = replace(samples, level=level, trusted=level, observed=level + 0.5)
    first = diagnose(table, mirrored, dam, daily=frame).largest_misses.row(0, named=True)
    assert first["init_date"] == FLOOD_ONSET
    assert first["miss"] == pytest.approx(4 * sign, abs=0.2)
    assert first["start_level"] == pytest.approx(level[(FLOOD_ONSET - FIRST_DAY).days])


def test_a_value_on_a_quantile_is_at_or_below_it(known: tuple[pl.DataFrame, pl.DataFrame, Samples, Dam]) -> None:
    frame, table, samples, dam = known
    level = np.full(len(samples.dates), 95.0)
    constant = replace(samples, level=level, trusted=level, observed=level)
    result = diagnose(table, constant, dam, daily=frame)
    shares = result.pit_histogram.filter(pl.col("regime") == "all", pl.col("observed") > 0)
    assert shares.select("low", "high", "observed").unique().rows() == [(0.25, 0.5, 1.0)]
    at_median = result.reliability.filter(pl.col("regime") == "all", pl.col("quantile") == 0.5)
    assert at_median["observed"].unique().to_list() == [1.0]


def test_the_narrow_interval_covers_fewer_days(diagnostics: Diagnostics, observations: pl.DataFrame) -> None:
    by_year = diagnostics.coverage_by_year.filter(pl.col("lead_time") == 3)
    for year, share in by_year.select("year", "coverage_80").iter_rows():
        rows = observations.filter(pl.col("init_date").dt.year() == year)
        assert share == pytest.approx(rows["level"].is_between(rows["0.1"], rows["0.9"]).mean())


def test_flagged_gauges_are_named(known: tuple[pl.DataFrame, pl.DataFrame, Samples, Dam]) -> None:
    frame, table, samples, dam = known
    flagged = frame.with_columns(stream_level_creek_flag=pl.lit("poor"), rainfall_r1_flag=pl.lit("range"))
    misses = diagnose(table, samples, dam, daily=flagged).largest_misses
    assert misses["flags"].str.contains("A creek: poor").all()
    assert misses["flags"].str.contains("range").all()


def test_tables_without_intervals_or_scored_days_are_empty(
    known: tuple[pl.DataFrame, pl.DataFrame, Samples, Dam]
) -> None:
    frame, table, samples, dam = known
    diagnostics = diagnose(table.filter(pl.col("quantile") == 0.5), samples, dam, daily=frame)
    assert diagnostics.reliability.is_empty() and diagnostics.pit_histogram.is_empty()
    assert diagnostics.rolling_coverage.is_empty()
    assert not diagnostics.peaks.is_empty()
    empty = diagnose(table.clear(), samples, dam, daily=frame)
    assert all(rows.is_empty() for rows in empty.by_name().values())
