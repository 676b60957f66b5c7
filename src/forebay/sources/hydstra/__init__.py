"""Hydstra services: WaterNSW, Victoria, Queensland."""
