"""The protocol of Hydstra (Kisters) web services, which several agencies run (`forebay.services`)."""

from forebay.sources.hydstra.fetch import fetch_readings, plan_requests
from forebay.sources.hydstra.stations import gauge_keys, search_stations

__all__ = ["fetch_readings", "gauge_keys", "plan_requests", "search_stations"]
