"""The column of dates of a table, and its date format, resolved over the whole column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal

import polars as pl

from forebay.dams.csv_dates import EXCEL, LOCALES, has_clock, parse_stamps
from forebay.draft.vocabulary import name_words

_DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d-%m-%Y", "%d/%m/%Y", "%d.%m.%Y", "%m/%d/%Y", "%m-%d-%Y",
    "%m.%d.%Y",
    "%d-%m-%y", "%d/%m/%y", "%d.%m.%y", "%m/%d/%y", "%m-%d-%y", "%y-%m-%d", "%y/%m/%d", "%y.%m.%d", "%d%m%Y",
    "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d/%b/%Y", "%d/%b/%y", "%d %b %y", "%d%b%Y", "%d. %b %Y", "%Y-%b-%d",
    "%b %d, %Y", "%b %d %Y", "%b-%d-%Y", "%Y %m %d", "%d %m %Y", "%d de %b de %Y", "%Y.%m.%d.", "%Y. %m. %d.",
    "%d.%m.%Y.", "%Y年%m月%d日", "%Y년 %m월 %d일",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S", " %H%M", "%H%M%S", "%H%M", " %I:%M %p", " %I:%M:%S %p",
           " %H", ", %H:%M", " %H.%M")  # fmt: skip
_ZONES = ("", "%z", " %z")
_TEXTS = {
    "Y": r"\d{4}", "y": r"\d\d", "m": r"\d{1,2}", "d": r"\d{1,2}", "b": r"[^\W\d_]{3,12}\.?", "H": r"\d{1,2}",
    "M": r"\d\d", "S": r"\d\d(?:\.\d+)?", "I": r"\d{1,2}", "p": r"[AaPp]\.?[Mm]\.?",
    "z": r"(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)",
}  # fmt: skip
DATE_WORDS = {
    "date", "datetime", "time", "timestamp", "day", "fecha", "data", "datum", "jour", "dia", "giorno", "tag", "dates",
    "tstamp", "obs", "hora", "t",
}  # fmt: skip
_PARTS = {
    "%Y": ["year", "yyyy", "ano", "anno", "annee", "jahr", "yr", "anio"],
    "%m": ["month", "mm", "mon", "mes", "mois", "mese", "monat", "mo"],
    "%d": ["day", "dd", "dia", "jour", "giorno", "tag", "dy"],
}
_CLOCK_WORDS = set(["time", "hour", "hora", "heure", "ora", "zeit", "uhrzeit", "hhmm", "clock"])
_CLOCK_FORMS = ("%H:%M", "%H:%M:%S", "%H%M", "%I:%M %p", "%H")
_REGULAR_SHARE = 0.9
_SAMPLE = 40
_EXCEL_YEARS = (1930, 2100)
_BUDDHIST = (2400, 2700)
_WEEKDAY = re.compile(r"[^\W\d_]{2,12}\.?(,? +)(?=\d|[^\W\d_]{3,9} \d)")


Calendar = Literal["gregorian", "buddhist"]


@dataclass(frozen=True)
class DateFailures:
    """Rows of a table without a date, where most rows have one.

    Attributes
    ----------
    column, form
        Column of the dates, and their format.
    rows
        Positions of the rows.
    first_cells_of_dates
        Cells of the table's first column in the rows with a date.
    """

    column: str
    form: str
    rows: tuple[int, ...]
    first_cells_of_dates: pl.Series


@dataclass(frozen=True)
class DateReading:
    """One reading of the dates of a table.

    Attributes
    ----------
    columns
        Column of the dates, or columns whose texts are joined by a blank.
    form, locale, calendar
        Date format, language of month names and calendar of the years, as in the dam file.
    stamps
        Clock time of each row (UTC instants where the format has %z); null where the cells are empty.
    """

    columns: tuple[str, ...]
    form: str
    locale: str
    stamps: pl.Series
    calendar: Calendar = "gregorian"

    @property
    def has_clock(self) -> bool:
        """Whether the stamps have a time of day."""
        return has_clock(self.form)

    @property
    def is_regular(self) -> bool:
        """Whether most steps between stamps are equal; where no stamp repeats, they also rise or fall throughout."""
        stamps = self.stamps.drop_nulls()
        steps = stamps.unique().sort().diff().drop_nulls()
        if len(steps) < 2:
            return False
        in_order = stamps.diff().drop_nulls()
        is_one_way = bool((in_order > timedelta(0)).all() or (in_order < timedelta(0)).all())
        most_frequent = int(steps.value_counts()["count"].to_numpy().max())
        return (is_one_way or not stamps.is_unique().all()) and most_frequent >= _REGULAR_SHARE * len(steps)


def date_readings(table: pl.DataFrame, now: datetime) -> list[DateReading]:
    """Readings of the columns of dates with which every filled row has a stamp, the likeliest column first.

    Readings of one column that differ are alternatives; a reading with stamps later than tomorrow is left out if
    another one has none.
    """
    readings: list[DateReading] = []
    for columns, texts in _candidates(table):
        calendar = _calendar(texts)
        of_column = [
            DateReading(columns, form, locale, stamps, calendar)
            for form, locale, stamps in _forms(texts, columns, calendar)
        ]
        past = [r for r in of_column if not _is_future(r.stamps, now)]
        readings += past or of_column
    return readings


def date_failures(table: pl.DataFrame, readings: Sequence[DateReading]) -> DateFailures | None:
    """Rows without a date; None without a column of dates, or if every row with numbers has a date.

    Parameters
    ----------
    readings
        `date_readings` of the table.
    """
    if readings:
        reading = readings[0]
        rows = reading.stamps.is_null() & table[table.columns[0]].is_not_null() & _have_numbers(table)
        return _failures(table, reading.columns[0], reading.form, rows)
    for columns, texts in _candidates(table):
        filled = texts.drop_nulls()
        if len(columns) > 1:
            continue
        calendar = _calendar(texts)
        forms = [form for form in _all_forms() if _pattern(form).fullmatch(filled[0])]
        matches = [parse_stamps(texts, form, calendar=calendar).is_not_null() for form in forms]
        best = max(range(len(forms)), key=lambda n: int(matches[n].sum()), default=None)
        if best is not None and 0.4 * len(filled) < int(matches[best].sum()) < len(filled):
            return _failures(table, columns[0], forms[best], ~matches[best] & texts.is_not_null())
    return None


def _failures(table: pl.DataFrame, column: str, form: str, rows: pl.Series) -> DateFailures | None:
    first = table[table.columns[0]]
    return DateFailures(column, form, tuple(rows.arg_true()), first.filter(~rows).drop_nulls()) if rows.any() else None


def _have_numbers(table: pl.DataFrame) -> pl.Series:
    """Whether a row has a number in any cell."""
    return table.select(pl.any_horizontal(pl.all().str.contains(r"^[+-]?[\d.,']*\d$").fill_null(False))).to_series()


def _calendar(texts: pl.Series) -> Calendar:
    """Calendar of the years: Buddhist if nearly all numbers of four digits are its years."""
    years = texts.drop_nulls().unique().str.extract(r"(?:^|\D)(\d{4})(?:\D|$)").drop_nulls().cast(pl.Int64)
    is_buddhist = len(years) > 0 and years.is_between(*_BUDDHIST).mean() >= _REGULAR_SHARE  # type: ignore[operator]
    return "buddhist" if is_buddhist else "gregorian"


def with_clock_column(table: pl.DataFrame, day: DateReading) -> DateReading | None:
    """The reading of a table whose time of day has a column of its own; None if there is no such column."""
    for name in table.columns:
        if name in day.columns or not _CLOCK_WORDS & set(name_words(name)):
            continue
        texts = table[name].drop_nulls().unique()
        for form in _CLOCK_FORMS:
            if len(texts) and _pattern(form).fullmatch(texts[0]) and texts.str.contains(f"^{_regex(form)}$").all():
                joined = table.select(pl.concat_str(*day.columns, name, separator=" ")).to_series()
                stamps = parse_stamps(joined, f"{day.form} {form}", locale=day.locale, calendar=day.calendar)
                if stamps.null_count() == joined.null_count():
                    return DateReading((*day.columns, name), f"{day.form} {form}", day.locale, stamps, day.calendar)
    return None


def _candidates(table: pl.DataFrame) -> Iterator[tuple[tuple[str, ...], pl.Series]]:
    """Columns that may be dates with their texts: by name first, then the others; then year, month and day."""
    by_name = sorted(table.columns, key=lambda name: not DATE_WORDS & set(name_words(name)))
    for name in by_name:
        if table[name].null_count() < len(table):
            yield (name,), table[name]
    parts = [_part_column(table, words) for words in _PARTS.values()]
    if all(part is not None for part in parts):
        columns = tuple(part for part in parts if part is not None)
        yield columns, table.select(pl.concat_str(*columns, separator=" ")).to_series()


def _part_column(table: pl.DataFrame, words: Sequence[str]) -> str | None:
    """The one column whose name is one of these words."""
    names = [name for name in table.columns if len(own := name_words(name)) == 1 and own[0] in words]
    return names[0] if len(names) == 1 else None


def _forms(texts: pl.Series, columns: tuple[str, ...], calendar: Calendar) -> Iterator[tuple[str, str, pl.Series]]:
    """Format, locale and stamps of each format that reads all texts, without those that give the same stamps."""
    if len(columns) > 1:
        yield from _fitting(texts, [f"{' '.join(_PARTS)}"], calendar)
        return
    readings = list(_fitting(texts, _all_forms(), calendar))
    if not readings and (weekday := _WEEKDAY.match(texts.drop_nulls()[0])):
        dates = texts.str.replace(rf"^[^\W\d_]+\.?{weekday[1]}", "")
        fitting = _fitting(dates, _all_forms(), calendar)
        readings = [(f"%a{weekday[1]}{form}", locale, stamps) for form, locale, stamps in fitting]
    yield from readings
    if not readings and DATE_WORDS & set(name_words(columns[0])):
        stamps = parse_stamps(texts, EXCEL)
        is_usual = stamps.drop_nulls().dt.year().is_between(*_EXCEL_YEARS).all()
        if stamps.null_count() == texts.null_count() and is_usual:
            yield EXCEL, "en", stamps


def _fitting(texts: pl.Series, forms: Sequence[str], calendar: Calendar) -> Iterator[tuple[str, str, pl.Series]]:
    """Format, locale and stamps of each of these formats that reads all texts, without repeated stamps."""
    filled = texts.drop_nulls().unique(maintain_order=True)
    readings: list[pl.Series] = []
    sample = filled[:_SAMPLE]
    for form in forms:
        if not all(_pattern(form).fullmatch(text) for text in sample):
            continue
        if not filled.str.contains(f"^(?:{_regex(form)})$").all():
            continue
        for locale in LOCALES if "%b" in form else ("en",):
            if parse_stamps(sample, form, locale=locale, calendar=calendar).null_count():
                continue
            stamps = parse_stamps(texts, form, locale=locale, calendar=calendar)
            if stamps.null_count() == texts.null_count() and not any(stamps.equals(known) for known in readings):
                readings.append(stamps)
                yield form, locale, stamps


@lru_cache(maxsize=1)
def _all_forms() -> list[str]:
    """Every date format that is tried."""
    return [
        f"{day}{clock}{zone}" for day in _DAYS for clock in _CLOCKS for zone in (_ZONES if clock else ("",))
        if not (clock in ("%H%M", "%H%M%S") and day != "%Y%m%d")
    ]  # fmt: skip


def _regex(form: str) -> str:
    """Pattern of the texts of a format; without marks between them, month and day have two digits."""
    is_dense = re.search(r"%\w%\w", form) is not None
    parts = re.split(r"%(\w)", form)
    texts = [
        re.escape(part) if n % 2 == 0 else (r"\d\d" if is_dense and part in "mdH" else _TEXTS[part])
        for n, part in enumerate(parts)
    ]
    return "".join(texts)


@lru_cache(maxsize=2048)
def _pattern(form: str) -> re.Pattern[str]:
    return re.compile(_regex(form))


def _is_future(stamps: pl.Series, now: datetime) -> bool:
    """Whether most stamps, or the last one of a reading, lie after tomorrow."""
    limit = now.replace(tzinfo=None) + timedelta(days=1)
    latest = stamps.max()
    assert isinstance(latest, datetime)
    return latest.replace(tzinfo=None) > limit
