"""The staff gauge of a dam: the series of its levels that people read by hand (`forebay observe`).

It is no gauge of the dam file. Its series in the archive is its own, so that no fetch changes it. It depends on the id
of the dam and on the variable only: another source or unit of the target gauge leaves the readings by hand as they are.
"""

from __future__ import annotations

from datetime import time
from typing import TYPE_CHECKING

from forebay.dams.variables import VARIABLES

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

STATION = "staff"
"""Station of the readings by hand."""


def staff_gauge(dam: Dam) -> Gauge:
    """The gauge whose series holds the readings by hand of the dam's target: instants, in the canonical unit."""
    variable = dam.target.variable
    keys: dict[str, object] = {
        "source": f"manual:{dam.id}",
        "station": STATION,
        "name": f"{dam.name}, staff gauge",
        "unit": VARIABLES[variable].unit,
        "reading": "instantaneous",
        "interval": "15min",
        "stamp": "start",
        "day_start": time(0),
        "reading_at": None,
        "latency_h": 0.0,
        "substitute": (),
        "scale": 1.0,
        "offset": 0.0,
        "readings_from": (),
        "file": None,
        "request": (),
    }
    # A copy is not validated: "manual" is no service.
    return dam.target_gauge.in_time_zone("+00:00").model_copy(update=keys)


def value_time(dam: Dam) -> time:
    """Clock time that a daily value of the target stands for: that of its reading, noon for a mean, a minimum or a
    maximum, and 00:00, the end of the day, for a last value."""
    gauge = dam.target_gauge
    if gauge.reading_at is not None:
        return gauge.reading_at
    return time(0) if gauge.aggregate == "last" else time(12)
