"""Substitutes: relations, inputs as known on each day, flags, sentences, and dam files that name them wrongly."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from forebay.charts.gauge_status import add_substitutes, gauge_status
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.delays import input_delay
from forebay.days.daily import usable_values
from forebay.errors import ConfigError
from forebay.features.daily_tables import DailyTables
from forebay.features.inputs import build_inputs
from forebay.features.relations import MIN_DAYS, estimate_changes, estimate_totals
from forebay.features.samples import Samples, make_samples, samples_of
from forebay.features.substitutes import LATE, SUBSTITUTIONS, with_substitutes
from forebay.forecasts.limitations import substituted_gauges
from forebay.screen.flags import screen_daily
from tests.command_line import forebay
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam, write_dam

DAYS = 200
RIVERS = ({"role": "stream", "station": s, "variable": "stream_level", "unit": "m"} for s in ("s1", "s2"))
RIVER_1, RIVER_2 = RIVERS


def rainy_dam(**keys: object) -> Dam:
    """A dam with two rain gauges and two rivers; `keys` are those of rain gauge r1."""
    river = RIVER_1 | {"substitute": ("s2",)}
    return small_dam(rain_gauge("r1", **keys), rain_gauge("r2"), river, RIVER_2)


def columns(seed: int = 1, days: int = DAYS) -> dict[str, list[float | None]]:
    """Values of the gauges of `rainy_dam`, with three spells without a value of r1 or s1."""
    rng = np.random.default_rng(seed)
    rain = np.where(rng.random(days) < 0.5, np.round(rng.gamma(1.0, 8.0, days), 1), 0.0)
    river = 1.0 + np.cumsum(rng.normal(0, 0.1, days)) * 0.3 + rain / 20
    values: dict[str, list[float | None]] = {
        "reservoir_level": (50 + np.cumsum(0.01 * rain - 0.04)).tolist(),
        "rainfall_r1": np.round(rain * rng.uniform(0.6, 1.0, days), 1).tolist(),
        "rainfall_r2": rain.tolist(),
        "stream_level_s1": (2.0 * river + 3.0).tolist(),
        "stream_level_s2": river.tolist(),
    }
    for name, first, last in (("rainfall_r1", 90, 93), ("rainfall_r1", 150, 150), ("stream_level_s1", 120, 124)):
        values[name][first : last + 1] = [None] * (last + 1 - first)
    return values


def day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


def late_rain(days: dict[int, int]) -> pl.DataFrame:
    """`LATE` of r1: day → day on which its value is known."""
    rows = [("rainfall_r1", day(number), day(known)) for number, known in days.items()]
    return pl.DataFrame(rows, schema=LATE.columns, orient="row")


LATE_DAYS = {70: 72, 100: 130, 110: 111, 160: 190}


def samples(dam: Dam, values: dict[str, list[float | None]], late: pl.DataFrame | None = None) -> Samples:
    frame = daily_frame(dam, values)
    return make_samples(frame, frame, dam, late=late)


# --- relations -------------------------------------------------------------------------------------------------------


def known_at_once(count: int) -> np.ndarray:
    return np.arange(count)


def test_totals_have_the_ratio_of_the_sums_so_far() -> None:
    substitute = np.tile([0.0, 4.0, 10.0], 40)
    own = 1.25 * substitute
    own[100:] = 99.0
    estimates = estimate_totals(np.where(np.arange(120) < 100, own, np.nan), substitute, known_at_once(120))
    first = int(np.flatnonzero(np.cumsum(substitute > 0) >= MIN_DAYS)[0])
    assert np.isnan(estimates.values[:first]).all()
    np.testing.assert_allclose(estimates.values[first:], 1.25 * substitute[first:])


def test_changes_follow_the_newest_common_day_and_the_slope() -> None:
    rng = np.random.default_rng(2)
    substitute = np.cumsum(rng.normal(0, 1, 120))
    own = 3.0 * substitute + 200.0
    own[80:] += 7.0  # another datum
    missing = np.isin(np.arange(120), [60, 61, 81, 82])
    estimates = estimate_changes(np.where(missing, np.nan, own), substitute, known_at_once(120))
    np.testing.assert_allclose(estimates.values[[60, 61]], own[[60, 61]])
    assert estimates.values[81] == pytest.approx(own[80] + estimates.factor[81] * (substitute[81] - substitute[80]))
    assert estimates.factor[81] == pytest.approx(3.0, rel=0.2)
    assert np.isnan(estimates.values[: MIN_DAYS - 1]).all()


def test_no_estimate_from_a_contrary_or_constant_substitute_or_below_the_lowest_value() -> None:
    own = np.linspace(1.0, 5.0, 60)
    assert np.isnan(estimate_changes(own, -own, known_at_once(60)).values).all()
    assert np.isnan(estimate_changes(own, np.full(60, 2.0), known_at_once(60)).values).all()
    assert np.isnan(estimate_changes(np.full(60, np.nan), own, known_at_once(60)).values).all()
    far_below = np.append(own, -50.0)
    assert estimate_changes(np.append(own, np.nan), far_below, known_at_once(61)).values[-1] == 1.0


@given(st.integers(0, 99), st.integers(0, 10**6), st.sampled_from([estimate_totals, estimate_changes]))
def test_no_estimate_depends_on_a_pair_that_is_known_later(row: int, seed: int, estimate: object) -> None:
    rng = np.random.default_rng(seed)
    own, substitute = rng.gamma(1.0, 5.0, (2, 100))
    known = np.arange(100) + rng.integers(0, 4, 100)
    changed = np.where(known > row, rng.gamma(1.0, 50.0, 100), own)
    before, after = (estimate(values, substitute, known) for values in (own, changed))  # type: ignore[operator]  # a union of functions
    np.testing.assert_array_equal(before.values[: row + 1], after.values[: row + 1])


# --- inputs ----------------------------------------------------------------------------------------------------------


def rain_as_known(dam: Dam, values: dict[str, list[float | None]], row: int, delay: int) -> pl.DataFrame:
    """An oracle: the daily table as known on `row`, by the sums of each day's past, without shared tables."""
    frame = usable_values(daily_frame(dam, values), dam).head(row + 1)
    rain: list[float | None] = list(values["rainfall_r1"][: row + 1])
    other = values["rainfall_r2"]
    for number in range(row + 1):
        known_on = max(number + delay, LATE_DAYS.get(number, 0))
        if rain[number] is not None and known_on <= row:
            continue
        pairs = [
            (a, b)
            for k, (a, b) in enumerate(zip(values["rainfall_r1"], other, strict=True))
            if max(k + delay, LATE_DAYS.get(k, 0)) <= number and a is not None and b is not None
        ]
        enough = sum(b > 0 for _, b in pairs) >= MIN_DAYS
        second = other[number]
        assert second is not None
        rain[number] = second * sum(a for a, _ in pairs) / sum(b for _, b in pairs) if enough else None
    return frame.with_columns(pl.Series("rainfall_r1", rain, dtype=pl.Float64))


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_each_row_has_the_inputs_of_what_was_known_then(delay: int) -> None:
    dam = rainy_dam(substitute="r2", latency_h=24.0 * delay)
    plain = small_dam(*(rain_gauge(s) for s in ("r1", "r2")))
    values = columns()
    result = samples(dam, values, late_rain(LATE_DAYS)).inputs
    for row in (60, 69, 70, 71, 72, 90, 93, 94, 96, 105, 129, 130, 131, 150, 151, 165, 191, 199):
        expected = build_inputs(rain_as_known(plain, values, row, delay), plain).tail(1)
        for name in ("rain_lag0", "rain_lag1", "rain_lag2", "rain_3d", "context_rain_30d"):
            assert result[name][row] == pytest.approx(expected[name][0], rel=1e-9), (row, name)
        assert result["api"][row] == pytest.approx(expected["api"][0], rel=0.003), "0.9^60 of one day's difference"


