"""Days outside experience: values outside the range of the training days."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.features.experience import experience, outside_days
from forebay.features.outages import Outages
from forebay.features.samples import Samples, make_samples
from forebay.forecasts.limitations import LOWER_BOUND, outside_experience
from forebay.models import MODELS
from forebay.verify import hindcast, verification
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam
from tests.test_flags import lake

DAYS = 100
REFITS = [20, 60]
LEAD = 3
DAM = small_dam(rain_gauge())


def samples_from(**columns: list[float] | np.ndarray) -> Samples:
    """Samples with `columns`; other inputs and the level are 0."""
    zero = np.zeros(DAYS)
    values = {name: np.asarray(columns.get(name, zero), float) for name in ("rain_lag0", "api", "last_change", "level")}
    level = values.pop("level")
    dates = np.datetime64(FIRST_DAY, "D") + np.arange(DAYS)
    inputs = pl.DataFrame({name: pl.Series(column, nan_to_null=True) for name, column in values.items()})
    return Samples(dates, inputs, level, level, level, {"all": np.ones(DAYS, bool)})


def outside_indices(samples: Samples) -> list[int]:
    return np.flatnonzero(outside_days(experience(samples, DAM, REFITS, LEAD), DAYS)).tolist()


def spikes(*days: int, value: float = 1.0) -> np.ndarray:
    values = np.zeros(DAYS)
    values[list(days)] = value
    return values


def test_days_outside_the_range_of_the_training_days() -> None:
    """A fit on day 20 uses days until 16, a fit on day 60 days until 56: afterwards such a spike is inside."""
    for name in ("rain_lag0", "api", "last_change", "level"):
        assert outside_indices(samples_from(**{name: spikes(10, 30, 50, value=2.0)})) == []
        assert outside_indices(samples_from(**{name: spikes(16, 30)})) == []
        assert outside_indices(samples_from(**{name: spikes(17, 30)})) == [30]
        assert outside_indices(samples_from(**{name: spikes(30, 40, 70)})) == [30, 40]
        assert outside_indices(samples_from(**{name: spikes(57, 70)})) == [57, 70]


def test_the_experience_of_a_hindcast_is_that_of_its_longest_lead_time(monkeypatch: pytest.MonkeyPatch) -> None:
    models = {name: MODELS[name] for name in ("damped_change", "climatology")}
    models |= {"boosted_huber": MODELS["last_change"]}
    monkeypatch.setattr(verification, "models_for", lambda dam: models)
    dam = small_dam(rain_gauge(), hindcast={"leads": (1, 30)})
    rain = np.where(np.arange(420) % 30 == 0, np.arange(420.0), 0.0).tolist()  # each storm exceeds those before
    frame = daily_frame(dam, {"reservoir_level": lake(days=420), "rainfall_r1": rain})
    samples = make_samples(frame, frame, dam)
    refits = hindcast.refit_days(samples.dates, hindcast.first_origin(samples, dam))
    outside = verification.verify_hindcast(samples, dam, frame).outside
    assert outside.equals(experience(samples, dam, refits, 30))
    assert not outside.equals(experience(samples, dam, refits, 1))


@pytest.mark.parametrize(("role", "variable", "indices"), [
    ("upstream_level", "reservoir_level", [30, 40]), ("stream", "stream_level", [40]), ("inflow", "inflow", [40]),
])  # fmt: skip
def test_of_the_gauges_only_an_upstream_lake_can_be_too_low(role: str, variable: str, indices: list[int]) -> None:
    """The value is 1, on day 30 it is 0 and on day 40 it is 2."""
    unit = "m3/s" if variable == "inflow" else "m"
    dam = small_dam({"role": role, "station": "u", "variable": variable, "unit": unit})
    samples = samples_from()
    values = np.ones(DAYS) + spikes(40) - spikes(30)
    samples = replace(samples, inputs=samples.inputs.with_columns(pl.Series(f"{variable}_u", values)))
    table = experience(samples, dam, REFITS, LEAD)
    assert table.filter("outside")["day"].to_list() == indices


def test_low_levels_and_falls_count_and_dry_days_do_not() -> None:
    fallen = spikes(30, value=-1.0)
    assert outside_indices(samples_from(level=fallen)) == outside_indices(samples_from(last_change=fallen)) == [30]
    wet_before = np.where(np.arange(DAYS) < 25, 5.0, 0.0)
    assert outside_indices(samples_from(rain_lag0=wet_before, api=wet_before)) == []


def test_missing_inputs_are_not_outside() -> None:
    assert outside_indices(samples_from(rain_lag0=np.full(DAYS, np.nan))) == []
    until = np.where(np.arange(DAYS) < 30, np.nan, 1.0)
    assert outside_indices(samples_from(rain_lag0=until)) == [], "no range learned yet"
    without = replace(samples_from(level=spikes(30)), inputs=pl.DataFrame({"last_change": np.zeros(DAYS)}))
    assert outside_indices(without) == [30], "the level counts on a dam without rain gauges"


@given(st.integers(0, 1000), st.integers(0, DAYS - 1))
def test_no_day_depends_on_later_values(seed: int, day: int) -> None:
    rng = np.random.default_rng(seed)
    names = ("rain_lag0", "api", "last_change", "level")
    before = {name: rng.normal(size=DAYS) for name in names}
    after = {name: np.where(np.arange(DAYS) <= day, v, rng.normal(scale=50, size=DAYS)) for name, v in before.items()}
    first, second = (
        outside_days(experience(samples_from(**columns), DAM, REFITS, LEAD), DAYS) for columns in (before, after)
    )
    np.testing.assert_array_equal(first[: day + 1], second[: day + 1])


@pytest.mark.parametrize(
    ("columns", "sentences"),
    [
        ({}, []),
        (
            {"rain_lag0": spikes(DAYS - 1, value=312.0) + spikes(5, value=142.0)},
            ["catchment rain of the last day, 312 mm, is above the range of the training days (maximum 142 mm)"],
        ),
        (
            {"level": spikes(DAYS - 1, value=-4.0) + spikes(5, value=2.0), "api": spikes(DAYS - 1, value=80.0)},
            [
                "wetness of the catchment (antecedent precipitation index), 80 mm, is above the range of the training "
                "days (maximum 0 mm)",
                "level, −4 m, is below the range of the training days (minimum 0 m)",
            ],
        ),
    ],
)
def test_sentences_on_the_last_day(columns: dict[str, np.ndarray], sentences: list[str]) -> None:
    samples = samples_from(**columns)
    notes = outside_experience(experience(samples, DAM, REFITS, LEAD), samples, DAM)
    assert sorted(notes) == sorted(f"Outside experience: {text}: {LOWER_BOUND}." for text in sentences)


def test_a_suspect_level_that_is_not_used_is_no_experience() -> None:
    samples = samples_from(level=spikes(DAYS - 1, value=-4.0))
    assert samples.outages is None
    outages = Outages(samples.level, np.ones(DAYS, int), np.zeros(DAYS, int))
    suspect = replace(samples, suspect_reason="jump", outages=outages)
    assert len(outside_experience(experience(samples, DAM, REFITS, LEAD), samples, DAM)) == 1
    assert outside_experience(experience(suspect, DAM, REFITS, LEAD), suspect, DAM) == ()


def test_sentences_have_the_units_of_the_dam_file() -> None:
    stream = {"role": "stream", "station": "s", "name": "The creek", "variable": "stream_level", "unit": "ft"}
    dam = small_dam(rain_gauge(unit="in"), stream, unit="ft")
    samples = samples_from(rain_lag0=spikes(DAYS - 1, value=254.0) + spikes(5, value=25.4), level=spikes(DAYS - 1))
    creek = pl.Series("stream_level_s", spikes(DAYS - 1, value=3.048) + spikes(5, value=0.6096))
    samples = replace(samples, inputs=samples.inputs.with_columns(creek))
    notes = outside_experience(experience(samples, dam, REFITS, LEAD), samples, dam)
    texts = (
        "catchment rain of the last day, 10 in, is above the range of the training days (maximum 1 in)",
        "The creek, 10 ft, is above the range of the training days (maximum 2 ft)",
        "level, 1 ft, is above the range of the training days (maximum 0 ft)",
    )
    assert notes == tuple(f"Outside experience: {text}: {LOWER_BOUND}." for text in texts)
