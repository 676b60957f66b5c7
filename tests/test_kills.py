"""After a run that was killed, the next one leaves the same files and the same archive as if nothing had happened."""

from pathlib import Path

import pytest

from tests.kills import check_recovery, check_refresh_recovery


@pytest.mark.slow
def test_the_next_run_leaves_nothing_of_killed_ones(tmp_path: Path) -> None:
    assert check_recovery(4, tmp_path) >= 2, "too few processes were killed before their end"


@pytest.mark.slow
def test_kills_of_a_refresh_leave_archive_records_and_answers_whole(tmp_path: Path) -> None:
    check_refresh_recovery(3, tmp_path)
