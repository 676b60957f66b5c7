"""From CSV text to the daily table with flags: forebay against pandas, on one dam and on 200 copies of it.

Run: ``python benchmarks/daily.py [DAM FILE]`` (default ``tests/dams/warragamba.toml``; needs the extra ``bench``).
Both sides start from the files, and the benchmark checks that the tables are equal. Rounds alternate between the sides,
so that other load on the machine affects both. The output is the best time by the clock and the best CPU time, which
counts all threads: forebay uses several, pandas one. One dam is read once per round ("alternating") and several times
in a row ("in a row"), because a run of a few milliseconds is slower after another program used the processor.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # its stubs are in a separate package
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.csv_tables import daily_from_files

from forebay.dams.csv_layout import FileLayout
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.sources.quality import grades

COPIES = 200
_FLAG_OF_GRADE = {name: name for name in ("estimated", "unknown", "poor")} | {"missing": "unavailable"}
_FLAG_OF_CODE = {int(code): _FLAG_OF_GRADE.get(grade) for code, grade in grades("waternsw").items()}


def in_pandas(dam: Dam) -> pd.DataFrame:
    """The daily table of a dam with daily files, as an experienced user of pandas writes it."""
    files: dict[str, list[Gauge]] = {}
    for gauge in dam.gauges:
        files.setdefault(_file(gauge).path, []).append(gauge)
    tables = [_table(path, gauges) for path, gauges in files.items()]
    days = pd.date_range(min(t.index[0] for t in tables), max(t.index[-1] for t in tables), name="date")
    placed = []
    for table in tables:
        wide = table.reindex(days)
        absent = ~days.isin(table.index)
        if absent.any():
            wide.loc[absent, list(wide.columns[1::2])] = "absent"
        placed.append(wide)
    joined = pd.concat(placed, axis=1).reset_index()
    joined.insert(0, "dam", dam.id)
    return joined


def _table(path: str, gauges: Sequence[Gauge]) -> pd.DataFrame:
    """Values and flags of one file's gauges by day."""
    layout = _file(gauges[0])
    used = [name for g in gauges for name in (_file(g).value, _file(g).quality) if name]
    raw = pd.read_csv(path, usecols=[layout.date, *used], dtype={layout.date: str})
    columns: dict[str, np.ndarray] = {}
    for gauge in gauges:
        value = raw[_file(gauge).value].to_numpy(copy=True)
        # One lookup per distinct code is faster than one per row.
        position, codes = pd.factorize(raw[_file(gauge).quality])
        flag = np.array([_FLAG_OF_CODE.get(code, "unknown") for code in codes], object)[position]
        missing = (flag == "unavailable") | np.isnan(value)
        low, high = gauge.valid_range or gauge.kind.plausible
        flag[(value < low) | (value > high)] = "range"
        flag[missing], value[missing] = "unavailable", np.nan
        columns[gauge.column], columns[f"{gauge.column}_flag"] = value, flag
    day = pd.to_datetime(raw[layout.date], format=layout.date_format)
    return pd.DataFrame(columns, index=pd.DatetimeIndex(day, name="date"))


def _file(gauge: Gauge) -> FileLayout:
    assert gauge.file is not None
    return gauge.file


def check_equal(forebay_table: pl.DataFrame, pandas_table: pd.DataFrame) -> None:
    """Raise an AssertionError unless the frames are equal."""
    assert forebay_table.columns == list(pandas_table.columns), (forebay_table.columns, list(pandas_table.columns))
    assert forebay_table["date"].to_list() == [stamp.date() for stamp in pandas_table["date"]]
    for name in forebay_table.columns[2:]:
        column = pandas_table[name]
        plain = [None if pd.isna(item) else item for item in column]
        assert forebay_table[name].to_list() == plain, name


def compare(
    title: str, run_forebay: Callable[[], object], run_pandas: Callable[[], object], *, rounds: int, in_a_row: int = 1
) -> None:
    """Print the best run of each side and the ratios; each round has `in_a_row` runs of each side."""
    clocks = {"clock": time.perf_counter, "CPU": time.process_time}
    best = {kind: [float("inf"), float("inf")] for kind in clocks}
    for side, run in [(0, run_forebay), (1, run_pandas)] * rounds:
        for _ in range(in_a_row):
            start = {kind: read() for kind, read in clocks.items()}
            run()
            for kind, read in clocks.items():
                best[kind][side] = min(best[kind][side], read() - start[kind])
    for kind, (forebay_s, pandas_s) in best.items():
        ratio = pandas_s / forebay_s
        print(f"{title}, {kind}: forebay {forebay_s * 1e3:.1f} ms, pandas {pandas_s * 1e3:.1f} ms, ratio {ratio:.1f}")


def copies(path: Path, folder: Path) -> list[Dam]:
    """Dams loaded from copies of the dam file and its CSV files, each copy in a new folder."""
    text = path.read_text("utf-8")
    sources = set(re.findall(r'path = "([^"]+)"', text))
    for source in sources:
        text = text.replace(source, Path(source).name)
    dams = []
    for number in range(COPIES):
        place = folder / str(number)
        place.mkdir()
        for source in sources:
            shutil.copy(path.parent / source, place)
        (place / "dam.toml").write_text(text, "utf-8")
        dams.append(load_dam(str(place / "dam.toml")))
    return dams


def main(path: Path) -> None:
    """Compare on the dam, then on its copies."""
    dam = load_dam(str(path))
    check_equal(daily_from_files(dam), in_pandas(dam))
    run_forebay, run_pandas = lambda: daily_from_files(dam), lambda: in_pandas(dam)
    compare(f"1 dam ({dam.id}), alternating", run_forebay, run_pandas, rounds=40)
    compare(f"1 dam ({dam.id}), in a row", run_forebay, run_pandas, rounds=8, in_a_row=5)
    with tempfile.TemporaryDirectory() as folder:
        dams = copies(path, Path(folder))
        check_equal(daily_from_files(dams[-1]), in_pandas(dams[-1]))
        run_forebay, run_pandas = lambda: [daily_from_files(d) for d in dams], lambda: [in_pandas(d) for d in dams]
        compare(f"{COPIES} dams", run_forebay, run_pandas, rounds=5)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "tests/dams/warragamba.toml"))
