"""The export of the model `default`: its fits and what it has learned as plain numbers, for other languages.

The files are written only if a reader that knows nothing but their numbers makes the forecasts of the program.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forebay.errors import ConfigError, DataError, ModelError
from forebay.features.samples import samples_of
from forebay.files import write_all
from forebay.forecasts.plain_default import FORMAT, VERSION, plain_day, plain_default, plain_learned
from forebay.forecasts.plain_reader import plain_forecast
from forebay.jobs.arguments import as_dam, current_settings, local_execution, open_store
from forebay.jobs.stored_tables import readable_tables
from forebay.log import add_counts, log_fields, step
from forebay.models import models_for
from forebay.models.rows import Rows
from forebay.nets.weights import erlang_term
from forebay.tables import DEFAULT_MODEL
from forebay.verify.default import with_default
from forebay.verify.hindcast import (
    SEQUENTIAL,
    Execution,
    Progress,
    first_origin,
    including_suspect_level,
    point_forecasts,
    refit_days,
)
from forebay.verify.learned import exportable_days, learned_days
from forebay.verify.row_store import rows_of
from forebay.verify.uncertainty import quantile_changes

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.features.daily_tables import DailyTables
    from forebay.features.samples import Samples
    from forebay.models.model import Array
    from forebay.models.plain import Plain
    from forebay.settings import Settings
    from forebay.verify.point_forecasts import PointForecasts

STEM, DAYS_STEM = "default", "days"
MODULES = ("forebay_default.ex", "forebay_default.mjs")
"""Readers in `forecasts/embed`: Elixir, JavaScript."""
FILES = (*(f"{stem}{suffix}" for stem in (STEM, DAYS_STEM) for suffix in (".json", ".terms")), *MODULES)
"""Every file that an export may write."""
TOLERANCE = 1e-6
"""Allowed difference between the plain numbers and the program, in the target's unit."""


@dataclass(frozen=True)
class Export:
    """The model `default` of a dam as plain numbers.

    Attributes
    ----------
    dam
        The dam.
    model
        Content of default.json.
    days
        `day`, `learned` and `forecast` of each exported day; the last one is that of the model's example.
    difference
        Largest difference between the plain numbers and the program on these days, in the target's unit.
    """

    dam: Dam
    model: Plain
    days: tuple[Plain, ...]
    difference: float


def export(
    dam: Dam | str | Path,
    *,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    init_date: date | None = None,
    days: int = 1,
    progress: Progress | None = None,
) -> Export:
    """The model `default` of a dam, from what the archive holds; fetches nothing.

    Parameters
    ----------
    dam, archive, settings, init_date, progress
        As in `forebay.forecast`.
    days
        Number of the last days of the same fits whose inputs and forecasts are exported, too.

    Raises
    ------
    DataError, ConfigError, ModelError
        If an export is not possible; the message states what to do.
    """
    settings = settings or current_settings()
    dam = as_dam(dam, settings)
    _check_models(dam)
    with log_fields({"dam": dam.id}):
        with open_store(archive, settings, create=False) as store:
            daily_tables = readable_tables(dam, store, now=datetime.now(UTC), init_date=init_date)
        return export_dam(dam, daily_tables, days=days, execution=local_execution(settings, progress))


def _check_models(dam: Dam) -> None:
    if dam.hindcast.nets:
        raise ConfigError(
            f"{dam.name} has `nets = true` in its dam file, and a default that blends the article's net is not "
            "exported; set it to false, or export the net with `forebay article`"
        )
    if dam.global_model is not None:
        raise ConfigError(
            f"{dam.name} has a `global_model` in its dam file, and a default that blends it is not exported; "
            "remove the key for the export"
        )


@step("export")
def export_dam(dam: Dam, daily_tables: DailyTables, *, days: int = 1, execution: Execution = SEQUENTIAL) -> Export:
    """As `export`, from the daily tables of a dam."""
    samples = samples_of(daily_tables, dam)
    indices = _days_of_export(samples, dam, days)
    rows = rows_of(execution.hindcasts, samples, dam)
    if indices[0] < rows.first:
        rows = Rows(len(samples.dates))  # the states of the days are not stored
    rows = replace(rows, count=len(samples.dates), watched=frozenset(indices), after={})
    points = point_forecasts(samples, dam, models_for(dam), execution=execution, rows=rows)
    points = with_default(points, samples, rows)
    of_program = _changes_of_program(samples, points, indices, rows)
    indices = [day for day in indices if np.isfinite(of_program[day]).all()]
    if not indices:
        raise _no_forecast(samples, dam)
    by_day = learned_days(samples, dam, points, indices, rows)
    model = plain_default(samples, dam, points, by_day[-1])
    exported: list[Plain] = []
    differences = []
    for index, known in zip(indices, by_day, strict=True):
        own = of_program[index]
        day, learned = plain_day(samples, dam, points, index), plain_learned(known, model["fitted_on"])
        differences.append(_difference(model, day, learned, own))
        exported.append({"day": day, "learned": learned, "forecast": _forecast(day, own, dam.hindcast.leads)})
    difference = float(np.max(differences))  # NaN if one is
    if not difference <= TOLERANCE:
        raise ModelError(
            f"the plain numbers of {dam.name} and the program differ by {difference:.2g} {dam.target.unit}, allowed is "
            f"{TOLERANCE:g}; no file is written, so report this dam"
        )
    add_counts({"days": len(indices), "init_date": exported[-1]["day"]["init_date"]})
    model["example"] = {name: exported[-1][name] for name in ("day", "forecast")}
    return Export(dam, model, tuple(exported), difference)


