"""Forecasts of the water level of dams, from public gauges to a report.

The folders are the rooms that the data walks through, in this order; a room imports only from rooms above it:

ground (`errors`, `tables`, `settings`, `metrics`) → `dams` → `sources` → `archive` → `prepare` → `models` → `verify` →
`forecast` → `show` → doors (`pipeline`, `review`, `article` and its parts, `cli`).

Nothing is re-exported here, so that ``import forebay`` costs nothing: the API is the modules
(``from forebay.verify import hindcast``).
"""

__version__ = "0.1.0"
