"""Scenarios: monotone in rain, wetness and release; equal to the hindcast with known rain; nothing from the future."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.dams.dam import Dam
from forebay.dams.forcing import Forcing
from forebay.days.daily import usable_values
from forebay.errors import ConfigError, DataError
from forebay.features.known_ahead import RAIN_AHEAD, known_ahead
from forebay.features.samples import make_samples, samples_of, with_other_forcings
from forebay.forecasts.least_rain import LIKELIHOODS
from forebay.forecasts.scenario import WETNESS, Scenario, Wetness
from forebay.forecasts.scenario_tables import notes_on
from forebay.forecasts.scenario_text import (
    PRESETS,
    parse_rain,
    parse_release,
    preset_names,
    preset_scenarios,
    threshold_levels,
)
from forebay.jobs.scenario import check_gauges, scenarios_of
from forebay.models.monotone import SCENARIO_MODELS
from forebay.models.rain_rise import rain_quantiles
from forebay.tables import QUANTILES, REFERENCES
from forebay.verify.known_rain import KnownRain, known_rain_hindcast
from tests import synthetic
from tests.scenario_dams import (
    DAYS,
    FULL,
    LEADS,
    ML_PER_M,
    NO_VOLUME_DAM,
    RAIN_DAM,
    RELEASE_DAM,
    frame_of,
    model_of,
    rain_after,
    tables_of,
)

END = DAYS - 10
TOLERANCE = 1e-9

amounts = st.one_of(st.just(0.0), st.floats(0.0, 60.0), st.floats(0.0, 1900.0))
vectors = st.lists(amounts, min_size=3, max_size=3)


def never_falls(lower: np.ndarray, higher: np.ndarray) -> bool:
    return bool((higher >= lower - TOLERANCE).all())


@settings(max_examples=40)
@given(vectors, vectors, st.sampled_from(WETNESS))
def test_more_rain_never_gives_a_lower_level(first: list[float], more: list[float], wetness: Wetness) -> None:
    day = model_of(RAIN_DAM).day
    less = Scenario("less", tuple(first), wetness)
    much = replace(less, rain=tuple(min(1900.0, a + b) for a, b in zip(first, more, strict=True)))
    answers = day.answer([less, much])
    assert never_falls(answers.quantiles[0], answers.quantiles[1])
    assert never_falls(answers.paths[0], answers.paths[1])
    for level in (day.level - 0.5, day.level + 0.1, FULL):
        for shares in answers.probabilities(np.full(len(LEADS), level)):
            assert never_falls(shares[0], shares[1])


@pytest.mark.parametrize("model_name", [name for name in SCENARIO_MODELS if name not in REFERENCES])
def test_no_model_learns_that_rain_lowers_the_level(model_name: str) -> None:
    """Past changes that fall with the rain of the coming days, and rise with nothing."""
    rng = np.random.default_rng(3)
    rain = rng.gamma(0.5, 20.0, (600, 2))
    inputs = pl.DataFrame(
        {
            "last_change": rng.normal(0, 0.1, 600),
            "rain_lag0": rain[:, 0],
            "rain_3d": 2 * rain[:, 0],
            f"{RAIN_AHEAD}1d": rain[:, 1],
            f"{RAIN_AHEAD}lead": rain.sum(axis=1),
        }
    )
    model = SCENARIO_MODELS[model_name](3).fit(inputs, -0.01 * rain.sum(axis=1) + rng.normal(0, 0.01, 600))
    for column in inputs.columns[1:]:
        rising = inputs.head(30).with_columns(pl.Series(column, np.linspace(0, 300, 30)))
        rising = rising.with_columns(pl.col(name).first() for name in inputs.columns if name != column)
        assert never_falls(model.predict(rising)[:-1], model.predict(rising)[1:])


def test_rain_raises_the_level_and_its_lower_quantiles() -> None:
    """Monotone answers could be constant: ten times the rain must show in every quantile."""
    levels = model_of(RAIN_DAM).day.answer([Scenario("", (10.0, 10.0)), Scenario("", (100.0, 100.0))]).levels(QUANTILES)
    assert (levels[1, -1] > levels[0, -1] + 0.05).all()
    assert (np.diff(levels, axis=2) >= 0).all()


@settings(max_examples=25)
@given(st.lists(st.floats(0, 5), min_size=6, max_size=6), st.floats(0.01, 2), st.floats(-1, 1))
def test_quantiles_of_known_rain_never_fall_with_the_rise(rises: list[float], unit: float, dry: float) -> None:
    rising = np.sort(rises)[:, None]
    offsets = np.tile(np.array([-3.0, -0.4, 0.0, 0.2, 2.0]), (6, 1, 1))
    quantiles = rain_quantiles(np.full((6, 1), dry), dry + rising, offsets, np.full((6, 1), unit))
    assert (np.diff(quantiles, axis=0) >= -TOLERANCE).all()


def test_a_wetter_catchment_never_gives_a_lower_level() -> None:
    day = model_of(RAIN_DAM).day
    dry, _, wet = day.answer(preset_scenarios(["4in"], ())).levels([0.5])[:, :, 0]
    assert never_falls(dry, wet) and (wet > dry + 0.003).any()


def test_a_catchment_wetter_than_wet_is_reported() -> None:
    sentence = 'The catchment is wetter today than on 90% of the days of the record: wetter than "wet".'
    for end, expected in ((738, True), (END, False)):  # a few days after the largest rain, and an ordinary day
        model = model_of(RAIN_DAM, end)
        index = model.day.inputs["api"].to_list()
        assert (index[1] > index[2]) == expected
        assert (sentence in model.answer(preset_scenarios(["none"], ())).notes) == expected


def hindcast_of(dam: Dam, frame: pl.DataFrame, *, planned_release: bool = False) -> KnownRain:
    scenario_dam, issues = known_ahead(usable_values(frame, dam), dam, max(LEADS), planned_release=planned_release)
    samples = make_samples(frame, frame, scenario_dam, issues)
    return known_rain_hindcast(samples, scenario_dam, planned_release=planned_release)


@pytest.mark.parametrize("dam", [RAIN_DAM, RELEASE_DAM], ids=["rain", "release"])
def test_samples_of_a_forecast_become_those_of_its_scenarios(dam: Dam) -> None:
    """Nothing of the forecast's own forcings stays, and nothing else changes."""
    tables = tables_of(dam, frame_of(dam).head(END + 1))
    release = bool(dam.columns("release"))
    scenario_dam, issues = known_ahead(usable_values(tables.newest, dam), dam, max(LEADS), planned_release=release)
    shared = with_other_forcings(samples_of(tables, dam), issues, scenario_dam)
    own = replace(make_samples(tables.known, tables.newest, scenario_dam, issues), outages=None)
    columns, expected = (samples.columns_by_day(LEADS) for samples in (shared, own))
    assert list(columns) == list(expected)
    for name, values in columns.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    assert shared.outages is None


