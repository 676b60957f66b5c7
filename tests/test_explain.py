"""The explanation of a forecast: contributions that sum to it, their sources and descriptions."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Self

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.hindcast import Hindcast
from forebay.dams.thresholds import ReferenceLevel
from forebay.features.inputs import build_inputs
from forebay.features.samples import Samples, make_samples
from forebay.forecasts.explain import _Descriptions, amount, explain, input_source, weather_title
from forebay.models import FLOW_MODELS, MODELS, models_for
from forebay.models.model import BASELINE, Array, Explainable, Model
from forebay.models.references import NoChange
from forebay.tables import EXPLANATION, REFERENCES
from forebay.verify import hindcast
from forebay.verify.default import with_default
from tests import synthetic
from tests.csv_tables import daily_from_files
from tests.shared import PROJECT, needs_shared
from tests.synthetic import daily_frame, rain_gauge, small_dam
from tests.test_flags import lake

STREAM = {"role": "stream", "station": "s", "name": "Coxs River", "variable": "stream_level", "unit": "m"}
INFLOW = {"role": "inflow", "station": "i", "name": "The inflow", "variable": "inflow", "unit": "ML/d"}
RELEASE = {"role": "release", "station": "o", "variable": "release", "unit": "m3/s"}
DAM = small_dam(rain_gauge(), rain_gauge("r2"), STREAM, INFLOW, RELEASE, full_supply=100.0, hindcast={"leads": (1, 3)})
ALL = {**MODELS, **FLOW_MODELS}
Models = Mapping[str, Callable[[int], Model]]


def explain_last_day(frame: pl.DataFrame, dam: Dam, models: Models | None = None) -> tuple[pl.DataFrame, Samples]:
    """The explanation of the last forecast, after a check of the order and the sum of its contributions."""
    samples = make_samples(frame, frame, dam)
    points = with_default(hindcast.point_forecasts(samples, dam, models or models_for(dam)), samples)
    table = EXPLANATION.check(explain(samples, dam, points, yesterday=True), unique=True)
    for lead in dam.hindcast.leads:
        parts = table.filter(pl.col("lead_time") == lead)
        sizes = parts["contribution"].abs().to_list()[1:]
        assert parts["group"].to_list().index(BASELINE) == 0 and sizes == sorted(sizes, reverse=True)
        total = parts["contribution"].sum()
        assert total == pytest.approx(points["default"].changes[lead][-1], abs=1e-9)
    return table, samples


@pytest.fixture(scope="module")
def past() -> tuple[pl.DataFrame, Array]:
    """Inputs with gaps, and changes that depend on two of the inputs."""
    inputs = build_inputs(synthetic.daily(DAM, days=900), DAM).drop("date")
    change = 0.7 * inputs["last_change"].fill_null(0.0) + 0.01 * inputs["rain_lag0"].fill_null(0.0)
    return inputs, change.to_numpy() + np.random.default_rng(5).normal(0, 0.01, len(inputs))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("lead", [1, 7])
def test_contributions_sum_to_the_forecast_of_a_model(
    name: str, lead: int, past: tuple[pl.DataFrame, Array]
) -> None:
    inputs, target = past
    model = ALL[name](lead).fit(inputs, target)
    assert isinstance(model, Explainable)
    for rows in (inputs, inputs.tail(1), inputs.head(0)):
        parts = model.contributions(rows)
        assert BASELINE in parts.columns
        assert set(parts.columns) - {BASELINE} <= set(inputs.columns)
        assert len(parts) == len(rows)
        np.testing.assert_allclose(parts.sum_horizontal().to_numpy(), model.predict(rows), atol=1e-9, rtol=0)


def test_an_input_at_its_mean_contributes_nothing_to_a_linear_model() -> None:
    rng = np.random.default_rng(1)
    inputs = pl.DataFrame({"a": rng.normal(5, 1, 400), "b": rng.normal(0, 1, 400)})
    target = 2 * inputs["a"].to_numpy() + inputs["b"].to_numpy() + rng.normal(0, 0.01, 400)
    model = MODELS["huber"](1).fit(inputs, target)
    assert isinstance(model, Explainable)
    rows = pl.DataFrame({"a": [inputs["a"].mean(), 6.0], "b": [1.0, inputs["b"].mean()]})
    parts = model.contributions(rows)
    assert parts["a"].to_list() == pytest.approx([0.0, 2 * (6 - float(inputs["a"].mean()))], abs=0.02)  # type: ignore[arg-type]  # a number
    assert parts["b"].to_list() == pytest.approx([1.0 - float(inputs["b"].mean()), 0.0], abs=0.02)  # type: ignore[arg-type]  # a number
    assert parts["base"].to_list() == pytest.approx([target.mean()] * 2, abs=0.02)


@pytest.mark.slow
@settings(max_examples=6)
@given(days=st.integers(30, 620), seed=st.integers(0, 2**32 - 1))
def test_contributions_sum_to_the_forecast_of_a_blend(days: int, seed: int) -> None:
    """On records of different lengths: with all models, with fallbacks, with gaps on the last day."""
    table, _ = explain_last_day(synthetic.daily(DAM, seed=seed).head(days), DAM)
    assert set(table["lead_time"]) == {1, 3}


def test_contributions_sum_to_the_forecast_on_a_curve_over_the_lead_times() -> None:
    """A smoothed forecast has sources of every lead time."""
    dam = small_dam(rain_gauge(), hindcast={"leads": (1, 2, 3)})
    frame = synthetic.daily(dam, days=700, seed=2)
    chosen = {name: make for name, make in models_for(dam).items() if name in (*REFERENCES, "huber", "boosted_huber")}
    samples = make_samples(frame, frame, dam)
    default = with_default(hindcast.point_forecasts(samples, dam, chosen), samples)["default"]
    assert default.curves is not None
    assert not np.allclose(default.curves[-1], np.eye(3)), "the last day's curve mixes lead times"
    explain_last_day(frame, dam, chosen)


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("day", ["2012-03-01", "2013-08-20", "2020-02-08"])
def test_explanations_of_real_days_at_warragamba(day: str) -> None:
    dam = load_dam(str(PROJECT / "tests/dams/warragamba.toml"))
    last = date.fromisoformat(day)
    short = Hindcast(leads=(1,), start=last.replace(year=last.year - 1))
    dam = dam.model_copy(update={"hindcast": short})
    frame = daily_from_files(dam).filter(pl.col("date") <= last)
    table, _ = explain_last_day(frame, dam)
    words = dict(table.select("group", "words").iter_rows())
    if day == "2020-02-08":  # the first rain of the flood
        largest = table.filter(pl.col("group") != BASELINE)["group"][0]
        assert largest == "rain"
        assert "mm yesterday" in words["rain"]


def test_a_model_without_contributions_is_one_source() -> None:
    class Opaque:
        """A tenth of a metre on every day."""

        def __init__(self, lead_time: int) -> None:
            self.lead_time = lead_time

        def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
            """The model itself; it has no parameters."""
            return self

        def predict(self, inputs: pl.DataFrame) -> Array:
            """0.1 on each row."""
            return np.full(len(inputs), 0.1)

    models: Models = {"boosted_huber": Opaque, "damped_change": MODELS["damped_change"], "no_change": NoChange}
    table, _ = explain_last_day(synthetic.daily(DAM).head(400), DAM, models)
    row = table.filter(pl.col("group") == "other").row(0, named=True)
    assert (row["gauge"], row["words"]) == ("boosted_huber", "boosted_huber")
    assert row["contribution"] > 0


def test_input_source() -> None:
    columns = build_inputs(synthetic.daily(DAM).head(60), DAM).columns[1:]
    sources = {column: input_source(column, DAM) for column in columns}
    groups = {group for group, _ in sources.values()}
    assert groups == {"rain", "level", "season", "full_supply", "stream", "inflow", "release"}
    assert sources["rain_3d_api"] == sources["context_rain_14d"] == ("rain", "")
    assert sources["stream_level_s"] == sources["context_stream_level_s_anomaly_30d"] == ("stream", "Coxs River")
    assert sources["balance_inflow"] == sources["inflow_i_root"] == ("inflow", "The inflow")
    assert sources["balance_change_10d"] == sources["context_median_change_90d"] == ("level", "")
    assert sources["context_below_full"] == ("full_supply", "")
    assert input_source("snow_water", DAM) == ("other", "snow_water")
    assert input_source("snow_melt", DAM) == input_source("degree_days", DAM) == ("weather", "")


def test_input_source_of_a_forcing() -> None:
    upstream = {"role": "upstream_release", "station": "u", "name": "The upper dam", "variable": "release",
                "unit": "m3/s", "travel_time_h": 50}  # fmt: skip
    outlook = {"kind": "rain", "id": "outlook", "name": "The outlook", "unit": "mm"}
    dam = synthetic.small_dam(synthetic.rain_gauge(), upstream, forcings=[outlook, outlook | {"id": "out", "name": ""}])
    frame = synthetic.daily(dam).head(60)
    samples = make_samples(frame, frame, dam)
    ahead = {input_source(column, dam) for column in samples.forcing_inputs[7].columns}
    assert ahead == {("forcing", "The outlook"), ("forcing", "rain out")}
    due = {input_source(column, dam) for column in samples.inputs.columns if "release_u" in column}
    assert due == {("upstream_release", "The upper dam")}
    assert {"release_u_arriving", "release_u_due_1d", "release_u_due_2d"} <= set(samples.inputs.columns)


def words(*, dam: Dam = DAM, days: int = 700, **last: Sequence[float | None]) -> dict[str, str]:
    """Group → words of the last day; `last` replaces the last values of columns of a random record."""
    rng = np.random.default_rng(1)
    level = 95 + 0.1 * np.sin(np.arange(days)) + rng.normal(0, 0.05, days)
    columns_by_name = {"reservoir_level": level, "stream_level_s": rng.gamma(2, 1, days)}
    columns_by_name |= {c: rng.gamma(0.3, 8, days) for c in ("rainfall_r1", "rainfall_r2")}
    columns_by_name |= {c: rng.gamma(2, 2, days) for c in ("inflow_i", "release_o")}
    columns: dict[str, list[float | None]] = {name: values.tolist() for name, values in columns_by_name.items()}
    for name, values in last.items():
        columns[name][-len(values) :] = values
    table = explain_last_day(daily_frame(dam, columns), dam)[0].filter(pl.col("lead_time") == 1)
    return dict(table["group", "words"].iter_rows())


def test_words() -> None:
    wet = [10.0, 12.0, 9.0, 14.0, 8.0, 11.0, 30.0]
    by_group = words(
        rainfall_r1=wet,
        rainfall_r2=[*wet[:-1], 46.0],
        stream_level_s=[1.0, 3.5],
        reservoir_level=[95.0, 95.25],
        inflow_i=[40.0, 20.0],
        release_o=[3.0, 3.0],
    )
    assert by_group == {
        "base": "baseline",
        "rain": "38 mm yesterday on a wet catchment",
        "level": "level rose 0.25 m yesterday",
        "stream": "Coxs River rising (2.5 m a day)",
        "inflow": "The inflow falling (1,728 ML/d a day)",
        "release": "Release steady",
        "season": "time of year (December)",
        "full_supply": "4.8 m below full supply",
    }


def test_words_for_dry_weather_and_missing_inputs() -> None:
    dry = [0.0] * 40
    low = DAM.model_copy(update={"full_supply": ReferenceLevel(value=94.0)})
    by_group = words(
        dam=low, rainfall_r1=dry, rainfall_r2=dry, reservoir_level=[95.02, 95.02], stream_level_s=[1.0, None]
    )
    assert by_group["rain"] == "almost no rain over 3 days on a dry catchment"
    assert by_group["level"] == "level did not change yesterday"
    assert by_group["full_supply"] == "1.0 m above full supply"
    assert by_group["missing"] == "missing: Coxs River"
    without_rain = words(rainfall_r1=[None] * 5, rainfall_r2=[None] * 5, reservoir_level=[95.0, 94.95, None, 94.9])
    assert without_rain["level"] == "last known change of the level: a fall of 0.025 m a day"
    assert without_rain["rain"].startswith("past rain")
    assert without_rain["missing"].startswith("missing: ")
    assert "rain of some days" in without_rain["missing"]


def test_rain_has_the_unit_of_the_rain_gauges() -> None:
    gauges = [g.model_copy(update={"unit": "in"}) if g.role == "rainfall" else g for g in DAM.gauges]
    by_group = words(dam=DAM.model_copy(update={"gauges": tuple(gauges)}), rainfall_r1=[38.1], rainfall_r2=[38.1])
    assert by_group["rain"].startswith("1.5 in yesterday")


def description(dam: Dam, group: str, levels: Sequence[float | None]) -> str:
    """The description of a source that is no gauge, on the last day of a record of `levels`."""
    frame = daily_frame(dam, {dam.target_gauge.column: levels})
    return _Descriptions(make_samples(frame, frame, dam), dam, "yesterday").of((group, ""))


@pytest.mark.parametrize(
    ("levels", "level", "since"),
    [
        ([95.0, 95.5, 95.25], "level fell 0.25 m yesterday", None),
        ([95.0, 95.5, 95.25, None], "last known change of the level: a fall of 0.25 m a day", 2),
        ([95.0, 95.5, 95.25, 96.25, None, None, None], "last known change of the level: a rise of 1.0 m a day", 3),
        ([95.0, None, None], "no known change of the level", 0),
    ],
)
def test_words_on_a_level_that_is_missing(levels: list[float | None], level: str, since: int | None) -> None:
    dam = small_dam(rain_gauge())
    assert description(dam, "level", levels) == level
    if since is not None:
        day = synthetic.FIRST_DAY + timedelta(days=since)
        assert description(dam, "since_level", levels) == f"days since the last level ({day})"


@pytest.mark.parametrize(
    ("variable", "unit", "word", "title"),
    [("reservoir_level", "ft", "level", "reservoir level"), ("storage", "GL", "storage", "storage")],
)
def test_words_call_the_target_by_its_name_and_unit(variable: str, unit: str, word: str, title: str) -> None:
    target = {"role": "target", "station": "lake", "variable": variable, "unit": unit}
    day = synthetic.FIRST_DAY + timedelta(days=2)
    full_supply = {"dated": [{"from": synthetic.FIRST_DAY, "value": 60.0}, {"from": day, "value": 90.0}]}
    dam = small_dam(target, unit=unit, full_supply=full_supply)
    levels = [70.0, 70.5, 70.75]
    assert description(dam, "level", levels) == f"{word} rose 0.25 {unit} yesterday"
    assert description(dam, "full_supply", levels) == f"19 {unit} below full supply"
    assert description(dam, "full_supply", levels[:2]) == f"10 {unit} above full supply"
    assert description(dam, "limit", levels) == f"limit of the possible {title}"


@pytest.mark.parametrize(("keys", "sign"), [({"crest_level": 95.3}, -1), ({"lowest_level": 95.3}, 1)])
def test_what_keeps_a_forecast_within_the_limits_is_a_source(keys: dict[str, float], sign: int) -> None:
    """The lake rises or falls by 0.2 m a day, and stands 0.1 m before the limit."""
    dam = small_dam(rain_gauge(), hindcast={"leads": (1, 3)}, **keys)
    levels = 95.3 + sign * (0.1 - 0.2 * (np.arange(60) - 59))
    frame = daily_frame(dam, {"reservoir_level": levels.tolist(), "rainfall_r1": [0.0] * 60})
    samples = make_samples(frame, frame, dam)
    models: Models = {"boosted_huber": MODELS["last_change"], "damped_change": MODELS["damped_change"]}
    points = with_default(hindcast.point_forecasts(samples, dam, models), samples)
    table = explain(samples, dam, points, yesterday=True)
    for lead in (1, 3):
        parts = table.filter(pl.col("lead_time") == lead)
        assert parts["contribution"].sum() == pytest.approx(95.3 - levels[-1], abs=1e-9)
        assert sign * parts.filter(pl.col("group") == "limit")["contribution"].item() > 0


@pytest.mark.parametrize(("rise", "text"), [(20.0, "steady"), (-20.0, "steady"), (30.0, "rising"), (-30.0, "falling")])
def test_a_gauge_is_steady_if_its_rise_is_in_the_lowest_quarter(rise: float, text: str) -> None:
    """The rises before are 0.01, −0.02, 0.03 … 1.0 m, in another order."""
    dam = small_dam(STREAM)
    rises = np.arange(1, 101) * np.where(np.arange(100) % 2, -0.01, 0.01)
    stream = 5 + np.append(0.0, np.cumsum([*np.random.default_rng(1).permutation(rises), rise / 100]))
    frame = daily_frame(dam, {"reservoir_level": [95.0] * 102, "stream_level_s": stream.tolist()})
    samples = make_samples(frame, frame, dam)
    words = _Descriptions(samples, dam, "yesterday").of(("stream", "Coxs River"))
    assert words.startswith(f"Coxs River {text}")


def test_a_reference_is_explained_from_the_input_as_it_is() -> None:
    """The last rise is far outside experience: the models use the nearest value that they accept, references do not."""
    dam = small_dam(hindcast={"leads": (1, 3)})
    levels = [*lake(days=90), 120.0]
    models: Models = {name: MODELS[name] for name in ("last_change", "damped_change")}
    models = {**models, "boosted_huber": MODELS["last_change"]}
    table, samples = explain_last_day(daily_frame(dam, {"reservoir_level": levels}), dam, models)
    assert samples.suspect_reason is None
    assert (table.filter(pl.col("group") == "level")["contribution"].abs() > 0.1).all()


def test_two_gauges_of_a_kind_are_no_single_gauge() -> None:
    dam = small_dam(INFLOW, INFLOW | {"station": "j", "name": "Another"}, RELEASE)
    assert input_source("balance_inflow", dam) == ("inflow", "")
    assert input_source("balance_release_10d", dam) == ("release", "Release")


def test_weather_is_what_the_gauges_measure() -> None:
    evaporation = {"role": "evaporation", "station": "e", "variable": "evaporation", "unit": "mm"}
    snow = {"role": "snow", "station": "w", "variable": "snow_water_equivalent", "unit": "mm"}
    warm = {"role": "temperature", "station": "t", "variable": "temperature", "unit": "degC"}
    assert weather_title(synthetic.small_dam(evaporation)) == "evaporation"
    assert weather_title(synthetic.small_dam(evaporation, warm, snow)) == "temperature, evaporation and snow"
    assert weather_title(synthetic.small_dam(warm, snow)) == "temperature and snow"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0004, "0.000"), (0.025, "0.025"), (0.25, "0.25"), (9.96, "10.0"), (12.0, "12"), (0.0, "0")]
)
def test_amounts(value: float, text: str) -> None:
    assert amount(value) == text
