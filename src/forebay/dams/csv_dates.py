"""Dates and times in CSV files: formats, month names, 24:00, spreadsheet day numbers, offsets."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Literal

import polars as pl

EARLIEST, LATEST = date(1700, 1, 1), date(2199, 12, 31)
"""Range of dates that are accepted."""
EXCEL = "excel"
"""Date format of spreadsheet day numbers: days since 1899-12-30, with the time of day as a fraction."""
_EXCEL_START = datetime(1899, 12, 30)
_DIRECTIVE = re.compile(r"%(.)", re.DOTALL)
_ALLOWED_DIRECTIVES = "YmdHMSyjbBeIpzTRFaA"
_LONG = {"%T": "%H:%M:%S", "%R": "%H:%M", "%F": "%Y-%m-%d"}
_WEEKDAY = re.compile(r"%[aA]")
_WEEKDAY_NAME = r"^[^\W\d_]+\.?"
BUDDHIST_YEARS = 543
"""Difference of the years of the Buddhist calendar, as in Thailand, from those of the Gregorian one."""
_LITERAL_ZONE = re.compile(r"(?:Z|UTC|GMT|[+-]\d\d:?\d\d)\s*$")
_ZONE_NAME = r"(\d)\s*(?:UTC|GMT|z)$"
_WORD = re.compile(r"[^\s\d/,;:_-]+")  # with the points of Thai abbreviations
LOCALES = ("en", "es", "pt", "fr", "it", "de", "nl", "pl", "tr", "id", "ro", "sv")
"""Languages of month names that a draft recognises."""
_ENGLISH = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TEXTS_OF_DIRECTIVES = {
    "Y": r"\d{4}", "y": r"\d\d", "m": r"\d{1,2}", "d": r"\d{1,2}", "e": r"\s?\d{1,2}", "j": r"\d{1,3}",
    "b": r"[^\W\d_]+", "B": r"[^\W\d_]+", "H": "(24)", "M": "00", "S": r"00(?:\.0*)?", "z": r"\S+",
}  # fmt: skip
"""Texts of a stamp with hour 24."""
_TEXT_OF_ANY = _TEXTS_OF_DIRECTIVES | {"H": r"\d{1,2}", "M": r"\d\d", "S": r"\d\d(?:\.\d+)?"}
"""Texts of any stamp."""


def check_date_format(form: str) -> str:
    """`form`, if it is a date format that defines a day."""
    if form == EXCEL:
        return form
    directives = _DIRECTIVE.findall(form)
    unknown = next((f"%{letter}" for letter in directives if letter not in f"{_ALLOWED_DIRECTIVES}%"), None)
    lone_percent = form.replace("%%", "").count("%") != len([letter for letter in directives if letter != "%"])
    if unknown is not None or lone_percent:
        allowed = ", ".join(f"%{letter}" for letter in _ALLOWED_DIRECTIVES)
        raise ValueError(f"{form!r} contains {unknown or 'a lone %'}; allowed are {allowed}, or 'excel' (day numbers)")
    letters = set(directives)
    has_year, has_month = letters & {"Y", "y"}, letters & {"m", "b", "B"}
    has_day = letters & {"d", "e"}
    if not ("F" in letters or (has_year and ("j" in letters or (has_month and has_day)))):
        raise ValueError(f"{form!r} must define a day, as '%Y-%m-%d' or '%d.%m.%Y %H:%M' do")
    if _LITERAL_ZONE.search(_DIRECTIVE.sub("", form)):
        raise ValueError(f"{form!r} ends in the text of a time zone; write %z instead, which reads Z, UTC and +10:00")
    if _WEEKDAY.search(form, 1):
        raise ValueError(f"{form!r} has %a at another place than its start; the name of a weekday is read only there")
    try:
        polars_form, _ = polars_date_format(form)
        pl.Series(["1"]).str.to_datetime(polars_form, strict=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(f"{form!r} cannot be read: {str(error).splitlines()[0]}") from None
    return form


def has_clock(form: str) -> bool:
    """Whether stamps of this format have a time of day."""
    return form == EXCEL or any(code in form for code in ("%H", "%I", "%T", "%R"))


def polars_date_format(form: str) -> tuple[str, str]:
    """A date format as polars reads it, and the text to append to each stamp.

    Polars reads an hour only with minutes, Z as an offset and fractions of a second only with directives of its own.

    >>> polars_date_format("%Y-%m-%d %H")
    ('%Y-%m-%d %H:%M', ':00')
    """
    polars_form = _WEEKDAY.sub("", _expanded(form)).replace("%S", "%S%.f").replace("%z", "%#z")
    if "%H" in polars_form and "%M" not in polars_form:
        return polars_form + ":%M", ":00"
    return polars_form, ""


def parse_stamps(
    texts: pl.Series, form: str, *, locale: str = "en", calendar: Literal["gregorian", "buddhist"] = "gregorian"
) -> pl.Series:
    """Stamps as clock times or, where the format has %z, as instants (UTC); null where a text cannot be read.

    24:00 is the end of its day. Fractions of a second are read whether the format has them or not. The name of a
    weekday (%a) is not compared with the day.

    Parameters
    ----------
    locale
        Language of the month names (%b, %B), such as "es".
    calendar
        Calendar of the years (%Y).

    Examples
    --------
    >>> parse_stamps(pl.Series(["01JUN2026 2400", "1-Sept-2026 0100"]), "%d%b%Y %H%M").to_list()[0]
    datetime.datetime(2026, 6, 2, 0, 0)
    """
    if form == EXCEL:
        return _day_numbers(texts)
    if _WEEKDAY.match(form):
        texts, form = texts.str.replace(_WEEKDAY_NAME, ""), _WEEKDAY.sub("", form)
    if calendar == "buddhist":
        texts = gregorian_years(texts, form)
    polars_form, suffix = polars_date_format(form)
    if "%b" in form or "%B" in form:
        texts = _with_english_months(texts, locale)
    if "%z" in form:
        texts = texts.str.replace(_ZONE_NAME, "${1}Z")
    stamps = (texts + suffix if suffix else texts).str.to_datetime(polars_form, time_unit="us", strict=False)
    if "%H" not in polars_form or not stamps.null_count():
        return stamps
    return _with_hour_24(texts, stamps, form)


def gregorian_years(texts: pl.Series, form: str) -> pl.Series:
    """`texts` with Gregorian years in place of those of the Buddhist calendar; a text of another form stays."""
    before, _, after = (_stamp_pattern(part) for part in _expanded(form).partition("%Y"))
    parts = texts.str.extract_groups(f"^({before})(\\d{{4}})({after})$").struct
    years = parts.field("2").cast(pl.Int64) - BUDDHIST_YEARS
    changed = parts.field("1") + years.cast(pl.String) + parts.field("3")
    return changed.zip_with(changed.is_not_null(), texts)


def _stamp_pattern(form: str) -> str:
    """Pattern of the texts of a format, or of a part of one, without groups that capture."""
    pieces = re.split(r"%(.)", form)
    return "".join(
        re.escape(piece) if n % 2 == 0 else _TEXT_OF_ANY.get(piece, r"\S+?") for n, piece in enumerate(pieces)
    )


def _expanded(form: str) -> str:
    """`form` with %T, %R and %F in full."""
    for short, long in _LONG.items():
        form = form.replace(short, long)
    return form


def _day_numbers(texts: pl.Series) -> pl.Series:
    """Spreadsheet day numbers as clock times, to the nearest millisecond."""
    days = texts.cast(pl.Float64, strict=False)
    first, last = ((day - _EXCEL_START.date()).days for day in (EARLIEST, LATEST))
    valid = days.zip_with(days.is_between(first, last).fill_null(False), pl.Series([None], dtype=pl.Float64))
    milliseconds = (valid * 86_400_000).round().cast(pl.Int64)
    return pl.lit(_EXCEL_START).pipe(lambda start: milliseconds.to_frame("ms").select(
        start + pl.duration(milliseconds="ms")).to_series()).cast(pl.Datetime("us"))  # fmt: skip


def _with_english_months(texts: pl.Series, locale: str) -> pl.Series:
    """`texts` with the English abbreviation (%b) instead of each month name of the language."""
    if locale == "en" and not texts.str.contains("(?i)sept").any():
        return texts
    abbreviations = month_names(locale)

    def english(match: re.Match[str]) -> str:
        return abbreviations.get(match[0].rstrip(".").casefold(), match[0])

    return _each_text(texts, lambda text: _WORD.sub(english, text))


@lru_cache(maxsize=8)
def month_names(locale: str) -> dict[str, str]:
    """Month name or abbreviation of a language (case folded, without a point) → English abbreviation.

    Raises
    ------
    ValueError
        If the language is unknown.
    """
    from babel import Locale, UnknownLocaleError

    try:
        months = Locale.parse(locale, sep="-" if "-" in locale else "_").months
    except (UnknownLocaleError, ValueError):
        raise ValueError(
            f"locale {locale!r} is unknown; give the code of a language, such as 'es', 'pt-BR' or 'th'"
        ) from None
    names = {"sept": "Sep"} if locale == "en" else {}
    for context in ("format", "stand-alone"):
        for width in ("wide", "abbreviated"):
            for month, name in months[context][width].items():
                names[str(name).rstrip(".").casefold()] = _ENGLISH[month - 1]
    return names


def _with_hour_24(texts: pl.Series, stamps: pl.Series, form: str) -> pl.Series:
    """`stamps`, also of the texts with hour 24, which are the start of the next day."""
    pattern = _hour_24_pattern(_expanded(form))
    is_late = stamps.is_null() & texts.is_not_null()
    candidates = texts.filter(is_late)
    polars_form, suffix = polars_date_format(form)

    def start_of_day(text: str) -> str | None:
        match = pattern.fullmatch(text)
        return None if match is None else f"{text[: match.start(1)]}00{text[match.end(1) :]}{suffix}"

    starts = _each_text(candidates, start_of_day).str.to_datetime(polars_form, time_unit="us", strict=False)
    ends = (starts + timedelta(days=1)).cast(stamps.dtype)
    positions = is_late.arg_true()
    return stamps.scatter(positions, ends) if len(positions) else stamps


def _hour_24_pattern(form: str) -> re.Pattern[str]:
    """Pattern of stamps of this format with hour 24 and no minutes; its group is the hour."""
    parts = re.split(r"%(.)", form)
    texts = [re.escape(part) if n % 2 == 0 else _TEXTS_OF_DIRECTIVES.get(part, r"\S+") for n, part in enumerate(parts)]
    return re.compile("".join(texts))


def _each_text(texts: pl.Series, change: Callable[[str], str | None]) -> pl.Series:
    """`texts` with `change` applied to each; null stays null."""
    return pl.Series(texts.name, [None if text is None else change(text) for text in texts], dtype=pl.String)
