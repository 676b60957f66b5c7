"""The faults of the simulated dam, and what the screen flags of them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl

from forebay.dams.dam_file import load_dam
from forebay.days.daily import daily_table
from forebay.screen.flags import VALID_REASONS, screen_daily
from forebay.settings import Settings
from forebay.sources import simulated

LAST = date(2026, 3, 1)


def simulated_days() -> pl.DataFrame:
    """Every gauge and day of the simulated dam: its fault, or "clean", and whether a flag remains."""
    dam, now = load_dam("demo"), datetime(2026, 3, 1, 20, tzinfo=UTC)
    readings = [simulated.fetch_readings(gauge, dam, None, LAST, settings=Settings(), now=now) for gauge in dam.gauges]
    flags = screen_daily(daily_table(pl.concat(readings), dam), dam)
    remaining = flags.filter(pl.col("withdrawn_on").is_null(), ~pl.col("reason").is_in(VALID_REASONS))
    truth = simulated.simulate(simulated.SEED, simulated.FIRST_DAY, LAST).gauges
    return truth.select(
        "date",
        pl.col("station").replace_strict({g.station: g.column for g in dam.gauges}).alias("gauge"),
        pl.col("station").replace_strict({g.station: g.variable for g in dam.gauges}).alias("variable"),
        pl.col("fault").replace({"unlisted": None}).fill_null("clean"),  # a code has no effect on the value
    ).join(remaining.select("gauge", "date", flagged=True).unique(), on=["gauge", "date"], how="left")
