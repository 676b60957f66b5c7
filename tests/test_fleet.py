"""Fleets without a cluster: which dams, what a task computes, what is complete, and the report."""

from __future__ import annotations

import json
import logging
import os
import pickle
import re
import time
from asyncio import CancelledError
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from pydantic import SecretStr

import forebay
from forebay.charts.fleet import fleet_figures
from forebay.charts.fleet_tables import FLEET, best_and_worst, fleet_notes
from forebay.cli import fleet as fleet_cli
from forebay.dams.dam_file import load_dam
from forebay.dams.global_model import GlobalModelFile
from forebay.errors import BusyError, ConfigError
from forebay.fleet import run, worker
from forebay.fleet.cluster import Connection, _OutOfMemory, _reason, run_tasks
from forebay.fleet.members import _with_absolute_paths, fleet_members
from forebay.fleet.place import Place
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


def refresh_of(folder: Path, settings: Settings) -> Task:
    """The task of a refresh of the one dam of a folder."""
    (member,) = fleet_members([str(folder)], settings)
    return run.task_of(member, run.FleetJob("refresh"), settings, folder.parent / "out")


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
    twice = [str(pond), "demo", os.path.relpath(pond), os.path.relpath(tmp_path / "pond")]
    assert [member.name for member in fleet_members(twice, Settings())] == ["pond", "demo"], "one file by two paths"


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
    none = tmp_path / "none.toml"
    none.write_text("dams = []\n")
    misspelt = tmp_path / "misspelt.toml"
    misspelt.write_text('dam = ["demo"]\n')
    (one,) = fleet_members([str(misspelt)], Settings())
    assert f"; if {misspelt} is a list of dams, its one key is dams: dams = [" in str(one.failure)
    assert "is a list of dams" not in str(members[0].failure)
    (tmp_path / "empty").mkdir()
    for names, sentence in {
        (str(lake), str(copy)): "both have the id 'lake'",
        (str(loop),): "a list must not contain itself",
        (str(odd),): "a list of dams has one key",
        (str(none),): "none.toml: the list has no dam",
        (str(tmp_path / "empty"),): "has no dam file",
        (): "no dam is given",
    }.items():
        with pytest.raises(ConfigError, match=re.escape(sentence)):
            fleet_members(names, Settings())


def test_a_worker_of_another_folder_has_the_files_of_a_dam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lake = write_lake(tmp_path, "lake")
    (by_path,) = fleet_members(["lake"], Settings())
    (by_file,) = fleet_members([str(lake)], Settings())
    monkeypatch.chdir(lake.parent)
    (beside,) = fleet_members(["lake.toml"], Settings())
    contents = set()
    for member in (by_path, by_file, beside):
        assert member.dam is not None and member.folder == lake.parent
        files = [gauge.file for gauge in member.dam.gauges if gauge.file is not None]
        assert files and all(file.path == str(lake.parent / "small.csv") for file in files), member
        contents.add(member.dam.model_dump_json())
    assert len(contents) == 1, "one result, wherever the command is called"


def test_files_of_a_list_of_paths_and_of_forcings_and_the_global_model_are_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dam = load_dam(str(write_lake(tmp_path, "lake")))
    gauge = next(gauge for gauge in dam.gauges if gauge.file is not None)
    assert gauge.file is not None
    several = gauge.model_copy(update={"file": gauge.file.model_copy(update={"path": ("a.csv", "/b.csv")})})
    model = GlobalModelFile(path="model.txt", digest="0")
    loaded = _with_absolute_paths(dam.model_copy(update={"gauges": (several,), "global_model": model}))
    assert loaded.gauges[0].file is not None and loaded.global_model is not None
    assert loaded.gauges[0].file.paths == (str(tmp_path / "a.csv"), "/b.csv")
    assert loaded.global_model.path == str(tmp_path / "model.txt")


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
    # Rules in alerts.toml beside the dam file, which a worker need not have.
    lake.write_text(lake.read_text() + '[[thresholds]]\nname = "Low"\nlevel = 1.0\n')
    rules = lake.parent / "alerts.toml"
    text = 'id = "low"\nthreshold = "Low"\ndirection = "below"\nprobability = 0.5\nwithin_days = 3\n'
    rules.write_text(f"[[lake]]\n{text}")
    with_rule = refresh_of(lake.parent, settings)
    rules.rename(tmp_path / "elsewhere.toml")
    second = run_task(with_rule)
    third = run_task(replace(with_rule, key=second.key))
    assert second.failure is None and second.values["alerts"] == "data" and not third.unchanged
    rules.write_text('[[lake]]\nid = "low"\nlevel = 1.0\n')
    fault = run_task(replace(refresh_of(lake.parent, settings), key=second.key))
    assert str(fault.failure).startswith("alerts: ") and "key level is unknown" in str(fault.failure)
    assert fault.files and fault.key == "", "the forecast is there, and the next call decides its alerts"
    rules.unlink()
    fourth = run_task(replace(refresh_of(lake.parent, settings), key=third.key))
    assert not fourth.unchanged and fourth.values["alerts"] is None, "an entry with alerts is none without rules"


