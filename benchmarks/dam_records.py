"""The record of a dam of `tests/dams`, ready for a hindcast."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.csv_tables import daily_from_files

from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.days.daily import usable_values
from forebay.features.daily_tables import DailyTables
from forebay.features.samples import Samples, make_samples
from forebay.sources.forcing_files import read_forcings

DAM_FILES = sorted((Path(__file__).resolve().parents[1] / "tests" / "dams").glob("*.toml"))


def daily_tables(path: Path, leads: tuple[int, ...] | None = None) -> tuple[Dam, DailyTables]:
    """The dam and its daily tables from the first to the last usable level, with its forcings; as `record`."""
    dam = load_dam(str(path))
    if leads is not None:
        dam = dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"leads": leads})})
    frame = daily_from_files(dam)
    days = usable_values(frame, dam).filter(pl.col(dam.target.variable).is_not_null())["date"]
    frame = frame.filter(pl.col("date").is_between(days[0], days[-1]))
    return dam, DailyTables(frame, frame, days[-1], None, read_forcings(dam))


def record(path: Path, leads: tuple[int, ...] | None = None) -> tuple[Dam, Samples]:
    """The dam and its samples from the first to the last usable level, as in `forebay run`.

    Parameters
    ----------
    leads
        Lead times in place of those of the dam file.

    Raises
    ------
    ForebayError
        If the dam file, or a file that it names, cannot be read.
    """
    dam, tables = daily_tables(path, leads)
    return dam, make_samples(tables.known, tables.newest, dam, tables.forcings)
