"""Fleets without a cluster: which dams, what a task computes, what is complete, and the report."""

from __future__ import annotations

import json
import logging
import pickle
import re
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from pydantic import SecretStr

import forebay
from forebay.charts.fleet import fleet_figures
from forebay.charts.fleet_tables import FLEET, best_and_worst
from forebay.cli import fleet as fleet_cli
from forebay.dams.dam_file import load_dam
from forebay.dams.global_model import GlobalModelFile
from forebay.errors import BusyError, ConfigError
from forebay.fleet import run, worker
from forebay.fleet.cluster import Connection, Place, _OutOfMemory, run_tasks
from forebay.fleet.members import fleet_members
from forebay.fleet.results import locked, read_entry, write_result
from forebay.fleet.task import Task, TaskResult
from forebay.fleet.worker import caller_environment, run_task
from forebay.report.fleet import FleetPage, render_fleet
from forebay.settings import Settings
from tests.command_line import forebay as command
from tests.disks import small_disk
from tests.test_jobs_refresh import write_lake


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(archive=f"sqlite:///{tmp_path}/archive.db", cache=str(tmp_path / "cache"), workers=1)


def task_for(path: Path, settings: Settings, **values: object) -> Task:
    words = {"job": "hindcast", "fetch": True, "final": str(path.parent / "out")} | values
    dam = load_dam(str(path))
    return Task(dam=dam, settings=settings, environment=caller_environment(), **words)  # type: ignore[arg-type]


def parquet(content: bytes) -> pl.DataFrame:
    return pl.read_parquet(content)


# --- which dams -----------------------------------------------------------------------------------------------------


def test_dams_come_from_ids_files_folders_and_lists(tmp_path: Path) -> None:
    lake, pond = write_lake(tmp_path, "lake"), write_lake(tmp_path, "pond")
    (lake.parent / "forebay.toml").write_text("workers = 1\n")
    (tmp_path / "inner.toml").write_text('dams = ["pond/pond.toml"]\n')
    fleet = tmp_path / "fleet.toml"
    fleet.write_text('dams = ["demo", "lake", "inner.toml", "lake/lake.toml"]\n')
    members = fleet_members([str(fleet)], Settings())
    assert [member.name for member in members] == ["demo", "lake", "pond"], "each once, in the order of the list"
    assert [member.name for member in fleet_members([str(pond), "demo"], Settings())] == ["pond", "demo"]


def test_a_wrong_dam_file_is_one_failure_and_a_wrong_list_an_error(tmp_path: Path) -> None:
    lake = write_lake(tmp_path, "lake")
    bad = lake.parent / "bad.toml"
    bad.write_text('id = "bad"\n')
    members = fleet_members([str(lake.parent), "nowhere.toml"], Settings())
    assert [member.name for member in members] == [str(bad), "lake", "nowhere.toml"]
    assert [member.dam is None for member in members] == [True, False, True]
    assert "key name is missing" in str(members[0].failure)
    assert "neither in the catalogue" in str(members[2].failure)
    copy = tmp_path / "copy.toml"
    copy.write_bytes(lake.read_bytes())
    loop = tmp_path / "loop.toml"
    loop.write_text('dams = ["loop.toml"]\n')
    odd = tmp_path / "odd.toml"
    odd.write_text('dams = "demo"\n')
    (tmp_path / "empty").mkdir()
    for names, sentence in {
        (str(lake), str(copy)): "both have the id 'lake'",
        (str(loop),): "a list must not contain itself",
        (str(odd),): "a list of dams has one key",
        (str(tmp_path / "empty"),): "has no dam file",
        (): "no dam is given",
    }.items():
        with pytest.raises(ConfigError, match=re.escape(sentence)):
            fleet_members(names, Settings())


# --- the task of one dam --------------------------------------------------------------------------------------------


