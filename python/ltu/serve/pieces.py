"""A ticket's tokens → what each choice gains, with the log-probabilities in OpenAI's form."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ltu.query import Answer, Token
from ltu.serve.service import Service
from ltu.serve.stops import Stops
from ltu.submit import Ticket

LOWEST = -9999.0  # OpenAI's for what can't be: JSON has no infinity
Finish = Literal["stop", "length"]


@dataclass(frozen=True)
class Piece:
    """What one choice gains."""

    repeat: int
    text: str = ""
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    finish: Finish | None = None


@dataclass
class Usage:
    """Counts of one request, as far as it has come."""

    prompt: int
    cached: int = 0
    tokens: int = 0

    def body(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.tokens,
            "total_tokens": self.prompt + self.tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }


@dataclass
class Wording:
    """How log-probabilities are told."""

    service: Service
    raw: bool
    wanted: bool

    def of(self, token: Token, first: bool) -> list[dict[str, Any]]:
        """Of one token, none where they were not asked for."""
        found = token.logprobs
        if not self.wanted or found is None:
            return []
        best = found.best_raw if self.raw else found.best_drawn
        entry = self._entry(token.id, found.raw if self.raw else found.drawn, first)
        return [entry | {"top_logprobs": [self._entry(id, value, first) for id, value in best]}]

    def _entry(self, id: int, logprob: float, first: bool) -> dict[str, Any]:
        text = self.service.token_bytes[id]
        if first and text.startswith(b" ") and not self.service.model.prompter.decode([id]).startswith(" "):
            text = text[1:]  # the space that SentencePiece writes before every text
        return {
            "token": text.decode(errors="replace"),
            "logprob": max(logprob, LOWEST),
            "bytes": list(text),
        }


async def pieces(
    ticket: Ticket, stops: Sequence[str], wording: Wording, usage: Usage
) -> AsyncGenerator[Piece]:
    """All that the choices gain, in the order in which it comes. The ticket ends with whoever reads this."""
    choices: dict[int, _Choice] = {}
    try:
        async for item in ticket.items():
            choice = choices.setdefault(item.repeat, _Choice(item.repeat, Stops(stops), wording))
            if isinstance(item, Answer):
                usage.cached = max(usage.cached, min(item.found, usage.prompt))
            if choice.over:
                continue
            piece = choice.finish(item) if isinstance(item, Answer) else choice.push(item)
            usage.tokens += isinstance(item, Token) and item.id >= 0
            if choice.over and isinstance(item, Token):
                ticket.cancel(item.repeat)
            if piece.text or piece.logprobs or piece.finish:
                yield piece
    finally:
        ticket.cancel()


class _Choice:
    def __init__(self, repeat: int, stops: Stops, wording: Wording) -> None:
        self._repeat, self._stops, self._wording = repeat, stops, wording
        self._taken = self._sent = 0  # characters
        self._first = True
        self._held: list[tuple[int, list[dict[str, Any]]]] = []  # where a token begins, its logprobs
        self.over = False

    def push(self, token: Token) -> Piece:
        if token.id >= 0:
            self._held.append((self._taken, self._wording.of(token, self._first)))
            self._first = False
        self._taken += len(token.text)
        text = self._stops.push(token.text)
        self.over = self._stops.stopped
        return self._piece(text, "stop" if self.over else None)

    def finish(self, answer: Answer) -> Piece:
        self.over = True
        return self._piece(self._stops.finish(), "length" if answer.stop == "length" else "stop")

    def _piece(self, text: str, finish: Finish | None) -> Piece:
        """With the tokens that begin in the text; at the end of the answer also those that add none."""
        self._sent += len(text)
        ended = finish is not None and not self._stops.stopped
        logprobs: list[dict[str, Any]] = []
        while self._held and (ended or self._held[0][0] < self._sent):
            logprobs += self._held.pop(0)[1]
        return Piece(self._repeat, text, logprobs, finish)
