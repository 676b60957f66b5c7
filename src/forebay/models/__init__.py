"""The references, the models, and the intervals around their forecasts."""

from __future__ import annotations

from collections.abc import Callable

from forebay.models.boosting import BoostedHuber, Trees
from forebay.models.model import Model
from forebay.models.references import Climatology, DampedChange, LastChange, NoChange
from forebay.models.regression import Huber, WetRidge

REFERENCES: dict[str, Callable[[int], Model]] = {
    "no_change": NoChange,
    "last_change": LastChange,
    "damped_change": DampedChange,
    "climatology": Climatology,
}
"""What every model is measured against, by name; each takes the lead time in days."""

MODELS: dict[str, Callable[[int], Model]] = {
    **REFERENCES,
    "huber": Huber,
    "wet_ridge": WetRidge,
    "trees": Trees,
    "boosted_huber": BoostedHuber,
}
"""Every model, by name; each takes the lead time in days."""
