"""How a dam's hindcast runs and which spans of days it is scored over."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from forebay.dams.fields import FrozenModel, check_id, check_unique

DEFAULT_WINDOWS = ("all", "last20")
"""Windows of every hindcast: all days after the warm-up, and the last 20% of them."""


class DateRange(FrozenModel):
    """Days from `from` to `to`, both included."""

    from_: Annotated[date, Field(alias="from")]
    to: date
    reason: str = ""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.to < self.from_:
            raise ValueError(f"to ({self.to}) must not be before from ({self.from_})")
        return self


class Window(DateRange):
    """A named span of init dates over which a hindcast is scored."""

    name: Annotated[str, AfterValidator(lambda name: check_id(name.lower()) and name)]
    exclude: tuple[DateRange, ...] = ()


class Hindcast(FrozenModel):
    """Settings of the dam's hindcast.

    Attributes
    ----------
    start
        First init date that is scored; without it the first 40% of the record are not scored, and the hindcast begins
        with the record.
    learning_days
        Days before `start` on which the hindcast begins, so that intervals and weights can learn from them; at most
        half of the days before `start`.
    nets
        Whether the article's net is hindcast too and joins the blend. It needs the extra `nets`, and minutes.
    """

    start: date | None = None
    learning_days: Annotated[int, Field(ge=365)] = 3 * 365
    leads: Annotated[tuple[Annotated[int, Field(ge=1, le=30)], ...], Field(min_length=1)] = (1, 2, 3, 4, 5, 6, 7)
    windows: tuple[Window, ...] = ()
    verification_exclude: tuple[DateRange, ...] = ()
    near_full_margin: Annotated[float | None, Field(gt=0)] = None
    nets: bool = False

    @model_validator(mode="after")
    def _check_leads_and_windows(self) -> Self:
        if list(self.leads) != sorted(set(self.leads)):
            raise ValueError(f"leads = {list(self.leads)} must rise, without repetition")
        check_unique("windows: name", (window.name for window in self.windows))
        for window in self.windows:
            if window.name in DEFAULT_WINDOWS:
                raise ValueError(
                    f"windows: name {window.name!r} is reserved: every dam has {', '.join(DEFAULT_WINDOWS)}; give "
                    "another name"
                )
        return self