def test_a_task_equals_the_hindcast_of_the_dam_alone(tmp_path: Path, settings: Settings) -> None:
    lake = write_lake(tmp_path, "lake")
    result = run_task(pickle.loads(pickle.dumps(task_for(lake, settings))))  # as Dask sends it
    assert result.failure is None and not result.unchanged
    alone = forebay.hindcast(lake, archive=settings.archive, settings=settings.model_copy(update={"cache_mb": 0}))
    forecasts, scores = (parquet(result.files[f"dam=lake/{name}.parquet"]) for name in ("hindcast", "scores"))
    assert forecasts.equals(alone.to_frame()) and forecasts.height > 1000
    assert scores.equals(alone.scores)
    row = scores.filter(model="default", window="all", regime="all", lead_time=3, metric="mae")
    assert result.values["mae"] == row["value"].item() and result.values["n"] == row["n"].item()
    references = scores.filter(
        pl.col("model").is_in(["no_change", "last_change", "damped_change", "climatology"]),
        window="all", regime="all", lead_time=3, metric="mae",
    ).sort("value")  # fmt: skip
    assert result.values["best_reference"] == references["model"][0]
    assert result.values["skill"] == pytest.approx(1 - row["value"].item() / references["value"][0])


def test_only_another_dam_file_record_or_program_is_another_result(tmp_path: Path, settings: Settings) -> None:
    lake = write_lake(tmp_path, "lake")
    first = run_task(task_for(lake, settings))
    again = run_task(task_for(lake, settings, key=first.key))
    assert again.unchanged and again.key == first.key and not again.files
    assert run_task(task_for(lake, settings, key="another")).files, "an entry of another result is computed again"
    lake.write_text(lake.read_text().replace("leads = [1, 3]", "leads = [1, 2]"))
    assert run_task(task_for(lake, settings, key=first.key)).key != first.key
    lake.write_text(lake.read_text().replace("leads = [1, 2]", "leads = [1, 3]"))
    csv = lake.parent / "small.csv"
    lines = csv.read_text().splitlines()
    cells = lines[100].split(",")
    lines[100] = ",".join([cells[0], str(float(cells[1]) + 0.001), *cells[2:]])
    csv.write_text("\n".join(lines) + "\n")
    assert run_task(task_for(lake, settings, key=first.key)).key != first.key, "one level of the record is revised"
    other = run_task(replace(task_for(lake, settings), environment="00"))
    assert other.failure is not None and other.failure.startswith("this worker has another version of forebay")


def test_a_dam_with_broken_data_is_a_failure_with_its_sentence(tmp_path: Path, settings: Settings) -> None:
    lake = write_lake(tmp_path, "lake")
    (lake.parent / "small.csv").write_text("date,reservoir_level\n2020-01-01,abc\n")
    result = run_task(task_for(lake, settings))
    assert result.key == "" and not result.files
    assert result.failure is not None and "small.csv" in result.failure


def test_a_refresh_stores_its_record_and_is_repeated_only_for_alerts(tmp_path: Path, settings: Settings) -> None:
    lake = write_lake(tmp_path, "lake")
    refresh = task_for(lake, settings, job="refresh")
    first = run_task(refresh)
    assert first.failure is None
    assert {name for name in first.files if name.startswith("lake/")} == {
        "lake/explanation.csv", "lake/forecast.csv", "lake/forecast.json", "lake/probabilities.csv"
    }  # fmt: skip
    content = json.loads(first.files["lake/forecast.json"])
    assert content["record"]["id"] == "lake-1"
    assert content["files"][0] == str(tmp_path / "lake" / "out" / "lake" / "explanation.csv")
    alone = forebay.forecast(lake, archive=settings.archive, settings=settings, update=False)
    assert parquet(first.files["dam=lake/forecast.parquet"]).equals(alone.to_frame())
    assert first.values["median"] == alone.to_frame().filter(quantile=0.5, lead_time=3)["level"].item()
    assert run_task(replace(refresh, key=first.key)).unchanged
    rule = '[[alerts]]\nid = "low"\ndirection = "below"\nthreshold = "Low"\nprobability = 0.5\nwithin_days = 3\n'
    lake.write_text(lake.read_text() + '[[thresholds]]\nname = "Low"\nlevel = 1.0\n' + rule)
    with_rule = task_for(lake, settings, job="refresh")
    second = run_task(with_rule)
    third = run_task(replace(with_rule, key=second.key))
    assert second.failure is None and second.values["alerts"] == "data" and not third.unchanged


