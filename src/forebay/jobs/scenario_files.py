"""The files from which a server answers scenarios: what a refresh has learned, as plain numbers."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import forebay
from forebay.dams.dam_content import dam_content, dam_of_content
from forebay.errors import ConfigError, DataError, ForebayError, ModelError
from forebay.files import write_file
from forebay.forecasts.rain_forecast import RainForecast
from forebay.forecasts.scenario_content import scenario_content, scenario_day_of
from forebay.log import add_counts, step

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.jobs.scenario import ScenarioModel
    from forebay.settings import Settings
    from forebay.verify.hindcast import Progress

FORMAT, VERSION = "forebay-scenarios", 1
FILES = {False: "scenario.json.gz", True: "scenario_release.json.gz"}
"""Name of the file by whether its scenarios give a planned release."""
MAX_BYTES = 256 << 20
"""Largest size of a file after decompression."""


@step("scenario_files")
def write_scenario_models(
    dam: Dam, folder: Path, *, archive: Archive, settings: Settings, progress: Progress | None = None
) -> list[str]:
    """Write the scenarios of a dam, without and, if it has a release gauge, with a planned release, into `folder`.

    Where scenarios are not possible the file has the reason, so that no answer comes from an older day.

    Returns
    -------
    list of str
        Sentences on what is not possible.

    Raises
    ------
    ConfigError
        If a file cannot be written.
    """
    from forebay.jobs.scenario import check_gauges, load_scenarios

    reasons = []
    for planned_release, name in FILES.items():
        if planned_release and not dam.columns("release"):
            continue
        try:
            check_gauges(dam, planned_release=planned_release)
            model = load_scenarios(
                dam, archive=archive, settings=settings, planned_release=planned_release, progress=progress
            )
            content = model_file_content(model)
        except ForebayError as error:
            reasons.append(str(error))
            content = {"failure": str(error)}
        head = {"format": FORMAT, "version": VERSION, "forebay": forebay.__version__}
        compressed = gzip.compress(json.dumps(head | content).encode(), mtime=0)
        write_file(folder / name, compressed)
        add_counts({name: len(compressed)})
    return list(dict.fromkeys(reasons))


def model_file_content(model: ScenarioModel) -> dict[str, Any]:  # Any: values of JSON
    """The dam, its rain forecast and what its scenarios need, as values of JSON."""
    forecast = model.forecast
    return {
        "dam_file": dam_content(model.dam),
        "rain_forecast": None if forecast is None else vars(forecast),
        "day": scenario_content(model.day),
    }


def read_scenario_model(folder: Path, *, planned_release: bool) -> ScenarioModel:
    """The scenarios of a dam from the files of its last refresh.

    Raises
    ------
    DataError
        If there are none: the sentence has the reason.
    ModelError
        If the file cannot be read.
    """
    from forebay.jobs.scenario import ScenarioModel  # late: the models of a hindcast come with it

    path = folder / FILES[planned_release]
    try:
        with gzip.open(path) as file:
            text = file.read(MAX_BYTES + 1)
        content = json.loads(text) if len(text) <= MAX_BYTES else {}
    except FileNotFoundError:
        raise DataError("the last refresh wrote no scenarios; `forebay refresh --scenarios` writes them") from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _unreadable(path, error) from None
    if not isinstance(content, dict):
        raise _unreadable(path, "another format")
    if "failure" in content:
        raise DataError(content["failure"])
    if (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise _unreadable(path, "another format")
    try:
        forecast = content["rain_forecast"]
        if forecast is not None:
            forecast = RainForecast(**{**forecast, "by_day": {int(day): v for day, v in forecast["by_day"].items()}})
        return ScenarioModel(dam_of_content(content["dam_file"]), scenario_day_of(content["day"]), forecast)
    except (KeyError, TypeError, AttributeError, ConfigError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, reason: object) -> ModelError:
    return ModelError(f"{path.name} cannot be read ({reason}); `forebay refresh --scenarios` writes it again")
