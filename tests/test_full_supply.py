"""Days near and above full supply."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forebay.dams.dam import Dam
from forebay.features.full_supply import full_supply_regimes, near_full_margin
from forebay.features.samples import make_samples
from forebay.models.response import RESPONSES
from forebay.verify.responses import response_of, with_response
from tests import synthetic
from tests.synthetic import small_dam

DAYS = pl.Series([date(2012, 1, 1), date(2031, 7, 1)])
STORAGE = {"role": "target", "station": "lake", "variable": "storage", "unit": "ML"}
PERCENT = STORAGE | {"variable": "storage_percent", "unit": "%"}
DATED = {"dated": [{"from": "2010-01-01", "value": 5000.0}, {"from": "2030-01-01", "value": 6000.0}]}
RULE_CURVE = {"rule_curve": [{"day": "01-01", "value": 5000.0}, {"day": "07-01", "value": 7000.0}]}


@pytest.mark.parametrize(
    ("dam", "margins"),
    [
        (small_dam(), [0.5, 0.5]),
        (small_dam(unit="ft"), [0.5 / 0.3048] * 2),
        (small_dam(hindcast={"near_full_margin": 0.2}), [0.2, 0.2]),
        (small_dam(STORAGE, unit="ML"), [2.0, 2.0]),
        (small_dam(STORAGE, unit="ML", full_supply=5000.0), [100.0, 100.0]),
        (small_dam(STORAGE, unit="ML", full_supply=DATED), [100.0, 120.0]),
        (small_dam(STORAGE, unit="ML", full_supply=RULE_CURVE), [100.0, 140.0]),
        (small_dam(PERCENT, unit="%", full_supply=129.2), [2.0, 2.0]),
    ],
)
def test_the_margin_of_each_day(dam: Dam, margins: list[float]) -> None:
    assert near_full_margin(dam, DAYS).to_list() == pytest.approx(margins)


def test_a_flood_pool_is_no_day_near_full() -> None:
    dam, days = small_dam(full_supply=100.0), pl.Series([date(2012, 1, 1)] * 6)
    level = np.array([99.4, 99.5, 100.0, 100.5, 100.6, np.nan])
    regimes = full_supply_regimes(dam, days, level)
    assert regimes["near_full"].tolist() == [False, True, True, True, False, False]
    assert regimes["above_full"].tolist() == [False, False, False, False, True, False]
    assert full_supply_regimes(small_dam(), days, level) == {}


@pytest.mark.parametrize("variable", ["reservoir_level", "storage"])
@pytest.mark.parametrize(
    "change",
    ["full supply", "thresholds", "storage curve", "datum offset", "notes"],
)
def test_a_later_entry_of_the_dam_file_changes_no_earlier_day(variable: str, change: str) -> None:
    """Inputs and regimes of days before the entry are equal to the last bit, whatever the entry says."""
    unit = {"reservoir_level": "m", "storage": "ML"}[variable]
    target = {"role": "target", "station": "lake", "variable": variable, "unit": unit}
    day = synthetic.FIRST_DAY + timedelta(days=300)
    curve = {"level_unit": "m", "storage_unit": "ML", "points": [(0.0, 0.0), (200.0, 2e5)]}
    later_curve = curve | {"valid_from": day, "points": [(0.0, 0.0), (90.0, 1e4), (200.0, 9e5)]}
    full_supply = {"from": synthetic.FIRST_DAY, "value": 95.0}
    before: dict[str, object] = {"full_supply": {"dated": [full_supply]}, "storage_curves": [curve]}
    after = {
        "full supply": {"full_supply": {"dated": [full_supply, {"from": day, "value": 160.0}]}},
        "thresholds": {"thresholds": [{"name": "Minor flood", "level": {"dated": [{"from": day, "value": 99.0}]}}]},
        "storage curve": {"storage_curves": [curve, later_curve]},
        "datum offset": {"datum_offsets": [{"from": day, "offset": 3.0, "reason": "new survey"}]},
        "notes": {"notes": "Full supply was raised by 60 m."},
    }[change]
    gauges = (target, synthetic.rain_gauge(), {"role": "inflow", "station": "i", "variable": "inflow", "unit": "m3/s"})
    hindcast = {"leads": [1, 3]}
    dams = [small_dam(*gauges, unit=unit, hindcast=hindcast, **facts) for facts in (before, before | after)]
    samples = []
    for dam in dams:
        frame = synthetic.daily(dam, days=520)
        samples.append(make_samples(frame, frame, dam))
    first, second = (s.inputs.with_columns(**{n: pl.Series(m) for n, m in s.regimes.items()}) for s in samples)
    assert_frame_equal(first.head(300), second.head(300), check_exact=True)
    np.testing.assert_array_equal(samples[0].level[:300], samples[1].level[:300])
    known = [sample.full_supply.head(300) for sample in samples if sample.full_supply is not None]
    for lead in (1, 3):
        np.testing.assert_array_equal(known[0].level_ahead[lead], known[1].level_ahead[lead])
    assert samples[0].regimes["near_full"][:300].any()


def test_a_rule_curve_is_known_ahead_and_a_dated_value_is_not() -> None:
    days = pl.Series([date(2021, 12, 31), date(2029, 12, 31)])
    rule = small_dam(STORAGE, unit="ML", full_supply=RULE_CURVE).full_supply
    dated = small_dam(STORAGE, unit="ML", full_supply=DATED).full_supply
    assert rule is not None and dated is not None
    assert rule.expected_on(days, 1).to_list() == [5000.0, 5000.0]
    assert dated.expected_on(days, 1).to_list() == [5000.0, 5000.0], "6,000 from 1 January 2030 on is not known yet"


def test_the_response_holds_a_lake_at_the_full_supply_of_the_valid_date() -> None:
    """The rule curve rises by 1.0 a day, so each cap is 2.0 higher at 3 days than at 1 day."""
    points = [{"day": "01-01", "value": 0.0}, {"day": "04-10", "value": 100.0}]  # 100 days of a leap year
    dam = small_dam(full_supply={"rule_curve": points}, hindcast={"leads": [1, 3]})
    frame = synthetic.daily(dam, days=600)
    samples = make_samples(frame, frame, dam)
    assert samples.full_supply is not None
    start = samples.full_supply.level - 0.1
    rise = np.full((len(start), 2, 1), 20.0)
    samples = replace(samples, trusted=np.full(len(start), np.nan), level=start, outages=None)
    weights = response_of(rise, samples, [1, 3], [0.5])
    assert weights is not None
    held = with_response(rise, start, samples, weights, leads=[1, 3])[:, :, 0]
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    share_held = sum(weights[:, 0, 0, k] * (1 - response.share) for k, response in enumerate(RESPONSES))
    np.testing.assert_allclose((held[:, 1] - held[:, 0])[:54], 2.0 * share_held[:54], rtol=1e-9)  # before 29 February
