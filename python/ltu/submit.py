"""Queries on their way: a ticket for one of them, and a stream of answers to many."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from ltu.owner import Owner
from ltu.prompt import Prompter, TextStream
from ltu.query import Answer, Decisions, Distribution, Exact, Likely, Query, Token, TokenLogprobs

if TYPE_CHECKING:
    from ltu import _engine

Add = Callable[["_engine.Engine"], int]

YES_NO = ("yes", "no", "neither")  # decisions whose probabilities are a Distribution


class Ticket:
    """A query that was asked. Its methods may be called from any thread; `await` and `async for` work on it.

    What goes wrong (PromptError, AudioError, Error) is raised by whoever reads from the ticket.
    """

    def __init__(self, query: Query, owner: Owner, prompter: Prompter) -> None:
        self.query = query
        self._owner, self._prompter = owner, prompter
        self._changed = threading.Condition()
        self._events: list[_engine.Event] = []
        self._left = query.answer_count
        self._error: Exception | None = None
        self._watchers: list[Callable[[], None]] = []

    @property
    def done(self) -> bool:
        """Whether every answer is there, or the query has failed."""
        return self._left == 0 or self._error is not None

    def tokens(self) -> Iterator[Token]:
        """Tokens as they are drawn, of all repeats; only of a query that was submitted to be streamed."""
        texts: defaultdict[int, TextStream] = defaultdict(self._prompter.stream)
        for event in self._come():
            if token := self._token(event, texts):
                yield token

    def answers(self) -> Iterator[Answer]:
        """Answers as they finish, in any order."""
        return (self._answer(event) for event in self._come() if event.kind == "finished")

    def result(self) -> list[Answer]:
        """All answers, in order of repeat. Ctrl-C cancels the query."""
        return sorted(self.answers(), key=lambda answer: answer.repeat)

    def cancel(self, repeat: int | None = None) -> None:
        """Ends all that is unfinished, or one repeat: such answers stop with "cancelled"."""
        if not self.done:
            self._owner.cancel([self], repeat)

    def __await__(self) -> Generator[Any, None, list[Answer]]:
        return self._gathered().__await__()

    async def __aiter__(self) -> AsyncIterator[Token]:
        texts: defaultdict[int, TextStream] = defaultdict(self._prompter.stream)
        async for event in self._come_async():
            if token := self._token(event, texts):
                yield token

    def __repr__(self) -> str:
        state = "failed" if self._error else "done" if self.done else f"{self._left} answers to come"
        return f"Ticket({state})"

    def deliver(self, events: "list[_engine.Event]") -> None:
        """What the owner has for it."""
        with self._changed:
            self._events += events
            self._left -= sum(event.kind == "finished" for event in events)
            self._notify()

    def fail(self, error: Exception) -> None:
        """No more answers will come."""
        with self._changed:
            self._error = error
            self._notify()

    def _notify(self) -> None:
        self._changed.notify_all()
        for watcher in self._watchers:
            watcher()

    def _come(self) -> "Iterator[_engine.Event]":
        """Every event from the first one on."""
        seen = 0
        while True:
            with self._changed:
                try:
                    self._changed.wait_for(lambda: len(self._events) > seen or self.done)  # noqa: B023
                except KeyboardInterrupt:
                    self._owner.cancel([self])
                    self._owner.interrupt()
                    raise
                new, over = self._events[seen:], self.done
            yield from new
            seen += len(new)
            if over:
                self._raise_error()
                return

    async def _come_async(self) -> "AsyncIterator[_engine.Event]":
        seen = 0
        with self._watched() as changed:
            try:
                while True:
                    changed.clear()
                    over = self.done
                    new = self._events[seen:]
                    for event in new:
                        yield event
                    seen += len(new)
                    if over and not new:
                        self._raise_error()
                        return
                    if not new:
                        await changed.wait()
            except (asyncio.CancelledError, GeneratorExit):
                self.cancel()
                raise

    async def _gathered(self) -> list[Answer]:
        answers = [self._answer(e) async for e in self._come_async() if e.kind == "finished"]
        return sorted(answers, key=lambda answer: answer.repeat)

    @contextmanager
    def _watched(self) -> Iterator[asyncio.Event]:
        """An event of the running loop that is set whenever something comes."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def watcher() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(changed.set)

        with self._changed:
            self._watchers.append(watcher)
        try:
            yield changed
        finally:
            with self._changed:
                self._watchers.remove(watcher)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _token(self, event: "_engine.Event", texts: defaultdict[int, TextStream]) -> Token | None:
        """A token; at the end of an answer, an empty one where text was held back."""
        text = texts[event.repeat]
        if event.kind == "token":
            [logprobs] = map(_logprobs, event.logprobs) if event.logprobs else [None]
            return Token(event.repeat, event.token, event.logprob, text.push(event.token), logprobs)
        rest = text.finish()
        return Token(event.repeat, -1, 0.0, rest) if rest else None

    def _answer(self, event: "_engine.Event") -> Answer:
        return answer_of(event, self.query, self._prompter)


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


def answer_of(event: "_engine.Event", query: Query, prompter: Prompter) -> Answer:
    """A finished answer in the caller's terms."""
    ids = tuple(event.token_ids)
    answer = Answer(
        prompter.decode(ids),
        ids,
        event.logprob,
        cast(Any, event.stop),
        event.repeat,
        query.tag,
        logprobs=tuple(map(_logprobs, event.logprobs)),
        found=event.found,
    )
    if event.stop != "exact":
        return answer
    assert isinstance(query.mode, Exact)
    *masses, undecided = event.masses
    if query.mode.reading is None:
        return replace(answer, likely=_likely(event.answers, undecided, event.nodes, prompter))
    decisions = query.mode.reading.decisions
    if decisions == YES_NO:
        yes, no, neither = masses
        return replace(answer, distribution=Distribution(yes, no, neither, undecided, event.nodes))
    named = tuple(zip(decisions, masses, strict=True))
    return replace(answer, decisions=Decisions(named, undecided, event.nodes))


def _likely(
    answers: list[tuple[list[int], float]], undecided: float, nodes: int, prompter: Prompter
) -> Likely:
    probability: dict[str, float] = defaultdict(float)
    for tokens, part in answers:
        probability[prompter.decode(tokens)] += part
    ordered = sorted(probability.items(), key=lambda item: (-item[1], item[0]))
    return Likely(tuple(ordered), undecided, nodes)


def _logprobs(found: "_engine.Logprobs") -> TokenLogprobs:
    return TokenLogprobs(found.drawn, found.raw, tuple(found.best_drawn), tuple(found.best_raw))
