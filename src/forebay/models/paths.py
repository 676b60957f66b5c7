"""Sample paths: joint forecasts of all lead times, correlated in time as past errors were.

The members of each lead time are quantiles of the forecast. Past error vectors only decide which member of one lead
time belongs to which member of the next. This is the Schaake shuffle of Clark et al. (2004) with errors as template, an
empirical copula as in Schefzik et al. (2013). Paths therefore agree with the intervals of each lead time. They also
give the probability that the level reaches a threshold *by* a day (`models.exceedance`), which intervals cannot give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forebay.models.intervals import months

if TYPE_CHECKING:
    from forebay.models.model import Array

MEMBERS = 50
LEVELS = (np.arange(MEMBERS) + 0.5) / MEMBERS
"""Probabilities of the sorted members of a lead time: all members are equally likely."""


def join_leads(
    marginals: Array, errors: Array, *, leads: Sequence[int], days: NDArray[np.datetime64], wet: NDArray[np.bool_]
) -> Array:
    """The members of each lead time, reordered so that member i is one path through all lead times.

    The order is learned on the first of each month from as many past days as there are members. These days are evenly
    spaced over all days of the same wetness, or over all days if there are too few, whose last valid date is over.
    With fewer known days, the i-th lowest member of one lead time belongs to the i-th lowest of the next.

    Parameters
    ----------
    marginals
        Members of each init date and lead time, rising, shape (n, leads, members); NaN without an interval. If there
        are fewer rows than `days`, they are those of the last days.
    errors
        Observed minus forecast change, in units of the forecast's interval, shape (n, leads); NaN where unknown.
    leads
        Lead times in days, rising.
    days, wet
        Consecutive init dates, and whether each is wet, shape (n,).

    Returns
    -------
    array
        The values of `marginals`, with the members of each lead time in path order; the same shape.
    """
    members, begin = marginals.shape[2], len(days) - len(marginals)
    complete = np.asarray(np.isfinite(errors).all(axis=1))
    joined = marginals.copy()
    for first, end in months(days):
        if end <= begin:
            continue
        past = np.flatnonzero(complete[: max(0, first - max(leads) + 1)])
        for is_wet in (False, True):
            same_wetness = past[wet[past] == is_wet]
            candidates = same_wetness if len(same_wetness) >= members else past
            rows = np.flatnonzero(wet[max(first, begin) : end] == is_wet) + max(0, first - begin)
            if len(candidates) < members or not len(rows):
                continue
            template = candidates[np.linspace(0, len(candidates) - 1, members).round().astype(int)]
            ranks = errors[template].argsort(axis=0, kind="stable").argsort(axis=0, kind="stable").T
            joined[rows] = np.take_along_axis(marginals[rows], ranks[None], axis=2)
    return joined
