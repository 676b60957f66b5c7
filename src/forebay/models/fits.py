"""A folder of fitted models, addressed by the content of their training rows.

A hindcast refits each model on each refit day from all earlier days. One day later these rows are unchanged, so only
the fits of a new refit day are computed and all others are read from the folder.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from forebay.errors import ModelError
from forebay.files import prune, staging_folder
from forebay.models import serialisation
from forebay.models.model import Array, Model, rows_digest

if TYPE_CHECKING:
    from forebay.settings import Settings

Fitter: TypeAlias = Callable[[Model], Model]
"""Fits the given model on a fixed set of training rows; raises as `Model.fit`."""

CODE = ("dams", "errors", "features", "files", "metrics", "models", "nets", "services", "settings", "tables", "text")
"""Packages and modules of forebay that `forebay.models` imports, directly or indirectly. A test compares the list with
the import statements."""
ALL_CODE = (".",)
"""All packages and modules of forebay."""
LIBRARIES = ("numpy", "scipy", "scikit-learn", "lightgbm", "keras", "jax")
SUFFIX = ".json.gz"


@dataclass(frozen=True)
class Fits:
    """A folder of fitted models.

    Several processes may share the folder, and it may be deleted at any time. An entry is written to a temporary file
    and moved into place. An unreadable entry is computed again. Where the folder cannot be written, nothing is stored.

    Attributes
    ----------
    folder
        Created on first use.
    max_bytes
        Limit that `prune` enforces.
    reads
        Name of each entry that was read instead of fitted; for the log.
    writes
        Name of each entry that was written: without one, nothing is to prune.
    """

    folder: Path
    max_bytes: int
    reads: list[str] = field(default_factory=list, repr=False, compare=False)
    writes: list[str] = field(default_factory=list, repr=False, compare=False)

    def fitter(self, inputs: pl.DataFrame, target: Array) -> Fitter:
        """A function that fits a model on these rows, or reads the same fit from the folder."""
        rows = rows_digest(inputs, target)

        def fit(model: Model) -> Model:
            if not serialisation.is_serialisable(model):
                return model.fit(inputs, target)
            path = self._path(model, rows)
            fitted = _read(path)
            if fitted is None:
                fitted = model.fit(inputs, target)
                _write(path, serialisation.to_json(fitted))
                self.writes.append(path.stem)
            else:
                self.reads.append(path.stem)  # atomic: threads share it
            return fitted

        return fit

    def has_all(self, models: Iterable[Model], inputs: pl.DataFrame, target: Array) -> bool:
        """Whether the fits of all models on these rows are stored."""
        rows = rows_digest(inputs, target)
        return all(self._path(model, rows).exists() for model in models)

    def _path(self, model: Model, rows: bytes) -> Path:
        """File of the model's fit on the training rows with the digest `rows`."""
        arguments = repr((type(model).__name__, sorted(vars(model).items())))
        name = hashlib.blake2b(rows + environment_digest() + arguments.encode(), digest_size=20).hexdigest()
        return self.folder / name[:2] / f"{name}{SUFFIX}"

    def prune(self) -> None:
        """Delete the oldest entries until the rest has at most `max_bytes` (`files.prune`)."""
        prune(self.folder, SUFFIX, self.max_bytes)


def open_fits(settings: Settings) -> Fits | None:
    """The folder of fits in the settings' cache; None if the cache is off (`cache_mb = 0`)."""
    return Fits(Path(settings.cache) / "fits", settings.cache_mb * 10**6) if settings.cache_mb else None


def fitter(fits: Fits | None, inputs: pl.DataFrame, target: Array) -> Fitter:
    """A function that fits a model on these rows; it uses the folder `fits` if there is one."""
    return fits.fitter(inputs, target) if fits else lambda model: model.fit(inputs, target)


@cache
def environment_digest(names: tuple[str, ...] = CODE) -> bytes:
    """Digest (16 bytes) of what a fit depends on apart from its rows: source code, library versions, machine type.

    `names` are the packages and modules whose source code counts.
    """
    digest = hashlib.blake2b(digest_size=16)
    package = Path(__file__).parents[1]
    for path in source_files(package, names):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    digest.update(repr([(name, _version(name)) for name in LIBRARIES]).encode())
    digest.update(platform.machine().encode())
    return digest.digest()


def source_files(package: Path, names: tuple[str, ...] = CODE) -> Iterator[Path]:
    """Python files of the packages and modules `names` in the folder of the package forebay, in a fixed order."""
    for name in names:
        yield from sorted((package / name).rglob("*.py")) or [package / f"{name}.py"]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:  # keras and jax belong to the extra `nets`
        return None


def _read(path: Path) -> Model | None:
    """The model stored at `path`, whose modification time becomes now; None if there is no readable entry."""
    try:
        text = gzip.decompress(path.read_bytes()).decode()
        model = serialisation.from_json(text)
        os.utime(path)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, ModelError):
        return None
    return model


def _write(path: Path, text: str) -> None:
    """Store `text` at `path`, whole or not at all."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with staging_folder(path.parent) as stage:
            (stage / path.name).write_bytes(gzip.compress(text.encode(), compresslevel=1, mtime=0))
            os.replace(stage / path.name, path)
