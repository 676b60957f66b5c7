"""Every fault of a service, in a real fetch into a real archive: no partial data, no effect on other gauges."""

import tracemalloc

import pytest

from tests import faults
from tests.faults import FAULTS, Fault
from tests.shared import needs_shared

pytestmark = needs_shared
NAMES = [f"{fault.group}: {fault.name}" for fault in FAULTS]
LASTING_FAULTS = [fault for fault in FAULTS if fault.group in ("The connection", "The status", "The body")]


def page_lines() -> list[str]:
    return faults.PAGE.read_text("utf-8").splitlines(keepends=True)


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_nothing_partial_is_stored_and_no_other_gauge_is_affected(fault: Fault) -> None:
    outcome = faults.try_fault(fault)
    row = faults.table_row(fault, outcome)
    assert row in page_lines(), "docs/faults.md differs; write it with `python -m tests.faults`"
    assert outcome.requests or fault.tls, "the affected request was never sent"
    assert outcome.other_gauges_complete
    assert set(outcome.errors) <= {f"rainfall_{faults.BAD_STATION}"}
    assert outcome.stored.is_empty() or not outcome.message
    # A value that was sent as missing stays missing, except among the newest days.
    assert outcome.recovered or "as missing" in outcome.summary, "the next fetch is incomplete"
    # The archive has the service's values, except one that a complete answer changed.
    differences = outcome.stored.join(outcome.expected, on=outcome.expected.columns, how="anti", nulls_equal=True)
    assert len(differences) <= 1
    assert differences["value"].null_count() == len(differences)


@pytest.mark.slow
@pytest.mark.parametrize("fault", LASTING_FAULTS, ids=lambda fault: fault.name)
def test_nothing_partial_is_stored_if_every_request_is_affected(fault: Fault) -> None:
    """Including the list of variables, which is the first request."""
    outcome = faults.try_fault(fault, faults.is_for_bad_gauge)
    assert outcome.other_gauges_complete
    assert set(outcome.errors) <= {f"rainfall_{faults.BAD_STATION}"}
    assert outcome.stored.is_empty() if outcome.message else outcome.stored.equals(outcome.expected)
    assert outcome.recovered


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sends an endless answer", "compresses 64 MB of blanks with gzip"])
def test_memory_is_bounded(name: str) -> None:
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    faults.try_fault(fault)  # the first run fills caches
    tracemalloc.start()
    try:
        assert "more than 1000000 bytes" in faults.try_fault(fault).message
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000  # of 40 MB, and of 64 MB unpacked


def test_the_page_lists_all_faults_in_order() -> None:
    """The test above compares the content of each line."""
    rows = [row for row in page_lines() if row.startswith("| ") and row not in faults.TABLE_HEAD]
    assert len(rows) == len(FAULTS)
    expected = faults.page(dict(zip(FAULTS, rows, strict=True)))
    assert "".join(page_lines()) == expected, "write it with `python -m tests.faults`"
