"""Where an answer's text ends by the client's wish."""

from collections.abc import Sequence


class Stops:
    """Text in pieces → text that stands before the first stop string, as soon as that is sure."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.stopped = False

    def push(self, piece: str) -> str:
        self._held += piece
        found = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            return self._take(min(found))
        return self._take(len(self._held) - self._begun())

    def finish(self) -> str:
        """What was held back when the answer ended."""
        return self._take(len(self._held))

    def _begun(self) -> int:
        """Length of the longest end of the text that begins a stop string."""
        lengths = range(max(map(len, self._stops), default=1) - 1, 0, -1)
        return next(
            (n for n in lengths if any(self._held[-n:] == stop[:n] for stop in self._stops if n < len(stop))),
            0,
        )

    def _take(self, count: int) -> str:
        taken, self._held = self._held[:count], self._held[count:]
        return taken
