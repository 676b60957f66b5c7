"""Scores of recorded forecasts beside those of the hindcast, on the same days."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay import metrics
from forebay.errors import DataError
from forebay.features.samples import samples_of
from forebay.jobs.arguments import as_dam, current_settings, local_execution, open_store
from forebay.jobs.record import forecasts_of, issued_contents
from forebay.jobs.results import Result
from forebay.jobs.stored_tables import readable_tables
from forebay.log import add_counts, log_fields, step
from forebay.tables import DEFAULT_MODEL, QUANTILES, Table
from forebay.verify.verification import verify_hindcast

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.settings import Settings
    from forebay.verify.hindcast import Progress

RECORD_SCORES = Table(
    "record scores",
    {
        "dam": pl.String(),
        "forecasts": pl.String(),  # "issued", or "hindcast" of the same days
        "lead_time": pl.Int32(),
        "n": pl.Int64(),
        "mae": pl.Float64(),  # dam's unit
        "pinball": pl.Float64(),  # dam's unit; mean over the quantiles
        "coverage_80": pl.Float64(),
        "coverage_90": pl.Float64(),
    },
    ("dam", "forecasts", "lead_time"),
)
"""Scores of issued forecasts and of the hindcast on the same init dates."""
_INDEX = ("init_date", "lead_time", "valid_date")


@dataclass(frozen=True, repr=False)
class RecordScores(Result):
    """Scores of the recorded forecasts of a dam (`RECORD_SCORES`).

    Attributes
    ----------
    left_out
        Sentences on recorded forecasts that are not scored.
    """

    dam: Dam
    table: pl.DataFrame = field(repr=False)
    left_out: tuple[str, ...] = ()

    def to_frame(self) -> pl.DataFrame:
        """`RECORD_SCORES`: two rows per lead time."""
        return self.table

    def title(self) -> str:
        """Dam and number of scored forecasts."""
        counts = self.table.filter(pl.col("forecasts") == "issued")["n"]
        return f"{self.dam.title}, recorded forecasts of {max(counts, default=0)} init dates"


@step("score_record")
def score_record(
    dam: Dam | str | Path,
    *,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> RecordScores:
    """Scores of the recorded forecasts of a dam beside those of its hindcast, on the same init dates and lead times.

    The last issued forecast of each init date counts, no retrospective one. Both are compared with the newest
    observed level of the valid date.

    Parameters
    ----------
    dam, archive, settings, progress
        As in `forebay.forecast`.

    Raises
    ------
    DataError
        If the archive has no record of the dam, or a record was changed.
    """
    settings = settings or current_settings()
    dam = as_dam(dam, settings)
    with log_fields({"dam": dam.id}):
        with open_store(archive, settings, create=False) as store:
            contents = [content for content, _ in issued_contents(store, dam.id)]
            if not contents:
                raise DataError(f"the archive has no issued forecast of {dam.name}; `forebay forecast` stores one")
            daily_tables = readable_tables(dam, store, now=datetime.now(UTC))
        same = [content for content in contents if content["dam_file"]["target"] == dam.target.model_dump()]
        samples = samples_of(daily_tables, dam)
        verification = verify_hindcast(samples, dam, daily_tables.known, execution=local_execution(settings, progress))
        observed = pl.DataFrame({"valid_date": samples.dates.astype("datetime64[ms]"), "observed": samples.observed})
        observed = observed.select(pl.col("valid_date").cast(pl.Date), "observed").drop_nans()
        table, left_out = score_pairs(dam, forecasts_of(same), verification.forecasts, observed)
        if len(same) < len(contents):
            count = len(contents) - len(same)
            left_out.append(f"{count} forecasts have another target, unit or datum than the dam file has now")
        return RecordScores(dam, table, tuple(left_out))


def score_pairs(
    dam: Dam, issued: pl.DataFrame, hindcast: pl.DataFrame, observed: pl.DataFrame
) -> tuple[pl.DataFrame, list[str]]:
    """`RECORD_SCORES` of two tables of forecasts (`tables.FORECASTS`), and sentences on what is not scored.

    Only the model `default` counts, and only an init date and lead time with all quantiles in both tables and an
    observed level.

    Parameters
    ----------
    observed
        valid_date, observed: levels in the dam's unit.
    """
    wide = {"issued": _quantiles(issued), "hindcast": _quantiles(hindcast)}
    due = wide["issued"].join(observed, on="valid_date")
    common = due.join(wide["hindcast"], on=_INDEX, how="semi").select(*_INDEX, "observed").sort(_INDEX)
    rows = [
        {"dam": dam.id, "forecasts": name} | _scores(lead, table.join(days, on=_INDEX, maintain_order="right"))
        for (lead,), days in common.partition_by("lead_time", as_dict=True).items()
        for name, table in wide.items()
    ]
    add_counts({"scored": common.height})
    reasons = {
        "have no observed level yet": wide["issued"].height - due.height,
        "have no hindcast of the same day": due.height - common.height,
    }
    sentences = [f"{count} forecasts of a lead time {reason}" for reason, count in reasons.items() if count]
    return RECORD_SCORES.check(pl.DataFrame(rows, schema=RECORD_SCORES.columns), unique=True), sentences


def _quantiles(forecasts: pl.DataFrame) -> pl.DataFrame:
    """A row per init date and lead time of `default` that has all quantiles, a column per quantile."""
    names = [str(quantile) for quantile in QUANTILES]
    rows = forecasts.filter(pl.col("model") == DEFAULT_MODEL)
    if rows.is_empty():
        return rows.select(_INDEX).with_columns(pl.lit(None, pl.Float64).alias(name) for name in names)
    wide = rows.pivot("quantile", index=_INDEX, values="level")
    absent = [pl.lit(None, pl.Float64).alias(name) for name in names if name not in wide.columns]
    return wide.with_columns(absent).drop_nulls(names)


def _scores(lead: object, rows: pl.DataFrame) -> dict[str, object]:
    """Scores of rows with a column per quantile and the observed level."""
    quantiles = rows.select(str(quantile) for quantile in QUANTILES).to_numpy()
    observed = rows["observed"].to_numpy()
    column = {quantile: quantiles[:, k] for k, quantile in enumerate(QUANTILES)}
    return {
        "lead_time": lead,
        "n": len(observed),
        "mae": metrics.mae(column[0.5], observed),
        "pinball": metrics.pinball(quantiles, observed, QUANTILES),
        "coverage_80": metrics.coverage(column[0.1], column[0.9], observed),
        "coverage_90": metrics.coverage(column[0.05], column[0.95], observed),
    }
