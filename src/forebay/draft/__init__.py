"""Draft of a dam file from the files that a user has."""
