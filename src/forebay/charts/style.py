"""Colours, sizes and titles that all charts share.

Colours are those of Okabe and Ito, which remain distinct under colour-vision deficiency; lines also differ by dashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forebay.charts.coverage_tables import GOOD
from forebay.tables import DEFAULT_MODEL

WIDTH = 860
PANEL_WIDTH, PANEL_HEIGHT = 270, 170

INK, GREY, GRID = "#1b2733", "#9aa3ab", "#e3e7eb"
FORECAST_COLOUR, FULL_SUPPLY_COLOUR, LATER_COLOUR = "#0072b2", "#a63c00", "#a0458a"
BAND_90_COLOUR, BAND_80_COLOUR = "#cfe3f1", "#93c2e0"
YEAR_COLOUR, RULE_COLOUR = "#6d5a7e", "#eef1e2"
WET_COLOUR = "#d55e00"
MODEL_COLOURS = {
    DEFAULT_MODEL: FORECAST_COLOUR,
    "no_change": "#e69f00",
    "last_change": "#d55e00",
    "damped_change": "#009e73",
    "climatology": "#cc79a7",
}
LEAD_COLOURS = (FORECAST_COLOUR, "#e69f00", "#009e73", "#cc79a7")
EXTRA_COLOURS = ("#56b4e9", "#6b6b6b", "#8c6d1f", "#4b3f92", "#7a2f2f", "#1f6d5a")
"""Colours of series without a fixed colour, in turn."""
STATE_COLOURS = {
    GOOD: "#b5d3e7",
    "manual": "#0072b2",
    "estimated": "#009e73",
    "unknown": "#cc79a7",
    "poor": "#e69f00",
    "range": "#f0e442",
    "sentinel": "#8c6d1f",
    "incomplete": "#9aa3ab",
    "unavailable": "#d55e00",
    "absent": "#3a434b",
}
EXTRA_STATE_COLOUR = "#4b3f92"


@dataclass(frozen=True)
class Heading:
    """Text of chart titles and level axes: dam name, axis title with unit, and whether the dam is simulated."""

    dam: str
    axis: str
    simulated: bool

    @property
    def unit(self) -> str:
        """Unit of the level axis."""
        return self.axis.rpartition(", ")[2]

    def title(self, text: str) -> str:
        """Title of a whole picture, with the dam's name."""
        return f"{self.dam} · {self.panel(text)}"

    def panel(self, text: str) -> str:
        """Title of one panel, without the dam's name."""
        return f"SIMULATED · {text}" if self.simulated else text

    def lead(self, lead: int) -> str:
        """Title of the panel of one lead time."""
        return self.panel(f"lead time {lead} day{'' if lead == 1 else 's'}")


def cycled(colours: Sequence[str], count: int) -> list[str]:
    """`count` colours, repeated from the start where there are not enough.

    >>> cycled(("red", "blue"), 3)
    ['red', 'blue', 'red']
    """
    return [colours[k % len(colours)] for k in range(count)]
