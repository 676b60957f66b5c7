"""`forebay.features.later_levels`: what was observed after a requested init date is shown and never used."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import forebay
from forebay.features.later_levels import later_levels, no_levels
from forebay.jobs.forecast import ForecastResult
from tests import synthetic
from tests.report_examples import visible_text
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam

INIT = FIRST_DAY + timedelta(days=500)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ForecastResult]:
    """Forecasts from INIT: with 20 later days in the archive ("past"), and without any ("last")."""
    folder = tmp_path_factory.mktemp("later")
    rng = np.random.default_rng(7)
    dam = small_dam(rain_gauge(), full_supply=1.0, hindcast={"leads": (1, 3)})
    levels, rain = np.cumsum(rng.normal(0, 0.05, 521)).tolist(), rng.gamma(0.3, 10.0, 521).tolist()
    results = {}
    for name, days in (("past", 521), ("last", 501)):
        place = folder / name
        place.mkdir()
        frame = daily_frame(dam, {"reservoir_level": levels[:days], "rainfall_r1": rain[:days]})
        path = synthetic.write_dam(dam, frame, place)
        results[name] = forebay.forecast(path, archive=f"sqlite:///{place}/a.db", init_date=INIT)
    return results


def test_the_levels_of_the_forecast_days_are_in_the_result(results: dict[str, ForecastResult]) -> None:
    later = results["past"].later_levels
    assert later["date"].to_list() == [INIT + timedelta(days=k) for k in (1, 2, 3)]
    assert results["last"].later_levels.is_empty()


def test_only_usable_levels_are_shown_and_the_day_of_the_forecast_is_no_later_day() -> None:
    dam = small_dam(hindcast={"leads": (1, 6)}, unit="ft")
    levels = [1.0, 2.0, 3.0, 99999.0, None, 6.0, 7.0, 8.0, 9.0, 10.0]
    flags = [None, None, "poor", "range", "absent", "unavailable", "spike", None, None, None]
    frame = daily_frame(dam, {"reservoir_level": levels, "reservoir_level_flag": flags})
    shown = later_levels(frame, dam, FIRST_DAY + timedelta(days=1))
    assert shown.rows() == [(FIRST_DAY + timedelta(days=k), levels[k]) for k in (2, 6, 7)]
    assert later_levels(frame, dam, FIRST_DAY + timedelta(days=9)).equals(no_levels())


def test_later_levels_change_no_value_of_the_forecast(results: dict[str, ForecastResult]) -> None:
    keep = pl.exclude("dam")
    assert results["past"].issued.table.select(keep).equals(results["last"].issued.table.select(keep))
    assert results["past"].issued.explanation.select(keep).equals(results["last"].issued.explanation.select(keep))


def test_the_page_counts_ages_from_the_init_time_and_labels_later_levels(
    results: dict[str, ForecastResult], tmp_path: Path
) -> None:
    result = results["past"]
    assert datetime.now(UTC) - result.issued.init_time > timedelta(days=365)
    html = result.report(tmp_path / "report.html").read_text("utf-8")
    text = visible_text(html.split("<script>")[0])
    assert f"reservoir level forecast from {INIT}" in text
    assert "Forecast for a past day: it uses only the data known at the end of" in text
    assert "less than 1 hour old" in text
    assert "days old" not in text.split("Glossary")[0]
    assert "None of 2 gauges" in text
    assert "observed afterwards (not used)" in text and "Observed afterwards" in text
