"""What moved a forecast: what each group of inputs added to it, and in what words.

The blended change is a weighted sum of the models' changes, and each model's change is a sum over its inputs: of a line
coefficient × (input − training mean), of trees their SHAP values. Added up by groups they are the forecast again.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import polars as pl

from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.features.forcings import RAIN_DAYS
from forebay.features.inputs import BALANCE, CONTEXT, FORCING
from forebay.features.samples import Samples
from forebay.models.model import BASELINE, Explainable
from forebay.tables import EXPLANATION
from forebay.verify.point_forecasts import DEFAULT, PointForecasts

Source = tuple[str, str]
"""Group and gauge's title, empty where the group is no single gauge."""

_GAUGE_INPUTS = ("", "_rise", "_root", "_rise_3d", "_anomaly_30d", "_arriving")
_FORCING_SPANS = (*(f"{days}d" for days in RAIN_DAYS), "lead")
_FORCING_INPUTS = (*_FORCING_SPANS, *(f"{span}_api" for span in _FORCING_SPANS), "step")
_WEATHER = ("degree_days", "degree_days_3d", "evaporation", "evaporation_7d", "snow", "snow_change", "snow_change_7d",
            "snow_melt")  # fmt: skip
_SEASON = ("day_of_year", "season_sin", "season_cos")
_MIN_RAIN_MM = 1.0


def explain(samples: Samples, dam: Dam, points: Mapping[str, PointForecasts], *, yesterday: bool) -> pl.DataFrame:
    """What moved the last day's forecast by `default`, as `tables.EXPLANATION`.

    What an input contributes counts for "missing" on a day on which it has no value: the models learned what its
    absence is worth. Where the level is silent, what the days since the last one are expected to have brought is a
    source of its own. The references in the blend are the level's own course (`climatology` the season); a model that
    does not tell its inputs apart is a source of its own.

    Parameters
    ----------
    points
        Of every model and `default`, as `hindcast.with_default` gives them.
    yesterday
        Whether the last day is yesterday; else the words name its date.

    Returns
    -------
    DataFrame
        Per lead a row per source, base first, then the largest first; a lead without a forecast has none.
    """
    age = int(samples.level_age[-1])
    speaker = _Words(samples, dam, "yesterday" if yesterday else f"on {samples.dates[-1].item():%-d %b}")
    rows = []
    for lead, weights in points[DEFAULT].weights.items():
        if not math.isfinite(sum(weights.values())):
            continue
        found: dict[Source, float] = defaultdict(float, {(BASELINE, ""): points[DEFAULT].shift[lead]})
        day = samples.inputs_at(lead).tail(1)
        for name, weight in weights.items():
            model = points[name].fitted[lead]
            if not isinstance(model, Explainable):
                found["other", name] += weight * float(points[name].changes[lead][-1])
                continue
            told = model.contributions(day).row(0, named=True)
            for column, contribution in told.items():
                found[_source(column, day, dam)] += weight * contribution
            if age:
                found["since_level", ""] += weight * (points[name].changes[lead][-1] - sum(told.values()))
        first_base = sorted(found, key=lambda source: (source[0] != BASELINE, -abs(found[source]), source))
        rows += [(dam.id, samples.dates[-1].item(), lead, *of, found[of], speaker.of(of)) for of in first_base]
    return EXPLANATION.check(pl.DataFrame(rows, schema=EXPLANATION.columns, orient="row"), unique=True)


def _source(column: str, day: pl.DataFrame, dam: Dam) -> Source:
    """Whose contribution that of `column` is."""
    if column in day.columns and day[column].is_null()[0]:
        return "missing", ""
    return owner(column, dam)


def owner(column: str, dam: Dam) -> Source:
    """The group, and where it is a single gauge its title, that an input belongs to."""
    bare = column.removeprefix(CONTEXT).removeprefix(BALANCE)
    for gauge in dam.gauges:
        own = bare.removeprefix(gauge.column)
        if gauge.role != "target" and own != bare and (own in _GAUGE_INPUTS or own.startswith("_due_")):
            return gauge.role, gauge.title
    for forcing in dam.forcings:
        if bare.removeprefix(FORCING) in (f"{forcing.id}_{end}" for end in _FORCING_INPUTS):
            return "forcing", forcing.title
    flow = bare.removesuffix("_10d")
    if column.startswith(BALANCE) and flow in ("inflow", "release"):
        titles = [gauge.title for gauge in dam.gauges if gauge.role == flow]
        return flow, titles[0] if len(titles) == 1 else ""
    belongs = {
        BASELINE: column == BASELINE,
        "rain": bare == "api" or bare.startswith("rain_"),
        "season": bare in _SEASON,
        "weather": bare in _WEATHER,
        "full_supply": bare == "below_full",
        "level": bare in ("level", "rise_per_flow") or "change" in bare or column.startswith(BALANCE),
    }
    return next(((group, "") for group, does in belongs.items() if does), ("other", bare))


