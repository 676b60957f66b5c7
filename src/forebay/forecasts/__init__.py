"""A forecast from the newest observations."""
