"""The scenario job: the level if so much rain falls, and the rain that a level takes; fetches nothing.

`load_scenarios` takes as long as a hindcast. The model that it returns answers each further question at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.days.daily import usable_values
from forebay.errors import ConfigError
from forebay.features.forcings import observed_values
from forebay.features.known_ahead import KNOWN_RELEASE, known_ahead
from forebay.features.samples import samples_of, with_other_forcings
from forebay.files import write_all
from forebay.forecasts.least_rain import least_rain, least_rain_sentences
from forebay.forecasts.rain_forecast import RainForecast, rain_forecast
from forebay.forecasts.scenario_day import scenario_day
from forebay.forecasts.scenario_tables import probability_rows, scenario_rows, sentences
from forebay.forecasts.scenario_text import PRESET_FORECASTS, preset_names, preset_scenarios, threshold_levels
from forebay.jobs.arguments import as_dam, current_settings, local_execution, open_store
from forebay.jobs.results import Result
from forebay.jobs.stored_tables import readable_tables
from forebay.log import log_fields
from forebay.tables import LEAST_RAIN
from forebay.verify.hindcast import SEQUENTIAL, Execution, Progress
from forebay.verify.known_rain import known_rain_hindcast

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.features.daily_tables import DailyTables
    from forebay.features.samples import Samples
    from forebay.forecasts.scenario import Scenario, ScenarioDay
    from forebay.settings import Settings


@dataclass(frozen=True, repr=False)
class ScenarioResult(Result):
    """Answers of scenarios: no forecast.

    Attributes
    ----------
    dam, init_date, level
        The dam, and the day and the level that the scenarios start from.
    scenarios
        The scenarios, in the order of the tables.
    levels, probabilities
        `tables.SCENARIOS` and `tables.SCENARIO_PROBABILITIES`.
    least_rain
        `tables.LEAST_RAIN`; empty unless it was asked for.
    notes
        Sentences on what the scenarios leave open, and on what lies beyond the training record.
    """

    dam: Dam
    init_date: date
    level: float
    scenarios: tuple[Scenario, ...]
    levels: pl.DataFrame
    probabilities: pl.DataFrame
    least_rain: pl.DataFrame
    notes: tuple[str, ...]

    def to_frame(self) -> pl.DataFrame:
        """`tables.SCENARIOS`."""
        return self.levels

    def title(self) -> str:
        """Dam and init date."""
        return f"{self.dam.title}, scenarios from {self.init_date}"


@dataclass(frozen=True)
class ScenarioModel:
    """The scenarios of one dam and init date.

    Attributes
    ----------
    dam
        The dam as its dam file describes it.
    day
        What the init date knows.
    forecast
        The dam's rain forecast for the coming days; None if the dam file has none.
    """

    dam: Dam
    day: ScenarioDay
    forecast: RainForecast | None

    def answer(
        self, scenarios: Sequence[Scenario], *, until: str | None = None, release: tuple[float, ...] = ()
    ) -> ScenarioResult:
        """Levels of `scenarios`, and with `until` the rain that brings the level to this threshold.

        Parameters
        ----------
        scenarios
            In the order of the tables.
        until
            `FULL_SUPPLY`, the name of a threshold of the dam file, or a level in the target's unit.
        release
            Planned release of each day (m³/s) with which `until` reckons.

        Raises
        ------
        ConfigError, DataError
            If the threshold is unknown.
        """
        rain, notes = LEAST_RAIN.empty(), []
        if until is not None:
            name, levels = threshold_levels(until, self.day, self.dam)
            rain = least_rain(self.day, self.dam.id, name, levels, release)
            notes = list(least_rain_sentences(rain))
        answers = self.day.answer(scenarios)
        return ScenarioResult(
            dam=self.dam,
            init_date=self.day.init_date,
            level=self.day.level,
            scenarios=tuple(scenarios),
            levels=scenario_rows(answers, self.dam),
            probabilities=probability_rows(answers, self.dam),
            least_rain=rain,
            notes=(*sentences(scenarios, self.day), *notes),
        )

    def presets(self, names: Sequence[str], release: tuple[float, ...] = ()) -> list[Scenario]:
        """Scenarios of the presets `names`, each with a dry, the current and a wet catchment.

        Raises
        ------
        ConfigError
            If a name is unknown, or if the dam has no rain forecast for a preset that needs one.
        """
        known = preset_names(names, self.dam)
        rain: tuple[float, ...] = ()
        if self.forecast is not None and any(name in PRESET_FORECASTS for name in known):
            rain = self.forecast.daily(self.day.init_date)
        return preset_scenarios(known, rain, release)


def load_scenarios(
    dam: Dam | str | Path,
    *,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    init_date: date | None = None,
    planned_release: bool = False,
    progress: Progress | None = None,
) -> ScenarioModel:
    """The scenarios of a dam, from what the archive holds; fetches nothing.

    Parameters
    ----------
    dam, archive, settings, init_date, progress
        As in `forebay.forecast`.
    planned_release
        Whether scenarios give a planned release.

    Raises
    ------
    DataError, ConfigError, ModelError
        If scenarios are not possible; the message states what to do.
    """
    settings = settings or current_settings()
    dam = as_dam(dam, settings)
    check_gauges(dam, planned_release=planned_release)
    with log_fields({"dam": dam.id}):
        with open_store(archive, settings, create=False) as store:
            daily_tables = readable_tables(dam, store, now=datetime.now(UTC), init_date=init_date)
        execution = local_execution(settings, progress)
        samples = samples_of(daily_tables, dam)
        return scenarios_of(dam, daily_tables, samples, planned_release=planned_release, execution=execution)


def check_gauges(dam: Dam, *, planned_release: bool) -> None:
    """Raise `ConfigError` if the dam lacks the gauges that scenarios learn from."""
    if not dam.columns("rainfall"):
        raise ConfigError(
            f"{dam.name} has no rain gauge, so its scenarios have no past rain to learn from; add a gauge with "
            'role = "rainfall" to the dam file'
        )
    if planned_release and not dam.columns("release"):
        raise ConfigError(
            f"{dam.name} has no release gauge, so --release has no past release to compare with; leave it out, or add "
            'a gauge with role = "release" to the dam file'
        )


def scenarios_of(
    dam: Dam,
    daily_tables: DailyTables,
    samples: Samples,
    *,
    planned_release: bool = False,
    execution: Execution = SEQUENTIAL,
) -> ScenarioModel:
    """The scenarios of a dam from its daily tables and the samples of its forecast; `check_gauges` has passed."""
    newest = usable_values(daily_tables.newest, dam)
    scenario_dam, known = known_ahead(newest, dam, max(dam.hindcast.leads), planned_release=planned_release)
    ids = [name for forcing in scenario_dam.forcings for name in forcing.series]
    issues = pl.concat([daily_tables.forcings.filter(pl.col("forcing").is_in(ids)), known])
    with_rain = with_other_forcings(samples, issues, scenario_dam)
    hindcast = known_rain_hindcast(with_rain, scenario_dam, planned_release=planned_release, execution=execution)
    release = observed_values(newest, KNOWN_RELEASE, dam) if planned_release else None
    day = scenario_day(hindcast, scenario_dam, release)
    return ScenarioModel(dam, day, rain_forecast(daily_tables.forcings, dam, daily_tables.init_date))


def write_scenarios(result: ScenarioResult, folder: Path, progress: Progress | None = None) -> list[Path]:
    """Paths of the files in `folder`: scenario.csv, its probabilities, the least rain, and the chart of the levels.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    from forebay.charts import drawing
    from forebay.charts.scenario import scenario_figure

    with log_fields({"dam": result.dam.id}), write_all(folder) as files:
        if len(result.levels):
            result.levels.write_csv(files.stage / "scenario.csv")
        if len(result.probabilities):
            result.probabilities.write_csv(files.stage / "scenario_probabilities.csv")
        if len(result.least_rain):
            result.least_rain.write_csv(files.stage / "least_rain.csv")
        if result.scenarios:
            figure = scenario_figure(result.levels, result.dam, result.init_date, result.level)
            pictures = drawing.start_drawing([("scenario", figure.file_spec())])
            drawing.write_pictures(pictures, files.stage, progress)
    return files.paths
