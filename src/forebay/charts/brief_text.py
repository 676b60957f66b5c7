"""The brief as one page of text: at most 60 lines of 80 characters, all of it from `forecasts.brief.brief_content`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from forebay.charts.formats import (
    NO_VALUE,
    format_count,
    format_decimals,
    format_level,
    format_number,
    format_value,
)
from forebay.charts.outlook_tables import event_title, format_probability

WIDTH, LINES = 80, 60
"""Characters of a line and lines of the page, at most."""
FAR = 1
"""Distance of the nearest past day, in standard deviations, above which no past day is similar."""
_MAX_THRESHOLDS, _MAX_GROUPS, _MAX_GAUGES = 6, 3, 4
STATE_HEADERS = ("Lake", "Value", "Change in 1 d", "Change in 7 d", "Change in 30 d")
"""Headers of `state_rows`."""
_CHANGES = ("change_1d", "change_7d", "change_30d")
_COMPARED = {
    "level": "level",
    "change_1d": "change of 1 day",
    "change_3d": "change of 3 days",
    "rain_1d": "rain of 1 day",
    "rain_7d": "rain of 7 days",
    "inflow": "inflow",
    "season": "season",
}
Content = Mapping[str, Any]  # Any: JSON


def brief_text(content: Content) -> str:
    """The page; notes that do not fit are counted on its last line."""
    parts = [_title(content), _lake(content), _inflow(content), _forecast(content), _thresholds(content)]
    parts += [_late(content), _similar(content), _recent(content)]
    lines = [line for part in parts for line in part]
    return "\n".join([*lines, *_notes(content, LINES - len(lines))])


def inflow_lines(content: Content) -> list[str]:
    """Sentences on the inflow by the balance: its terms, its closure error, and the effect of a step of the level."""
    inflow = content["inflow"]
    unit = inflow["unit"]
    if inflow["inflow"] is None:
        lines = [f"Not computed: {inflow['note']}."]
    else:
        value = f"{format_value(inflow['inflow'])} {unit} for the day to {inflow['date']}"
        mean = f"mean of the last {format_count(inflow['mean_days'], 'day')} {format_value(inflow['mean'])} {unit}"
        change = f"change of storage {_signed(inflow['storage_change'])}, from {inflow['storage_from']}"
        if inflow["includes_release"]:
            terms = f"{change}, plus release {format_value(inflow['release'])}: inflow minus losses"
        else:
            terms = f"{change}: inflow minus releases and losses"
        lines = [f"{value} ({terms}); {mean}."]
        if inflow["scatter"] is not None:
            lines.append(
                f"Half of the days of a year differ by more than {format_value(inflow['scatter'])} {unit} from the "
                f"mean of their last 7 days."
            )
    return [*lines, *_closure_lines(content)]


def _closure_lines(content: Content) -> Iterator[str]:
    inflow, unit = content["inflow"], content["inflow"]["unit"]
    closure, step = inflow["closure"], inflow["step"]
    if closure["mean"] is not None:
        measured = "" if inflow["measured"] is None else f"; measured {format_value(inflow['measured'])}"
        note = f" ({closure['note']})" if closure["note"] else ""
        yield (
            f"Closure error, balance minus measured inflow: mean {_signed(closure['mean'])}, 80% of "
            f"{format_count(closure['days'], 'day')} {_signed(closure['low'])} to {_signed(closure['high'])} "
            f"{unit}{measured}{note}."
        )
    elif closure["note"]:
        measured = "" if inflow["measured"] is None else f" Measured inflow: {format_value(inflow['measured'])} {unit}."
        yield f"Closure error: {closure['note']}.{measured}"
    if step is not None:
        kind = "For scale, a change of" if step["is_assumed"] else "One step of the readings,"
        yield (
            f"{kind} {format_value(step['step'])} {content['unit']}: {format_value(step['volume'])} "
            f"{step['volume_unit']}, or {format_value(step['flow'])} {unit} over one day."
        )


def late_lines(content: Content) -> list[str]:
    """A line per age of the late gauges, the oldest first: since when, and which."""
    late = [row for row in content["gauges"] if row["is_late"]]
    ages = sorted({row["age_days"] for row in late}, key=lambda age: -1 if age is None else -age)
    lines = []
    for age in ages:
        rows = [row for row in late if row["age_days"] == age]
        names = "; ".join(row["gauge"] for row in rows[:_MAX_GAUGES])
        rest = f" and {len(rows) - _MAX_GAUGES} more" if len(rows) > _MAX_GAUGES else ""
        if age is None:
            lines.append(f"no usable value at all: {names}{rest}")
        else:
            last = date.fromisoformat(rows[0]["last_date"])
            lines.append(f"since {last + timedelta(days=1)} ({format_count(age, 'day')} old): {names}{rest}")
    return lines


def similar_note(content: Content) -> str:
    """What the situations are, how like the init date they are, and whether none is similar."""
    similar = content["similar"]
    if not similar["days"]:
        return "No past day can be compared: too few days have all quantities that are known today."
    names = ", ".join(_COMPARED[name] for name in similar["compared"])
    is_far = similar["days"][0]["distance"] > FAR
    far = f" No past day is similar: all differ by more than {FAR} standard deviation." if is_far else ""
    return (
        f"Nearest of {similar['candidates']:,} days since {similar['first']} by {names}. Distance in standard "
        f"deviations: 0 is the same, {format_number(similar['median_distance'], 2)} the median day.{far}"
    )


def similar_rows(content: Content) -> tuple[list[str], list[list[str]]]:
    """Headers, and the cells of the init date and of each situation; quantities unknown today are left out."""
    similar, unit = content["similar"], content["unit"]
    decimals = format_decimals(unit)
    above = "above full" if similar["is_above_full_supply"] else "level"
    columns: dict[str, tuple[str, int, bool]] = {
        "level": (f"{above}, {unit}", decimals, similar["is_above_full_supply"]),
        "change_1d": ("change 1 d", decimals, True),
        "change_3d": ("change 3 d", decimals, True),
        "rain_1d": (f"rain 1 d, {similar['rain_unit']}", 1, False),
        "rain_7d": (f"rain 7 d, {similar['rain_unit']}", 1, False),
        "inflow": (f"inflow, {similar['inflow_unit']}", 1, False),
    }
    known = {name: column for name, column in columns.items() if similar["today"][name] is not None}
    later = {name: (f"then {name[5:-1]} d", decimals, True) for name in similar["today"] if name.startswith("then_")}
    headers = ["day", "distance", *(title for title, _, _ in (known | later).values())]
    name = "today" if similar["today"]["date"] == content["init_date"] else "newest"
    rows = [[similar["today"]["date"], name, *_cells(similar["today"], known), *[""] * len(later)]]
    rows += [
        [row["date"], format_number(row["distance"], 2), *_cells(row, known), *_cells(row, later)]
        for row in similar["days"]
    ]
    return headers, rows


def _cells(row: Content, columns: Mapping[str, tuple[str, int, bool]]) -> list[str]:
    return [format_number(row[name], decimals, signed=signed) for name, (_, decimals, signed) in columns.items()]


def recent_headers(content: Content) -> list[str]:
    """Headers of `recent_rows`."""
    leads = sorted({row["lead_time"] for row in content["recent"]})
    return [f"MAE, {content['unit']}; inside 90%", *(f"{lead} d" for lead in leads)]


def recent_rows(content: Content) -> list[list[str]]:
    """Span, kind of forecast, and for each lead time its mean absolute error and how many outcomes were inside."""
    decimals = format_decimals(content["unit"]) + 1
    leads = sorted({row["lead_time"] for row in content["recent"]})
    rows = []
    for days, source in dict.fromkeys((row["days"], row["source"]) for row in content["recent"]):
        own = {row["lead_time"]: row for row in content["recent"] if (row["days"], row["source"]) == (days, source)}
        if all(row["mae"] is None for row in own.values()):
            continue
        cells = [f"last {days} days, {source}"]
        for lead in leads:
            row = own.get(lead, {"mae": None})
            cells.append(NO_VALUE if row["mae"] is None else _score(row, decimals))
        rows.append(cells)
    return rows


def _score(row: Content, decimals: int) -> str:
    has_interval = row["coverage_90"] is not None
    inside = f"{round(row['coverage_90'] * row['n'])}/{row['n']}" if has_interval else "no interval"
    return f"{format_number(row['mae'], decimals)}; {inside}"


def state_rows(content: Content) -> list[list[str]]:
    """Quantity with its unit, value, and its change over 1, 7 and 30 days."""
    rows = []
    for row in content["lake"]:
        title = row["title"] if row["title"] == "% full" else f"{row['title']}, {row['unit']}"
        changes = [_quantity(row, row[name], signed=True) for name in _CHANGES]
        rows.append([title, _quantity(row, row["value"]), *changes])
    return rows


def _quantity(row: Content, value: float | None, *, signed: bool = False) -> str:
    if row["quantity"] == "reservoir_level":
        return format_level(value, row["unit"], signed=signed)
    if row["quantity"] == "storage_percent":
        return format_number(value, 1, signed=signed)
    return _signed(value) if signed else format_value(value)


def _signed(value: float | None) -> str:
    text = format_value(value)
    return text if value is None or value <= 0 or text == "0" else f"+{text}"


def _title(content: Content) -> Iterator[str]:
    lines = [f"{content['title']}: brief of {content['issue_time']}"]
    if content["simulated"]:
        lines.append("SIMULATED: weather, river and lake are invented, not those of a real dam.")
    day = content["init_date"]
    if content["is_retrospective"]:
        lines.append(f"PAST DAY: only what was known at the end of {day} ({content['init_time']}).")
    elif content["is_stale"]:
        age = content["age_days"] + content["level_age_days"]
        lines.append(f"OLD: the forecast starts from {content['level_date']}, {format_count(age, 'day')} ago.")
    else:
        lines.append(f"All data known at {content['init_time']}, the end of {day}.")
    for line in lines:
        yield from _wrapped(line, "", "  ")


def _lake(content: Content) -> Iterator[str]:
    headers = [f"LAKE on {content['level_date']}", *(text.lower() for text in STATE_HEADERS[1:])]
    yield from _heading_table([_short(headers), *state_rows(content)])
    reading = content["reading"]
    if reading is not None:
        value = f"{format_level(reading['value'], content['unit'])} {content['unit']}"
        time = f"day {reading['time'][:10]}" if reading["is_of_day"] else reading["time"]
        yield from _wrapped(f"Newest reading: {value} ({content['datum']}), {time}, quality {reading['quality']}.")
    for note in (*_percent_notes(content), *content["storage_notes"][:1]):
        yield from _wrapped(f"{note[0].upper()}{note[1:]}.")


def _percent_notes(content: Content) -> Iterator[str]:
    """The volume of 100%: of each day where it changes with the day, as by a rule curve."""
    now = [row["percent_of"] for row in content["lake"] if row["percent_of"]]
    volumes = [*now, *content["percent_of"]]
    if len(set(volumes)) == 1:
        yield f"100% is {volumes[0]}"
    elif volumes:
        last = content["forecast"][-1]["valid_date"]
        yield f"100% is that of each day: {volumes[0]} on {content['level_date']}, {volumes[-1]} on {last}"


def _inflow(content: Content) -> Iterator[str]:
    yield f"INFLOW by the water balance, {content['inflow']['unit']}"
    for line in inflow_lines(content):
        yield from _wrapped(line)


def forecast_table(content: Content) -> list[list[str]]:
    """Headers, and a row per day: median, change and 90% interval, storage and % full."""
    unit, volume = content["unit"], content["forecast"][0]["storage_unit"]
    columns: list[tuple[str, Callable[[Content], str]]] = [
        (f"median, {unit}", lambda row: format_level(row["level_median"], unit)),
        ("change", lambda row: format_level(row["change"], unit, signed=True)),
        ("90% interval", lambda row: _interval(row, "level", unit)),
    ]
    if content["variable"] != "storage" and _is_known(content, "storage_median"):
        columns.append((f"storage, {volume}", lambda row: format_value(row["storage_median"])))
    if content["variable"] != "storage_percent" and _is_known(content, "percent_median"):
        columns.append(("% full", lambda row: format_number(row["percent_median"], 1)))
    table = [["", *(title for title, _ in columns)]]
    for row in content["forecast"]:
        day = f"{date.fromisoformat(row['valid_date']):%a %d %b}, {row['lead_time']} d"
        table.append([day, *(text(row) for _, text in columns)])
    return table


def dry_rows(content: Content) -> list[list[str]]:
    """Day, median and 90% interval of the path without further rain; empty where it is unknown."""
    unit = content["unit"]
    return [
        [row["valid_date"], format_level(row["dry_median"], unit), _interval(row, "dry", unit)]
        for row in content["forecast"]
        if row.get("dry_median") is not None
    ]


def dry_sentence(content: Content) -> str:
    """The path without further rain in one sentence, or why it is not computed."""
    rows = dry_rows(content)
    if not rows:
        return f"Without further rain: not computed. {sentence(content['without_rain_note'])}"
    leads = [row["lead_time"] for row in content["forecast"] if row.get("dry_median") is not None]
    texts = (f"{median} ({interval}) in {lead} d" for lead, (_, median, interval) in zip(leads, rows, strict=True))
    return f"Without further rain (a scenario, no forecast), {content['unit']}: {', '.join(texts)}."


def _is_known(content: Content, name: str) -> bool:
    return any(row.get(name) is not None for row in content["forecast"])


def _interval(row: Content, name: str, unit: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return NO_VALUE if low is None or high is None else f"{format_level(low, unit)} to {format_level(high, unit)}"


def _forecast(content: Content) -> Iterator[str]:
    table = forecast_table(content)
    table[0][0] = "FORECAST"
    yield from _heading_table(table)
    yield from _wrapped(dry_sentence(content))


def sentence(text: str) -> str:
    """A reason as a sentence."""
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _thresholds(content: Content) -> Iterator[str]:
    rows = content["thresholds"]
    if not rows:
        yield from _wrapped("CHANCE of reaching a threshold: none is known; see forebay outlook.", "", "  ")
        return
    leads = [cell["lead_time"] for cell in rows[0]["by"]]
    table = [["CHANCE, by the end of day", *(f"{lead} d" for lead in leads)]]
    for row in rows[:_MAX_THRESHOLDS]:
        ends = (format_level(row[name], content["unit"]) for name in ("threshold_level", "threshold_level_last"))
        level = f"{' to '.join(dict.fromkeys(ends))} {content['unit']}"
        title = f"{event_title(row['threshold'], row['direction'])}, {level}"
        table.append([title, *(format_probability(cell["probability"]) for cell in row["by"])])
    yield from _heading_table(table)
    if len(rows) > _MAX_THRESHOLDS:
        yield f"  and {len(rows) - _MAX_THRESHOLDS} more: forebay outlook"


def _late(content: Content) -> Iterator[str]:
    lines, count = late_lines(content), format_count(len(content["gauges"]), "gauge")
    yield f"LATE OR MISSING: {content['late_gauges'] or 'none'} of {count}"
    for line in lines[:_MAX_GROUPS]:
        yield from _wrapped(line, "  ", "    ")
    if len(lines) > _MAX_GROUPS:
        yield f"  and {format_count(len(lines) - _MAX_GROUPS, 'group')} that are less late"
    flagged = [row for row in content["gauges"] if row["flag"]]
    for row in flagged[:_MAX_GROUPS]:
        yield _cut(f"  flagged: {row['gauge']}, {row['flag']}")


def _similar(content: Content) -> Iterator[str]:
    yield "SIMILAR PAST SITUATIONS, and the change that followed"
    yield from _wrapped(similar_note(content))
    if content["similar"]["days"]:
        headers, rows = similar_rows(content)
        yield from _heading_table(list(zip(headers, *rows, strict=True)), indent="  ")


def _recent(content: Content) -> Iterator[str]:
    rows = recent_rows(content)
    if not rows:
        yield "HOW FORECASTS DID: too few outcomes to say"
        return
    yield "HOW FORECASTS DID"
    yield from _heading_table([recent_headers(content), *rows], indent="  ")


def _notes(content: Content, room: int) -> list[str]:
    """The sentences of the forecast that fit in `room` lines; a last line counts the others.

    A gauge without a newer value stands among the late ones and has no sentence here.
    """
    late = tuple(f"{row['gauge']} has no " for row in content["gauges"] if row["is_late"])
    lacks = [text for text in content["lacks"] if not text.startswith(late)]
    sentences = [*content["outside_experience"], *lacks]
    if not sentences:
        return ["NOTES: nothing else was left out, and nothing is suspect."][:room]
    lines = ["NOTES"]
    for place, text in enumerate(sentences):
        own = list(_wrapped(text, "· ", "  "))
        is_last = place == len(sentences) - 1
        if len(lines) + len(own) > room - (0 if is_last else 1):
            return [*lines, f"  and {format_count(len(sentences) - place, 'note')} more: forebay forecast"][:room]
        lines += own
    return lines


def _short(headers: Sequence[str]) -> list[str]:
    """Headers without the words that they share with the one before: "rain 1 d, mm", "7 d"."""
    short = []
    for before, text in zip(("", *headers), headers, strict=False):
        span = re.search(r"\d+ d", text)
        short.append(span[0] if span and text.split()[:1] == before.split()[:1] else text)
    return short


def _wrapped(text: str, first: str = "  ", later: str = "  ") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)


def _cut(line: str, width: int = WIDTH) -> str:
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _heading_table(rows: Sequence[Sequence[str]], indent: str = "") -> Iterator[str]:
    """Rows as lines with aligned columns: the first to the left, the others to the right.

    Where a line is too long, the text of the first column is cut, never a number.
    """
    body = [[row[0] if place == 0 else f"  {row[0]}", *row[1:]] for place, row in enumerate(rows)]
    if indent:
        body = [[f"{indent}{row[0]}", *row[1:]] for row in rows]
    widths = [max(len(row[column]) for row in body) for column in range(len(body[0]))]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= WIDTH else " "
    room = WIDTH - sum(widths[1:]) - len(gap) * (len(widths) - 1)
    for row in body:
        numbers = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        cells = [_cut(row[0], room).ljust(min(room, widths[0])), *numbers]
        yield gap.join(cells).rstrip()
