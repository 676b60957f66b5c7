"""What a server shows of one dam, read from the archive, its forecast records and the files of the last refresh."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from forebay.archive.store import DamCounts
from forebay.days.daily import daily_table, usable_values
from forebay.errors import ForebayError
from forebay.files import file_stamp
from forebay.forecasts.issue import STALE_DAYS
from forebay.forecasts.record import forecast_table, parse_time
from forebay.jobs.record import content_of, last_issued
from forebay.screen.flags import screen_daily, suspect_values
from forebay.tables import ALERTS, DEFAULT_MODEL, FORECASTS

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.forecasts.record import Content

RESULT_FILE = "forecast.json"
"""File of a refresh in the folder of a dam."""
MAX_RESULT_BYTES = 64 << 20
_MISSING = "Scores and explanation are missing:"
DIGITS = 12
"""Digits of a value that was converted from the unit of the archive."""
LEVEL_DAYS = 14
"""Days of observed levels in the overview."""


@dataclass(frozen=True)
class Token:
    """What a state was read from: another token means that it may differ."""

    counts: DamCounts
    result: tuple[int, int]


@dataclass(frozen=True)
class DamState:
    """One dam as of one state of the archive.

    Attributes
    ----------
    dam
        The dam of the dam file.
    token
        What the state was read from.
    record, record_hash
        Content and hash of the record of the newest issued forecast; None and "" without one.
    levels
        date, level: usable daily levels of the target, its unit.
    result
        Content of `forecast.json` of the same forecast; empty without one.
    alerts
        `tables.ALERTS`: the last decision of each alert rule.
    notes
        Sentences on what is missing.
    suspect
        Day of a suspect level of the last weeks → the reason of its flag. `levels` has these, too.
    fetched_at
        When a gauge of the dam was last fetched completely; None if that is not recorded.
    cache
        Parts of answers that were computed from the state, by name.
    """

    dam: Dam
    token: Token
    record: Content | None
    record_hash: str
    levels: pl.DataFrame = field(repr=False)
    result: Mapping[str, Any] = field(repr=False)
    alerts: pl.DataFrame = field(default_factory=ALERTS.empty, repr=False)
    notes: tuple[str, ...] = ()
    suspect: Mapping[date, str] = field(default_factory=dict, repr=False)
    fetched_at: datetime | None = None
    cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def forecast(self) -> pl.DataFrame:
        """`tables.FORECASTS` of the newest issued forecast; empty without one."""
        return FORECASTS.empty() if self.record is None else forecast_table(self.record)

    @cached_property
    def probabilities(self) -> pl.DataFrame:
        """Probabilities of thresholds of the newest issued forecast, as the record has them; empty without any."""
        return pl.DataFrame({} if self.record is None else self.record["probabilities"])

    @property
    def init_date(self) -> date | None:
        """Init date of the newest issued forecast; None without one."""
        return None if self.record is None else date.fromisoformat(self.record["init_date"])

    @property
    def level_date(self) -> date | None:
        """Day of the level that the forecast starts from."""
        return None if self.forecast.is_empty() else self.forecast["level_date"][0]

    @property
    def start_level(self) -> float | None:
        """Level that the forecast starts from."""
        rows = self.forecast.filter(pl.col("model") == DEFAULT_MODEL)
        return None if rows.is_empty() else round(float(rows["level"][0] - rows["change"][0]), 9)

    def age(self, now: datetime) -> timedelta | None:
        """Time since the end of the day whose level the forecast starts from; None without a forecast."""
        if self.record is None or self.level_date is None:
            return None
        init_date = date.fromisoformat(self.record["init_date"])
        return now - parse_time(self.record["init_time"]) + (init_date - self.level_date)

    def is_stale(self, now: datetime) -> bool:
        """Whether that level is more than `STALE_DAYS` days old, by the same rule as in the report."""
        age = self.age(now)
        return age is None or age // timedelta(days=1) > STALE_DAYS


def tokens_of(dams: Mapping[str, Dam], archive: Archive, folder: Path) -> dict[str, Token]:
    """The present token of each dam, without reading its data."""
    counts = archive.counts({name: dam.gauges for name, dam in dams.items()})
    return {name: Token(counts[name], token_of_result(dam, folder)) for name, dam in dams.items()}


def token_of_result(dam: Dam, folder: Path) -> tuple[int, int]:
    """The part of `tokens_of` that belongs to the files of the last refresh."""
    return file_stamp(folder / dam.id / RESULT_FILE)


def read_state(dam: Dam, archive: Archive, folder: Path, token: Token) -> DamState:
    """The state of a dam; what cannot be read is left out, with a sentence in its notes.

    Parameters
    ----------
    folder
        Folder in which a refresh writes one folder for each dam.
    token
        From `tokens_of`, taken before: what changes meanwhile is read again next time.
    """
    notes: list[str] = []
    record, digest = _newest_record(dam, archive, notes)
    result = _read_result(dam, folder / dam.id / RESULT_FILE, record, notes)
    alerts = archive.alerts.last_decisions(dam.id)
    levels = _levels(dam, archive)
    suspect = _suspect_levels(dam, archive, result, levels)
    return DamState(
        dam, token, record, digest, levels, result, alerts, tuple(notes), suspect, _fetched_at(dam, archive)
    )


def recorded_state(dam: Dam, content: Content, digest: str) -> DamState:
    """The state of a dam with only a recorded forecast, for past forecasts."""
    return DamState(dam, Token(DamCounts(0, 0, 0, 0, 0), (0, 0)), content, digest, _no_levels(), {})


def _newest_record(dam: Dam, archive: Archive, notes: list[str]) -> tuple[Content | None, str]:
    """Content and hash of the last record of the newest init date; None if there is none, or if it was changed."""
    issued = last_issued(archive.records.index(dam.id))
    if issued.is_empty():
        notes.append(f"There is no issued forecast of {dam.name} yet; `forebay refresh` issues one.")
        return None, ""
    (page,) = archive.records.pages(dam.id, [issued["sequence"][-1]])
    try:
        return content_of(page), str(page["hash"][0])
    except ForebayError as error:
        notes.append(f"The newest forecast is not shown: {error}.")
        return None, ""


def record_of_result(path: Path) -> str | None:
    """Id of the record that a `forecast.json` belongs to; None without one, or if it cannot be read."""
    try:
        return _record_of(_content_of(path))
    except (OSError, ValueError):
        return None


def _content_of(path: Path) -> Any:  # Any: JSON
    with path.open("rb") as file:
        text = file.read(MAX_RESULT_BYTES + 1)
    return json.loads(text) if len(text) <= MAX_RESULT_BYTES else None


def _record_of(content: Any) -> str | None:  # Any: JSON
    reference = content.get("record") if isinstance(content, dict) else None
    return reference.get("id") if isinstance(reference, dict) else None


def _read_result(dam: Dam, path: Path, record: Content | None, notes: list[str]) -> dict[str, Any]:
    """Content of `forecast.json` if it belongs to the record."""
    if record is None:
        return {}
    try:
        content = _content_of(path)
    except FileNotFoundError:
        notes.append(f"{_MISSING} the folder of the results has none; `forebay refresh` writes them.")
        return {}
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict) or content.get("dam") != dam.id:
        notes.append(f"{_MISSING} {RESULT_FILE} cannot be read; `forebay refresh` writes it again.")
        return {}
    if _record_of(content) != record["id"]:
        notes.append(f"{_MISSING} they belong to another forecast; `forebay refresh` writes them.")
        return {}
    return content


def _fetched_at(dam: Dam, archive: Archive) -> datetime | None:
    """When a gauge of the dam was last fetched completely."""
    instants = [archive.fetches(gauge)["fetched_at"].max() for gauge in dam.gauges]
    return max((instant for instant in instants if isinstance(instant, datetime)), default=None)


def _levels(dam: Dam, archive: Archive) -> pl.DataFrame:
    """date, level: the usable daily levels as known now, in the target's unit."""
    readings = archive.known_at([dam.target_gauge], datetime.now(UTC), dam.time_zone)
    if readings.is_empty():
        return _no_levels()
    daily = usable_values(daily_table(readings, dam), dam)
    return daily.select("date", level=level_column(dam))


