"""Writes a set of files all or nothing."""
