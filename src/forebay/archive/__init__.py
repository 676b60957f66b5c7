"""All versions of all readings: SQLite or PostgreSQL, fetch, views, upkeep."""
