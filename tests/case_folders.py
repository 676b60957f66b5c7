"""Inputs of ../shared/cases, as they are and changed: other dates, another unit, other column names."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from forebay.archive.fetch import FetchReport, FetchRequest, fetch_dam
from forebay.archive.store import open_archive
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.days.daily import daily_table
from forebay.jobs.observations import DailyResult
from forebay.settings import Settings
from tests.shared import SHARED

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SHIFT_DAYS = -364  # whole weeks; clocks change on the same day of the week
UNITS = {"m": ("ft", 1 / 0.3048), "ft": ("m", 0.3048), "ML": ("hm3", 1e-3), "hm3": ("ML", 1e3), "%": ("%", 1.0),
         "ac-ft": ("ML", 1.23348183754752), "mm": ("cm", 0.1)}  # fmt: skip

Shift = Callable[[str, timedelta], str]


def by_format(form: str) -> Shift:
    """Shift of a date text of this format."""
    return lambda text, by: (datetime.strptime(text, form) + by).strftime(form)


@dataclass(frozen=True)
class CaseFile:
    """How a case's file is written: what a change needs to know about it."""

    date: str
    values: Mapping[str, str]  # column → unit
    shift: Shift = by_format("%Y-%m-%d")
    separator: str = ","
    comment: str = "\0"
    decimal_comma: bool = False
    thousands: str = ""


@dataclass
class Case:
    """A copy of one case's folder; if `changed`, with other dates, units and column names."""

    folder: Path
    changed: bool

    @property
    def shift(self) -> timedelta:
        return timedelta(days=SHIFT_DAYS if self.changed else 0)

    def day(self, year: int, month: int, day: int) -> date:
        """A day of the case, shifted with it."""
        return date(year, month, day) + self.shift

    def factor(self, unit: str) -> float:
        """From the case's unit to the copy's."""
        return UNITS[unit][1] if self.changed else 1.0

    def dam(self, name: str = "dam.toml", edit: Callable[[dict[str, Any]], None] | None = None) -> Dam:
        """The dam of a dam file, after an edit of its content."""
        path = self.folder / name
        if edit is not None:
            content = tomllib.loads(path.read_text())
            edit(content)
            path.write_text(to_toml(content))
        return load_dam(str(path))

    def fetch(self, dam: Dam, now: datetime = NOW) -> FetchReport:
        with open_archive(f"sqlite:///{self.folder}/archive.db") as archive:
            return fetch_dam(dam, archive, settings=Settings(), request=FetchRequest(now))

    def daily(self, dam: Dam) -> DailyResult:
        with open_archive(f"sqlite:///{self.folder}/archive.db") as archive:
            return DailyResult(dam, daily_table(archive.as_of(dam.gauges), dam))


def copy_case(name: str, tmp_path: Path, files: Mapping[str, CaseFile], *, changed: bool) -> Case:
    """A copy of a case's folder in `tmp_path`."""
    (source,) = (SHARED / "cases").glob(f"{name}-*")
    folder = tmp_path / source.name
    shutil.copytree(source, folder)
    if changed:
        for file, layout in files.items():
            path = folder / file
            path.write_text(changed_text(path.read_text(), layout))
        for path in folder.glob("dam*.toml"):
            path.write_text(to_toml(changed_dam(tomllib.loads(path.read_text()))))
    return Case(folder, changed)


def renamed(column: str) -> str:
    return f"{column} (new)"


def changed_text(text: str, layout: CaseFile) -> str:
    """A file's text with other dates, units and column names."""
    lines = text.splitlines()
    first = next(n for n, line in enumerate(lines) if not line.startswith(layout.comment))
    (header,) = csv.reader([lines[first]], delimiter=layout.separator)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=layout.separator, lineterminator="\n")
    writer.writerow([renamed(name) for name in header])
    for cells in csv.reader(lines[first + 1 :], delimiter=layout.separator):
        row = dict(zip(header, cells, strict=False))
        for column, unit in layout.values.items():
            row[column] = _converted(row[column], UNITS[unit][1], layout)
        with suppress(ValueError):  # a line of units
            row[layout.date] = layout.shift(row[layout.date], timedelta(days=SHIFT_DAYS))
        writer.writerow(row.values())
    return "\n".join([*lines[:first], out.getvalue()])


def _converted(text: str, factor: float, layout: CaseFile) -> str:
    plain = text.replace(layout.thousands, "") if layout.thousands else text
    try:
        number = float(plain.replace(",", ".") if layout.decimal_comma else plain)
    except ValueError:
        return text
    return repr(number * factor).replace(".", ",") if layout.decimal_comma else repr(number * factor)


def changed_dam(content: dict[str, Any]) -> dict[str, Any]:
    """A dam file's content for the changed files."""
    unit, factor = UNITS[content["target"]["unit"]]
    content["target"]["unit"] = unit
    if "full_supply" in content:
        content["full_supply"] *= factor
    for gauge in content["gauges"]:
        gauge["unit"] = UNITS[gauge["unit"]][0]
        file = gauge["file"]
        file |= {key: renamed(file[key]) for key in ("date", "value", "quality") if key in file}
    return content


def to_toml(content: Mapping[str, Any]) -> str:
    """A dam file's text; tables are written inline."""
    return "".join(f"{json.dumps(key)} = {_toml(value)}\n" for key, value in content.items())


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return value.isoformat() if isinstance(value, date) else json.dumps(value, ensure_ascii=False)
