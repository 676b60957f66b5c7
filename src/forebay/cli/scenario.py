"""Options of `forebay outlook` that ask for scenarios, and how they are printed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from forebay.cli.arguments import print_result
from forebay.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from forebay.dams.dam import Dam
    from forebay.forecasts.scenario import Scenario
    from forebay.jobs.scenario import ScenarioModel, ScenarioResult
    from forebay.settings import Settings


@Parameter(name="*")
@dataclass(frozen=True)
class ScenarioOptions:
    """Scenarios: what is given for the coming days."""

    rain: Annotated[
        str | None, Parameter(help="Scenario: rain of each coming day, 44,20,0 (mm) or 1.5,2in; the rest is dry.")
    ] = None
    wetness: Annotated[
        Literal["dry", "current", "wet"], Parameter(help="Wetness of the catchment before the rain of --rain.")
    ] = "current"
    release: Annotated[
        str | None, Parameter(help="Planned release of each coming day with its unit, such as 30,30,50m3/s.")
    ] = None
    preset: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="Scenario with a dry, the current and a wet catchment: none, 2in, 4in (in two days), forecast, "
            "half-forecast, double-forecast, or all; may be repeated.",
        ),
    ] = None
    until_full: Annotated[
        bool, Parameter(negative="", help="Show the rain that fills the dam with probability 10, 50 and 90%.")
    ] = False
    until: Annotated[
        str | None, Parameter(help="As --until-full, for a threshold of the dam file or a level in its unit.")
    ] = None

    @property
    def is_scenario(self) -> bool:
        """Whether any option of a scenario is set."""
        return self.rain is not None or bool(self.preset) or self.threshold is not None or self.release is not None

    @property
    def threshold(self) -> str | None:
        """Name or level of the threshold whose rain is asked for."""
        from forebay.dams.thresholds import FULL_SUPPLY

        return FULL_SUPPLY if self.until_full else self.until


def scenario_result(
    dam: Dam, options: ScenarioOptions, *, archive: str, settings: Settings, init_date: date | None
) -> ScenarioResult:
    """The answers of the scenarios that are asked for.

    Raises
    ------
    ConfigError
        If an option cannot be used; before any data are read where that is possible.
    """
    from forebay.cli import terminal
    from forebay.forecasts.scenario_text import (
        ALL_PRESETS,
        PRESETS,
        parse_rain,
        parse_release,
        preset_names,
        threshold_name,
    )
    from forebay.jobs import scenario as job

    if options.until_full and options.until is not None:
        raise ConfigError("--until-full and --until ask for two thresholds; give one of them")
    days = max(dam.hindcast.leads)
    rain = None if options.rain is None else parse_rain(options.rain, days)
    release = () if options.release is None else parse_release(options.release, days)
    presets = preset_names(options.preset or [], dam)
    if options.threshold is not None:
        threshold_name(options.threshold, dam)
    with terminal.progress() as progress:
        model = job.load_scenarios(
            dam,
            archive=archive,
            settings=settings,
            init_date=init_date,
            planned_release=options.release is not None,
            progress=progress,
        )
    result = model.answer(_scenarios(model, options, rain, release), until=options.threshold, release=release)
    if ALL_PRESETS in (options.preset or []) and len(presets) < len(PRESETS):
        left_out = ", ".join(name for name in PRESETS if name not in presets)
        note = f"Left out, because the dam file has no rain forecast: {left_out}."
        result = replace(result, notes=(*result.notes, note))
    return result


def _scenarios(
    model: ScenarioModel, options: ScenarioOptions, rain: tuple[float, ...] | None, release: tuple[float, ...]
) -> list[Scenario]:
    """The scenario of --rain, then those of the presets; with a release alone, one without rain."""
    from forebay.forecasts.scenario_text import rain_scenario

    scenarios = [] if rain is None else [rain_scenario(rain, release, options.wetness)]
    scenarios += model.presets(options.preset or [], release)
    if not scenarios and release and options.threshold is None:
        scenarios = model.presets(["none"], release)
    return scenarios


def print_scenarios(result: ScenarioResult, output: Path | None, as_json: bool) -> None:
    """Write the answers into the folder `output`, if there is one, and print them."""
    from forebay.jobs.scenario import write_scenarios

    files = [] if output is None else write_scenarios(result, output)
    print_result(scenario_json(result, files), as_json, lambda: _print_tables(result, files))


def scenario_json(result: ScenarioResult, files: list[Path]) -> dict[str, object]:
    """The answers as JSON: tables as lists of rows."""
    return {
        "dam": result.dam.id,
        "simulated": result.dam.simulated,
        "unit": result.dam.target.unit,
        "init_date": result.init_date,
        "level": result.level,
        "is_forecast": False,
        "scenarios": result.levels.to_dicts(),
        "probabilities": result.probabilities.to_dicts(),
        "least_rain": result.least_rain.to_dicts(),
        "notes": result.notes,
        "files": [str(path) for path in files],
    }


def _print_tables(result: ScenarioResult, files: list[Path]) -> None:
    """Print a row per scenario, the least rain, and the notes."""
    from forebay.charts.formats import TargetFormat
    from forebay.cli import terminal

    level = TargetFormat(result.dam).quantity(result.level)
    if result.scenarios:
        title = f"{result.dam.title}: level if this rain falls, from {result.init_date} ({level}); no forecast"
        terminal.table(title, scenario_cells(result))
    if len(result.least_rain):
        name = result.least_rain["threshold"][0].replace("_", " ")
        days = max(result.dam.hindcast.leads)
        title = f"{result.dam.title}: least rain that brings the level from {level} to {name} within {days} days"
        terminal.table(f"{title}, by its probability; no forecast", least_rain_cells(result.least_rain))
    for sentence in result.notes:
        terminal.line(f"  · {sentence}")
    for path in files:
        terminal.line(f"  {path}")


def scenario_cells(result: ScenarioResult) -> list[dict[str, object]]:
    """A row per scenario: median and 80% interval on two days, the change, and the probability of being full."""
    import polars as pl

    from forebay.charts.formats import NO_VALUE, TargetFormat
    from forebay.dams.thresholds import FULL_SUPPLY
    from forebay.tables import summary_leads

    target = TargetFormat(result.dam)
    leads = summary_leads(result.levels["lead_time"])[-2:]
    cells = []
    for scenario in result.scenarios:
        own = pl.col("scenario") == scenario.name, pl.col("wetness") == scenario.wetness
        levels = result.levels.filter(*own)
        cell: dict[str, object] = {
            "scenario": scenario.name,
            "rain": f"{sum(scenario.rain):.0f} mm",
            "catchment": scenario.wetness,
        }
        for lead in leads:
            at = levels.filter(pl.col("lead_time") == lead)
            low, median, high = (at.filter(pl.col("quantile") == q)["level"][0] for q in (0.1, 0.5, 0.9))
            cell[f"day {lead}"] = target.quantity(median)
            cell[f"day {lead}: 10–90%"] = f"{target.number(low)} … {target.number(high)}"
        cell["change"] = target.quantity(median - result.level, signed=True)
        full = result.probabilities.filter(
            *own, pl.col("threshold") == FULL_SUPPLY, pl.col("kind") == "by", pl.col("lead_time") == leads[-1]
        )
        cell[f"full by day {leads[-1]}"] = _share_of_paths(full["probability"][0]) if len(full) else NO_VALUE
        cells.append(cell)
    return cells


def _share_of_paths(share: float) -> str:
    """A probability from 50 sample paths as whole percent; none or all of them do not make it certain.

    >>> _share_of_paths(0.0), _share_of_paths(0.42), _share_of_paths(1.0)
    ('< 2%', '42%', '> 98%')
    """
    return "< 2%" if share <= 0 else "> 98%" if share >= 1 else f"{100 * share:.0f}%"


def least_rain_cells(table: pl.DataFrame) -> list[dict[str, object]]:
    """A row per number of hours with the rain of each probability; * marks an extrapolation."""
    import polars as pl

    cells = []
    for hours in table["hours"].unique(maintain_order=True).to_list():
        rows = table.filter(pl.col("hours") == hours)
        cell: dict[str, object] = {"rain within": f"{hours} h"}
        for row in rows.iter_rows(named=True):
            mark = "*" if row["extrapolates"] else ""
            rain = "not reached" if row["rain"] is None else f"{row['rain']:,.0f} mm{mark}"
            cell[f"{100 * row['probability']:.0f}%"] = rain
        cells.append(cell)
    return cells
