"""Readings of one gauge from its source: complete spans, of the gauge's own series, none in the future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.csv_layout import content_text
from forebay.dams.local_time import to_local
from forebay.errors import DataError, ForebayError, SourceError
from forebay.log import add_counts, log_fields, step
from forebay.tables import READINGS
from forebay.text import printable

if TYPE_CHECKING:
    from forebay.archive.spans import Span
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import Settings
    from forebay.sources import Fetch


@dataclass(frozen=True)
class GaugeReadings:
    """Readings of a gauge, complete for each span before the first that failed, and the error of that one.

    `future` counts readings that were left out because they lie in the future; `note` names the first of them.
    """

    readings: pl.DataFrame
    error: SourceError | DataError | None
    future: int = 0
    note: str | None = None


def fetch_spans(
    fetch: Fetch, gauge: Gauge, dam: Dam, spans: Sequence[Span], *, settings: Settings, now: datetime
) -> GaugeReadings:
    """Readings of the gauge on `spans`, up to the first that fails."""
    with log_fields({"dam": dam.id, "gauge": gauge.column}), step("fetch"):
        fetched = _fetch_spans(fetch, gauge, dam, spans, settings=settings, now=now)
        times = fetched.readings["time"]
        add_counts({"source": gauge.source, "station": gauge.station, "rows": len(times)})
        add_counts({"first": times.min(), "last": times.max()} if len(times) else {})
        add_counts({"future": fetched.future} if fetched.future else {})
        add_counts({"error": str(fetched.error)} if fetched.error else {})
    return fetched


def _fetch_spans(
    fetch: Fetch, gauge: Gauge, dam: Dam, spans: Sequence[Span], *, settings: Settings, now: datetime
) -> GaugeReadings:
    """Readings of the gauge on `spans`, up to the first that fails; not logged."""
    parts = [READINGS.empty()]
    error: SourceError | DataError | None = None
    for since, until in spans:
        try:
            parts.append(_check_series(fetch(gauge, dam, since, until, settings=settings, now=now), gauge))
        except (SourceError, DataError) as span_error:
            error = span_error
            break
        except ForebayError:
            raise
        except Exception as unexpected:  # of one gauge: it must not stop the others
            reason = content_text(printable(" ".join(str(unexpected).split()))[:200], gauge.file)
            error = SourceError(
                f"{gauge.source}, station {gauge.station}: {type(unexpected).__name__}: {reason}; please report it"
            )
            error.__cause__ = unexpected
            break
    return _without_future(GaugeReadings(pl.concat(parts), error), gauge, dam, now)


def _without_future(fetched: GaugeReadings, gauge: Gauge, dam: Dam, now: datetime) -> GaugeReadings:
    """The readings until `now`; those after it are counted, and the first of them is named.

    A service may have a cell for each hour that is still to come, so only its values count.
    """
    readings, error = fetched.readings, fetched.error
    has_content = pl.col("value" if gauge.file is None else "raw_value").is_not_null()
    future = readings.filter(pl.col("time") > now, has_content).unique("time", keep="first").sort("time")
    past = readings.filter(pl.col("time") <= now)
    if future.is_empty():
        return GaugeReadings(past, error)
    clock = "%Y-%m-%d" if gauge.interval == "day" else "%Y-%m-%d %H:%M"
    first = future.select(to_local(pl.col("time"), dam.time_zone).dt.strftime(clock))["time"][0]
    first = content_text(first, gauge.file)
    source = gauge.file_names or f"source {gauge.source}"
    advice = "correct the clock of this machine if it is wrong, or report it to the service"
    if gauge.file is not None:
        years = " (a year of two digits may be of another century or era)" if "%y" in gauge.file.date_format else ""
        advice = f"correct its date, or date_format, stamp or time_zone in the dam file{years}"
    is_without_past = past.is_empty() if gauge.file is None else past["value"].null_count() == past.height
    if is_without_past and error is None:
        error = SourceError(
            f"{source}: every reading lies in the future ({future.height:,}, the first of {first}); {advice}"
        )
        return GaugeReadings(READINGS.empty(), error, future.height)
    count, verb = ("1 reading lies", "is") if future.height == 1 else (f"{future.height:,} readings lie", "are")
    note = f"{source}: {count} in the future and {verb} left out, the first of {first}; {advice}"
    return GaugeReadings(past, error, future.height, note)


def _check_series(readings: pl.DataFrame, gauge: Gauge) -> pl.DataFrame:
    """`readings` if all belong to the series of the gauge; the archive must not store readings that nothing reads."""
    readings = READINGS.check(readings)
    for name, expected in gauge.series.items():
        foreign = readings.filter(pl.col(name).ne_missing(expected))
        if foreign.height:
            raise DataError(
                f"source {gauge.source} gave {name} {foreign[name][0]!r} where gauge {gauge.column} has {expected!r}; "
                "none of its readings was stored: report this as a fault of the source"
            )
    return readings
