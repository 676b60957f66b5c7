"""Dams: their gauges, variables, units, reference levels, storage curves and files."""
