"""The sentences on the limitations of a forecast."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.features.samples import make_samples
from forebay.forecasts.limitations import limitations
from forebay.models import MODELS
from forebay.tables import DEFAULT_MODEL, FORECASTS
from forebay.verify import hindcast
from forebay.verify.default import with_default
from forebay.verify.point_forecasts import PointForecasts
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam

STREAM = {"role": "stream", "station": "s", "name": "Coxs River", "variable": "stream_level", "unit": "m"}
FULL = {"full_supply": 100.0}


def day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


def limitations_of(dam: Dam, days: int, **columns: list[float | None] | list[str | None]) -> tuple[str, ...]:
    """Limitations of a forecast from the last of `days` days; a gauge not in `columns` reports every day."""
    return forecast_of(dam, days, **columns)[0]


def forecast_of(dam: Dam, days: int, **columns: list[float | None]) -> tuple[tuple[str, ...], pl.DataFrame]:
    """Limitations and table of a forecast from the last of `days` days."""
    rng = np.random.default_rng(1)
    values = {gauge.column: rng.gamma(2, 2, days).tolist() for gauge in dam.gauges}
    frame = daily_frame(dam, values | columns)
    samples = make_samples(frame, frame, dam)
    points = with_default(hindcast.point_forecasts(samples, dam, MODELS), samples)
    table = hindcast.forecast_table(samples, dam, points)
    return limitations(frame, samples, dam, points[DEFAULT_MODEL], table), table


def test_a_complete_record_has_no_limitation() -> None:
    assert limitations_of(small_dam(rain_gauge(), STREAM, hindcast={"leads": (1, 7)}, **FULL), 700) == ()


def test_a_short_record_has_no_regression_and_no_intervals() -> None:
    sentences = limitations_of(small_dam(rain_gauge(), hindcast={"leads": (1, 7)}, **FULL), 30)
    assert sentences == (
        "The record (30 days) is too short for the regression: damped_change replaces it at lead times 1, 7.",
        "No intervals at lead times 1, 7: at the start of the month fewer than 20 past forecasts had an observed "
        "level.",
    )


@pytest.mark.parametrize("full_supply", [{}, FULL])
def test_a_forecast_without_intervals_has_the_median_only(full_supply: dict[str, float]) -> None:
    dam = small_dam(rain_gauge(), hindcast={"leads": (1, 7)}, **full_supply)
    _, table = forecast_of(dam, 15)
    newest = table.filter(pl.col("model") == DEFAULT_MODEL, pl.col("init_date") == day(14))
    assert newest.select("lead_time", "quantile").rows() == [(1, 0.5), (7, 0.5)]


def test_the_lead_times_without_intervals_are_named() -> None:
    """37 days to 6 February, the first forecast on day 1: on 1 February 30 errors are known at lead 1, 17 at 14."""
    sentences = limitations_of(small_dam(rain_gauge(), hindcast={"leads": (1, 14)}, **FULL), 37)
    assert "No intervals at lead times 14: at the start of the month" in sentences[1]


def test_a_level_that_never_changes_is_named() -> None:
    dam = small_dam(rain_gauge(), hindcast={"leads": (1,)}, **FULL)
    sentences = limitations_of(dam, 60, reservoir_level=[3.0] * 60)
    assert "The level did not change in 60 days: the gauge may be stuck." in sentences


def test_gauges_without_recent_values_are_named() -> None:
    dam = small_dam(rain_gauge(), rain_gauge("r2"), STREAM, hindcast={"leads": (1,)}, **FULL)
    sentences = limitations_of(
        dam, 700, rainfall_r1=[None] * 700, rainfall_r2=[1.0] * 699 + [None], stream_level_s=[1.0] * 690 + [None] * 10
    )
    rest = "; the models take the gap into account, and nothing fills it."
    assert sentences == (
        f"No rain is known since {day(698)} (1 day): the intervals come from past forecasts without rain and "
        "flows, if at least 20 of them had an observed level.",
        "Rainfall 1 has no usable value; the models work without it.",
        f"Rainfall 2 has no value since {day(698)} (1 day){rest}",
        f"Coxs River has no value since {day(689)} (10 days){rest}",
    )


def test_a_missing_level_is_named_with_the_one_that_the_forecast_starts_from() -> None:
    dam = small_dam(rain_gauge(), unit="ft", hindcast={"leads": (1,)}, **FULL)
    level = np.random.default_rng(1).gamma(2, 2, 60).tolist()
    sentences = limitations_of(dam, 60, reservoir_level=[*level[:55], 1234.5678, *[None] * 4])
    assert (
        f"No level since {day(55)} (4 days): the forecast starts from the level of that day, 1,234.568 ft. Its "
        "intervals come from past forecasts that start from a level of that age."
    ) in sentences


def test_an_unknown_datum_is_named_with_its_first_day() -> None:
    dam = small_dam(rain_gauge(), **FULL)
    frame = daily_frame(dam, {"reservoir_level": [3.0, 3.5] * 30, "rainfall_r1": [1.0, 2.0] * 30})
    samples = replace(make_samples(frame, frame, dam), withheld_from=day(40))
    assert limitations(frame, samples, dam, PointForecasts({}), FORECASTS.empty()) == (
        f"The datum of the level seems to have changed on {day(40)}: full supply, thresholds and storage are withheld "
        "from that day until the dam file states the change (datum_offsets).",
    )


def test_missing_kinds_of_gauges_are_named() -> None:
    assert limitations_of(small_dam(hindcast={"leads": (1,)}), 700) == (
        "No gauge of rain or flow: the forecast uses the past levels only.",
        "The dam file has no full supply level: distance to full supply and spills are unknown.",
    )
    assert limitations_of(small_dam(STREAM, hindcast={"leads": (1,)}, **FULL), 700) == (
        "No rain gauge: rain affects the forecast only after the inflow or the level rises.",
    )


def test_a_level_read_at_an_hour_is_named() -> None:
    target = {"role": "target", "station": "lake", "variable": "reservoir_level", "unit": "m"}
    dam = small_dam(
        target | {"reading": "instantaneous", "reading_at": "08:00"}, rain_gauge(), hindcast={"leads": (1,)}, **FULL
    )
    assert limitations_of(dam, 700) == (
        "The level is read at 08:00: a lead time of 1 day reaches the next reading, and the level does not yet include "
        "the rain since the last reading.",
    )


def test_levels_that_count_as_missing_are_counted() -> None:
    dam = small_dam(rain_gauge(), hindcast={"leads": (1,)}, **FULL)
    level = np.random.default_rng(2).gamma(2, 2, 400).round(3).tolist()
    level[50], level[60] = -999999.0, 99999.0
    flags = [None if abs(value) < 100 else "sentinel" if value < 0 else "range" for value in level]
    sentences = limitations_of(dam, 400, reservoir_level=level, reservoir_level_flag=flags)
    assert (
        "2 days have a level outside the plausible range, or a number that means no value: such a level counts as "
        "missing, and is neither used nor scored."
    ) in sentences


def test_values_that_must_not_be_used_are_none_of_a_gauge() -> None:
    """The last three values of the river are outside its range: its last value is older than they are."""
    dam = small_dam(rain_gauge(), STREAM, hindcast={"leads": (1,)}, **FULL)
    sentences = limitations_of(dam, 60, stream_level_s_flag=[None] * 57 + ["range"] * 3)
    assert any(text.startswith(f"Coxs River has no value since {day(56)} (3 days)") for text in sentences), sentences
