"""Gauges of a draft: which columns are readings of what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.variables import TARGETS, VARIABLES
from forebay.draft.answers import Answers, Question
from forebay.draft.roles import ROLES
from forebay.draft.series import Series, all_series, decide_marks
from forebay.draft.times import TableTimes, are_accumulated, table_times
from forebay.draft.unit_names import unit_of_name
from forebay.draft.units import decide_unit, foreign_unit, states_unit
from forebay.draft.vocabulary import QUALITY_WORDS, name_words, reason_not_read, variable_of_name
from forebay.errors import ConfigError, SourceError
from forebay.services import services_with_quality_codes

if TYPE_CHECKING:
    from forebay.draft.numbers import Marks
    from forebay.draft.tables import UserTable

IGNORED = "ignore"
_PLACE_WORDS = {"lat", "lon", "latitude", "longitude", "id", "index", "site", "number", "area", "year", "month", "day"}
_MAX_CODES = 12
_MISSING = "missing="


@dataclass(frozen=True)
class GaugeDraft:
    """A gauge of the dam file; with `is_ignored` only evidence of how the storage is stamped."""

    series: Series
    role: str
    variable: str
    unit: str
    marks: Marks
    times: TableTimes
    quality: str | None = None
    quality_codes: str | None = None
    missing_codes: tuple[str, ...] = ()
    is_accumulated: bool = False
    stamp: str | None = None
    reading_at: str | None = None
    is_ignored: bool = False

    @property
    def daily(self) -> pl.DataFrame:
        """date, value (canonical unit): the first value of each stamp's day."""
        days = self.series.rows["\0stamp"].sort().dt.date()
        values = VARIABLES[self.variable].to_canonical(self.series.values(self.marks), self.unit)
        return pl.DataFrame({"date": days, "value": values}).unique("date", keep="first").sort("date")


def draft_gauges(tables: Sequence[UserTable], answers: Answers) -> list[GaugeDraft]:
    """Gauges of the tables, the target first; asks what names and values do not tell.

    Inflows that are no readings by their names follow with `is_ignored`.

    Raises
    ------
    ConfigError
        If a question has no answer.
    """
    series = all_series(tables)
    quality = {one.key: column for one in series if (column := _quality_column(one)) is not None}
    codes = {(one.table.path, quality[one.key]) for one in series if one.key in quality}
    readings = [one for one in series if (one.table.path, one.column) not in codes]
    variables = {one.key: _variable(one, answers) for one in readings}
    target = _target(readings, variables, answers)
    times = {table.path: table_times(table, answers) for table in tables}
    gauges = [_target_gauge(target, variables[target.key], answers, times[target.table.path])]
    earlier: dict[tuple[str, str], str] = {}
    levels = [key for key, variable in variables.items() if variable == "reservoir_level"]
    for one in readings:
        if one is not target:
            is_pair = gauges[0].variable == "storage" and levels == [one.key]
            own_times = times[one.table.path]
            gauges += _drivers(one, variables[one.key], answers, times=own_times, earlier=earlier, is_pair=is_pair)
    services: dict[str, str] = {}
    return [_with_quality(gauge, quality.get(gauge.series.key), answers, services) for gauge in gauges]


def _variable(one: Series, answers: Answers) -> str:
    """Variable of a series, or `IGNORED`."""
    question = Question(
        f"{one.key}.variable",
        f"What does {one.name!r} measure ({one.span})",
        {IGNORED: "no reading for the forecast"} | {name: VARIABLES[name].title for name in VARIABLES},
        IGNORED,
    )
    if (reason := _reason_ignored(one)) is not None:
        return answers.decide(question, IGNORED, reason)
    variable = variable_of_name(one.name)
    if variable is not None:
        return answers.decide(question, variable, "its name")
    if _is_only_reading(one) and (of_text := _variable_of_texts(one)) is not None:
        return answers.decide(question, of_text[0], f"the column {of_text[1]!r}")
    return answers.decide(question, None, "its name states no variable")


def _is_only_reading(one: Series) -> bool:
    """Whether no other column of its table may be a reading."""
    columns = (one._replace(column=name, name=name, numbers=texts) for name, texts in one.table.numbers.items())
    return all(column.name == one.name or _reason_ignored(column) is not None for column in columns)


def _variable_of_texts(one: Series) -> tuple[str, str] | None:
    """Variable that a column of one text names, and that column; None if there is no such column."""
    for name in one.table.cells.columns:
        texts = one.rows[name].drop_nulls().unique()
        if len(texts) == 1 and name not in one.table.dates.columns and (variable := variable_of_name(texts[0])):
            return variable, name
    return None


def _reason_ignored(one: Series) -> str | None:
    """Why a series is no reading: by its name, or because its number never changes."""
    if (reason := reason_not_read(one.name)) is not None:
        return reason
    numbers = one.values(one.first_marks).drop_nulls()
    if numbers.n_unique() <= 1:
        return f"the same number on every line ({numbers[0]:g})" if len(numbers) else "no number"
    if set(name_words(one.name)) & _PLACE_WORDS and variable_of_name(one.name) is None:
        return "a place, an id or a part of a date by its name"
    return None


