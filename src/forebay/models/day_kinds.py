"""Kinds of days: wet, near or above full supply, with an inflow forecast; for intervals also of a fast fall or rise."""

from __future__ import annotations

WET, NEAR_FULL, ABOVE_FULL, FALLING, RISING, FORECAST = 1, 2, 4, 8, 16, 32
"""Flags; the kind of a day is their sum, 0 for a dry day below full supply on which the level changes little."""
