"""How often somebody may call: a bucket of tokens each, that fills at a steady rate."""

from collections import OrderedDict
from collections.abc import Callable


class Buckets:
    """A bucket for each key; the longest unused are forgotten where there are too many.

    `clock` gives seconds, and never runs backwards.
    """

    def __init__(
        self, *, a_second: float, burst: int, clock: Callable[[], float], keys: int = 4096
    ) -> None:
        self._rate = a_second
        self._burst = burst
        self._clock = clock
        self._keys = keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, key: str) -> float:
        """Takes a token and gives 0, or gives the seconds until there is one again."""
        now = self._clock()
        left, at = self._buckets.pop(key, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._rate)
        taken = left >= 1
        self._buckets[key] = (left - 1 if taken else left, now)
        while len(self._buckets) > self._keys:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1 - left) / self._rate