def test_a_river_gauge_follows_its_substitute() -> None:
    values = columns()
    result = samples(rainy_dam(), values)
    level = 2.0 * np.array(values["stream_level_s2"], float)[120:125] + 3.0
    np.testing.assert_allclose(result.inputs["stream_level_s1"].to_numpy()[120:125], level)
    rows = result.substitutions.filter(pl.col("gauge") == "stream_level_s1")
    assert rows["init_date"].to_list() == [day(k) for k in range(120, 125)]
    assert rows["substitute"].unique().to_list() == ["stream_level_s2"]


@pytest.mark.parametrize(("number", "latency_h"), [(71, 0.0), (92, 30.0), (122, 30.0), (165, 0.0)])
def test_later_values_change_no_earlier_input(number: int, latency_h: float) -> None:
    dam, late = rainy_dam(substitute="r2", latency_h=latency_h), late_rain(LATE_DAYS)
    before, values = samples(dam, columns(), late), columns()
    for name, changed in columns(seed=7).items():
        values[name][number + 1 :] = changed[number + 1 :]
    # a value of an earlier day that arrives later is a later value too
    for k, known in LATE_DAYS.items():
        if k <= number < known:
            values["rainfall_r1"][k] = 77.0
    after = samples(dam, values, late)
    assert_frame_equal(before.inputs.head(number + 1), after.inputs.head(number + 1), check_exact=True)
    is_past = pl.col("init_date") <= day(number)
    assert_frame_equal(*(s.substitutions.filter(is_past) for s in (before, after)), check_exact=True)


