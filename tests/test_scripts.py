"""`scripts/`: each script sets up a real virtual environment once, and again after a change.

The tests copy the scripts into a small project that needs no package registry. The project has its own build backend,
which logs each installation.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared import PROJECT

BASH_SCRIPTS = (path for path in (PROJECT / "scripts").iterdir() if path.is_file() and not path.suffix)
SCRIPTS = sorted([*BASH_SCRIPTS, PROJECT / ".ci" / "run"])

PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "forebay"
version = "1"
classifiers = [
    "Programming Language :: Python :: 3.9",
    "Programming Language :: Python :: 3.98",
    "Programming Language :: Python :: 3.100",
    "Programming Language :: Python :: 3.99",
]

[project.optional-dependencies]
dev = []
web = []

[project.scripts]
forebay = "forebay:main"
"""
BACKEND = '''\
"""Builds a wheel with a command that prints its arguments and folder; fails while a file "broken" exists."""

import zipfile
from pathlib import Path


def build_editable(folder, config_settings=None, metadata_directory=None):
    with open("installations", "a") as log:
        log.write("one\\n")
    if Path("broken").exists():
        raise SystemExit("the build is broken off")
    info = "forebay-1.dist-info"
    with zipfile.ZipFile(Path(folder) / "forebay-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("forebay.py", "import os, sys\\ndef main(): print(os.getcwd(), *sys.argv[1:], sep='|')\\n")
        named = "Metadata-Version: 2.1\\nName: forebay\\nVersion: 1\\nProvides-Extra: dev\\nProvides-Extra: web\\n"
        wheel.writestr(f"{info}/METADATA", named)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\\nforebay = forebay:main\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return "forebay-1-py3-none-any.whl"
'''


