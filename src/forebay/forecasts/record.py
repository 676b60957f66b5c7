"""The record of an issued forecast: its content, canonical text, hash and place in the chain of its dam.

docs/record.md describes the form byte by byte. The text of a record is canonical JSON: sorted keys, no spaces, ASCII
only, times as `2024-05-01T06:00:00.000000Z`, floats with the fewest digits that give the same float again. Its hash is
the SHA-256 of that text, which has the hash of the record before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from forebay.archive.records import NO_HASH, Head, content_hash
from forebay.dams.dam_content import dam_content
from forebay.errors import ConfigError, ForebayError
from forebay.tables import DEFAULT_MODEL, FORECASTS, INSTANT, RECORDS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.daily_tables import DailyTables
    from forebay.forecasts.issue import IssuedForecast

FORMAT = 1
CLOCK_TOLERANCE = timedelta(minutes=10)
"""A clock that went back by more than this since the record before is an error."""
MASK_DAYS = 60
"""Days up to the init date whose flags are in the quality mask."""

_COMMON = ("dam", "init_date", "init_time")
"""Columns of `tables.FORECASTS` that a record has once."""
_COLUMNS = tuple(name for name in FORECASTS.columns if name not in _COMMON)

Content = dict[str, Any]
"""JSON values by key."""


@dataclass(frozen=True)
class Origin:
    """What a forecast was computed from.

    Attributes
    ----------
    inputs
        Digests of the input tables (`input_digests`).
    environment
        Version of forebay, digest of its source code, versions of libraries, machine (`jobs.environment`).
    quality_mask
        Spells of flagged days (`quality_mask`).
    """

    inputs: Mapping[str, object]
    environment: Mapping[str, object]
    quality_mask: list[list[object]]


def record_content(
    dam: Dam, issued: IssuedForecast, origin: Origin, probabilities: pl.DataFrame | None = None
) -> Content:
    """Content of the record of a forecast, without its place in the chain.

    Parameters
    ----------
    probabilities
        Table of threshold probabilities, of any columns; none by default.
    """
    dam_file = dam_content(dam)
    return {
        "format": FORMAT,
        "dam": dam.id,
        "dam_file": dam_file,
        "dam_file_hash": content_hash(canonical(dam_file)),
        "issue_time": _time(issued.issue_time),
        "init_date": issued.init_date.isoformat(),
        "init_time": _time(issued.init_time),
        "requested": issued.is_requested,
        "retrospective": issued.is_retrospective,
        "model": DEFAULT_MODEL,
        "inputs": dict(origin.inputs),
        "environment": dict(origin.environment),
        "quality_mask": origin.quality_mask,
        "limitations": list(issued.limitations),
        "outside_experience": list(issued.outside_experience),
        "forcings": list(issued.forcings),
        "forecast": forecast_content(issued.table),
        "probabilities": _columns(pl.DataFrame() if probabilities is None else probabilities),
    }


def forecast_content(table: pl.DataFrame) -> Content:
    """`tables.FORECASTS` of one init date as lists by column, in the order of its key."""
    return _columns(FORECASTS.check(table, unique=True).sort(FORECASTS.key).select(_COLUMNS))


def _columns(table: pl.DataFrame) -> Content:
    dates = pl.selectors.date().dt.to_string("iso")
    return table.with_columns(dates).to_dict(as_series=False)


def forecast_table(content: Content) -> pl.DataFrame:
    """`tables.FORECASTS` of a record."""
    types = {name: pl.String() if dtype in (pl.Date(), INSTANT) else dtype for name, dtype in FORECASTS.columns.items()}
    table = pl.DataFrame(content["forecast"], schema={name: types[name] for name in _COLUMNS})
    return FORECASTS.check(
        table.with_columns(
            pl.lit(content["dam"]).alias("dam"),
            pl.lit(date.fromisoformat(content["init_date"])).alias("init_date"),
            pl.lit(parse_time(content["init_time"]), INSTANT).alias("init_time"),
            pl.col("valid_date", "level_date").str.to_date(),
        )
    )


def add_to_chain(content: Content, head: Head, *, clock_fault: str | None = None) -> pl.DataFrame:
    """The record as one row of `tables.RECORDS` that follows the `head` of its dam's chain.

    Parameters
    ----------
    clock_fault
        Id of a record whose time is known to be wrong: a clock that is behind it is accepted.

    Raises
    ------
    ForebayError
        If the clock went back by more than `CLOCK_TOLERANCE`, or is that far behind the issue time.
    """
    dam = content["dam"]
    step = clock_step(content, head, clock_fault=clock_fault)
    replaces = None if content["retrospective"] or head.replaced is None else record_id(dam, head.replaced)
    complete = content | {
        "id": record_id(dam, head.sequence + 1),
        "sequence": head.sequence + 1,
        "previous": head.hash,
        "recorded_at": _time(head.now),
        "clock_step_s": step,
        "replaces": replaces,
    }
    return row_of(canonical(complete))


def clock_step(content: Content, head: Head, *, clock_fault: str | None = None) -> float | None:
    """Seconds by which the clock went back since the record before; None if it did not.

    Raises
    ------
    ForebayError
        If it went back by more than `CLOCK_TOLERANCE`, or is that far behind the issue time.
    """
    issued = parse_time(content["issue_time"])
    if issued - head.now > CLOCK_TOLERANCE:
        raise ForebayError(
            f"the forecast of {content['dam']} was issued at {issued:%Y-%m-%d %H:%M:%S} UTC by this machine's clock, "
            f"but the archive's clock is at {head.now:%Y-%m-%d %H:%M:%S} UTC; set both clocks and run it again"
        )
    if head.recorded_at is None or head.now >= head.recorded_at:
        return None
    last = record_id(content["dam"], head.sequence)
    if head.recorded_at - head.now > CLOCK_TOLERANCE and clock_fault != last:
        raise ForebayError(
            f"the clock is at {head.now:%Y-%m-%d %H:%M:%S} UTC, before the last record {last} of "
            f"{head.recorded_at:%Y-%m-%d %H:%M:%S} UTC; set the clock and run it again or, if the clock is right now, "
            f"run it once with FOREBAY_CLOCK_FAULT={last}"
        )
    return (head.recorded_at - head.now).total_seconds()


def record_id(dam: str, sequence: int) -> str:
    """Id of a record: its dam and its number, which starts at 1."""
    return f"{dam}-{sequence}"


def parse_id(text: str) -> tuple[str, int]:
    """Dam and number of an id.

    Raises
    ------
    ConfigError
        If the text is no id.
    """
    dam, _, number = text.rpartition("-")
    if not dam or not number.isascii() or not number.isdecimal() or len(number) > 18:
        raise ConfigError(f"record {text!r} is no id; give one like demo-1, as `forebay record list` prints it")
    return dam, int(number)


def canonical(value: object) -> str:
    """Canonical JSON: sorted keys, no spaces, ASCII only; no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def row_of(payload: str) -> pl.DataFrame:
    """The row of `tables.RECORDS` with this text.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the text is no record.
    """
    content = json.loads(payload)
    row = {
        "dam": content["dam"],
        "sequence": content["sequence"],
        "recorded_at": parse_time(content["recorded_at"]),
        "issue_time": parse_time(content["issue_time"]),
        "init_date": date.fromisoformat(content["init_date"]),
        "retrospective": content["retrospective"],
        "replaces": content["replaces"],
        "hash": content_hash(payload),
        "previous": content["previous"],
        "payload": payload,
    }
    return RECORDS.check(pl.DataFrame([row], schema=RECORDS.columns, strict=True))


