"""Draft of a dam file from a user's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from forebay.dams.fields import check_id
from forebay.draft.answers import Answers, Question
from forebay.draft.balance import computed_inflows
from forebay.draft.cells import read_cells
from forebay.draft.curve import CurveDraft, draft_curve
from forebay.draft.dam_text import TomlTable, dam_text
from forebay.draft.gauge_keys import curve_table, gauge_table
from forebay.draft.gauges import IGNORED, GaugeDraft, draft_gauges
from forebay.draft.periods import check_stems, join_periods
from forebay.draft.reading_time import MIN_DIFFERENCE, rain_correlations
from forebay.draft.tables import UserTable, own_words, user_table
from forebay.draft.times import stamp_offset
from forebay.draft.vocabulary import name_words
from forebay.errors import ConfigError

LEFT_OUT = "leave out"
"""Answer to a question whose key of the dam file is optional."""
WITHOUT_FULL_SUPPLY = (
    "without it, there is no chance of reaching full supply, no score near it and no percentage of full storage"
)
_FORECAST_WORDS = {"issue", "issued", "issuance", "lead", "init", "horizon"}
_WHOLE_DAY = "day"


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
    words = own_words(f"{dam_id} {name}")
    tables, curves = _read_files(paths, answers, now, list(dict.fromkeys(words)))
    if not tables:
        raise ConfigError("no file has readings by date; give a CSV file with a column of dates and a column of levels")
    gauges = _without_computed_inflows(draft_gauges(tables, answers), answers)
    gauges[0] = _with_reading_time(gauges[0], gauges, answers)
    target = gauges[0]
    unit = _target_unit(target)
    datum = f"{unit}, as published in {Path(target.series.table.path).name}"
    sections = [
        top_table({"id": dam_id, "name": name, **_place(tables, answers)}, full_supply_answer(unit, answers), answers),
        TomlTable("[target]", {"variable": target.variable, "unit": unit, "datum": datum}),
        *(curve_table(curve, folder) for curve in curves),
        *(gauge_table(gauge, gauges, answers, folder) for gauge in gauges),
    ]
    answers.check_settings()
    head = [f"Draft by `forebay new` on {now:%Y-%m-%d}: check every line with a comment. Keys: docs/dam_file.md."]
    return DamDraft(dam_id, dam_text(sections, head), tuple(gauges), answers)


def top_table(keys: Mapping[str, object], full_supply: float | None, answers: Answers) -> TomlTable:
    """Keys of the dam itself."""
    comments = {decision.key: decision.reason for decision in answers.decisions if decision.key in keys}
    if full_supply is not None:
        return TomlTable("", {**keys, "full_supply": full_supply}, comments)
    comments["full_supply"] = f"full_supply is not known: {WITHOUT_FULL_SUPPLY}"
    return TomlTable("", keys, comments)


def _read_files(
    paths: Sequence[str], answers: Answers, now: datetime, words: Sequence[str]
) -> tuple[list[UserTable], list[CurveDraft]]:
    """Tables of readings, and storage curves, of the files."""
    check_stems(paths)
    tables, curves = [], []
    for path in paths:
        file = read_cells(path, answers, now)
        forecast = next((name for name in file.cells.columns if _FORECAST_WORDS & set(name_words(name))), None)
        if forecast is not None:
            raise ConfigError(
                f"{path} has forecasts, by its column {forecast!r}, not readings; describe it under [[forcings]] in "
                "the dam file (docs/dam_file.md), and leave it out here"
            )
        curve = None if file.readings else draft_curve(path, file.form.keys(), file.cells, answers)
        if curve is not None:
            curves.append(curve)
        else:
            tables.append(user_table(file, answers, words))
    return join_periods(tables, answers), curves


def _without_computed_inflows(gauges: Sequence[GaugeDraft], answers: Answers) -> list[GaugeDraft]:
    """The gauges without inflows that are computed from the storage, and the storage as of the end of its day."""
    rest = list(gauges)
    for balance in computed_inflows(gauges):
        if balance.inflow in rest:
            rest.remove(balance.inflow)
        line = "the next line" if balance.is_next_day else "the line"
        reason = f"the change of storage to {line} plus the release: it adds nothing"
        answers.note(f"{balance.inflow.series.key}.variable", IGNORED, reason)
        if balance.is_next_day:
            key = balance.storage.series.key
            rest = [replace(gauge, stamp="end") if gauge.series.key == key else gauge for gauge in rest]
            reason = "inflow and release of a line give the change to the next line: it is that at the start of the day"
            answers.note(f"{key}.stamp", "end", reason)
    return [gauge for gauge in rest if not gauge.is_ignored]


def _with_reading_time(target: GaugeDraft, gauges: Sequence[GaugeDraft], answers: Answers) -> GaugeDraft:
    """The target with the clock time of its readings; asks where the rain shows that it is read early in the day."""
    if target.times.interval != "day" or target.times.is_instantaneous or target.times.clock or target.stamp:
        return target
    key = f"{target.series.key}.reading_at"
    options = f"a clock time such as 08:00, or '{_WHOLE_DAY}' for a value of the whole day"
    correlations = rain_correlations(target, gauges)
    is_early = correlations is not None and correlations[1] > correlations[0] + MIN_DIFFERENCE
    if correlations is not None and is_early:
        evidence = f"rain goes with the change to the next day ({correlations[1]:.2f}) more than to its own"
        evidence += f" ({correlations[0]:.2f})"
        question = Question(key, f"When is {target.series.name!r} read: {evidence}; {options}", {}, _WHOLE_DAY)
        clock = answers.decide(question, reason=f"{evidence}, so it may be read early in the day")
    else:
        clock = answers.decide(Question(key, "", {}), _WHOLE_DAY, "dates without a time of day")
    if clock == _WHOLE_DAY:
        return target
    try:
        datetime.strptime(clock, "%H:%M")
    except ValueError:
        raise ConfigError(f"{key} = {clock!r} is not possible; give {options}") from None
    return replace(target, reading_at=clock)


def _place(tables: Sequence[UserTable], answers: Answers) -> dict[str, object]:
    """Keys on the place: country, coordinates, time zone."""
    place: dict[str, object] = {"country": answers.decide(Question("country", "Country of the dam", {}, "unknown"))}
    for key, limit in (("latitude", 90), ("longitude", 180)):
        text = f"{key.title()} of the dam in degrees, south and west negative, or '{LEFT_OUT}'"
        answer = answers.decide(Question(key, text, {}, LEFT_OUT), reason="not known; searches for stations use it")
        if answer != LEFT_OUT:
            place[key] = _number(key, answer, limit)
    offsets = {offset for table in tables if (offset := stamp_offset(table)) is not None}
    has_instants = any("%z" in table.dates.form for table in tables)
    suffix = "; the days of these stamps depend on it" if has_instants else ""
    text = f"Time zone of the dam, such as +10:00 or America/Chicago{suffix}"
    question = Question("time_zone", text, {}, None if has_instants else "+00:00")
    conclusion = offsets.pop() if len(offsets) == 1 else None
    reason = "the stamps carry it" if conclusion else "not known; the stamps are taken as clock times of the dam"
    place["time_zone"] = answers.decide(question, conclusion, reason)
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


def full_supply_answer(unit: str, answers: Answers) -> float | None:
    """Full supply level in the target's unit; None if it is not known. It is never estimated."""
    text = f"Full supply level (or storage) in {unit}, or '{LEFT_OUT}'; {WITHOUT_FULL_SUPPLY}"
    answer = answers.decide(Question("full_supply", text, {}, LEFT_OUT), reason="never estimated")
    return None if answer == LEFT_OUT else _number("full_supply", answer)
