"""The protocol of KiWIS (Kisters) query services: the Bureau of Meteorology's Water Data Online, and other hubs."""

from forebay.sources.kiwis.fetch import fetch_readings, plan_requests
from forebay.sources.kiwis.stations import gauge_keys, search_stations

__all__ = ["fetch_readings", "gauge_keys", "plan_requests", "search_stations"]
