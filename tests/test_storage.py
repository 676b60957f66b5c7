"""`forebay.forecasts.storage`: level, storage and percentage of forecasts; what is unknown is null with its reason."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.dams.curves import StorageCurve
from forebay.dams.dam import Dam
from forebay.dams.thresholds import ReferenceLevel
from forebay.forecasts.storage import add_storage
from forebay.tables import FORECASTS, STORAGE_FORECASTS
from tests import synthetic
from tests.test_curves import curves, shares

INIT = date(2021, 4, 14)
POINTS = ((90.0, 0.0), (95.0, 0.0), (100.0, 1000.0), (110.0, 4000.0))


def make_dam(variable: str = "reservoir_level", unit: str = "m", **keys: object) -> Dam:
    """A dam whose curve has 1000 ML at its full supply level, 100 m; `keys` replace keys of its dam file."""
    dam = synthetic.dam()
    curve = StorageCurve(level_unit="m", storage_unit="ML", survey_date=date(2011, 6, 30), points=POINTS)
    target = dam.target.model_copy(update={"variable": variable, "unit": unit})
    return dam.model_copy(update={"target": target, "storage_curves": (curve,), **keys})


def columns_of(dam: Dam, *levels: float | None, withheld_from: date | None = None) -> pl.DataFrame:
    """The storage columns of forecasts of `levels` for the days after `INIT`."""
    days = [INIT + timedelta(days=k + 1) for k in range(len(levels))]
    table = pl.DataFrame({"init_date": [INIT] * len(levels), "valid_date": days, "level": levels}, strict=False)
    return add_storage(table, dam, INIT, withheld_from)


def test_a_level_has_storage_and_percentage_with_their_units_survey_and_denominator() -> None:
    table = columns_of(make_dam(), 97.5, 110.0)
    assert table.to_dicts()[1] == {
        "init_date": INIT,
        "valid_date": date(2021, 4, 16),
        "level": 110.0,
        "reservoir_level": 110.0,
        "level_unit": "m",
        "storage": 4000.0,
        "storage_unit": "ML",
        "airspace": -3000.0,
        "survey_date": date(2011, 6, 30),
        "storage_percent": 400.0,
        "percent_of": "storage at full supply level 100 m: 1,000 ML (survey 2011-06-30)",
        "storage_note": None,
    }
    assert table["storage"].to_list() == [500.0, 4000.0]
    assert table["storage_percent"].to_list() == [50.0, 400.0]
    assert table["airspace"].to_list() == [500.0, -3000.0], "the volume up to full supply; above it negative"


def test_the_columns_are_those_of_the_contract() -> None:
    dam = make_dam()
    forecasts = synthetic.forecasts(dam, synthetic.daily(dam), [INIT])
    table = add_storage(forecasts, dam, INIT)
    assert table.columns == list(STORAGE_FORECASTS.columns)
    assert STORAGE_FORECASTS.check(table, unique=True).select(list(FORECASTS.columns)).equals(forecasts)


@pytest.mark.parametrize(
    ("level", "side"), [(89.9, "below"), (110.1, "above")]
)  # fmt: skip
def test_a_level_beyond_the_curve_is_unknown_and_never_extrapolated(level: float, side: str) -> None:
    (row,) = columns_of(make_dam(), level).to_dicts()
    assert row["storage"] is None
    assert row["storage_percent"] is None
    assert row["storage_note"] == f"storage and % are unknown: the level is {side} the storage curve, 90 to 110 m"


def test_an_empty_lake_on_the_curve_has_0_percent() -> None:
    assert columns_of(make_dam(), 94.0)["storage_percent"].to_list() == [0.0]


@pytest.mark.parametrize(
    ("keys", "storage", "note"),
    [
        ({"storage_curves": ()}, None, "storage and % are unknown: the dam file has no storage curve"),
        ({"full_supply": None}, 500.0, "% is unknown: the dam file has no full supply level"),
        (
            {"full_supply": ReferenceLevel(value=110.5)},
            500.0,
            "% is unknown: full supply level 110.5 m is beyond the storage curve, 90 to 110 m",
        ),
        (
            {"full_supply": ReferenceLevel(value=94.0)},
            500.0,
            "% is unknown: the storage at full supply is not above 0",
        ),
        (
            {"storage_curves": (StorageCurve(level_unit="m", storage_unit="ML", points=POINTS,
                                             valid_from=INIT + timedelta(days=1)),)},
            None,
            "storage and % are unknown: no storage curve is in force on 2021-04-14",
        ),
    ],
    ids=["no curve", "no full supply", "full supply beyond the curve", "no storage at full supply", "later curve"],
)  # fmt: skip
def test_an_unknown_capacity_is_null_with_its_reason_and_never_0_percent(
    keys: dict[str, object], storage: float | None, note: str
) -> None:
    (row,) = columns_of(make_dam(**keys), 97.5).to_dicts()
    assert row["storage"] == storage
    assert row["storage_percent"] is None
    assert row["percent_of"] is None
    assert row["storage_note"] == note


def test_after_an_unstated_change_of_the_datum_storage_is_unknown() -> None:
    (row,) = columns_of(make_dam(), 97.5, withheld_from=date(2021, 4, 2)).to_dicts()
    assert row["storage"] is None
    assert row["storage_note"] == (
        "storage and % are unknown: the datum of the level seems to have changed on 2021-04-02"
    )
    (row,) = columns_of(make_dam("storage", "ML"), 500.0, withheld_from=date(2021, 4, 2)).to_dicts()
    assert row["storage"] == 500.0
    assert row["reservoir_level"] is row["storage_percent"] is None
    assert row["storage_note"] == (
        "level and % are unknown: the datum of the storage seems to have changed on 2021-04-02"
    )


def test_a_missing_forecast_is_not_a_level_beyond_the_curve() -> None:
    table = columns_of(make_dam(), float("nan"), None)
    assert table["storage"].to_list() == [None, None]
    assert table["reservoir_level"].to_list() == [None, None]
    assert table["storage_note"].to_list() == ["there is no forecast"] * 2


def test_the_percentage_of_a_rule_curve_is_of_the_full_supply_of_the_valid_day() -> None:
    rule = ReferenceLevel.model_validate(
        {"rule_curve": [{"day": "04-15", "value": 100.0}, {"day": "04-16", "value": 110.0}]}
    )
    table = columns_of(make_dam(full_supply=rule), 97.5, 97.5)
    assert table["storage_percent"].to_list() == [50.0, 12.5]
    assert [text.partition(":")[0] for text in table["percent_of"]] == [
        "storage at full supply level 100 m", "storage at full supply level 110 m"
    ]  # fmt: skip
    dated = ReferenceLevel.model_validate(
        {"dated": [{"from": date(2000, 1, 1), "value": 100.0}, {"from": date(2021, 4, 16), "value": 110.0}]}
    )
    assert columns_of(make_dam(full_supply=dated), 97.5, 97.5)["storage_percent"].to_list() == [50.0, 50.0], (
        "a dated value is not known ahead"
    )


def test_a_storage_has_a_percentage_of_full_supply_and_a_level_by_the_inverse_curve() -> None:
    dam = make_dam("storage", "hm3", full_supply=ReferenceLevel(value=2.0))
    table = columns_of(dam, 0.5, 1.0, 4.0, 4.1)
    assert table["storage"].to_list() == [0.5, 1.0, 4.0, 4.1]
    assert table["storage_percent"].to_list() == [25.0, 50.0, 200.0, pytest.approx(205.0)]
    assert table["reservoir_level"].to_list() == [97.5, 100.0, 110.0, None]
    assert set(table["percent_of"]) == {"full supply storage 2 hm3"}
    assert table["storage_note"].to_list() == [
        None, None, None, "the level is unknown: the storage is above the storage curve, 0 to 4,000 ML"
    ]  # fmt: skip
    assert table["storage_unit"][0] == "hm3"
    assert table["level_unit"][0] == "m"


def test_a_storage_without_curve_and_full_supply_names_both_reasons() -> None:
    (row,) = columns_of(make_dam("storage", "ML", storage_curves=(), full_supply=None), 5.0).to_dicts()
    assert row["storage"] == 5.0
    assert row["storage_note"] == (
        "the level is unknown: the dam file has no storage curve; "
        "% is unknown: the dam file has no full supply storage"
    )


def test_a_published_percentage_keeps_the_denominator_of_its_publisher() -> None:
    (row,) = columns_of(make_dam("storage_percent", "%"), 55.0).to_dicts()
    assert row["storage_percent"] == 55.0
    assert row["percent_of"] == f"as published: {make_dam().target.datum}"
    assert row["storage"] is row["reservoir_level"] is None


def test_units_of_target_and_curve_may_differ() -> None:
    dam = make_dam(unit="ft", full_supply=ReferenceLevel(value=100.0 / 0.3048))
    table = columns_of(dam, 97.5 / 0.3048, 110.0 / 0.3048)
    assert table["storage"].to_list() == pytest.approx([500.0, 4000.0], abs=1e-6)
    assert table["storage_percent"].to_list() == pytest.approx([50.0, 400.0])
    assert table["reservoir_level"].to_list() == [97.5 / 0.3048, 110.0 / 0.3048]


def test_the_end_of_a_curve_in_another_unit_is_on_the_curve() -> None:
    tops = [float(top) for top in range(100, 200)]
    assert any(top / 0.3048 * 0.3048 > top for top in tops), "the conversion has an error"
    for top in tops:
        curve = StorageCurve(level_unit="m", storage_unit="ML", points=((90.0, 0.0), (top, 4000.0)))
        table = columns_of(make_dam(unit="ft", storage_curves=(curve,)), top / 0.3048, (top + 1e-5) / 0.3048)
        assert table["storage"].to_list() == [pytest.approx(4000.0), None]


@given(curves(), st.lists(shares, min_size=2, max_size=7))
def test_quantiles_of_the_level_are_the_same_quantiles_of_the_storage(curve: StorageCurve, places: list[float]) -> None:
    low, high = curve.points[0][0], curve.points[-1][0]
    levels = sorted(min(low + place * (high - low), high) for place in places)
    dam = make_dam(storage_curves=(curve,), full_supply=ReferenceLevel(value=high))
    table = columns_of(dam, *levels)
    assert table["storage"].null_count() == 0
    assert table["storage"].diff().drop_nulls().min() >= -1e-9  # type: ignore[operator]  # polars: the minimum of floats
    if curve.points[-1][1] > 0:
        assert table["storage_percent"].is_between(-1e-9, 100 + 1e-9).all()
    else:
        assert table["storage_percent"].null_count() == len(levels)
