"""The job that trains a global model from the archives of many dams (`forebay fleet train`); fetches nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.global_model import GlobalModel, Vintage, global_model_text
from forebay.errors import ConfigError, ModelError
from forebay.features.global_rows import global_rows
from forebay.features.samples import samples_of
from forebay.files import write_file
from forebay.jobs.arguments import as_dam, current_settings, open_store
from forebay.jobs.stored_tables import readable_tables
from forebay.log import log_fields, step
from forebay.models.global_trees import MIN_ROWS, input_names, vintage

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.settings import Settings
    from forebay.verify.hindcast import Progress

MIN_DAMS = 2
"""Dams that a vintage learns from, at least."""


def train_global_model(
    dams: Sequence[Dam | str | Path],
    *,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    without: Sequence[str] = (),
    every: int = 1,
    progress: Progress | None = None,
) -> GlobalModel:
    """A global model that learned from what the archive holds of the dams.

    It has a vintage of each 1 January (of every `every`-th year) and one of the day after the newest reading, from the
    first day on which two dams have enough rows. A vintage learns from changes that ended before its day and were
    available by the end of it, so that a hindcast uses none that was not known.

    Parameters
    ----------
    dams, archive, settings, progress
        As in `forebay.forecast`; at least two dams.
    without
        Ids of dams that no vintage learns from: those that the model is to be judged on.
    every
        Years from one vintage to the next, at least 1.

    Raises
    ------
    DataError, ConfigError, ModelError
        If no model is possible; the message states what to do.
    """
    if every < 1:
        raise ConfigError(f"every {every} is not possible; give a number of years from 1 on")
    settings = settings or current_settings()
    loaded = [as_dam(dam, settings) for dam in dams]
    _check_dams(loaded, without)
    used = [dam for dam in loaded if dam.id not in without]
    tables = []
    with open_store(archive, settings, create=False) as store:
        now = datetime.now(UTC)
        for number, dam in enumerate(used, start=1):
            with log_fields({"dam": dam.id}):
                bare = dam.model_copy(update={"global_model": None})
                samples = samples_of(readable_tables(bare, store, now=now), bare)
                tables.append(global_rows(samples, bare))
            if progress:
                progress("dams", number, len(used))
    licences = tuple((dam.id, dam.licence) for dam in used)
    return global_model_of(pl.concat(tables), licences, every=every, progress=progress)


@step("global_model")
def global_model_of(
    rows: pl.DataFrame,
    licences: tuple[tuple[str, str], ...],
    *,
    every: int = 1,
    progress: Progress | None = None,
) -> GlobalModel:
    """The model of `global_rows.global_rows` of all dams; raises `ModelError` with too few rows."""
    days = list(_vintage_days(rows, every))
    if not days:
        raise ModelError(
            f"a global model needs {MIN_DAMS} dams with {MIN_ROWS} rows together, but there are {len(rows)} rows of "
            f"{rows['dam'].n_unique()} dam(s); add dams, or older readings"
        )
    vintages = list[Vintage]()
    for number, day in enumerate(days, start=1):
        vintages.append(vintage(rows, day))
        if progress:
            progress("vintages", number, len(days))
    return GlobalModel(input_names(rows), licences, tuple(vintages))


def _vintage_days(rows: pl.DataFrame, every: int) -> Iterator[date]:
    """Days of the vintages: each 1 January with enough rows before it, and the day when the last change is known."""
    first, end = rows["known_date"].min(), rows["known_date"].max()
    assert isinstance(first, date)
    assert isinstance(end, date)
    new_years = [date(year, 1, 1) for year in range(end.year, first.year, -every)][::-1]
    for day in sorted({*(day for day in new_years if day < end), end}):
        past = rows.filter(pl.col("known_date") <= day)
        if len(past) >= MIN_ROWS and past["dam"].n_unique() >= MIN_DAMS:
            yield day


def _check_dams(dams: Sequence[Dam], without: Sequence[str]) -> None:
    ids = [dam.id for dam in dams]
    twice = next((name for name, count in Counter(ids).items() if count > 1), None)
    if twice is not None:
        raise ConfigError(f"dam {twice} is given twice; give each dam once")
    targets = dict[tuple[object, ...], str]()
    for dam in dams:
        gauge, path = dam.target_gauge, None if dam.target_gauge.file is None else dam.target_gauge.file.path
        same = targets.setdefault((gauge.source, gauge.station, gauge.variable, path), dam.id)
        if same != dam.id:
            raise ConfigError(
                f"dams {same} and {dam.id} have the same target gauge ({gauge.source} {gauge.station}), so that one "
                "would learn from the other's own outcomes; give one of them"
            )
    unknown = next((name for name in without if name not in ids), None)
    if unknown is not None:
        raise ConfigError(f"--without {unknown}: it is none of the dams ({', '.join(ids)}); give the id of one of them")
    if len(ids) - len(set(without)) < MIN_DAMS:
        raise ConfigError(
            f"a global model learns from at least {MIN_DAMS} dams, not from {len(ids) - len(set(without))}; give more"
        )


def write_global_model(model: GlobalModel, path: Path) -> None:
    """Write the model's file, whole or not at all; raises `ConfigError` if it cannot be written."""
    write_file(path, global_model_text(model).encode())
