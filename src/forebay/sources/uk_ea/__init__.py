"""The protocol of the Environment Agency's two services (England): the hydrology archive and flood monitoring."""

from forebay.sources.uk_ea.fetch import fetch_readings, plan_requests
from forebay.sources.uk_ea.stations import gauge_keys, search_stations

__all__ = ["fetch_readings", "gauge_keys", "plan_requests", "search_stations"]
