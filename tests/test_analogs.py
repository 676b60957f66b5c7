"""`forebay.forecasts.analogs`: nearest past days, by a direct search, without a look ahead."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.features.samples import Samples, make_samples
from forebay.forecasts.analogs import Analogs, find_analogs
from tests import synthetic

DAYS = 900
SEPARATION_DAYS = 30  # of docs/brief.md


@cache
def example() -> tuple[Dam, Samples]:
    dam = synthetic.dam()
    daily = synthetic.daily(dam, days=DAYS)
    return dam, make_samples(daily, daily, dam)


def root(value: float) -> float:
    return math.copysign(math.sqrt(abs(value)), value)


def direct(samples: Samples, dam: Dam, day: int) -> list[tuple[date, float]]:
    """Date and distance of the three nearest days, by one loop over all days and quantities."""
    assert dam.full_supply is not None
    level = samples.trusted.copy()
    level[day] = samples.level[day]
    rain = samples.inputs["rain_lag0"].to_list()
    week = samples.inputs["context_rain_7d"].to_list()
    features: dict[int, list[float]] = {}
    for d in range(3, day + 1):
        angle = 2 * math.pi * samples.dates[d].item().timetuple().tm_yday / 365.25
        later = [level[d + k] for k in (1, 3, 7)] if d + 7 <= day else []
        values = [level[d], level[d - 1], level[d - 3], rain[d], week[d], *later]
        if any(value is None or math.isnan(value) for value in values) or day - SEPARATION_DAYS < d < day:
            continue
        parts = [level[d] - 100.0, root(level[d] - level[d - 1]), root(level[d] - level[d - 3])]
        features[d] = [*parts, root(rain[d]), root(week[d]), math.sin(angle), math.cos(angle)]
    today = features.pop(day)
    spread = [float(np.std([values[k] for values in features.values()])) for k in range(len(today))]
    weights = [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    distances = {
        d: math.sqrt(sum(w * ((a - b) / s) ** 2 for w, a, b, s in zip(weights, values, today, spread, strict=True)) / 6)
        for d, values in features.items()
    }
    nearest: list[int] = []
    while len(nearest) < 3:
        free = [d for d in distances if all(abs(d - near) >= SEPARATION_DAYS for near in nearest)]
        nearest.append(min(free, key=lambda d: (distances[d], -d)))
    return [(samples.dates[d].item(), distances[d]) for d in nearest]


@pytest.mark.parametrize("day", [DAYS - 1, 700, 500])
def test_the_nearest_days_are_those_of_a_direct_search(day: int) -> None:
    dam, samples = example()
    found = find_analogs(samples, dam, day=day)
    expected = direct(samples, dam, day)
    assert found.days["date"].to_list() == [date for date, _ in expected]
    assert found.days["distance"].to_list() == pytest.approx([distance for _, distance in expected])
    assert found.compared == ("level", "change_1d", "change_3d", "rain_1d", "rain_7d", "season")
    assert found.today["level"].to_list() == pytest.approx([samples.level[day] - 100.0]), "above full supply"
    no_full = find_analogs(samples, dam.model_copy(update={"full_supply": None}), day=day)
    assert no_full.today["level"].to_list() == [samples.level[day]], "the level itself"


def test_the_inflow_is_that_of_all_gauges_or_unknown() -> None:
    """Two inflow gauges: their sum is compared, also as a signed root; a day without one of them has none."""
    dam, samples = example()
    gauges = [
        dam.gauges[1].model_copy(update={"role": "inflow", "variable": "inflow", "unit": "m3/s", "station": station})
        for station in ("a", "b")
    ]
    with_inflow = dam.model_copy(update={"gauges": (*dam.gauges, *gauges)})
    columns = with_inflow.columns("inflow")
    flow = np.random.default_rng(8).gamma(2.0, 5.0, (2, DAYS))
    flow[1, 400:500] = np.nan
    series = [pl.Series(name, one, nan_to_null=True) for name, one in zip(columns, flow, strict=True)]
    own = replace(samples, inputs=samples.inputs.with_columns(series))
    found = find_analogs(own, with_inflow)
    assert "inflow" in found.compared and found.today["inflow"].to_list() == pytest.approx([flow[:, -1].sum()])
    assert 90 < find_analogs(samples, dam).candidates - found.candidates <= 100
    last = flow.copy()
    last[0, -1] = np.nan
    series = [pl.Series(name, one, nan_to_null=True) for name, one in zip(columns, last, strict=True)]
    unknown = find_analogs(replace(samples, inputs=samples.inputs.with_columns(series)), with_inflow)
    assert "inflow" not in unknown.compared and unknown.today["inflow"].to_list() == [None]


def test_situations_are_separate_and_end_before_the_init_date() -> None:
    dam, samples = example()
    for day in range(300, DAYS, 37):
        found = find_analogs(samples, dam, day=day, count=5)
        dates = found.days["date"].to_list()
        init: date = found.today["date"][0]
        assert init == samples.dates[day].item()
        assert len(dates) == 5
        for date_ in dates:
            assert init - date_ >= timedelta(days=SEPARATION_DAYS)
            assert sum(abs(date_ - other) < timedelta(days=SEPARATION_DAYS) for other in dates) == 1
        assert found.days["distance"].is_sorted()


def test_the_change_after_each_day_is_the_observed_one() -> None:
    dam, samples = example()
    found = find_analogs(samples, dam)
    for row in found.days.iter_rows(named=True):
        d = samples.position(row["date"])
        for lead in (1, 3, 7):
            assert row[f"then_{lead}d"] == pytest.approx(samples.trusted[d + lead] - samples.trusted[d])
        assert row["change_3d"] == pytest.approx(samples.trusted[d] - samples.trusted[d - 3])
    assert found.today.select("then_1d", "then_3d", "then_7d").row(0) == (None, None, None)


def perturbed_after(samples: Samples, day: int) -> Samples:
    """`samples` with other levels and inputs after `day`."""
    later = np.arange(len(samples.dates)) > day
    noise = 5.0 * np.random.default_rng(3).normal(size=len(later))
    change = {name: np.where(later, getattr(samples, name) + noise, getattr(samples, name))
              for name in ("level", "trusted", "observed")}  # fmt: skip
    rows = pl.Series(later)
    columns = [pl.col(name) for name, kind in samples.inputs.schema.items() if kind.is_float()]
    inputs = samples.inputs.with_columns(pl.when(rows).then(column * 3 + 1).otherwise(column) for column in columns)
    return replace(samples, inputs=inputs, **change)


def same(first: Analogs, second: Analogs) -> bool:
    tables = first.today.equals(second.today) and first.days.equals(second.days)
    return tables and first.median_distance == second.median_distance


def test_nothing_after_the_day_is_used() -> None:
    dam, samples = example()
    for day in (400, 600, DAYS - 2):
        before = find_analogs(samples, dam, day=day)
        assert same(before, find_analogs(perturbed_after(samples, day), dam, day=day))
        cut = {item: getattr(samples, item)[: day + 1] for item in ("dates", "level", "trusted", "observed", "inputs")}
        assert same(before, find_analogs(replace(samples, **cut, withheld=None, suspect_level=None), dam))


def test_a_quantity_that_is_unknown_today_is_not_compared() -> None:
    dam, samples = example()
    no_rain = samples.inputs.with_columns(
        pl.when(pl.int_range(pl.len()) < DAYS - 1).then("rain_lag0").alias("rain_lag0")
    )
    found = find_analogs(replace(samples, inputs=no_rain), dam)
    assert "rain_1d" not in found.compared and "rain_7d" in found.compared
    assert found.today["rain_1d"][0] is None
    missing = samples.level.copy()
    missing[-1] = np.nan
    trusted = samples.trusted.copy()
    trusted[-1] = np.nan
    found = find_analogs(replace(samples, level=missing, trusted=trusted), dam)
    assert found.compared == ("rain_1d", "rain_7d", "season")


def test_a_suspect_level_is_not_compared() -> None:
    dam, samples = example()
    suspect = np.full(DAYS, np.nan)
    suspect[-1] = samples.level[-1]
    trusted = samples.trusted.copy()
    trusted[-1] = np.nan
    found = find_analogs(replace(samples, suspect_level=suspect, trusted=trusted), dam)
    assert not {"level", "change_1d", "change_3d"} & set(found.compared)


def test_days_on_an_unknown_datum_are_no_situations() -> None:
    """A change from a day on one datum to a day on another is none of the lake."""
    dam, samples = example()
    withheld = np.arange(DAYS) < 600
    found = find_analogs(replace(samples, withheld=withheld), dam, count=8)
    assert found.first == samples.dates[603].item(), "the first day whose change in 3 days is known"
    assert found.candidates == DAYS - SEPARATION_DAYS - 603
    assert all(day >= found.first for day in found.days["date"])


@pytest.mark.parametrize("day", [SEPARATION_DAYS, SEPARATION_DAYS + 4])
def test_a_short_record_has_no_situations(day: int) -> None:
    """One candidate alone has no standard deviation, so no distance is known."""
    dam, samples = example()
    found = find_analogs(samples, dam, day=day)
    assert found.days.is_empty() and found.candidates == 0 and found.compared == () and found.first is None