class _Words:
    """What each source was doing on the last day, in words."""

    def __init__(self, samples: Samples, dam: Dam, when: str) -> None:
        self.samples, self.dam, self.when = samples, dam, when
        self.day = samples.inputs.row(-1, named=True)
        for of_lead in samples.ahead.values():
            self.day |= of_lead.row(-1, named=True)

    def of(self, source: Source) -> str:
        """The words for one source."""
        group, title = source
        gauge = next((g for g in self.dam.gauges if (g.role, g.title) == source), None)
        if gauge is not None:
            return self._gauge(gauge)
        of_group = {
            "rain": self._rain,
            "level": self._level,
            "full_supply": self._full_supply,
            "missing": self._missing,
        }
        fixed = {
            BASELINE: "what a usual day brings",
            "season": f"the time of year ({self.samples.dates[-1].item():%B})",
            "weather": "warmth, evaporation and snow",
            "forcing": f"{title}, as issued",
            "inflow": "inflow",
            "release": "release",
            "since_level": f"the days since the last level ({self.samples.dates[-1 - self.samples.level_age[-1]]})",
        }
        return of_group[group]() if group in of_group else fixed.get(group, title)

    def _rain(self) -> str:
        last, three = self.day.get("rain_lag0"), self.day.get("rain_3d")
        if last is not None and last >= _MIN_RAIN_MM:
            fallen = f"{last:.0f} mm {self.when}"
        elif three is not None:
            fallen = f"{three:.0f} mm in 3 days" if three >= _MIN_RAIN_MM else "hardly any rain in 3 days"
        else:
            fallen = "rain so far"
        past = self.samples.inputs["api"].drop_nulls()
        dry, wet = past.quantile(0.25), past.quantile(0.75)
        if past.is_empty() or dry is None or wet is None or dry == wet:
            return fallen
        ground = "wet" if self.day["api"] >= wet else "dry" if self.day["api"] <= dry else ""
        return f"{fallen} on a {ground} catchment" if ground else fallen

    def _level(self) -> str:
        name = "level" if self.dam.target.variable == "reservoir_level" else "storage"
        change = self.day["last_change"]
        if self.samples.level_age[-1] > 0:  # the inputs then hold one that fades
            changes = np.diff(self.samples.trusted)
            seen = changes[np.isfinite(changes)]
            change = float(seen[-1]) if len(seen) else None
        if change is None:
            return f"{name}: no change is known yet"
        size = f"{amount(abs(change))} {self.dam.target.unit}"
        if not np.isfinite(self.samples.trusted[-2:]).all():
            return f"{name}'s last known change was {'a fall' if change < 0 else 'a rise'} of {size}"
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
        if rise is None:
            return gauge.title
        ordinary = self.samples.inputs[f"{gauge.column}_rise"].abs().quantile(0.25)
        if ordinary is None or abs(rise) <= ordinary:
            return f"{gauge.title} steady"
        return f"{gauge.title} {'rising' if rise > 0 else 'falling'} ({amount(abs(rise / factor))} {gauge.unit} a day)"

    def _missing(self) -> str:
        # what the balance lacks, a gauge or a change lacks
        absent = (name for name, value in self.day.items() if value is None and not name.startswith(BALANCE))
        owners = dict.fromkeys(owner(column, self.dam) for column in absent)
        names = {"rain": "rain of some days", "level": "changes of some days", "full_supply": "full supply",
                 "weather": "temperature, evaporation or snow of some days"}  # fmt: skip
        return f"what is not known: {', '.join(title or names.get(group, group) for group, title in owners)}"


def amount(value: float) -> str:
    """A positive number to about two digits, never finer than three decimals.

    >>> amount(0.0312), amount(4.25), amount(1234.5), amount(0.0)
    ('0.031', '4.2', '1,234', '0')
    """
    if value == 0:
        return "0"
    return f"{value:,.{min(3, max(0, 1 - math.floor(math.log10(value))))}f}"
