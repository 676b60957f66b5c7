"""Each cell of the tables in the terminal is the number of its heading: every number of a row is another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from forebay.charts.long_tables import score_cells
from forebay.cli import alerts, record, scenario, terminal
from forebay.jobs.refresh import OUTCOMES
from forebay.jobs.score_record import RECORD_SCORES
from forebay.tables import LEAST_RAIN
from forebay.verify.long_tables import LONG_SCORES
from forebay.verify.tables import ALERT_SCORES, RECENT_SCORES
from tests import synthetic

DAM = synthetic.dam()


def distinct(columns: Mapping[str, object], **given: object) -> dict[str, Any]:  # Any: values of any type
    """A row whose numbers all differ, with any number of digits: 2.01, 3.02, 4.03 …; a whole number is 102, 103 …"""
    row: dict[str, Any] = {}
    for place, (name, kind) in enumerate(columns.items(), start=2):
        if kind in (pl.Float64(), pl.Float64):
            row[name] = place + (place - 1) / 100
        elif kind in (pl.Int64(), pl.Int32(), pl.Int64, pl.Int32):
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
TRIAL = distinct(ALERT_SCORES.columns, dam="d", rule="r", forecasts="hindcast", probability=0.31, clear_probability=0.17,
                 raised_share=0.042, lead_time=1)  # fmt: skip
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
