"""A limit on how often something may be done."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable


class Rate:
    """So many times at once, and then so many times a second, for all clients together.

    Parameters
    ----------
    per_second
        How often in the long run.
    burst
        How often at once.
    clock
        Seconds.

    Examples
    --------
    >>> now = [0.0]
    >>> rate = Rate(0.5, burst=2, clock=lambda: now[0])
    >>> rate.wait_s(), rate.wait_s(), rate.wait_s()
    (0, 0, 2)
    >>> now[0] = 2.0
    >>> rate.wait_s(), rate.wait_s()
    (0, 2)
    """

    def __init__(self, per_second: float, *, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._left, self._last = float(burst), clock()
        self._lock = threading.Lock()

    def wait_s(self) -> int:
        """0 if it may be done now, which counts; otherwise the whole seconds after which it may."""
        with self._lock:
            now = self._clock()
            self._left = min(self._burst, self._left + (now - self._last) * self._per_second)
            self._last = now
            if self._left >= 1:
                self._left -= 1
                return 0
            return max(1, math.ceil((1 - self._left) / self._per_second))