def _target(readings: Sequence[Series], variables: Mapping[str, str], answers: Answers) -> Series:
    """The series to forecast: the only level, storage or percentage, in this order, or the answer to a question."""
    by_key = {one.key: one for one in readings}
    by_variable = ([key for key in by_key if variables[key] == variable] for variable in TARGETS)
    named: list[str] = next(filter(None, by_variable), [])
    unnamed = [key for key in by_key if variables[key] == IGNORED and _reason_ignored(by_key[key]) is None]
    options = {key: by_key[key].span for key in named or unnamed or by_key}
    if not options:
        raise SourceError("the files have no column of numbers that could be a level or a storage; add one with --csv")
    if answers.settings.get("target") in by_key:
        options = {key: one.span for key, one in by_key.items()}
    question = Question("target", "Which column is the level (or storage) to forecast", options)
    conclusion = named[0] if len(named) == 1 else None
    return by_key[answers.decide(question, conclusion, "the only column of this kind by its name")]


def _target_gauge(one: Series, variable: str, answers: Answers, times: TableTimes) -> GaugeDraft:
    """Gauge of the target. "Level" without a unit may be a level, a storage or a percentage: the unit decides."""
    marks = decide_marks(one, answers)
    is_percent = one.numbers.unit_suffix == "%"
    is_bare = variable in TARGETS and not states_unit(one, variable)
    is_open = variable not in TARGETS or (is_bare and (variable == "reservoir_level" or is_percent))
    is_stated = f"{one.key}.variable" in answers.settings
    variables = TARGETS if is_open and not (is_stated and variable in TARGETS) else (variable,)
    unit = decide_unit(one, variables, one.values(marks), answers)
    variable = next(name for name in variables if unit in VARIABLES[name].units)
    return GaugeDraft(one, "target", variable, unit, marks, times)


def _drivers(
    one: Series,
    variable: str,
    answers: Answers,
    *,
    times: TableTimes,
    earlier: dict[tuple[str, str], str],
    is_pair: bool = False,
) -> list[GaugeDraft]:
    """The gauge of a driver; none if the series is ignored.

    With `is_pair`, a level is that of the lake whose storage is the target. `earlier` has the unit of each path and
    variable that an earlier column did not state, and is extended.
    """
    key = f"{one.key}.variable"
    if variable == IGNORED:
        net = _net_inflow(one, times)
        return [] if net is None else [net]
    if variable == "reservoir_level" and not is_pair:
        answers.note(key, IGNORED, "a level besides the target")
        return []
    foreign = foreign_unit(one, variable)
    if foreign is not None and f"{one.key}.unit" not in answers.settings:
        answers.note(key, IGNORED, f"its unit, {foreign}, is none of {variable}'s")
        return []
    marks = decide_marks(one, answers)
    values = one.values(marks)
    place = (one.table.path, variable)
    unit = decide_unit(one, [variable], values, answers, earlier=earlier.get(place))
    if not states_unit(one, variable):
        earlier[place] = unit
    is_accumulated = VARIABLES[variable].aggregate == "total" and are_accumulated(values)
    if is_accumulated:
        answers.note(f"{one.key}.reading", "accumulated", "it never falls but to zero: a total since a reset")
    return [GaugeDraft(one, ROLES[variable], variable, unit, marks, times, is_accumulated=is_accumulated)]


def _net_inflow(one: Series, times: TableTimes) -> GaugeDraft | None:
    """An ignored inflow, which may show how the storage is stamped; None if it is none, or its unit is unknown."""
    unit = unit_of_name(one.name, "inflow")
    if variable_of_name(one.name) != "inflow" or unit is None or len(one.numbers.readings) != 1:
        return None
    return GaugeDraft(one, "inflow", "inflow", unit, one.first_marks, times, is_ignored=True)


def _quality_column(one: Series) -> str | None:
    """The column of quality codes of a series, by its name: q, q_NAME, NAME_cd, NAME quality; None if there is none."""
    own = name_words(one.column)
    if set(own) & QUALITY_WORDS:
        return None
    stem = own[1:] if own[:1] == ["v"] else own
    general = []
    for name in one.table.cells.columns:
        words = name_words(name)
        if name != one.column and set(words) & QUALITY_WORDS:
            rest = [word for word in words if word not in QUALITY_WORDS and word != "data"]
            if rest == stem and rest:
                return name
            general += [name] if not rest else []
    return general[0] if len(general) == 1 else None


def _with_quality(gauge: GaugeDraft, column: str | None, answers: Answers, services: dict[str, str]) -> GaugeDraft:
    """The gauge with its column of quality codes; asks which service's codes they are, once per file (`services`)."""
    if column is None or gauge.is_ignored or gauge.series.rows[column].n_unique() <= 1:
        return gauge
    codes = gauge.series.rows[column].drop_nulls().unique().sort().to_list()
    question = Question(
        f"{gauge.series.key}.quality_codes",
        f"What do the quality codes in {column!r} mean ({', '.join(codes[:_MAX_CODES])}): "
        "'none' (they are stored and change no value), a service whose codes they are "
        f"({', '.join(services_with_quality_codes())}), "
        f"or the codes that mean no-data, such as '{_MISSING}N,e'",
    )
    path = gauge.series.table.path
    answer = answers.decide(question, services.get(path), "as another column of the file")
    services[path] = answer
    if answer.startswith(_MISSING):
        missing = tuple(code.strip() for code in answer.removeprefix(_MISSING).split(","))
        return replace(gauge, quality=column, missing_codes=missing)
    if answer != "none" and answer not in services_with_quality_codes():
        raise ConfigError(f"{question.key} = {answer!r} is not possible. {question.text}")
    return replace(gauge, quality=column, quality_codes=None if answer == "none" else answer)
