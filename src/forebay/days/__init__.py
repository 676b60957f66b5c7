"""One row per local day, all gauges joined."""
