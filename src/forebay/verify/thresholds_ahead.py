"""Thresholds on the days that each forecast covers: full supply, those of the dam file, and rises of the level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.dams.thresholds import FULL_SUPPLY, RISE
from forebay.models.exceedance import signed

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.thresholds import ReferenceLevel
    from forebay.features.samples import Samples
    from forebay.models.exceedance import Direction
    from forebay.models.model import Array

RISES = {
    ("reservoir_level", "m"): (0.1, 0.25, 0.5, 1.0),
    ("reservoir_level", "cm"): (10.0, 25.0, 50.0, 100.0),
    ("reservoir_level", "mm"): (100.0, 250.0, 500.0, 1000.0),
    ("reservoir_level", "ft"): (0.5, 1.0, 2.0, 4.0),
    ("storage_percent", "%"): (1.0, 2.0, 5.0, 10.0),
}
"""Rises of the level that an outlook shows, by variable and unit of the target. A storage has none: its scale is that
of the dam, and thresholds of the dam file say more."""


@dataclass(frozen=True)
class ThresholdAhead:
    """A threshold on the days that the forecast of each init date covers.

    Attributes
    ----------
    name
        `FULL_SUPPLY`, a name of the dam file, or `RISE` with a number and a unit.
    direction
        Side on which a level is beyond it.
    known
        Its value on each valid date as known on the init date, target's unit, shape (n, leads); NaN where unknown.
    in_force
        The value that is in force on the valid date, the same shape: outcomes count by it.
    is_beyond
        Whether the level that the forecast starts from is beyond it, shape (n,).
    """

    name: str
    direction: Direction
    known: Array
    in_force: Array
    is_beyond: NDArray[np.bool_]

    @property
    def is_rise(self) -> bool:
        """Whether it is a rise of the level and not a level of the dam."""
        return self.name.startswith(RISE)


def thresholds_ahead(samples: Samples, dam: Dam) -> list[ThresholdAhead]:
    """Full supply and the thresholds of the dam file, above and below, then the rises; of every init date."""
    named = [(FULL_SUPPLY, dam.full_supply)] if dam.full_supply is not None else []
    named += [(threshold.name, threshold.level) for threshold in dam.thresholds]
    references = [ahead for name, level in named for ahead in _of_reference(name, level, samples, dam)]
    return [*references, *_rises(samples, dam)]


def _of_reference(name: str, level: ReferenceLevel, samples: Samples, dam: Dam) -> Iterator[ThresholdAhead]:
    dates = pl.Series(samples.dates).cast(pl.Date)
    withheld = np.zeros(len(dates), bool) if samples.withheld is None else samples.withheld

    def of_leads(by_lead: list[pl.Series]) -> Array:
        values = np.stack([series.cast(pl.Float64).to_numpy().astype(float) for series in by_lead], axis=1)
        return np.where(withheld[:, None], np.nan, values)

    known = of_leads([level.expected_on(dates, lead) for lead in dam.hindcast.leads])
    in_force = of_leads([level.on(dates.dt.offset_by(f"{lead}d")) for lead in dam.hindcast.leads])
    today = np.where(withheld, np.nan, level.on(dates).cast(pl.Float64).to_numpy().astype(float))
    directions: tuple[Direction, ...] = ("above", "below")
    for direction in directions:
        is_beyond = signed(samples.start_level - today, direction) >= 0
        yield ThresholdAhead(name, direction, known, in_force, is_beyond)


def _rises(samples: Samples, dam: Dam) -> Iterator[ThresholdAhead]:
    unit = dam.target.unit
    for rise in RISES.get((dam.target.variable, unit), ()):
        levels = np.repeat((samples.start_level + rise)[:, None], len(dam.hindcast.leads), axis=1)
        yield ThresholdAhead(f"{RISE}{rise:g} {unit}", "above", levels, levels, np.zeros(len(levels), bool))
