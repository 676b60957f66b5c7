"""The files from which a server answers scenarios: their answers are those of the models, to the last digit."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from forebay.dams.dam import Dam
from forebay.errors import DataError, ModelError
from forebay.forecasts.scenario import WETNESS, Scenario
from forebay.jobs import scenario_files as job
from forebay.jobs.scenario import ScenarioModel
from tests.scenario_dams import NO_VOLUME_DAM, RAIN_DAM, RELEASE_DAM, model_of


def written(model: ScenarioModel, folder: Path, *, planned_release: bool = False) -> ScenarioModel:
    """The model after it was written to a file and read."""
    head = {"format": job.FORMAT, "version": job.VERSION}
    text = json.dumps(head | job.model_file_content(model)).encode()
    (folder / job.FILES[planned_release]).write_bytes(gzip.compress(text))
    return job.read_scenario_model(folder, planned_release=planned_release)


@pytest.mark.parametrize(
    ("dam", "planned_release"), [(RAIN_DAM, False), (RELEASE_DAM, True), (NO_VOLUME_DAM, True)]
)
def test_answers_from_the_file_are_equal(dam: Dam, planned_release: bool, tmp_path: Path) -> None:
    model = model_of(dam, planned_release=planned_release)
    read = written(model, tmp_path, planned_release=planned_release)
    release = (4.0, 0.0) if planned_release else ()
    scenarios = [
        Scenario(f"{number}", rain, wetness, release)
        for number, rain in enumerate([(), (44.0, 20.0, 0.0), (0.0, 0.0, 1900.0)])
        for wetness in WETNESS
    ]
    expected, answer = model.day.answer(scenarios), read.day.answer(scenarios)
    assert np.array_equal(answer.quantiles, expected.quantiles)
    assert np.array_equal(answer.paths, expected.paths)
    assert read.answer(scenarios, until="full_supply", release=release).to_frame().equals(
        model.answer(scenarios, until="full_supply", release=release).to_frame()
    )
    assert read.answer(scenarios).notes == model.answer(scenarios).notes
    assert read.day.inputs.schema == model.day.inputs.schema


def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    def read() -> ScenarioModel:
        return job.read_scenario_model(tmp_path, planned_release=False)

    with pytest.raises(DataError, match="`forebay refresh --scenarios` writes them"):
        read()
    path = tmp_path / job.FILES[False]
    whole = gzip.compress(json.dumps({"format": "other"}).encode())
    for content in (b"", b"no gzip", whole[:-5], gzip.compress(b"{"), whole, gzip.compress(b"[]"),
                    gzip.compress(json.dumps({"format": job.FORMAT, "version": job.VERSION}).encode())):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(ModelError, match="scenario.json.gz cannot be read .*; `forebay refresh --scenarios` "):
            read()
    path.write_bytes(gzip.compress(json.dumps({"failure": "There is no rain gauge."}).encode()))
    with pytest.raises(DataError, match="There is no rain gauge"):
        read()


@pytest.mark.parametrize(("key", "value"), [("format", "another"), ("version", job.VERSION + 1), ("version", None)])
def test_a_whole_file_of_another_format_or_version_is_not_read(key: str, value: object, tmp_path: Path) -> None:
    """A later version may give the same keys another meaning."""
    head = {"format": job.FORMAT, "version": job.VERSION} | {key: value}
    text = json.dumps(head | job.model_file_content(model_of(RAIN_DAM))).encode()
    (tmp_path / job.FILES[False]).write_bytes(gzip.compress(text))
    with pytest.raises(ModelError, match=r"scenario.json.gz cannot be read \(another format\)"):
        job.read_scenario_model(tmp_path, planned_release=False)
