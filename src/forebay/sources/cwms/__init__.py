"""The protocol of the CWMS Data API of the US Army Corps of Engineers."""

from forebay.sources.cwms.fetch import fetch_readings, plan_requests
from forebay.sources.cwms.stations import gauge_keys, search_stations

__all__ = ["fetch_readings", "gauge_keys", "plan_requests", "search_stations"]
