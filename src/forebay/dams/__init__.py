"""The dams: what they are, which gauges watch them, in which units."""
