"""Hindcasts, their scores and diagnostics."""