def test_a_task_has_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = write_lake(tmp_path, "lake")
    settings = Settings(alert_urls=SecretStr("mailto://me:s3cret@example.org"))
    settings = settings.model_copy(update={"archive": f"sqlite:///{tmp_path}/a.db"})
    shared = run.worker_settings(settings, Place())
    sent = task_for(lake, shared)
    assert b"s3cret" not in pickle.dumps(sent) and shared.workers == 1
    assert repr(sent) == "<Task: hindcast lake>"
    monkeypatch.setenv("FOREBAY_ALERT_URLS", "json://127.0.0.1")
    own = worker._with_own_secrets(sent)
    assert own.settings.alert_urls.get_secret_value() == "json://127.0.0.1"


def test_an_sqlite_archive_is_refused_for_other_machines(tmp_path: Path) -> None:
    settings = Settings(archive=f"sqlite:///{tmp_path}/a.db")
    for address in ("tcp://127.0.0.1:8786", "tcp://localhost:8786", "127.0.0.1:8786", "tls://[::1]:8786", None):
        run.worker_settings(settings, Place(address))
    for address in ("tcp://192.0.2.1:8786", "192.0.2.1:8786", "tls://192.0.2.1:8786", "tcp://[2001:db8::1]:8786"):
        sentence = f"workers of scheduler {address} on other machines cannot share"
        with pytest.raises(ConfigError, match=re.escape(sentence)):
            run.worker_settings(settings, Place(address))
    server = settings.model_copy(update={"archive": "postgresql+psycopg://me@192.0.2.2/forebay"})
    assert run.worker_settings(server, Place("tcp://192.0.2.1:8786")).archive == server.archive


@pytest.mark.parametrize("tail", ["me:s3cret@192.0.2.2/forebay", "me@192.0.2.2/forebay?sslpassword=s3cret"])
def test_a_password_is_not_sent_as_plain_text(tail: str) -> None:
    settings = Settings(archive=f"postgresql+psycopg://{tail}")
    for address in ("tcp://192.0.2.1:8786", "192.0.2.1:8786"):
        with pytest.raises(ConfigError, match="has a password, which scheduler") as caught:
            run.worker_settings(settings, Place(address))
        assert "s3cret" not in str(caught.value)
    for place in (Place("tls://192.0.2.1:8786"), Place("tcp://127.0.0.1:8786"), Place()):
        assert run.worker_settings(settings, place).archive == settings.archive


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
    assert "SIMULATED: 4 of 4 dams" in page(fleet_table({"a": 0.1, "b": 0.5, "c": None, "d": -0.2}, simulated=True))


def test_the_histogram_counts_each_dam_once_in_bins_of_a_twentieth() -> None:
    figures = fleet_figures(fleet_table({"a": 0.0, "b": 0.049, "c": None, "d": -0.01, "e": 0.5, "f": 0.07}))
    spec = figures["fleet-skill"].file_spec()
    rows = next(iter(spec["datasets"].values()))
    assert [(row["from"], row["to"], row["dams"]) for row in rows] == [
        (-0.05, 0.0, 1), (0.0, 0.05, 2), (0.05, 0.1, 1), (0.5, 0.55, 1)
    ]  # fmt: skip
    encoding = spec["encoding"]
    assert encoding["y"]["axis"]["values"] == [0, 1, 2], "no tick at half a dam"
    assert encoding["x"]["axis"]["values"] == [-0.05, 0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55]
    assert spec["encoding"]["x"]["bin"] == "binned", "else Vega-Lite draws a line in place of a bar"


def test_a_report_of_failures_alone_has_no_chart() -> None:
    text = page(fleet_table({"a": None}))
    assert "chart-fleet" not in text and "is gone" in text
    one = page(fleet_table({"a": 0.1}))
    assert "chart-fleet" not in one and "Highest skill" in one, "a chart of one dam says nothing"


