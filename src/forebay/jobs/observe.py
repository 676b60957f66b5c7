"""The observe job: a level that somebody read at the staff gauge, for the day that telemetry dies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from forebay.charts.formats import format_count, format_time, format_value
from forebay.dams.local_time import local_date, zone
from forebay.dams.staff_gauge import staff_gauge
from forebay.dams.value_checks import plausible_range
from forebay.dams.variables import VARIABLES
from forebay.days.staff_readings import staff_day, staff_days
from forebay.errors import ConfigError, DataError
from forebay.features.daily_tables import read_daily_tables
from forebay.features.limits import hard_limits
from forebay.jobs.arguments import as_dam, current_settings, open_store
from forebay.jobs.results import Result
from forebay.log import add_counts, log_fields, step
from forebay.screen.flags import REASONS, VALID_REASONS, active_flags, daily_known_on, screen_daily
from forebay.tables import MANUAL, READINGS, flag_of

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.settings import Settings

Outcome = Literal["new", "revised", "unchanged"]
_MAX_TEXT = 500


@dataclass(frozen=True, repr=False)
class Observation(Result):
    """A reading by hand as the archive has it; without the name and the note, which no output has.

    Attributes
    ----------
    dam
        The dam.
    time
        Instant of the reading (UTC).
    level
        In the target's unit.
    day
        Local day for whose value the reading counts.
    outcome
        "new"; "revised", if another level was stored for this time, which stays as an older version; "unchanged".
    old_level
        The level that it replaces; None without one.
    unused_because
        Why it is not the value of its day in the daily table; empty if it is.
    suspect
        Reason of the flag on the value of the day (`screen.flags.REASONS`); None without one, or if it is not used.
    warning
        Sentence on a change that is larger than any of the record; None without one. Where all other gauges lack the
        day, nothing contradicts a mistyped level.
    """

    dam: Dam
    time: datetime
    level: float
    day: date
    outcome: Outcome
    old_level: float | None
    unused_because: str
    suspect: str | None
    warning: str | None = None

    def to_frame(self) -> pl.DataFrame:
        """One row: time, level, day, outcome, old_level, unused_because, suspect, warning."""
        names = ("time", "level", "day", "outcome", "old_level", "unused_because", "suspect", "warning")
        return pl.DataFrame([{name: getattr(self, name) for name in names}])

    def title(self) -> str:
        """Dam, time and level."""
        return f"{self.dam.title}, {_quantity(self.level, self.dam)} at {_local(self.time, self.dam)}"

    @property
    def content(self) -> dict[str, object]:
        """The reading as JSON has it."""
        return {
            "dam": self.dam.id,
            "simulated": self.dam.simulated,
            "time": _local(self.time, self.dam),
            "level": self.level,
            "unit": self.dam.target.unit,
            "quality": MANUAL,
            "day": self.day,
            "outcome": self.outcome,
            "old_level": self.old_level,
            "is_used": not self.unused_because,
            "unused_because": self.unused_because or None,
            "suspect": self.suspect,
            "warning": self.warning,
        }

    def sentences(self) -> list[str]:
        """What was stored, whether it is used, and whether it is suspect."""
        level, at = _quantity(self.level, self.dam), _local(self.time, self.dam)
        stored = {
            "new": f"{self.dam.title}: {level} at {at} is stored, quality {MANUAL}.",
            "revised": (
                f"{self.dam.title}: {level} at {at} is stored and replaces "
                f"{'' if self.old_level is None else _quantity(self.old_level, self.dam)}, which stays as an older "
                "version."
            ),
            "unchanged": f"{self.dam.title}: {level} at {at} was stored before; nothing was changed.",
        }[self.outcome]
        kind = self.dam.target_gauge.kind.title.lower()
        used = f"It is the {kind} of {self.day}, because the gauge has no usable value of that day."
        if self.unused_because:
            used = f"It is not in use: {self.unused_because}."
        suspect = [] if self.suspect is None else [f"It is suspect ({self.suspect}): {REASONS[self.suspect]}."]
        return [stored, used, *suspect, *([] if self.warning is None else [self.warning])]


def observe(  # noqa: PLR0913  # what a person writes down is five keywords, as the options of the command
    dam: Dam | str | Path,
    level: float,
    *,
    at: datetime | str,
    unit: str | None = None,
    name: str | None = None,
    note: str | None = None,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
) -> Observation:
    """Store a level that was read by hand at the staff gauge, with the quality "manual".

    It fills its day only where the target gauge has no usable value, and it is screened like any other. No fetch
    changes it. A reading of the same time replaces it; both versions stay in the archive.

    Parameters
    ----------
    dam
        A `Dam`, the id of a built-in dam, or the path of a dam file.
    level
        On the datum of the gauge's readings.
    at
        When it was read; without an offset, in the dam's time zone.
    unit
        Unit of the level; by default that of the dam's target.
    name, note
        Who read it, and a remark. They stand in a table of their own and in no export.
    archive, settings
        As in `fetch`.

    Raises
    ------
    ConfigError
        If time, level, unit, name or note cannot be: the message says what is allowed.
    DataError
        If the archive has no reading of the dam's target yet.
    """
    settings = settings or current_settings()
    dam = as_dam(dam, settings)
    value = _in_target_unit(level, unit, dam)
    with log_fields({"dam": dam.id}), step("observe"):
        now = datetime.now(UTC)
        time = _instant(at, dam)
        _check(time, dam, now)
        texts = [_text(text, option) for text, option in ((name, "--by"), (note, "--note"))]
        with open_store(archive, settings, create=False) as store:
            _check_record(time, dam, store)
            _check_level(value, dam, store)
            outcome, old = _store(time, value, dam, store, texts)
            add_counts({"time": time, "outcome": outcome})
            return _observation(time, value, outcome, old, dam, store)


def _in_target_unit(level: float, unit: str | None, dam: Dam) -> float:
    """The level in the target's unit."""
    kind = VARIABLES[dam.target.variable]
    if not math.isfinite(level):
        raise ConfigError(f"the level {level} is no number; give one in {unit or dam.target.unit}")
    if unit is not None and unit not in kind.units:
        raise ConfigError(f"--unit {unit!r} is unknown; allowed for {kind.title.lower()} are {', '.join(kind.units)}")
    if unit is None or unit == dam.target.unit:
        return float(level)
    return float(kind.from_canonical(kind.to_canonical(level, unit), dam.target.unit))


