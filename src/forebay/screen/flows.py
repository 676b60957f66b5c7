"""Flows against their own past: inflows, releases and rivers far above their record that nothing else supports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forebay.screen.evidence import A_YEAR, evidence_for
from forebay.screen.findings import Bools, Finding, Floats, any_recent, day_changes, past_quantile

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

FLOWS = ("discharge", "inflow", "release")
LARGEST, LARGEST_WITH_WATER = 3.0, 10.0
"""A flow is suspect above this multiple of its record of at least a year: without, and with a source of water."""
LAKE_CHANGE = 2.0
"""A change of the lake above this multiple of the 99% quantile of its past changes supports any flow …"""
SUPPORT_DAYS = 3
"""… so many days later, and withdraws the flags of so many days before."""
USUAL_DAYS = 30
"""Flows that stay above the bound for so many readings are no fault: the river or the rules have changed."""


def unlikely_flows(dam: Dam, values: dict[str, Floats]) -> dict[str, list[Finding]]:
    """Column of each gauge of flow → its findings; `values` are the usable ones, column → one value per day."""
    lake = values[dam.target_gauge.column]
    return {
        gauge.column: flow_findings(values[gauge.column], evidence_for(gauge, dam, values).water, lake)
        for gauge in dam.gauges
        if gauge.variable in FLOWS
    }


def without_unlikely_flows(values: dict[str, Floats], unlikely: dict[str, list[Finding]]) -> dict[str, Floats]:
    """`values` without the days of the findings of `unlikely_flows`: evidence for what other gauges show."""
    rest = dict(values)
    for column, findings in unlikely.items():
        rest[column] = values[column].copy()
        rest[column][[day for finding in findings for day in finding.days]] = np.nan
    return rest


def flow_findings(flow: Floats, water: Bools, lake: Floats) -> list[Finding]:
    """Findings of a gauge of flow: days above the bound, known on their own day.

    Later support withdraws them. A suspect flow is no part of the record that bounds later flows.

    Parameters
    ----------
    water
        Whether another gauge shows a source of water, per day (`evidence.Evidence.water`).
    lake
        Level of the lake.
    """
    changes = np.abs(day_changes(lake))
    lake_moves = changes > LAKE_CHANGE * past_quantile(changes, 0.99)
    is_supported = any_recent(lake_moves, SUPPORT_DAYS)
    record, readings = 0.0, 0
    run: list[int] = []  # suspect days without an accepted reading between them
    withdrawn: dict[int, int | None] = {}
    expected: dict[int, float] = {}
    for day, size in enumerate(np.abs(flow).tolist()):
        for suspect in [d for d in run if withdrawn[d] is None and day - d <= SUPPORT_DAYS]:
            if lake_moves[day] or (water[day] and abs(flow[suspect]) <= LARGEST_WITH_WATER * record):
                withdrawn[suspect], record = day, max(record, abs(float(flow[suspect])))
        if np.isnan(size):
            continue
        bound = (LARGEST_WITH_WATER if water[day] else LARGEST) * record
        if readings < A_YEAR or record == 0 or size <= bound or is_supported[day]:
            record, readings = max(record, size), readings + 1
            run = [d for d in run if day - d < SUPPORT_DAYS]
            continue
        run.append(day)
        withdrawn[day], expected[day] = None, record
        if len(run) >= USUAL_DAYS:
            withdrawn |= {d: withdrawn[d] or day for d in run}
            record, run = max(record, *(abs(float(flow[d])) for d in run)), []
    return [Finding(np.array([d]), "jump", d, expected[d], known) for d, known in withdrawn.items()]
