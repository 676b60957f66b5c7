"""The water balance on simulated reservoirs with a closed balance."""

import numpy as np
import polars as pl
import pytest

from forebay.dams.curves import StorageCurve
from forebay.dams.dam import Dam
from forebay.errors import ModelError
from forebay.features.inputs import build_inputs
from forebay.models import FLOW_MODELS, MODELS, models_for
from forebay.models.balance import Balance
from forebay.models.boosting import Trees
from forebay.models.model import Array
from forebay.models.regression import Huber
from tests.synthetic import daily_frame, rain_gauge, small_dam

DAYS = 800
ML_PER_M3S = 86.4  # volume of 1 m3/s in a day
INFLOW = {"role": "inflow", "station": "in", "variable": "inflow", "unit": "m3/s"}
RELEASE = {"role": "release", "station": "out", "variable": "release", "unit": "m3/s"}
STORAGE = {"role": "target", "station": "lake", "variable": "storage", "unit": "ML"}
PERCENT = STORAGE | {"variable": "storage_percent", "unit": "%"}
AREA = StorageCurve(level_unit="m", storage_unit="ML", points=((0.0, 0.0), (100.0, 100_000.0), (200.0, 400_000.0)))
"""1 ML is 1 mm below a level of 100 m, and 1/3 mm above it."""


