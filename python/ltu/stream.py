"""A stream of answers to any number of queries."""

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

from ltu.owner import Owner
from ltu.prompt import Prompter
from ltu.query import Answer, Query
from ltu.submit import Add, answer_of

if TYPE_CHECKING:
    from ltu import _engine


class Stream:
    """Answers to any number of queries, which are read, in a thread of their own, as the engine has room."""

    def __init__(
        self,
        queries: Iterable[Query],
        owner: Owner,
        prompter: Prompter,
        add: Callable[[Query], Add],
        room: int,
    ) -> None:
        """`add` tells how the engine is given a query; `room`: answers that it computes together."""
        self._queries, self._owner, self._prompter, self._add = queries, owner, prompter, add
        self._most = room
        self._changed = threading.Condition()
        self._open: dict[int, _Asked] = {}
        self._unfinished = 0
        self._unread = 0  # answers that the caller has not taken
        self._all_asked = self._stopped = False
        self._since: float | None = None
        self._ready: SimpleQueue[tuple[_Asked, _engine.Event] | BaseException | None] = SimpleQueue()

    def answers(self) -> Iterator[Answer]:
        """The answers as they finish. Ends what is unfinished when the caller stops early."""
        reader = threading.Thread(target=self._read, name="ltu-queries", daemon=True)
        self._owner.wait_for(self)
        reader.start()
        try:
            while (item := self._ready.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                asked, event = item
                with self._changed:
                    self._unread -= 1
                    self._changed.notify_all()
                yield answer_of(event, asked.query, self._prompter)
        except KeyboardInterrupt:
            self._owner.interrupt()
            raise
        finally:
            self._stop()

    def reading_since(self) -> float | None:
        return self._since

    def finished(self, asked: "_Asked", events: "list[_engine.Event]") -> None:
        """What the owner has for one of the queries."""
        with self._changed:
            for event in events:
                self._ready.put((asked, event))
            self._unfinished -= len(events)
            self._unread += len(events)
            self._settle(asked)
            self._changed.notify_all()
            if self._since is None and self._has_room():
                self._since = monotonic()

    def failed(self, asked: "_Asked", answers: int, error: Exception) -> None:
        """So many answers to one of the queries will not come."""
        with self._changed:
            self._unfinished -= answers
            self._ready.put(error)
            self._settle(asked)

    def _settle(self, asked: "_Asked") -> None:
        if asked.done:
            self._open.pop(id(asked), None)
        if self._all_asked and not self._open:
            self._ready.put(None)

    def _has_room(self) -> bool:
        return self._unfinished < self._most and self._unread < 4 * self._most

    def _read(self) -> None:
        """Asks one query after the other: the reader's thread."""
        try:
            source = iter(self._queries)
            while self._wait_for_room():
                query = next(source, None)
                if query is None or not self._ask(query):
                    break
        except BaseException as error:
            self._ready.put(error)
        finally:
            with self._changed:
                self._all_asked, self._since = True, None
                if not self._open:
                    self._ready.put(None)
            self._owner.leave(self)

    def _wait_for_room(self) -> bool:
        with self._changed:
            if not self._has_room():
                self._since = None
                self._owner.wake()
                self._changed.wait_for(lambda: self._stopped or self._has_room())
            self._since = monotonic()
            return not self._stopped

    def _ask(self, query: Query) -> bool:
        asked, add = _Asked(query, self), self._add(query)
        with self._changed:
            if self._stopped:
                return False
            self._open[id(asked)] = asked
            self._unfinished += asked.left
            self._owner.submit(asked, add)
            return True

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            unfinished = list(self._open.values())
        self._owner.leave(self)
        if unfinished:
            self._owner.cancel(unfinished, wait=True)


class _Asked:
    """One query of a stream."""

    def __init__(self, query: Query, stream: Stream) -> None:
        self.query, self.left = query, query.answer_count
        self._stream = stream

    @property
    def done(self) -> bool:
        return self.left == 0

    def deliver(self, events: "list[_engine.Event]") -> None:
        self.left -= len(events)
        self._stream.finished(self, events)

    def fail(self, error: Exception) -> None:
        left, self.left = self.left, 0
        self._stream.failed(self, left, error)
