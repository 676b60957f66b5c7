"""`forebay.jobs.forecast` on small synthetic dams: units, replay, its files, and folders that are not writable."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forebay import tables
from forebay.archive.fetch import FetchReport, FetchRequest, fetch_dam
from forebay.archive.store import open_archive
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.local_time import init_time
from forebay.days.daily import usable_values
from forebay.errors import ConfigError, DataError, SourceError
from forebay.features.daily_tables import add_uncoded, newest_reading, read_daily_tables
from forebay.forecasts.issue import IssuedForecast
from forebay.jobs import forecast as forecast_job
from forebay.jobs.forecast import ForecastResult, forecast_dam
from forebay.jobs.forecast_files import report_content, write_forecast
from forebay.models import MODELS
from forebay.report.write import render_report
from forebay.settings import Settings
from forebay.verify.tables import SCORES
from tests import synthetic
from tests.disks import small_disk
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam

DAYS = 600
LEADS = {"leads": (1, 3)}
METRES = small_dam(rain_gauge(), full_supply=96.0, hindcast=LEADS)
FEET = small_dam(rain_gauge(), unit="ft", full_supply=96.0 / 0.3048, hindcast=LEADS)
LAST = FIRST_DAY + timedelta(days=DAYS - 1)
NOW = init_time(LAST, "+10:00") + timedelta(hours=1)


def record(days: int = DAYS) -> pl.DataFrame:
    """A level (m) near full supply that rises with the rain of the previous day, and the rain."""
    rng = np.random.default_rng(7)
    rain = np.where(rng.random(days) < 0.3, rng.gamma(1.0, 12.0, days), 0.0)
    level = 95.5 + np.cumsum(0.01 * np.append(0.0, rain[:-1]) - 0.01 * rain.mean() + rng.normal(0, 0.01, days))
    level[50:60] = np.nan
    columns = {"reservoir_level": [None if np.isnan(x) else float(x) for x in level], "rainfall_r1": rain.tolist()}
    return daily_frame(METRES, columns)


def fetch(path: Path, folder: Path, now: datetime) -> tuple[Dam, FetchReport]:
    """The dam of the file at `path`, fetched at `now` into the archive in `folder`."""
    dam = load_dam(str(path))
    with open_archive(f"sqlite:///{folder}/archive.db") as archive:
        return dam, fetch_dam(dam, archive, settings=Settings(), request=FetchRequest(now))


Job = tuple[ForecastResult, FetchReport]


def run_job(path: Path, folder: Path, *, now: datetime = NOW, init: date | None = None) -> Job:
    """The result of the forecast job, as in `forebay run`, and the report of its fetch."""
    dam, report = fetch(path, folder, now)
    with open_archive(f"sqlite:///{folder}/archive.db") as archive:
        daily_tables = read_daily_tables(dam, archive, now=now, init_date=init)
    return forecast_dam(dam, daily_tables, now=now, report=report), report


@pytest.fixture(scope="module")
def in_metres(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("metres")
    return run_job(synthetic.write_dam(METRES, record(), folder), folder)


def test_from_files_to_a_forecast(in_metres: Job) -> None:
    result, _ = in_metres
    tables.FORECASTS.check(result.verification.forecasts, unique=True)
    SCORES.check(result.scores, unique=True)
    assert result.issued.init_date == LAST
    assert (result.issued.age_days, result.issued.stale, result.issued.limitations) == (0, False, ())
    issued = result.issued.table
    assert set(issued["model"]) == {*MODELS, "default"}
    assert len(issued) == (len(MODELS) + 1) * 2 * len(tables.QUANTILES)
    medians = issued.filter(pl.col("quantile") == 0.5)
    for lead in LEADS["leads"]:
        levels = dict(medians.filter(pl.col("lead_time") == lead)["model", "level"].iter_rows())
        default = levels.pop("default")
        blended = default - result.verification.points["default"].shift[lead]
        assert min(levels.values()) < blended < max(levels.values()), "a blend, equal to none of its models"
    assert set(result.scores["regime"]) >= {"all", "wet", "dry", "near_full", "y2018"}


def test_rain_of_the_previous_day_beats_all_references(in_metres: Job) -> None:
    skill = in_metres[0].scores.filter(
        pl.col("metric").str.starts_with("skill"), pl.col("model") == "default", pl.col("window") == "all",
        pl.col("regime") == "all", pl.col("lead_time") == 1,
    )  # fmt: skip
    assert skill["value"].min() > 0.3  # type: ignore[operator]  # a number


@pytest.mark.parametrize("gauge_unit", ["m", "ft"])
def test_the_unit_of_the_target_changes_only_the_unit_of_the_output(
    in_metres: Job, tmp_path: Path, gauge_unit: str
) -> None:
    """The target in feet, its gauge in metres or feet: forecasts and scores equal those in metres to 1e-6."""
    level = pl.col("reservoir_level")
    frame = record().with_columns(level / 0.3048 if gauge_unit == "ft" else level)
    path = synthetic.write_dam(FEET, frame, tmp_path)
    if gauge_unit == "m":
        text = path.read_text()
        first_gauge = text.index('unit = "ft"', text.index("[[gauges]]"))
        path.write_text(text[:first_gauge] + 'unit = "m"' + text[first_gauge + len('unit = "ft"') :])
    feet = run_job(path, tmp_path)[0]
    metres = in_metres[0]
    table_ft, table_m = feet.verification.forecasts, metres.verification.forecasts
    for name in ("change", "level"):
        np.testing.assert_allclose(table_ft[name] * 0.3048, table_m[name], rtol=1e-6, atol=1e-7)
    assert_frame_equal(table_ft.drop("change", "level"), table_m.drop("change", "level"))
    no_unit = ("nse", "kge", "coverage_80", "coverage_90", "above_95", "events", "share_forecast")
    no_unit += ("outside_experience", "outside_limits")
    has_unit = ~(pl.col("metric").is_in(no_unit) | pl.col("metric").str.contains("skill"))
    scaled = feet.scores.with_columns(
        pl.when(has_unit).then(pl.col(c) * 0.3048).otherwise(c).alias(c) for c in ("value", "low", "high")
    )
    assert_frame_equal(scaled, metres.scores, rel_tol=1e-6, abs_tol=1e-6)


def test_a_repeated_forecast_does_not_change_with_later_readings_or_revisions(tmp_path: Path) -> None:
    """--init DATE uses the readings known on that day: no later days and no later revisions."""
    issue_day = DAYS - 40
    frame = record()
    init = FIRST_DAY + timedelta(days=issue_day - 1)
    path = synthetic.write_dam(METRES, frame.head(issue_day), tmp_path)
    at_issue = run_job(path, tmp_path, now=init_time(init, "+10:00") + timedelta(hours=2))[0]
    assert at_issue.issued.init_date == init
    is_recent = pl.col("date").is_between(init - timedelta(days=20), init)
    revised = frame.with_columns(
        pl.when(is_recent).then(pl.col(c) + shift).otherwise(c).alias(c)
        for c, shift in (("reservoir_level", 0.3), ("rainfall_r1", 25.0))
    )
    synthetic.write_dam(METRES, revised, tmp_path)
    again, report = run_job(path, tmp_path, init=init)
    assert report.table["revised"].to_list() == [21, 21]
    assert_frame_equal(again.issued.table, at_issue.issued.table, check_exact=True)
    assert_frame_equal(again.verification.forecasts, at_issue.verification.forecasts, check_exact=True)
    assert again.daily_tables.reading == at_issue.daily_tables.reading
    current = run_job(path, tmp_path)[0]
    assert current.issued.init_date == LAST
    same_day = current.verification.forecasts.filter(
        pl.col("init_date") == init, pl.col("model") == "no_change", pl.col("lead_time") == 1
    )
    assert same_day.filter(pl.col("quantile") == 0.5)["level"][0] == pytest.approx(
        at_issue.daily_tables.known["reservoir_level"][-1]
    )


def test_without_a_level_the_forecast_starts_from_the_last_one(tmp_path: Path) -> None:
    """Only rain is known for five days: the forecast is wider, and its limitations give the date of the level."""
    is_missing = pl.col("date") > LAST - timedelta(days=5)
    frame = record().with_columns(pl.when(~is_missing).then("reservoir_level").alias("reservoir_level"))
    result, _ = run_job(synthetic.write_dam(METRES, frame, tmp_path), tmp_path)
    issued, reading = result.issued, result.daily_tables.reading
    assert (issued.init_date, issued.level_date, issued.level_age_days) == (LAST, LAST - timedelta(days=5), 5)
    assert reading is not None
    assert reading.value == pytest.approx(frame["reservoir_level"][-6])
    assert issued.limitations[0].startswith(f"No level since {issued.level_date} (5 days): the forecast starts from")
    default = issued.table.filter(pl.col("model") == "default", pl.col("lead_time") == 1)
    assert set(default["level_date"]) == {issued.level_date}
    start = (default["level"] - default["change"]).to_list()
    assert start == pytest.approx([frame["reservoir_level"][-6]] * len(default))
    change = dict(default.select("quantile", "change").iter_rows())
    width = change[0.95] - change[0.05]
    past = result.verification.forecasts.filter(pl.col("model") == "default", pl.col("lead_time") == 1).pivot(
        "quantile", index=["init_date", "level_date"], values="change")  # fmt: skip
    known = past.filter(pl.col("level_date") == pl.col("init_date")).tail(100)
    assert width > (known["0.95"] - known["0.05"]).quantile(0.9)  # type: ignore[operator]  # a number
    parts = issued.explanation.filter(pl.col("lead_time") == 1)
    assert parts["contribution"].sum() == pytest.approx(default.filter(pl.col("quantile") == 0.5)["change"][0])
    assert "since_level" in parts["group"].to_list()


def test_days_before_the_first_level_are_dropped(tmp_path: Path) -> None:
    inside = pl.col("date").is_between(FIRST_DAY + timedelta(days=5), LAST - timedelta(days=3))
    frame = record().with_columns(pl.when(inside).then("reservoir_level").alias("reservoir_level"))
    dam, _ = fetch(synthetic.write_dam(METRES, frame, tmp_path), tmp_path, NOW)
    with open_archive(f"sqlite:///{tmp_path}/archive.db") as archive:
        daily_tables = read_daily_tables(dam, archive, now=NOW)
        early = FIRST_DAY + timedelta(days=2)
        with pytest.raises(DataError, match=f"no usable reservoir_level on {early} or the 30 days before"):
            read_daily_tables(dam, archive, now=NOW, init_date=early)
    for frame in (daily_tables.known, daily_tables.newest):
        assert (frame["date"][0], frame["date"][-1]) == (FIRST_DAY + timedelta(days=5), LAST)
        assert frame["date"].n_unique() == len(frame) == DAYS - 5


def test_a_rain_forecast_from_a_file_is_used_noted_and_repeated(tmp_path: Path) -> None:
    """Issues after the init date change nothing in a repeated forecast."""
    outlook = {"kind": "rain", "id": "outlook", "name": "The outlook", "unit": "mm"}
    dam = small_dam(rain_gauge(), full_supply=96.0, hindcast=LEADS, forcings=[outlook])
    frame = record()
    issued = synthetic.forcing_issues(dam, frame["rainfall_r1"].to_numpy(), forcing="outlook", error=0.3)
    init = LAST - timedelta(days=30)
    first = run_job(synthetic.write_dam(dam, frame, tmp_path, issued), tmp_path, init=init)[0]
    (note,) = first.issued.forcings
    day = f"{init:%Y-%m-%d}"
    assert note.startswith(f"Used: The outlook, issued {day}T12:00+10:00: ")
    assert "outlook" not in " ".join(first.issued.limitations)
    assert ("forcing", "The outlook") in set(first.issued.explanation.select("group", "gauge").rows())
    with_outlook, without = (
        result.scores.filter(model="default", metric="mae", window="all", regime="all", lead_time=3)["value"][0]
        for result in (first, run_job(synthetic.write_dam(METRES, frame, tmp_path), tmp_path, init=init)[0])
    )
    assert with_outlook < 0.8 * without
    until = pl.col("issue_time") <= init_time(init, "+10:00")
    synthetic.write_dam(dam, frame, tmp_path, issued.with_columns(pl.when(until).then("value").otherwise(400.0)))
    again = run_job(tmp_path / "small.toml", tmp_path, init=init)[0]
    assert_frame_equal(again.verification.forecasts, first.verification.forecasts, check_exact=True)
    assert again.issued.forcings == first.issued.forcings
    page = render_report(report_content(again))
    assert note in page
    value = again.forecast_value
    assert value["lead_time"].to_list() == list(again.dam.hindcast.leads)
    assert (value["n"] > 0).all() and value["coverage_90"].is_between(0, 1).all()
    assert "With and without forecasts as inputs" in page
    files = write_forecast(again, tmp_path / "value")
    written = pl.read_csv(next(path for path in files if path.name == "forecast_value.csv"))
    assert_frame_equal(written, value, check_dtypes=False)
    assert "uses measurements only" not in page


def test_a_forcing_without_any_issue_is_noted(tmp_path: Path) -> None:
    outlook = {"kind": "rain", "id": "outlook", "name": "The outlook", "unit": "mm"}
    dam = small_dam(rain_gauge(), full_supply=96.0, hindcast=LEADS, forcings=[outlook])
    result, _ = run_job(synthetic.write_dam(dam, record(), tmp_path, tables.FORCINGS.empty()), tmp_path)
    assert result.issued.forcings == ()
    note = "The outlook: no issue covers the coming days; the models work without it."
    assert note in result.issued.limitations


def test_without_codes_the_coded_values_are_used(tmp_path: Path) -> None:
    """Rain of 7 days has the value 0.00 and a code for unavailable; dates and levels do not change."""
    path = synthetic.write_dam(METRES, record(), tmp_path)
    frame = pl.read_csv(tmp_path / "small.csv")
    coded = pl.int_range(len(frame)).is_between(100, 106)
    frame.with_columns(
        pl.when(coded).then(0.0).otherwise("rainfall_r1").alias("rainfall_r1"),
        pl.when(coded).then(255).otherwise(4).alias("q"),
    ).write_csv(tmp_path / "small.csv")
    layout = 'value = "rainfall_r1"'
    path.write_text(path.read_text().replace(layout, f'{layout}\nquality = "q"\nquality_codes = "waternsw"'))
    dam, _ = fetch(path, tmp_path, NOW)
    with open_archive(f"sqlite:///{tmp_path}/archive.db") as archive:
        daily_tables = add_uncoded(read_daily_tables(dam, archive, now=NOW), dam, archive, now=NOW)
    assert daily_tables.uncoded is not None
    assert usable_values(daily_tables.known, dam)["rainfall_r1"][99:107].null_count() == 7
    for frame, coded_frame in zip(daily_tables.uncoded, (daily_tables.known, daily_tables.newest), strict=True):
        assert usable_values(frame, dam)["rainfall_r1"][100:107].to_list() == [0.0] * 7
        assert frame["date"].equals(coded_frame["date"])
        assert frame["reservoir_level"].equals(coded_frame["reservoir_level"])


def test_an_archive_without_the_dam_is_refused(tmp_path: Path) -> None:
    with open_archive(f"sqlite:///{tmp_path}/archive.db") as archive:
        with pytest.raises(DataError, match="Small Dam: gauge lake has no usable reservoir_level"):
            read_daily_tables(METRES, archive, now=NOW)
        assert newest_reading(METRES, archive, until=NOW) is None


def test_a_gauge_that_could_not_be_fetched_is_named(in_metres: Job) -> None:
    result, report = in_metres
    failed = FetchReport(report.table, {"rainfall_r1": SourceError("no answer within 10 s")}, None)
    again = forecast_dam(result.dam, result.daily_tables, now=NOW, report=failed)
    assert again.issued.limitations == ("Rainfall could not be fetched: no answer within 10 s",)


def issued_again(
    job: Job, monkeypatch: pytest.MonkeyPatch, *, now: datetime = NOW, withheld_from: date | None = None
) -> IssuedForecast:
    """The forecast of the job's tables and hindcast, issued at `now`; the datum is unknown from `withheld_from` on."""
    result, report = job
    samples = replace(result.verification.samples, withheld_from=withheld_from)
    verification = replace(result.verification, samples=samples)
    monkeypatch.setattr(forecast_job, "verify_hindcast", lambda *_, **__: verification)
    return forecast_dam(result.dam, result.daily_tables, now=now, report=report).issued


