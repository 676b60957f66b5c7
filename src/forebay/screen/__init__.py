"""Quality checks on daily values, with evidence from other gauges."""
