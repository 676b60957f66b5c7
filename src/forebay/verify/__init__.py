"""Hindcasts, and how good they were."""
