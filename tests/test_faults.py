"""Every fault of a service, tried on a real fetch into a real archive: nothing partial is kept, nobody else suffers."""

import tracemalloc

import pytest

from tests import faults
from tests.faults import FAULTS, Fault
from tests.shared import needs_shared

pytestmark = needs_shared
NAMES = [f"{fault.group}: {fault.name}" for fault in FAULTS]
EVERY_CALL = [fault for fault in FAULTS if fault.group in ("The connection", "The status", "The body")]


def the_page() -> list[str]:
    return faults.PAGE.read_text("utf-8").splitlines(keepends=True)


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_nothing_partial_is_stored_and_no_other_gauge_suffers(fault: Fault) -> None:
    found = faults.seen(fault)
    assert faults.line(fault, found) in the_page(), "docs/faults.md says otherwise; `python -m tests.faults` writes it"
    assert found.asked or fault.tls, "the fault was never tried"
    assert found.others_whole
    assert set(found.errors) <= {f"rainfall_{faults.BAD}"}
    assert found.stored.is_empty() or not found.told
    # A value that came as missing is held: it is asked for again among the newest days only.
    assert found.completed or "as missing" in found.outcome, "the next fetch left something out"
    # What is stored is what the service has, but for a value that a whole answer gave otherwise.
    same_but = found.stored.join(found.wanted, on=found.wanted.columns, how="anti", nulls_equal=True)
    assert len(same_but) <= 1
    assert same_but["value"].null_count() == len(same_but)


@pytest.mark.parametrize("fault", EVERY_CALL, ids=lambda fault: fault.name)
def test_the_same_where_every_request_of_the_gauge_is_struck(fault: Fault) -> None:
    """The list of variables too, which is asked for first."""
    found = faults.seen(fault, faults.of_bad_gauge)
    assert found.others_whole
    assert set(found.errors) <= {f"rainfall_{faults.BAD}"}
    assert found.stored.is_empty() if found.told else found.stored.equals(found.wanted)
    assert found.completed


@pytest.mark.parametrize("name", ["sends an answer without end", "packs 64 MB of blanks with gzip"])
def test_memory_is_bounded(name: str) -> None:
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    faults.seen(fault)  # what is made but once has been made
    tracemalloc.start()
    try:
        assert "more than 1000000 bytes" in faults.seen(fault).told
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000  # of 40 MB, and of 64 MB unpacked


def test_the_page_has_just_these_faults_in_order() -> None:
    """What stands in each line is compared above."""
    rows = [row for row in the_page() if row.startswith("| ") and row not in faults.TABLE_HEAD]
    assert len(rows) == len(FAULTS)
    expected = faults.page(dict(zip(FAULTS, rows, strict=True)))
    assert "".join(the_page()) == expected, "make it anew with `python -m tests.faults`"
