"""Learning that is bounded by time."""

import math
from time import monotonic


class Clock:
    """Runs from when it is made, for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._started = seconds, monotonic()

    def elapsed(self) -> float:
        """Seconds."""
        return monotonic() - self._started

    def done(self) -> float:
        """The share of the time that is over; 1 and more: it is up."""
        return self.elapsed() / self._seconds


def rate(done: float, warm_up: float) -> float:
    """The part of the learning rate after a share of the time: linear warm-up, then a cosine to zero."""
    return min(1.0, done / warm_up + 0.01) * (0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)))
