"""What is told of the days to come: rain forecasts, planned releases and transfers, also of the dam upstream."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from forebay.dams.csv_layout import TextLayout, names_a_day
from forebay.dams.variables import VARIABLES, Variable

Kind = Literal["rain", "release", "transfer", "upstream_release"]
KIND_VARIABLES: dict[str, str] = {
    "rain": "rainfall",
    "release": "release",
    "transfer": "inflow",
    "upstream_release": "release",
}
"""Whose units and plausible range each kind has."""

MAX_HOURS = 240


class ForcingFile(TextLayout):
    """Where a CSV file keeps what was issued when: a line per issue and valid day, older issues kept as they were.

    An issue time without a clock (`issued_format` without hours) is the end of its day.
    """

    issued: str
    valid: str
    value: str
    issued_format: Annotated[str, AfterValidator(names_a_day)] = "%Y-%m-%d %H:%M"
    valid_format: Annotated[str, AfterValidator(names_a_day)] = "%Y-%m-%d"


class Forcing(BaseModel):
    """One series of what is forecast or planned, day by day, with the times at which it was issued.

    Attributes
    ----------
    kind
        rain: daily catchment rain; release: what will be let out of the lake; transfer: what will be brought into it by
        people, negative out of it; upstream_release: what the dam upstream will let out.
    id
        Names its inputs.
    latency_h
        Hours from the issue time until it can be had.
    travel_time_h
        Of upstream_release: hours until the water arrives.
    file
        Where it is read from; without it only a diagnostic that knows the days to come fills it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Kind
    id: str
    name: str = ""
    unit: str
    latency_h: Annotated[float, Field(ge=0, le=MAX_HOURS)] = 0.0
    travel_time_h: Annotated[float, Field(ge=0, le=MAX_HOURS)] = 0.0
    file: ForcingFile | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Forcing:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,31}", self.id):
            raise ValueError(f"id {self.id!r} must be 1 to 32 of a-z, 0-9, '_', and start with a letter or digit")
        self.variable.conversion(self.unit)
        if self.travel_time_h and self.kind != "upstream_release":
            raise ValueError(f"travel_time_h goes with kind = 'upstream_release', not {self.kind!r}")
        return self

    @property
    def variable(self) -> Variable:
        """The variable that it foretells."""
        return VARIABLES[KIND_VARIABLES[self.kind]]

    @property
    def title(self) -> str:
        """How people see it named."""
        return self.name or f"{self.kind.replace('_', ' ')} {self.id}"
