"""The protocol of the USGS Water Data API: daily and continuous values, and their metadata, as OGC API features."""

from forebay.sources.usgs.fetch import fetch_readings, plan_requests
from forebay.sources.usgs.stations import gauge_keys, search_stations

__all__ = ["fetch_readings", "gauge_keys", "plan_requests", "search_stations"]
