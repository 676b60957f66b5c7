"""Draft of a dam file from a user's tables."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from forebay.dams.fields import check_id
from forebay.dams.variables import VARIABLES
from forebay.draft.answers import Answers, Question
from forebay.draft.balance import computed_inflows
from forebay.draft.dam_text import TomlTable, dam_text
from forebay.draft.gauges import IGNORED, GaugeDraft, draft_gauges
from forebay.draft.numbers import Marks, number_texts
from forebay.draft.tables import UserTable, read_cells, user_table
from forebay.draft.times import stamp_offset
from forebay.draft.dates import date_readings
from forebay.draft.vocabulary import name_words, unit_of_name, variable_of_name
from forebay.errors import ConfigError

_KIND_WORDS = {"dam", "lake", "reservoir", "the", "embalse", "presa", "lac", "lago", "barrage", "system"}
_FORECAST_WORDS = {"issue", "issued", "issuance", "lead", "init", "horizon"}
LEFT_OUT = "leave out"
WITHOUT_FULL_SUPPLY = (
    "without it, there is no chance of reaching full supply, no score near full supply and no percentage of full storage"
)


@dataclass(frozen=True)
class CurveDraft:
    """A storage curve's file, with the columns of level and storage and their units."""

    path: str
    keys: dict[str, object]
    level_unit: str
    storage_unit: str


@dataclass(frozen=True)
class DamDraft:
    """A draft of a dam file: its text, its gauges and the decisions behind it."""

    id: str
    text: str
    gauges: tuple[GaugeDraft, ...]
    answers: Answers


def draft_dam(dam_id: str, paths: Sequence[str], answers: Answers, *, folder: Path, now: datetime) -> DamDraft:
    """Draft of the dam file of `dam_id` from CSV files.

    Parameters
    ----------
    paths
        Files with readings, and files with a storage curve.
    folder
        Folder of the dam file: the paths in it are relative to this folder.
    now
        The current time: a date after tomorrow is no reading.

    Raises
    ------
    ConfigError, SourceError
        If a file cannot be read as a table, or a question has no answer.
    """
    try:
        check_id(dam_id)
    except ValueError as error:
        raise ConfigError(f"dam {error}") from None
    name = answers.decide(Question("name", "Name of the dam", {}, dam_id.replace("_", " ").replace("-", " ").title()))
    words = [word for word in name_words(f"{dam_id} {name}") if word not in _KIND_WORDS]
    tables, curves = _read_files(paths, answers, now, list(dict.fromkeys(words)))
    if not tables:
        raise ConfigError("no file has readings by date; give a CSV file with a column of dates and a column of levels")
    gauges = _without_computed_inflows(draft_gauges(tables, answers), answers)
    place = _place(tables, answers)
    target = gauges[0]
    full_supply = _full_supply(_target_unit(target), answers)
    top: dict[str, object] = {"id": dam_id, "name": name, **place}
    comments = {d.key: d.reason for d in answers.decisions if d.key in place}
    if full_supply is not None:
        top["full_supply"] = full_supply
    else:
        comments["full_supply"] = f"full_supply is not known: {WITHOUT_FULL_SUPPLY}"
    unit = _target_unit(target)
    datum = f"{unit}, as published in {Path(target.series.table.path).name}"
    sections = [
        TomlTable("", top, comments),
        TomlTable("[target]", {"variable": target.variable, "unit": unit, "datum": datum}),
        *(_curve_table(curve, folder) for curve in curves),
        *(_gauge_table(gauge, gauges, answers, folder) for gauge in gauges),
    ]
    answers.check_settings()
    head = [f"Draft by `forebay new` on {now:%Y-%m-%d}. Every key: docs/dam_file.md. Check the lines with a comment."]
    return DamDraft(dam_id, dam_text(sections, head), tuple(gauges), answers)


def _read_files(
    paths: Sequence[str], answers: Answers, now: datetime, words: Sequence[str]
) -> tuple[list[UserTable], list[CurveDraft]]:
    """Tables of readings, and storage curves, of the files."""
    tables, curves = [], []
    for path in paths:
        form, cells = read_cells(path)
        forecast = next((name for name in cells.columns if _FORECAST_WORDS & set(name_words(name))), None)
        if forecast is not None:
            raise ConfigError(
                f"{path} has forecasts, by its column {forecast!r}, not readings; describe it under [[forcings]] in the "
                "dam file (docs/dam_file.md), and leave it out here"
            )
        curve = _curve(path, form.keys(), cells, answers, now)
        if curve is not None:
            curves.append(curve)
        else:
            tables.append(user_table(path, answers, now, words))
    return tables, curves


