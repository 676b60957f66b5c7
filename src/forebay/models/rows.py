"""The rows of a hindcast that an earlier hindcast has computed, and the day from which learners go on.

No result of a day depends on later days. A hindcast over a record that has grown by a day therefore has the same rows
up to the day before. The functions that learn from past days begin at `Rows.first`, and the rows before it come from
the earlier hindcast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[Any]  # of floats, integers, flags or bytes
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Rows:
    """The rows of earlier days, and the rows that a hindcast adds.

    Attributes
    ----------
    count
        Number of days of the record.
    first
        Index of the first day that is computed; 0 computes all days. The states of that day are in `earlier`.
    memory
        Longest lead time in days: a learner on day d uses forecasts of the days from d − `memory` on.
    save_days
        Days before which a sequential learner saves its state; none without a store.
    earlier, current
        Name → rows of the earlier hindcast, and of this one. The name of a state ends in "@" and its day.
    offset
        Index, in the whole record, of the first day that `since` leaves.
    watched
        Days after which the states of the sequential learners are put into `after`.
    after
        Name of a state and its day, joined by "@" → the state after that day.
    """

    count: int = 0
    first: int = 0
    memory: int = 0
    save_days: frozenset[int] = frozenset()
    earlier: Mapping[str, Values] = field(default_factory=dict)
    current: dict[str, Values] = field(default_factory=dict)
    offset: int = 0
    watched: frozenset[int] = frozenset()
    after: dict[str, Values] = field(default_factory=dict)

    @property
    def begin(self) -> int:
        """Index of the first day whose forecast is needed: learners use those of the last `memory` days."""
        return max(0, self.first - self.memory)

    def since(self, begin: int) -> Rows:
        """The rows of the record without its first `begin` days."""
        return replace(self, count=self.count - begin, first=max(0, self.first - begin), offset=self.offset + begin)

    def of(self, count: int) -> Rows:
        """These rows for a learner of the whole record; a learner of fewer days, `count`, computes all of them."""
        return self if count == self.count else ALL_ROWS

    def mask(self, count: int) -> NDArray[np.bool_]:
        """Whether the row of each of `count` days is needed, shape (count,)."""
        return np.arange(count) >= self.begin

    def extend(self, name: str, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """The earlier rows before `first`, then those of `values`, of which the last row is that of the last day."""
        if self.first:
            values = np.concatenate([self.earlier[name][: self.first], values[len(values) - self.count + self.first :]])
        if self.save_days:
            self.current[name] = values
        return values

    def days(self, name: str, state: Mapping[str, Values], outputs: Values) -> Iterator[int]:
        """Indices of the days that a sequential learner processes; it sets the row of a day in `outputs` on that day.

        `state` has all else that it changes. Before the first day, both are set to what an earlier hindcast saved.
        """
        start = self.first if self.first else 0
        if start:
            for part, array in state.items():
                array[...] = self.earlier[f"{name}/{part}@{start + self.offset}"]
            outputs[max(0, start - self.memory) : start] = self.earlier[f"{name}/outputs@{start + self.offset}"]
        for day in range(start, len(outputs)):
            if day + self.offset in self.save_days:
                recent = {**state, "outputs": outputs[max(0, day - self.memory) : day]}
                saved = {f"{name}/{part}@{day + self.offset}": array.copy() for part, array in recent.items()}
                self.current.update(saved)
            yield day
            if day + self.offset in self.watched:
                learned = {f"{name}/{part}@{day + self.offset}": array.copy() for part, array in state.items()}
                self.after.update(learned)


ALL_ROWS = Rows()
"""Every day is computed, and nothing is saved."""
