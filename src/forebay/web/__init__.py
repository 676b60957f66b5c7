"""The JSON API: it reads the archive, the records and the results of the last refresh, and computes no forecast."""