def test_a_task_has_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = write_lake(tmp_path, "lake")
    settings = Settings(alert_urls=SecretStr("mailto://me:s3cret@example.org"))
    settings = settings.model_copy(update={"archive": f"sqlite:///{tmp_path}/a.db"})
    shared = run._shared_settings(settings, Place())
    sent = task_for(lake, shared)
    assert b"s3cret" not in pickle.dumps(sent) and shared.workers == 1
    assert repr(sent) == "<Task: hindcast lake>"
    monkeypatch.setenv("FOREBAY_ALERT_URLS", "json://127.0.0.1")
    own = worker._with_own_secrets(sent)
    assert own.settings.alert_urls.get_secret_value() == "json://127.0.0.1"


def test_a_worker_in_another_folder_reads_the_files_that_the_caller_names(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lake(tmp_path, "lake")
    (tmp_path / "lake" / "plan.csv").write_text("issued,valid,rain\n2018-01-01,2018-01-02,1\n")
    with (tmp_path / "lake" / "lake.toml").open("a") as file:
        file.write(
            '[[forcings]]\nkind = "rain"\nid = "plan"\nunit = "mm"\n[forcings.file]\npath = "plan.csv"\n'
            'issued = "issued"\nvalid = "valid"\nvalue = "rain"\nissued_format = "%Y-%m-%d"\n'
        )
    monkeypatch.chdir(tmp_path)
    (member,) = fleet_members(["lake"], settings)
    assert member.dam is not None
    named = GlobalModelFile(path="lake/model.txt", digest="0")
    member = replace(member, dam=member.dam.model_copy(update={"global_model": named}))
    task = run.task_of(member, run.FleetJob("hindcast", fetch=True), settings, tmp_path / "out")
    assert task.dam.global_model is not None and task.dam.global_model.path == str(tmp_path / "lake" / "model.txt")
    paths = [part.file.path for part in (*task.dam.gauges, *task.dam.forcings) if part.file is not None]
    assert paths == [str(tmp_path / "lake" / name) for name in ("small.csv", "small.csv", "plan.csv")]
    assert member.dam.gauges[0].file is not None and member.dam.gauges[0].file.path == "lake/small.csv"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run_task(replace(task, dam=task.dam.model_copy(update={"global_model": None}))).failure is None


def test_an_sqlite_archive_is_refused_for_other_machines(tmp_path: Path) -> None:
    settings = Settings(archive=f"sqlite:///{tmp_path}/a.db")
    for address in ("tcp://127.0.0.1:8786", "tcp://localhost:8786", None):
        run._shared_settings(settings, Place(address))
    with pytest.raises(ConfigError, match="workers of scheduler tcp://192.0.2.1:8786 on other machines cannot share"):
        run._shared_settings(settings, Place("tcp://192.0.2.1:8786"))
    server = settings.model_copy(update={"archive": "postgresql+psycopg://me:pass@192.0.2.2/forebay"})
    assert run._shared_settings(server, Place("tcp://192.0.2.1:8786")).archive == server.archive


# --- what is complete -----------------------------------------------------------------------------------------------

RESULT = TaskResult("lake", "k1", values={"mae": 0.5}, files={"dam=lake/a.parquet": b"a", "lake/b.json": b"b"})


def test_a_result_is_complete_only_with_all_of_its_files(tmp_path: Path) -> None:
    write_result(tmp_path, "hindcast", RESULT)
    entry = read_entry(tmp_path, "hindcast", "lake")
    assert entry is not None and (entry.key, entry.values) == ("k1", {"mae": 0.5})
    assert read_entry(tmp_path, "refresh", "lake") is None
    (tmp_path / "lake" / "b.json").write_bytes(b"changed")
    assert read_entry(tmp_path, "hindcast", "lake") is None
    write_result(tmp_path, "hindcast", RESULT)
    (tmp_path / "dam=lake" / "a.parquet").unlink()
    assert read_entry(tmp_path, "hindcast", "lake") is None
    (tmp_path / "dam=lake" / "hindcast.json").write_text("{")
    assert read_entry(tmp_path, "hindcast", "lake") is None


def test_a_result_that_fails_to_be_written_is_not_complete(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "256k") as disk:
        write_result(disk, "hindcast", RESULT)
        large = replace(RESULT, key="k2", files={**RESULT.files, "dam=lake/a.parquet": b"x" * 400_000})
        row = run._row(large, "hindcast", disk)
        assert row["state"] == "failed" and "computed, but not written" in str(row["failure"])
        assert "No space left" in str(row["failure"])
        assert read_entry(disk, "hindcast", "lake") is None, "neither the old key nor the new one"
        assert run._row(replace(RESULT, dam="pond", files={"dam=pond/a.parquet": b"a"}), "hindcast", disk)["state"] == (
            "computed"
        )


def test_one_fleet_at_a_time_writes_into_a_folder(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(BusyError, match="another fleet writes into the folder"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


# --- the report -----------------------------------------------------------------------------------------------------


def fleet_table(skills: dict[str, float | None], **values: object) -> pl.DataFrame:
    rows = [
        {"dam": name, "name": name.title(), "simulated": False, "latitude": 10.0 * k, "longitude": 20.0 * k}
        | {"unit": "m", "state": "failed" if skill is None else "computed", "skill": skill, "mae": 0.1}
        | {"n": 100, "skill_lead": 3}
        | {"failure": None if skill is not None else "the <file> is gone", "cpu_s": 2.0} | values
        for k, (name, skill) in enumerate(skills.items())
    ]  # fmt: skip
    return FLEET.check(pl.DataFrame([{c: row.get(c) for c in FLEET.columns} for row in rows], FLEET.columns))


def page(table: pl.DataFrame) -> str:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return render_fleet(FleetPage(table, "hindcast of dams", 61.0, "2 worker processes", now))


def test_best_and_worst_dams_are_in_one_table_each() -> None:
    table = fleet_table({"a": 0.1, "b": 0.5, "c": None, "d": -0.2, "e": 0.3})
    best, worst = best_and_worst(table, 2)
    assert (best["dam"].to_list(), worst["dam"].to_list()) == (["b", "e"], ["d", "a"])
    best, worst = best_and_worst(table)
    assert (best["dam"].to_list(), worst["dam"].to_list()) == (["b", "e"], ["d", "a"])
    assert [len(part) for part in best_and_worst(fleet_table({"a": 0.1}))] == [1, 0]


def test_the_report_has_map_tables_and_each_failure() -> None:
    text = page(fleet_table({"a": 0.1, "b": 0.5, "c": None, "d": -0.2}))
    assert "the &lt;file&gt; is gone" in text and 'id="chart-fleet-map"' in text
    map_text = next(re.finditer(r'data-chart="chart-fleet-map">(.*?)</script>', text))[1]
    rows = next(iter(json.loads(map_text)["datasets"].values()))
    assert {(row["dam"], row["longitude"], row["latitude"]) for row in rows} == {
        ("a", 0.0, 0.0), ("b", 20.0, 10.0), ("d", 60.0, 30.0)
    }  # fmt: skip
    assert "SIMULATED" not in text
    assert "SIMULATED: 4 dams of 4" in page(fleet_table({"a": 0.1, "b": 0.5, "c": None, "d": -0.2}, simulated=True))


def test_the_histogram_counts_each_dam_once_in_bins_of_a_twentieth() -> None:
    figures = fleet_figures(fleet_table({"a": 0.0, "b": 0.049, "c": None, "d": -0.01, "e": 0.5, "f": 0.07}))
    spec = figures["fleet-skill"].file_spec()
    rows = next(iter(spec["datasets"].values()))
    assert [(row["from"], row["to"], row["dams"]) for row in rows] == [
        (-0.05, 0.0, 1), (0.0, 0.05, 2), (0.05, 0.1, 1), (0.5, 0.55, 1)
    ]  # fmt: skip
    assert spec["encoding"]["x"]["bin"] == "binned", "else Vega-Lite draws a line in place of a bar"


def test_a_report_of_failures_alone_has_no_chart() -> None:
    text = page(fleet_table({"a": None}))
    assert "chart-fleet" not in text and "is gone" in text


# --- the command ----------------------------------------------------------------------------------------------------


def test_wrong_use_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words, sentence in {
        (): "no dam is given",
        ("demo", "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"): "--scheduler and --workers both",
        ("demo", "--workers", "-1"): "--workers -1 is not possible",
        ("demo", "--workers", "0"): "--workers 0 is not possible",
        ("demo", "--workers", "1", "--memory", "much"): "--memory 'much' is not a size of memory",
    }.items():
        done = command("fleet", "hindcast", *words)
        assert (done.code, done.out) == (2, "") and sentence in done.err, done
    assert not list((tmp_path / "runs").glob("dam=*"))


def test_only_failures_need_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text('id = "bad"\n')
    done = command("fleet", "forecast", "bad.toml", "--workers", "1", "--json")
    assert done.code == 1 and done.err == "forebay: 1 of 1 dams failed: bad.toml\n"
    assert done.json["failed"] == ["bad.toml"] and "key name is missing" in done.json["dams"][0]["failure"]
    assert (tmp_path / "runs" / "fleet.html").exists()
    assert pl.read_csv(tmp_path / "runs" / "fleet.csv")["state"].to_list() == ["failed"]


@pytest.mark.parametrize(("simulated", "sentence"), [((True, False), "SIMULATED: 1 of 2 dams"), ((False, None), "")])
def test_the_terminal_says_which_dams_do_not_exist(
    simulated: tuple[bool, bool | None], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = fleet_table({"a": 0.1, "b": 0.2}).with_columns(pl.Series("simulated", simulated, pl.Boolean))
    fleet_cli._print(run.FleetResult("hindcast", table, 1.0, 1.0), tmp_path)
    printed = capsys.readouterr().out
    assert ("SIMULATED" in printed) == bool(sentence) and sentence in printed


def test_without_dask_the_sentence_names_the_extra(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.jobs.results.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'forebay[fleet]'")):
        list(run_tasks([task_for(write_lake(tmp_path, "lake"), settings)], Place()))


def test_the_end_of_a_worker_has_its_cause() -> None:
    from distributed import KilledWorker

    worker_state = SimpleNamespace(address="tcp://127.0.0.1:1")
    records = _OutOfMemory()
    connection = Connection(None, records, "2GiB")
    killed = KilledWorker("hindcast-lake", worker_state, 2)
    assert connection.cause(killed).startswith("3 workers ended while they computed this dam")
    records.handle(logging.makeLogRecord({"msg": "Worker tcp://127.0.0.1:1 (pid=7) exceeded 95% memory budget."}))
    assert connection.cause(killed).startswith("the worker had too little memory, 3 times (limit of each worker: 2GiB)")
    assert "install the same version" in connection.cause(ModuleNotFoundError("No module named 'forebay'"))


def test_numbers_that_json_lacks_are_no_values() -> None:
    assert [worker._without_nan(value) for value in (float("nan"), float("inf"), 0.5, 3, "a", None)] == [
        None, None, 0.5, 3, "a", None
    ]  # fmt: skip


def test_the_progress_has_the_rate_and_the_time_left() -> None:
    calls = list[tuple[str, int, int]]()
    report = run._Progress("hindcast", 4, lambda *call: calls.append(call), time.monotonic() - 60)
    report.complete(0)
    report.complete(1)
    report.complete(2)
    assert calls == [
        ("hindcast", 0, 4), ("hindcast, 1.0 dams a minute, 3 min left", 1, 4),
        ("hindcast, 3.0 dams a minute, 20 s left", 3, 4),
    ]  # fmt: skip


def test_days_of_an_entry_are_days_again() -> None:
    table = run._table({"a": {"dam": "a", "state": "unchanged", "init_date": "2021-12-31"}}, {"a": fleet_members(
        ["demo"], Settings())[0]})  # fmt: skip
    assert table["init_date"].to_list() == [date(2021, 12, 31)]