# --- the command ----------------------------------------------------------------------------------------------------


def test_wrong_use_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words, sentence in {
        (): "no dam is given",
        ("demo", "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"): "--scheduler and --workers both",
        ("demo", "--workers", "-1"): "--workers -1 is not possible",
        ("demo", "--workers", "0"): "--workers 0 is not possible",
        ("demo", "--workers", "1", "--memory", "much"): "--memory 'much' is not a size of memory",
        ("demo", "--workers", "1", "--memory", "10MiB"): "gives each worker 10 MiB, and one needs at least 256 MiB",
        ("demo", "--workers", "1", "--memory=-1"): "--memory -1 gives each",
        ("demo", "--memory", "2GiB", "--scheduler", "tcp://127.0.0.1:1"): "--memory is for workers of this machine",
        ("demo", "--workers", "100000"): f"give 1 to {8 * (os.cpu_count() or 1)} processes",
        ("demo", "--workers", "1", "--memory", "0"): "--memory 0 gives each worker 0 MiB",
        ("demo", "--scheduler", ""): "--scheduler '' is not an address; give one such as tcp://192.0.2.1:8786",
        ("demo", "--scheduler", "tcp://127.0.0.1"): "--scheduler 'tcp://127.0.0.1' is not an address",
        ("demo", "--scheduler", "192.0.2.1:8786"): "on other machines cannot share",
        ("demo", "--scheduler", "tls://127.0.0.1:8786"): "needs certificates, and Dask's settings name none",
        ("demo", "--archive", "sqlite:////proc/none/a.db"): "archive /proc/none/a.db cannot be created",
    }.items():
        done = command("fleet", "hindcast", "--fetch", *words)
        assert (done.code, done.out) == (2, "") and sentence in done.err, done
        assert done.err.count("\n") == 1
    assert not list((tmp_path / "runs").glob("dam=*"))


