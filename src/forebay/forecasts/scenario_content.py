"""What an init date knows for its scenarios as values of JSON, and back: a server answers from it without any fit.

Models have the form of `models.serialisation`: numbers and trees, no code. Every number comes back to the last digit,
so that the answers are equal.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl

from forebay.errors import ModelError
from forebay.features.input_range import InputRange
from forebay.forecasts.scenario import LeadKnowledge, Releases, ScenarioDay
from forebay.models.rain_rise import Response
from forebay.models.serialisation import model_content, model_of_content

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forebay.models.model import Array

Content: TypeAlias = dict[str, Any]  # Any: values of JSON

_KINDS = (pl.Float64(), pl.Float32(), pl.Int64(), pl.Int32(), pl.Int16(), pl.Int8(), pl.Boolean())
_TYPES: dict[str, pl.DataType] = {str(kind): kind for kind in _KINDS}


def scenario_content(day: ScenarioDay) -> Content:
    """All that `day` knows, as values of JSON; `NaN` is a number."""
    releases, response = day.releases, day.response
    return {
        "init_date": day.init_date.isoformat(),
        "level": day.level,
        "inputs": _table(day.inputs),
        "leads": {str(lead): _lead_content(known) for lead, known in day.leads.items()},
        "response": {
            name: None if weights is None else weights.tolist()
            for name, weights in (("median", response.median), ("quantiles", response.quantiles))
        },
        "ranks": day.ranks.tolist(),
        "resolution": day.resolution,
        "margin": day.margin,
        "releases": None if releases is None else vars(releases),
        "withheld": day.withheld,
    }


def scenario_day_of(content: Content) -> ScenarioDay:
    """The day of `scenario_content`.

    Raises
    ------
    ModelError
        If the content is another one.
    """
    try:
        return ScenarioDay(
            init_date=date.fromisoformat(content["init_date"]),
            level=content["level"],
            inputs=_table_of(content["inputs"]),
            leads={int(lead): _lead_of(known) for lead, known in content["leads"].items()},
            response=Response(_weights(content["response"], "median"), _weights(content["response"], "quantiles")),
            ranks=np.array(content["ranks"], np.intp),
            resolution=content["resolution"],
            margin=content["margin"],
            releases=None if content["releases"] is None else Releases(**content["releases"]),
            withheld=content["withheld"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"stored scenarios cannot be read ({type(error).__name__}: {error})") from None


def _lead_content(known: LeadKnowledge) -> Content:
    return {
        **{name: getattr(known, name) for name in ("shift", "unit", "limits", "full_supply", "largest_rain")},
        "models": {name: model_content(model) for name, model in known.models.items()},
        "weights": dict(known.weights),
        "bounds": {name: list(ends) for name, ends in known.input_range.bounds.items()},
        "forcing_inputs": _table(known.forcing_inputs),
        "offsets": known.offsets.tolist(),
        "largest_rain_from": known.largest_rain_from.isoformat(),
    }


def _lead_of(content: Content) -> LeadKnowledge:
    low, high = content["limits"]
    return LeadKnowledge(
        models={name: model_of_content(model) for name, model in content["models"].items()},
        weights=content["weights"],
        input_range=InputRange({name: (first, last) for name, (first, last) in content["bounds"].items()}),
        forcing_inputs=_table_of(content["forcing_inputs"]),
        shift=content["shift"],
        unit=content["unit"],
        offsets=np.array(content["offsets"], float),
        limits=(low, high),
        full_supply=content["full_supply"],
        largest_rain=content["largest_rain"],
        largest_rain_from=date.fromisoformat(content["largest_rain_from"]),
    )


def _table(table: pl.DataFrame) -> Content:
    """A table of numbers: the values and the type of each column."""
    return {
        "rows": table.height,
        "columns": {
            name: {"type": str(kind), "values": table[name].to_list()} for name, kind in table.schema.items()
        },
    }


def _table_of(content: Content) -> pl.DataFrame:
    columns = content["columns"]
    series = [pl.Series(name, column["values"], _TYPES[column["type"]]) for name, column in columns.items()]
    return pl.DataFrame(series) if series else pl.DataFrame(height=content["rows"])


def _weights(response: Mapping[str, Any], name: str) -> Array | None:  # Any: see Content
    return None if response[name] is None else np.array(response[name], float)
