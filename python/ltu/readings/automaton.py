"""A reading → the automaton that the engine runs over an answer, byte by byte.

The construction is Glushkov's. Each byte that a phrase can take is a *position*. For each part of a phrase
it is known at which positions the part can begin, at which it can end and whether it can be left out;
writing two parts in a row lets the beginnings of the second follow the ends of the first, a part that
repeats lets its beginnings follow its own ends. So a phrase is its positions, each with the bytes it takes
and the positions that can follow, and no step is taken without a byte.

To read is to hold the set of positions that the bytes so far can have come to. cpp/answer/reading.* makes a
deterministic automaton of these sets while it reads. Two things go beyond a plain set, since the decision
is not whether a phrase matches but which match comes first. A match counts from where it *began*, so a set
is kept as groups by beginning, the earliest first, and a position stands only in the earliest group that
has come to it (leftmost; whatever a later one could still match, the earlier one matches as well). And once
a rule has matched, only groups that could still win over it are kept; when none is left, nothing that
follows can change the decision, which is how an answer can stop early. Word borders are kept as one bit:
whether the last byte belongs to a word.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from ltu.readings.rules import LETTERS, PLACES, SENTENCE_ENDS, Either, Gap, Phrase, Rules, rules_of

if TYPE_CHECKING:
    from ltu import _engine

WORD = LETTERS.encode()
BETWEEN = bytes(byte for byte in range(256) if byte not in WORD + SENTENCE_ENDS.encode())

EngineRules = list[tuple[int, int, list[int]]]  # decision, place, first positions
EnginePositions = list[tuple[int, bool, bytes, list[int]]]  # rule, whether the last, bytes, following


@lru_cache(maxsize=1024)
def automaton(reading: str, term: str) -> "_engine.Reading":
    """The automaton of a reading; Error for an unknown one."""
    return automaton_of(rules_of(reading), term)


def automaton_of(rules: Rules, term: str) -> "_engine.Reading":
    """The automaton of rules; its decisions are indices of theirs."""
    from ltu import _engine

    return _engine.Reading(*compile_rules(rules, term), rules.by_position, len(rules.decisions))


def compile_rules(rules: Rules, term: str) -> tuple[EngineRules, EnginePositions]:
    """Rules as the engine takes them; a decision is its index among the reading's decisions."""
    positions: list[_Position] = []
    table = []
    for index, rule in enumerate(rules.rules):
        builder = _Builder(index, positions)
        first: list[int] = []
        for phrase in rule.phrases:
            part = builder.phrase(phrase, term)
            first += part.first
            for position in part.last:
                positions[position].last = True
        table.append((rules.decisions.index(rule.decision), PLACES.index(rule.at), first))
    return table, [(p.rule, p.last, p.bytes, p.follow) for p in positions]


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

    def phrase(self, phrase: Phrase, term: str) -> _Part:
        parts = []
        for index, token in enumerate(phrase):
            between = [] if index == len(phrase) - 1 else [self.some(BETWEEN)]
            if isinstance(token, Gap):
                parts += [
                    _optional(self.row([self.some(WORD), self.some(BETWEEN)])) for _ in range(token.most)
                ]
            elif isinstance(token, Either):
                either = self.row([self.either(token), *between])
                parts.append(_optional(either) if token.optional else either)
            else:
                plural = _optional(self.row([_optional(self.text(["e"])), self.text(["s"])]))
                parts += [self.text(term.split()), plural, *between]
        return self.row(parts)

    def either(self, token: Either) -> _Part:
        parts = [self.text(row) for row in token.rows]
        first = tuple(position for part in parts for position in part.first)
        return _Part(first, tuple(position for part in parts for position in part.last), False)

    def text(self, words: Iterable[str]) -> _Part:
        """Words with anything but the end of a sentence between them, in either case."""
        parts = []
        for index, word in enumerate(words):
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
