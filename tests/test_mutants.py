"""`tests/mutants`: every patch applies to the code and names its tests, and the program reports what is not caught."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import run
from tests.shared import PROJECT

PATCHES = sorted(run.FOLDER.glob("*.patch"))
TEST = "tests/test_paths.py::test_levels_are_equally_likely_quantiles"
HEADER = f"# A fault.\n# tests: {TEST}\n\n"
DIFF = """\
diff --git a/src/forebay/models/paths.py b/src/forebay/models/paths.py
--- a/src/forebay/models/paths.py
+++ b/src/forebay/models/paths.py
@@ -24,3 +24,3 @@
 
-MEMBERS = 50
+MEMBERS = NEW
 LEVELS = (np.arange(MEMBERS) + 0.5) / MEMBERS
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a copy of `src`, as each mutant has one."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PROJECT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.stem)
def test_a_patch_applies_and_its_tests_exist(path: Path, copy: Path) -> None:
    mutant = run.read_mutant(path)
    assert mutant.fault.endswith("."), "one sentence"
    assert run.apply_patch(path, copy, only_check=True) == ""
    for test in mutant.tests:
        file, _, function = test.partition("::")
        assert re.search(rf"^def {re.escape(function.partition('[')[0])}\(", (PROJECT / file).read_text(), re.MULTILINE)


def mutant(folder: Path, value: str, *, header: str = HEADER, diff: str = DIFF) -> run.Mutant:
    """A mutant that sets the number of members to `value`."""
    path = folder / "members.patch"
    path.write_text(header + diff.replace("NEW", value))
    return run.read_mutant(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "test", "result"),
    [
        ("48", TEST, "caught"),
        ("49 + 1", TEST, "SURVIVED"),
        ("unknown_name", TEST, "error"),
        ("48", "tests/test_paths.py::test_that_does_not_exist", "error"),
    ],
)
def test_a_mutant_is_caught_by_an_assertion_only(tmp_path: Path, value: str, test: str, result: str) -> None:
    outcome = run.run_mutant(mutant(tmp_path, value, header=HEADER.replace(TEST, test)))
    assert outcome.result == result, outcome.output


@pytest.mark.slow
def test_a_mutant_survives_if_one_of_its_tests_passes(tmp_path: Path) -> None:
    second = "tests/test_paths.py::test_with_few_errors_members_are_joined_by_rank"
    outcome = run.run_mutant(mutant(tmp_path, "48", header=f"# A fault.\n# tests: {TEST}\n# tests: {second}\n"))
    assert outcome.result == "SURVIVED"
    assert f"{second} passes" in outcome.output


def test_a_patch_of_other_code_does_not_apply(tmp_path: Path) -> None:
    outcome = run.run_mutant(mutant(tmp_path, "48", diff=DIFF.replace("MEMBERS = 50", "MEMBERS = 51")))
    assert outcome.result == "does not apply"
    assert "patch failed: src/forebay/models/paths.py" in outcome.output


@pytest.mark.parametrize("header", ["# A fault.\n", f"# tests: {TEST}\n"])
def test_a_header_without_a_sentence_or_tests_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(ValueError, match=r"members\.patch: the header must have"):
        mutant(tmp_path, "48", header=header)


def test_an_unknown_name_is_refused() -> None:
    command = [sys.executable, "-m", "tests.mutants.run", "no_such_mutant"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "no mutant no_such_mutant; there are " in result.stderr


def test_a_package_from_another_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    result = run.run_tests((TEST,), tmp_path / "src")
    assert result.returncode == 3
    assert "forebay is imported from" in result.stdout or "No module named 'forebay'" in result.stderr


def test_each_mutant_is_in_the_sample_of_one_source_in_twenty() -> None:
    selected = run.mutants([])
    samples = [{chosen.name for chosen in run.sample(selected, f"source {number}")} for number in range(500)]
    assert set().union(*samples) == {mutant.name for mutant in selected}
    assert 0.04 < sum(map(len, samples)) / len(selected) / len(samples) < 0.06
