"""A check of day labels: the flows of a day must not be the change from its level to the next one.

A file may give the storage at the start of each day beside the day's flows. If such a storage is labelled with its day,
the flows of day d are the exact change from L(d) to L(d + 1): they contain the answer, and no forecast may use them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.errors import DataError
from forebay.features.inputs import change_per_flow
from forebay.features.row_sums import row_sum

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

MAX_SHARE = 0.02
"""Median difference from the next change, as a share of its median size, below which the flows are that change."""
MIN_DAYS = 100
"""Minimum number of days with a change and a flow."""


def check_flow_days(daily: pl.DataFrame, dam: Dam) -> None:
    """Raise a `DataError` if the flows of each day are the change of the target to the next day.

    Only where a flow determines a change of the target (`Dam.has_volume`). A missing role counts as no flow: an
    "inflow" may be a change of storage in disguise.

    Parameters
    ----------
    daily
        Daily table of usable values, one row per consecutive day.
    """
    share = next_change_share(daily, dam)
    if share is not None and share < MAX_SHARE:
        station = dam.target_gauge.station
        raise DataError(
            f"{dam.name}: the change of {station} from each day to the next is the flow of the first of the two days "
            f"(median difference {share:.1%} of the change), so {station} is the value at the start of its day and "
            'the flows contain the answer; set stamp = "end" for its gauge, so that it counts for the day before'
        )


def next_change_share(daily: pl.DataFrame, dam: Dam) -> float | None:
    """Median |L(d + 1) − L(d) − flow(d)| / median |L(d + 1) − L(d)|; None if flows cannot be compared with changes.

    flow is the inflow minus the release of the day as a change of the target.
    """
    signs = dict.fromkeys(dam.columns("inflow"), 1.0) | dict.fromkeys(dam.columns("release"), -1.0)
    if not signs or not dam.has_volume:
        return None
    net = row_sum(sign * pl.col(column) for column, sign in signs.items())
    flow = (daily.select(net.alias("net"))["net"] * change_per_flow(daily, dam)).to_numpy()
    level = daily[dam.target.variable].cast(pl.Float64).to_numpy().astype(float)
    change, flow = np.diff(level), flow[:-1]
    compared = np.isfinite(change) & np.isfinite(flow) & (change != 0) & (flow != 0)
    if compared.sum() < MIN_DAYS:
        return None
    size = float(np.median(np.abs(change[compared])))
    return float(np.median(np.abs(change - flow)[compared])) / size