def chain_faults(pages: Iterable[pl.DataFrame], dam: str) -> list[str]:
    """Sentences on the faults of a dam's chain, by record; empty if there are none.

    Parameters
    ----------
    pages
        `tables.RECORDS` in the order of the chain, in parts.
    """
    faults: list[str] = []
    previous, number = NO_HASH, 0
    last_time: datetime | None = None
    for row in (row for page in pages for row in page.iter_rows(named=True)):
        name = record_id(str(row["dam"]), int(row["sequence"]))
        if row["sequence"] > number + 1:
            missing = record_id(dam, number + 1)
            faults.append(f"{missing} is missing" + (f" (up to {record_id(dam, row['sequence'] - 1)})"
                          if row["sequence"] > number + 2 else ""))  # fmt: skip
        elif row["sequence"] <= number:
            faults.append(f"{name} is not in the order of the chain, or occurs twice")
        elif row["previous"] != previous:
            faults.append(f"{name} does not follow the record before it: its previous hash is another one")
        faults += [f"{name}: {fault}" for fault in record_faults(row, dam, last_time)]
        previous, number, last_time = str(row["hash"]), int(row["sequence"]), row["recorded_at"]
    return faults


def record_faults(
    row: Mapping[str, Any],  # Any: values of columns
    dam: str,
    last_time: datetime | None = None,
) -> list[str]:
    """Faults of one record: its hash, its text, its columns, its time after that of the record before."""
    if content_hash(row["payload"]) != row["hash"]:
        return ["its content was changed: it has another hash"]
    try:
        content = json.loads(row["payload"])
        expected = row_of(row["payload"]).row(0, named=True)
        is_canonical = canonical(content) == row["payload"]
        is_whole = content_hash(canonical(content["dam_file"])) == content["dam_file_hash"]
        step = content["clock_step_s"]
    except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError, ForebayError):
        return ["its content is no record"]
    faults = [f"column {key} is {row[key]}, but its content has {value}" for key, value in expected.items()
              if row[key] != value]  # fmt: skip
    if not is_canonical or not is_whole or content["id"] != record_id(content["dam"], content["sequence"]):
        faults.append("its content is not in the form of a record")
    if row["dam"] != dam:
        faults.append(f"it is a record of {row['dam']}, not of {dam}")
    if last_time is not None and expected["recorded_at"] < last_time and step is None:
        faults.append("it is older than the record before it, and no step of the clock is recorded")
    return faults


