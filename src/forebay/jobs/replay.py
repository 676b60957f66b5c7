"""The replay of a recorded forecast: computed again from what the archive held at its issue time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.dam_content import dam_of_content
from forebay.forecasts.record import (
    Comparison,
    Content,
    Origin,
    compare,
    input_digests,
    parse_time,
    quality_mask,
    record_content,
)
from forebay.jobs.arguments import current_settings, local_execution, open_store
from forebay.jobs.environment import environment
from forebay.jobs.forecast import ForecastResult, forecast_dam
from forebay.jobs.record import content_of, find_record
from forebay.jobs.results import Result
from forebay.jobs.stored_tables import readable_tables
from forebay.log import log_fields, step

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.settings import Settings
    from forebay.verify.hindcast import Progress


@dataclass(frozen=True, repr=False)
class ReplayResult(Result):
    """A recorded forecast, the forecast computed again, and their comparison.

    Attributes
    ----------
    content
        Content of the record.
    again
        The forecast computed again; its `to_frame()` is that of the result.
    comparison
        Whether both are equal, and what differs.
    """

    content: Content = field(repr=False)
    again: ForecastResult
    comparison: Comparison

    def to_frame(self) -> pl.DataFrame:
        """`tables.FORECASTS` of the model `default`, computed again."""
        return self.again.to_frame()

    def title(self) -> str:
        """Record, and whether the replay is equal."""
        return f"{self.content['id']}, {'equal to the last digit' if self.comparison.equal else 'different'}"


@step("replay")
def replay(
    record: str,
    *,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> ReplayResult:
    """A recorded forecast computed again from the readings that the archive held at its issue time.

    It uses the recorded dam file, so that the present one does not matter.

    Parameters
    ----------
    record
        Id of the record, or the first digits of its hash.
    archive, settings, progress
        As in `forebay.forecast`.

    Raises
    ------
    DataError
        If there is no such record, or it was changed, or the archive does not hold its readings.
    ConfigError
        If a file of forcings no longer exists.
    """
    settings = settings or current_settings()
    with open_store(archive, settings, create=False) as store:
        content = content_of(find_record(store, record))
        dam = dam_of_content(content["dam_file"], settings.files.roots or ())
        now = parse_time(content["issue_time"])
        init_date = date.fromisoformat(content["init_date"]) if content["requested"] else None
        with log_fields({"dam": dam.id}):
            daily_tables = readable_tables(dam, store.snapshot(now), now=now, init_date=init_date)
    with log_fields({"dam": dam.id}):
        again = forecast_dam(dam, daily_tables, now=now, execution=local_execution(settings, progress))
    again = replace(again, issued=replace(again.issued, is_requested=content["requested"]))
    mask = quality_mask(daily_tables.newest, again.verification.samples.newest_flags, again.issued.init_date)
    origin = Origin(input_digests(daily_tables, now), environment(dam), mask)
    again_content = record_content(dam, again.issued, origin, again.outlook.probabilities)
    return ReplayResult(content, again, compare(content, again_content))
