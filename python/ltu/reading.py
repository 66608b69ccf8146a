"""A reading of answers, from its data file to the automaton that the engine runs byte by byte.

ltu.shard.decide describes the data files (assets/shard/reading-*.json) and reads whole answers with Python's
`re`; both say the same about every answer (tests/test_reading.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from ltu.errors import Error

if TYPE_CHECKING:
    from ltu import _engine

Outcome = Literal["yes", "no", "neither"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
PLACES = ("any", "start", "end")

WORD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
BETWEEN = bytes(byte for byte in range(256) if byte not in WORD + b".!?;:\n")


@dataclass(frozen=True)
class Reading:
    """A reading ("careful" or "paper") of answers to a question about `term`."""

    name: str
    term: str = ""

    @property
    def outcomes(self) -> tuple[str, ...]:
        """What an answer can come to; the last one: no rule matched."""
        return OUTCOMES

    def automaton(self) -> "_engine.Reading":
        return automaton(self.name, self.term)


@lru_cache(maxsize=1024)
def automaton(reading: str, term: str) -> "_engine.Reading":
    """The automaton of a reading; Error for an unknown one."""
    from ltu.shard.decide import READINGS, rules_of

    if reading not in READINGS:
        raise Error(f"unknown reading {reading!r}; there are {' and '.join(READINGS)}")
    data = rules_of(cast(Any, reading))
    return compile_rules(data["rules"], data["sets"], term, data["first"] == "position")


def compile_rules(
    rules: Sequence[dict[str, Any]], sets: dict[str, list[str]], term: str, by_position: bool
) -> "_engine.Reading":
    """Rules of a data file as Glushkov positions: one for each byte of each phrase."""
    from ltu import _engine

    positions: list[_Position] = []
    table = []
    for index, rule in enumerate(rules):
        builder = _Builder(index, positions)
        first: list[int] = []
        for phrase in rule["phrases"]:
            part = builder.phrase(phrase.split(), sets, term)
            first += part.first
            for position in part.last:
                positions[position].last = True
        table.append((OUTCOMES.index(rule["decision"]), PLACES.index(rule["at"]), first))
    return _engine.Reading(table, [(p.rule, p.last, p.bytes, p.follow) for p in positions], by_position)


@dataclass
class _Position:
    rule: int
    bytes: bytes
    follow: list[int] = field(default_factory=list)
    last: bool = False


@dataclass(frozen=True)
class _Part:
    """A piece of a phrase: where it can begin and end, and whether it can be left out."""

    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()
    empty: bool = True


class _Builder:
    def __init__(self, rule: int, positions: list[_Position]) -> None:
        self.rule = rule
        self.positions = positions

    def phrase(self, tokens: Sequence[str], sets: dict[str, list[str]], term: str) -> _Part:
        parts = []
        for index, token in enumerate(tokens):
            between = [] if index == len(tokens) - 1 else [self.some(BETWEEN)]
            if token.startswith("..."):
                parts += [
                    _optional(self.row([self.some(WORD), self.some(BETWEEN)])) for _ in range(int(token[3:]))
                ]
            elif token == "{term}":
                plural = _optional(self.row([_optional(self.text("e")), self.text("s")]))
                parts += [self.text(term), plural, *between]
            elif token.endswith("?"):
                parts.append(_optional(self.row([self.either(token[:-1], sets), *between])))
            else:
                parts += [self.either(token, sets), *between]
        return self.row(parts)

    def either(self, token: str, sets: dict[str, list[str]]) -> _Part:
        parts = [self.text(text) for text in (sets[token[1:-1]] if token[0] == "<" else token.split("|"))]
        first = tuple(position for part in parts for position in part.first)
        return _Part(first, tuple(position for part in parts for position in part.last), False)

    def text(self, text: str) -> _Part:
        """Words with anything but the end of a sentence between them, in either case."""
        parts = []
        for index, word in enumerate(text.split()):
            if index:
                parts.append(self.some(BETWEEN))
            parts += [self.one(_both_cases(byte)) for byte in word.encode()]
        return self.row(parts)

    def one(self, bytes: bytes) -> _Part:
        self.positions.append(_Position(self.rule, bytes))
        return _Part((len(self.positions) - 1,), (len(self.positions) - 1,), False)

    def some(self, bytes: bytes) -> _Part:
        """One or more."""
        part = self.one(bytes)
        self._link(part.last, part.first)
        return part

    def row(self, parts: Iterable[_Part]) -> _Part:
        whole = _Part()
        for part in parts:
            self._link(whole.last, part.first)
            whole = _Part(
                whole.first + part.first if whole.empty else whole.first,
                whole.last + part.last if part.empty else part.last,
                whole.empty and part.empty,
            )
        return whole

    def _link(self, sources: tuple[int, ...], targets: tuple[int, ...]) -> None:
        for source in sources:
            self.positions[source].follow += targets


def _optional(part: _Part) -> _Part:
    return _Part(part.first, part.last, True)


def _both_cases(byte: int) -> bytes:
    return bytes({byte, *bytes([byte]).lower(), *bytes([byte]).upper()})
