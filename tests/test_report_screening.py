"""`forebay.report.screening` and its charts: the page of flagged values."""

import json
import re
from datetime import timedelta
from pathlib import Path

import altair as alt
import polars as pl
import pytest

from forebay.charts.screening import REASON_COLOURS, gauge_chart
from forebay.charts.spec import chart_spec, file_spec
from forebay.cli.app import app
from forebay.report.screening import render_screening, write_screening
from forebay.screen.flags import FLAGS, REASONS, flag_runs, screen_daily
from tests import synthetic
from tests.report_examples import check_in_browser, needs_chromium, visible_text

DAM = synthetic.dam()


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    daily = synthetic.daily(DAM, days=900)
    day = pl.int_range(len(daily))
    level = pl.col("reservoir_level") - pl.when(day.is_in([700, 701])).then(9.0).otherwise(0.0)
    return daily.with_columns(level.alias("reservoir_level"))


def test_every_reason_has_its_own_colour() -> None:
    assert set(REASON_COLOURS) == set(REASONS)
    assert len(set(REASON_COLOURS.values())) == len(REASONS)


def test_the_chart_of_every_gauge_is_valid_and_shows_its_flags(frame: pl.DataFrame) -> None:
    flags = screen_daily(frame, DAM)
    for gauge in DAM.gauges:
        spec = gauge_chart(frame, flags, DAM, gauge).to_dict()  # validates
        alt.Chart.from_dict(spec)
        assert "SIMULATED" in json.dumps(spec["title"])
    assert "spike" in json.dumps(gauge_chart(frame, flags, DAM, DAM.target_gauge).to_dict())


def test_the_page_needs_no_network_and_lists_the_spells(frame: pl.DataFrame, tmp_path: Path) -> None:
    flags = screen_daily(frame, DAM)
    files = {path.name for path in write_screening(frame, flags, DAM, tmp_path)}
    pictures = {f"{gauge.column}.{kind}" for gauge in DAM.gauges for kind in ("png", "svg")}
    assert files == pictures | {"screening.html", "flags.csv", "spells.csv"}
    page = (tmp_path / "screening.html").read_text("utf-8")
    assert not re.search(r'(?:src|href)="https?:', page)
    assert "SIMULATED" in page
    assert '<td data-label="reason">spike</td>' in page
    assert pl.read_csv(tmp_path / "flags.csv").height == flags.height


def test_values_have_the_unit_of_the_dam_file_and_every_chart_a_text() -> None:
    stream = {"role": "stream", "station": "212250", "variable": "discharge", "unit": "ft3/s", "name": "A river"}
    dam = synthetic.small_dam(stream, unit="ft")
    flow = [1.0] * 5
    daily = synthetic.daily_frame(dam, {"reservoir_level": [300.0] * 5, "discharge_212250": flow})
    day = daily["date"][2]
    row = ("discharge_212250", day, "spike", day, None, 0.28316846592, 28.316846592)
    flags = pl.DataFrame([row], schema=FLAGS.columns, orient="row")
    specs = {gauge.column: file_spec(chart_spec(gauge_chart(daily, flags, dam, gauge))) for gauge in dam.gauges}
    html = render_screening(dam, flag_runs(flags), specs)
    text = visible_text(html.split("<script>")[0])
    assert f"A river {day} {day} spike {day} 1 10 1,000 ft3/s" in text
    assert "Flagged: spike 1 day." in text and "No value of this gauge is flagged." in text
    assert "212250" not in text
    axes = json.dumps(specs["discharge_212250"])
    assert "A river, ft3/s" in axes and "35.31" in axes, "1 m3/s is 35.31 ft3/s"