@pytest.fixture(scope="module")
def later() -> Samples:
    return samples(rainy_dam(substitute="r2"), columns(), late_rain(LATE_DAYS))


@pytest.mark.parametrize("number", [71, 92, 105, 130, 165])
def test_the_last_row_of_a_shorter_record_is_the_row_of_the_longer_one(number: int, later: Samples) -> None:
    """Live: a value that has not arrived is absent. Later: it is there, with the day of its arrival."""
    dam, late, values = rainy_dam(substitute="r2"), late_rain(LATE_DAYS), columns()
    for k, known in LATE_DAYS.items():
        if k <= number < known:
            values["rainfall_r1"][k] = None
    live = samples(dam, {name: column[: number + 1] for name, column in values.items()}, late)
    assert_frame_equal(live.inputs.tail(1), later.inputs[number : number + 1], check_exact=True)


def test_a_late_value_confirms_no_storm_of_another_gauge() -> None:
    """r2 has 120 mm, and r1 reports its 100 mm two days later: until then the storm at r2 is suspect."""
    dam, late, values = rainy_dam(substitute="r2"), late_rain({180: 182}), columns()
    for number in (179, 181):
        values["rainfall_r1"][number] = values["rainfall_r2"][number] = 0.0
    values["rainfall_r1"][180], values["rainfall_r2"][180] = 100.0, 120.0
    later = samples(dam, values, late)
    values["rainfall_r1"][180] = None
    live = samples(dam, {name: column[:181] for name, column in values.items()}, late)
    assert_frame_equal(live.inputs.tail(1), later.inputs[180:181], check_exact=True)


def test_the_first_known_substitute_is_used() -> None:
    """r1 has three substitutes: the first is a day late, the second has gaps."""
    gauges = [rain_gauge("r1", substitute=("r2", "r3", "r4")), rain_gauge("r2", latency_h=24.0)]
    dam = small_dam(*gauges, rain_gauge("r3"), rain_gauge("r4"))
    values, rain = columns(), columns(seed=4)
    names = {f"rainfall_{s}": list(rain["rainfall_r2"]) for s in ("r3", "r4")}
    names["rainfall_r3"][91] = None
    table = samples(dam, {"reservoir_level": values["reservoir_level"], "rainfall_r1": values["rainfall_r1"],
                          "rainfall_r2": values["rainfall_r2"]} | names).substitutions  # fmt: skip
    sources = dict(table.select("date", "substitute").iter_rows())
    assert [sources[day(k)] for k in (90, 91, 92, 150)] == [f"rainfall_{s}" for s in ("r3", "r4", "r3", "r3")]
    assert input_delay(dam.gauges[1], dam) == 0


