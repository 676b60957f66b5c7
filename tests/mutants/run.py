"""Run the mutants: python -m tests.mutants.run [--tested] [--sample] [NAME ...], all by default.

A mutant is NAME.patch in this folder. Its header has one sentence on the fault and one or more lines `# tests: NODE`,
pytest's node ids; the rest is a diff of `src`. First all these tests run on the code as it is and must pass;
`--tested` leaves this out, where the whole suite has just passed. `--sample` chooses a twentieth of the mutants,
others with each change of `src`. Then each mutant is applied to a copy of `src`, and each of its tests must fail with
an assertion. The working tree never changes.

One line per mutant: caught, SURVIVED, does not apply, or error. The exit code is 1 if any mutant is not caught.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from forebay.files import staging_folder

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
PARALLEL = 2
"""Mutants that run at the same time."""
TIMEOUT_S = 300
SAMPLE = 20


@dataclass(frozen=True)
class Mutant:
    """A patch: its name, one sentence on the fault, and the node ids of the tests that must fail."""

    path: Path
    fault: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the file without its suffix."""
        return self.path.stem


@dataclass(frozen=True)
class Outcome:
    """Outcome of one mutant: caught, SURVIVED, does not apply or error; and the output that explains it."""

    result: str
    output: str = ""


def read_mutant(path: Path) -> Mutant:
    """The mutant in a patch file.

    Raises
    ------
    ValueError
        If the header lacks the sentence or the tests.
    """
    header = path.read_text("utf-8").partition("\ndiff --git ")[0].splitlines()
    tests = tuple(line.removeprefix("# tests:").strip() for line in header if line.startswith("# tests:"))
    fault = " ".join(line.removeprefix("#").strip() for line in header if not line.startswith("# tests:")).strip()
    if not fault or not tests:
        raise ValueError(f"{path.name}: the header must have a sentence on the fault and a line '# tests: NODE'")
    return Mutant(path, fault, tests)


def mutants(names: list[str]) -> list[Mutant]:
    """The mutants of these names, all if there are none.

    Raises
    ------
    ValueError
        If a name is unknown or a header is incomplete.
    """
    by_name = {path.stem: path for path in sorted(FOLDER.glob("*.patch"))}
    if unknown := [name for name in names if name not in by_name]:
        raise ValueError(f"no mutant {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [read_mutant(by_name[name]) for name in names or by_name]


def sample(selected: list[Mutant], source: str) -> list[Mutant]:
    """One mutant in `SAMPLE`, others for each text `source`."""
    return [mutant for mutant in selected if crc32(f"{source} {mutant.name}".encode()) % SAMPLE == 0]


def committed_source() -> str:
    """Git's hash of `src` as it is checked out; an empty text outside of a repository."""
    command = ["git", "rev-parse", "HEAD:src"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def apply_patch(patch: Path, folder: Path, *, only_check: bool = False) -> str:
    """Apply a patch to the copy `folder`/src; the reason if it does not apply, otherwise an empty text.

    `only_check` changes nothing.
    """
    command = ["git", "apply", "--whitespace=nowarn", *(["--check"] if only_check else []), str(patch)]
    # without a ceiling, git would look for a repository around the folder and skip files outside of it
    environ = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    result = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else result.stderr.strip() or f"git apply: exit code {result.returncode}"


def run_tests(tests: tuple[str, ...], source: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on `tests` with the package in the folder `source`; the exit codes are those of `session.main`."""
    command = [sys.executable, "-m", "tests.mutants.session", str(source), *options, *tests]
    own = ("COV_", "COVERAGE_", "PYTEST_")  # of a session that runs this program
    environ = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environ |= {"PYTHONPATH": os.pathsep.join([str(source), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def run_mutant(mutant: Mutant) -> Outcome:
    """Outcome of one mutant."""
    # The next run removes the folder of one that was killed.
    with staging_folder(Path(tempfile.gettempdir()), prefix="forebay-mutant-") as folder:
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        if reason := apply_patch(mutant.path, folder):
            return Outcome("does not apply", reason)
        try:
            finished = run_tests(mutant.tests, folder / "src")
        except subprocess.TimeoutExpired:
            return Outcome("error", f"the tests take longer than {TIMEOUT_S} s")
    result = {0: "SURVIVED", 1: "caught", 2: "SURVIVED"}.get(finished.returncode, "error")
    return Outcome(result, "" if result == "caught" else finished.stdout + finished.stderr)


def timed(mutant: Mutant) -> Outcome:
    """Outcome of one mutant; prints its line."""
    start = time.monotonic()
    outcome = run_mutant(mutant)
    print(f"{outcome.result:<14} {time.monotonic() - start:5.1f} s  {mutant.name}: {mutant.fault}", flush=True)
    return outcome


def passes(selected: list[Mutant]) -> bool:
    """Whether the tests of these mutants pass on the code as it is; prints a line."""
    start = time.monotonic()
    tests = tuple(dict.fromkeys(test for mutant in selected for test in mutant.tests))
    unchanged = run_tests(tests, ROOT / "src", "--numprocesses", str(PARALLEL))
    if unchanged.returncode != 0:
        print(unchanged.stdout + unchanged.stderr)
        print("forebay: tests of the mutants fail on the code as it is, or name no test; correct them first")
        return False
    print(f"{'unchanged':<14} {time.monotonic() - start:5.1f} s  {len(tests)} tests pass", flush=True)
    return True


def main(names: list[str]) -> int:
    """Exit code: 0 if every mutant is caught, 1 if not, 2 for a wrong argument or a wrong header."""
    is_tested, is_sample = "--tested" in names, "--sample" in names
    try:
        selected = mutants([name for name in names if name not in ("--tested", "--sample")])
    except ValueError as error:
        print(f"forebay: {error}", file=sys.stderr)
        return 2
    if is_sample:
        selected = sample(selected, committed_source())
    start = time.monotonic()
    if not is_tested and not passes(selected):
        return 1
    with ThreadPoolExecutor(PARALLEL) as pool:
        outcomes = list(pool.map(timed, selected))
    failures = [outcome for outcome in outcomes if outcome.result != "caught"]
    for outcome in failures:
        print(outcome.output)
    print(f"{len(outcomes) - len(failures)} of {len(outcomes)} mutants caught in {time.monotonic() - start:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