def test_flagged_days_are_counted_and_not_spells() -> None:
    dam = synthetic.small_dam()
    days = pl.date_range(synthetic.FIRST_DAY, synthetic.FIRST_DAY + timedelta(days=9), eager=True)
    flagged = [("spike", 0), ("spike", 1), ("jump", 3), ("jump", 4), ("jump", 6)]
    rows = [("reservoir_level", days[k], reason, days[k], None, 9.0, 1.0) for reason, k in flagged]
    html = render_screening(dam, flag_runs(pl.DataFrame(rows, schema=FLAGS.columns, orient="row")), {
        "reservoir_level": {"title": "A chart"}
    })  # fmt: skip
    assert "Flagged: jump 3 days, spike 2 days." in visible_text(html.split("<script>")[0])


def test_a_chart_shows_the_flags_in_force_on_their_days_and_covers_the_usual_values() -> None:
    dam = synthetic.small_dam()
    daily = synthetic.daily_frame(dam, {"reservoir_level": [5.0, 6.0, -999.0, 7.0, 6.0]})
    days = daily["date"].to_list()
    rows = [
        ("reservoir_level", days[1], "spike", days[3], None, 6.0, 5.5),
        ("reservoir_level", days[2], "sentinel", days[2], None, -999.0, None),
        ("reservoir_level", days[3], "jump", days[3], days[4], 7.0, 6.0),
    ]
    flags = pl.DataFrame(rows, schema=FLAGS.columns, orient="row")
    spec = gauge_chart(daily, flags, dam, dam.target_gauge).to_dict()
    line, dots = (spec["datasets"][layer["data"]["name"]] for layer in spec["concat"][0]["layer"])
    names, *marks = dots.strip().split("\n")
    shown = [dict(zip(names.split(","), mark.split(","), strict=True)) for mark in marks]
    assert [(mark["date"][:10], mark["reason"], mark["value"], mark["reading"]) for mark in shown] == [
        (str(days[1]), "spike", "6.0", "6.0"),
        (str(days[2]), "sentinel", "5.0", "-999.0"),  # at the edge
    ]
    assert f"{days[2]}T00:00:00,\n" in line, "no line to the sentinel"


@needs_chromium
def test_in_a_browser_all_charts_draw_without_errors_or_requests(frame: pl.DataFrame, tmp_path: Path) -> None:
    write_screening(frame, screen_daily(frame, DAM), DAM, tmp_path)
    check_in_browser(tmp_path / "screening.html", charts=len(DAM.gauges))


def test_text_of_a_dam_file_is_never_markup(frame: pl.DataFrame) -> None:
    dam_with_markup = DAM.model_copy(update={"name": "</script><b>", "licence": "<b>"})
    spells = flag_runs(screen_daily(frame, dam_with_markup))
    page = render_screening(dam_with_markup, spells, {"reservoir_level": {"title": "</script><b>"}})
    assert "<b>" not in page
    assert "&lt;/script&gt;&lt;b&gt;: quality screening" in page


def test_the_command_prints_spells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    dam_file = tmp_path / "lake.toml"
    days = pl.date_range(synthetic.FIRST_DAY, synthetic.FIRST_DAY.replace(year=2020), eager=True)
    level = [100 - 0.01 * k + 0.003 * (k % 5) - (9 if k in (400, 401) else 0) for k in range(len(days))]
    pl.DataFrame({"date": days, "level": level}).write_csv(tmp_path / "lake.csv")
    dam_file.write_text(
        """id = "lake"
name = "A lake"
country = "Nowhere"
latitude = 0.0
longitude = 0.0
time_zone = "+00:00"
target = { variable = "reservoir_level", unit = "m", datum = "above nothing" }
[[gauges]]
role = "target"
source = "csv"
station = "x"
variable = "reservoir_level"
unit = "m"
file = { path = "lake.csv", date = "date", value = "level" }
"""
    )
    app(["fetch", str(dam_file), "--archive", "sqlite:///a.db", "--json"], result_action="return_value")
    capsys.readouterr()
    app(["screen", str(dam_file), "--archive", "sqlite:///a.db", "-o", "out", "--json"], result_action="return_value")
    content = json.loads(capsys.readouterr().out)
    assert [(spell["reason"], spell["days"]) for spell in content["spells"]] == [("spike", 2)]
    assert (tmp_path / "out" / "screening.html").is_file()