def call(*words: str | Path, cwd: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE_", "COV_", "PYTHON"))}
    if path is not None:
        environ["PATH"] = path
    return subprocess.run(
        list(map(str, words)), cwd=cwd, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def installations(project: Path) -> int:
    log = project / "installations"
    return len(log.read_text().splitlines()) if log.exists() else 0


def new_project(folder: Path) -> Path:
    project = folder / "a project"  # names of folders can have spaces
    shutil.copytree(PROJECT / "scripts", project / "scripts")
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / "backend.py").write_text(BACKEND)
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an environment; tests leave the environment usable."""
    project = new_project(tmp_path_factory.mktemp("set up"))
    result = call(project / "scripts" / "setup", "", cwd=project)
    assert result.returncode == 0, result.stderr
    return project


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_can_be_run_and_stop_at_the_first_fault(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert call("bash", "-n", script, cwd=PROJECT).stderr == ""
    assert "\nset -" in script.read_text()


def test_a_second_call_installs_and_prints_nothing(project: Path) -> None:
    before = installations(project)
    second = call(project / "scripts" / "setup", "", cwd=project)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert installations(project) == before >= 1


def test_an_extra_is_installed_once_and_the_plain_call_afterwards_installs_nothing(project: Path) -> None:
    before = installations(project)
    for extras in ("dev", "dev", ""):
        assert call(project / "scripts" / "setup", extras, cwd=project).returncode == 0
    assert installations(project) == before + 1


@pytest.mark.slow
def test_a_changed_pyproject_is_installed_again(project: Path) -> None:
    before = installations(project)
    with (project / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    for _ in range(2):
        assert call(project / "scripts" / "setup", "", cwd=project).returncode == 0
    assert installations(project) == before + 1


@pytest.mark.slow
def test_a_failed_installation_prints_the_reason_and_is_repeated(project: Path) -> None:
    (project / "broken").touch()
    with (project / "pyproject.toml").open("a") as file:
        file.write("# changed once more\n")
    failed = call(project / "scripts" / "setup", "", cwd=project)
    assert failed.returncode != 0
    assert "the build is broken off" in failed.stderr
    (project / "broken").unlink()
    assert call(project / "scripts" / "setup", "", cwd=project).returncode == 0
    before = installations(project)
    assert call(project / "scripts" / "setup", "", cwd=project).returncode == 0
    assert installations(project) == before


@pytest.mark.slow
def test_a_broken_environment_is_rebuilt(project: Path) -> None:
    for pip in (project / ".venv").glob("lib/python*/site-packages/pip"):
        shutil.rmtree(pip)
    assert call(project / "scripts" / "setup", "", cwd=project).returncode == 0
    assert call(project / ".venv" / "bin" / "python", "-c", "import pip, forebay", cwd=project).returncode == 0


@pytest.mark.slow
def test_a_project_that_was_moved_is_installed_where_it_is_now(project: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(project, moved, symlinks=True)
    before = installations(moved)
    assert call(moved / "scripts" / "run", cwd=tmp_path).stdout == f"{tmp_path}|run|demo\n"
    assert installations(moved) == before + 1


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ([], "run|demo"),
        (["--json"], "run|demo|--json"),
        (["warragamba"], "run|warragamba"),
        (["my dams/lake.toml", "-o", "out"], "run|my dams/lake.toml|-o|out"),
        (["--serve"], "serve|demo"),
        (["--serve", "--port", "9000"], "serve|demo|--port|9000"),
        (["--serve", "a.toml", "b.toml", "--no-refresh"], "serve|a.toml|b.toml|--no-refresh"),
    ],
)
def test_run_takes_a_dam_and_options_and_works_in_the_callers_folder(
    project: Path, tmp_path: Path, options: list[str], printed: str
) -> None:
    result = call(project / "scripts" / "run", *options, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, f"{tmp_path}|{printed}\n")


def test_another_python_has_an_environment_of_its_own(project: Path, tmp_path: Path) -> None:
    """A stand-in for pyenv, with this test's own Python under the version that is asked for."""
    version = "{}.{}".format(*sys.version_info)
    programs = tmp_path / "pyenv" / "versions" / f"{version}.99" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    before = installations(project)
    environ = f"PYENV_ROOT={tmp_path / 'pyenv'}"
    for _ in range(2):
        result = call("env", environ, project / "scripts" / "setup", "--python", version, "dev", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
    assert installations(project) == before + 1, "the environment without --python stays"
    assert call(project / f".venv-{version}" / "bin" / "python", "-c", "import forebay", cwd=tmp_path).returncode == 0
    missing = call("env", environ, project / "scripts" / "setup", "--python", "3.99", "dev", cwd=tmp_path)
    assert missing.returncode != 0
    sentence = r"forebay: no Python 3\.99 found \(looked for .*\); install one and try again\n"
    assert re.fullmatch(sentence, missing.stderr)
    assert not (project / ".venv-3.99").exists()


def test_the_newest_python_is_one_that_the_project_supports_and_that_is_found(project: Path, tmp_path: Path) -> None:
    """Stand-ins for programs of pyenv, each of the version that is asked for; 3.100 is not found."""
    for version in ("3.9.1", "3.98.0", "3.99.2", "3.101.0"):
        program = tmp_path / "versions" / version / "bin" / "python"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\nexit 0\n")
        program.chmod(0o755)
    find = ("env", f"PYENV_ROOT={tmp_path}", project / "scripts" / "find-python", "--newer-than")
    for used, newest in (("3.11", "3.99\n"), ("3.98", "3.99\n"), ("3.99", ""), ("3.100", ""), ("3.102", "")):
        result = call(*find, used, cwd=tmp_path)
        assert (result.returncode, result.stdout, result.stderr) == (0, newest, ""), used


def test_without_a_newer_python_its_tests_are_left_out(project: Path, tmp_path: Path) -> None:
    result = call("env", f"PYENV_ROOT={tmp_path}", project / "scripts" / "test", "--newest", cwd=tmp_path)
    used = "{}.{}".format(*sys.version_info)
    assert (result.returncode, result.stdout) == (0, "")
    # Lines about the setup stand above it where this is the first test of its process.
    assert result.stderr.splitlines()[-1] == (
        f"forebay: no Python newer than {used} is found; the tests on a second Python do not run"
    )


def test_the_modules_that_the_tests_on_the_newest_python_leave_out_exist() -> None:
    script = (PROJECT / "scripts" / "test").read_text()
    names = re.search(r"left_out=\(([^)]*)\)", script)
    assert names is not None
    for name in names[1].split():
        assert (PROJECT / "tests" / f"test_{name}.py").is_file(), name


def test_an_old_python_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    project = new_project(tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "cat", "cut", "dirname", "env", "grep", "head", "id", "rm", "sha256sum"):
        program = shutil.which(name)
        assert program is not None
        (tools / name).symlink_to(program)
    old_python = tools / "python3"
    old_python.write_text("#!/bin/sh\nexit 1\n")  # the exit code of Python 3.10 for the version check
    old_python.chmod(0o755)
    result = call(project / "scripts" / "setup", "", cwd=tmp_path, path=str(tools))
    assert result.returncode != 0
    assert result.stderr.startswith("forebay: no Python 3.11 or newer found")
    assert result.stderr.count("\n") == 1
    assert not (project / ".venv").exists()
