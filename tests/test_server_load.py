"""Five seconds of the load of benchmarks/server_load.py: no wrong answer, and none is lost after a surge; no clock."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.server_load import OVERVIEW, get, keep_refreshing, make_place, measure, server

from tests.programs import need_program


@pytest.mark.slow
def test_load_while_a_refresh_runs_and_a_surge(tmp_path: Path) -> None:
    need_program("wrk", "wrk")
    paths = make_place(tmp_path, 3)
    with server(tmp_path, paths, "--refresh-at", "00:00", "--no-scenarios") as address:
        keep_refreshing(address, tmp_path, paths)
        load = measure(address, rate=50, seconds=5)
        assert load.answered > 0 and (load.wrong, load.broken) == (0, 0), load
        surge = measure(address, rate=2000, seconds=2)
        assert surge.answered > 0 and surge.wrong == 0, surge
        dams = get(f"{address}{OVERVIEW}")["dams"]
        assert [dam["dam"] for dam in dams] == [path.stem for path in paths]
        assert all(dam["forecast"] for dam in dams)
