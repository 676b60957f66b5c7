"""Each cell of the tables in the terminal is the number of its heading: every number of a row is another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from forebay.charts.long_tables import chance_cells, month_cells, score_cells
from forebay.cli import alerts, curve, export, record, scenario, terminal
from forebay.forecasts.scenario import Scenario
from forebay.jobs.refresh import OUTCOMES
from forebay.jobs.score_record import RECORD_SCORES
from forebay.screen.curve_fit import CurveFit
from forebay.tables import LEAST_RAIN, SCENARIO_PROBABILITIES, SCENARIOS
from forebay.verify.long_tables import LONG_OUTLOOK, LONG_PROBABILITIES, LONG_SCORES
from forebay.verify.tables import ALERT_SCORES, RECENT_SCORES
from tests import synthetic

DAM = synthetic.dam()


def distinct(columns: Mapping[str, object], **given: object) -> dict[str, Any]:  # Any: values of any type
    """A row whose numbers all differ, with any number of digits: 2.01, 3.02, 4.03 …; a whole number is 102, 103 …"""
    row: dict[str, Any] = {}
    for place, (name, kind) in enumerate(columns.items(), start=2):
        if kind == pl.Float64:
            row[name] = place + (place - 1) / 100
        elif kind in (pl.Int64, pl.Int32):
            row[name] = 100 + place
        else:
            row[name] = None
    return row | given


def printed(out: str) -> list[dict[str, str]]:
    """The rows of the tables in a terminal's output."""
    rows, head = [], []
    for text in out.splitlines():
        if text.startswith("┃"):
            head = [cell.strip() for cell in text.strip("┃").split("┃")]
        elif text.startswith("│"):
            rows.append(dict(zip(head, (cell.strip() for cell in text.strip("│").split("│")), strict=True)))
    return rows


def texts(cells: Mapping[str, object]) -> dict[str, str]:
    return {heading: str(value) for heading, value in cells.items()}


LONG = distinct(LONG_SCORES.columns, dam="d", coverage_80=0.83)
TRIAL = distinct(
    ALERT_SCORES.columns, dam="d", rule="r", forecasts="hindcast", probability=0.31, clear_probability=0.17,
    raised_share=0.042, lead_time=1,
)  # fmt: skip
SECOND_LEAD = distinct(ALERT_SCORES.columns, **{**TRIAL, "lead_time": 2, "hits": 55, "events": 66, "csi": 0.77})
OUTCOME = distinct(OUTCOMES.columns, dam="lake", unit="m", alerts="full")
ISSUED = distinct(RECORD_SCORES.columns, dam="d", forecasts="issued", coverage_80=0.81, coverage_90=0.92)