@pytest.mark.parametrize("end", [END, 738, 640])
def test_the_observed_rain_gives_the_hindcast_of_a_longer_record(end: int) -> None:
    """No later value changes an answer, and an answer is a row of the hindcast that shows its accuracy."""
    day = model_of(RAIN_DAM, end).day
    row = hindcast_of(RAIN_DAM, frame_of(RAIN_DAM)).changes[end]
    answer = day.answer([Scenario("observed", rain_after(RAIN_DAM, end))])
    assert answer.quantiles[0] - day.level == pytest.approx(row, abs=TOLERANCE)


def test_values_after_the_init_date_change_no_answer() -> None:
    frame = frame_of(RAIN_DAM)
    later = pl.int_range(pl.len()) > END
    column = RAIN_DAM.target_gauge.column
    changed = frame.with_columns(
        pl.when(later).then(pl.col(column) + 3).otherwise(column).alias(column),
    )
    rows = [hindcast_of(RAIN_DAM, table).changes[END] for table in (frame, changed)]
    assert rows[0] == pytest.approx(rows[1], abs=0)


def test_the_observed_release_gives_the_hindcast_of_a_longer_record() -> None:
    frame = frame_of(RELEASE_DAM)
    day = model_of(RELEASE_DAM, planned_release=True).day
    release = tuple(frame["release_o"].to_list()[END + 1 : END + 1 + max(LEADS)])
    answer = day.answer([Scenario("observed", rain_after(RELEASE_DAM, END), release=release)])
    row = hindcast_of(RELEASE_DAM, frame, planned_release=True).changes[END]
    assert answer.quantiles[0] - day.level == pytest.approx(row, abs=TOLERANCE)


def test_a_release_takes_its_volume_from_the_lake() -> None:
    day = model_of(RELEASE_DAM, planned_release=True).day
    assert day.releases is not None
    today = day.releases.today
    same, more = day.answer(
        [Scenario("", (), release=(today,)), Scenario("", (), release=(today + 10.0,))]
    ).levels([0.5])[:, :, 0]  # fmt: skip
    half_days = np.array(LEADS) - 0.5  # a daily mean: half of today's flow comes after it
    assert same - more == pytest.approx(half_days * 10 * 86.4 / ML_PER_M, rel=1e-6)


