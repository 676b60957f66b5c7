"""Role of a gauge of each variable that is not the target's."""

ROLES = {
    "rainfall": "rainfall", "stream_level": "stream", "discharge": "stream", "inflow": "inflow", "release": "release",
    "storage": "storage", "storage_percent": "storage", "reservoir_level": "level",
    "temperature": "temperature", "evaporation": "evaporation",
    "snow_water_equivalent": "snow",
}  # fmt: skip
"""Variable → role."""
