"""The references, the models, and the intervals around their forecasts."""
