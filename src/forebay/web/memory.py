"""The last value of each name, which is computed once for each key, however many threads wait for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import date, datetime
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """The last value of each name, which is computed again when its key has changed; once, however many wait for it.

    Parameters
    ----------
    size
        Number of values that stay, the last ones that were asked for; None: all.
    """

    def __init__(self, size: int | None = None) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, tuple[tuple[Any, ...], Value]] = OrderedDict()  # Any: by identity, too
        self._locks: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of values."""
        return len(self._values)

    def get(self, name: Hashable, key: tuple[object, ...], compute: Callable[[], Value]) -> Value:
        """The value of a name for a key; while one is computed, those of other names are not waited for.

        Parameters
        ----------
        key
            Objects that are compared by identity, or texts, numbers and instants that are compared by value.
        """
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            entry = self._values.get(name)
            if entry is None or not _is_same(entry[0], key):
                entry = (key, compute())
            with self._lock:
                self._values[name] = entry
                self._values.move_to_end(name)
                while self._size is not None and len(self._values) > self._size:
                    old, _ = self._values.popitem(last=False)
                    self._locks.pop(old, None)
            return entry[1]


def _is_same(one: tuple[object, ...], two: tuple[object, ...]) -> bool:
    plain = (str, int, date, datetime)
    return len(one) == len(two) and all(
        a is b or (isinstance(a, plain) and type(a) is type(b) and a == b) for a, b in zip(one, two, strict=True)
    )