def level_column(dam: Dam) -> pl.Expr:
    """The column of the target in the daily table, without the noise of its conversion from the unit of the archive."""
    gauge = dam.target_gauge
    level = pl.col(gauge.column)
    return level if dam.target.unit == gauge.kind.unit else level.round_sig_figs(DIGITS)


def _suspect_levels(dam: Dam, archive: Archive, result: Mapping[str, Any], levels: pl.DataFrame) -> dict[date, str]:
    """`DamState.suspect`, as the refresh has stored it; the screen runs only if a newest level has changed since.

    The screen of a whole record takes ten times as long as the rest of a state.
    """
    usable = levels.drop_nulls()
    if usable.is_empty():
        return {}
    newest: date = usable["date"][-1]
    stored = {date.fromisoformat(row["date"]): row for row in result.get("newest_levels", ())}
    if stored and _is_same(usable.tail(len(stored)), stored):
        return {day: row["suspect"] for day, row in stored.items() if row["suspect"] is not None}
    days = daily_table(archive.known_at(dam.gauges, datetime.now(UTC), dam.time_zone), dam)
    suspect = suspect_values(screen_daily(days, dam), dam.target_gauge.column, newest)
    return dict(suspect.filter(pl.col("date") > newest - timedelta(days=LEVEL_DAYS)).iter_rows())


def _is_same(levels: pl.DataFrame, stored: Mapping[date, Mapping[str, Any]]) -> bool:
    """Whether levels are those that a refresh has stored, up to `DIGITS`."""
    now = dict(levels.iter_rows())
    return now.keys() == stored.keys() and all(
        math.isclose(level, stored[day]["level"], rel_tol=10.0 ** (1 - DIGITS)) for day, level in now.items()
    )


def _no_levels() -> pl.DataFrame:
    return pl.DataFrame(schema={"date": pl.Date(), "level": pl.Float64()})