def random_flows(*, seed: int = 1) -> tuple[Array, Array]:
    """Inflow in floods that recede by 0.8 a day down to 5 m3/s, and a release that changes every 20 days."""
    rng = np.random.default_rng(seed)
    excess = np.zeros(DAYS)
    for day in range(1, DAYS):
        excess[day] = 0.8 * excess[day - 1] + (rng.exponential(60.0) if rng.random() < 0.05 else 0.0)
    release = np.repeat(rng.uniform(5, 25, DAYS // 20), 20)
    return 5 + excess, release


def storage_of(inflow: Array, release: Array) -> Array:
    """Storage (ML), daily means: the change to a day is the mean of the balances of that day and the day before."""
    net = (inflow - release) * ML_PER_M3S
    return np.asarray(200_000 + np.concatenate([[0.0], np.cumsum((net[1:] + net[:-1]) / 2)]))


def inputs_of(dam: Dam, target: Array, inflow: Array | None, release: Array | None) -> pl.DataFrame:
    """Inputs of the days of a record, without the flows that are None."""
    columns = {dam.target.variable: target.tolist()}
    columns |= {"inflow_in": inflow.tolist()} if inflow is not None else {}
    columns |= {"release_out": release.tolist()} if release is not None else {}
    return build_inputs(daily_frame(dam, columns), dam).drop("date")


def split(inputs: pl.DataFrame, target: Array, lead: int) -> tuple[pl.DataFrame, Array]:
    """Inputs and observed changes for a fit."""
    return inputs.head(-lead), target[lead:] - target[:-lead]


def test_an_exact_balance_gives_a_factor_of_one_and_the_recession_of_the_river() -> None:
    dam = small_dam(STORAGE, INFLOW, RELEASE, unit="ML")
    inflow, release = random_flows()
    storage = storage_of(inflow, release)
    model = Balance(1).fit(*split(inputs_of(dam, storage, inflow, release), storage, 1))
    assert model.factor_ == pytest.approx(1.0, abs=1e-9)
    assert model.persistence_ == 1.0
    assert model.recession_ == pytest.approx(0.8, abs=0.06)


def test_the_forecast_of_steady_flows_is_exact() -> None:
    """After floods the flows are steady: the storage falls by their difference each day."""
    dam = small_dam(STORAGE, INFLOW, RELEASE, unit="ML")
    inflow, release = random_flows()
    inflow[-30:], release[-30:] = 12.0, 20.0
    storage = storage_of(inflow, release)
    inputs = inputs_of(dam, storage, inflow, release)
    for lead in (1, 7):
        model = Balance(lead).fit(*split(inputs.head(-40), storage[:-40], lead))
        assert model.predict(inputs.tail(1))[0] / model.persistence_ == pytest.approx(-8 * ML_PER_M3S * lead)


def test_unmeasured_flows_continue() -> None:
    """A release of 7 m3/s that no gauge reports lowers the forecast by 7 m3/s."""
    dam = small_dam(STORAGE, INFLOW, unit="ML")
    inflow, _ = random_flows()
    inflow[-30:] = 12.0
    storage = storage_of(inflow, np.full(DAYS, 7.0))
    inputs = inputs_of(dam, storage, inflow, None)
    model = Balance(1).fit(*split(inputs.head(-40), storage[:-40], 1))
    assert model.factor_ == pytest.approx(1.0, abs=1e-6)
    assert model.predict(inputs.tail(1))[0] / model.persistence_ == pytest.approx(5 * ML_PER_M3S)


def test_the_factor_of_a_storage_percentage_is_learned() -> None:
    """Full at 400,000 ML: 1 ML is 1/4000 %."""
    dam = small_dam(PERCENT, INFLOW, RELEASE, unit="%")
    inflow, release = random_flows()
    percent = storage_of(inflow, release) / 4000
    model = Balance(3).fit(*split(inputs_of(dam, percent, inflow, release), percent, 3))
    assert model.factor_ == pytest.approx(1 / 4000, rel=1e-9)


@pytest.mark.parametrize(("unit", "megalitres"), [("ML", 1.0), ("GL", 1000.0), ("ac-ft", 1.23348184)])
def test_a_flow_fills_a_storage_in_the_unit_of_the_dam_file(unit: str, megalitres: float) -> None:
    dam = small_dam(STORAGE | {"unit": unit}, INFLOW, unit=unit)
    inputs = inputs_of(dam, np.full(3, 50.0), np.array([1.0, 2.0, 3.0]), None)
    assert inputs["balance_inflow"].to_list() == pytest.approx([86.4 * k / megalitres for k in (1, 2, 3)])


@pytest.mark.parametrize(("unit", "metres"), [("m", 1.0), ("ft", 0.3048)])
def test_a_level_takes_its_area_from_the_storage_curve(unit: str, metres: float) -> None:
    """1 m3/s is 86.4 ML a day: 86.4 mm below 100 m, 28.8 mm above, missing beyond the curve."""
    dam = small_dam(INFLOW, unit=unit, storage_curves=[AREA])
    level = np.array([50.0, 99.0, 101.0, 150.0, 250.0]) / metres
    inputs = inputs_of(dam, level, np.array([1.0, 2.0, 1.0, -1.0, 1.0]), None)
    expected = np.array([0.0864, 0.1728, 0.0288, -0.0288]) / metres
    assert inputs["balance_inflow"].to_list()[:4] == pytest.approx(expected.tolist())
    assert inputs["balance_inflow"][4] is None
    assert inputs["balance_expected"][1] == pytest.approx((0.0864 + 0.1728) / 2 / metres)


def test_a_sum_of_some_gauges_is_no_inflow() -> None:
    dam = small_dam(STORAGE, INFLOW, INFLOW | {"station": "b"}, unit="ML")
    frame = daily_frame(dam, {"storage": [1.0, 2.0], "inflow_in": [1.0, 1.0], "inflow_b": [2.0, None]})
    assert build_inputs(frame, dam)["balance_inflow"].to_list() == [pytest.approx(3 * ML_PER_M3S), None]


def test_the_release_of_the_upstream_dam_replaces_an_inflow_gauge() -> None:
    upstream = {"role": "upstream_release", "station": "up", "variable": "release", "unit": "m3/s"}
    dam = small_dam(STORAGE, upstream, RELEASE, unit="ML")
    frame = daily_frame(dam, {"storage": [1.0, 2.0], "release_up": [2.0, 3.0], "release_out": [1.0, 1.0]})
    assert build_inputs(frame, dam)["balance_inflow"].to_list() == pytest.approx([2 * ML_PER_M3S, 3 * ML_PER_M3S])


def test_without_flows_the_median_change_continues() -> None:
    """All flows are missing for more than 10 days: the forecast is 3 times the median daily change of 30 days."""
    dam = small_dam(STORAGE, INFLOW, RELEASE, unit="ML")
    inflow, release = random_flows()
    storage = storage_of(inflow, release)
    storage[-60:] = storage[-60] + 10.0 * np.arange(60)
    no_inflow = inputs_of(dam, storage, np.where(np.arange(DAYS) < DAYS - 20, inflow, np.nan), release)
    model = Balance(3).fit(*split(no_inflow, storage, 3))
    assert model.predict(no_inflow.tail(1))[0] == pytest.approx(3 * 10.0 * model.persistence_)


@pytest.mark.parametrize(("lead", "days"), [(1, 0.5), (3, 0.5 + 0.25 + 0.125)])
def test_the_last_balance_error_decays_from_the_first_day_on(lead: int, days: float) -> None:
    """The change exceeds that of the flows by 2 ML today. The forecast has half of it tomorrow and a quarter later.

    The medians of the flows and changes agree, so that there is no other balance error.
    """
    dam = small_dam(STORAGE, INFLOW, RELEASE, unit="ML")
    inflow, release = random_flows()
    storage = storage_of(inflow, release)
    model = Balance(lead).fit(*split(inputs_of(dam, storage, inflow, release), storage, lead))
    model.factor_, model.memory_ = 1.0, 0.5
    flows = {"inflow": 10.0, "release": 5.0, "expected": 5.0, "change": 5.0}
    row = {f"balance_{name}{end}": [value] for name, value in flows.items() for end in ("", "_10d")}
    inputs = pl.DataFrame(row | {"balance_change": [7.0], "median_change_30d": [0.0]})
    assert model.contributions(inputs)["balance_change"].to_list() == [pytest.approx(2.0 * days)]


def test_contributions_sum_to_the_forecast() -> None:
    dam = small_dam(STORAGE, INFLOW, RELEASE, unit="ML")
    inflow, release = random_flows()
    storage = storage_of(inflow, release) + np.random.default_rng(3).normal(0, 50, DAYS)
    inputs = inputs_of(dam, storage, inflow, release)
    model = Balance(3).fit(*split(inputs, storage, 3))
    parts = model.contributions(inputs)
    assert set(parts.columns) == {"balance_change_10d", "balance_inflow", "balance_release", "balance_change", "base"}
    np.testing.assert_allclose(parts.sum_horizontal(), model.predict(inputs), atol=1e-9)


def test_missing_gauges_and_too_few_days_are_refused() -> None:
    inflow, release = random_flows()
    storage = storage_of(inflow, release)
    dry = small_dam(STORAGE, rain_gauge(), unit="ML")
    with pytest.raises(ModelError, match="needs an inflow or a release gauge, but the dam has neither"):
        Balance(1).fit(*split(inputs_of(dry, storage, None, None), storage, 1))
    dam = small_dam(STORAGE, INFLOW, RELEASE, unit="ML")
    inputs = inputs_of(dam, storage, inflow, release)
    with pytest.raises(ModelError, match="needs at least 200 past days to learn from, but there are 60"):
        Balance(1).fit(inputs.head(60), storage[:60])
    no_inflow = inputs_of(dam, storage, np.full(DAYS, np.nan), release)
    with pytest.raises(ModelError, match="at least 30 past days whose flows and change are known .* there are 0"):
        Balance(1).fit(*split(no_inflow, storage, 1))


def test_a_dam_has_the_model_only_with_its_gauges() -> None:
    assert models_for(small_dam(rain_gauge())) == MODELS
    for gauge in (INFLOW, RELEASE):
        assert models_for(small_dam(gauge)) == MODELS | FLOW_MODELS


def test_other_models_do_not_use_the_balance_inputs() -> None:
    dam = small_dam(STORAGE, INFLOW, RELEASE, unit="ML")
    inflow, release = random_flows()
    storage = storage_of(inflow, release)
    samples = split(inputs_of(dam, storage, inflow, release), storage, 1)
    for model in (Huber(1).fit(*samples), Trees(1).fit(*samples)):
        assert not any(column.startswith("balance_") for column in model.columns_)