def test_gauges_that_replace_each_other_use_readings_only() -> None:
    """On a day without any of the two there is no value: an estimate is no source of another one."""
    dam = small_dam(rain_gauge("r1", substitute="r2"), rain_gauge("r2", substitute="r1"))
    values = columns()
    values["rainfall_r2"][92] = None
    wet = next(k for k in range(100, DAYS) if (values["rainfall_r1"][k] or 0) > 1)
    values["rainfall_r2"][wet] = None
    rain = samples(dam, {name: values[name] for name in ("reservoir_level", "rainfall_r1", "rainfall_r2")}).inputs
    assert rain["rain_lag0"][92] is None
    assert rain["rain_lag0"][91] is not None
    assert rain["rain_lag0"][wet] > values["rainfall_r1"][wet]


def test_a_suspect_value_is_replaced_too() -> None:
    """A lone storm of 300 mm at r1, which the screen flags on its day."""
    values = columns()
    values["rainfall_r1"][180], values["rainfall_r2"][180] = 300.0, 1.0
    values["rainfall_r2"][179] = values["rainfall_r2"][181] = 0.0
    table = samples(rainy_dam(substitute="r2"), values).substitutions
    assert table.filter(pl.col("date") == day(180), pl.col("gauge") == "rainfall_r1").height == 1
    assert samples(rainy_dam(substitute="r2"), values).inputs["rain_lag0"][180] < 2


def test_an_implausible_estimate_is_not_used() -> None:
    dam = rainy_dam(substitute="r2", valid_range=(0.0, 20.0))
    values = columns()
    values["rainfall_r2"][91] = 60.0
    dates = samples(dam, values).substitutions.filter(pl.col("gauge") == "rainfall_r1")["date"].to_list()
    assert day(91) not in dates
    assert day(92) in dates


def test_without_a_substitute_late_readings_change_nothing() -> None:
    dam = small_dam(*(rain_gauge(s) for s in ("r1", "r2")))
    values = {name: columns()[name] for name in ("reservoir_level", "rainfall_r1", "rainfall_r2")}
    plain, late = samples(dam, values), samples(dam, values, late_rain(LATE_DAYS))
    assert_frame_equal(plain.inputs, late.inputs, check_exact=True)
    assert late.substitutions.is_empty()


def test_samples_of_daily_tables_know_what_arrived_late() -> None:
    """Every job uses them, so that the hindcast of a past day has the estimates of that day's forecast."""
    dam, late = rainy_dam(substitute="r2"), late_rain(LATE_DAYS)
    frame = daily_frame(dam, columns())
    tables = DailyTables(frame, frame, frame["date"][-1], None, late=late)
    own = samples_of(tables, dam)
    assert_frame_equal(own.inputs, make_samples(frame, frame, dam, late=late).inputs, check_exact=True)
    assert not own.inputs.equals(make_samples(frame, frame, dam).inputs)


# --- flags and sentences ---------------------------------------------------------------------------------------------


def last_days() -> tuple[Dam, pl.DataFrame, Samples]:
    """A record whose last two days have no value of r1 and of s1."""
    dam, values = rainy_dam(substitute="r2", name="Rain A"), columns()
    for name in ("rainfall_r1", "stream_level_s1"):
        values[name][-2:] = [None, None]
    frame = daily_frame(dam, values)
    return dam, frame, make_samples(frame, frame, dam)


def test_every_estimate_has_a_flag() -> None:
    dam, frame, result = last_days()
    table = with_substitutes(frame, usable_values(frame, dam), result.substitutions)
    changed = table.filter(table["rainfall_r1"].eq_missing(frame["rainfall_r1"]).not_())
    assert changed["rainfall_r1_flag"].unique().to_list() == ["substituted: rainfall_r2"]
    assert changed.height == 4 + 1 + 2
    assert table["stream_level_s1_flag"][-1] == "substituted: stream_level_s2"
    others = ["date", "reservoir_level", "rainfall_r2", "rainfall_r2_flag", "stream_level_s2", "stream_level_s2_flag"]
    assert_frame_equal(table.select(others), frame.select(others))


def test_the_limitations_name_the_substitute_and_its_relation() -> None:
    dam, frame, result = last_days()
    sentences = substituted_gauges(result.substitutions, dam, day(DAYS - 1))
    factor = result.substitutions.filter(pl.col("gauge") == "rainfall_r1")["factor"][-1]
    assert sentences["rainfall_r1"] == (
        f"The value of Rain A of {day(DAYS - 1)} is missing or late: the value of Rainfall, times {factor:.3g}, is "
        "used instead. The hindcast does the same; there the newest value was an estimate on 6 days."
    )
    assert "its last value, plus 2 times the change of" in sentences["stream_level_s1"]
    assert substituted_gauges(result.substitutions, dam, day(100)) == {}


