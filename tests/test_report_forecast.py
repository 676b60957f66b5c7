"""`forebay.report.forecast`: the table, the reference levels, and the notice on limitations."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from forebay.charts.forecast import forecast_figure
from forebay.dams.curves import StorageCurve
from forebay.dams.thresholds import ReferenceLevel
from tests import synthetic
from tests.report_examples import example_report, section_rows, section_text


def test_the_section_has_the_table_and_the_starting_level() -> None:
    text = section_text("forecast", example_report())
    assert "7 2021-04-21 (Wed) 100.257 100.189 to 100.325 100.170 to 100.344 0.000" in text
    assert "The forecast starts from 100.257 m, the daily mean of 2021-04-14." in text
    assert "A daily mean is not a peak" in text


def test_the_section_has_storage_and_percentage_of_each_day() -> None:
    report = example_report()
    rule = ReferenceLevel.model_validate(
        {"rule_curve": [{"day": "04-15", "value": 100.0}, {"day": "04-21", "value": 110.0}]}
    )
    curve = StorageCurve(level_unit="m", storage_unit="ML", points=((80.0, 0.0), (100.0, 1000.0), (110.0, 6000.0)))
    dam = report.dam.model_copy(update={"storage_curves": (curve,), "full_supply": rule})
    text = section_text("forecast", replace(report, dam=dam))
    assert "2021-04-15 1,128 1,112 to 1,145 112.8 111.2 to 114.5" in text
    assert "2021-04-21 1,128 1,085 to 1,172 18.8 18.1 to 19.5" in text
    assert (
        "100% is that of each day. On the first day it is the storage at full supply level 100 m: 1,000 ML "
        "(survey date not stated), on the last day the storage at full supply level 110 m: 6,000 ML "
        "(survey date not stated)."
    ) in text


def test_levels_observed_afterwards_are_in_the_table_with_their_interval() -> None:
    report = example_report()
    days = [date(2021, 4, 15), date(2021, 4, 16)]
    text = section_text("forecast", replace(report, later_levels=pl.DataFrame({"date": days, "level": [100.26, 99.0]})))
    assert "Change of the median Observed afterwards" in text
    assert "100.224 to 100.290 0.000 100.260 inside 90%" in text
    assert "0.000 99.000 below 90%" in text
    assert "Observed afterwards" not in section_text("forecast", report)


@pytest.mark.parametrize(
    ("level", "outcome"),
    [(100.223, "below 90%"), (100.226, "inside 90%"), (100.288, "inside 90%"), (100.291, "above 90%")],
)
def test_a_level_observed_afterwards_is_compared_with_the_90_percent_interval(level: float, outcome: str) -> None:
    """The 90% interval is 100.224 to 100.290, the 80% interval 100.231 to 100.283."""
    later = pl.DataFrame({"date": [date(2021, 4, 15)], "level": [level]})
    first, *_ = section_rows("forecast", replace(example_report(), later_levels=later))[1:]
    assert (first["80% interval"], first["90% interval"]) == ("100.231 to 100.283", "100.224 to 100.290")
    assert first["Observed afterwards"] == f"{level:.3f} {outcome}"


def test_the_section_has_the_distance_to_reference_levels() -> None:
    report = example_report()
    text = section_text("forecast", report)
    assert "Full supply: 100.000 m, 0.257 m below the start of the forecast. The lake is near full supply" in text
    far = synthetic.dam(full_supply=120.0)
    text = section_text("forecast", replace(report, dam=far))
    assert "Full supply: 120.000 m, 19.743 m above the start of the forecast (too far away for the chart)." in text
    assert "near full supply" not in text


def test_reference_levels_are_withheld_after_an_unknown_datum_step() -> None:
    report = example_report()
    withheld = replace(report, forecast=replace(report.forecast, withheld_from=date(2021, 4, 1)))
    assert "full supply" not in section_text("forecast", withheld).lower()


def test_each_series_of_the_chart_has_its_own_colour() -> None:
    report = example_report()
    days = [date(2021, 4, 15)]
    chart = forecast_figure(replace(report, later_levels=pl.DataFrame({"date": days, "level": [100.26]}))).panels[0]
    scale = chart.to_dict()["layer"][0]["encoding"]["color"]["scale"]
    assert {"observed afterwards (not used)", "Full supply"} <= set(scale["domain"])
    assert len(set(scale["range"])) == len(scale["domain"])
