"""A generator of CSV dialects: a draft gives the truth, or asks; without an answer it gives no other numbers."""

from __future__ import annotations

import csv
import io
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.archive.store import open_archive
from forebay.dams.dam_file import load_dam
from forebay.days.daily import daily_table
from forebay.draft.answers import Answers, Question
from forebay.draft.dam import draft_dam
from forebay.errors import ConfigError
from forebay.settings import Settings

NOW = datetime(2026, 11, 28, tzinfo=UTC)
FORMS = (
    "%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%y", "%m/%d/%y", "%Y%m%d", "%d-%b-%Y",
    "%d %b %y",
    "%b %d, %Y", "%Y-%m-%d %H:%M", "%d/%m/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "excel",
    "columns",
)  # fmt: skip
MONTHS = ("ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic")
HEADERS = {
    "en": ("Date", "Water level", "Rainfall"),
    "es": ("Fecha", "Cota embalse", "Precipitación"),
    "fr": ("Date", "Cote", "Pluie"),
    "it": ("data", "livello", "pioggia"),
    "pt": ("DATA", "NÍVEL", "CHUVA"),
}
UNITS = {"m": (430.0, 1.0), "ft": (1410.0, 3.0), "hm3": (310.0, 2.0), "ML": (311_000.0, 900.0), "%": (71.0, 0.5)}
"""Unit → a usual value and step of the level or storage."""
UNIT_TEXTS = {"m": ("m", "msnm"), "ft": ("ft", "feet"), "hm3": ("hm3", "hm³"), "ML": ("ML", "megalitres"), "%": ("%",)}


@dataclass(frozen=True)
class Dialect:
    """How a table is written."""

    unit: str
    form: str
    language: str
    separator: str
    decimal_comma: bool
    thousands: str
    encoding: str
    title_lines: int
    has_comment: bool
    unit_place: str  # name, line, cells, none
    no_data: str
    order: str
    series: str  # one, long, wide
    days: int
    decimals: int
    seed: int


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    decimal_comma = separator != "," and draw(st.booleans())
    marks = ["", " ", "'"] + ([","] if not decimal_comma else ["."])
    language = draw(st.sampled_from(sorted(HEADERS)))
    form = draw(st.sampled_from(FORMS))
    return Dialect(
        unit=draw(st.sampled_from(sorted(UNITS))),
        form=form,
        language=language,
        separator=separator,
        decimal_comma=decimal_comma,
        thousands=draw(st.sampled_from(marks)),
        encoding=draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])),
        title_lines=draw(st.integers(0, 3)),
        has_comment=draw(st.booleans()),
        unit_place=draw(st.sampled_from(["name", "line", "cells", "none"])),
        no_data=draw(st.sampled_from(["", "n/a", "-", "---", "NaN", "#VALUE!", "s/d"])),
        order=draw(st.sampled_from(["rising", "falling"])),
        series=draw(st.sampled_from(["one", "long", "wide"])),
        days=draw(st.integers(40, 130)),
        decimals=draw(st.integers(0, 3)),
        seed=draw(st.integers(0, 10_000)),
    )


def truth(dialect: Dialect) -> pl.DataFrame:
    """date, level, rain: level in the dialect's unit with missing days; the numbers that the file has."""
    numbers = random.Random(dialect.seed)
    level, step = UNITS[dialect.unit]
    first = date(2021, 1, 1) + timedelta(days=numbers.randrange(300))
    rows = []
    for n in range(dialect.days):
        level += numbers.gauss(0, step)
        has_level = numbers.random() > 0.06 or n < 3
        rain = 0.0 if numbers.random() < 0.6 else round(numbers.expovariate(0.1), 1)
        rows.append((first + timedelta(days=n), round(level, dialect.decimals) if has_level else None, rain))
    return pl.DataFrame(rows, schema={"date": pl.Date, "level": pl.Float64, "rain": pl.Float64}, orient="row")


def number_text(value: float | None, decimals: int, dialect: Dialect, *, suffix: str = "") -> str:
    if value is None:
        return dialect.no_data
    whole, _, part = f"{abs(value):.{decimals}f}".partition(".")
    if dialect.thousands:
        whole = f"{int(whole):,}".replace(",", dialect.thousands)
    mark = "," if dialect.decimal_comma else "."
    return ("-" if value < 0 else "") + whole + (mark + part if part else "") + suffix


def date_texts(day: date, dialect: Dialect) -> list[str]:
    if dialect.form == "columns":
        return [str(day.year), str(day.month), str(day.day)]
    if dialect.form == "excel":
        return [str((day - date(1899, 12, 30)).days)]
    if "%b" in dialect.form and dialect.language == "es":
        return [day.strftime(dialect.form.replace("%b", MONTHS[day.month - 1]))]
    return [datetime(day.year, day.month, day.day).strftime(dialect.form)]


