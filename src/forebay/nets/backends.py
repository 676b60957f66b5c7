"""Runs Keras on the backend that a call names, in this process or in a process for that backend.

Keras selects its backend at import, so a second backend needs a second process. Torch and TensorFlow need different
versions of shared libraries, so each usually runs in a virtual environment of its own next to the current one:
`.venv-torch` or `.venv-tensorflow`. ``scripts/backends`` creates them.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forebay.errors import ConfigError, ModelError

BACKENDS = ("jax", "torch", "tensorflow")
"""The backends by name: XLA through jax, LibTorch through torch, TensorFlow."""

Item: TypeAlias = dict[str, NDArray[Any]]  # Any: numbers, text and bytes alike
Work: TypeAlias = Callable[[Item], Item]
Progress: TypeAlias = Callable[[int], None]

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # for small nets torch's threads mostly wait for each other (140 s → 6 s)


@dataclass(frozen=True)
class Task:
    """A function from item to item that needs Keras, by module and name, so that another process can import it."""

    module: str
    function: str

    def load(self) -> Work:
        """The function."""
        from importlib import import_module

        work: Work = getattr(import_module(self.module), self.function)
        return work


def check(backend: str) -> None:
    """Raise `ConfigError` unless `backend` is one of `BACKENDS` and installed, here or in its own environment."""
    if backend not in BACKENDS:
        raise ConfigError(f"backend {backend!r} is not known; allowed are {', '.join(BACKENDS)}")
    _interpreter(backend)


def run(
    task: Task, items: Sequence[Item], *, backend: str, threads: int = 1, progress: Progress | None = None
) -> list[Item]:
    """The result of the task for each item, in order, from one process that runs Keras on `backend`.

    Parameters
    ----------
    threads
        Number of items at a time; only if the task runs in this process.
    progress
        Called with the number of finished items; only if the task runs in this process.

    Raises
    ------
    ConfigError
        If `backend` is not known or not installed, or a setting is wrong.
    ModelError
        If the other process fails; the message has the last line of its output.
    """
    check(backend)
    if not items:
        return []
    if _is_here(backend):
        os.environ["KERAS_BACKEND"] = backend
        for name, value in _program_cache().items():
            os.environ.setdefault(name, value)
        return _run_here(task.load(), items, threads, progress)
    return _run_in_process(task, items, backend)


def _run_here(work: Work, items: Sequence[Item], threads: int, progress: Progress | None) -> list[Item]:
    results: list[Item] = []
    pool = ThreadPoolExecutor(threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Keras' use of numpy; no caller can change it
        try:
            for result in pool.map(work, items) if threads > 1 else map(work, items):
                results.append(result)
                if progress:
                    progress(len(results))
        finally:
            pool.shutdown(cancel_futures=True)
    return results


def _program_cache() -> dict[str, str]:
    """Environment variables of jax's cache of compiled programs, in the cache folder of the settings in force.

    They are empty if the cache is off (`cache_mb = 0`) or its folder cannot be written. The compilation of a program
    takes longer than the fit of 50 nets. Programs depend on the processor, so each machine has its own folder.
    """
    from forebay.settings import load_settings

    settings, _ = load_settings(Path.cwd(), os.environ)
    if not settings.cache_mb:
        return {}
    folder = Path(settings.cache) / "programs" / (platform.node() or "here")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return {}
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def _is_here(backend: str) -> bool:
    """Whether Keras runs on `backend` in this process, or is not imported yet and can run on it."""
    if "keras" in sys.modules:
        import keras

        return bool(keras.backend.backend() == backend)
    return _installed(backend)


def _installed(backend: str) -> bool:
    return find_spec("keras") is not None and find_spec(backend) is not None


def _interpreter(backend: str) -> Path:
    """The Python interpreter with Keras and `backend`."""
    if _installed(backend):
        return Path(sys.executable)
    python = Path(sys.prefix).with_name(f".venv-{backend}") / "bin" / "python"
    if python.is_file():
        return python
    if backend == "jax":
        raise ConfigError(
            "backend 'jax' needs keras and jax, which are not installed; run `scripts/setup nets,export` or "
            "`pip install 'forebay[nets,export]'`"
        )
    raise ConfigError(
        f"backend {backend!r} is installed neither here nor in {python.parents[1]}; run `scripts/backends {backend}`"
    )


def _run_in_process(task: Task, items: Sequence[Item], backend: str) -> list[Item]:
    environment = (
        _program_cache()
        | os.environ
        | _QUIET
        | {"KERAS_BACKEND": backend}
        | (_ONE_THREAD if backend == "torch" else {})
    )
    with tempfile.TemporaryDirectory(prefix="forebay-") as folder:
        input_path, output_path = Path(folder) / "input.npz", Path(folder) / "output.npz"
        _write(input_path, items)
        call = "from forebay.nets.backends import serve; import sys; serve(*sys.argv[1:])"
        # -P: a file in the working folder that is named like a module must not run.
        arguments = ("-P", "-c", call, task.module, task.function, str(input_path), str(output_path))
        command = [str(_interpreter(backend)), *arguments]
        process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if process.returncode != 0:
            last_line = (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
            raise ModelError(
                f"Keras on {backend} failed in its own process ({command[0]}): {last_line}; reinstall it with "
                f"`scripts/backends {backend}`"
            )
        return _read(output_path)


def serve(module: str, function: str, input_path: str, output_path: str) -> None:
    """Run a task on the items of the input file and write the results to the output file: the other process's main."""
    work = Task(module, function).load()
    _write(Path(output_path), [work(item) for item in _read(Path(input_path))])


def join_items(items: Sequence[Item]) -> Item:
    """One item with the arrays of several, each under `NUMBER/name`."""
    return {f"{k}/{name}": array for k, item in enumerate(items) for name, array in item.items()}


def split_items(joined: Item) -> list[Item]:
    """The items of `join_items`, in their order."""
    items: dict[int, Item] = {}
    for key, array in joined.items():
        number, name = key.split("/", 1)
        items.setdefault(int(number), {})[name] = array
    return [items[number] for number in sorted(items)]


def _write(path: Path, items: Sequence[Item]) -> None:
    # A variable for the annotation, because the stub of np.savez has a keyword parameter too
    content: dict[str, Any] = join_items(items)
    np.savez(path, **content)


def _read(path: Path) -> list[Item]:
    with np.load(path, allow_pickle=False) as content:
        return split_items(dict(content))
