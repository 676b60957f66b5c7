"""Fitted models kept in a folder, by the content of what they were fitted on: the same fit is not made twice.

A hindcast fits each model anew on each refit day from the days before it. A day later these are the same days, so that
all fits but those of a new refit day are found.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

import polars as pl

from forebay.errors import ModelError
from forebay.models import saved
from forebay.models.model import Array, Model, digest
from forebay.settings import Settings

Fitter: TypeAlias = Callable[[Model], Model]
"""What fits a model on rows that it holds; raises as the model's own `fit`."""

LIBRARIES = ("numpy", "scipy", "scikit-learn", "lightgbm", "keras", "jax")
ENDING = ".json.gz"


@dataclass(frozen=True)
class Fits:
    """A folder of fitted models.

    It may vanish, or be shared by many processes: an entry is written beside its place and then moved there, one that
    cannot be read is made again, and where nothing can be written nothing is kept.

    folder: is made when first needed; most_bytes: what `prune` leaves at most.
    """

    folder: Path
    most_bytes: int

    def on(self, inputs: pl.DataFrame, target: Array) -> Fitter:
        """What gives a model fitted on these rows, from the folder where it has been fitted on the same before."""
        content = digest(inputs, target) + _recipe()

        def fitted(model: Model) -> Model:
            if not saved.can_be_saved(model):
                return model.fit(inputs, target)
            made_with = repr((type(model).__name__, sorted(vars(model).items())))
            name = hashlib.blake2b(content + made_with.encode(), digest_size=20).hexdigest()
            path = self.folder / name[:2] / f"{name}{ENDING}"
            found = _read(path)
            if found is None:
                found = model.fit(inputs, target)
                _write(path, saved.to_json(found))
            return found

        return fitted

    def prune(self) -> None:
        """Delete those unused for longest until the rest is not larger than `most_bytes`."""
        found = []
        for path in self.folder.glob(f"??/*{ENDING}"):
            try:
                found.append((path.stat(), path))
            except OSError:  # another process pruned it
                continue
        left = sum(stat.st_size for stat, _ in found)
        for stat, path in sorted(found, key=lambda entry: entry[0].st_mtime_ns):
            if left <= self.most_bytes:
                return
            path.unlink(missing_ok=True)
            left -= stat.st_size


def open_fits(settings: Settings) -> Fits | None:
    """The folder that the settings name; None where they keep nothing."""
    return Fits(Path(settings.cache) / "fits", settings.cache_mb * 10**6) if settings.cache_mb else None


def fitter(fits: Fits | None, inputs: pl.DataFrame, target: Array) -> Fitter:
    """What gives a model fitted on these rows; without a folder it fits each time."""
    return fits.on(inputs, target) if fits else lambda model: model.fit(inputs, target)


@cache
def _recipe() -> bytes:
    """What a fit depends on beside its rows: the code of the models, the libraries and the kind of machine."""
    made = hashlib.blake2b(digest_size=16)
    for source in sorted(files("forebay.models").iterdir(), key=lambda entry: entry.name):
        if source.name.endswith(".py"):
            made.update(source.read_bytes())
    made.update(repr([(name, _version(name)) for name in LIBRARIES]).encode())
    made.update(platform.machine().encode())
    return made.digest()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:  # nets are an extra
        return None


def _read(path: Path) -> Model | None:
    """The model kept at `path`, marked as used now; None where there is none, or one that cannot be read."""
    try:
        text = gzip.decompress(path.read_bytes()).decode()
        model = saved.from_json(text)
        os.utime(path)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, ModelError):
        return None
    return model


def _write(path: Path, text: str) -> None:
    """Keep `text` at `path`: whole, or, where it cannot be written, not at all."""
    unfinished = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=ENDING, delete=False) as beside:
            unfinished = Path(beside.name)
            beside.write(gzip.compress(text.encode(), compresslevel=1, mtime=0))
        os.replace(unfinished, path)
    except OSError:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
