"""`forebay.cli.terminal`: tables, forecasts, screenings and hindcasts as text."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from forebay.cli import terminal
from forebay.dams.local_time import init_time
from forebay.forecasts.issue import IssuedForecast
from forebay.verify.score_tables import score_summary
from tests import synthetic
from tests.command_line import forebay

INIT = date(2021, 4, 14)
DAM = synthetic.dam()

NO_LATENCY = dict.fromkeys(("latency_h", "learned_least_h", "learned_most_h", "fetches"))


def issued(*, limitations: tuple[str, ...] = ()) -> IssuedForecast:
    """The last forecast of the synthetic dam, issued some hours later."""
    table = synthetic.forecasts(DAM, synthetic.daily(DAM), [INIT])
    return IssuedForecast(INIT, init_time(INIT, DAM.time_zone), synthetic.NOW, INIT, table, limitations)


def test_a_table_leaves_out_columns_without_any_value(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.table("A [title]", [{"a": None, "b": 1.0, "c": None}, {"a": None, "b": None, "c": "[x]"}])
    title, _, head, _, first, second, *_ = capsys.readouterr().out.splitlines()
    assert title == "A [title]"
    assert [cell.strip() for cell in head.strip("┃").split("┃")] == ["b", "c"]
    assert [cell.strip() for cell in first.strip("│").split("│")] == ["1", "–"]
    assert [cell.strip() for cell in second.strip("│").split("│")] == ["–", "[x]"]


def test_a_pipe_has_lines_of_160_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal of the tests has 120: without a terminal, its width does not fold a row."""
    terminal.table("Notes", [{"note": "x" * 150}])
    assert "x" * 150 in capsys.readouterr().out


def test_a_table_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.table("Nothing", [])
    assert capsys.readouterr().out.startswith("Nothing\n")