@pytest.mark.parametrize("dam", [RELEASE_DAM, NO_VOLUME_DAM], ids=["curve", "no volume"])
def test_more_release_never_gives_a_higher_level(dam: Dam) -> None:
    day = model_of(dam, planned_release=True).day
    scenarios = [Scenario("", (40.0,), release=(flow, 3 * flow)) for flow in (0.0, 1.0, 5.0, 50.0, 1000.0)]
    levels = day.answer(scenarios).quantiles
    assert (np.diff(levels, axis=0) <= TOLERANCE).all()
    assert (levels[0, -1] > levels[-1, -1]).all()


def test_the_least_rain_has_the_probability_and_less_has_not() -> None:
    model = model_of(RAIN_DAM)
    wanted = f"{model.day.level + 0.15:.3f}"
    table = model.answer([], until=wanted).least_rain
    assert table["hours"].to_list() == [24] * 3 + [48] * 3 + [72] * 3
    name, levels = threshold_levels(wanted, model.day, RAIN_DAM)
    for row in table.filter(pl.col("rain") > 0).to_dicts():
        days = row["hours"] // 24
        scenarios = [Scenario("", (share * row["rain"] / days,) * days) for share in (1.0, 0.98)]
        reached = model.day.answer(scenarios).probabilities(levels).by[:, -1]
        assert reached[0] >= row["probability"] > reached[1]
    by_hours = table.filter(pl.col("hours") == 24).sort("probability")
    assert by_hours["probability"].to_list() == list(LIKELIHOODS)
    assert by_hours["rain"].drop_nulls().is_sorted()
    assert table["rain"].drop_nulls().len() > 3
    assert name == f"{float(wanted):g} m"


def test_a_level_that_no_rain_reaches_is_said() -> None:
    result = model_of(RAIN_DAM).answer([], until="500")
    assert result.least_rain["rain"].null_count() == 9
    assert "Not reached even by the largest rain that is answered: 1,900 mm in 24 h (10%)" in result.notes[0]
    assert not any("without any rain" in note for note in result.notes)


def test_a_level_below_the_lake_needs_no_rain() -> None:
    result = model_of(RAIN_DAM).answer([], until="90")
    assert result.least_rain["rain"].to_list() == [0.0] * 9
    assert any("without any rain" in note for note in result.notes)


def test_rain_beyond_the_record_is_said_and_moderate_rain_is_not() -> None:
    day = model_of(RAIN_DAM).day
    frame = frame_of(RAIN_DAM).head(END + 1)
    in_training = frame.filter(pl.col("date").dt.year() < 2020).slice(1)
    largest = in_training["rainfall_r1"].max()
    assert day.leads[1].largest_rain == pytest.approx(largest)
    first = in_training.filter(pl.col("rainfall_r1") == largest)["date"][0]
    (note,) = notes_on(Scenario("", (900.0, 0.0, 0.0)), day)
    assert f"the largest is {largest:.0f} mm from {first} on" in note
    assert "counts as" in note
    assert notes_on(Scenario("", (0.9 * float(str(largest)), 0.0, 0.0)), day) == []


def test_a_short_list_is_dry_afterwards_and_says_so() -> None:
    day = model_of(RAIN_DAM).day
    short, full = day.answer([Scenario("", (20.0,)), Scenario("", (20.0, 0.0, 0.0))]).quantiles
    assert (short == full).all()
    assert notes_on(Scenario("", (20.0,)), day) == ["The rain is given for 1 of 3 days; the others are dry."]


def test_the_tables_have_a_row_per_scenario_lead_and_quantile() -> None:
    model = model_of(RAIN_DAM)
    result = model.answer(preset_scenarios(["none", "2in"], ()))
    assert len(result.levels) == 6 * len(LEADS) * len(QUANTILES)
    assert set(result.probabilities["threshold"]) == {"full_supply", "Jetty"}
    row = result.levels.filter(
        pl.col("scenario") == "2in", pl.col("wetness") == "wet", pl.col("lead_time") == 3, pl.col("quantile") == 0.5
    ).row(0, named=True)  # fmt: skip
    expected = model.day.answer([Scenario("", (25.4, 25.4), "wet")]).levels([0.5])
    assert row["level"] == pytest.approx(expected[0, -1, 0]) and row["rain"] == pytest.approx(50.8)
    assert row["change"] == pytest.approx(row["level"] - model.day.level)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-5", "--rain: -5 mm a day must be 0 to 1,900 mm"),
        ("4000", "--rain: 4000 mm a day must be 0 to 1,900 mm; the largest rain of a day on record is 1,825 mm"),
        ("80in", "--rain: 80 in a day must be 0 to 1,900 mm"),
        ("1e999", "must be 0 to 1,900 mm"),
        ("1,2,3,4", "has 4 days; at most 3 are forecast"),
        ("", "must be numbers separated by commas"),
        ("1,,2", "must be numbers separated by commas"),
        ("nan", "must be numbers separated by commas"),
        ("3 furlongs", "unit 'furlongs' is not one of rainfall's units: mm, in, cm"),
    ],
)
def test_bad_rain_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_rain(text, 3)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("30", "--release '30' has no unit; end it with one of m3/s, ft3/s"),
        ("-1m3/s", "--release: -1 m3/s a day must be 0 to 400,000 m3/s"),
        ("30mm", "unit 'mm' is not one of release's units"),
    ],
)
def test_bad_release_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_release(text, 3)
    assert message in str(error.value)


