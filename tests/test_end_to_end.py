"""`forebay run DAM` from a dam file to a report. Slow: each test is a whole run."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from forebay.dams.dam_file import load_dam
from forebay.days.daily import usable_values
from forebay.models import MODELS
from forebay.tables import FORECASTS, QUANTILES, REFERENCES, STORAGE_FORECASTS
from forebay.verify.tables import SCORES
from tests.command_line import forebay
from tests.csv_tables import daily_from_files
from tests.shared import PROJECT, SHARED, needs_shared

DAMS = sorted(path.stem for path in (PROJECT / "tests/dams").glob("*.toml"))
SLOW = [needs_shared, pytest.mark.slow]
REAL = [pytest.param(str(PROJECT / f"tests/dams/{name}.toml"), marks=SLOW, id=name) for name in DAMS]


@pytest.fixture(autouse=True)
def _in_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", f"sqlite:///{tmp_path}/archive.db")


def with_short_hindcast(path: Path, folder: Path) -> Path:
    """Path of a copy of the dam file with two lead times and a hindcast of the last two years.

    The test of Warragamba has all lead times and its whole record, and `scripts/skill` those of every dam.
    """
    dam = load_dam(str(path))
    frame = daily_from_files(dam)
    last = usable_values(frame, dam).filter(pl.col(dam.target.variable).is_not_null())["date"][-1]
    keys = f"[hindcast]\nleads = [1, 7]\nstart = {last - timedelta(days=730)}\nlearning_days = 730\n"
    text = path.read_text("utf-8").replace('"../../../shared/', f'"{SHARED}/')
    split = text.index("[hindcast]\n") if "[hindcast]\n" in text else text.index("[[gauges]]")
    own, bracket, gauges = text[split:].removeprefix("[hindcast]\n").partition("[[gauges]]")
    own = "".join(line for line in own.splitlines(keepends=True) if not line.startswith(("start =", "learning_days =")))
    rest = own + bracket + gauges
    copy = folder / path.name
    copy.write_text(f"{text[:split]}{keys}{rest}", "utf-8")
    return copy


@pytest.mark.slow
@needs_shared
def test_warragamba_from_its_files_to_a_report() -> None:
    run = forebay("run", PROJECT / "tests/dams/warragamba.toml", "-o", "report")

    # The terminal shows the forecast, the scores, and the path of the report.
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith("Warragamba Dam: reservoir_level (m), forecast as of 2022-01-11, ")
    assert run.out.endswith("Report: report/report.html\n")

    # The folder contains the page, its figures, the tables, and nothing else.
    names = ("coverage", "explanation", "forecast", "largest_rise", "scores")
    names += ("peaks", "pit_histogram", "reliability", "rolling_coverage", "outlook", "outlook_reliability")
    pictures = {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    tables = {"forecast.csv", "explanation.csv", "scores.csv", "hindcast.parquet"}
    tables |= {"probabilities.csv", "probability_scores.csv"}
    assert {path.name for path in Path("report").iterdir()} == pictures | tables | {"report.html"}
    assert Path("report/forecast.png").read_bytes().startswith(b"\x89PNG")
    assert Path("report/forecast.svg").read_text().startswith("<svg")

    # The forecast has lead times 1 to 7 from the last good level, and seven quantiles that do not cross.
    forecast = pl.read_csv("report/forecast.csv", try_parse_dates=True)
    assert forecast.columns == list(STORAGE_FORECASTS.columns)
    assert set(forecast["init_date"]) == {date(2022, 1, 11)}
    default = forecast.filter(pl.col("model") == "default").sort("lead_time", "quantile")
    assert default["lead_time"].to_list() == [lead for lead in range(1, 8) for _ in QUANTILES]
    assert default["quantile"].to_list() == list(QUANTILES) * 7
    assert default.group_by("lead_time").agg(pl.col("level").is_sorted())["level"].all()

    # On the fixed set of days the default is better than every reference at 1, 3 and 7 days.
    scores = pl.read_csv("report/scores.csv")
    assert scores.columns == list(SCORES.columns)
    mae = scores.filter(pl.col("metric") == "mae", pl.col("regime") == "all")
    for window, days in {"T10": (3418, 3401, 3376), "T4": (1441, 1435, 1427), "T4x": (1421, 1415, 1407)}.items():
        for lead, n in zip((1, 3, 7), days, strict=True):
            cell = mae.filter(pl.col("window") == window, pl.col("lead_time") == lead)
            assert set(cell["n"]) == {n}
            error = dict(cell["model", "value"].iter_rows())
            assert error["default"] < min(error[reference] for reference in REFERENCES)

    # The hindcast is complete, so that anyone can score it again.
    hindcast = FORECASTS.check(pl.read_parquet("report/hindcast.parquet"), unique=True)
    assert set(hindcast["model"]) == {*MODELS, "default"}
    assert set(hindcast["lead_time"]) == set(range(1, 8))

    # The page is one file and warns that its newest level is old.
    page = Path("report/report.html").read_text()
    assert "Warragamba Dam" in page
    assert "reservoir level as of 2022-01-11, " in page
    assert 'src="http' not in page


@pytest.mark.parametrize("dam", ["demo", *(dam for dam in REAL if dam.id != "warragamba")])
def test_every_real_dam_runs(dam: str, tmp_path: Path) -> None:
    run = forebay("run", dam if dam == "demo" else with_short_hindcast(Path(dam), tmp_path), "-o", "report", "--json")
    assert (run.code, run.err) == (0, "")
    output = run.json
    medians = [row for row in output["forecast"] if row["model"] == "default" and row["quantile"] == 0.5]
    assert [row["lead_time"] for row in medians] == (list(range(1, 8)) if dam == "demo" else [1, 7])
    assert {"report.html", "forecast.csv", "scores.csv", "hindcast.parquet"} <= {Path(f).name for f in output["files"]}
    assert all(Path(file).stat().st_size > 0 for file in output["files"])
    assert output["simulated"] == (dam == "demo")
    assert output["current"] == (dam == "demo"), "the demo's record ends yesterday, the files' years ago"
    windows = {row["window"] for row in output["scores"]}
    assert windows >= {"all", "last20"}
