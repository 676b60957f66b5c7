"""`docs/notebooks/`: each notebook runs from top to bottom, shows its outputs, and has no readings of the article."""

import json
import re
from pathlib import Path
from typing import Any

import altair as alt
import pytest

from tests.shared import PROJECT, SHARED, needs_shared

NOTEBOOKS = sorted((PROJECT / "docs" / "notebooks").glob("*.ipynb"))
ARTICLE = PROJECT / "docs" / "notebooks" / "article.ipynb"
TOLERANCE = 0.003
"""Allowed difference of a mean absolute error (m) between machines; 4 standard deviations over seeds."""


def cells_of(notebook: Path) -> list[dict[str, Any]]:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def code_of(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def text_of(output: dict[str, Any]) -> str:
    return "".join(output.get("text", []) or output["data"]["text/plain"])


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_every_cell_runs_and_prints_what_the_notebook_shows(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # a cell writes files to the current folder
    monkeypatch.setenv("ARTICLE_DATA", str(SHARED / "data" / "warragamba"))
    monkeypatch.setenv("FOREBAY_CACHE", str(tmp_path / "cache"))
    namespace: dict[str, object] = {}
    with alt.renderers.enable("default"):
        for cell in cells_of(notebook):
            exec(compile(code_of(cell), notebook.name, "exec"), namespace)
            printed = capsys.readouterr().out
            shown = "".join(text_of(output) for output in cell["outputs"] if output["output_type"] == "stream")
            number = r"\d+(?:\.\d+)?"
            assert re.sub(number, "#", printed) == re.sub(number, "#", shown)
            values = [list(map(float, re.findall(number, text))) for text in (printed, shown)]
            assert values[0] == pytest.approx(values[1], abs=TOLERANCE)
    assert (tmp_path / "prediction.html").stat().st_size > 100_000


def test_the_article_shows_the_published_rows() -> None:
    shown = [text_of(output) for cell in cells_of(ARTICLE) for output in cell["outputs"]]
    assert "rows 4717 train 3774 test 943\n" in shown  # domain.md 1


def test_the_article_needs_at_most_40_lines_of_code() -> None:
    codes = [code_of(cell) for cell in cells_of(ARTICLE)]
    article = codes[: next(k for k, code in enumerate(codes) if '"demo"' in code)]
    assert len([line for code in article for line in code.splitlines() if line.strip()]) <= 40


def test_the_folder_of_the_data_stands_in_one_variable() -> None:
    code = "\n".join(map(code_of, cells_of(ARTICLE)))
    assert re.findall(r"^.*(?:shared|ARTICLE_DATA).*$", code, re.MULTILINE) == [
        'FOLDER = Path(os.environ.get("ARTICLE_DATA", "../../../shared/data/warragamba"))'
    ]
    assert code.count("FOLDER") == 2


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_every_notebook_was_executed_from_top_to_bottom(notebook: Path) -> None:
    cells = cells_of(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), "run scripts/notebooks"
    for cell in cells:
        *_, last = code_of(cell).splitlines()
        is_silent = bool(re.match(r"[\w.]+ = |\w+\(.*\)\.save\(", last))
        assert bool(cell["outputs"]) == (not is_silent), last


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_the_outputs_contain_no_readings_of_the_article(notebook: Path) -> None:
    for cell in cells_of(notebook):
        for output in cell["outputs"]:
            assert set(output.get("data", ())) <= {"text/plain", "image/png"}
            assert len(text_of(output)) < 200  # errors, no tables
            assert not re.search(r"\d{4}-\d\d-\d\d", text_of(output))
            if "image/png" in output.get("data", ()):
                assert '"demo"' in code_of(cell) or "net.history" in code_of(cell)
