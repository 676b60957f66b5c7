"""Sample paths: joint forecasts over the leads, whose errors hang together in time as past errors did.

Each lead's members are the forecast's own quantiles; past error vectors only tell which member of one lead goes with
which of the next (the Schaake shuffle of Clark et al., 2004, with errors for a template: an empirical copula as in
Schefzik et al., 2013). So paths agree with the intervals at each lead, and say what intervals cannot: how likely it is
that a level is reached *by* a day.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forebay.models.intervals import months
from forebay.models.model import Array

MEMBERS = 50
LEVELS = (np.arange(MEMBERS) + 0.5) / MEMBERS
"""Probabilities of a lead's sorted members: each stands for an equal share of what may come."""


def join_leads(
    marginals: Array, errors: Array, *, leads: Sequence[int], days: NDArray[np.datetime64], wet: NDArray[np.bool_]
) -> Array:
    """The members of each lead in an order that makes member i one path through all leads.

    The order is learned on the first of each month, from as many past days as there are members, evenly spread over all
    days as wet as the one forecast from (over all days, where too few are) whose last valid day was over by then.
    Before so many are known, the i-th lowest member of one lead goes with the i-th lowest of the next.

    Parameters
    ----------
    marginals
        Members of each init date and lead, rising, shape (n, leads, members); NaN where there is no interval.
    errors
        Observed minus forecast change in units of the interval that was given around it, shape (n, leads); NaN where
        either is unknown.
    leads
        Lead times in days, rising.
    days, wet
        Init dates, consecutive, and whether each counts as wet, shape (n,).

    Returns
    -------
    array
        Shape (n, leads, members): the same values, each lead's in its new order.
    """
    members = marginals.shape[2]
    complete = np.asarray(np.isfinite(errors).all(axis=1))
    joined = marginals.copy()
    for first, after in months(days):
        past = np.flatnonzero(complete[: max(0, first - max(leads) + 1)])
        for kind in (False, True):
            alike = past[wet[past] == kind]
            template = alike if len(alike) >= members else past
            rows = np.flatnonzero(wet[first:after] == kind) + first
            if len(template) < members or not len(rows):
                continue
            chosen = template[np.linspace(0, len(template) - 1, members).round().astype(int)]
            ranks = errors[chosen].argsort(axis=0, kind="stable").argsort(axis=0, kind="stable").T
            joined[rows] = np.take_along_axis(marginals[rows], ranks[None], axis=2)
    return joined


def reached_by(paths: Array, threshold: float) -> Array:
    """Probability that `threshold` is reached or passed on any forecast day up to each lead, shape (leads,).

    Parameters
    ----------
    paths
        Levels (or any other value) of one init date, shape (leads, members), leads rising.

    >>> reached_by(np.array([[0.0, 2.0], [1.0, 0.0], [3.0, 0.0]]), 1.0).tolist()
    [0.5, 1.0, 1.0]
    """
    return np.asarray((np.maximum.accumulate(paths, axis=0) >= threshold).mean(axis=1))
