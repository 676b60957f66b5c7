"""Files in the working folder are data: none of them is run, whatever its name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import synthetic
from tests.synthetic import rain_gauge, small_dam

TRAP = """\
import pathlib
pathlib.Path({mark!r}).write_text(__name__)
raise SystemExit("a file of the working folder ran")
"""
LIBRARIES = ("numpy", "polars", "sklearn", "lightgbm", "keras", "jax", "vl_convert", "altair", "jinja2", "forebay")


def lay_traps(folder: Path, mark: Path) -> None:
    """Files named like each standard module and main library, which write `mark` when they run."""
    for name in {*sys.stdlib_module_names, *LIBRARIES, "sitecustomize", "usercustomize"}:
        (folder / f"{name}.py").write_text(TRAP.format(mark=str(mark)))


@pytest.mark.slow
def test_a_run_in_a_folder_full_of_traps(tmp_path: Path) -> None:
    dam = small_dam(rain_gauge(), hindcast={"leads": (1, 3)}, full_supply=110.0)
    work, mark = tmp_path / "work", tmp_path / "trapped"
    work.mkdir()
    path = synthetic.write_dam(dam, synthetic.daily(dam, days=700), work)
    lay_traps(work, mark)
    program = Path(sys.executable).with_name("forebay")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(
        [program, "run", path, "--archive", f"sqlite:///{tmp_path}/a.db", "-o", "report"],
        cwd=work, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert not mark.exists(), f"{mark.read_text()} of the working folder ran"
    assert process.returncode == 0, process.stderr
    assert (work / "report" / "report.html").is_file()
    assert list((work / "report").glob("*.png")), "the drawing processes ran"


@pytest.mark.slow
def test_a_net_of_another_process_in_a_folder_full_of_traps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.test_networks import make_fit, needs

    needs("torch")
    from forebay.nets import networks

    work, mark = tmp_path / "work", tmp_path / "trapped"
    work.mkdir()
    lay_traps(work, mark)
    fit = make_fit(epochs=1)
    monkeypatch.chdir(work)
    networks.fit(fit, backend="torch")
    assert not mark.exists(), f"{mark.read_text()} of the working folder ran"
