"""The references, the models, and the intervals around their forecasts."""

from __future__ import annotations

from collections.abc import Callable

from forebay.dams.dam import Dam
from forebay.models.article_net import ArticleNet
from forebay.models.balance import Balance
from forebay.models.boosting import BoostedHuber, Trees
from forebay.models.model import Model
from forebay.models.references import Climatology, DampedChange, LastChange, NoChange
from forebay.models.regression import Huber, WetRidge
from forebay.nets import backends

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
"""Every model that any dam can have, by name; each takes the lead time in days."""

FLOW_MODELS: dict[str, Callable[[int], Model]] = {"balance": Balance}
"""Models that need an inflow or a release gauge."""

NETS: dict[str, Callable[[int], Model]] = {"article_net": ArticleNet}
"""Models that need the `nets` extra; they enter only where the dam file asks for them."""


def models_for(dam: Dam) -> dict[str, Callable[[int], Model]]:
    """The models whose gauges `dam` has, by name, and nets where its file asks for them.

    Raises
    ------
    ConfigError
        If nets are asked for and what they need is not installed.
    """
    if dam.hindcast.nets:
        backends.check("jax")
    of_flows = FLOW_MODELS if dam.columns("inflow", "release") else {}
    return MODELS | of_flows | (NETS if dam.hindcast.nets else {})