def _days_of_export(samples: Samples, dam: Dam, count: int) -> list[int]:
    """Indices of the last days since the last fit that can be exported, at most `count`."""
    refit = refit_days(samples.dates, first_origin(samples, dam))[-1]
    usable = np.flatnonzero(exportable_days(samples))
    usable = usable[usable >= refit]
    if not len(usable):
        raise _no_forecast(samples, dam)
    return [int(day) for day in usable[-count:]]


def _no_forecast(samples: Samples, dam: Dam) -> DataError:
    refit = refit_days(samples.dates, first_origin(samples, dam))[-1]
    return DataError(
        f"{dam.name} has no forecast with intervals since the last fit on {samples.dates[refit]}, so there is no "
        "example; give an earlier day with --init, or add older readings"
    )


def _changes_of_program(
    samples: Samples, points: Mapping[str, PointForecasts], days: Sequence[int], rows: Rows
) -> dict[int, Array]:
    """Day → quantiles of the forecast change, shape (leads, quantiles), as the forecast has them."""
    changes = quantile_changes(samples, points, [DEFAULT_MODEL], rows=rows)[DEFAULT_MODEL]
    late = samples.since(rows.begin)
    by_lead = [including_suspect_level(changes[:, column], late) for column in range(changes.shape[1])]
    return {day: np.stack([of_lead[day - rows.begin] for of_lead in by_lead]) for day in days}


def _forecast(day: Plain, changes: Array, leads: Sequence[int]) -> list[Plain]:
    """The program's forecast in the form of the readers."""
    level = day["level"]
    return [
        {"lead": lead, "changes": of_lead.tolist(), "levels": (level + of_lead).tolist()}
        for lead, of_lead in zip(leads, changes, strict=True)
    ]


def _difference(model: Plain, day: Plain, learned: Plain, changes: Array) -> float:
    read = np.array([lead["changes"] for lead in plain_forecast(model, day, learned)])
    return float(np.max(np.abs(read - changes)))


def write_export(result: Export, folder: Path) -> list[Path]:
    """Paths of the files in `folder`: the model as JSON and Erlang terms, the readers, and more days if there are any.

    Raises
    ------
    ConfigError
        If the folder cannot be written or has other files.
    """
    check_folder(folder, result.dam)
    contents = {STEM: result.model}
    if len(result.days) > 1:
        contents[DAYS_STEM] = {
            "format": f"{FORMAT}-days", "version": VERSION, "dam": result.dam.id, "days": list(result.days)
        }  # fmt: skip
    with write_all(folder) as files:
        for stem, content in contents.items():
            (files.stage / f"{stem}.json").write_text(json.dumps(content, allow_nan=False, ensure_ascii=False), "utf-8")
            (files.stage / f"{stem}.terms").write_text(f"{erlang_term(content)}.\n", "ascii")
        for name in MODULES:
            reader = resources.files("forebay.forecasts") / "embed" / name
            (files.stage / name).write_bytes(reader.read_bytes())
    for name in set(FILES) - {path.name for path in files.paths}:  # the days of an earlier export have other fits
        (folder / name).unlink(missing_ok=True)
    return files.paths


def check_folder(folder: Path, dam: Dam) -> None:
    """Raise `ConfigError` if a folder has files of something else than an earlier export of the dam."""
    if not folder.is_dir():
        return
    others = sorted(path.name for path in folder.iterdir() if path.name not in FILES and not path.name.startswith("."))
    if others:
        names = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        raise ConfigError(f"folder {str(folder)!r} has other files ({names}); give a new folder with -o DIR")
    try:
        owner = json.loads((folder / f"{STEM}.json").read_text("utf-8"))["dam"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if owner != dam.id:
        raise ConfigError(
            f"folder {str(folder)!r} has the export of {owner}, not of {dam.id}; give a new folder with -o DIR"
        )
