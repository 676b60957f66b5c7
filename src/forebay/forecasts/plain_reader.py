"""The forecast of a day from the plain numbers of `default`, step by step as docs/export.md describes it.

It uses nothing but the numbers of the file: no model, no library. `jobs.export` compares it with the forecast of the
program before it writes a file, and the readers in Elixir and JavaScript do the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from forebay.models.plain import Plain

Inputs: TypeAlias = Mapping[str, float | None]

WET, NEAR_FULL, ABOVE_FULL, FALLING, RISING, FORECAST = 1, 2, 4, 8, 16, 32


def plain_forecast(model: Plain, day: Plain, learned: Plain | None = None) -> list[Plain]:
    """`lead`, `changes` and `levels` of each lead time; the lists have a number for each of the file's quantiles.

    Parameters
    ----------
    model
        Content of default.json.
    day
        Level, full supply and inputs of the day.
    learned
        What is known on the day; by default that of the file.
    """
    learned = model["learned"] if learned is None else learned
    kind = _kind(day, learned)
    blends = [_blend(model, day, learned, position, kind) for position in range(len(model["leads"]))]
    changes = _product(learned["curve"], [blend["change"] for blend in blends])
    medians = [
        _responded(model, day, position, change, "response_median", None, learned)
        for position, change in enumerate(changes)
    ]
    course = _course(day["inputs"].get("last_change"), learned)
    offsets = [
        _offsets(learned["by_lead"][position]["intervals"], model, blend, median, kind + course, learned, position)
        for position, (blend, median) in enumerate(zip(blends, medians, strict=True))
    ]
    if learned["has_curve"]:
        columns = [_product(model["offset_curve"], column) for column in zip(*offsets, strict=True)]
        offsets = [list(row) for row in zip(*columns, strict=True)]
    forecast = []
    for position, (lead, median, of_lead) in enumerate(zip(model["leads"], medians, offsets, strict=True)):
        quantiles = _quantiles(model, day, learned, position, median, sorted(of_lead))
        forecast.append({"lead": lead, "changes": quantiles, "levels": [day["level"] + change for change in quantiles]})
    return forecast


def _kind(day: Plain, learned: Plain) -> int:
    """Kind of the day for the blend, but for an inflow forecast."""
    limits = learned["wet_above"].items()
    is_wet = any(_above(day["inputs"].get(name), limit) for name, limit in limits)
    kind = WET if is_wet else 0
    if day["full_supply"] is None:
        return kind
    above = day["level"] - day["full_supply"]
    if abs(above) <= day["near_full_margin"]:
        return kind + NEAR_FULL
    return kind + ABOVE_FULL if above > day["near_full_margin"] else kind


def _course(last_change: float | None, learned: Plain) -> int:
    if _above(learned["fast_fall"], last_change):
        return FALLING
    return RISING if _above(last_change, learned["fast_rise"]) else 0


def _above(value: float | None, limit: float | None) -> bool:
    """Whether the value is above the limit; False if one of them is not known."""
    return value is not None and limit is not None and value > limit


def _blend(model: Plain, day: Plain, learned: Plain, position: int, kind: int) -> Plain:
    """The blend at one lead time with the correction of quiet days, and what the interval needs."""
    of_lead, known = model["by_lead"][position], learned["by_lead"][position]
    inputs = {**day["inputs"], **(day["inputs_ahead"][position] if day["inputs_ahead"] else {})}
    bounded = {
        name: min(max(value, of_lead["bounds"][name][0]), of_lead["bounds"][name][1])
        if value is not None and name in of_lead["bounds"]
        else value
        for name, value in inputs.items()
    }
    is_far = any(bounded[name] != value for name, value in inputs.items())
    members = of_lead["members"]
    changes = [_member(member, inputs if member["is_reference"] else bounded) for member in members]
    ranged = [change for member, change in zip(members, changes, strict=True) if member["in_range"]]
    has_forecast = bool(of_lead["inflow_inputs"]) and all(inputs[name] is not None for name in of_lead["inflow_inputs"])
    kind += FORECAST if has_forecast else 0
    weights = known["weights"][str(kind)]
    is_wild = _is_wild(model, ranged, known["largest_range"])
    if is_wild:
        weights = [weight * member["is_robust"] for member, weight in zip(members, weights, strict=True)]
        weights = [weight / sum(weights) for weight in weights]
    blended = sum(weight * change for weight, change in zip(weights, changes, strict=True))
    spreads = [_spread(member, bounded) for member in members if member["name"] in of_lead["spread_of"]]
    sizes = [None if inputs[name] is None else abs(inputs[name]) for name in of_lead["sizes"]]
    quiet = known["quiet"]
    size = _size(quiet, [*sizes, abs(blended), _range(ranged), *spreads], is_unusual=is_wild or is_far)
    third = sum(size > limit for limit in quiet["thirds"])
    shift = size * quiet["shares"][third] if third < 2 else 0.0
    return {
        "change": blended + shift,
        "ranged": ranged,
        "sizes": sizes,
        "spreads": spreads,
        "is_far": is_far,
        "forecast": FORECAST if has_forecast else 0,
    }


def _is_wild(model: Plain, changes: Sequence[float], largest: float | None) -> bool:
    return largest is not None and _range(changes) > model["wild_factor"] * largest


def _range(changes: Sequence[float]) -> float:
    return max(changes) - min(changes) if changes else 0.0


def _member(member: Plain, inputs: Inputs) -> float:
    """Change that a member forecasts."""
    match member["kind"]:
        case "factor":
            return float(member["factor"] * (inputs[member["input"]] or 0.0))
        case "day_table":
            return float(member["changes"][int(inputs[member["input"]] or 0)])
        case "linear":
            return _linear(member, inputs)
        case "wet_mean":
            change = _linear(member["all"], inputs)
            last = inputs["last_change"]
            is_wet = _above(None if last is None else abs(last), member["large_change"])
            is_wet = is_wet or _above(inputs.get("rain_3d"), member["rain_3d"])
            return (change + _linear(member["wet"], inputs)) / 2 if is_wet else change
        case "trees":
            return _trees(member, inputs)
        case "sum":
            return sum(_member(part, inputs) for part in member["parts"])
        case "balance":
            return _balance(member, inputs)
    if any(inputs[name] is None for name in member["needs"]):
        return _member(member["otherwise"], inputs)
    return float(member["intercept"]) + sum(
        (value - mean) * coefficient
        for value, mean, coefficient in _known(member["inputs"], inputs, member["mean"], member["coefficients"])
    )


def _known(
    names: Sequence[str], inputs: Inputs, first: Sequence[float], second: Sequence[float]
) -> list[tuple[float, float, float]]:
    """Value and two numbers of each input that is not missing."""
    rows = ((inputs[name], a, b) for name, a, b in zip(names, first, second, strict=True))
    return [(value, a, b) for value, a, b in rows if value is not None]


def _linear(member: Plain, inputs: Inputs) -> float:
    columns = zip(member["inputs"], member["mean"], member["deviation"], member["coefficients"], strict=True)
    change = float(member["intercept"])
    for name, mean, deviation, coefficient in columns:
        value = inputs[name]
        change += 0.0 if value is None else (value - mean) / deviation * coefficient
    for name, coefficient in zip(member["missing"], member["missing_coefficients"], strict=True):
        change += coefficient if inputs[name] is None else 0.0
    return change


def _trees(member: Plain, inputs: Inputs) -> float:
    pairs = zip(member["inputs"], member["typical"], strict=True)
    row = [typical if inputs[name] is None else inputs[name] for name, typical in pairs]
    return float(sum(_leaf(tree, row) for tree in member["trees"]) * member["scale"])


def _leaf(tree: Plain, row: Sequence[float | None]) -> float:
    node = 0 if tree["feature"] else -1
    while node >= 0:
        value = row[tree["feature"][node]]
        goes_left = tree["missing_left"][node] if value is None else value <= tree["threshold"][node]
        node = tree["left"][node] if goes_left else tree["right"][node]
    return float(tree["leaves"][-1 - node])


def _balance(member: Plain, inputs: Inputs) -> float:
    flows = [0.0 if name is None else inputs[name] for name in member["flows"]]
    inflow, median_inflow, release, median_release, expected, median_expected, change, median_change = flows
    factor = member["factor"]
    if median_inflow is None or median_release is None or median_expected is None or median_change is None:
        return float(member["course"] * (inputs[member["otherwise"]] or 0.0))
    median_error = median_change - factor * median_expected
    forecast = member["course"] * (factor * (median_inflow - median_release) + median_error)
    if inflow is not None:
        forecast += member["inflow"] * factor * (inflow - median_inflow)
    if release is not None:
        forecast -= member["release"] * factor * (release - median_release)
    if change is not None and expected is not None:
        forecast += member["error"] * (change - factor * expected - median_error)
    return float(forecast)


def _spread(member: Plain, inputs: Inputs) -> float:
    return max(0.0, _trees(member["high"], inputs) - _trees(member["low"], inputs))


def _size(size: Plain, sizes: Sequence[float | None], *, is_unusual: bool) -> float:
    """Expected size of an error on a day with these `sizes`."""
    logarithm = size["intercept"]
    for k, column in enumerate(size["columns"]):
        value = sizes[column]
        standard = 0.0
        if value is not None:
            standard = (math.log1p(value / size["unit"][k]) - size["centre"][k]) / size["deviation"][k]
        standard = min(max(standard, size["low"][k]), size["high"][k])
        logarithm += (standard - size["mean"][k]) * size["slope"][k]
    expected = math.exp(logarithm)
    return float(min(max(expected, size["least_unusual"]) if is_unusual else expected, size["largest"]))


def _offsets(
    known: Plain, model: Plain, blend: Plain, median: float, kind: int, learned: Plain, position: int
) -> list[float]:
    """Distances of the quantiles from the median."""
    ranged = [*blend["ranged"], median]
    largest = learned["by_lead"][position]["largest_range_with_default"]
    is_unusual = blend["is_far"] or _is_wild(model, ranged, largest)
    sizes = [*blend["sizes"], abs(median), _range(ranged), *blend["spreads"]]
    size = _size(known, sizes, is_unusual=is_unusual)
    scaled = known["scaled"][str(kind + blend["forecast"])]
    return [_on_side(share * size, 0.0, level) for share, level in zip(scaled, model["quantiles"], strict=True)]


def _on_side(value: float, median: float, level: float) -> float:
    """A quantile on its side of the median, which it is itself at the level .5."""
    if level == 0.5:
        return median
    return min(value, median) if level < 0.5 else max(value, median)


def _quantiles(
    model: Plain, day: Plain, learned: Plain, position: int, median: float, offsets: Sequence[float]
) -> list[float]:
    """Quantiles of the change from rising `offsets`."""
    levels = model["quantiles"]
    rounding = [learned["resolution"] * (level - 0.5) for level in levels]
    widened = [
        min(offset, step) if step < 0 else max(offset, step) if step > 0 else offset
        for offset, step in zip(offsets, rounding, strict=True)
    ]
    changes = [median + offset for offset in widened]
    if model["responses"]:
        changes = [
            _responded(model, day, position, change, "response_quantiles", number, learned)
            for number, change in enumerate(changes)
        ]
        changes = sorted(_on_side(change, median, level) for change, level in zip(changes, levels, strict=True))
    low, high = learned["by_lead"][position]["limits"]
    for end, nearest in ((low, max), (high, min)):
        if end is not None:
            changes = [nearest(change, end - day["level"]) for change in changes]
    return changes


def _responded(
    model: Plain, day: Plain, position: int, change: float, name: str, quantile: int | None, learned: Plain
) -> float:
    """A change after the response near full supply."""
    full, start, margin = day["full_supply_ahead"][position], day["level"], day["near_full_margin"]
    if not model["responses"] or full is None:
        return change
    is_above = day["full_supply"] is not None and start - day["full_supply"] > margin
    weights = learned["by_lead"][position][name][int(is_above)]
    level, answer = start + change, 0.0
    to_full = full - start - model["keeps_full"] * max(full - level, 0.0)
    for weight, response in zip(weights if quantile is None else weights[quantile], model["responses"], strict=True):
        cap = full + response["offset"] * margin
        cap = cap if response["returns"] else max(cap, start)
        answer += weight * max(change - (1 - response["share"]) * max(level - cap, 0.0), to_full)
    return answer


def _product(matrix: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    return [sum(share * value for share, value in zip(row, values, strict=True)) for row in matrix]
