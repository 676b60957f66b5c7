"""Scenarios in a request: they are computed from what the last refresh has learned, and nothing is fitted."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from forebay.dams.variables import VARIABLES
from forebay.errors import ConfigError, ForebayError
from forebay.files import file_stamp
from forebay.forecasts.scenario_text import daily_amounts, rain_scenario
from forebay.jobs.scenario_files import FILES, read_scenario_model
from forebay.web import answers
from forebay.web.answers import source_of
from forebay.web.memory import Memory
from forebay.web.rates import Rate

if TYPE_CHECKING:
    from datetime import date

    from forebay.dams.dam import Dam
    from forebay.jobs.scenario import ScenarioModel, ScenarioResult

MODELS_IN_MEMORY = 16
"""Scenario models that stay in memory, the last ones that were used; each takes some megabytes."""
OPEN_PER_SECOND, OPEN_AT_ONCE = 10.0, 30
"""Scenarios without a token, of all clients together."""
MAX_DAYS = 366
READY_S = 0.5
"""Seconds between two looks for a new file of the dams whose scenarios are kept ready."""
READY_DAMS = MODELS_IN_MEMORY // 2
"""Dams whose scenarios are kept ready; each has a model without and one with a planned release."""

Amount = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Amounts = Annotated[list[Amount], Field(max_length=MAX_DAYS)]


class ScenarioRequest(BaseModel):
    """Rain of the coming days, and what else is given."""

    model_config = ConfigDict(extra="forbid")

    rain: Amounts = Field(default=[], description="Rain of each coming day; the other days are dry.")
    release: Amounts = Field(
        default=[], description="Planned release of each coming day; the last value continues. Empty: unknown."
    )
    rain_unit: Literal["mm", "in", "cm"] = "mm"
    release_unit: str | None = Field(
        default=None, max_length=20, description="By default the unit of the dam's release gauge."
    )
    wetness: Literal["dry", "current", "wet"] = Field(
        default="current", description="Wetness of the catchment before the rain."
    )


class Scenarios:
    """The scenarios of the dams of a server; each file is read when it is first needed, or has changed.

    Parameters
    ----------
    folder
        Folder in which a refresh writes one folder for each dam.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._models: Memory[ScenarioModel] = Memory(MODELS_IN_MEMORY)
        self._lock = threading.Lock()
        self._expected: OrderedDict[str, Dam] = OrderedDict()
        self.rate = Rate(OPEN_PER_SECOND, burst=OPEN_AT_ONCE)

    def model(self, dam: str, *, planned_release: bool) -> ScenarioModel:
        """What the last refresh has learned for the scenarios of a dam.

        Raises
        ------
        DataError, ModelError
            If there is nothing, or it cannot be read.
        """
        folder = self._folder / dam
        return self._models.get(
            (dam, planned_release),
            file_stamp(folder / FILES[planned_release]),
            lambda: read_scenario_model(folder, planned_release=planned_release),
        )

    def expect(self, dam: Dam) -> None:
        """Keep the scenarios of a dam ready, because somebody looks at it; those of the last few dams stay so."""
        with self._lock:
            self._expected[dam.id] = dam
            self._expected.move_to_end(dam.id)
            while len(self._expected) > READY_DAMS:
                self._expected.popitem(last=False)

    def keep_ready(self, end: threading.Event) -> None:
        """Read the files of the expected dams before anybody asks, and again after each change, until `end` is set.

        So the first answer of a day is as fast as the others.
        """
        last: dict[tuple[str, bool], ScenarioModel] = {}
        while not end.wait(READY_S):
            with self._lock:
                expected = list(self._expected.values())
            for dam in reversed(expected):
                for planned in (False, True) if release_unit_of(dam) else (False,):
                    self._make_ready((dam.id, planned), last)

    def _make_ready(self, key: tuple[str, bool], last: dict[tuple[str, bool], ScenarioModel]) -> None:
        """Read a model that is not in `last`, and evaluate it once."""
        with suppress(ForebayError):  # the sentence of an answer says what is missing
            model = self.model(key[0], planned_release=key[1])
            if last.get(key) is not model:
                last[key] = model
                model.answer([rain_scenario((), (0.0,) if key[1] else (), "current")])

    def answer(self, dam: Dam, body: ScenarioRequest, newest: date | None) -> answers.Scenario:
        """The answer to a request.

        Parameters
        ----------
        newest
            Init date of the newest forecast.

        Raises
        ------
        ConfigError
            If an amount, or the unit of the release, is not possible.
        DataError, ModelError
            As `model` does.
        """
        release_unit = _release_unit(dam, body)
        days = max(dam.hindcast.leads)
        rain = daily_amounts("rain", "rainfall", [(value, body.rain_unit) for value in body.rain], days)
        release = daily_amounts("release", "release", [(value, release_unit) for value in body.release], days)
        model = self.model(dam.id, planned_release=bool(release))
        result = model.answer([rain_scenario(rain, release, body.wetness)])
        notes = list(result.notes)
        if newest is not None and newest != result.init_date:
            notes.append(
                f"This scenario starts from {result.init_date}, and the newest forecast from {newest}: the refresh has "
                "not written its scenarios yet, or could not."
            )
        return answers.Scenario(
            **source_of(result.dam),
            init_date=result.init_date,
            start_level=result.level,
            wetness=body.wetness,
            rain=body.rain,
            rain_unit=body.rain_unit,
            release=body.release,
            release_unit=release_unit or None,
            forecast=_levels(result),
            probabilities=_probabilities(result),
            notes=notes,
        )

    def limits(self, dam: Dam) -> answers.ScenarioLimits:
        """What a scenario of a dam may give; raises as `model`."""
        model, unit = self.model(dam.id, planned_release=False), release_unit_of(dam)
        day, rain = model.day, VARIABLES["rainfall"]
        releases = None if unit is None else self.model(dam.id, planned_release=True).day.releases
        flow = VARIABLES["release"]
        return answers.ScenarioLimits(
            **source_of(model.dam),
            init_date=day.init_date,
            start_level=day.level,
            days=max(day.leads),
            rain_unit=rain.unit,
            largest_rain=rain.plausible[1],
            largest_rain_in_training={lead: known.largest_rain for lead, known in day.leads.items()},
            release_unit=unit,
            release_today=None if releases is None else flow.from_canonical(releases.today, str(unit)),
            largest_release_in_record=None if releases is None else flow.from_canonical(releases.largest, str(unit)),
        )


