"""Forecasts from the newest observations, with explanation and limitations."""