def test_only_a_forecast_of_today_says_yesterday(in_metres: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    for days, said in ((0, True), (1, False), (3, False)):
        issued = issued_again(in_metres, monkeypatch, now=NOW + timedelta(days=days))
        words = " ".join(issued.explanation["words"])
        assert (issued.age_days, "yesterday" in words, f"on {LAST}" in words) == (days, said, not said)


def test_the_forecast_has_the_notes_of_the_fetch_and_all_that_is_outside_experience(
    in_metres: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, report = in_metres
    note = "Rainfall: 3 readings lie in the future and are left out"
    noted = report.table.with_columns(note=pl.when(pl.col("gauge") == "rainfall_r1").then(pl.lit(note)))
    monkeypatch.setattr(forecast_job, "outside_experience", lambda *_: ("Outside.",))
    monkeypatch.setattr(forecast_job, "far_outside_experience", lambda *_: ("Far outside.",))
    day = LAST - timedelta(days=9)
    issued = issued_again((result, FetchReport(noted, {}, None)), monkeypatch, withheld_from=day)
    assert issued.warnings[:3] == ("Outside.", "Far outside.", note)
    assert issued.withheld_from == day


def test_the_report_has_the_scored_forecasts_before_its_own_and_the_newest_values(in_metres: Job) -> None:
    result, _ = in_metres
    content = report_content(result)
    inits = content.hindcast["init_date"].unique().sort()
    scored = result.verification.diagnostics.reliability.filter(lead_time=1, regime="all")["n"][0]
    assert content.forecast.init_date == LAST
    assert (len(inits), inits[-1]) == (scored, LAST - timedelta(days=1))
    assert content.daily is result.daily_tables.newest


def test_written_files(in_metres: Job, tmp_path: Path) -> None:
    result, report = in_metres
    folder = tmp_path / "deep" / "below"
    files = write_forecast(result, folder)
    assert {path.name for path in folder.iterdir()} == {path.name for path in files}, "no temporary file remains"
    assert {path.name for path in files} >= {"report.html", "forecast.csv", "scores.csv", "hindcast.parquet"}
    assert_frame_equal(pl.read_parquet(folder / "hindcast.parquet"), result.verification.forecasts)
    assert pl.read_csv(folder / "forecast.csv").columns == list(tables.STORAGE_FORECASTS.columns)
    assert pl.read_csv(folder / "scores.csv").columns == list(SCORES.columns)
    written = {
        "forecast": result.storage_forecasts, "explanation": result.issued.explanation, "scores": result.scores,
        "probabilities": result.outlook.probabilities, "probability_scores": result.outlook.scores,
    }  # fmt: skip
    for name, table in written.items():
        assert (folder / f"{name}.csv").read_text() == table.write_csv(), f"{name}.csv is another table"
    assert {path.stem for path in folder.glob("*.csv")} == set(written)
    assert result.scores["regime"].n_unique() > 2
    assert "imulated" in (folder / "report.html").read_text()


def test_verification(in_metres: Job) -> None:
    """Sample paths agree with the intervals, and their CRPS is lower than the MAE of the median."""
    result, _ = in_metres
    default = result.issued.table.filter(pl.col("model") == "default")
    for k, lead in enumerate((1, 3)):
        members = np.sort(result.verification.paths[-1, k])
        for quantile in (0.05, 0.25, 0.75, 0.95):
            expected = default.filter(pl.col("lead_time") == lead, pl.col("quantile") == quantile)["change"].item()
            assert members[round(quantile * len(members) - 0.5)] == pytest.approx(expected, abs=1e-12)
    rows = result.scores.filter(pl.col("window") == "all", pl.col("regime") == "all", pl.col("model") == "default")
    metrics = dict(rows.filter(pl.col("lead_time") == 1).select("metric", "value").iter_rows())
    assert metrics["mae"] / 2 < metrics["crps"] < metrics["mae"], "a distribution has more information than its median"
    assert metrics["share_forecast"] == 1
    assert 0 <= metrics["outside_experience"] < 1
    assert len(result.verification.diagnostics.peaks) > 0


@pytest.mark.parametrize("size", ["8k", "256k", "600k"])
def test_a_full_disk_leaves_no_incomplete_file(
    in_metres: Job, tmp_path: Path, size: str
) -> None:
    """The disk is full at forecast.csv, at hindcast.parquet, or within the report."""
    result, report = in_metres
    with small_disk(tmp_path / "disk", size) as disk:
        folder = disk / "run"
        with pytest.raises(
            ConfigError, match=r"cannot be written: No space left on device.*; choose another with -o DIR"
        ):
            write_forecast(result, folder)
        assert list(folder.iterdir()) == []
