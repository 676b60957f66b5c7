"""Forcings: forecasts and plans for the days ahead (rain, inflow, releases, transfers, upstream releases)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from forebay.dams.csv_dates import check_date_format, has_clock
from forebay.dams.csv_layout import TextLayout
from forebay.dams.fields import Clock, FrozenModel
from forebay.dams.variables import VARIABLES, Variable

Kind = Literal["rain", "inflow", "release", "transfer", "upstream_release"]
KIND_VARIABLES: dict[str, str] = {
    "rain": "rainfall",
    "inflow": "inflow",
    "release": "release",
    "transfer": "inflow",
    "upstream_release": "release",
}
"""Variable that gives each kind its units and plausible range."""

MAX_HOURS = 240
"""Largest latency, age and travel time, in hours."""
MAX_LEAD = 30
"""Largest number of days from an issue to a valid day."""
RELATIVE = "1"
"""Unit of a rain forecast relative to the catchment's mean day: 1 is the rain of a mean day."""
QUANTILES = ("q10", "q50", "q90")
"""Quantiles of an ensemble that an inflow forecast may have beside its mean: .1, .5 and .9."""

Lead = Annotated[int, Field(ge=0, le=MAX_LEAD)]


def _parse_columns(value: object) -> object:
    """The pairs of a table {lead: column}."""
    if not isinstance(value, dict):
        return value
    return tuple((int(key) if str(key).isdecimal() else key, column) for key, column in value.items())


class ForcingFile(TextLayout):
    """Layout of a forcing's CSV file; older issues stay in the file unchanged.

    A line has one issue and one valid day, or one issue and all its valid days in columns of their own. The valid day
    is a date (`valid`), a number of days after the day of the issue (`lead`), or given by the column (`value_by_lead`).
    The day of the issue is that of `issued` in the file.

    Attributes
    ----------
    issued, valid, lead, value
        Names of columns.
    value_by_lead
        Pairs of a number of days after the day of the issue and the column of the value, instead of `valid`, `lead`
        and `value`; a table in the dam file.
    q10, q50, q90
        Columns of the quantiles of an ensemble, whose mean is `value`; of an inflow.
    issued_at
        Clock time of the issues, if `issued` has dates only; without it an issue counts from the end of its day.
    """

    issued: str
    valid: str | None = None
    lead: str | None = None
    value: str | None = None
    value_by_lead: Annotated[tuple[tuple[Lead, str], ...], BeforeValidator(_parse_columns)] = ()
    q10: str | None = None
    q50: str | None = None
    q90: str | None = None
    issued_format: Annotated[str, AfterValidator(check_date_format)] = "%Y-%m-%d %H:%M"
    issued_at: Clock | None = None
    valid_format: Annotated[str, AfterValidator(check_date_format)] = "%Y-%m-%d"

    @model_validator(mode="after")
    def _check_columns(self) -> ForcingFile:
        if self.value_by_lead:
            for key in ("valid", "lead", "value", *QUANTILES):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} = {getattr(self, key)!r} does not go with value_by_lead; delete one")
        elif self.value is None:
            raise ValueError("value is missing; name the column of the values, or give value_by_lead")
        elif (self.valid is None) == (self.lead is None):
            raise ValueError("give either valid (column of valid dates) or lead (column of days after the issue)")
        if self.issued_at is not None and has_clock(self.issued_format):
            raise ValueError(f"issued_at goes with dates, but {self.issued_format!r} has hours; delete one of the keys")
        return self

    @property
    def quantiles(self) -> dict[str, str]:
        """Quantile of `QUANTILES` → its column, for those that the file has."""
        return {key: column for key in QUANTILES if (column := getattr(self, key)) is not None}


class Forcing(FrozenModel):
    """One daily series of forecasts or plans, with the times at which each was issued.

    Attributes
    ----------
    kind
        rain: daily catchment rain; inflow: forecast inflow into the lake; release: planned release from the lake;
        transfer: planned transfer into the lake, negative out of it; upstream_release: planned release of the dam
        upstream.
    id
        Part of the names of its inputs.
    unit, scale
        Unit of the file's values after they are multiplied by `scale`. `RELATIVE` is a unit of rain.
    latency_h
        Hours from the issue time until it is available.
    max_age_h
        Age of an issue, in hours, from which on it is not used: a run that was not issued is then missing, and no
        older run replaces it. Without it the newest issue counts, whatever its age.
    travel_time_h
        Of upstream_release: hours until the water arrives.
    file
        Its file; without one, only a diagnostic with perfect knowledge of the days ahead provides values.
    """

    kind: Kind
    id: str
    name: str = ""
    unit: str
    scale: Annotated[float, Field(gt=0)] = 1.0
    latency_h: Annotated[float, Field(ge=0, le=MAX_HOURS)] = 0.0
    max_age_h: Annotated[float, Field(gt=0, le=MAX_HOURS)] | None = None
    travel_time_h: Annotated[float, Field(ge=0, le=MAX_HOURS)] = 0.0
    file: ForcingFile | None = None

    @model_validator(mode="after")
    def _check_combinations(self) -> Forcing:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,31}", self.id):
            raise ValueError(f"id {self.id!r} must be 1 to 32 of a-z, 0-9, '_', and start with a letter or digit")
        self.conversion()
        if self.travel_time_h and self.kind != "upstream_release":
            raise ValueError(f"travel_time_h goes with kind = 'upstream_release', not {self.kind!r}")
        if self.max_age_h is not None and self.max_age_h <= self.latency_h:
            raise ValueError(f"max_age_h = {self.max_age_h:g} must be larger than latency_h = {self.latency_h:g}")
        if self.file is not None and self.file.quantiles and self.kind != "inflow":
            raise ValueError(f"{', '.join(self.file.quantiles)} go with kind = 'inflow', not {self.kind!r}")
        return self

    @property
    def variable(self) -> Variable:
        """The variable that it forecasts."""
        return VARIABLES[KIND_VARIABLES[self.kind]]

    @property
    def title(self) -> str:
        """Name for people."""
        return self.name or f"{self.kind.replace('_', ' ')} {self.id}"

    @property
    def unit_title(self) -> str:
        """The unit for people."""
        return "× the rain of a mean day" if self.unit == RELATIVE else self.unit

    @property
    def series(self) -> dict[str, str]:
        """Name in `tables.FORCINGS` → "mean" or its quantile: ID for the values, "ID:q10" and so on for quantiles."""
        quantiles = self.file.quantiles if self.file is not None else ()
        return {self.id: "mean"} | {f"{self.id}:{quantile}": quantile for quantile in quantiles}

    def conversion(self) -> tuple[float, float]:
        """Factor and offset from the file's values to the variable's canonical unit; those of relative rain stay."""
        if self.kind == "rain" and self.unit == RELATIVE:
            return self.scale, 0.0
        factor, offset = self.variable.conversion(self.unit)
        return self.scale * factor, offset
