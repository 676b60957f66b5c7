"""The report's further sections: what the forecast rests on. Scores, coverage, the dam and its gauges, lacks, words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from forebay.charts.forecast_tables import Report
from forebay.charts.formats import TargetFormat, format_day, format_name, format_number, format_percent
from forebay.charts.score_tables import (
    compare_scores,
    models_equal_to_default,
    scored_regimes,
    scored_windows,
    scored_years,
)
from forebay.charts.spec import Spec
from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.dams.hindcast import Window
from forebay.dams.thresholds import ReferenceLevel
from forebay.models import REFERENCES
from forebay.report.page import Html, element, joined, pairs, table
from forebay.report.sections import charted, panels, section

REGIMES = {
    "all": "all days",
    "wet": "wet days",
    "dry": "dry days",
    "near_full": "near full supply",
    "level_missing": "level missing: from the last good one",
}
_HOW_TO_READ = (
    ("MAE", "the mean absolute error: by how much the forecast was off on average; less is better."),
    (
        "Skill",
        "the share of the best reference's MAE (underlined) that the forecast saves: 0 is no better than that one, "
        "below 0 is worse. The band holds 90% of resampled records; where it reaches below 0 the gain is not certain.",
    ),
    ("In 80%, in 90%", "the share of days whose level lay inside the interval; 80% and 90% would be right."),
    ("MAE, top 5%", "the mean absolute error on the 5% of days with the largest changes: floods, above all."),
)
_HINDSIGHT = (
    "In an archive readings and quality codes are often better than they were on the day. What these scores become "
    "with every gauge but the level's own a day late, and with the program's own screen in place of the agencies' "
    "codes, is written by "
)
_AGAIN = "--late-drivers --screens-for-codes"
_REFERENCE_WORDS = {
    "no_change": "the level stays where it is.",
    "last_change": "the last daily change goes on every day.",
    "damped_change": "the last daily change goes on, shrunk by a factor that past days gave.",
    "climatology": "the change that is usual at this time of the year.",
}
_WORDS = (
    ("Init date", "the last day that anything was known of; nothing later than its end was used."),
    ("Lead", "days from the init date to the day that is forecast."),
    ("Median", "the forecast's middle: a higher level was held to be as likely as a lower one."),
    ("Interval", "where the level was expected to lie on 80 (or 90) of 100 such days."),
    ("Hindcast", "forecasts made afterwards for past days, each from what was known on its own day only."),
    ("Wet day", "a day on which much rain (or, without rain gauges, high inflow or rise of a stream) was known."),
    ("Near full supply", "a level so close to full that people at the gates decide more than rain does."),
    ("Flag", "why a gauge's value of a day is missing or in doubt; a day without a flag is shown as good."),
)


def scores(report: Report, specs: Sequence[Spec]) -> Html:
    """How well the hindcast did against the four references."""
    if report.scores.is_empty():
        said = "No forecast of the hindcast could be scored: the record is too short, or the level is too seldom there."
        return section("scores", report.dam, element("p", said))
    named = {w.name: _titled(w.name, _span(w)) for w in report.dam.hindcast.windows}
    titles = {"all": _titled("all", "after the warm-up"), "last20": _titled("last20", "last fifth of the days")} | named
    years = _standings(report, scored_years(report.scores), {}, by="regime")
    same = models_equal_to_default(report.scores)
    intro = (
        "These forecasts were made afterwards, each from what was known on its own day, for every day of the record "
        "whose level was observed; four simple references forecast the same days."
    )
    return section(
        "scores",
        report.dam,
        element("p", intro, f" The model shown as default is {same[0]}." if same else ""),
        panels("chart-scores", specs, css="panels wide"),
        element("p", "Each chart has its own axis: compare lines within a chart.", css="small"),
        element("h3", "By period"),
        _standings(report, scored_windows(report.scores, report.dam), titles, by="window"),
        element("h3", "By kind of day"),
        _standings(report, scored_regimes(report.scores), REGIMES, by="regime"),
        element("details", element("summary", "By year"), years) if years else "",
        element("h3", "How to read it"),
        pairs(_HOW_TO_READ),
        element("p", _HINDSIGHT, element("code", f"forebay hindcast {report.dam.id} {_AGAIN}"), "."),
        element("h3", "The references"),
        pairs((format_name(name), _REFERENCE_WORDS.get(name, "")) for name in REFERENCES),
    )


def _standings(report: Report, rows: list[tuple[str, str]], titles: Mapping[str, object], *, by: str) -> Html:
    words = TargetFormat(report.dam)
    standings = compare_scores(report.scores, rows)
    if standings.is_empty():
        return Html("")
    cells = [
        (
            titles.get(row[by], row[by].removeprefix("y")) if row["first"] else "",
            str(row["lead_time"]),
            f"{row['n']:,}",
            element("b", words.error(row["mae"])),
            *(element("u" if name == row["best"] else "span", words.error(row[name])) for name in REFERENCES),
            _skill(row),
            format_percent(row["coverage_80"]),
            format_percent(row["coverage_90"]),
            words.error(row["mae_top5"]),
        )
        for row in standings.with_columns(first=pl.col(by).is_first_distinct()).iter_rows(named=True)
    ]
    headers = ("", "Lead, days", "Days", "MAE", *(format_name(name) for name in REFERENCES))
    tail = ("Skill (90% band)", "In 80%", "In 90%", "MAE, top 5%")
    caption = f"Errors in {words.unit}: MAE of the forecast, then of each reference"
    return table((*headers, *tail), cells, caption=caption)


def _titled(name: str, what: str) -> Html:
    return joined((name, element("span", what, css="under")))


def _span(window: Window) -> str:
    left_out = ", ".join(f"{spell.from_} to {spell.to}" for spell in window.exclude)
    return f"{window.from_} to {window.to}{f', without {left_out}' if left_out else ''}"


def _skill(row: Mapping[str, Any]) -> Html | str:  # Any: a row holds texts and numbers
    if row["best"] is None:
        return "–"
    band = f"{format_number(row['skill_low'], 2, signed=True)} to {format_number(row['skill_high'], 2, signed=True)}"
    return joined((format_number(row["skill"], 2, signed=True), element("span", band, css="under")))


def coverage(report: Report, counts: pl.DataFrame, step_days: int, spec: Spec) -> Html:
    """What each gauge delivered, as a picture and in numbers."""
    headers = ["Gauge", "Days", "With a value", *counts.columns[3:]]
    rows = [(row[0], *(f"{cell:,}" for cell in row[1:])) for row in counts.iter_rows()]
    first, last = report.daily["date"].sort()[0], report.daily["date"].sort()[-1]
    said = (
        f"Each bar is a run of days, {format_day(first)} to {format_day(last)}. "
        "Unavailable: the agency marked the reading as missing. Absent: there is no reading. Estimated, unknown and "
        "poor values are used as they are. Nothing is filled in."
    )
    if step_days > 1:
        said += f" {step_days} days stand together: one flagged day among them colours them all."
    return section(
        "coverage",
        report.dam,
        charted("chart-coverage", spec),
        element("p", said),
        table(headers, rows, caption="Days by what was delivered"),
    )


def dam_and_gauges(report: Report) -> Html:
    """The dam, its storage curves, and where each gauge comes from."""
    dam = report.dam
    headers = ["Role", "Gauge", "Source", "Station", "Variable", "Unit", "Reading", "Day starts", "Known after"]
    if any(gauge.file for gauge in dam.gauges):
        headers.append("File")
    return section(
        "dam",
        dam,
        pairs(_facts(dam)),
        element("h3", "Where each gauge comes from"),
        table(headers, [_gauge_row(g)[: len(headers)] for g in dam.gauges], texts=len(headers)),
        element("h3", "What the last fetch brought"),
        _as_it_is(report.gauge_table),
    )


def _facts(dam: Dam) -> list[tuple[str, object]]:
    spells = (f"{s.from_} to {s.to}{f' ({s.reason})' if s.reason else ''}" for s in dam.hindcast.verification_exclude)
    return [
        ("Dam", f"{dam.name} ({dam.id}), {dam.country}"),
        ("Position", f"{dam.latitude:g}°, {dam.longitude:g}°"),
        ("Days", f"station-local, time zone {dam.time_zone}"),
        ("Forecast of", f"{dam.target_gauge.kind.title.lower()}, {dam.target.unit}, {dam.target.datum}"),
        ("Full supply", _line(dam.full_supply, dam.target.unit) if dam.full_supply else "not in the dam file"),
        *((t.name, _line(t.level, dam.target.unit)) for t in dam.thresholds),
        ("Not scored", "; ".join(spells)),
        *(("Storage curve", _curve(dam, k)) for k in range(len(dam.storage_curves))),
        ("Notes", dam.notes),
        ("Licence of the data", dam.licence),
    ]


def _line(line: ReferenceLevel, unit: str) -> str:
    if line.value is not None:
        return f"{line.value:,g} {unit}"
    if line.dated:
        return "; ".join(f"{step.value:,g} {unit} from {step.from_}" for step in line.dated)
    return "rule curve: " + ", ".join(f"{p.day} {p.value:,g} {unit}" for p in line.rule_curve)


def _curve(dam: Dam, index: int) -> str:
    curve = dam.storage_curves[index]
    (low, least), (high, most) = curve.points[0], curve.points[-1]
    parts = (
        f"{low:,g} to {high:,g} {curve.level_unit} hold {least:,.0f} to {most:,.0f} {curve.storage_unit}",
        f"{len(curve.points)} points",
        f"surveyed {curve.survey_date}" if curve.survey_date else "survey date unknown",
        f"in force from {curve.valid_from}" if curve.valid_from else "",
        curve.source,
    )
    return ", ".join(part for part in parts if part)


def _gauge_row(gauge: Gauge) -> tuple[object, ...]:
    every = "daily" if gauge.interval == "day" else f"every {gauge.interval}, made a daily {gauge.aggregate}"
    at = f" at {gauge.reading_at:%H:%M}" if gauge.reading_at is not None else ""
    stamp = "" if gauge.stamp == "start" else ", stamped at its end"
    columns = [gauge.file.date, gauge.file.value, gauge.file.quality or ""] if gauge.file else []
    return (
        format_name(gauge.role),
        gauge.title,
        gauge.source,
        gauge.station,
        gauge.kind.title,
        gauge.unit,
        f"{gauge.reading}{at}, {every}{stamp}",
        f"{gauge.day_start:%H:%M}",
        f"{gauge.latency_h:g} h",
        f"{Path(gauge.file.path).name} ({', '.join(filter(None, columns))})" if gauge.file else "",
    )


def _as_it_is(frame: pl.DataFrame) -> Html:
    """A table shown whole, without the columns that are all empty."""
    if frame.is_empty():
        return element("p", "Nothing was fetched for this report.")
    shown = [c for c in frame.columns if frame[c].null_count() < len(frame)]
    texts = next((k for k, c in enumerate(shown) if frame.schema[c] != pl.String), len(shown))
    rows = [tuple(_cell(value) for value in row) for row in frame.select(shown).iter_rows()]
    return table([{"age": "age, days"}.get(c, format_name(c)) for c in shown], rows, texts=texts)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, float):
        return format_number(value, 1)
    return f"{value:,}" if isinstance(value, int) else str(value)


def lacks(report: Report) -> Html:
    """What the forecast does not know, as sentences."""
    sentences = report.forecast.warnings or ("Nothing that the dam file names was missing on the init date.",)
    always = "No forecast of rain, inflow or releases is used: it knows what was measured, not what is to come."
    ahead = report.forecast.forcings or (always,)
    return section("lacks", report.dam, element("ul", *(element("li", text) for text in (*sentences, *ahead))))


def glossary(dam: Dam) -> Html:
    """The words of the report."""
    return section("words", dam, pairs(_WORDS))