def release_unit_of(dam: Dam) -> str | None:
    """Unit of the dam's first release gauge; None without one."""
    return next((gauge.unit for gauge in dam.gauges if gauge.role == "release"), None)


def _release_unit(dam: Dam, body: ScenarioRequest) -> str:
    """Unit of the releases of a request; empty where it gives none."""
    own, units = release_unit_of(dam), VARIABLES["release"].units
    if not body.release:
        return ""
    if own is None:
        raise ConfigError(
            f"release: {dam.name} has no release gauge, so there is no past release to compare with; leave it out"
        )
    unit = body.release_unit or own
    if unit not in units:
        raise ConfigError(f"release_unit = {unit!r} is unknown; allowed are {', '.join(units)}")
    return unit


def _levels(result: ScenarioResult) -> list[answers.ScenarioLevel]:
    rows = result.levels.select("lead_time", "valid_date", "quantile", "level")
    return [
        answers.ScenarioLevel(lead=lead, valid_date=day, quantile=quantile, level=level)
        for lead, day, quantile, level in rows.iter_rows()
    ]


def _probabilities(result: ScenarioResult) -> list[answers.ScenarioChance]:
    names = ("threshold", "direction", "kind", "lead_time", "valid_date", "threshold_level", "probability")
    return [
        answers.ScenarioChance(**{"lead" if name == "lead_time" else name: row[name] for name in names})
        for row in result.probabilities.iter_rows(named=True)
    ]
