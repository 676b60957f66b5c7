"""Reference forecasts, models of the level change, and the intervals around their forecasts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from forebay.models.article_net import ArticleNet
from forebay.models.balance import Balance
from forebay.models.boosting import BoostedHuber, Trees
from forebay.models.global_trees import GlobalTrees
from forebay.models.inflow_ahead import MIN_FORECASTS, InflowAhead
from forebay.models.references import Climatology, DampedChange, LastChange, NoChange
from forebay.models.regression import Huber, WetRidge
from forebay.nets import backends

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.models.model import Model

MODELS: dict[str, Callable[[int], Model]] = {
    "no_change": NoChange,
    "last_change": LastChange,
    "damped_change": DampedChange,
    "climatology": Climatology,
    "huber": Huber,
    "wet_ridge": WetRidge,
    "trees": Trees,
    "boosted_huber": BoostedHuber,
}
"""Models that need no particular gauge, the references (`tables.REFERENCES`) first; each maker takes the lead time."""

FLOW_MODELS: dict[str, Callable[[int], Model]] = {"balance": Balance}
"""Models that need an inflow or a release gauge."""

FORECAST_MODELS: dict[str, Callable[[int], Model]] = {"inflow_ahead": InflowAhead}
"""Models that need an inflow forecast among the forcings."""

GLOBAL_MODEL = "global_trees"
"""The model that learned from other dams; a dam uses it if its dam file names its file (`global_model`)."""

NETS: dict[str, Callable[[int], Model]] = {"article_net": ArticleNet}
"""Models that need the extra `nets`; a dam uses them if its dam file has `nets = true`."""


def models_for(dam: Dam) -> dict[str, Callable[[int], Model]]:
    """Makers of the models that the dam's gauges and its dam file allow, by name.

    Raises
    ------
    ConfigError
        If the dam file has `nets = true` and the extra `nets` is not installed.
    """
    if dam.hindcast.nets:
        backends.check("jax")
    flow_models = FLOW_MODELS if dam.columns("inflow", "release") else {}
    has_inflow = any(forcing.kind == "inflow" for forcing in dam.forcings)
    forecast_models = FORECAST_MODELS if has_inflow else {}
    if has_inflow and not (dam.has_volume and dam.columns("release")):
        forecast_models = {"inflow_ahead": partial(InflowAhead, min_forecasts=MIN_FORECASTS)}
    nets = NETS if dam.hindcast.nets else {}
    file = dam.global_model
    global_models = {} if file is None else {GLOBAL_MODEL: partial(GlobalTrees, file=file)}
    return MODELS | flow_models | forecast_models | nets | global_models
