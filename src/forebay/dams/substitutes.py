"""Substitutes: the gauges that a dam file names to replace a missing or late value of a gauge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge

NO_INPUT = ("target", "storage")
"""Roles whose values are no inputs that a substitute could replace."""


def substitute_columns(gauges: Sequence[Gauge]) -> dict[str, tuple[str, ...]]:
    """Column of each gauge with substitutes → the columns of these, in order.

    A substitute's own reading is used, never a value that replaces it. So two gauges may be substitutes of each other.

    Raises
    ------
    ValueError
        If a substitute is unknown, the gauge itself, the target, of another variable, or occurs twice; if the gauge
        is the target or a storage.
    """
    return {
        gauge.column: _columns(gauge, [_substitute(name, gauge, gauges) for name in gauge.substitute])
        for gauge in gauges
        if gauge.substitute
    }


def _columns(gauge: Gauge, substitutes: Sequence[Gauge]) -> tuple[str, ...]:
    columns = tuple(substitute.column for substitute in substitutes)
    for column in columns:
        if columns.count(column) > 1:
            raise ValueError(f"substitute of gauge {gauge.station!r} names {column!r} twice; name each gauge once")
    return columns


def _substitute(name: str, gauge: Gauge, gauges: Sequence[Gauge]) -> Gauge:
    """The gauge with this column or station that may replace values of `gauge`."""
    key = f"substitute = {name!r} of gauge {gauge.station!r}"
    if gauge.role == "target":
        raise ValueError(
            f"{key}: the target can have no substitute, because a forecast never starts from an estimated level; "
            "delete the key, and the forecast starts from the last level instead"
        )
    if gauge.role in NO_INPUT:
        raise ValueError(f"{key}: a gauge with role {gauge.role!r} is no input of the models; delete the key")
    allowed = [g for g in gauges if g.variable == gauge.variable and g.role != "target" and g.column != gauge.column]
    names = ", ".join(f"{g.station} ({g.column})" for g in allowed) or f"none (no other gauge has {gauge.variable})"
    matches = [g for g in gauges if name in (g.column, g.station)]
    suitable = [g for g in matches if g in allowed]
    if suitable:
        return next((g for g in suitable if g.column == name), suitable[0])
    if not matches:
        raise ValueError(f"{key} is no gauge of the dam file; allowed are {names}")
    match = matches[0]
    if match.column == gauge.column:
        reason = "a gauge cannot replace itself"
    elif match.role == "target":
        reason = "the target cannot be a substitute, because it is what is forecast"
    else:
        reason = f"it measures {match.variable}, and the gauge {gauge.variable}; both must be the same"
    raise ValueError(f"{key}: {reason}; allowed are {names}")