CELLS: dict[str, tuple[Callable[[], list[dict[str, str]]], dict[str, str]]] = {
    "long scores": (
        lambda: [texts(row) for row in score_cells(pl.DataFrame([LONG], schema=LONG_SCORES.columns))],
        {
            "month ahead": f"{LONG['month']}", "past outlooks": f"{LONG['n']}", "years": f"{LONG['years']}",
            "CRPS": f"{LONG['crps']:.3f}".rstrip("0"),
            "skill against past years": f"{LONG['skill']:.2f} ({LONG['low']:.2f} to {LONG['high']:.2f})",
            "against today's storage": f"{LONG['skill_persistence']:.2f} ({LONG['low_persistence']:.2f} to "
            f"{LONG['high_persistence']:.2f})",
            "inside 10–90%": "83%",
        },
    ),
    "alert scores": (
        lambda: [texts(row) for row in alerts.score_rows(pl.DataFrame([TRIAL], schema=ALERT_SCORES.columns))],
        {
            "forecasts": "hindcast", "days": f"{TRIAL['n']}", "lead": "1 d",
            "hits": f"{TRIAL['hits']}/{TRIAL['events']}", "misses": f"{TRIAL['misses']}",
            "false alarms": f"{TRIAL['false_alarms']}", "a year": f"{TRIAL['false_alarms_per_year']}",
            "CSI": f"{TRIAL['csi']}", "lead days": f"{TRIAL['lead_days']}", "raised %": "4.2",
        },
    ),
    "alert choices": (
        lambda: [
            texts(row)
            for row in alerts.choice_rows(pl.DataFrame([TRIAL, SECOND_LEAD], schema=ALERT_SCORES.columns))
        ],
        {
            "from": "31%", "below": "17%", "hits 1 d": f"{TRIAL['hits']}/{TRIAL['events']}", "hits 2 d": "55/66",
            "CSI 1 d": f"{TRIAL['csi']}", "CSI 2 d": "0.77", "false alarms": f"{TRIAL['false_alarms']}",
            "a year": f"{TRIAL['false_alarms_per_year']}", "lead days": f"{TRIAL['lead_days']}", "raised %": "4.2",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
def test_the_cells_of_a_row(name: str) -> None:
    build, expected = CELLS[name]
    (row,) = build()
    assert row == expected
    numbers = [text for text in expected.values() if any(character.isdigit() for character in text)]
    assert len(set(numbers)) == len(numbers), "a cell with the number of another one would not be seen"


def test_the_cells_of_a_refresh(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_refresh("1 dams", [OUTCOME])
    (row,) = printed(capsys.readouterr().out)
    assert row == {
        "dam": "lake", "level": f"{OUTCOME['level']:.3f}", "in": f"{OUTCOME['lead_time']} d",
        "median": f"{OUTCOME['median']:.3f}", "5%": f"{OUTCOME['low']:.3f}", "95%": f"{OUTCOME['high']:.3f}",
        "unit": "m", "age in days": f"{OUTCOME['age_days']}", "gauges not fetched": f"{OUTCOME['not_fetched']}",
        "alerts": "full", "seconds": f"{OUTCOME['seconds']}",
    }  # fmt: skip


def test_the_cells_of_recorded_forecasts(capsys: pytest.CaptureFixture[str]) -> None:
    table = pl.DataFrame([ISSUED], schema=RECORD_SCORES.columns)
    record._print_scores(SimpleNamespace(dam=DAM, to_frame=lambda: table, left_out=()))  # type: ignore[arg-type]
    (row,) = printed(capsys.readouterr().out)
    assert row == {
        "lead": f"{ISSUED['lead_time']} d", "forecasts": "issued", "n": f"{ISSUED['n']}", "MAE": f"{ISSUED['mae']}",
        "pinball": f"{ISSUED['pinball']}", "80% coverage": "0.81", "90% coverage": "0.92",
    }  # fmt: skip


def test_the_numbers_of_the_last_year() -> None:
    recent = distinct(RECENT_SCORES.columns, source="issued", coverage_80=0.81, coverage_90=0.92)
    (text,) = terminal.recent_lines(pl.DataFrame([recent], schema=RECENT_SCORES.columns), DAM)
    assert text == (
        f"Last 365 days, issued, {recent['lead_time']} d: mean error {recent['mae']:.4f} m; 80% interval held 81%, 90% "
        f"interval held 92% (n = {recent['n']})"
    )


def test_the_mark_of_an_extrapolation_is_at_its_rain() -> None:
    rain = {(24, 0.1): (31.2, False), (24, 0.5): (262.4, True), (24, 0.9): (None, False),
            (48, 0.1): (45.6, False), (48, 0.5): (1871.0, True), (48, 0.9): (77.7, False)}  # fmt: skip
    rows = [
        {"hours": hours, "probability": probability, "rain": value, "extrapolates": is_beyond}
        for (hours, probability), (value, is_beyond) in rain.items()
    ]
    assert scenario.least_rain_cells(pl.DataFrame(rows, schema_overrides={"hours": LEAST_RAIN.columns["hours"]})) == [
        {"rain within": "24 h", "10%": "31 mm", "50%": "262 mm*", "90%": "not reached"},
        {"rain within": "48 h", "10%": "46 mm", "50%": "1,871 mm*", "90%": "78 mm"},
    ]


def test_the_cells_of_a_month_ahead() -> None:
    end = date(2024, 5, 31)
    names = {"storage_unit": "ML", "level_unit": "m", "month": 1, "valid_date": end}
    months = pl.DataFrame(
        [
            names | {"quantile": quantile, "storage": 1000.0 * k, "storage_percent": 10.0 * k, "level": 100.0 + k}
            for k, quantile in enumerate((0.05, 0.1, 0.5, 0.9, 0.95), start=1)
        ],
        schema={
            name: LONG_OUTLOOK.columns[name] for name in (*names, "quantile", "storage", "storage_percent", "level")
        },
    )
    assert month_cells(SimpleNamespace(months=months, volumes=SimpleNamespace(unit="ML"))) == [{  # type: ignore[arg-type]
        "end of month": "2024-05-31", "storage, ML: median": "3,000", "storage, ML: 10–90%": "2,000 … 4,000",
        "% full: median": "30.0", "% full: 10–90%": "20.0 … 40.0", "level, m: median": "103.000",
        "level, m: 10–90%": "102.000 … 104.000",
    }]  # fmt: skip


def test_the_cells_of_a_chance_are_of_the_side_that_the_lake_is_not_on() -> None:
    keys = {"threshold": "Stage 1", "all_traces": 40}
    rows = [
        keys | {"direction": direction, "is_beyond": direction == "above", "kind": kind, "valid_date": end, "traces": n}
        for direction, start in (("above", 20), ("below", 1))
        for kind, more in (("on", 0), ("by", 5))
        for n, end in ((start + more, date(2024, 5, 31)), (start + more + 2, date(2024, 6, 30)))
    ]
    table = pl.DataFrame(rows, schema={name: LONG_PROBABILITIES.columns[name] for name in rows[0]})
    assert chance_cells(SimpleNamespace(probabilities=table)) == [  # type: ignore[arg-type]
        {"event": "At or below Stage 1", "when": "on the day", "2024-05": "1/40 (2%)", "2024-06": "3/40 (8%)"},
        {"event": "At or below Stage 1", "when": "at any time until", "2024-05": "6/40 (15%)", "2024-06": "8/40 (20%)"},
    ]


def test_the_cells_of_a_scenario() -> None:
    first, key = date(2024, 5, 1), {"scenario": "rain", "wetness": "wet"}
    levels = pl.DataFrame(
        [
            key | {"lead_time": lead, "valid_date": first + timedelta(days=lead), "quantile": quantile,
                   "level": 100.0 + lead + k / 10}
            for lead in (1, 3, 7) for k, quantile in enumerate((0.05, 0.1, 0.5, 0.9, 0.95))
        ],
        schema={name: SCENARIOS.columns[name] for name in (*key, "lead_time", "valid_date", "quantile", "level")},
    )  # fmt: skip
    chances = [
        key | {"threshold": threshold, "kind": kind, "lead_time": lead, "probability": probability}
        for threshold, kind, lead, probability in (
            ("full_supply", "on", 7, 0.1), ("full_supply", "by", 3, 0.2), ("full_supply", "by", 7, 0.42),
            ("Weir", "by", 7, 0.8),
        )
    ]  # fmt: skip
    columns = SCENARIO_PROBABILITIES.columns
    result = SimpleNamespace(
        dam=DAM, level=99.5, levels=levels, scenarios=(Scenario("rain", (30.0, 14.0), "wet"),),
        probabilities=pl.DataFrame(chances, schema={name: columns[name] for name in chances[0]}),
    )  # fmt: skip
    assert scenario.scenario_cells(result) == [{  # type: ignore[arg-type]
        "scenario": "rain", "rain": "44 mm", "catchment": "wet", "day 3": "103.200 m",
        "day 3: 10–90%": "103.100 … 103.300", "day 7": "107.200 m", "day 7: 10–90%": "107.100 … 107.300",
        "change": "+7.700 m", "full by day 7": "42%",
    }]  # fmt: skip


def test_the_errors_of_a_fitted_curve_and_on_days_that_it_has_not_seen(capsys: pytest.CaptureFixture[str]) -> None:
    in_sample, unseen = (SimpleNamespace(n=n, median=n / 100, error_95=n / 10) for n in (345, 123))
    fit = CurveFit(((1.0, 2.0), (3.0, 4.0)), in_sample, unseen, 0, pl.DataFrame())  # type: ignore[arg-type]
    units = SimpleNamespace(level="m", storage="ML")
    curve._print_fit(SimpleNamespace(fit=fit, units=units, dam=DAM), "")  # type: ignore[arg-type]
    assert [list(row.values()) for row in printed(capsys.readouterr().out)] == [
        ["pairs of the fit", "345", "3.45", "34.5"],
        ["days that another fit has not seen", "123", "1.23", "12.3"],
    ]


def test_the_inputs_of_an_export_are_those_of_today_and_of_the_coming_days() -> None:
    model = {
        "unit": "m", "fitted_on": "2024-01-01", "fitted_until": "2024-12-31", "learned": {"init_date": "2024-05-01"},
        "inputs": ["level", "rain", "api"], "inputs_ahead": ["rain_ahead", "full_supply_ahead"],
        "example": {"forecast": [{"lead": 1}]},
    }  # fmt: skip
    result = SimpleNamespace(dam=DAM, model=model, days=({}, {}, {}, {}), difference=3e-9)
    assert export._json_content(result, []) == {  # type: ignore[arg-type]
        "dam": "synthetic", "simulated": True, "unit": "m", "init_date": "2024-05-01", "fitted_on": "2024-01-01",
        "fitted_until": "2024-12-31", "inputs": 5, "days": 4, "difference": 3e-9, "forecast": [{"lead": 1}],
        "files": [],
    }  # fmt: skip
