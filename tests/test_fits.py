"""Fitted models kept by content: what counts as the same, what becomes of damage, and what is thrown away."""

import gzip
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
import pytest

from forebay.errors import ModelError
from forebay.models import fits as kept
from forebay.models.boosting import Trees
from forebay.models.fits import Fits, fitter, open_fits
from forebay.models.model import Array, Model
from forebay.models.references import Climatology, DampedChange, NoChange
from forebay.settings import Settings
from tests.disks import small_disk

N = 300
RNG = np.random.default_rng(11)
INPUTS = pl.DataFrame({"last_change": RNG.normal(0, 0.1, N), "day_of_year": RNG.integers(1, 366, N)})
TARGET = 0.5 * INPUTS["last_change"].to_numpy() + RNG.normal(0, 0.01, N)


class Counted(DampedChange):
    """Damped change; counts its fits."""

    fitted = 0

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Count, then learn."""
        type(self).fitted += 1
        return super().fit(inputs, target)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    """A model whose fits are counted, among those that can be saved."""
    monkeypatch.setitem(kept.saved.CLASSES, "Counted", Counted)
    Counted.fitted = 0
    return Counted


@pytest.fixture
def fits(tmp_path: Path) -> Fits:
    return Fits(tmp_path / "cache" / "fits", 10**6)


def entries(of: Fits) -> list[Path]:
    return sorted(path for path in of.folder.rglob("*") if path.is_file())


def test_the_same_fit_is_made_once(fits: Fits, counted: type[Counted]) -> None:
    for _ in range(3):
        made = fits.on(INPUTS, TARGET)(counted(1))
        np.testing.assert_array_equal(made.predict(INPUTS), DampedChange(1).fit(INPUTS, TARGET).predict(INPUTS))
    assert counted.fitted == len(entries(fits)) == 1


def test_other_rows_columns_leads_or_classes_are_other_fits(fits: Fits, counted: type[Counted]) -> None:
    more = INPUTS.with_columns(pl.when(pl.int_range(N) != 17).then("last_change").alias("last_change"))
    other = np.where(np.arange(N) == 17, np.nextafter(TARGET, 1), TARGET)
    variants = [
        (INPUTS, TARGET, 1),
        (INPUTS, TARGET, 2),
        (more, TARGET, 1),
        (INPUTS, other, 1),
        (INPUTS.head(-1), TARGET[:-1], 1),
        (INPUTS.rename({"day_of_year": "day"}), TARGET, 1),
    ]
    for _ in range(2):
        for inputs, target, lead in variants:
            fits.on(inputs, target)(counted(lead))
    assert counted.fitted == len(variants)
    fits.on(INPUTS, TARGET)(Trees(1, rounds=2))
    fits.on(INPUTS, TARGET)(Trees(1, rounds=3))
    assert len(entries(fits)) == len(variants) + 2


def test_other_code_or_other_libraries_are_other_fits(
    fits: Fits, counted: type[Counted], monkeypatch: pytest.MonkeyPatch
) -> None:
    fits.on(INPUTS, TARGET)(counted(1))
    before = kept._recipe()
    kept._recipe.cache_clear()
    monkeypatch.setattr(kept, "version", lambda name: "0.0.1")
    assert kept._recipe() != before
    fits.on(INPUTS, TARGET)(counted(1))
    assert counted.fitted == 2
    monkeypatch.undo()
    kept._recipe.cache_clear()
    assert kept._recipe() == before


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _other_text(path: Path) -> None:
    path.write_bytes(gzip.compress(b'{"class": "Gone", "given": {}, "learned": {}}'))


def _no_text(path: Path) -> None:
    path.write_bytes(gzip.compress(b"\xff\xfe"))


@pytest.mark.parametrize("damage", [_cut, _flip, _empty, _other_text, _no_text])
def test_a_damaged_entry_is_made_anew(fits: Fits, damage: Callable[[Path], None]) -> None:
    right = Climatology(1).fit(INPUTS, TARGET).predict(INPUTS)
    fits.on(INPUTS, TARGET)(Climatology(1))
    (path,) = entries(fits)
    whole = path.read_bytes()
    damage(path)
    np.testing.assert_array_equal(fits.on(INPUTS, TARGET)(Climatology(1)).predict(INPUTS), right)
    assert path.read_bytes() == whole
    assert entries(fits) == [path]


def test_a_model_that_refuses_leaves_nothing(fits: Fits) -> None:
    with pytest.raises(ModelError, match="at least 200"):
        fits.on(INPUTS.head(50), TARGET[:50])(Trees(1))
    assert entries(fits) == []


def test_a_model_that_cannot_be_saved_is_fitted_each_time(fits: Fits) -> None:
    Counted.fitted = 0
    for _ in range(2):
        fits.on(INPUTS, TARGET)(Counted(1))
    assert Counted.fitted == 2
    assert entries(fits) == []


def test_many_at_once_leave_whole_entries_only(fits: Fits) -> None:
    expected = DampedChange(1).fit(INPUTS, TARGET).predict(INPUTS)

    def work(number: int) -> Array:
        fits.prune()
        return fits.on(INPUTS, TARGET)(DampedChange(1)).predict(INPUTS)

    with ThreadPoolExecutor(8) as pool:
        for made in pool.map(work, range(40)):
            np.testing.assert_array_equal(made, expected)
    assert len(entries(fits)) == 1


def test_those_unused_for_longest_go_first(tmp_path: Path) -> None:
    fits = Fits(tmp_path, 10**6)
    models: list[Model] = [DampedChange(lead) for lead in (1, 2, 3, 4)]
    for model in models:
        fits.on(INPUTS, TARGET)(model)
    for age, path in enumerate(entries(fits)):
        os.utime(path, (age, age))
    oldest, _, third, newest = entries(fits)
    (used,) = (m for m in models if _path(fits, m) == oldest)
    fits.on(INPUTS, TARGET)(type(used)(used.lead_time))  # used again: now the newest
    size = oldest.stat().st_size
    Fits(tmp_path, 3 * size + size // 2).prune()
    assert set(entries(fits)) == {oldest, third, newest}
    Fits(tmp_path, 0).prune()
    assert entries(fits) == []


def _path(fits: Fits, model: Model) -> Path:
    """The entry of a model that was fitted on all rows."""
    other = Fits(fits.folder.with_name("other"), 10**6)
    other.on(INPUTS, TARGET)(type(model)(model.lead_time))
    (path,) = entries(other)
    path.unlink()
    return fits.folder / path.relative_to(other.folder)


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    fits = Fits(in_the_way / "fits", 10**6)
    made = fits.on(INPUTS, TARGET)(DampedChange(1))
    np.testing.assert_array_equal(made.predict(INPUTS), DampedChange(1).fit(INPUTS, TARGET).predict(INPUTS))
    fits.prune()


def test_a_full_disk_leaves_no_half_entry(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "16k") as folder:
        fits = Fits(folder, 10**6)
        made = fits.on(INPUTS, TARGET)(Trees(1))
        assert np.isfinite(made.predict(INPUTS)).all()
        assert entries(fits) == []


def test_settings_say_where_and_whether() -> None:
    assert open_fits(Settings(cache="/c", cache_mb=3)) == Fits(Path("/c/fits"), 3_000_000)
    assert open_fits(Settings(cache_mb=0)) is None


def test_without_a_folder_each_call_fits() -> None:
    made = fitter(None, INPUTS, TARGET)(NoChange(2))
    assert made.lead_time == 2
