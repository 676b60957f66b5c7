"""Parameters of a simulated catchment and its lake; `DEMO` has those of the dam `demo`.

`simulation` has the equations. docs/simulation.md gives their sources.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

CURVE_STEPS = 56
"""Steps of the storage curve from the bed to full supply."""
CURVE_POINTS = 67
"""Points of the storage curve, which ends above full supply."""

Rule = Literal["water supply", "irrigation", "hydropower", "flood control"]


@dataclass(frozen=True)
class Site:
    """A site with rain: its position, the ratio of its rain to the catchment's, its gauge if it has one."""

    east_km: float
    north_km: float
    rain_ratio: float
    station: str | None = None


@dataclass(frozen=True)
class River:
    """A sub-catchment and the river that drains it into the lake, with its gauge if it has one.

    `gr4j` is (X1 mm, X2 mm/d, X3 mm, X4 d); `rating` is (zero of the gauge m, C m³/s, exponent); `travel_days` from the
    gauge to the lake, below a day.
    """

    station: str | None
    area_km2: float
    sites: tuple[int, ...]
    gr4j: tuple[float, float, float, float]
    rating: tuple[float, float, float]
    travel_days: float


@dataclass(frozen=True)
class Climate:
    """Parameters of the weather; a peak is a day of the year.

    Attributes
    ----------
    wet_after_dry, wet_after_wet
        Probability of a wet day; limits are 0.6 and 1.5 times the second one.
    wetness
        Effect of the slow wetness index on the probabilities (of its logarithm).
    season
        Amplitude and peak of the probability of rain.
    amount_mm, amount_season
        Means of the mixed exponential of a wet day's rain; amplitude and peak of its season.
    storms, storm_peak, storm_mm
        Starts of storms a year, their season's peak, least depth and scale of the depth.
    evaporation_mm
        Mean, amplitude and peak of the evaporation of open water a day.
    """

    wet_after_dry: float = 0.19
    wet_after_wet: float = 0.56
    wetness: float = 0.22
    season: tuple[float, int] = (0.15, 60)
    amount_mm: tuple[float, float] = (1.8, 13.0)
    amount_season: tuple[float, int] = (0.30, 45)
    storms: float = 1.5
    storm_peak: int = 95
    storm_mm: tuple[float, float] = (25.0, 45.0)
    evaporation_mm: tuple[float, float, int] = (3.4, 1.9, 5)


@dataclass(frozen=True)
class Lake:
    """A lake with an ungated weir and its operating rule.

    Attributes
    ----------
    shape
        Exponent of the storage curve, V ∝ depth^shape; 2.6 is typical of a river valley.
    crest_m
        Length of the weir.
    demand_ml, demand_season
        Mean demand a day; amplitude and peak of its season.
    release_ml
        Inflow up to this value passes the dam.
    restrictions
        (share of full storage, share of demand that is met below it), the strictest first.
    weekend_share
        Share of the demand that is met on Saturdays and Sundays.
    curve_digits
        Decimals of the storages of the curve.
    flood_pool, outlet_ml
        Share of full storage that stays empty for floods, and the most that an outlet releases a day to empty it.
    """

    full_supply_m: float = 186.5
    bed_m: float = 130.5
    full_storage_ml: float = 800_000.0
    shape: float = 2.6
    crest_m: float = 200.0
    demand_ml: float = 440.0
    demand_season: tuple[float, int] = (0.16, 15)
    release_ml: float = 60.0
    restrictions: tuple[tuple[float, float], ...] = ((0.20, 0.55), (0.35, 0.70), (0.50, 0.82), (0.60, 0.92))
    weekend_share: float = 1.0
    flood_pool: float = 0.0
    outlet_ml: float = 0.0
    start_share: float = 0.8
    curve_digits: int = -1

    @cached_property
    def curve_m(self) -> tuple[float, ...]:
        """Levels of the storage curve's points."""
        step = (self.full_supply_m - self.bed_m) / CURVE_STEPS
        return tuple(round(self.bed_m + number * step, 3) for number in range(CURVE_POINTS))

    @cached_property
    def curve_ml(self) -> tuple[float, ...]:
        """Storages of the storage curve's points."""
        depth = self.full_supply_m - self.bed_m
        shares = (((level - self.bed_m) / depth) ** self.shape for level in self.curve_m)
        return tuple(float(round(self.full_storage_ml * share, self.curve_digits)) for share in shares)


@dataclass(frozen=True)
class Catchment:
    """A catchment with its sites of rain, its rivers and its lake; site 0 is at the lake."""

    sites: tuple[Site, ...]
    rivers: tuple[River, ...]
    climate: Climate = field(default_factory=Climate)
    lake: Lake = field(default_factory=Lake)

    @property
    def rain_stations(self) -> tuple[str, ...]:
        """Stations of the rain gauges."""
        return tuple(site.station for site in self.sites if site.station)

    @property
    def river_stations(self) -> tuple[str, ...]:
        """Stations of the stream gauges."""
        return tuple(river.station for river in self.rivers if river.station)

    @property
    def area_km2(self) -> float:
        """Area of all sub-catchments."""
        return sum(river.area_km2 for river in self.rivers)


DEMO = Catchment(
    sites=(
        Site(2.0, 1.0, 1.02, "SIM-RAIN-1"),
        Site(-9.0, 14.0, 1.16, "SIM-RAIN-2"),
        Site(-16.0, -10.0, 1.30, "SIM-RAIN-3"),
        Site(8.0, -13.0, 0.98, "SIM-RAIN-4"),
        Site(-21.0, 4.0, 1.04, "SIM-RAIN-5"),
        Site(-38.0, 24.0, 0.98),
        Site(-52.0, 8.0, 0.90),
        Site(-34.0, -22.0, 0.96),
        Site(-48.0, -38.0, 0.88),
    ),
    rivers=(
        River("SIM-RIVER-1", 2050.0, (1, 4, 5, 6), (300.0, -4.0, 26.0, 1.8), (0.05, 34.0, 1.8), 0.6),
        River("SIM-RIVER-2", 1550.0, (0, 2, 7, 8), (260.0, -3.5, 22.0, 1.5), (0.15, 34.0, 1.7), 0.4),
    ),
)
"""The catchment of the dam `demo`: a water-supply dam in eastern New South Wales."""
