"""Compare the forecasts of two checkouts: digests of hindcast.parquet, scores.csv and forecast.csv by dam.

Usage: scripts/same-forecasts BASE [DAM …]

BASE is a commit or the folder of a checkout. It is compared with the checkout of the script. Each dam is forecast from
a fixed day (`--init`), with an empty archive and without cached fits. The user's cache folder stores the digests of a
commit by the versions of the installed packages, so that a second comparison computes one side only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

import polars as pl
from platformdirs import user_cache_path

from forebay.tables import FORECASTS

PROJECT = Path(__file__).resolve().parents[1]
INIT_DATES = {
    "demo": "2026-06-30",
    "tests/dams/warragamba.toml": "2021-12-15",
    "tests/dams/conroe.toml": "2018-06-30",
    "tests/dams/cannonsville.toml": "2018-06-30",
}
"""Dam → init date of its forecast."""
SORT_KEYS = {
    "hindcast.parquet": ["model", "init_date", "lead_time", "quantile"],
    "scores.csv": ["model", "window", "regime", "lead_time", "metric"],
    "forecast.csv": ["model", "init_date", "lead_time", "quantile"],
}
COMMAND = "from forebay.cli import main; main()"


def table_digest(path: Path) -> str:
    """SHA-256 of the table's column names and sorted rows; floats by their shortest exact decimal form."""
    table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
    if path.name == "forecast.csv":  # its columns of storage follow from these
        table = table.select(list(FORECASTS.columns))
    rows = table.sort(SORT_KEYS[path.name]).write_csv()
    return hashlib.sha256(rows.encode()).hexdigest()


def run_dam(checkout: Path, dam: str) -> dict[str, str]:
    """File name → digest of one dam's table, from the code of `checkout` and the dam file of the script's checkout."""
    name = str(PROJECT / dam) if dam.endswith(".toml") else dam
    environ = {key: value for key, value in os.environ.items() if not key.startswith("FOREBAY_")}
    environ |= {"FOREBAY_CACHE_MB": "0", "PYTHONPATH": str(checkout / "src")}
    with tempfile.TemporaryDirectory(prefix="forebay-same-") as folder:
        words = ["run", name, "--init", INIT_DATES[dam], "-o", f"{folder}/out", "--archive", f"sqlite:///{folder}/a.db"]
        command = [sys.executable, "-c", COMMAND, *words]
        result = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise SystemExit(f"{checkout}: `forebay {' '.join(words)}` failed:\n{result.stderr[-3000:]}")
        return {file: table_digest(Path(folder) / "out" / file) for file in SORT_KEYS}


def commit_of(checkout: Path) -> str | None:
    """The commit of a checkout; None if its `src` has changes."""
    status = subprocess.run(["git", "-C", checkout, "status", "--porcelain", "src"], capture_output=True, text=True,
                            check=False)  # fmt: skip
    if status.returncode != 0 or status.stdout:
        return None
    head = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return head.stdout.strip()


def digests(checkout: Path, dam: str) -> dict[str, str]:
    """Digests of `run_dam`, from the cache if the checkout is an unchanged commit."""
    commit = commit_of(checkout)
    if commit is None:
        return run_dam(checkout, dam)
    versions = sorted(f"{d.metadata['Name']}=={d.version}" for d in distributions() if d.metadata["Name"] != "forebay")
    dam_text = (PROJECT / dam).read_text() if dam.endswith(".toml") else ""
    state = hashlib.sha256(json.dumps([versions, dam_text, INIT_DATES[dam]]).encode()).hexdigest()[:16]
    cached = user_cache_path("forebay", appauthor=False) / "digests" / f"{commit}-{Path(dam).stem}-{state}.json"
    if cached.exists():
        result: dict[str, str] = json.loads(cached.read_text())
        return result
    result = run_dam(checkout, dam)
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_text(json.dumps(result))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="a commit, or the folder of a checkout")
    parser.add_argument("dams", nargs="*", default=list(INIT_DATES), help=f"of {', '.join(INIT_DATES)}; default: all")
    arguments = parser.parse_args()
    for dam in arguments.dams:
        if dam not in INIT_DATES:
            parser.error(f"dam {dam!r} has no fixed date; allowed are {', '.join(INIT_DATES)}")
    with tempfile.TemporaryDirectory(prefix="forebay-base-") as folder:
        base = Path(arguments.base)
        if not (base / "src").is_dir():
            base = Path(folder) / "base"
            command = ["git", "-C", PROJECT, "rev-parse", "--verify", f"{arguments.base}^{{commit}}"]
            commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            subprocess.run(["git", "clone", "--quiet", "--shared", PROJECT, base], check=True)
            subprocess.run(["git", "-C", base, "checkout", "--quiet", "--detach", commit], check=True)
        sys.exit(compare(base, arguments.dams))


def compare(base: Path, dams: list[str]) -> int:
    """1 if any digest differs, else 0; prints a line per dam and file."""
    different = 0
    for dam in dams:
        expected, result = digests(base, dam), digests(PROJECT, dam)
        for file in SORT_KEYS:
            same = expected[file] == result[file]
            different += not same
            print(f"{'same' if same else 'DIFFERENT'}  {Path(dam).stem:14} {file:17} {result[file]}", flush=True)
    print(f"{different} of {len(dams) * len(SORT_KEYS)} tables differ")
    return int(different > 0)


if __name__ == "__main__":
    main()
