"""The report's first sections, in words that an operator reads: head, forecast, and the largest rise."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from forebay.charts.forecast_tables import DAY, Report, Rise, compare_with_observed, is_near_full
from forebay.charts.formats import TargetFormat, format_count, format_day
from forebay.charts.spec import Spec, legend_entries
from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.dams.local_time import zone
from forebay.report.page import Html, chart, element, escaped, joined, legend, table

_VERDICTS = {
    "inside 80%": ("hit", "inside the 80% interval"),
    "inside 90%": ("hit", "inside the 90% interval"),
    "above 90%": ("miss", "missed, above the 90% interval"),
    "below 90%": ("miss", "missed, below the 90% interval"),
    "not observed": ("", "not observed"),
    "no interval": ("", "no interval was given"),
}
_INTERVALS = (
    "Intervals come from the errors of the same model in the hindcast, those that were known on the init date, apart "
    "for wet and other days. Of 100 days about 80 should fall into the 80% interval; how many did stands below."
)
_TITLES = {
    "forecast": "Forecast",
    "explanation": "What moved it",
    "rise": "The largest rise",
    "scores": "How good it was",
    "diagnostics": "Whether its probabilities hold",
    "coverage": "What the gauges delivered",
    "dam": "The dam and its gauges",
    "lacks": "What this forecast lacks",
    "words": "Words",
}


def section(name: str, dam: Dam, *parts: object) -> Html:
    """A section with its heading, and the word "simulated" where it belongs."""
    notice = element("p", "SIMULATED: no real gauge, no real dam.", css="simulated") if dam.simulated else ""
    return element("section", element("h2", _TITLES[name]), notice, joined(parts), ident=name)


def head(report: Report, fan: pl.DataFrame) -> Html:
    """The dam, the date that all refers to, and the numbers that the forecast starts from."""
    dam, words, issued = report.dam, TargetFormat(report.dam), report.forecast
    what = dam.target_gauge.kind.title.lower()
    day = format_day(issued.init_date)
    if issued.stale:
        age = issued.age_days + issued.level_age_days
        title = f"{dam.name}: {what} as of {format_day(issued.level_date)}, {age:,} days old"
        under = "The forecast starts from the last usable day; what has happened since is not in it."
    else:
        title = f"{dam.name}: {what} forecast from {day}"
        under = f"From all that was known at the end of that day ({_zone(dam)})."
    if issued.level_age_days:
        under = (
            f"From all that was known at the end of {day} ({_zone(dam)}); the last level is "
            f"{format_count(issued.level_age_days, 'day')} older, that of {format_day(issued.level_date)}."
        )
    simulated = "SIMULATED: weather, river and lake are invented; this is no forecast of a real dam."
    shown = (
        element("h1", title),
        element("p", simulated, css="simulated") if dam.simulated else "",
        element("p", under, css="stale" if issued.stale else "sub"),
        _figures(report, fan, words),
    )
    links = (Html(f'<li><a href="#{name}">{escaped(text)}</a></li>') for name, text in _TITLES.items())
    return joined((element("header", *shown), element("nav", element("ul", joined(links)))))


def _figures(report: Report, fan: pl.DataFrame, words: TargetFormat) -> Html:
    dam = report.dam
    boxes = [_newest_reading(report, words)]
    if not fan.is_empty():
        start, last = fan.row(0, named=True), fan.row(-1, named=True)
        boxes.append(
            _figure(
                f"Forecast starts from: {words.daily_value}",
                words.quantity(start["start"]),
                f"of {format_day(report.forecast.level_date)}",
                dam.target.datum,
            )
        )
        boxes.append(
            _figure(
                f"Forecast {words.value_of_day} of {format_day(last['valid_date'])}",
                words.quantity(last["q50"]),
                f"90% interval {words.interval(last['q05'], last['q95'])} {words.unit}",
                f"{words.number(last['q50'] - last['start'], signed=True)} {words.unit} in {last['lead_time']} days",
            )
        )
    return element("div", *boxes, css="figures")


def _newest_reading(report: Report, words: TargetFormat) -> Html:
    reading = report.newest
    if reading is None:
        return _figure("Newest single reading", "none", "the target's gauge gave no reading")
    gauge = report.dam.target_gauge
    age = report.forecast.issue_time - reading.time - timedelta(seconds=gauge.table_interval)
    return _figure(
        "Newest single reading",
        words.quantity(reading.value),
        f"{_what_was_read(gauge)} {_clock_text(reading.time, report.dam)}, quality {reading.quality}",
        f"{_age(age)} old; {reading.datum}",
    )


def _figure(title: str, value: str, *lines: str) -> Html:
    return element("div", element("h3", title), element("strong", value), *(element("span", text) for text in lines))


def _what_was_read(gauge: Gauge) -> str:
    if gauge.reading == "instantaneous":
        return "read at"
    return f"{gauge.reading} of the {gauge.interval} from"


def _age(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:.1f} hours" if hours < 48 else f"{int(hours // 24):,} days"


def _clock_text(instant: datetime, dam: Dam) -> str:
    local = instant.astimezone(zone(dam.time_zone))
    return f"{format_day(local.date())} {local:%H:%M} ({_zone(dam)})"


def _zone(dam: Dam) -> str:
    return f"UTC{dam.time_zone}" if dam.time_zone[0] in "+-" else dam.time_zone


def forecast(report: Report, fan: pl.DataFrame, all_lines: pl.DataFrame, spec: Spec) -> Html:
    """The picture of the forecast and its table."""
    words = TargetFormat(report.dam)
    if fan.is_empty():
        return section("forecast", report.dam, element("p", "No forecast could be issued."))
    ahead = fan.filter(pl.col("lead_time") > 0)
    rows = [
        (
            str(row["lead_time"]),
            format_day(row["valid_date"]),
            words.number(row["q50"]),
            words.interval(row["q10"], row["q90"]),
            words.interval(row["q05"], row["q95"]),
            words.number(row["q50"] - row["start"], signed=True),
        )
        for row in ahead.iter_rows(named=True)
    ]
    day = f"Day ({words.value_of_day})"
    issued = report.forecast
    headers = ("Lead, days", day, "Median", "80% interval", "90% interval", "Change of the median")
    start, level_day = fan["start"][0], format_day(issued.level_date) if issued.level_age_days else "that day"
    facts = [_line_sentence(row, start, words) for row in all_lines.iter_rows(named=True)]
    explained = (
        f"A lead of 1 day means the {words.value_of_day} of the day after {format_day(issued.init_date)}; "
        f"changes are against {words.quantity(start)}, the {words.daily_value} of {level_day}. "
        f"All values are {words.unit}, {report.dam.target.datum}."
    )
    if "reading at" not in words.daily_value:
        explained += f" A {words.daily_value} is neither an instant nor a peak: within the day it can stand higher."
    if issued.withheld_from is None and is_near_full(report.dam, issued.init_date, start):
        facts.append(
            "The lake is near full supply, where people at the gates control it: expect less of the forecast, as the "
            "scores near full supply show."
        )
    see = Html('<a href="#lacks">see what</a>.')
    lacking = element("p", f"This forecast lacks {format_count(len(issued.warnings), 'thing')}: ", see, css="lacks")
    return section(
        "forecast",
        report.dam,
        lacking if issued.warnings else "",
        charted("chart-forecast", spec),
        table(headers, rows, texts=2, caption=f"Forecast in {words.unit}"),
        *(element("p", fact) for fact in facts),
        element("p", explained),
        element("p", _INTERVALS, css="small"),
    )


def _line_sentence(row: dict[str, object], start: float, words: TargetFormat) -> str:
    value = row["value"]
    assert isinstance(value, float)
    side = "above" if value >= start else "below"
    far = "" if row["near"] else "; too far away to be drawn"
    distance = f"{words.quantity(abs(value - start))} {side} the last {words.daily_value}"
    return f"{row['name']}: {words.quantity(value)}, {distance}{far}."


def charted(name: str, spec: Spec) -> Html:
    hint = element("p", "Point at a mark for its numbers; drag to move in time, Shift and wheel to zoom.", css="small")
    return joined((legend(legend_entries(spec)), chart(name, spec), hint))


def panels(name: str, specs: Sequence[Spec], *, css: str = "panels") -> Html:
    """Small charts side by side, with one legend for all."""
    if not specs:
        return Html("")
    each = (element("div", chart(f"{name}-{k}", spec)) for k, spec in enumerate(specs))
    return joined((legend(legend_entries(specs[0])), element("div", *each, css=css)))


def rise(
    report: Report, found: Rise | None, fans: pl.DataFrame, levels: pl.DataFrame, specs: Sequence[Spec]
) -> Html:
    """Day by day, what would have been forecast before and during the largest rise, and what came."""
    dam, words = report.dam, TargetFormat(report.dam)
    if found is None:
        said = "The hindcast holds no day from which the level rose and stayed up, so there is no rise to show."
        return section("rise", dam, element("p", said))
    told = compare_with_observed(fans, levels)
    leads = told["lead_time"].unique().sort().to_list()
    cells = {(row["init_date"], row["lead_time"]): row for row in told.iter_rows(named=True)}
    rows = [(format_day(day), *(_told_cell(cells.get((day, lead)), words) for lead in leads)) for day in found.issued]
    intro = (
        f"The largest rise that lasted, among the {report.hindcast['init_date'].n_unique():,} days of the hindcast: "
        f"{words.quantity(found.rise)} from {format_day(found.onset)} to the next day. "
        "Below stands what would have been forecast at the end of each day, from what was known by then."
    )
    gaps = ", ".join(format_day(day) for day in found.missing)
    headers = ("Issued at the end of", *(f"+{format_count(lead, 'day')}" for lead in leads))
    caption = f"Change in {words.unit}: forecast median (90% interval), then what came"
    return section(
        "rise",
        dam,
        element("p", intro),
        *(element("p", text) for text in _rise_verdicts(found, fans, levels, words)),
        element("p", f"From {gaps} no forecast stands in the hindcast: the level was missing.") if gaps else "",
        panels("chart-rise", specs),
        table(headers, rows, caption=caption),
    )


def _rise_verdicts(found: Rise, fans: pl.DataFrame, levels: pl.DataFrame, words: TargetFormat) -> list[str]:
    peak = found.onset + DAY
    told = compare_with_observed(fans, levels, range(1, 31))
    reaching = told.filter(pl.col("init_date") + pl.duration(days="lead_time") == peak)
    eve = reaching.filter(pl.col("init_date") == found.onset)
    said = []
    if not eve.is_empty():
        row = eve.row(0, named=True)
        told_change = f"{words.number(row['change'], signed=True)} {words.unit}"
        came = f"{words.number(row['observed'], signed=True)} {words.unit}; {_VERDICTS[row['verdict']][1]}"
        said.append(
            f"On the eve, {format_day(found.onset)}, the forecast for the next day was {told_change} (90% interval "
            f"{words.interval(row['low'], row['high'], signed=True)}); it came to {came}."
        )
    earlier = reaching.filter(pl.col("init_date") < found.onset)
    if not earlier.is_empty():
        caught = int(earlier["verdict"].str.starts_with("inside").sum())
        verb = "had" if caught else "not one had"
        count = f"{caught} " if caught else ""
        said.append(
            f"Of the {format_count(len(earlier), 'forecast')} for {format_day(peak)} shown here "
            f"that were issued earlier, {count}{verb} the level that came inside the 90% interval."
        )
    return said


def _told_cell(row: dict[str, object] | None, words: TargetFormat) -> Html | str:
    if row is None:
        return "–"
    names = ("change", "low", "high", "observed")
    change, low, high, observed = (value if isinstance(value := row[k], float) else None for k in names)
    css, _ = _VERDICTS[str(row["verdict"])]
    told = f"{words.number(change, signed=True)} ({words.interval(low, high, signed=True)})"
    came = f"came {words.number(observed, signed=True)}, {row['verdict']}" if observed is not None else "not observed"
    return joined((escaped(told), element("span", came, css=f"under {css}")))