@pytest.mark.parametrize("job", ["hindcast", "forecast"])
def test_without_an_archive_one_sentence_says_how_to_fetch(
    job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("fleet", job, "demo", "--workers", "1", "--archive", "sqlite:///none.db")
    assert (done.code, done.out) == (2, "") and done.err.count("\n") == 1
    assert f"archive sqlite:///{tmp_path}/none.db does not exist; fetch the dams first by `forebay fleet" in done.err
    assert not (tmp_path / "none.db").exists()


def test_only_failures_need_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text('id = "bad"\n')
    done = command("fleet", "forecast", "bad.toml", "--workers", "1", "--json")
    assert done.code == 1 and done.err == "forebay: 1 of 1 dams failed: bad.toml\n"
    assert "forecast of 1 dam: 0 computed, 0 unchanged, 1 failed" in (tmp_path / "runs" / "fleet.html").read_text()
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


def test_a_fault_of_the_program_has_its_traceback_and_no_secret(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_task: Task) -> TaskResult:
        logging.getLogger("forebay").error("of another dam", extra={"fields": {"dam": "pond"}})
        raise RuntimeError("no answer of https://me:s3cret@example.org/")

    monkeypatch.setattr(worker, "_hindcast", fail)
    result = pickle.loads(pickle.dumps(run_task(task_for(write_lake(tmp_path, "lake"), settings))))
    assert str(result.failure).startswith("unexpected RuntimeError: no answer of https://***@example.org/; this is a")
    assert len(result.errors) == 1, "that of this dam"
    fields = result.errors[0]
    assert fields["dam"] == "lake" and "Traceback" in fields["message"] and "in fail" in fields["message"]
    assert "s3cret" not in repr(result.errors)
    monkeypatch.setattr(run, "run_tasks", lambda *_: iter([result]))
    caplog.clear()
    members = fleet_members([str(tmp_path / "lake" / "lake.toml")], settings)
    job = run.FleetJob("hindcast", fetch=True)
    fleet = run.run_fleet(members, job, Place(), output=tmp_path / "out", settings=settings)
    assert fleet.failures == ["lake"]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "in fail" in record.getMessage(), "the log of the caller, because a worker has none"


def test_the_reason_is_that_of_the_system() -> None:
    late, refused = OSError("Timed out"), ConnectionRefusedError(111, "Connection refused")
    assert _reason(late) == "no connection in time"
    late.__cause__ = RuntimeError("in <Connector object>")
    late.__cause__.__cause__ = refused
    assert _reason(late) == "Connection refused"
    refused.__cause__ = CancelledError()
    assert _reason(late) == "Connection refused"


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


def test_days_and_times_of_an_entry_are_days_and_times_again() -> None:
    whole, parts = datetime(2022, 1, 1, 5, 30, tzinfo=UTC), datetime(2022, 1, 1, 5, 30, 7, 125, tzinfo=UTC)
    rows = {
        "a": {"dam": "a", "state": "unchanged", "init_date": "2021-12-31", "issue_time": str(whole)},
        "b": {"dam": "b", "state": "computed", "init_date": date(2021, 12, 31), "issue_time": parts},
        "c": {"dam": "c", "state": "failed"},
    }
    (member,) = fleet_members(["demo"], Settings())
    table = run._table(rows, dict.fromkeys(rows, member))
    assert table["init_date"].to_list() == [date(2021, 12, 31), date(2021, 12, 31), None]
    assert table["issue_time"].to_list() == [whole, parts, None]


def test_an_unchanged_dam_has_the_gauges_that_this_call_could_not_fetch(tmp_path: Path) -> None:
    write_result(tmp_path, "refresh", replace(RESULT, values={"level": 9.5, "not_fetched": 0}))
    unchanged = TaskResult("lake", "k1", unchanged=True, values={"not_fetched": 2})
    row = run._row(unchanged, "refresh", tmp_path)
    assert (row["state"], row["level"], row["not_fetched"]) == ("unchanged", 9.5, 2)


FORECAST = {"level": 9.5, "median": 9.8, "low": 9.25, "high": 10.0, "lead_time": 7, "init_date": date(2026, 1, 1)}


def test_the_terminal_and_the_report_have_the_newest_forecasts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = fleet_table({"a": 0.1, "b": 0.2}, **FORECAST, age_days=1, current=True, not_fetched=0)
    fleet_cli._print(run.FleetResult("refresh", table, 1.0, 1.0), tmp_path)
    printed, text = capsys.readouterr().out, page(table)
    for words in ("9.500", "9.800", "9.250", "10.000", "2026-01-01"):
        assert words in printed and words in text, words
    assert "STALE" not in printed + text and "NOT FETCHED" not in printed + text
    old = table.with_columns(current=pl.Series([True, False]), not_fetched=pl.Series([3, 0]))
    fleet_cli._print(run.FleetResult("refresh", old, 1.0, 1.0), tmp_path)
    printed, text = capsys.readouterr().out, page(old)
    for sentence in (
        "STALE, from a level more than 3 days old: 1 of 2 forecasts (b).",
        "NOT FETCHED, so that older readings of a gauge are used: 1 of 2 dams (a).",
    ):
        assert sentence in printed and sentence in text, printed
    scores = fleet_table({"a": 0.1})
    assert fleet_notes(scores) == [] and "Newest forecasts" not in page(scores)


def test_scores_fit_into_a_narrow_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = fleet_table({"sim-00001": 0.1, "sim-00002": -0.0126}, best_reference="damped_change")
    fleet_cli._print(run.FleetResult("hindcast", same, 1.0, 1.0), tmp_path)
    printed = capsys.readouterr().out
    assert "1 s; scores 3 d ahead\n" in printed and " lead " not in printed
    assert "damped change" in printed and "-0.013" in printed
    assert max(map(len, printed.splitlines()[1:6])) <= 60
    fleet_cli._print(run.FleetResult("hindcast", same.with_columns(skill_lead=pl.Series([3, 5])), 1.0, 1.0), tmp_path)
    printed = capsys.readouterr().out
    assert "ahead" not in printed and " 3 d " in printed and " 5 d " in printed


def test_notes_of_a_large_fleet_name_ten_dams() -> None:
    table = fleet_table({f"d{k:02d}": 0.1 for k in range(12)}, **FORECAST, current=False)
    (note,) = fleet_notes(table)
    assert note.endswith("d08, d09 and 2 more).") and "d10" not in note


def test_a_fleet_starts_no_worker_without_a_dam(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[Place] = []

    def no_results(_tasks: object, place: Place) -> list[TaskResult]:
        places.append(place)
        return [TaskResult("demo", failure="not computed"), TaskResult("lake", failure="not computed")]

    monkeypatch.setattr(run, "run_tasks", no_results)
    members = fleet_members(["demo", str(write_lake(tmp_path, "lake")), "nowhere.toml"], Settings())
    run.run_fleet(members, run.FleetJob("refresh"), Place(None, 8), output=tmp_path / "out", settings=settings)
    assert places[0].workers == 2 and places[0].title == "2 worker processes"
    assert replace(places[0], workers=1).title == "1 worker process"
