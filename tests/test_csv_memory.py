"""The memory of a fetch stays near what docs/dam_file.md states: 150 MiB and 28 times the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shared import PROJECT


@pytest.mark.slow
def test_the_memory_of_a_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    from csv_memory import peaks

    size, memory = peaks(300_000, tmp_path)
    assert size > 8_000_000, "the file is not what was measured"
    bound = (150 << 20) + 36 * size
    assert all(10 * size < peak < bound for peak in memory), [peak / bound for peak in memory]
