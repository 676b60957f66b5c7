"""The built package: the wheel, installed into an empty environment outside the checkout, runs the demo.

An editable install hides missing package data: templates, style, scripts and the catalogue must be in the wheel.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.shared import PROJECT

pytestmark = pytest.mark.slow
SOURCES = ("LICENSE", "README.md", "pyproject.toml", "src")


def call(*words: str | Path, cwd: Path) -> str:
    """Standard output of a program that must succeed, without the variables of coverage and FOREBAY_…."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE_", "COV_", "PYTHON", "FOREBAY_"))}
    environ["XDG_CACHE_HOME"] = str(cwd / "cache")
    environ["XDG_DATA_HOME"] = str(cwd / "data")
    result = subprocess.run(
        list(map(str, words)), cwd=cwd, env=environ, capture_output=True, text=True, timeout=900, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, built from a copy of the sources."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, copy)
    call(sys.executable, "-m", "build", "--outdir", copy / "dist", copy, cwd=copy)
    return copy / "dist"


@pytest.fixture(scope="module")
def program(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `forebay` of an environment with the wheel and its dependencies only."""
    folder = tmp_path_factory.mktemp("environment")
    call(sys.executable, "-m", "venv", folder / "env", cwd=folder)
    pip = (folder / "env" / "bin" / "python", "-m", "pip", "install", "-qq", "--disable-pip-version-check")
    cache = Path(os.environ.get("PIP_CACHE_DIR", Path.home() / ".cache" / "pip"))
    call(*pip, "--cache-dir", cache, *dist.glob("*.whl"), cwd=folder)
    return folder / "env" / "bin" / "forebay"


def test_the_distributions_contain_all_package_data(dist: Path) -> None:
    data = {
        str(path.relative_to(PROJECT / "src"))
        for path in (PROJECT / "src" / "forebay").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert any(name.endswith("base.html") for name in data)
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        assert data <= set(wheel.namelist())
    with tarfile.open(next(dist.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {f"src/{name}" for name in data} | {"pyproject.toml", "README.md", "LICENSE"} <= names


def test_the_demo_runs_from_the_wheel(program: Path, tmp_path: Path) -> None:
    answer = json.loads(call(program, "run", "demo", "-o", "out", "--json", cwd=tmp_path))
    assert answer["simulated"] is True
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<style>" in page and "SIMULATED" in page
    assert (tmp_path / "out" / "forecast.png").stat().st_size > 2000


def test_the_article_command_names_its_extra(program: Path, tmp_path: Path) -> None:
    assert "--recipe" in call(program, "article", "--help", cwd=tmp_path)
    refused = subprocess.run([program, "article"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "forebay[nets,export]" in refused.stderr or "forebay[nets]" in refused.stderr, refused.stderr
