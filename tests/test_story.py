"""What the report tells of the forecast and of the largest rise."""

from datetime import date, timedelta

import polars as pl
import pytest

from forebay.charts import forecast_tables
from forebay.dams.dam import Dam
from forebay.tables import flag_of
from tests import synthetic

DAY = timedelta(days=1)
DAYS = [date(2020, 1, 1) + k * DAY for k in range(60)]


@pytest.fixture(scope="module")
def lake() -> Dam:
    return synthetic.dam()


def _frame(dam: Dam, levels: list[float | None]) -> pl.DataFrame:
    column = dam.target_gauge.column
    flags = pl.Series([None] * len(levels), dtype=pl.String)
    level = pl.Series(levels, dtype=pl.Float64)
    return pl.DataFrame({"date": DAYS[: len(levels)], column: level, flag_of(column): flags})


def _rise(dam: Dam, frame: pl.DataFrame) -> forecast_tables.Rise | None:
    return forecast_tables.largest_rise(frame, synthetic.forecasts(dam, frame, frame["date"].to_list()), dam)


def test_observed_has_every_day_and_fills_none(lake: Dam) -> None:
    frame = _frame(lake, [1.0, None, 3.0]).filter(pl.col("date") != DAYS[0])
    seen = forecast_tables.observed_levels(frame, lake, DAYS[0], DAYS[2])
    assert seen.rows() == [(DAYS[0], None), (DAYS[1], None), (DAYS[2], 3.0)]


def test_fan_starts_at_the_level_and_keeps_the_quantiles_in_order(lake: Dam) -> None:
    made = forecast_tables.forecast_fan(synthetic.forecasts(lake, _frame(lake, [5.0] * 3), DAYS[:2]))
    assert made["lead_time"].to_list() == [0, *synthetic.LEADS] * 2
    assert made.filter(pl.col("lead_time") == 0)["q95"].to_list() == [5.0, 5.0]
    assert (made["q05"] <= made["q50"]).all() and (made["q50"] <= made["q95"]).all()
    assert forecast_tables.forecast_fan(synthetic.forecasts(lake, _frame(lake, [5.0]), [])).is_empty()


def test_a_line_is_near_when_it_at_most_doubles_the_picture(lake: Dam) -> None:
    def near(low: float, high: float) -> bool:
        shown = pl.DataFrame({"date": DAYS[:2], "low": [low, low], "high": [high, high]})
        drawn, every = forecast_tables.reference_levels(lake, shown)  # full supply stands at 100 m
        assert drawn.is_empty() != every["near"][0]
        return bool(every["near"][0])

    assert near(98.0, 99.0)
    assert near(99.5, 101.0)
    assert not near(97.0, 98.0)


def test_the_largest_rise_is_the_flood_and_not_a_spike_nor_its_return(lake: Dam) -> None:
    levels: list[float | None] = [10.0 + 0.01 * k for k in range(60)]
    levels[20] = 40.0  # up and back within a day
    levels[30] = -40.0  # down and back
    flooded = [value + (3.0 if k > 45 else 0.0) for k, value in enumerate(levels) if value is not None]
    found = _rise(lake, _frame(lake, list(flooded)))
    assert found is not None
    assert found.onset == DAYS[45]
    assert found.rise == pytest.approx(3.01)
    assert found.issued == tuple(DAYS[41:50])
    assert found.missing == ()


def test_a_rise_that_a_spell_excludes_or_a_flag_doubts_does_not_count(lake: Dam) -> None:
    levels: list[float | None] = [10.0 + (5.0 if k > 15 else 0.0) + (1.0 if k > 40 else 0.0) for k in range(60)]
    frame = _frame(lake, levels)
    excluding = Dam.model_validate(
        lake.model_dump(by_alias=True)
        | {"hindcast": {"verification_exclude": [{"from": DAYS[10], "to": DAYS[20], "reason": "datum"}]}}
    )
    found = _rise(excluding, frame)
    assert found is not None and found.onset == DAYS[40]
    flag = flag_of(lake.target_gauge.column)
    in_doubt = pl.col("date").is_between(DAYS[10], DAYS[20])
    doubted = frame.with_columns(pl.when(in_doubt).then(pl.lit("range")).alias(flag))
    found = _rise(lake, doubted)
    assert found is not None and found.onset == DAYS[40]


def test_no_rise_where_the_level_never_rose_or_nothing_was_hindcast(lake: Dam) -> None:
    assert _rise(lake, _frame(lake, [10.0] * 60)) is None
    assert _rise(lake, _frame(lake, [10.0 - k for k in range(60)])) is None
    frame = _frame(lake, [10.0 + k for k in range(60)])
    assert forecast_tables.largest_rise(frame, synthetic.forecasts(lake, frame, []), lake) is None


def test_days_without_a_level_are_named_as_without_a_forecast(lake: Dam) -> None:
    levels: list[float | None] = [10.0 + (3.0 if k > 30 else 0.0) for k in range(60)]
    levels[27] = None
    found = _rise(lake, _frame(lake, levels))
    assert found is not None
    assert found.missing == (DAYS[27],)


def test_verdicts(lake: Dam) -> None:
    fans = forecast_tables.forecast_fan(synthetic.forecasts(lake, _frame(lake, [5.0] * 2), DAYS[:1]))
    at_lead_1 = {"inside 80%": 5.0, "inside 90%": 5.03, "above 90%": 6.0, "below 90%": 4.0, "not observed": None}
    for verdict, level in at_lead_1.items():
        levels = pl.DataFrame({"date": [DAYS[1]], "level": pl.Series([level], dtype=pl.Float64)})
        told = forecast_tables.compare_with_observed(fans, levels, [1])
        assert told["verdict"].to_list() == [verdict]
        assert told["observed"][0] == (None if level is None else pytest.approx(level - 5.0))
    unbounded = fans.with_columns(q05=None, q95=None).cast({"q05": pl.Float64, "q95": pl.Float64})
    levels = pl.DataFrame({"date": [DAYS[1]], "level": [5.0]})
    assert forecast_tables.compare_with_observed(unbounded, levels, [1])["verdict"].to_list() == ["no interval"]


def test_near_full(lake: Dam) -> None:
    assert forecast_tables.is_near_full(lake, DAYS[0], 99.6)  # the margin of a level in m is 0.5 m by default
    assert not forecast_tables.is_near_full(lake, DAYS[0], 99.4)
    assert not forecast_tables.is_near_full(lake.model_copy(update={"full_supply": None}), DAYS[0], 99.9)
