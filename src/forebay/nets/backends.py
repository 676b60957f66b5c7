"""Where Keras runs: on the backend that a call names, in this process or in one of its own.

Keras takes its backend when it is imported and keeps it, so another backend needs another process, and as torch and
TensorFlow want other versions of what forebay needs, mostly another virtual environment: `.venv-torch` or
`.venv-tensorflow` beside the one that runs, made by ``scripts/backends``.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from forebay.errors import ConfigError, ModelError

BACKENDS = ("jax", "torch", "tensorflow")
"""The backends by name: XLA through jax, LibTorch through torch, TensorFlow."""

Item: TypeAlias = dict[str, NDArray[Any]]  # Any: numbers, text and bytes alike
Work: TypeAlias = Callable[[Item], Item]
Progress: TypeAlias = Callable[[int], None]

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # these nets are small: torch's threads would wait for each other (140 s → 6 s)


@dataclass(frozen=True)
class Task:
    """A function of a module that turns an item into an item with Keras; named, so that another process finds it."""

    module: str
    function: str

    def load(self) -> Work:
        """The function itself."""
        from importlib import import_module

        work: Work = getattr(import_module(self.module), self.function)
        return work


def check(backend: str) -> None:
    """Raise `ConfigError` unless `backend` is one of `BACKENDS` and installed, here or in its own environment."""
    if backend not in BACKENDS:
        raise ConfigError(f"backend {backend!r} is not known; allowed are {', '.join(BACKENDS)}")
    _interpreter(backend)


def run(task: Task, items: Sequence[Item], *, backend: str, progress: Progress | None = None) -> list[Item]:
    """The task's result for each item, in order, all from one process that runs Keras on `backend`.

    Parameters
    ----------
    progress
        Told how many items are done; only where the work is done in this process.

    Raises
    ------
    ConfigError
        If `backend` is not known or not installed.
    ModelError
        If the other process fails; holds the last line that it wrote.
    """
    check(backend)
    if not items:
        return []
    if _is_here(backend):
        os.environ["KERAS_BACKEND"] = backend
        for name, value in _kept_programs().items():
            os.environ.setdefault(name, value)
        work = task.load()
        made = []
        for done, item in enumerate(items):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Keras' own use of numpy: not a caller's to mend
                made.append(work(item))
            if progress:
                progress(done + 1)
        return made
    return _run_elsewhere(task, items, backend)


def _kept_programs() -> dict[str, str]:
    """Where jax keeps what it compiled: compiling a small net takes longer than fitting it (4.9 s → 1.9 s).

    Programs are made for a machine's processor, so each machine has a folder of its own.
    """
    folder = user_cache_path("forebay") / "xla" / (platform.node() or "here")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written: then nothing is kept
        return {}
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def _is_here(backend: str) -> bool:
    """Whether Keras runs on `backend` in this process, or can still be made to."""
    if "keras" in sys.modules:
        import keras

        return bool(keras.backend.backend() == backend)
    return _installed(backend)


def _installed(backend: str) -> bool:
    return find_spec("keras") is not None and find_spec(backend) is not None


def _interpreter(backend: str) -> Path:
    """The Python that has Keras and `backend`."""
    if _installed(backend):
        return Path(sys.executable)
    beside = Path(sys.prefix).with_name(f".venv-{backend}") / "bin" / "python"
    if beside.is_file():
        return beside
    if backend == "jax":
        raise ConfigError(
            "backend 'jax' needs keras and jax, which are not installed; run `scripts/setup nets,export` or "
            "`pip install 'forebay[nets,export]'`"
        )
    raise ConfigError(
        f"backend {backend!r} is not installed, neither here nor in {beside.parents[1]}; run `scripts/backends "
        f"{backend}`"
    )


def _run_elsewhere(task: Task, items: Sequence[Item], backend: str) -> list[Item]:
    environment = (
        _kept_programs()
        | os.environ
        | _QUIET
        | {"KERAS_BACKEND": backend}
        | (_ONE_THREAD if backend == "torch" else {})
    )
    with tempfile.TemporaryDirectory(prefix="forebay-") as folder:
        given, told = Path(folder) / "given.npz", Path(folder) / "told.npz"
        _write(given, items)
        call = "from forebay.nets.backends import serve; import sys; serve(*sys.argv[1:])"
        words = ("-c", call, task.module, task.function, str(given), str(told))
        command = [str(_interpreter(backend)), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise ModelError(
                f"Keras on {backend} failed in its own process ({command[0]}): {last}; "
                f"`scripts/backends {backend}` installs it anew"
            )
        return _read(told)


def serve(module: str, function: str, given: str, told: str) -> None:
    """Do the work of the items in the file `given` and write the results to `told`: what the other process runs."""
    work = Task(module, function).load()
    _write(Path(told), [work(item) for item in _read(Path(given))])


def _write(path: Path, items: Sequence[Item]) -> None:
    # np.savez's stub takes its own keyword too, hence the dict is named
    content: dict[str, Any] = {f"{k}/{name}": array for k, item in enumerate(items) for name, array in item.items()}
    np.savez(path, **content)


def _read(path: Path) -> list[Item]:
    with np.load(path, allow_pickle=False) as content:
        items: dict[int, Item] = {}
        for key in content.files:
            number, name = key.split("/", 1)
            items.setdefault(int(number), {})[name] = content[key]
    return [items[number] for number in sorted(items)]
