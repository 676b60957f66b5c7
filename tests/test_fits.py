"""The folder of fitted models: parts of the key of a fit, damaged entries, and pruning."""

import ast
import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
import pytest

import forebay
from forebay.errors import ModelError
from forebay.models import fits as fits_module
from forebay.models import serialisation
from forebay.models.boosting import Trees
from forebay.models.fits import CODE, Fits, environment_digest, fitter, open_fits, source_files
from forebay.models.model import Array, Model
from forebay.models.references import Climatology, DampedChange, NoChange
from forebay.settings import Settings
from tests.disks import small_disk

N = 300
RNG = np.random.default_rng(11)
INPUTS = pl.DataFrame({"last_change": RNG.normal(0, 0.1, N), "day_of_year": RNG.integers(1, 366, N)})
TARGET = 0.5 * INPUTS["last_change"].to_numpy() + RNG.normal(0, 0.01, N)
PACKAGE = Path(str(forebay.__file__)).parent


class CountingModel(DampedChange):
    """Damped change that counts its fits."""

    fit_count = 0

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """The fitted model; adds 1 to the count."""
        type(self).fit_count += 1
        return super().fit(inputs, target)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> type[CountingModel]:
    """A serialisable model that counts its fits."""
    monkeypatch.setitem(serialisation.CLASSES, "CountingModel", CountingModel)
    CountingModel.fit_count = 0
    return CountingModel


@pytest.fixture
def fits(tmp_path: Path) -> Fits:
    return Fits(tmp_path / "cache" / "fits", 10**6)


def entries(fits: Fits) -> list[Path]:
    return sorted(path for path in fits.folder.rglob("*") if path.is_file())


def test_the_same_fit_is_computed_once(fits: Fits, counting: type[CountingModel]) -> None:
    for _ in range(3):
        fitted = fits.fitter(INPUTS, TARGET)(counting(1))
        np.testing.assert_array_equal(fitted.predict(INPUTS), DampedChange(1).fit(INPUTS, TARGET).predict(INPUTS))
    assert counting.fit_count == len(entries(fits)) == 1


def test_rows_columns_leads_classes_and_arguments_belong_to_the_key(
    fits: Fits, counting: type[CountingModel]
) -> None:
    one_null = INPUTS.with_columns(pl.when(pl.int_range(N) != 17).then("last_change").alias("last_change"))
    one_digit = np.where(np.arange(N) == 17, np.nextafter(TARGET, 1), TARGET)
    variants = [
        (INPUTS, TARGET, 1),
        (INPUTS, TARGET, 2),
        (one_null, TARGET, 1),
        (INPUTS, one_digit, 1),
        (INPUTS.head(-1), TARGET[:-1], 1),
        (INPUTS.rename({"day_of_year": "day"}), TARGET, 1),
    ]
    for _ in range(2):
        for inputs, target, lead in variants:
            fits.fitter(inputs, target)(counting(lead))
    assert counting.fit_count == len(variants)
    fits.fitter(INPUTS, TARGET)(Trees(1, rounds=2))
    fits.fitter(INPUTS, TARGET)(Trees(1, rounds=3))
    assert len(entries(fits)) == len(variants) + 2


@pytest.mark.parametrize(
    ("place", "value"), [("version", lambda name: "0.0.1"), ("platform.machine", lambda: "another")]
)
def test_library_versions_and_the_type_of_machine_belong_to_the_key(
    fits: Fits, counting: type[CountingModel], monkeypatch: pytest.MonkeyPatch, place: str, value: object
) -> None:
    fits.fitter(INPUTS, TARGET)(counting(1))
    before = environment_digest()
    environment_digest.cache_clear()
    monkeypatch.setattr(f"{fits_module.__name__}.{place}", value)
    assert environment_digest() != before
    fits.fitter(INPUTS, TARGET)(counting(1))
    assert counting.fit_count == 2
    monkeypatch.undo()
    environment_digest.cache_clear()
    assert environment_digest() == before


def test_the_code_of_each_imported_package_belongs_to_the_key(tmp_path: Path) -> None:
    copy = tmp_path / "forebay"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    program = """
import sys
from pathlib import Path
from forebay.models import fits
print(fits.__file__)
for file in [None, *sys.argv[1:]]:
    if file:
        Path(file).write_text(Path(file).read_text() + "# changed\\n")
    fits.environment_digest.cache_clear()
    print(fits.environment_digest().hex())
"""
    last_files = {path.relative_to(copy).parts[0]: path for path in source_files(copy)}
    assert {name.removesuffix(".py") for name in last_files} == set(CODE)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", program, *map(str, last_files.values())]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert output[0] == str(copy / "models" / "fits.py")
    digests = output[1:]
    assert len(digests) == len(set(digests)) == len(CODE) + 1


def test_the_list_of_code_has_every_import_of_the_models() -> None:
    """Follows the import statements; a name in `CODE` that nothing imports is an error too."""
    modules = _modules()
    pending = [name for name in modules if name.startswith(("forebay.models", "forebay.nets"))]
    reached: set[str] = set()
    while pending:
        name = pending.pop()
        # `forebay` itself offers the public functions lazily and computes nothing
        if name not in reached and name in modules and name != "forebay":
            reached.add(name)
            pending += _imports(modules[name])
    assert {name.split(".")[1] for name in reached} == set(CODE)


