"""The explanation of a forecast: the contribution of each group of inputs, with a description.

The blended change is a weighted sum of the models' changes, and the forecast a weighted sum of the blended changes of
all lead times (`models.lead_curve`). The change of each model is a sum over its inputs: for a linear model coefficient
× (input − training mean), for trees SHAP values. The contributions of all groups sum to the forecast.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.days.labels import gauge_labels, rain_unit
from forebay.features.forcings import RAIN_DAYS
from forebay.features.inputs import AHEAD, BALANCE, CONTEXT, FORCING
from forebay.models import GLOBAL_MODEL
from forebay.models.model import BASELINE, Explainable
from forebay.tables import DEFAULT_MODEL, EXPLANATION, REFERENCES

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.features.samples import Samples
    from forebay.verify.point_forecasts import PointForecasts

Source = tuple[str, str]
"""Group, and title of its gauge; the title is empty for a group that is not a single gauge."""

_GAUGE_INPUTS = ("", "_rise", "_root", "_rise_3d", "_anomaly_30d", "_arriving")
_FORCING_SPANS = (*(f"{days}d" for days in RAIN_DAYS), "lead")
_FORCING_INPUTS = (*_FORCING_SPANS, *(f"{span}_api" for span in _FORCING_SPANS), "step")
_WEATHER = ("degree_days", "degree_days_3d", "evaporation", "evaporation_7d", "snow", "snow_change", "snow_change_7d",
            "snow_melt")  # fmt: skip
_SEASON = ("day_of_year", "season_sin", "season_cos")
_MIN_RAIN_MM = 1.0
_OTHERS = {GLOBAL_MODEL: "what other dams did in such a state"}
"""Description of a model that cannot be explained by its inputs."""


def explain(samples: Samples, dam: Dam, points: Mapping[str, PointForecasts], *, yesterday: bool) -> pl.DataFrame:
    """`tables.EXPLANATION` of the last day's forecast by `default`.

    A missing input contributes to the group "missing", because the models learned the effect of its absence. During an
    outage of the level, the change expected since the last level is the source "since_level". What keeps the forecast
    within the possible levels is the source "limit". The references in the
    blend belong to the group "level" (`climatology` to "season"). A model that cannot be explained is a source of its
    own.

    Parameters
    ----------
    points
        Model → point forecasts, as `verify.default.with_default` returns them.
    yesterday
        Whether the last day is yesterday; otherwise the descriptions give its date.

    Returns
    -------
    DataFrame
        One row per lead time and source: the baseline, then the sources by size of their contribution. A lead time
        without a forecast has no row.
    """
    date = samples.dates[-1].item()
    descriptions = _Descriptions(samples, dam, "yesterday" if yesterday else f"on {date}")
    default, leads = points[DEFAULT_MODEL], list(points[DEFAULT_MODEL].weights)
    of_blend = [_of_blend(samples, dam, points, lead) for lead in leads]
    rows = []
    shares_of_leads = np.eye(len(leads)) if default.curves is None else default.curves[-1]
    for lead, shares in zip(leads, shares_of_leads, strict=True):
        if not math.isfinite(sum(default.weights[lead].values())):
            continue
        parts: dict[Source, float] = defaultdict(float)
        for share, blend in zip(shares, of_blend, strict=True):
            if share:
                for source, contribution in blend.items():
                    parts[source] += float(share) * contribution
        _add_corrections(parts, samples, default, lead)
        ordered = sorted(parts, key=lambda source: (source[0] != BASELINE, -abs(parts[source]), source))
        rows += [(dam.id, date, lead, *source, parts[source], descriptions.of(source)) for source in ordered]
    return EXPLANATION.check(pl.DataFrame(rows, schema=EXPLANATION.columns, orient="row"), unique=True)


def _of_blend(samples: Samples, dam: Dam, points: Mapping[str, PointForecasts], lead: int) -> dict[Source, float]:
    """Source → its contribution to the last day's blend at one lead time, before it is smoothed."""
    parts: dict[Source, float] = defaultdict(float, {(BASELINE, ""): points[DEFAULT_MODEL].shift[lead]})
    newest = samples.inputs_at(lead).tail(1)
    for name, weight in points[DEFAULT_MODEL].weights[lead].items():
        model, change = points[name].fitted[lead], float(points[name].changes[lead][-1])
        if not isinstance(model, Explainable):
            parts["other", name] += weight * change
            continue
        day = newest if name in REFERENCES else points[name].input_range[lead].winsorised(newest)
        contributions, values = model.contributions(day).row(0, named=True), day.row(0, named=True)
        for column, contribution in contributions.items():
            parts[_source(column, values, dam)] += weight * contribution
        if samples.level_age[-1]:
            parts["since_level", ""] += weight * (change - sum(contributions.values()))
    return parts


