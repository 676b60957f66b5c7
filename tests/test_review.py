"""The hindcast job's tables: one row per window, kind of day and lead, and what late drivers cost."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from forebay import review
from forebay.dams.dam import Hindcast
from forebay.pipeline import Days, Verified
from forebay.show import terminal
from forebay.tables import SCORES
from tests import synthetic
from tests.synthetic import dam_of, frame_of, rain_gauge
from tests.test_pipeline import record

DAM = dam_of(rain_gauge(), full_supply=96.0, hindcast={"leads": (1, 2)})


@pytest.fixture(scope="module")
def made() -> Mapping[str, Verified]:
    """A dam that yesterday's rain fills, with its rain on time and a day late."""
    frame = frame_of(DAM, {name: record()[name].to_list() for name in ("reservoir_level", "rainfall_r1")})
    return review.review(DAM, Days(frame, frame, frame["date"][-1], None), again=["late_drivers"])


def test_late_rain_costs_where_rain_tells_the_next_day(made: Mapping[str, Verified]) -> None:
    rows = {(row["window"], row["days"], row["lead"]): row for row in review.cost_rows(made, "late_drivers", DAM)}
    first = rows["all", "all", "1 d"]
    assert first["mae then"] > 1.2 * first["mae"]  # type: ignore[operator]  # numbers
    assert str(first["cost"]).startswith("+")


def test_both_are_scored_on_the_same_days_and_kinds_of_days(made: Mapping[str, Verified]) -> None:
    keys = ["window", "regime", "lead_time", "model", "metric"]
    wet = [of.scores.filter(pl.col("regime") == "wet").select(*keys, "n").sort(keys) for of in made.values()]
    assert len(wet[0]) > 0
    counted = [rows.filter(pl.col("metric") == "mae") for rows in wet]
    assert counted[0].equals(counted[1])


def test_the_references_do_not_use_drivers(made: Mapping[str, Verified]) -> None:
    keys = ["window", "regime", "lead_time"]
    mae = pl.col("model").eq("last_change") & pl.col("metric").eq("mae")
    on_time, late = (of.scores.filter(mae).sort(keys) for of in made.values())
    assert on_time.equals(late)


def test_a_row_names_the_best_reference_of_its_days() -> None:
    of = synthetic.dam()
    rows = review.score_rows(synthetic.scores(of), of)
    cells = {("all", "all"), ("all", "wet"), ("last20", "all"), ("T1", "all")}
    assert {(row["window"], row["days"]) for row in rows} == cells
    assert [row["lead"] for row in rows[:3]] == ["1 d", "3 d", "7 d"]
    assert {row["best reference"] for row in rows} == {"no_change"}
    assert rows[0]["n"] == 300
    assert rows[0]["its mae"] == pytest.approx(0.012)


def test_leads_of_a_dam_that_has_none_of_the_usual_ones() -> None:
    of = synthetic.dam().model_copy(update={"hindcast": Hindcast(leads=(2, 4))})
    rows = review.score_rows(synthetic.scores(of), of)
    assert {row["lead"] for row in rows} == {"2 d", "4 d"}


def test_nothing_scored(capsys: pytest.CaptureFixture[str]) -> None:
    assert review.score_rows(SCORES.empty(), DAM) == []
    terminal.reviewed(DAM, [], {}, Path("out"))
    assert "no forecast of the hindcast could be scored" in capsys.readouterr().out
