"""Fleets: one job for many dams, in processes of this machine or on a Dask cluster that exists already."""
