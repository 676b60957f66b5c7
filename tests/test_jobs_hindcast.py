"""`forebay.jobs.hindcast`: scores per window, regime and lead time, and the cost or gain of its variants."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forebay.cli import terminal
from forebay.dams.local_time import init_time
from forebay.errors import ConfigError, ModelError
from forebay.features.daily_tables import DailyTables
from forebay.features.samples import make_samples
from forebay.jobs.hindcast import ON_TIME, VARIANTS, hindcast_dam
from forebay.tables import FORCINGS
from forebay.verify.score_tables import input_costs
from forebay.verify.verification import Verification
from tests import synthetic
from tests.synthetic import daily_frame, rain_gauge, small_dam
from tests.test_jobs_forecast import record

WITHOUT_FORCINGS = [name for name in VARIANTS if not name.endswith("_forecasts")]
"""Variants of a dam without forcings."""
DAM = small_dam(rain_gauge(), full_supply=96.0, hindcast={"leads": (1, 3)})


@pytest.fixture(scope="module")
def hindcasts() -> Mapping[str, Verification]:
    """The rain of the previous day fills the dam; on each ninth day it is 300 mm with a code for unavailable."""
    values = {name: record()[name].to_list() for name in ("reservoir_level", "rainfall_r1")}
    coded = values | {"rainfall_r1": [None if k % 9 == 4 else v for k, v in enumerate(values["rainfall_r1"])]}
    spurious = values | {"rainfall_r1": [300.0 if k % 9 == 4 else v for k, v in enumerate(values["rainfall_r1"])]}
    frame, uncoded = daily_frame(DAM, coded), daily_frame(DAM, spurious)
    daily_tables = DailyTables(frame, frame, frame["date"][-1], None, uncoded=(uncoded, uncoded))
    return hindcast_dam(DAM, daily_tables, variants=WITHOUT_FORCINGS).hindcasts


def mae_ratio(hindcasts: Mapping[str, Verification], name: str, lead: str) -> float:
    """MAE of the variant `name`, as a multiple of the MAE with drivers in time."""
    table = input_costs(hindcasts[ON_TIME].scores, hindcasts[name].scores, DAM)
    rows = {(row["window"], row["days"], row["lead"]): row for row in table}
    row = rows["all", "all", lead]
    ratio = row["mae then"] / row["mae"]  # type: ignore[operator]  # numbers
    assert row["cost"] == f"{100 * (ratio - 1):+.1f}%"
    return float(ratio)


def test_late_rain_increases_the_error(hindcasts: Mapping[str, Verification]) -> None:
    assert mae_ratio(hindcasts, "late_drivers", "1 d") > 1.2


def test_late_drivers_delay_forcings_by_a_day_too() -> None:
    """Each noon issue covers the next day only, so one day later no issue covers tomorrow."""
    dam = small_dam(rain_gauge(), forcings=[{"kind": "rain", "id": "outlook", "unit": "mm"}], hindcast={"leads": (1,)})
    frame = daily_frame(dam, {"reservoir_level": [1.0 + 0.1 * k for k in range(40)], "rainfall_r1": [1.0] * 40})
    noons = [init_time(day, dam.time_zone) - timedelta(hours=12) for day in frame["date"]]
    issues = pl.DataFrame(
        {
            "forcing": ["outlook"] * 40,
            "issue_time": noons,
            "known_time": noons,
            "valid_date": frame["date"] + timedelta(days=1),
            "value": [5.0] * 40,
        },
        schema=FORCINGS.columns,
    )
    daily_tables = DailyTables(frame, frame, frame["date"][-1], None, forcings=issues)
    on_time = make_samples(frame, frame, dam, issues).forcing_inputs[1]["forcing_outlook_lead"]
    late = VARIANTS["late_drivers"][1](dam, daily_tables)[0].forcing_inputs[1]["forcing_outlook_lead"]
    assert on_time.to_list() == [5.0] * 40
    assert late.to_list() == [None] * 40


def test_spurious_rain_without_codes_increases_the_error(hindcasts: Mapping[str, Verification]) -> None:
    assert mae_ratio(hindcasts, "screens_for_codes", "1 d") > 1.05


@pytest.mark.parametrize("name", ["without_forecasts", "perfect_forecasts"])
def test_a_dam_without_forcings_has_no_hindcast_with_other_forecasts(name: str) -> None:
    frame = daily_frame(DAM, {"reservoir_level": [1.0] * 40, "rainfall_r1": [1.0] * 40})
    with pytest.raises(ConfigError, match=r"has no forecasts as inputs.*add \[\[forcings\]\] to the dam file"):
        VARIANTS[name][1](DAM, DailyTables(frame, frame, frame["date"][-1], None))


def test_hindcasts_with_other_forecasts_have_their_inputs() -> None:
    """Each noon issue has twice the rain of the next day."""
    dam = small_dam(rain_gauge(), forcings=[{"kind": "rain", "id": "outlook", "unit": "mm"}], hindcast={"leads": (1,)})
    rain = [float(k % 7) for k in range(40)]
    frame = daily_frame(dam, {"reservoir_level": [1.0 + 0.1 * k for k in range(40)], "rainfall_r1": rain})
    issues = synthetic.forcing_issues(dam, 2 * np.array(rain), forcing="outlook", days=1)
    daily_tables = DailyTables(frame, frame, frame["date"][-1], None, issues)
    without, bare = VARIANTS["without_forecasts"][1](dam, daily_tables)
    assert without.forcing_inputs == {} and bare.forcings == ()
    perfect, _ = VARIANTS["perfect_forecasts"][1](dam, daily_tables)
    assert perfect.forcing_inputs[1]["forcing_outlook_lead"].to_list() == [*rain[1:], None]


def test_perfect_rain_is_the_observed_rain_of_every_day_up_to_the_longest_lead_time() -> None:
    dam = small_dam(rain_gauge(), hindcast={"leads": (1, 7)})
    rain = [float(k % 5) for k in range(40)]
    frame = daily_frame(dam, {"reservoir_level": [1.0 + 0.1 * k for k in range(40)], "rainfall_r1": rain})
    perfect, perfect_dam = VARIANTS["perfect_rain"][1](dam, DailyTables(frame, frame, frame["date"][-1], None))
    (forcing,) = perfect_dam.forcings
    for lead in (1, 7):
        totals = [sum(rain[day + 1 : day + 1 + lead]) if day + lead < 40 else None for day in range(40)]
        assert perfect.forcing_inputs[lead][f"forcing_{forcing.id}_lead"].to_list() == totals


def test_perfect_rain_reduces_the_error_at_three_days_but_not_at_one(hindcasts: Mapping[str, Verification]) -> None:
    assert mae_ratio(hindcasts, "perfect_rain", "3 d") < 0.8
    one_day = mae_ratio(hindcasts, "perfect_rain", "1 d")
    assert 0.95 < one_day < 1.05, "the level of tomorrow depends on today's rain only"
    assert "an upper bound, not a forecast" in VARIANTS["perfect_rain"][0]


def test_variants_are_scored_on_the_same_days_and_regimes(hindcasts: Mapping[str, Verification]) -> None:
    keys = ["window", "regime", "lead_time", "model", "metric"]
    scores = [verification.scores for verification in hindcasts.values()]
    wet = [table.filter(pl.col("regime") == "wet").select(*keys, "n").sort(keys) for table in scores]
    assert len(wet[0]) > 0
    mae_rows = [rows.filter(pl.col("metric") == "mae") for rows in wet]
    assert len(mae_rows) == 4
    assert all(mae_rows[0].equals(table) for table in mae_rows[1:])


def test_hindcasts_without_codes_need_uncoded_tables() -> None:
    frame = daily_frame(DAM, {"reservoir_level": [1.0, 2.0]})
    with pytest.raises(ModelError, match="call add_uncoded first"):
        VARIANTS["screens_for_codes"][1](DAM, DailyTables(frame, frame, frame["date"][-1], None))


def test_the_references_do_not_use_drivers(hindcasts: Mapping[str, Verification]) -> None:
    keys = ["window", "regime", "lead_time"]
    mae = pl.col("model").eq("last_change") & pl.col("metric").eq("mae")
    on_time, *variants = (verification.scores.filter(mae).sort(keys) for verification in hindcasts.values())
    assert all(on_time.equals(table) for table in variants)


def test_a_hindcast_without_scores_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_hindcast(DAM, [], {}, Path("out"))
    assert "no scored forecast in the hindcast" in capsys.readouterr().out
