"""Tasks on a Dask cluster inside this process: whose result a task gets, and what a lost worker or scheduler costs."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from forebay.errors import ConfigError, SourceError
from forebay.fleet.cluster import Connection, _OutOfMemory, _Run, run_tasks
from forebay.fleet.place import Place
from forebay.fleet.task import Task
from forebay.fleet.worker import _temporary_folder, caller_environment
from forebay.settings import Settings
from tests.test_fleet import task_for
from tests.test_jobs_refresh import write_lake

if TYPE_CHECKING:
    from distributed import LocalCluster


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A task that its worker refuses at once, because of its environment."""
    settings = Settings(archive=f"sqlite:///{tmp_path}/archive.db", cache=str(tmp_path / "cache"), workers=1)
    return replace(task_for(write_lake(tmp_path, "lake"), settings), environment="00")


@pytest.fixture
def dask_cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    """A scheduler on loopback with one worker, both in this process."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None,
        worker_dashboard_address="127.0.0.1:0", local_directory=str(tmp_path / "dask"), silence_logs=logging.CRITICAL,
        scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
    ) as running:  # fmt: skip
        yield running


def submitted(task: Task, running: LocalCluster, patience_s: float) -> tuple[_Run, Connection]:
    """A run whose only task has ended on the cluster, and its connection."""
    from distributed import Client, wait

    run = _Run(iter([task]), Place(running.scheduler_address, patience_s=patience_s))
    client = Client(running.scheduler_address, set_as_default=False)
    connection = Connection(client, _OutOfMemory(), "1 GiB")
    run._submit(connection, 1)
    with client.as_current():
        wait(list(run.running))
    return run, connection


def test_two_fleets_on_one_scheduler_have_their_own_results(task: Task, dask_cluster: LocalCluster) -> None:
    first, connection = submitted(task, dask_cluster, 5)
    no_url = task.settings.model_copy(update={"archive": "x"})
    broken = replace(task, environment=caller_environment(), settings=no_url)
    second, other = submitted(broken, dask_cluster, 5)
    with connection.client, other.client:
        (refused,), (no_archive,) = first.results(connection), second.results(other)
    assert str(refused.failure).startswith("this worker has another version")
    assert str(no_archive.failure).startswith("archive 'x' is not a URL"), "the same dam of another fleet"


def test_a_result_that_is_lost_before_its_transfer_waits_for_another_worker(
    task: Task, dask_cluster: LocalCluster
) -> None:
    run, connection = submitted(task, dask_cluster, 0.5)
    (future,) = run.running
    with connection.client:
        dask_cluster.scale(0)
        dask_cluster.sync(dask_cluster._correct_state)
        assert run._result(future, connection) is None
        dask_cluster.scale(1)
        (result,) = run.results(connection)
    assert str(result.failure).startswith("this worker has another version")


def test_a_result_that_is_lost_with_its_scheduler_is_computed_again(task: Task, dask_cluster: LocalCluster) -> None:
    run, connection = submitted(task, dask_cluster, 5)
    (future,) = run.running
    dask_cluster.close()
    assert run._result(future, connection) is None
    assert list(run.results(connection)) == []
    assert list(run.waiting) == [task], "it waits for the next connection"
    connection.client.close()


def test_a_fleet_leaves_the_default_scheduler_of_dask_alone(task: Task, dask_cluster: LocalCluster) -> None:
    import dask

    place = Place(dask_cluster.scheduler_address, patience_s=5)
    results = run_tasks([task, task], place)
    assert str(next(results).failure).startswith("this worker has another version")
    assert dask.config.get("scheduler", None) is None
    dask_cluster.close()  # a client that loses its scheduler would leave its setting for ever
    list(results)
    with pytest.raises(SourceError, match="does not answer"):
        list(run_tasks([task], Place("tcp://127.0.0.1:1", start_s=0)))
    assert dask.config.get("scheduler", None) is None


def test_the_files_of_a_task_are_in_the_folder_of_its_worker(tmp_path: Path, dask_cluster: LocalCluster) -> None:
    """Dask removes that folder after a kill; a folder in /tmp would stay."""
    from distributed import Client

    with Client(dask_cluster.scheduler_address, set_as_default=False) as client:
        assert tmp_path / "dask" in client.submit(temporary_folder, pure=False).result().parents
    assert temporary_folder().parent == Path(tempfile.gettempdir()), "outside of a worker"


def temporary_folder() -> Path:
    with _temporary_folder() as folder:
        return folder


def test_tls_without_certificates_is_one_sentence(task: Task) -> None:
    import dask

    place = Place("tls://127.0.0.1:1")
    with pytest.raises(ConfigError, match=re.escape("tls://127.0.0.1:1 needs certificates, and Dask's settings name")):
        list(run_tasks([task], place))
    names = {f"distributed.comm.tls.{name}": "gone.pem" for name in ("ca-file", "client.cert", "client.key")}
    with dask.config.set(names), pytest.raises(ConfigError, match="certificates cannot be read: No such file"):
        list(run_tasks([task], place))


def test_the_certificates_of_another_cluster_are_one_sentence(tmp_path: Path, task: Task) -> None:
    import dask
    from distributed import LocalCluster, Security

    names = ("ca-file", "client.cert", "client.key")
    with LocalCluster(
        n_workers=0, processes=False, protocol="tls", host="127.0.0.1", dashboard_address=None,
        security=Security.temporary(), silence_logs=logging.CRITICAL,
        scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
    ) as running:  # fmt: skip
        texts = Security.temporary().get_tls_config_for_role("client")
        for name, key in zip(names, ("ca_file", "cert", "key"), strict=True):
            (tmp_path / name).write_text(texts[key])
        settings = {f"distributed.comm.tls.{name}": str(tmp_path / name) for name in names}
        with dask.config.set(settings), pytest.raises(ConfigError, match="the certificates of Dask's settings do not"):
            list(run_tasks([task], Place(running.scheduler_address)))
