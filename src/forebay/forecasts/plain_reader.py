"""The forecast of a day from the plain numbers of `default`, step by step as docs/export.md describes it.

It uses nothing but the numbers of the file: no model, no library. `jobs.export` compares it with the forecast of the
program before it writes a file, and the readers in Elixir and JavaScript do the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
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
    leads = [_Lead(model, day, learned, position) for position in range(len(model["leads"]))]
    blends = [lead.blend(kind) for lead in leads]
    changes = [blend.change for blend in blends]
    if not day["level_age"]:
        changes = _product(learned["curve"], changes)
    medians = [
        lead.responded(change, lead.known["response_median"]) for lead, change in zip(leads, changes, strict=True)
    ]
    kind += _course(day["inputs"].get("last_change"), learned)
    offsets = [
        lead.offsets(blend, median, kind) for lead, blend, median in zip(leads, blends, medians, strict=True)
    ]
    if learned["has_curve"] and not day["level_age"]:
        columns = [_product(model["offset_curve"], column) for column in zip(*offsets, strict=True)]
        offsets = [list(row) for row in zip(*columns, strict=True)]
    forecast = []
    for lead, median, of_lead in zip(leads, medians, offsets, strict=True):
        quantiles = lead.quantiles(median, sorted(of_lead))
        levels = [day["level"] + change for change in quantiles]
        forecast.append({"lead": lead.fits["lead"], "changes": quantiles, "levels": levels})
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


@dataclass(frozen=True)
class _Blend:
    """The blend at one lead time, and what its interval needs.

    change: with the correction of quiet days. ranged: changes of the members that count for the range. sizes, spreads:
    of the inputs, and those that members predict. is_far: whether an input is beyond its bounds. forecast: the flag of
    an inflow forecast.
    """

    change: float
    ranged: list[float]
    sizes: list[float | None]
    spreads: list[float]
    is_far: bool
    forecast: int


class _Lead:
    """The steps of one lead time."""

    def __init__(self, model: Plain, day: Plain, learned: Plain, position: int) -> None:
        self.model, self.day = model, day
        self.fits, self.known = model["by_lead"][position], learned["by_lead"][position]
        self.full_supply = day["full_supply_ahead"][position]
        self.resolution = learned["resolution"]
        self.inputs = {**day["inputs"], **day["inputs_ahead"][position]}
        names = {(True, True): "both", (True, False): "level", (False, True): "drivers"}
        self.outage = names.get((day["level_age"] > 0, day["drivers_age"] > 0))

    def blend(self, kind: int) -> _Blend:
        """The blend on a day of `kind`, but for the flag of an inflow forecast."""
        inputs, members = self.inputs, self.fits["members"]
        bounded = {name: _bounded(value, self.fits["bounds"].get(name)) for name, value in inputs.items()}
        is_far = bounded != inputs
        changes = [
            member_change(member, inputs if member["is_reference"] else bounded)
            + self.day["since_level"].get(member["name"], 0.0)
            for member in members
        ]
        ranged = [change for member, change in zip(members, changes, strict=True) if member["in_range"]]
        inflow = self.fits["inflow_inputs"]
        forecast = FORECAST if inflow and all(inputs[name] is not None for name in inflow) else 0
        weights = self.known["weights"][str(kind + forecast)]
        is_wild = self._is_wild(ranged, self.known["largest_range"])
        if is_wild:
            weights = [weight * member["is_robust"] for member, weight in zip(members, weights, strict=True)]
            weights = [weight / sum(weights) for weight in weights]
        blended = sum(weight * change for weight, change in zip(weights, changes, strict=True))
        spreads = [member_spread(member, bounded) for member in members if member["name"] in self.fits["spread_of"]]
        sizes = [None if (value := inputs[name]) is None else abs(value) for name in self.fits["sizes"]]
        quiet = self.known["quiet"]
        size = _size(quiet, [*sizes, abs(blended), _range(ranged), *spreads], is_unusual=is_wild or is_far)
        third = sum(size > limit for limit in quiet["thirds"])
        is_quiet = third < len(quiet["shares"]) and self.outage is None
        shift = size * quiet["shares"][third] if is_quiet else 0.0
        return _Blend(blended + shift, ranged, sizes, spreads, is_far, forecast)

    def _is_wild(self, changes: Sequence[float], largest: float | None) -> bool:
        return largest is not None and _range(changes) > self.model["wild_factor"] * largest

    def offsets(self, blend: _Blend, median: float, kind: int) -> list[float]:
        """Distances of the quantiles from the median."""
        ranged = [*blend.ranged, median]
        known, ages = self.known["intervals"], [float(self.day["level_age"]), float(self.day["drivers_age"])]
        is_unusual = blend.is_far or self._is_wild(ranged, self.known["largest_range_with_default"])
        own = self.known["outages"].get(self.outage)
        if own is not None:
            known, is_unusual, kind = own, blend.is_far, kind & WET if self.outage == "level" else 0
        else:
            kind += blend.forecast
        sizes = [*blend.sizes, abs(median), _range(ranged), *blend.spreads, *ages]
        size = _size(known, sizes, is_unusual=is_unusual)
        scaled = known["scaled"][str(kind)]
        levels = self.model["quantiles"]
        return [_on_side(share * size, 0.0, level) for share, level in zip(scaled, levels, strict=True)]

    def quantiles(self, median: float, offsets: Sequence[float]) -> list[float]:
        """Quantiles of the change from rising `offsets`."""
        levels = self.model["quantiles"]
        rounding = [self.resolution * (level - 0.5) for level in levels]
        changes = [
            median + (min(offset, step) if step < 0 else max(offset, step) if step > 0 else offset)
            for offset, step in zip(offsets, rounding, strict=True)
        ]
        if self.model["responses"]:
            weights = zip(*self.known["response_quantiles"], strict=True)
            answers = [self.responded(change, both) for change, both in zip(changes, weights, strict=True)]
            changes = sorted(_on_side(change, median, level) for change, level in zip(answers, levels, strict=True))
        low, high = self.known["limits"]
        start = self.day["level"]
        changes = [change if low is None else max(change, low - start) for change in changes]
        changes = [change if high is None else min(change, high - start) for change in changes]
        suspect = self.day["suspect_level"]
        if suspect is not None:
            changes[0], changes[-1] = min(changes[0], suspect - start), max(changes[-1], suspect - start)
        return changes

    def responded(self, change: float, weights: Sequence[Sequence[float]]) -> float:
        """A change after the response near full supply; `weights` up to the margin above full supply and above it."""
        full, today, margin = self.full_supply, self.day["full_supply"], self.day["near_full_margin"]
        if not self.model["responses"] or full is None:
            return change
        start = self.day["level"]
        own = weights[int(today is not None and start - today > margin)]
        level, answer = start + change, 0.0
        to_full = full - start - self.model["keeps_full"] * max(full - level, 0.0)
        for weight, response in zip(own, self.model["responses"], strict=True):
            cap = full + response["offset"] * margin
            cap = cap if response["returns"] else max(cap, start)
            answer += weight * max(change - (1 - response["share"]) * max(level - cap, 0.0), to_full)
        return answer


def _bounded(value: float | None, bounds: Sequence[float] | None) -> float | None:
    return value if value is None or bounds is None else min(max(value, bounds[0]), bounds[1])


def _range(changes: Sequence[float]) -> float:
    return max(changes) - min(changes) if changes else 0.0


def member_change(member: Plain, inputs: Inputs) -> float:  # noqa: PLR0911  # one per kind
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
            return sum(member_change(part, inputs) for part in member["parts"])
        case "balance":
            return _balance(member, inputs)
    if any(inputs[name] is None for name in member["needs"]):
        return member_change(member["otherwise"], inputs)
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


def member_spread(member: Plain, inputs: Inputs) -> float:
    """Spread that a member predicts."""
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


def _on_side(value: float, median: float, level: float) -> float:
    """A quantile on its side of the median, which it is itself at the level .5."""
    if level == 0.5:
        return median
    return min(value, median) if level < 0.5 else max(value, median)


def _product(matrix: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    return [sum(share * value for share, value in zip(row, values, strict=True)) for row in matrix]
