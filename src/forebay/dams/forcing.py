"""Forcings: forecasts and plans for the days ahead (rain, releases, transfers, releases of the dam upstream)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from forebay.dams.csv_dates import check_date_format
from forebay.dams.csv_layout import TextLayout
from forebay.dams.fields import FrozenModel
from forebay.dams.variables import VARIABLES, Variable

Kind = Literal["rain", "release", "transfer", "upstream_release"]
KIND_VARIABLES: dict[str, str] = {
    "rain": "rainfall",
    "release": "release",
    "transfer": "inflow",
    "upstream_release": "release",
}
"""Variable that gives each kind its units and plausible range."""

MAX_HOURS = 240
"""Largest latency and travel time, in hours."""


class ForcingFile(TextLayout):
    """Layout of a forcing's CSV file: one line per issue and valid day; older issues stay in the file unchanged.

    An issue time without a clock time (`issued_format` without hours) is the end of its day.
    """

    issued: str
    valid: str
    value: str
    issued_format: Annotated[str, AfterValidator(check_date_format)] = "%Y-%m-%d %H:%M"
    valid_format: Annotated[str, AfterValidator(check_date_format)] = "%Y-%m-%d"


class Forcing(FrozenModel):
    """One daily series of forecasts or plans, with the times at which each was issued.

    Attributes
    ----------
    kind
        rain: daily catchment rain; release: planned release from the lake; transfer: planned transfer into the lake,
        negative out of it; upstream_release: planned release of the dam upstream.
    id
        Part of the names of its inputs.
    latency_h
        Hours from the issue time until it is available.
    travel_time_h
        Of upstream_release: hours until the water arrives.
    file
        Its file; without one, only a diagnostic with perfect knowledge of the days ahead provides values.
    """

    kind: Kind
    id: str
    name: str = ""
    unit: str
    latency_h: Annotated[float, Field(ge=0, le=MAX_HOURS)] = 0.0
    travel_time_h: Annotated[float, Field(ge=0, le=MAX_HOURS)] = 0.0
    file: ForcingFile | None = None

    @model_validator(mode="after")
    def _check_combinations(self) -> Forcing:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,31}", self.id):
            raise ValueError(f"id {self.id!r} must be 1 to 32 of a-z, 0-9, '_', and start with a letter or digit")
        self.variable.conversion(self.unit)
        if self.travel_time_h and self.kind != "upstream_release":
            raise ValueError(f"travel_time_h goes with kind = 'upstream_release', not {self.kind!r}")
        return self

    @property
    def variable(self) -> Variable:
        """The variable that it forecasts."""
        return VARIABLES[KIND_VARIABLES[self.kind]]

    @property
    def title(self) -> str:
        """Name for people."""
        return self.name or f"{self.kind.replace('_', ' ')} {self.id}"