def _modules() -> dict[str, Path]:
    paths = {path.relative_to(PACKAGE.parent).with_suffix(""): path for path in PACKAGE.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in paths.items()}


def _imports(path: Path) -> Iterator[str]:
    """Modules and names in a file's import statements, with their packages."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for parts in (name.split(".") for name in names):
            yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _unknown_class(path: Path) -> None:
    path.write_bytes(gzip.compress(b'{"class": "Unknown", "arguments": {}, "learned": {}}'))


def _no_text(path: Path) -> None:
    path.write_bytes(gzip.compress(b"\xff\xfe"))


@pytest.mark.parametrize("damage", [_cut, _flip, _empty, _unknown_class, _no_text])
def test_a_damaged_entry_is_computed_again(fits: Fits, damage: Callable[[Path], None]) -> None:
    expected = Climatology(1).fit(INPUTS, TARGET).predict(INPUTS)
    fits.fitter(INPUTS, TARGET)(Climatology(1))
    (path,) = entries(fits)
    content = path.read_bytes()
    damage(path)
    np.testing.assert_array_equal(fits.fitter(INPUTS, TARGET)(Climatology(1)).predict(INPUTS), expected)
    assert path.read_bytes() == content
    assert entries(fits) == [path]


def test_a_failed_fit_stores_nothing(fits: Fits) -> None:
    with pytest.raises(ModelError, match="at least 200"):
        fits.fitter(INPUTS.head(50), TARGET[:50])(Trees(1))
    assert entries(fits) == []


def test_a_model_that_is_not_serialisable_is_fitted_each_time(fits: Fits) -> None:
    CountingModel.fit_count = 0
    for _ in range(2):
        fits.fitter(INPUTS, TARGET)(CountingModel(1))
    assert CountingModel.fit_count == 2
    assert entries(fits) == []


def test_concurrent_fits_store_one_whole_entry(fits: Fits) -> None:
    expected = DampedChange(1).fit(INPUTS, TARGET).predict(INPUTS)

    def fit_and_predict(_: int) -> Array:
        fits.prune()
        return fits.fitter(INPUTS, TARGET)(DampedChange(1)).predict(INPUTS)

    with ThreadPoolExecutor(8) as pool:
        for prediction in pool.map(fit_and_predict, range(40)):
            np.testing.assert_array_equal(prediction, expected)
    assert len(entries(fits)) == 1


def test_pruning_deletes_the_least_recently_used_entries(tmp_path: Path) -> None:
    fits = Fits(tmp_path, 10**6)
    models: list[Model] = [DampedChange(lead) for lead in (1, 2, 3, 4)]
    for model in models:
        fits.fitter(INPUTS, TARGET)(model)
    for age, path in enumerate(entries(fits)):
        os.utime(path, (age, age))
    oldest, _, third, newest = entries(fits)
    (oldest_model,) = (m for m in models if _entry(fits, m) == oldest)
    fits.fitter(INPUTS, TARGET)(type(oldest_model)(oldest_model.lead_time))  # the use makes this entry the newest
    size = oldest.stat().st_size
    Fits(tmp_path, 3 * size + size // 2).prune()
    assert set(entries(fits)) == {oldest, third, newest}
    Fits(tmp_path, 0).prune()
    assert entries(fits) == []


def test_pruning_removes_what_killed_processes_have_left(fits: Fits) -> None:
    fits.fitter(INPUTS, TARGET)(DampedChange(1))
    (entry,) = entries(fits)
    left = entry.parent / ".unfinished-a"
    left.mkdir()
    (left / "half.json.gz").write_bytes(b"half")
    fits.prune()
    assert not left.exists()
    assert entries(fits) == [entry]


def _entry(fits: Fits, model: Model) -> Path:
    """The entry of a model that was fitted on all rows."""
    empty_folder = Fits(fits.folder.with_name("empty"), 10**6)
    empty_folder.fitter(INPUTS, TARGET)(type(model)(model.lead_time))
    (path,) = entries(empty_folder)
    path.unlink()
    return fits.folder / path.relative_to(empty_folder.folder)


def test_without_a_writable_folder_nothing_is_stored(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    fits = Fits(file / "fits", 10**6)
    fitted = fits.fitter(INPUTS, TARGET)(DampedChange(1))
    np.testing.assert_array_equal(fitted.predict(INPUTS), DampedChange(1).fit(INPUTS, TARGET).predict(INPUTS))
    fits.prune()


def test_a_full_disk_leaves_no_partial_entry(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "16k") as folder:
        fits = Fits(folder, 10**6)
        fitted = fits.fitter(INPUTS, TARGET)(Trees(1))
        assert np.isfinite(fitted.predict(INPUTS)).all()
        assert entries(fits) == []


def test_settings_name_the_folder_and_its_limit() -> None:
    assert open_fits(Settings(cache="/c", cache_mb=3)) == Fits(Path("/c/fits"), 3_000_000)
    assert open_fits(Settings(cache_mb=0)) is None


def test_without_a_folder_each_call_fits() -> None:
    assert fitter(None, INPUTS, TARGET)(NoChange(2)).lead_time == 2
