"""The hindcast job: the accuracy of past forecasts, from the readings in the archive; fetches nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.delays import with_late_drivers
from forebay.days.daily import usable_values
from forebay.errors import ConfigError, ModelError
from forebay.features.daily_tables import DailyTables, add_uncoded
from forebay.features.known_ahead import perfect_rain
from forebay.features.samples import Samples, make_samples, samples_of
from forebay.files import write_all
from forebay.jobs.arguments import as_dam, current_settings, local_execution, open_store
from forebay.jobs.datasets import forecast_dataset
from forebay.jobs.forecast_value import with_perfect_forecasts, without_forecasts
from forebay.jobs.results import Result
from forebay.jobs.stored_tables import readable_tables, write_parquet
from forebay.log import log_fields
from forebay.tables import DEFAULT_MODEL, FORECASTS
from forebay.verify.hindcast import SEQUENTIAL, Execution, Progress
from forebay.verify.tables import SCORES
from forebay.verify.verification import Verification, verify_hindcast

if TYPE_CHECKING:
    import xarray

    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.settings import Settings

ON_TIME = "on_time"
"""Name of the hindcast itself; the names of the others are those of `VARIANTS`."""


@dataclass(frozen=True, repr=False)
class HindcastResult(Result):
    """Hindcasts of one dam by name: `on_time`, then those of `VARIANTS`."""

    dam: Dam
    hindcasts: Mapping[str, Verification]

    @property
    def verification(self) -> Verification:
        """The hindcast on time with its scores and diagnostics."""
        return self.hindcasts[ON_TIME]

    @property
    def scores(self) -> pl.DataFrame:
        """Scores of the hindcast on time (`verify.tables.SCORES`)."""
        return self.verification.scores

    def to_frame(self) -> pl.DataFrame:
        """`tables.FORECASTS` of the model `default` on every init date of the hindcast on time."""
        return self.verification.forecasts.filter(pl.col("model") == DEFAULT_MODEL)

    def to_xarray(self) -> xarray.Dataset:
        """The forecasts as a dataset by the CF conventions (`datasets.forecast_dataset`)."""
        return forecast_dataset(self.to_frame(), self.dam)

    def title(self) -> str:
        """Dam and init dates."""
        dates = self.to_frame()["init_date"].unique().sort().to_list()
        days = f"{len(dates)} init dates, {dates[0]} to {dates[-1]}" if dates else "no init date"
        return f"{self.dam.title}, {days}"


def hindcast(
    dam: Dam | str | Path,
    *,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    variants: Sequence[str] = (),
    progress: Progress | None = None,
) -> HindcastResult:
    """Hindcast of a dam with its scores, from what the archive holds; fetches nothing.

    Parameters
    ----------
    dam, archive, settings, progress
        As in `forebay.forecast`.
    variants
        Names of `VARIANTS`: hindcasts with other inputs, to compare with.

    Raises
    ------
    DataError, ConfigError, ModelError
        If a hindcast is not possible, or a variant is unknown; the message states what to do.
    """
    settings = settings or current_settings()
    dam = as_dam(dam, settings)
    for name in variants:
        if name not in VARIANTS:
            raise ConfigError(f"variant {name!r} is unknown; allowed are {', '.join(VARIANTS)}")
    with log_fields({"dam": dam.id}):
        with open_store(archive, settings, create=False) as store:
            now = datetime.now(UTC)
            daily_tables = readable_tables(dam, store, now=now)
            if "screens_for_codes" in variants:
                daily_tables = add_uncoded(daily_tables, dam, store, now=now)
        return hindcast_dam(dam, daily_tables, variants=variants, execution=local_execution(settings, progress))


def hindcast_dam(
    dam: Dam, daily_tables: DailyTables, *, variants: Sequence[str] = (), execution: Execution = SEQUENTIAL
) -> HindcastResult:
    """Hindcasts of a dam from its daily tables: on time, then each of `variants`.

    All are scored on the same days and in the same regimes, those of the hindcast on time.
    """
    samples = samples_of(daily_tables, dam)
    known = daily_tables.known
    hindcasts = {ON_TIME: verify_hindcast(samples, dam, known, execution=execution)}
    for name in variants:
        _, make = VARIANTS[name]
        variant, variant_dam = make(dam, daily_tables)
        variant = replace(
            samples,
            inputs=variant.inputs,
            forcing_inputs=variant.forcing_inputs,
            regimes=variant.regimes,
            outages=variant.outages,
        )
        # The rows of the same dam with other inputs would take the place of those that a forecast continues.
        own = replace(execution, hindcasts=None)
        hindcasts[name] = verify_hindcast(variant, variant_dam, known, regimes=samples.regimes, execution=own)
    return HindcastResult(dam, hindcasts)


def _late_drivers(dam: Dam, daily_tables: DailyTables) -> tuple[Samples, Dam]:
    late = with_late_drivers(dam)
    forcings = daily_tables.forcings.with_columns(pl.col("known_time") + timedelta(days=1))
    return make_samples(daily_tables.known, daily_tables.newest, late, forcings, daily_tables.late), late


def _screens_for_codes(dam: Dam, daily_tables: DailyTables) -> tuple[Samples, Dam]:
    """Samples without the agencies' quality codes and without the dam file's `verification_exclude`.

    Inputs cannot know the excluded spells, just as they cannot know a code that an agency sets weeks later. No level
    is missing here: a level with the code "unavailable" has a number too, even if it is wrong.
    """
    if daily_tables.uncoded is None:
        raise ModelError("the daily tables have no version without quality codes; call add_uncoded first")
    bare = dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"verification_exclude": ()})})
    samples = make_samples(*daily_tables.uncoded, bare, daily_tables.forcings, daily_tables.late)
    return replace(samples, outages=None), dam


def _perfect_rain(dam: Dam, daily_tables: DailyTables) -> tuple[Samples, Dam]:
    newest = usable_values(daily_tables.newest, dam)
    perfect_dam, rain = perfect_rain(newest, dam, max(dam.hindcast.leads))
    forcings = pl.concat([daily_tables.forcings, rain])
    return make_samples(daily_tables.known, daily_tables.newest, perfect_dam, forcings, daily_tables.late), perfect_dam


VARIANTS: dict[str, tuple[str, Callable[[Dam, DailyTables], tuple[Samples, Dam]]]] = {
    "late_drivers": ("every driver known a day later", _late_drivers),
    "screens_for_codes": ("quality codes ignored in the inputs, only our own screen", _screens_for_codes),
    "perfect_rain": ("observed future rain as a forecast: an upper bound, not a forecast", _perfect_rain),
    "without_forecasts": ("without the forecasts and plans of the dam file", without_forecasts),
    "perfect_forecasts": (
        "observed values in place of the forecast ones: an upper bound, not a forecast",
        with_perfect_forecasts,
    ),
}
"""Hindcasts with other inputs: name → description, and the function that returns their samples and their dam."""


def write_hindcast(result: HindcastResult, folder: Path, progress: Progress | None = None) -> list[Path]:
    """Paths of the files in `folder`: scores, forecasts, diagnostics and their charts.

    The files of the hindcast on time have the names that `forebay run` uses; those of a variant end in its name.
    `progress` is as in `hindcast`, for the drawing of the figures.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    from forebay.charts import drawing
    from forebay.charts.diagnostics import diagnostic_figures
    from forebay.charts.report_tables import heading_of

    with log_fields({"dam": result.dam.id}), write_all(folder) as files:
        for name, verification in result.hindcasts.items():
            suffix = "" if name == ON_TIME else f"_{name}"
            SCORES.check(verification.scores).write_csv(files.stage / f"scores{suffix}.csv")
            write_parquet(FORECASTS.check(verification.forecasts), files.stage / f"hindcast{suffix}.parquet")
            if result.dam.substitutes:
                verification.samples.substitutions.write_csv(files.stage / f"substitutions{suffix}.csv")
            for table, rows in verification.diagnostics.by_name().items():
                rows.write_csv(files.stage / f"{table}{suffix}.csv")
        figures = diagnostic_figures(result.verification.diagnostics, heading_of(result.dam))
        pictures = drawing.start_drawing((name, figure.file_spec()) for name, figure in figures.items())
        drawing.write_pictures(pictures, files.stage, progress)
    return files.paths