def file_text(dialect: Dialect, table: pl.DataFrame) -> str:
    """The table's text; a long table has the lines of another lake too, a wide one its column."""
    date_name, level_name, rain_name = HEADERS[dialect.language]
    date_names = ["Year", "Month", "Day"] if dialect.form == "columns" else [date_name]
    unit_text = UNIT_TEXTS[dialect.unit][dialect.seed % len(UNIT_TEXTS[dialect.unit])]
    if dialect.unit in ("hm3", "ML"):
        level_name = "Volumen" if dialect.language == "es" else "Volume"
    in_name = dialect.unit_place == "name"
    names = [*date_names, level_name + (f" ({unit_text})" if in_name else ""), rain_name + (" [mm]" if in_name else "")]
    suffix = f" {unit_text}" if dialect.unit_place == "cells" else ""
    rows: list[list[str]] = []
    for day, level, rain in table.iter_rows():
        cells = [number_text(level, dialect.decimals, dialect, suffix=suffix)]
        cells.append(number_text(rain, 1, dialect, suffix=" mm" if dialect.unit_place == "cells" else ""))
        other = number_text(level and level * 0.83 + 1, dialect.decimals, dialect, suffix=suffix)
        dates = date_texts(day, dialect)
        if dialect.series == "long":
            rows += [[*dates, "Lake Alpha", *cells], [*dates, "Lake Beta", other, cells[1]]]
        else:
            rows.append([*dates, *cells, *([other] if dialect.series == "wide" else [])])
    if dialect.series == "long":
        names.insert(len(date_names), "lake")
    if dialect.series == "wide":
        names.append(f"Beta {names[-2]}")
    if dialect.order == "falling":
        rows.reverse()
    head = [[f"Report {n} of the agency"] for n in range(dialect.title_lines)]
    if dialect.unit_place == "line":
        units = {names.index(name): text for name, text in zip(names[-2:], (unit_text, "mm"), strict=True)}
        if dialect.series == "wide":
            units = {len(names) - 3: unit_text, len(names) - 2: "mm", len(names) - 1: unit_text}
        rows.insert(0, [units.get(n, "") for n in range(len(names))])
    out = io.StringIO()
    csv.writer(out, delimiter=dialect.separator, lineterminator="\n").writerows([*head, names, *rows])
    comment = "# exported by the agency's system\n" if dialect.has_comment else ""
    return comment + out.getvalue()


def answer_from(dialect: Dialect, table: pl.DataFrame) -> Callable[[Question], str]:
    """Answers that a person would give who knows the file."""

    def answer(question: Question) -> str:  # noqa: PLR0911
        key, options = question.key, question.options
        if key.endswith("date_format"):
            first = table["date"][0 if dialect.order == "rising" else -1]
            return next(form for form, text in options.items() if text.startswith(f"from {first:%d %b %Y}"))
        if key.endswith(".decimal_mark"):
            return "comma" if dialect.decimal_comma else "point"
        if key.endswith(".unit"):
            return "mm" if set(options) <= {"mm", "in", "cm"} else dialect.unit
        if key == "target":
            return next(option for option in options if not option.startswith("Beta"))
        if key.startswith("level:where"):
            return "Lake Alpha"
        assert question.default is not None, question
        return question.default

    return answer


def daily_of(text: bytes, answers: Answers, folder: Path) -> tuple[pl.DataFrame, str]:
    """date, level, rain of the daily table of a draft, and its unit."""
    (folder / "level.csv").write_bytes(text)
    draft = draft_dam("alpha", [str(folder / "level.csv")], answers, folder=folder, now=NOW)
    (folder / "alpha.toml").write_text(draft.text, "utf-8")
    dam = load_dam(str(folder / "alpha.toml"))
    (folder / "alpha.db").unlink(missing_ok=True)
    with open_archive(f"sqlite:///{folder}/alpha.db") as archive:
        for error in fetch_dam(dam, archive, settings=Settings(), request=FetchRequest(NOW)).errors.values():
            raise error
        table = daily_table(archive.as_of(dam.gauges), dam)
    rain = next(gauge.column for gauge in dam.gauges if gauge.role == "rainfall")
    level = pl.col(dam.target_gauge.column)
    return table.select("date", level.alias("level"), pl.col(rain).alias("rain")), dam.target.unit


def assert_truth(days: pl.DataFrame, unit: str, expected: pl.DataFrame, dialect: Dialect) -> None:
    assert unit == dialect.unit
    rows = days.join(expected, on="date", how="full", coalesce=True, suffix="_true").sort("date")
    for name in ("level", "rain"):
        for value, true in rows.select(name, f"{name}_true").iter_rows():
            assert (value is None) == (true is None), (name, value, true)
            assert value is None or abs(value - true) <= 1e-9 * max(abs(true), 1), (name, value, true)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(dialects())
def test_draft_of_any_dialect_has_the_true_days_or_asks(dialect: Dialect) -> None:
    expected = truth(dialect)
    text = file_text(dialect, expected).encode(dialect.encoding, "replace")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        days, unit = daily_of(text, Answers(ask=answer_from(dialect, expected)), folder)
        assert_truth(days, unit, expected, dialect)
        try:
            days, unit = daily_of(text, Answers(accept_defaults=True), folder)
        except ConfigError as error:
            assert "--set" in str(error)
            event(f"asks {str(error)[:14]}")
        else:
            event("asks nothing")
            assert_truth(days, unit, expected, dialect)