def _add_corrections(parts: dict[Source, float], samples: Samples, default: PointForecasts, lead: int) -> None:
    """Add the response near full supply and the limits of the level to `parts`."""
    if response := default.response.get(lead, 0.0):
        parts["full_supply", ""] += response
    level = float(samples.start_level[-1]) + sum(parts.values())
    limited = level
    if lead in samples.limits:
        low, high = (float(limit[-1]) for limit in samples.limits[lead])
        limited = min(max(level, low), high)
    if limited != level and math.isfinite(limited):
        parts["limit", ""] = limited - level


def _source(column: str, values: Mapping[str, object], dam: Dam) -> Source:
    """The source of the contribution of `column`; "missing" if the input is null in the day's `values`."""
    if column in values and values[column] is None:
        return "missing", ""
    return input_source(column, dam)


def input_source(column: str, dam: Dam) -> Source:
    """Group and gauge title of an input."""
    bare, labels = column.removeprefix(CONTEXT).removeprefix(BALANCE), gauge_labels(dam)
    for gauge in dam.gauges:
        suffix = bare.removeprefix(gauge.column)
        if gauge.role != "target" and suffix != bare and (suffix in _GAUGE_INPUTS or suffix.startswith("_due_")):
            return gauge.role, labels[gauge.column]
    for forcing in dam.forcings:
        if bare.removeprefix(FORCING) in (f"{forcing.id}_{end}" for end in _FORCING_INPUTS):
            return "forcing", forcing.title
        if column.startswith(f"{AHEAD}{forcing.id}_"):
            return "forcing", forcing.title
    flow = bare.removesuffix("_10d")
    if column.startswith(BALANCE) and flow in ("inflow", "release"):
        titles = [labels[gauge.column] for gauge in dam.gauges if gauge.role == flow]
        return flow, titles[0] if len(titles) == 1 else ""
    membership = {
        BASELINE: column == BASELINE,
        "rain": bare == "api" or bare.startswith("rain_"),
        "season": bare in _SEASON,
        "weather": bare in _WEATHER,
        "full_supply": bare == "below_full",
        "level": bare in ("level", "rise_per_flow") or "change" in bare or column.startswith(BALANCE),
    }
    return next(((group, "") for group, is_member in membership.items() if is_member), ("other", bare))