def _curve(
    path: str, keys: dict[str, object], cells: pl.DataFrame, answers: Answers, now: datetime
) -> CurveDraft | None:
    """The storage curve in a table without dates; None if it is none."""
    if date_readings(cells, now):
        return None
    numbers = {name: texts for name in cells.columns if (texts := number_texts(cells[name])) is not None}
    levels = [name for name in numbers if variable_of_name(name) == "reservoir_level"]
    storages = [name for name in numbers if _is_storage(name)]
    if len(levels) != 1 or len(storages) != 1:
        return None
    stem = Path(path).stem
    answers.note(f"{stem}:curve", f"{levels[0]} → {storages[0]}", "no dates; a column of levels and one of storages")
    units = [
        answers.decide(
            Question(f"{stem}:{name}.unit", f"Which unit has {name!r} of the storage curve {path}", dict.fromkeys(VARIABLES[v].units, "")),
            unit_of_name(name, v) or _unit_as_name(name, v),
            "its name",
        )
        for name, v in ((levels[0], "reservoir_level"), (storages[0], "storage"))
    ]
    marks = {m for name in (levels[0], storages[0]) for m in list(numbers[name].readings)[:1]}
    if Marks(decimal_comma=True) in {replace(m, thousands=None) for m in marks}:
        keys = keys | {"decimal_comma": True}
    columns: dict[str, object] = {"level": levels[0], "storage": storages[0]}
    allowed = {k: v for k, v in keys.items() if k in ("separator", "encoding", "decimal_comma", "header_line", "units_line", "comment")}
    return CurveDraft(path, {**columns, **allowed}, units[0], units[1])


def _is_storage(name: str) -> bool:
    return variable_of_name(name) == "storage" or "capacity" in name_words(name) or _unit_as_name(name, "storage") is not None


def _unit_as_name(name: str, variable: str) -> str | None:
    """Unit of a column that is named by its unit only, such as "Acre-Ft"."""
    from forebay.draft.vocabulary import unit_of_text

    return unit_of_text(name, variable)


def _without_computed_inflows(gauges: Sequence[GaugeDraft], answers: Answers) -> list[GaugeDraft]:
    """The gauges without inflows that are computed from the storage, the storage as of the end of its day."""
    kept = list(gauges)
    for balance in computed_inflows(gauges):
        if balance.inflow in kept:
            kept.remove(balance.inflow)
        day = "the next line" if balance.is_next_day else "the line"
        answers.note(
            f"{balance.inflow.series.key}.variable", IGNORED, f"the change of storage to {day} plus the release: it adds nothing"
        )
        if balance.is_next_day:
            kept = [replace(g, stamp="end") if g.series.key == balance.storage.series.key else g for g in kept]
            answers.note(
                f"{balance.storage.series.key}.stamp", "end",
                "inflow and release of a line give the change to the next line: it is the storage at the start of the day",
            )
    return [gauge for gauge in kept if not gauge.is_ignored]


def _place(tables: Sequence[UserTable], answers: Answers) -> dict[str, object]:
    """Keys on the place: country, coordinates, time zone."""
    country = answers.decide(Question("country", "Country of the dam", {}, "unknown"))
    place: dict[str, object] = {"country": country}
    for key, limit in (("latitude", 90), ("longitude", 180)):
        text = answers.decide(
            Question(key, f"{key.title()} of the dam in degrees, south and west negative, or '{LEFT_OUT}'", {}, LEFT_OUT),
            reason="not known; maps and searches for stations need it",
        )
        if text != LEFT_OUT:
            place[key] = _number(key, text, limit)
    offsets = {offset for table in tables if (offset := stamp_offset(table)) is not None}
    has_instants = any("%z" in table.dates.form for table in tables)
    text = "Time zone of the dam, such as +10:00 or America/Chicago"
    default = None if has_instants else "+00:00"
    question = Question("time_zone", text + (": the days of these stamps depend on it" if has_instants else ""), {}, default)
    conclusion = offsets.pop() if len(offsets) == 1 else None
    place["time_zone"] = answers.decide(
        question, conclusion, "the stamps carry it" if conclusion else "not known: the stamps are taken as clock times of the dam"
    )
    return place


