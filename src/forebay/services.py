"""Every gauge and weather service: a table of data only."""