def test_cells(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    terminal.table("Cells", [{"at": at, "yes": True, "no": False, "n": 12_345, "x": 1234.5678, "small": 0.000123456}])
    out = capsys.readouterr().out
    assert all(text in out for text in ("2020-01-02T03:04+00:00", "yes", "no", "12345", "1,234.57", "0.0001235"))


@pytest.mark.parametrize(
    ("number", "text"),
    [(437.2345, "437.23"), (437.2, "437.2"), (123456.78, "123,457"), (-1234.5, "-1,234.5"), (0.25, "0.25")],
)
def test_a_number_keeps_its_centimetres_and_has_no_exponent(
    number: float, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.table("Numbers", [{"x": number}])
    assert f" {text} " in capsys.readouterr().out


def test_numbers_are_not_folded_in_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "PIPE_WIDTH", 60)
    rows = [{"name": "a long text that is folded " * 3, **{f"column {n}": 1_234_567 for n in range(3)}}]
    terminal.table("Narrow", rows)
    out = capsys.readouterr().out
    assert out.count("1234567") == 3
    assert max(map(len, out.splitlines())) <= 60


def test_a_fetch_has_columns_for_counts_that_are_not_0(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"gauge": "reservoir_level", "rows": 5, "revised": 0, "withdrawn": 2, "age": 1}
    row |= {"error": "a long text", "note": None, "latency_h": 6.0, "fetches": 0}
    row |= {"learned_least_h": None, "learned_most_h": None}
    terminal.print_fetch(DAM, [row])
    out = capsys.readouterr().out
    assert "withdrawn" in out
    assert "revised" not in out
    assert "failed" in out
    assert "a long text" not in out, "the command's error has the sentence"


def test_a_forecast_with_its_scores_and_limitations(capsys: pytest.CaptureFixture[str]) -> None:
    forecast = issued(limitations=("No rain gauge.",))
    terminal.print_forecast(forecast, synthetic.scores(DAM), DAM, [Path("out/forecast.csv"), Path("out/report.html")])
    out = capsys.readouterr().out
    assert out.startswith("Synthetic Dam (SIMULATED): reservoir_level (m), forecast from 2021-04-14\n")
    assert "Hindcast: mean absolute error (m), all models on the same days" in out
    assert "  · Storage and % are unknown: the dam file has no storage curve.\n" in out
    assert out.endswith("  · No rain gauge.\nReport: out/report.html\n")


def test_outside_experience_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    forecast = replace(issued(limitations=("No rain gauge.",)), outside_experience=("Outside experience: the level.",))
    terminal.print_forecast(forecast, synthetic.scores(DAM), DAM, [])
    assert capsys.readouterr().out.endswith("  · Outside experience: the level.\n  · No rain gauge.\n")


def test_a_stale_forecast_has_its_age_in_the_title(capsys: pytest.CaptureFixture[str]) -> None:
    old = replace(issued(), issue_time=synthetic.NOW + timedelta(days=9))
    terminal.print_forecast(old, synthetic.scores(DAM).clear(), DAM.model_copy(update={"simulated": False}), [])
    out = capsys.readouterr().out
    assert out.startswith("Synthetic Dam: reservoir_level (m), forecast as of 2021-04-14, 9 days old\n")
    assert "Hindcast" not in out
    assert "Report" not in out


@pytest.mark.parametrize(
    ("days", "level_age", "start"),
    [
        (0, 0, "from 2021-04-14"),
        (1, 1, "from 2021-04-14 and the level of 2021-04-13, 1 day before"),
        (2, 2, "as of 2021-04-12, 4 days old"),
        (9, 1, "as of 2021-04-13, 10 days old"),
    ],
)
def test_the_title_has_the_age_of_an_old_level(
    capsys: pytest.CaptureFixture[str], days: int, level_age: int, start: str
) -> None:
    level_date = INIT - timedelta(days=level_age)
    old = replace(issued(), issue_time=synthetic.NOW + timedelta(days=days), level_date=level_date)
    terminal.print_forecast(old, synthetic.scores(DAM).clear(), DAM, [])
    assert capsys.readouterr().out.startswith(f"{DAM.title}: reservoir_level (m), forecast {start}\n")


def test_a_row_per_lead_time() -> None:
    rows = terminal.forecast_rows(issued().table)
    assert [row["lead"] for row in rows] == [f"{lead} d" for lead in synthetic.LEADS]
    levels = issued().table.filter(pl.col("model") == "default", pl.col("lead_time") == 1).sort("quantile")["level"]
    assert rows[0] == {
        "lead": "1 d",
        "day": "Thu 2021-04-15",
        "median": f"{levels[3]:.3f}",
        "80% interval": f"{levels[1]:.3f} … {levels[5]:.3f}",
        "90% interval": f"{levels[0]:.3f} … {levels[6]:.3f}",
    }


def test_a_forecast_without_intervals() -> None:
    rows = terminal.forecast_rows(issued().table.filter(pl.col("quantile") == 0.5))
    assert all(row["80% interval"] is row["90% interval"] is None for row in rows)


def test_a_missing_median_is_a_gap() -> None:
    missing = issued().table.with_columns(level=pl.lit(float("nan")))
    assert {row["median"] for row in terminal.forecast_rows(missing)} == {None}


def test_spells_of_flagged_values(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path("out/screening.html")
    terminal.print_flag_runs(DAM, [], page)
    assert capsys.readouterr().out == f"{DAM.title}: no flagged values\nCharts: {page}\n"
    terminal.print_flag_runs(DAM, [{"gauge": "reservoir_level", "reason": "spike"}], page)
    assert capsys.readouterr().out.startswith(f"{DAM.title}: flagged values (median of each spell)\n")


def test_a_window_with_the_same_days_as_an_earlier_one_is_left_out() -> None:
    scores = synthetic.scores(DAM)
    same = scores.filter(pl.col("window") == "all").with_columns(window=pl.lit("last20"))
    rows = terminal.score_rows(pl.concat([scores.filter(pl.col("window") != "last20"), same]), DAM)
    assert {row["window"] for row in rows} == {"all", "T1"}


def test_a_row_per_window_and_lead_time() -> None:
    rows = terminal.score_rows(synthetic.scores(DAM), DAM)
    assert [(row["window"], row["lead"]) for row in rows] == [
        (window, f"{lead} d") for window in ("all", "last20", "T1") for lead in (1, 3, 7)
    ]
    assert list(rows[0])[2:] == [
        "n",
        "default",
        "no_change",
        "last_change",
        "damped_change",
        "climatology",
        "90% coverage",
    ]
    assert rows[0]["default"] == pytest.approx(0.01)
    assert rows[0]["no_change"] == pytest.approx(0.012)
    assert [row["n"] for row in rows] == [300] * 3 + [240] * 3 + [200] * 3
    assert {row["90% coverage"] for row in rows} == {0.89}


def test_a_hindcast_has_the_best_reference_with_its_own_error(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_hindcast(DAM, score_summary(synthetic.scores(DAM), DAM), {}, Path("out"))
    first = next(line for line in capsys.readouterr().out.splitlines() if " 1 d " in line)
    assert [cell.strip() for cell in first.strip("│").split("│")][:6] == [
        "all", "1 d", "300", "0.01", "no_change 0.012", "0.167",
    ]  # fmt: skip


def test_a_fetch_has_a_line_for_each_note(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"gauge": DAM.target_gauge.column, "age": 3, "error": None, "note": None} | NO_LATENCY
    terminal.print_fetch(DAM, [row, row | {"note": "3 readings are left out"}])
    assert capsys.readouterr().out.endswith("\n  · 3 readings are left out\n")


def test_a_fetch_names_each_gauge_whose_newest_value_is_old(capsys: pytest.CaptureFixture[str]) -> None:
    gauge = DAM.target_gauge
    row = {"gauge": gauge.column, "age": 4, "error": None, "note": None} | NO_LATENCY
    terminal.print_fetch(DAM, [row])
    sentence = f"  · {gauge.title} ({gauge.source} {gauge.station}): the newest value is 4 days old; if the gauge has "
    assert sentence in capsys.readouterr().out
    slow = DAM.model_copy(update={"gauges": (gauge.model_copy(update={"latency_h": 25.0}), *DAM.gauges[1:])})
    assert terminal.late_gauge_lines(slow, [row | {"age": 5}]) == []
    assert len(terminal.late_gauge_lines(slow, [row | {"age": 6}])) == 1
    for other in ({"age": None}, {"error": "down"}):
        assert terminal.late_gauge_lines(DAM, [row | other]) == []


def test_there_is_no_progress_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.progress() as update:
        update("hindcast", 1, 7)
        update("hindcast", 7, 7)
    captured = capsys.readouterr()
    assert (captured.out, captured.err.strip()) == ("", "")


def test_no_text_controls_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.line("Dam\x1b[2J")
    terminal.table("a\x07", [{"station": "x\x1b]0;title\x07"}])
    out = capsys.readouterr().out
    assert "Dam\ufffd[2J\n" in out
    assert "\x1b" not in out
    assert "\x07" not in out


def test_no_error_controls_the_terminal() -> None:
    result = forebay("daily", "demo", "-o", "\x1b[2J.txt")
    assert (result.code, result.out) == (2, "")
    assert "\ufffd[2J.txt: suffix" in result.err
    assert "\x1b" not in result.err
