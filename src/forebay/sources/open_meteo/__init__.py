"""Open-Meteo: hourly values of weather models at any point, of the past as gauges and of the future as forecasts."""

from forebay.sources.open_meteo import forecasts
from forebay.sources.open_meteo.gauges import fetch_readings, plan_requests

__all__ = ["fetch_readings", "forecasts", "plan_requests"]
