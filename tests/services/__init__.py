"""Simulated services on loopback, one module each: they honour the query like the real ones."""