def test_the_table_of_gauges_shows_the_substitute() -> None:
    dam, frame, result = last_days()
    status = gauge_status(frame, screen_daily(frame, dam), dam)
    table = add_substitutes(status, result.substitutions, dam, day(DAYS - 1))
    assert table["flag"][1] == f"substituted: Rainfall on {day(DAYS - 1)}"
    assert table["age_days"][1] == 2, "the age is that of the gauge's own reading"
    assert_frame_equal(add_substitutes(status, SUBSTITUTIONS.empty(), dam, day(DAYS - 1)), status)


@pytest.mark.slow
def test_report_and_json_say_so(tmp_path: Path) -> None:
    dam, frame, _ = last_days()
    dam = dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"leads": (1,)})})
    path = write_dam(dam, frame, tmp_path)
    place = ["--archive", f"sqlite:///{tmp_path}/archive.db"]
    result = forebay("run", path, "--json", "-o", tmp_path / "out", *place)
    content = json.loads(result.out)
    assert {row["substitute"] for row in content["substitutions"]} == {"rainfall_r2", "stream_level_s2"}
    assert any(text.startswith("The value of Rain A of") for text in content["lacks"])
    assert not any("nothing fills it" in text for text in content["lacks"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<th>Substitutes" in page.replace('<th scope="col">', "<th>")
    assert "The value of Rain A of" in page
    assert pl.read_csv(tmp_path / "out" / "substitutions.csv")["gauge"].n_unique() == 2


# --- dam files -------------------------------------------------------------------------------------------------------

GAUGES = {
    "lake": ("target", "reservoir_level", "m"),
    "r1": ("rainfall", "rainfall", "mm"),
    "r2": ("rainfall", "rainfall", "mm"),
    "s1": ("stream", "stream_level", "m"),
    "full": ("storage", "storage", "ML"),
    "up": ("upstream_level", "reservoir_level", "m"),
}


@pytest.mark.parametrize(
    ("station", "substitute", "message"),
    [
        ("r1", '"r9"', "substitute = 'r9' of gauge 'r1' is no gauge of the dam file; allowed are r2 (rainfall_r2)"),
        ("r1", '"r1"', "a gauge cannot replace itself; allowed are r2 (rainfall_r2)"),
        ("r1", '["r2", "rainfall_r2"]', "substitute of gauge 'r1' names 'rainfall_r2' twice; name each gauge once"),
        ("r1", '"s1"', "it measures stream_level, and the gauge rainfall; both must be the same; allowed are r2"),
        ("s1", '"r1"', "both must be the same; allowed are none (no other gauge has stream_level)"),
        ("up", '"lake"', "the target cannot be a substitute, because it is what is forecast; allowed are none"),
        ("lake", '"up"', "the target can have no substitute, because a forecast never starts from an estimated level"),
        ("full", '"r1"', "a gauge with role 'storage' is no input of the models; delete the key"),
        ("r1", "3", "substitute"),
        ("r1", '""', "substitute"),
    ],
)
def test_a_wrong_substitute_is_one_sentence(tmp_path: Path, station: str, substitute: str, message: str) -> None:
    text = 'id = "x"\nname = "X"\ncountry = "Y"\ntime_zone = "+00:00"\n'
    text += '[target]\nvariable = "reservoir_level"\nunit = "m"\ndatum = "d"\n'
    for name, (role, variable, unit) in GAUGES.items():
        text += f'[[gauges]]\nrole = "{role}"\nsource = "simulated"\nstation = "{name}"\n'
        text += f'variable = "{variable}"\nunit = "{unit}"\n'
        text += f"substitute = {substitute}\n" if name == station else ""
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_dam(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_substitute_is_a_column_or_a_station() -> None:
    for names in ("r2", "rainfall_r2", ("r2",)):
        assert rainy_dam(substitute=names).substitutes["rainfall_r1"] == ("rainfall_r2",)
    assert small_dam(rain_gauge("r1")).substitutes == {}
