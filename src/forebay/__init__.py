"""Forecasts of the water level of dams, from public gauges to a report.

The packages, in the order in which the data passes through them; a package imports only from packages before it:

`errors`, `tables`, `services`, `settings`, `metrics`, `files` → `dams` → `sources` → `archive` → `days` → `screen` →
`features` → `nets` → `models` → `verify` → `forecasts` → `charts` → `report` → `jobs` → `article` → `cli`.
"""

__version__ = "0.1.0"