@dataclass(frozen=True)
class Comparison:
    """A recorded forecast and its replay.

    Attributes
    ----------
    equal
        Whether all numbers of all models are equal to the last digit.
    leads
        lead_time, difference: largest absolute difference of the levels of `default`, null without a common row.
    differences
        Sentences on what differs besides the forecast: inputs, versions, machine.
    """

    equal: bool
    leads: pl.DataFrame
    differences: tuple[str, ...]


def compare(recorded: Content, recomputed: Content) -> Comparison:
    """Comparison of two contents of `record_content`."""
    both = [forecast_table(content).filter(pl.col("model") == DEFAULT_MODEL) for content in (recorded, recomputed)]
    pairs = both[0].join(both[1], on=("lead_time", "quantile"), how="full", coalesce=True, suffix="_again")
    difference = (pl.col("level") - pl.col("level_again")).abs().max().alias("difference")
    return Comparison(
        equal=all(canonical(recorded[part]) == canonical(recomputed[part]) for part in ("forecast", "probabilities")),
        leads=pairs.group_by("lead_time").agg(difference).sort("lead_time"),
        differences=(
            *_input_differences(recorded, recomputed),
            *_environment_differences(recorded, recomputed),
            *_probability_differences(recorded, recomputed),
        ),
    )


def _probability_differences(recorded: Content, recomputed: Content) -> list[str]:
    if canonical(recorded["probabilities"]) == canonical(recomputed["probabilities"]):
        return []
    return ["the probabilities of thresholds differ"]


