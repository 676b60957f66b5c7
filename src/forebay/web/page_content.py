"""The content of pages, from the states and reports of dams."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

import polars as pl

from forebay.charts.context import YEAR
from forebay.charts.forecast_tables import QUANTILE_COLUMNS, compare_with_observed, forecast_fan
from forebay.charts.recent_inputs import DAYS, input_gauges, input_values
from forebay.charts.score_tables import scored_regimes
from forebay.dams.local_time import init_time
from forebay.dams.thresholds import RISE
from forebay.days.labels import rain_unit
from forebay.tables import summary_leads
from forebay.verify.score_tables import compare_scores
from forebay.web import page_answers
from forebay.web.answers import Chance, source_of
from forebay.web.content import chances_of, details, intervals, summary
from forebay.web.formats import finite, finite_rows

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report
    from forebay.web.dam_state import DamState
    from forebay.web.site import Snapshot

RAIN_DAYS = 3
"""Days of rain and release that the scenario page asks for."""
RAIN_MAX_MM = 200.0
RELEASE_DAYS = 1000
"""Days whose largest release is the end of the sliders."""


def overview(snapshot: Snapshot, now: datetime) -> page_answers.Overview:
    """Every dam, by name."""
    rows = [_dam_row(state, now) for state in snapshot.dams.values()]
    rows.sort(key=lambda row: (row.name.casefold(), row.dam))
    return page_answers.Overview(time=now, failure=snapshot.failure or None, dams=rows)


def _dam_row(state: DamState, now: datetime) -> page_answers.DamRow:
    base = summary(state, now)
    usable = dict(state.levels.tail(400).drop_nulls().iter_rows())
    levels = {day: level for day, level in usable.items() if day not in state.suspect}
    newest = max(levels, default=None)
    later = max((day for day in usable if newest is None or day > newest), default=None)

    def change(days: int) -> float | None:
        before = None if newest is None else levels.get(newest - timedelta(days=days))
        return None if newest is None or before is None else finite(round(levels[newest] - before, 9))

    return page_answers.DamRow(
        **base.model_dump(),
        level_now=None if newest is None else finite(levels[newest]),
        level_now_date=newest,
        level_age_hours=None if newest is None else _hours_since_end(newest, state.dam.time_zone, now),
        suspect_date=later,
        suspect_reason=None if later is None else state.suspect[later],
        change_1d=change(1),
        change_7d=change(7),
        reach=reachable(base.chances, base.start_level),
    )


def _hours_since_end(day: date, time_zone: str, now: datetime) -> float:
    """Hours since the end of a day, 0 while it lasts."""
    return round(max(timedelta(0), now - init_time(day, time_zone)) / timedelta(hours=1), 1)


def reachable(chances: list[Chance], level: float | None) -> list[Chance]:
    """The chances `by` each day to leave the side of each threshold that `level` is on; rises are left out."""
    return [
        chance
        for chance in chances
        if chance.kind == "by" and not chance.threshold.startswith(RISE) and _is_beyond(chance, level) is False
    ]


def _is_beyond(chance: Chance, level: float | None) -> bool | None:
    """Whether a level is beyond the threshold of a chance already; None where one of them is unknown."""
    if level is None or chance.threshold_level is None:
        return None
    above = level >= chance.threshold_level
    return above if chance.direction == "above" else level <= chance.threshold_level


def dam_page(
    state: DamState, report: Report | None, past: pl.DataFrame, now: datetime, failure: str
) -> page_answers.DamPage:
    """The page of a dam.

    Parameters
    ----------
    report
        The report of its newest record at `now`; None without one.
    past
        As `past_rows` returns them.
    """
    base = details(state, now).model_dump()
    shared: dict[str, Any] = {"time": now, "failure": failure or None, "past": past_answers(past)}
    if report is None:
        empty: dict[str, Any] = dict.fromkeys(
            ("limitations", "outside_experience", "forcings", "quantiles", "storage", "reach", "coverage", "gauge_ages",
             "inputs", "explanation", "last_365_days", "scores_by_regime", "reliability"), []
        )  # fmt: skip
        return page_answers.DamPage(**base, **shared, **empty, reading=None)
    newest = report.newest
    reading = None
    if newest is not None:
        reading = page_answers.NewestReading(time=newest.time, value=newest.value, quality=newest.quality)
    before = report.forecast.init_date - YEAR
    levels = dict(state.levels.filter(pl.col("date") == before).iter_rows())
    keys = ["lead_time", "valid_date"]
    ahead = report.fan.filter(pl.col("lead_time") > 0)
    return page_answers.DamPage(
        **base,
        **shared,
        reading=reading,
        year_before=finite(levels.get(before)),
        year_before_date=before,
        limitations=list(report.forecast.limitations),
        outside_experience=list(report.forecast.outside_experience),
        forcings=list(report.forecast.forcings),
        quantiles=finite_rows(ahead.select(*keys, *QUANTILE_COLUMNS)),
        storage=finite_rows(report.storage_fan),
        reach=reachable(chances_of(state), state.start_level),
        coverage=finite_rows(report.interval_coverage),
        gauge_ages=[page_answers.GaugeAge(**row) for row in finite_rows(report.gauge_status)],
        inputs=finite_rows(input_values(report, input_gauges(report), DAYS)),
        explanation=finite_rows(report.forecast.explanation),
        last_365_days=finite_rows(report.recent_scores),
        scores_by_regime=finite_rows(compare_scores(report.scores, scored_regimes(report.scores))),
        reliability=state.result.get("reliability") or [],
    )


def past_rows(forecasts: pl.DataFrame, levels: pl.DataFrame) -> pl.DataFrame:
    """init_date, lead_time, valid_date, q05, q50, q95, observed, verdict of issued forecasts, the newest first.

    Parameters
    ----------
    forecasts
        `tables.FORECASTS` of the issued forecasts.
    levels
        date, level: what was observed.
    """
    fans = forecast_fan(forecasts)
    leads = summary_leads(lead for lead in fans["lead_time"] if lead > 0)
    verdicts = compare_with_observed(fans, levels, leads).select("init_date", "lead_time", "verdict")
    rows = fans.join(verdicts, on=["init_date", "lead_time"]).join(
        levels.select(valid_date="date", observed="level"), on="valid_date", how="left"
    )
    names = ("init_date", "lead_time", "valid_date", "q05", "q50", "q95", "observed", "verdict")
    return rows.select(names).sort("init_date", "lead_time", descending=[True, False])


def past_answers(rows: pl.DataFrame) -> list[page_answers.PastRow]:
    """Rows of `past_rows` as answers."""
    return [page_answers.PastRow(**row) for row in finite_rows(rows)]


def past_page(
    state: DamState, past: DamState | None, now: datetime, issued: list[date], rows: pl.DataFrame
) -> page_answers.PastPage:
    """The page of a past issued forecast.

    Parameters
    ----------
    past
        The state with its record; None if there is none.
    issued
        Init dates with an issued forecast.
    rows
        As `past_rows` returns them.
    """
    record = None if past is None else past.record
    return page_answers.PastPage(
        **source_of(state.dam),
        time=now,
        record=None if record is None else record["id"],
        init_date=None if record is None else record["init_date"],
        issue_time=None if record is None else record["issue_time"],
        start_level=None if past is None else past.start_level,
        forecast=[] if past is None else list(intervals(past.forecast)),
        rows=[] if record is None else past_answers(rows),
        issued=issued,
    )


def scenario_page(state: DamState, report: Report | None, now: datetime) -> page_answers.ScenarioPage:
    """The page of scenarios: limits of the sliders, and the forecast without a scenario."""
    dam, base = state.dam, summary(state, now)
    unit, size = rain_unit(dam)
    release = next((gauge for gauge in dam.gauges if gauge.role == "release"), None)
    values = None if report is None or release is None else input_values(report, [release], RELEASE_DAYS)
    observed = pl.Series([], dtype=pl.Float64) if values is None else values.to_series(1).drop_nulls()
    return page_answers.ScenarioPage(
        **source_of(dam),
        time=now,
        init_date=base.init_date,
        level_date=base.level_date,
        stale=base.stale,
        start_level=base.start_level,
        rain_unit=unit,
        rain_days=RAIN_DAYS,
        rain_max=float(max(1, round(RAIN_MAX_MM / size))),
        rain_step=1.0 if size <= 1 else 0.1,
        release_unit=None if release is None or observed.is_empty() else release.unit,
        release_max=_rounded_up(observed),
        release_now=None if observed.is_empty() else finite(observed[-1]),
        forecast=base.forecast,
        notes=base.notes,
    )


def _rounded_up(values: pl.Series) -> float:
    """The largest value, rounded up to one digit; 1 without a positive value."""
    largest = finite(values.max()) or 0.0
    if largest <= 0:
        return 1.0
    unit = 10.0 ** floor(log10(largest))
    return ceil(largest / unit) * unit