class _Descriptions:
    """Descriptions of the sources on the last day."""

    def __init__(self, samples: Samples, dam: Dam, when: str) -> None:
        self.samples, self.dam, self.when = samples, dam, when
        self.labels = gauge_labels(dam)
        self.day = samples.inputs.row(-1, named=True)
        for inputs in samples.forcing_inputs.values():
            self.day |= inputs.row(-1, named=True)

    def of(self, source: Source) -> str:
        """The description of one source."""
        group, title = source
        gauge = next((g for g in self.dam.gauges if (g.role, self.labels[g.column]) == source), None)
        if gauge is not None:
            return self._gauge(gauge)
        by_group = {
            "rain": self._rain,
            "level": self._level,
            "full_supply": self._full_supply,
            "missing": self._missing,
        }
        fixed = {
            BASELINE: "baseline",
            "season": f"time of year ({self.samples.dates[-1].item():%B})",
            "weather": weather_title(self.dam),
            "forcing": f"{title}, as issued",
            "inflow": "inflow",
            "release": "release",
            "other": _OTHERS.get(title, title),
            "limit": f"limit of the possible {self.dam.target_gauge.kind.title.lower()}",
            "since_level": f"days since the last level ({self.samples.dates[-1 - self.samples.level_age[-1]]})",
        }
        return by_group[group]() if group in by_group else fixed.get(group, title)

    def _rain(self) -> str:
        last, three = self.day.get("rain_lag0"), self.day.get("rain_3d")
        if last is not None and last >= _MIN_RAIN_MM:
            rain = f"{self._rain_amount(last)} {self.when}"
        elif three is not None:
            rain = f"{self._rain_amount(three)} over 3 days" if three >= _MIN_RAIN_MM else "almost no rain over 3 days"
        else:
            rain = "past rain"
        past = self.samples.inputs["api"].drop_nulls()
        dry, wet = past.quantile(0.25), past.quantile(0.75)
        if past.is_empty() or dry is None or wet is None or dry == wet:
            return rain
        state = "wet" if self.day["api"] >= wet else "dry" if self.day["api"] <= dry else ""
        return f"{rain} on a {state} catchment" if state else rain

    def _rain_amount(self, rain_mm: float) -> str:
        """Catchment rain in the unit of the rain gauges."""
        unit, mm = rain_unit(self.dam)
        return f"{rain_mm:.0f} mm" if unit == "mm" else f"{amount(rain_mm / mm)} {unit}"

    def _level(self) -> str:
        name = "level" if self.dam.target.variable == "reservoir_level" else "storage"
        change = self.day["last_change"]
        if self.samples.level_age[-1] > 0:  # the input is then an extrapolation
            changes = np.diff(self.samples.trusted)
            known = changes[np.isfinite(changes)]
            change = float(known[-1]) if len(known) else None
        if change is None:
            return f"no known change of the {name}"
        size = f"{amount(abs(change))} {self.dam.target.unit}"
        if not np.isfinite(self.samples.trusted[-2:]).all():
            return f"last known change of the {name}: {'a fall' if change < 0 else 'a rise'} of {size} a day"
        if change == 0:
            return f"{name} did not change {self.when}"
        return f"{name} {'fell' if change < 0 else 'rose'} {size} {self.when}"

    def _full_supply(self) -> str:
        full = self.dam.full_supply
        level = float(self.samples.level[-1])
        known = full.on(pl.Series([self.samples.dates[-1].item()]))[0] if full is not None else None
        if known is None or not math.isfinite(level):
            return "distance to full supply"
        side = "below" if level < known else "above"
        return f"{amount(abs(known - level))} {self.dam.target.unit} {side} full supply"

    def _gauge(self, gauge: Gauge) -> str:
        rise = self.day.get(f"{gauge.column}_rise")
        factor, _ = gauge.kind.conversion(gauge.unit)
        label = self.labels[gauge.column]
        if rise is None:
            return label
        small_rise = self.samples.inputs[f"{gauge.column}_rise"].abs().quantile(0.25)
        if small_rise is None or abs(rise) <= small_rise:
            return f"{label} steady"
        return f"{label} {'rising' if rise > 0 else 'falling'} ({amount(abs(rise / factor))} {gauge.unit} a day)"

    def _missing(self) -> str:
        # inputs of the balance are missing only if a gauge or a change is missing too
        missing = (name for name, value in self.day.items() if value is None and not name.startswith(BALANCE))
        sources = dict.fromkeys(input_source(column, self.dam) for column in missing)
        names = {"rain": "rain of some days", "level": "changes of some days", "full_supply": "full supply",
                 "weather": f"{weather_title(self.dam)} of some days"}  # fmt: skip
        return f"missing: {', '.join(title or names.get(group, group) for group, title in sources)}"


def weather_title(dam: Dam) -> str:
    """The weather that the dam's gauges measure: "evaporation", "temperature and snow"."""
    words = [role for role in ("temperature", "evaporation", "snow") if dam.columns(role)]
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:]))) or "weather"


def amount(value: float) -> str:
    """A positive number to about two digits, never finer than three decimals.

    >>> amount(0.0312), amount(4.25), amount(1234.5), amount(0.0)
    ('0.031', '4.2', '1,234', '0')
    """
    if value == 0:
        return "0"
    return f"{value:,.{min(3, max(0, 1 - math.floor(math.log10(value))))}f}"