def test_a_unit_at_the_end_is_that_of_all_values_without_one() -> None:
    assert parse_rain("1, 2in", 3) == (25.4, 50.8)
    assert parse_rain("10mm,2in", 3) == (10.0, 50.8)
    assert parse_release("86.4,172.8ML/d", 3) == (1.0, 2.0)


def test_presets() -> None:
    with_forecast = RAIN_DAM.model_copy(update={"forcings": (Forcing(kind="rain", id="bureau", unit="mm"),)})
    assert preset_names(["all", "2in"], with_forecast) == list(PRESETS)
    assert preset_names(["all", "2in"], RAIN_DAM) == ["none", "2in", "4in"], "it has no forecast"
    assert preset_names(["4in", "none", "4in"], RAIN_DAM) == ["4in", "none"]
    scenarios = preset_scenarios(["half-forecast", "double-forecast"], (10.0, 4.0))
    assert [scenario.rain for scenario in scenarios[::3]] == [(5.0, 2.0), (20.0, 8.0)]
    assert [scenario.wetness for scenario in scenarios[:3]] == ["dry", "current", "wet"]
    with pytest.raises(ConfigError, match="--preset '3in' is unknown; give one of none, 2in, 4in"):
        preset_names(["3in"], with_forecast)
    with pytest.raises(ConfigError, match="--preset half-forecast needs a rain forecast, but Small Dam has none; add"):
        preset_names(["half-forecast"], RAIN_DAM)
    with pytest.raises(ConfigError, match="--preset forecast needs a rain forecast, but Small Dam has none"):
        model_of(RAIN_DAM).presets(["none", "forecast"])


def test_presets_have_the_planned_release() -> None:
    model = model_of(RELEASE_DAM, planned_release=True)
    release = (3.0, 1.0, 0.0)
    assert {scenario.release for scenario in model.presets(["none", "2in"], release)} == {release}
    assert {scenario.release for scenario in model.presets(["none", "2in"])} == {()}


def test_unknown_thresholds_are_refused() -> None:
    model = model_of(RAIN_DAM)
    with pytest.raises(ConfigError, match="'Bridge' is no threshold of Small Dam; give one of Jetty, full_supply"):
        model.answer([], until="Bridge")
    bare = replace(model, dam=RAIN_DAM.model_copy(update={"full_supply": None}))
    with pytest.raises(ConfigError, match="states no full supply; add full_supply, or give --until LEVEL"):
        bare.answer([], until="full_supply")
    with pytest.raises(DataError, match="the datum of the gauge of Small Dam seems to have changed"):
        replace(model, day=replace(model.day, withheld=True)).answer([], until="100")


def test_dams_without_the_gauges_are_refused() -> None:
    with pytest.raises(ConfigError, match="has no rain gauge, so its scenarios have no past rain to learn from"):
        check_gauges(synthetic.small_dam(), planned_release=False)
    with pytest.raises(ConfigError, match="has no release gauge, so --release has no past release"):
        check_gauges(RAIN_DAM, planned_release=True)


def test_a_day_without_a_level_is_refused() -> None:
    column = RAIN_DAM.target_gauge.column
    frame = frame_of(RAIN_DAM).head(END + 1)
    gone = frame.with_columns(pl.when(pl.int_range(pl.len()) < END).then(column).alias(column))
    last, before = frame["date"][-1], frame["date"][-2]
    tables = tables_of(RAIN_DAM, gone)
    with pytest.raises(DataError, match=f"Small Dam has no level on {last}, .* such as --init {before}"):
        scenarios_of(RAIN_DAM, tables, samples_of(tables, RAIN_DAM))


def test_a_short_record_is_refused() -> None:
    tables = tables_of(RAIN_DAM, frame_of(RAIN_DAM).head(150))
    with pytest.raises(DataError, match="the record of Small Dam is too short for scenarios"):
        scenarios_of(RAIN_DAM, tables, samples_of(tables, RAIN_DAM))
