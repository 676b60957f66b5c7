"""Recorded forecasts of a small synthetic dam: stored before they are returned, replayed, scored, exported."""

import csv
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xarray
from polars.testing import assert_frame_equal

import forebay
from forebay.archive.store import Archive, open_archive
from forebay.dams.dam_file import load_dam
from forebay.errors import ConfigError, DataError, ForebayError, ReadOnlyError
from forebay.forecasts.issue import issue
from forebay.forecasts.record import canonical, chain_faults, row_of
from forebay.jobs import record as record_job
from forebay.jobs.forecast import ForecastResult
from forebay.jobs.forecast_files import report_content
from forebay.jobs.record import content_of, find_record, recorded_forecasts, store_forecast, verify_chain
from forebay.jobs.record_files import HUB_COLUMNS, write_records
from forebay.jobs.replay import replay
from forebay.jobs.score_record import score_record
from forebay.report.write import render_report
from forebay.tables import FORECASTS, QUANTILES, RECORDS
from tests import synthetic
from tests.disks import small_disk
from tests.record_oracle import problems
from tests.records import head_of
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam

DAYS = 420
LEADS = (1, 3)
LAKE = small_dam(rain_gauge(), full_supply=1.0, hindcast={"leads": LEADS})
LAST = FIRST_DAY + timedelta(days=DAYS - 1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record_of_days(days: int = DAYS) -> pl.DataFrame:
    """Level and rain of the lake (simulated)."""
    rng = np.random.default_rng(5)
    rain = rng.gamma(0.3, 10.0, DAYS + 100)
    levels = np.cumsum(rng.normal(0, 0.03, DAYS + 100)) + np.cumsum(np.append(0.0, rain[:-1]) - rain.mean()) * 0.004
    columns = {"reservoir_level": levels[:days].tolist(), "rainfall_r1": rain[:days].tolist()}
    return daily_frame(LAKE, columns)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dam file of the lake, in a folder with its archive `a.db`."""
    return synthetic.write_dam(LAKE, record_of_days(), tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="module")
def result(lake: Path) -> ForecastResult:
    """The first forecast of the lake."""
    return forebay.forecast(lake, archive=f"sqlite:///{lake.parent}/a.db")


@pytest.fixture
def place(lake: Path, result: ForecastResult, tmp_path: Path) -> Path:
    """A copy of the archive with the first record."""
    from forebay.archive import upkeep

    assert result.record is not None
    upkeep.backup(f"sqlite:///{lake.parent}/a.db", tmp_path / "a.db")
    return tmp_path / "a.db"


@pytest.fixture
def archive(place: Path) -> Iterator[Archive]:
    with open_archive(f"sqlite:///{place}") as opened:
        yield opened


def store(archive: Archive, result: ForecastResult, **changes: object) -> record_job.RecordReference:
    """Store the forecast of `result` with some fields changed."""
    issued = replace(result.issued, **changes)  # type: ignore[arg-type]  # fields of several types
    return store_forecast(
        archive, result.dam, result.daily_tables, issued, result.verification.samples.newest_flags
    )


def execute(place: Path, statement: str) -> None:
    """Change the archive behind forebay's back."""
    with closing(sqlite3.connect(place)) as connection:
        connection.execute(statement)
        connection.commit()


def rows_of(archive: Archive) -> pl.DataFrame:
    return pl.concat([RECORDS.empty(), *archive.records.pages(LAKE.id)])


# --- stored before it is returned -------------------------------------------------------------------------------------


def test_a_forecast_is_recorded_with_all_its_numbers(archive: Archive, result: ForecastResult) -> None:
    rows = rows_of(archive)
    record = result.record
    assert record is not None and result.not_recorded == ""
    assert (record.id, record.hash, record.replaces, record.retrospective) == ("small-1", rows["hash"][0], None, False)
    content = content_of(find_record(archive, "small-1"))
    assert_frame_equal(find_record(archive, record.hash[:8]), rows)
    forecasts = recorded_forecasts(archive, LAKE.id)
    assert_frame_equal(forecasts.drop("issue_time"), result.issued.table.sort(FORECASTS.key), check_exact=True)
    assert set(forecasts["issue_time"]) == {result.issued.issue_time}
    assert content["environment"]["libraries"]["numpy"] == np.__version__
    assert content["environment"]["libraries"].keys() == {"numpy", "scipy", "scikit-learn", "lightgbm", "polars"}
    assert content["limitations"] == list(result.issued.limitations)
    assert "BLAS" in content["environment"]["linear algebra"] or "blas" in content["environment"]["linear algebra"]


def test_the_report_names_its_record(result: ForecastResult) -> None:
    record = result.record
    assert record is not None
    sentence = f"Record: small-1, hash {record.hash}"
    content = report_content(result)
    assert content.record_note == sentence
    page = render_report(content, sections=(), charts=())
    footer = page.partition("<footer>")[2].partition("</footer>")[0]
    assert sentence in footer
    without = replace(result, record=None, not_recorded="This forecast is not recorded: no right to write.")
    assert report_content(without).record_note == "This forecast is not recorded: no right to write."


def test_a_repeated_forecast_is_a_record_that_names_the_one_before(archive: Archive, result: ForecastResult) -> None:
    assert [store(archive, result).replaces for _ in range(3)] == ["small-1", "small-2", "small-3"]
    old = store(archive, result, is_requested=True)
    assert (old.retrospective, old.replaces) == (True, None)
    assert store(archive, result).replaces == "small-4"
    assert chain_faults([rows_of(archive)], LAKE.id) == []


def test_a_requested_day_is_recorded_as_retrospective(lake: Path, place: Path) -> None:
    url = f"sqlite:///{place}"
    again = forebay.forecast(lake, archive=url, init_date=LAST - timedelta(days=30), update=False)
    assert again.record is not None and again.record.retrospective
    with open_archive(url) as archive:
        assert set(recorded_forecasts(archive, LAKE.id)["init_date"]) == {LAST}
    assert replay(again.record.id, archive=url).comparison.equal


def test_a_forecast_that_cannot_be_recorded_is_an_error(lake: Path, place: Path, tmp_path: Path) -> None:
    """The disk is full."""
    size = place.stat().st_size
    with small_disk(tmp_path / "disk", f"{size // 1024 + 100}k") as disk:
        shutil.copy(place, disk / "a.db")
        with open_archive(f"sqlite:///{disk}/a.db") as archive:
            archive.records.index()  # the files of the log have their size
            free = os.statvfs(disk)
            (disk / "filler").write_bytes(bytes((free.f_bavail - 2) * free.f_frsize))
            error = ""
            try:
                forebay.forecast(lake, archive=archive, update=False)
            except ForebayError as failure:
                error = str(failure)
            assert error.startswith("the forecast of Small Dam is not shown, because it could not be recorded: ")
            assert "is full" in error
            (disk / "filler").unlink()
            assert rows_of(archive).height == 1
            again = forebay.forecast(lake, archive=archive, update=False)
            assert again.record is not None and again.record.id == "small-2"


def test_a_forecast_from_an_archive_to_read_only_has_a_sentence(
    lake: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> bool:
        raise ReadOnlyError("archive x cannot be written")

    monkeypatch.setattr("forebay.archive.records.RecordArchive.append", refuse)
    again = forebay.forecast(lake, archive=archive, update=False)
    assert again.record is None
    assert again.not_recorded == "This forecast is not recorded: archive x cannot be written."


def test_a_clock_that_went_back_is_an_error_until_it_is_accepted(
    lake: Path, archive: Archive, result: ForecastResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive's clock was a year ahead when the last record was stored."""
    from forebay.archive import engines

    clock = engines.clock
    with monkeypatch.context() as patch:
        patch.setattr(engines, "clock", lambda connection: clock(connection) + 365 * 86_400_000_000)
        assert store(archive, result).id == "small-2"
    with pytest.raises(ForebayError, match=r"is not shown, .* before the last record small-2 of .*CLOCK_FAULT=small-2"):
        forebay.forecast(lake, archive=archive, update=False)
    assert rows_of(archive).height == 2
    monkeypatch.setenv("FOREBAY_CLOCK_FAULT", "small-2")
    again = forebay.forecast(lake, archive=archive, update=False)
    assert again.record is not None and again.record.id == "small-3"
    assert store(archive, result).id == "small-4", "the setting is needed once"
    assert verify_chain(archive, LAKE.id).faults == ()


def test_another_process_that_stores_first_is_no_error(
    archive: Archive, result: ForecastResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = archive.records.head
    calls = []

    def late_head(records: object, dam: str, init: date) -> object:
        old = head(dam, init)
        calls.append(old.sequence)
        if len(calls) == 1:  # between the reading of the head and the append
            store(archive, result)
        return old

    monkeypatch.setattr("forebay.archive.records.RecordArchive.head", late_head)
    assert store(archive, result).id == "small-3"
    assert calls == [1, 1, 2]
    assert chain_faults([rows_of(archive)], LAKE.id) == []


# --- replay -----------------------------------------------------------------------------------------------------------


def test_a_replay_is_equal_after_revisions_and_newer_days_and_a_new_dam_file(
    lake: Path, tmp_path: Path, result: ForecastResult
) -> None:
    """Old and recent days are revised, days are added, the folder moves, and the dam file changes."""
    folder = tmp_path / "moved"
    shutil.copytree(lake.parent, tmp_path / "first")
    first = forebay.forecast(tmp_path / "first" / lake.name, archive=f"sqlite:///{tmp_path}/b.db")
    (tmp_path / "first").rename(folder)
    frame = record_of_days(DAYS + 20)
    # Fewer than half of the days: otherwise the moved file would be another series.
    is_old = pl.col("date").is_between(FIRST_DAY + timedelta(days=250), LAST - timedelta(days=3))
    frame = frame.with_columns(
        pl.when(is_old).then(pl.col(name) + 1).otherwise(name).alias(name)
        for name in ("reservoir_level", "rainfall_r1")
    )
    synthetic.write_dam(LAKE, frame, folder)
    path = folder / lake.name
    path.write_text(path.read_text().replace('"Small Dam"', '"Renamed"').replace("[1, 3]", "[1, 2]"))
    url = f"sqlite:///{tmp_path}/b.db"
    later = forebay.forecast(path, archive=url)
    assert later.issued.init_date == LAST + timedelta(days=20)
    assert later.record is not None and later.record.replaces is None
    with open_archive(url) as archive:
        assert archive.revisions(later.dam.gauges).height == 2 * (DAYS - 3 - 250), "the same series, revised"
        assert archive.as_of(first.dam.gauges).is_empty(), "the series of the new path"
    again = replay("small-1", archive=url)
    assert again.comparison.equal, again.comparison
    assert again.comparison.differences == ()
    assert_frame_equal(again.to_frame(), first.to_frame(), check_exact=True)
    assert again.title() == "small-1, equal to the last digit"
    assert replay("small-2", archive=url).comparison.equal


def forged(archive: Archive, change: Callable[[dict[str, object]], None]) -> str:
    """Id of a record like the first one with a change, with its own hash, at the end of the chain."""
    rows = rows_of(archive)
    head = head_of(rows, LAST, rows["recorded_at"][-1])
    content = json.loads(rows["payload"][0]) | {
        "id": f"small-{head.sequence + 1}", "sequence": head.sequence + 1, "previous": head.hash,
    }  # fmt: skip
    change(content)
    assert archive.records.append(row_of(canonical(content)))
    assert verify_chain(archive, LAKE.id).faults == ()
    return str(content["id"])


def test_a_replay_names_the_version_that_differs_and_by_how_much(archive: Archive) -> None:
    def change(content: dict[str, object]) -> None:
        content["environment"]["libraries"]["lightgbm"] = "3.3.5"  # type: ignore[index]  # JSON values
        columns = content["forecast"]
        for k, (model, lead) in enumerate(zip(columns["model"], columns["lead_time"], strict=True)):  # type: ignore[index]
            if model == "default" and lead == 3:
                columns["level"][k] += 0.125  # type: ignore[index]

    again = replay(forged(archive, change), archive=archive)
    assert not again.comparison.equal
    assert again.comparison.leads["difference"].to_list() == pytest.approx([0.0, 0.125])
    (difference,) = again.comparison.differences
    assert difference.startswith("lightgbm was 3.3.5, is ")


def test_another_version_with_the_same_forecast_is_equal_and_named(archive: Archive) -> None:
    def change(content: dict[str, object]) -> None:
        content["environment"]["machine"] = "riscv64"  # type: ignore[index]  # JSON values

    again = replay(forged(archive, change), archive=archive)
    assert again.comparison.equal
    assert again.comparison.differences[0].startswith("machine was riscv64, is ")


def test_readings_that_are_lost_are_named(archive: Archive, place: Path) -> None:
    day = 86_400_000_000
    execute(place, f"DELETE FROM observation WHERE time = (SELECT max(time) - 100 * {day} FROM observation)")
    again = replay("small-1", archive=archive)
    assert not again.comparison.equal
    assert again.comparison.differences[0] == (
        "the daily table as first published differs: the archive does not give the readings that it gave then"
    )


def test_a_changed_record_is_not_replayed(archive: Archive, place: Path) -> None:
    execute(place, "UPDATE forecast_record SET payload = replace(payload, 'Small Dam', 'Small Dom')")
    with pytest.raises(DataError, match="nothing is exported: `forebay record verify small` lists all faults"):
        write_records(archive, "small", place / "export", now=datetime.now(UTC))
    assert not (place / "export").exists()
    for function in (replay, lambda record, archive: score_record(LAKE, archive=archive)):
        with pytest.raises(DataError, match="small-1: its content was changed: it has another hash; `forebay rec"):
            function("small-1", archive=archive)


@pytest.mark.parametrize(
    ("record", "kind", "pattern"),
    [
        ("small-2", DataError, "the archive has no record small-2; it has small-1"),
        ("other-1", DataError, "the archive has no record other-1; `forebay record list`"),
        ("0" * 8, DataError, "no record has a hash that starts with 00000000"),
        ("small", ConfigError, "record 'small' is no id; give one like demo-1"),
    ],
)
def test_a_record_that_does_not_exist(archive: Archive, record: str, kind: type[Exception], pattern: str) -> None:
    with pytest.raises(kind, match=pattern):
        replay(record, archive=archive)


def test_a_forcing_file_may_grow_but_not_change(tmp_path: Path) -> None:
    outlook = {"kind": "rain", "id": "outlook", "name": "The outlook", "unit": "mm"}
    dam = small_dam(rain_gauge(), full_supply=1.0, hindcast={"leads": LEADS}, forcings=[outlook])
    frame = record_of_days()
    rain = record_of_days(DAYS + 9)["rainfall_r1"].to_numpy()
    issues = synthetic.forcing_issues(dam, rain, forcing="outlook", error=1.0)
    issues = issues.filter(pl.col("issue_time").dt.date() <= LAST).with_columns(pl.col("value").clip(0.0, 300.0))
    path, url = synthetic.write_dam(dam, frame, tmp_path, issues), f"sqlite:///{tmp_path}/a.db"
    first = forebay.forecast(path, archive=url)
    assert first.issued.forcings
    future = issues.tail(2).with_columns(pl.col("issue_time", "known_time") + timedelta(days=20 * 365))
    synthetic.write_dam(dam, frame, tmp_path, pl.concat([issues, future]))
    assert replay("small-1", archive=url).comparison.differences == ()
    changed = issues.with_columns(pl.when(pl.int_range(pl.len()) == 5).then(99.0).otherwise("value").alias("value"))
    synthetic.write_dam(dam, frame, tmp_path, changed)
    assert replay("small-1", archive=url).comparison.differences == (
        "the issues of forcing outlook until the issue time differ: its file was changed",
    )


# --- verify -----------------------------------------------------------------------------------------------------------


def test_the_removal_of_the_last_record_is_detected_by_the_head(
    archive: Archive, place: Path, result: ForecastResult
) -> None:
    head = store(archive, result).hash
    assert verify_chain(archive, LAKE.id, head=head).faults == ()
    assert verify_chain(archive, LAKE.id, head=rows_of(archive)["hash"][0][:8]).faults == (), "an earlier head"
    execute(place, "DELETE FROM forecast_record WHERE sequence = 2")
    assert verify_chain(archive, LAKE.id).faults == ()
    assert verify_chain(archive, LAKE.id, head=head).faults == (
        f"no record of small has the hash {head}: that record, and perhaps later ones, were removed or changed",
    )
    with pytest.raises(ConfigError, match="--head 'xyz' is no hash"):
        verify_chain(archive, LAKE.id, head="xyz")


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(archive: Archive, result: ForecastResult, tmp_path: Path) -> dict[str, Path]:
    """The exported files by suffix: of two init dates, one of which has a corrected forecast."""
    day_before = LAST - timedelta(days=1)
    old = issue(result.verification.forecasts, result.dam, day_before, now=NOW, limitations=())
    store(archive, replace(result, issued=old))
    store(archive, result, is_requested=True)
    corrected = result.issued.table.with_columns(pl.col("level") + 0.5)
    store(archive, result, table=corrected)
    paths = write_records(archive, LAKE.id, tmp_path / "out", netcdf=True, now=NOW)
    names = [str(path.relative_to(tmp_path / "out")) for path in paths]
    hub = "model-output/forebay-default"
    assert names == ["forecasts.nc", "records.jsonl", f"{hub}/{day_before}-forebay-default.csv",
                     f"{hub}/{LAST}-forebay-default.csv"]  # fmt: skip
    return {path.suffix: path for path in paths}


def test_the_lines_of_an_export_pass_the_independent_check(archive: Archive, files: dict[str, Path]) -> None:
    content = files[".jsonl"].read_bytes()
    head = rows_of(archive)["hash"][-1]
    assert problems(content, head) == []
    assert content.count(b"\n") == 4
    assert problems(content[: content.rindex(b"\n", 0, -1) + 1], head) == ["the head is missing"]


def test_model_output_has_the_columns_and_values_of_hubverse(files: dict[str, Path], result: ForecastResult) -> None:
    with files[".csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == HUB_COLUMNS
    assert len(rows) == len(LEADS) * len(QUANTILES)
    default = {
        (str(lead), f"{quantile:g}"): level + 0.5
        for lead, quantile, level in result.to_frame().select("lead_time", "quantile", "level").iter_rows()
    }
    assert {(row["horizon"], row["output_type_id"]): float(row["value"]) for row in rows} == default
    first = rows[0]
    assert (first["origin_date"], first["target_end_date"]) == (str(LAST), str(LAST + timedelta(days=1)))
    assert (first["target"], first["location"]) == ("reservoir_level (m), SIMULATED", "small")
    assert {row["output_type"] for row in rows} == {"quantile"}


def test_the_dataset_has_the_last_forecast_of_each_day_and_its_record(
    files: dict[str, Path], result: ForecastResult
) -> None:
    with xarray.open_dataset(files[".nc"], engine="h5netcdf") as dataset:
        assert dataset.attrs["Conventions"] == "CF-1.11"
        assert dataset["record"].values.tolist() == ["small-2", "small-4"]
        median = dataset["level"].sel(quantile=0.5).isel(init_time=-1).values
    expected = result.to_frame().filter(pl.col("quantile") == 0.5).sort("lead_time")["level"] + 0.5
    assert median.tolist() == expected.to_list()


def test_exported_files_agree_with_the_records(archive: Archive, files: dict[str, Path]) -> None:
    for path in files.values():
        assert verify_chain(archive, LAKE.id, file=path).faults == (), path


def test_any_changed_byte_of_the_text_files_is_a_fault(archive: Archive, files: dict[str, Path]) -> None:
    for suffix, step in ((".jsonl", 997), (".csv", 13)):
        content = files[suffix].read_text()
        for place in range(0, len(content) - 1, step):
            byte = "7" if content[place] != "7" else "8"
            files[suffix].write_text(content[:place] + byte + content[place + 1 :])
            assert verify_chain(archive, LAKE.id, file=files[suffix]).faults, (suffix, place)
        files[suffix].write_text(content)
    lines = files[".jsonl"].read_text().splitlines(keepends=True)
    for changed in (lines[:2] + lines[3:], [lines[1], lines[0], *lines[2:]], [*lines, lines[-1]], ["x\n"], []):
        files[".jsonl"].write_text("".join(changed))
        assert verify_chain(archive, LAKE.id, file=files[".jsonl"]).faults
    files[".jsonl"].write_text("".join(lines[:3]))
    assert verify_chain(archive, LAKE.id, file=files[".jsonl"]).faults == (), "an export of an earlier day"


def test_a_changed_dataset_is_a_fault(archive: Archive, files: dict[str, Path]) -> None:
    original = xarray.load_dataset(files[".nc"], engine="h5netcdf")
    for name in ("level", "change", "quantile", "init_time", "record_hash", "level_date"):
        values = original[name].values.copy()
        if values.dtype.kind not in "fM":
            values = np.array(["0" * 64, *values[1:]], dtype=object)
        else:
            values.flat[0] += 1e-9 if values.dtype.kind == "f" else np.timedelta64(1, "D")
        changed = original.assign_coords({name: (original[name].dims, values)}) if name in original.coords else (
            original.assign({name: (original[name].dims, values)}))  # fmt: skip
        changed.to_netcdf(files[".nc"], engine="h5netcdf")
        faults = verify_chain(archive, LAKE.id, file=files[".nc"]).faults
        assert any(f"{name} differs from the records" in fault for fault in faults), (name, faults)


@pytest.mark.parametrize(
    ("name", "content", "pattern"),
    [
        ("x.txt", b"x", "suffix '.txt' is unknown; allowed are .jsonl, .csv, .nc"),
        ("absent.csv", None, "absent.csv cannot be read: No such file"),
        ("absent.nc", None, "absent.nc cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_compared(
    archive: Archive, tmp_path: Path, name: str, content: bytes | None, pattern: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=pattern):
        verify_chain(archive, LAKE.id, file=tmp_path / name)


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.nc"])
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe", b"{}\n", b"origin_date\n\n", b"origin_date\nx\n"])
def test_a_file_of_another_program_is_a_fault(archive: Archive, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    faults = verify_chain(archive, LAKE.id, file=tmp_path / name).faults
    assert faults and all(fault.startswith(str(tmp_path / name)) for fault in faults)


def test_an_export_needs_forecasts_of_its_days_and_one_target(
    archive: Archive, result: ForecastResult, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"small has no issued forecast from 1999-01-01 to 1999-12-31"):
        write_records(archive, LAKE.id, tmp_path, days=(date(1999, 1, 1), date(1999, 12, 31)), now=NOW)
    other = result.dam.model_copy(update={"target": result.dam.target.model_copy(update={"datum": "another"})})
    old = issue(result.verification.forecasts, other, LAST - timedelta(days=1), now=NOW, limitations=())
    store(archive, replace(result, dam=other, issued=old))
    with pytest.raises(ConfigError, match=r"the target of small-2 is reservoir_level in m \(another\), that of small"):
        write_records(archive, LAKE.id, tmp_path, netcdf=True, now=NOW)
    assert write_records(archive, LAKE.id, tmp_path, days=(LAST, None), netcdf=True, now=NOW)
    assert score_record(result.dam, archive=archive).left_out[-1] == (
        "1 forecasts have another target, unit or datum than the dam file has now"
    )


def test_probabilities_are_model_output_too(archive: Archive, result: ForecastResult) -> None:
    from forebay.jobs.record_files import hub_table

    rows = {"dam": ["small"], "init_date": [LAST], "threshold": ["full supply"], "direction": ["above"],
            "kind": ["by"], "lead_time": [3], "probability": [0.25]}  # fmt: skip
    flags = result.verification.samples.newest_flags
    store_forecast(archive, result.dam, result.daily_tables, result.issued, flags, probabilities=pl.DataFrame(rows))
    content = content_of(find_record(archive, "small-2"))
    assert content["probabilities"]["init_date"] == [str(LAST)]
    table = hub_table(content).filter(pl.col("output_type") == "pmf")
    assert table.select("target", "horizon", "output_type_id", "value").rows() == [
        ("reservoir_level (m), SIMULATED above full supply, by the day", 3, "yes", 0.25),
        ("reservoir_level (m), SIMULATED above full supply, by the day", 3, "no", 0.75),
    ]


# --- scores -----------------------------------------------------------------------------------------------------------


def test_scores_of_recorded_forecasts_are_on_the_days_of_both(archive: Archive, result: ForecastResult) -> None:
    """Forecasts of 12 past days are the hindcast's plus an error of 0.1 m; expected scores come from plain loops."""
    days = [LAST - timedelta(days=k) for k in range(14, 2, -1)]
    for k, day in enumerate(days):
        old = issue(result.verification.forecasts, result.dam, day, now=NOW, limitations=())
        if k == 3:  # a first version, which the next record replaces
            store(archive, replace(result, issued=replace(old, table=old.table.with_columns(pl.col("level") - 9.0))))
        store(archive, replace(result, issued=replace(old, table=old.table.with_columns(pl.col("level") + 0.1))))
    bad = issue(result.verification.forecasts, result.dam, LAST - timedelta(days=40), now=NOW, limitations=())
    store(archive, replace(result, issued=replace(bad, is_requested=True)))
    scores = score_record(result.dam, archive=archive)
    observed = dict(record_of_days().select("date", "reservoir_level").iter_rows())
    default = result.verification.forecasts.filter(pl.col("model") == "default")
    for lead in LEADS:
        scored = [day for day in days if day + timedelta(days=lead) <= LAST]
        for name, shift in (("issued", 0.1), ("hindcast", 0.0)):
            errors, losses, inside = [], [], {80: [], 90: []}  # type: ignore[var-annotated]
            for day in scored:
                rows = default.filter(pl.col("init_date") == day, pl.col("lead_time") == lead)
                level = {q: value + shift for q, value in rows.select("quantile", "level").iter_rows()}
                truth = observed[day + timedelta(days=lead)]
                errors.append(abs(level[0.5] - truth))
                losses += [(truth - v) * q if truth >= v else (v - truth) * (1 - q) for q, v in level.items()]
                inside[80].append(level[0.1] <= truth <= level[0.9])
                inside[90].append(level[0.05] <= truth <= level[0.95])
            (row,) = scores.to_frame().filter(forecasts=name, lead_time=lead).to_dicts()
            assert row["n"] == len(scored) == 12
            assert row["mae"] == pytest.approx(np.mean(errors))
            assert row["pinball"] == pytest.approx(np.mean(losses))
            assert (row["coverage_80"], row["coverage_90"]) == (np.mean(inside[80]), np.mean(inside[90]))
    assert scores.left_out == ("2 forecasts of a lead time have no observed level yet",)
    assert scores.title() == "Small Dam (SIMULATED), recorded forecasts of 12 init dates"


def test_a_dam_without_records_has_no_scores(place: Path) -> None:
    with open_archive(f"sqlite:///{place}") as archive, pytest.raises(DataError, match="has no issued forecast of Syn"):
        score_record(synthetic.dam(), archive=archive)


def test_an_archive_as_it_was_cannot_be_written(archive: Archive, lake: Path) -> None:
    from tests.readings import LEVEL, MONDAY, day_contents, readings

    dam = load_dam(str(lake))
    before = archive.snapshot(datetime(2020, 1, 1, tzinfo=UTC))
    assert before.as_of(dam.gauges).is_empty() and before.newest(dam.target_gauge) is None
    assert archive.snapshot(datetime.now(UTC)).as_of(dam.gauges).height == 2 * DAYS
    with pytest.raises(ConfigError, match="a snapshot of 2020-01-01 00:00:00.* cannot be written"):
        before.append(readings(LEVEL, day_contents(FIRST_DAY, [1.0])), MONDAY)