def _instant(at: datetime | str, dam: Dam) -> datetime:
    """The time as an instant (UTC)."""
    if isinstance(at, str):
        try:
            clock = datetime.fromisoformat(at.strip())
        except ValueError:
            clock = None
        if clock is None or len(at.strip()) <= len("2024-05-01"):
            raise ConfigError(
                f"--at {at!r} is no time; give day and clock time like 2024-05-01T06:10 (in the dam's zone, "
                f"{dam.time_zone}) or with an offset like 2024-05-01T06:10+10:00"
            )
        at = clock
    if at.utcoffset() is not None:
        return at.astimezone(UTC)
    return _from_local(at, dam)


def _from_local(clock: datetime, dam: Dam) -> datetime:
    """A clock time of the dam's zone as an instant; one that a change of clocks skips or repeats is refused."""
    station_zone = zone(dam.time_zone)
    first, second = (clock.replace(tzinfo=station_zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if isinstance(station_zone, ZoneInfo) and first != second:
        exists = first.astimezone(station_zone).replace(tzinfo=None) == clock
        problem = "occurs twice" if exists else "does not exist"
        raise ConfigError(
            f"--at {clock.isoformat(timespec='minutes')} {problem} in {dam.time_zone}, because clocks change; give it "
            "with its offset from UTC"
        )
    return first


def _check(time: datetime, dam: Dam, now: datetime) -> None:
    """Raise unless the time has passed."""
    if time > now:
        raise ConfigError(
            f"--at {_local(time, dam)} lies in the future; it is {_local(now, dam)} now: give the time of the reading"
        )


def _check_level(value: float, dam: Dam, store: Archive) -> None:
    """Raise unless the lake can have this level."""
    low, high = possible_levels(dam, store)
    if not low <= value <= high:
        raise ConfigError(
            f"the level {_quantity(value, dam)} is outside the hard limits of {dam.name}, {format_value(low)} to "
            f"{format_value(high)} {dam.target.unit}; check the number and its unit (--unit), or state lowest_level or "
            "crest_level in the dam file if the lake can have it"
        )


def possible_levels(dam: Dam, store: Archive) -> tuple[float, float]:
    """Lowest and highest level that a reading by hand can have, in the target's unit.

    They are the hard limits of a forecast by the record (`features.limits`), within the gauge's plausible range.
    """
    kind = dam.target_gauge.kind
    low, high = (float(kind.from_canonical(end, dam.target.unit)) for end in plausible_range(dam.target_gauge))
    tables = _newest_daily(dam, store)
    if tables is None:
        return low, high
    level = daily_known_on(tables, screen_daily(tables, dam), tables["date"][-1], dam)[dam.target_gauge.column]
    days = max(dam.hindcast.leads)
    no_days = np.zeros(len(tables), bool)
    limits = hard_limits(dam, tables["date"], level.cast(pl.Float64).to_numpy(), [days], withheld=no_days)[days]
    return max(low, float(limits[0][-1])), min(high, float(limits[1][-1]))


def _newest_daily(dam: Dam, store: Archive) -> pl.DataFrame | None:
    """The daily table of the newest versions; None where nothing can be forecast."""
    try:
        return read_daily_tables(dam, store, now=datetime.now(UTC) + timedelta(seconds=1)).newest
    except DataError:
        return None


def _text(text: str | None, option: str) -> str | None:
    """A name or a note without blanks around it; None if nothing is left."""
    text = (text or "").strip()
    if len(text) > _MAX_TEXT:
        raise ConfigError(f"{option} has {len(text)} characters; at most {_MAX_TEXT} are stored")
    if not text.isprintable():
        raise ConfigError(f"{option} has characters that must not be printed; write it in one line of text")
    return text or None


def _check_record(time: datetime, dam: Dam, store: Archive) -> None:
    """Raise unless the record of the target begins before the reading."""
    first = store.first_known([dam.target_gauge])["time"].min()
    if first is None:
        raise DataError(
            f"the archive has no reading of {dam.target_gauge.title}, to which a reading by hand could be compared; "
            f"run `forebay fetch {dam.id}` first"
        )
    assert isinstance(first, datetime)
    if time < first:
        raise ConfigError(
            f"--at {_local(time, dam)} lies before the record, which begins at {_local(first, dam)}; give a later time"
        )


def _store(
    time: datetime, value: float, dam: Dam, store: Archive, texts: list[str | None]
) -> tuple[Outcome, float | None]:
    """Store the reading, its name and its note; the outcome, and the level that it replaces."""
    gauge, kind = staff_gauge(dam), dam.target_gauge.kind
    row = {
        **gauge.series,
        "time": time,
        "value": float(kind.to_canonical(value, dam.target.unit)),
        "raw_value": f"{value!r} {dam.target.unit}",
        "quality": MANUAL,
        "quality_code": None,
    }
    readings = READINGS.check(pl.DataFrame([row], schema={name: READINGS.columns[name] for name in row}))
    with store.lease():
        before = store.as_of([gauge]).filter(pl.col("time") == time)
        stamp = datetime.now(UTC)
        result = store.append(readings, stamp, gauge=gauge)
        if result.unchanged:
            return "unchanged", None
        if any(texts):
            store.add_note(gauge, (time, stamp), *texts)
    if before.is_empty():
        return "new", None
    return "revised", float(before.select(dam.in_target_unit(pl.col("value"))).item())


def _observation(
    time: datetime, value: float, outcome: Outcome, old: float | None, dam: Dam, store: Archive
) -> Observation:
    """The stored reading, and its use and its flags in the daily table as it is now."""
    day: date = pl.DataFrame({"time": [time]}).select(staff_day(dam)).item()
    unused_because, suspect = _use(time, day, dam, store)
    warning = _change_warning(value, day, dam, store)
    return Observation(dam, time, value, day, outcome, old, unused_because, suspect, warning)


def _change_warning(value: float, day: date, dam: Dam, store: Archive) -> str | None:
    """Sentence on a change from the level before that is larger than any change of the record over as many days."""
    newest = _newest_daily(dam, store)
    if newest is None:
        return None
    column = dam.target_gauge.column
    known = daily_known_on(newest, screen_daily(newest, dam), newest["date"][-1], dam).select("date", level=column)
    before = known.drop_nulls().filter(pl.col("date") < day)
    if before.is_empty():
        return None
    last_day, last = before.row(-1)
    days = (day - last_day).days
    changes = known.filter(pl.col("date") < day).select(pl.col("level") - pl.col("level").shift(days)).to_series()
    changes = changes.drop_nulls()
    change = value - last
    if changes.is_empty() or changes.min() <= change <= changes.max():
        return None
    largest = changes.max() if change > 0 else changes.min()
    assert isinstance(largest, float)
    return (
        f"Check the number: it differs by {_signed(change, dam)} from {last_day} ({_quantity(last, dam)}), more than "
        f"any change in {format_count(days, 'day')} of the record ({_signed(largest, dam)}). A second reading with the "
        "same time corrects it."
    )


def _signed(change: float, dam: Dam) -> str:
    """A change with its sign and unit."""
    return f"{'+' if change > 0 else ''}{_quantity(float(f'{change:.4g}'), dam)}"


def _use(time: datetime, day: date, dam: Dam, store: Archive) -> tuple[str, str | None]:
    """Why the reading is not the value of `day`, empty if it is; and the reason of the flag on the value."""
    nearest = staff_days(store.as_of([staff_gauge(dam)]), dam).filter(pl.col("date") == day)["time"].item()
    if nearest != time:
        return f"the reading by hand at {_local(nearest, dam)} is nearer to the time of the value of {day}", None
    newest, gauge = _newest_daily(dam, store), dam.target_gauge.column
    if newest is None:
        return "the record has no level from which anything can be forecast", None
    if newest.filter(pl.col("date") == day, pl.col(flag_of(gauge)) == MANUAL).is_empty():
        if day >= local_date(datetime.now(UTC), dam.time_zone):
            return f"{day} has not ended, and the gauge has the level of the day before", None
        return f"the gauge has a usable value of {day}", None
    flags = active_flags(screen_daily(newest, dam), newest["date"][-1]).filter(
        pl.col("gauge") == gauge, pl.col("date") == day, ~pl.col("reason").is_in(VALID_REASONS)
    )
    return "", None if flags.is_empty() else str(flags["reason"][0])


def _local(instant: datetime, dam: Dam) -> str:
    return format_time(instant, zone(dam.time_zone))


def _quantity(value: float, dam: Dam) -> str:
    return f"{value:.10g} {dam.target.unit}".replace("-", "−")