def _input_differences(recorded: Content, recomputed: Content) -> list[str]:
    titles = {
        "known": "the daily table as first published",
        "newest": "the daily table as known at the issue time",
    }
    sentences = []
    old, new = recorded["inputs"], recomputed["inputs"]
    for key, title in titles.items():
        if old[key] != new[key]:
            sentences.append(f"{title} differs: the archive does not give the readings that it gave then")
    for forcing in sorted(old["forcings"].keys() | new["forcings"].keys()):
        if old["forcings"].get(forcing) != new["forcings"].get(forcing):
            sentences.append(f"the issues of forcing {forcing} until the issue time differ: its file was changed")
    return sentences


def _environment_differences(recorded: Content, recomputed: Content) -> list[str]:
    old, new = (_flat(content["environment"]) for content in (recorded, recomputed))
    return [
        f"{key} was {old.get(key, 'not installed')}, is {new.get(key, 'not installed')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _flat(environment: Mapping[str, Any]) -> dict[str, str]:  # Any: JSON values
    """Every entry by its key, with those of `libraries` beside the others."""
    libraries = environment.get("libraries", {})
    return {key: str(value) for key, value in {**environment, **libraries}.items() if key != "libraries"}


def input_digests(daily_tables: DailyTables, now: datetime) -> dict[str, object]:
    """Digests of what a forecast at `now` uses: the two daily tables, and each forcing as known then."""
    forcings = daily_tables.forcings.filter(pl.col("known_time") <= now)
    by_id = forcings.partition_by("forcing", as_dict=True, maintain_order=True)
    return {
        "known": table_digest(daily_tables.known),
        "newest": table_digest(daily_tables.newest),
        "forcings": {str(name): table_digest(rows) for (name,), rows in by_id.items()},
    }


def table_digest(table: pl.DataFrame) -> str:
    """SHA-256 of a table: per column its name and type, which values are null, and its values (docs/record.md)."""
    digest = hashlib.sha256()
    for column in table.iter_columns():
        digest.update(canonical([column.name, str(column.dtype), len(column)]).encode())
        digest.update(column.is_null().to_numpy().astype("u1").tobytes())
        if column.dtype == pl.String():
            texts = column.unique().drop_nulls().sort()
            digest.update(canonical(texts.to_list()).encode())
            codes = column.replace_strict(texts, range(len(texts)), default=0, return_dtype=pl.Int64)
            digest.update(codes.to_numpy().astype("<i8").tobytes())
        else:
            kind = "<f8" if column.dtype.is_float() else "<i8"
            digest.update(column.to_physical().fill_null(0).to_numpy().astype(kind).tobytes())
    return digest.hexdigest()


def quality_mask(daily: pl.DataFrame, flags: pl.DataFrame, init_date: date) -> list[list[object]]:
    """Spells [gauge, first day, last day, reason] of the `MASK_DAYS` days up to the init date, by gauge and day.

    Parameters
    ----------
    daily
        The daily table; its flags are those of the agency and of the range of values.
    flags
        `screen.flags.FLAGS`: those of the screen.
    """
    suffix = "_flag"
    of_days = [
        daily.select(pl.lit(name.removesuffix(suffix)).alias("gauge"), "date", pl.col(name).alias("reason"))
        for name in daily.columns
        if name.endswith(suffix)
    ]
    of_screen = flags.select("gauge", "date", "reason")
    first = init_date - timedelta(days=MASK_DAYS - 1)
    rows = pl.concat([*of_days, of_screen]).drop_nulls("reason").filter(pl.col("date").is_between(first, init_date))
    spells: list[list[object]] = []
    for gauge, day, reason in rows.unique().sort("gauge", "reason", "date").iter_rows():
        if spells and spells[-1][0] == gauge and spells[-1][3] == reason and spells[-1][2] == day - timedelta(days=1):
            spells[-1][2] = day
        else:
            spells.append([gauge, day, day, reason])
    return [[gauge, str(start), str(end), reason] for gauge, start, end, reason in spells]


def _time(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """Instant of a time in a record."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
