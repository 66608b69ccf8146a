"""A query on its way: the ticket that its caller holds."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
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
        async for item in self.items():
            if isinstance(item, Token):
                yield item

    async def items(self) -> AsyncIterator[Token | Answer]:
        """Tokens as they are drawn and, behind its last token, each answer."""
        texts: defaultdict[int, TextStream] = defaultdict(self._prompter.stream)
        async for event in self._come_async():
            if token := self._token(event, texts):
                yield token
            if event.kind == "finished":
                yield self._answer(event)

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
