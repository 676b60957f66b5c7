"""The article's steps in Python, in Elixir and with forebay: the code that the page shows runs on the real readings."""

import os
import subprocess
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import altair as alt
import httpx2
import numpy as np
import pytest

from forebay import nets
from forebay.article.charts import prediction_chart
from forebay.article.gauges import Record
from forebay.article.recipes import PYTHON, UNAVAILABLE, recipe_rows
from forebay.article.run import read_readings
from forebay.article.steps import read_steps
from forebay.settings import load_settings
from tests import article_steps
from tests.article_rows import FOLDER
from tests.hydstra_server import hydstra_server
from tests.programs import need_program
from tests.shared import needs_shared

if find_spec("keras") is None and os.environ.get("CI") != "true":
    pytest.skip("the extra nets is not installed", allow_module_level=True)

NAMES = ["fetch", "label", "clean", "join", "split", "normalise", "train", "evaluate", "chart"]
RAIN, STREAMS = ["563035", "563046", "563079", "568045", "568051"], ["212250", "212270"]


def test_the_steps_are_those_of_the_article() -> None:
    assert [step.name for step in read_steps()] == NAMES  # issue 11, section 5


def test_the_page_of_the_documentation_shows_the_steps() -> None:
    assert article_steps.PAGE.read_text("utf-8") == article_steps.page(), "run python -m tests.article_steps"


@pytest.mark.slow
@needs_shared
def test_the_python_code_gives_the_rows_and_the_error_of_the_article(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    import keras

    keras.utils.set_random_seed(0)
    with hydstra_server() as url, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Keras' use of numpy, as in `backends.run`
        # httpx2 has the interface of requests for this call, and is installed.
        names: dict[str, Any] = {
            "pd": pandas, "alt": alt, "keras": keras, "requests": httpx2, "URL": url, "RAIN": RAIN, "STREAMS": STREAMS
        }  # fmt: skip
        for step in read_steps():
            exec(compile(step.python, f"{step.name}, Python", "exec"), names)
            if step.name == "join":  # the service sends a row of zeros for 2022-01-12, which the article's files lack
                assert len(names["table"]) == 4718
                names["table"] = names["table"][names["table"]["t"] < "2022-01-12"]
    assert (len(names["table"]), len(names["train"]), len(names["test"])) == (4717, 3774, 943)  # domain.md 1
    assert names["mae"] == pytest.approx(0.0223, abs=0.0015)  # domain.md 1
    assert list(names["history"]) == ["loss", "val_loss"]
    assert len(names["history"]) == 30
    assert isinstance(names["chart"], alt.LayerChart)


@pytest.mark.slow
@needs_shared
def test_the_forebay_calls_forecast_the_next_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {
        "os": os, "Path": Path, "datetime": datetime, "UTC": UTC, "np": np, "replace": replace, "folder": FOLDER,
        "load_settings": load_settings, "read_readings": read_readings, "PYTHON": PYTHON, "UNAVAILABLE": UNAVAILABLE,
        "recipe_rows": recipe_rows, "nets": nets, "prediction_chart": prediction_chart,
    }  # fmt: skip
    results = {}
    for step in read_steps():
        *_, last = step.forebay.splitlines()
        exec(compile(step.forebay, f"{step.name}, forebay", "exec"), names)
        if step.name in ("train", "chart"):
            results[step.name] = eval(last, names)
    assert isinstance(names["record"], Record)
    table = names["rows"].table
    bad = names["record"].level.filter(names["record"].level["q"].is_in(UNAVAILABLE))["date"]
    assert not table["date"].is_in(bad.implode()).any()
    assert len(names["train"]) + len(names["test"]) == len(table)
    assert results["train"].columns == ["epoch", "loss", "val_loss"]
    error = nets.evaluate(names["net"], names["test"])
    observed = names["test"].target
    assert error == pytest.approx(np.abs(names["prediction"][-len(observed) :] - observed).mean(), abs=1e-7)
    assert 0.01 < error < 0.05
    assert results["chart"].to_dict()["title"] == "Corrected net: prediction over actual"


@pytest.mark.parametrize("name", NAMES)
def test_the_elixir_code_has_no_error_of_grammar(name: str, tmp_path: Path) -> None:
    need_program("elixir", "elixir")
    (step,) = (step for step in read_steps() if step.name == name)
    (tmp_path / "step.exs").write_text(step.elixir, "utf-8")
    process = subprocess.run(
        ["elixir", "-e", 'Code.string_to_quoted!(File.read!("step.exs"))'],
        cwd=tmp_path, env=os.environ | {"LC_ALL": "C.UTF-8"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_the_code_fits_beside_the_other_code(name: str) -> None:
    (step,) = (step for step in read_steps() if step.name == name)
    for code, limit in ((step.python, 64), (step.elixir, 64), (step.forebay, 92)):
        assert max(map(len, code.splitlines())) <= limit
