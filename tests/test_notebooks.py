"""`docs/notebooks/`: each notebook runs from top to bottom, and its code is short."""

import json
from pathlib import Path

import pytest

from tests.shared import PROJECT, SHARED, needs_shared

NOTEBOOKS = sorted((PROJECT / "docs" / "notebooks").glob("*.ipynb"))


def code_of(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_every_cell_runs(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # a cell writes files to the current folder
    monkeypatch.setenv("FOREBAY_ARTICLE_DATA", str(SHARED / "data" / "warragamba"))
    namespace: dict[str, object] = {}
    for cell in code_of(notebook):
        exec(compile(cell, notebook.name, "exec"), namespace)
    assert "rows 4717 train 3774 test 943" in capsys.readouterr().out  # domain.md 1


def test_the_article_needs_at_most_40_lines_of_code() -> None:
    lines = [line for cell in code_of(NOTEBOOKS[0]) for line in cell.splitlines() if line.strip()]
    assert NOTEBOOKS[0].name == "article.ipynb"
    assert len(lines) <= 40


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_no_output_is_committed(notebook: Path) -> None:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)