def _number(key: str, text: str, limit: float | None = None) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ConfigError(f"{key} = {text!r} is not a number; give one like -33.9, with a point") from None
    if limit is not None and not -limit <= number <= limit:
        raise ConfigError(f"{key} = {text!r} is not possible; allowed are -{limit} to {limit}")
    return number


def _target_unit(target: GaugeDraft) -> str:
    """Unit of the forecasts: that of the gauge; million m³ in place of m³ where the storage is that large."""
    median = target.daily["value"].median()
    is_large = target.unit == "m3" and isinstance(median, float) and median >= 1000
    return "hm3" if is_large else target.unit


def _full_supply(unit: str, answers: Answers) -> float | None:
    """Full supply level in the target's unit; None if it is not known."""
    question = Question(
        "full_supply", f"Full supply level (or storage) in {unit}, or '{LEFT_OUT}'; {WITHOUT_FULL_SUPPLY}", {}, LEFT_OUT
    )
    text = answers.decide(question, reason="never estimated")
    return None if text == LEFT_OUT else _number("full_supply", text)


def _curve_table(curve: CurveDraft, folder: Path) -> TomlTable:
    file = {"path": _relative(curve.path, folder), **curve.keys}
    return TomlTable("[[storage_curves]]", {"level_unit": curve.level_unit, "storage_unit": curve.storage_unit, "file": file},
                     {"survey_date": "survey_date is not known: add it, such as survey_date = 2011-05-31"})  # fmt: skip


def _gauge_table(gauge: GaugeDraft, gauges: Sequence[GaugeDraft], answers: Answers, folder: Path) -> TomlTable:
    """Table of a gauge with its file."""
    series = gauge.series
    station = _station(series.name)
    if sum(_station(g.series.name) == station and g.variable == gauge.variable for g in gauges) > 1:
        station = f"{series.table.stem} {station}"
    keys: dict[str, object] = {"role": gauge.role, "source": "csv", "station": station, "variable": gauge.variable, "unit": gauge.unit}
    keys |= gauge.times.keys(VARIABLES[gauge.variable].aggregate)
    if gauge.stamp is not None:
        keys["stamp"] = gauge.stamp
    if gauge.is_accumulated:
        keys["reading"] = "accumulated"
    keys["file"] = _file_keys(gauge, folder)
    reasons = {d.key: d.reason for d in answers.decisions}
    comments = {
        name: reasons[key]
        for name, key in (("unit", f"{series.key}.unit"), ("reading", f"{series.key}.reading"),
                          ("stamp", f"{series.key}.stamp"), ("variable", f"{series.key}.variable"))
        if key in reasons and name in keys
    }  # fmt: skip
    return TomlTable("[[gauges]]", keys, comments)


def _station(name: str) -> str:
    return re.sub(r"\s+", " ", name).strip() or "value"


def _file_keys(gauge: GaugeDraft, folder: Path) -> dict[str, object]:
    """The table `file` of a gauge."""
    series, table = gauge.series, gauge.series.table
    columns = table.dates.columns
    file: dict[str, object] = {
        "path": _relative(table.path, folder),
        "date": columns[0] if len(columns) == 1 else list(columns),
        "value": series.column,
        **table.form.keys(),
    }
    if table.dates.form != "%Y-%m-%d":
        file["date_format"] = table.dates.form
    if table.dates.locale != "en":
        file["locale"] = table.dates.locale
    if gauge.marks.decimal_comma:
        file["decimal_comma"] = True
    if gauge.marks.thousands is not None:
        file["thousands"] = gauge.marks.thousands
    if series.numbers.unit_suffix is not None:
        file["unit_suffix"] = series.numbers.unit_suffix
    if series.numbers.no_value:
        file["no_value"] = list(series.numbers.no_value)
    if gauge.quality is not None:
        file["quality"] = gauge.quality
    if gauge.quality_codes is not None:
        file["quality_codes"] = gauge.quality_codes
    where = table.line_texts | series.line_texts
    if where:
        file["where"] = where
    return file


def _relative(path: str, folder: Path) -> str:
    """Path of a file relative to the dam file's folder, with slashes."""
    return Path(os.path.relpath(Path(path).resolve(), folder.resolve())).as_posix()
