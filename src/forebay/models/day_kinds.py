"""Kinds of days: wet, near full supply, above full supply; for intervals also days of a fast fall or rise."""

from __future__ import annotations

WET, NEAR_FULL, ABOVE_FULL, FALLING, RISING = 1, 2, 4, 8, 16
"""Flags; the kind of a day is their sum, 0 for a dry day below full supply on which the level changes little."""
