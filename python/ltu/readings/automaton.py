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

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from ltu.readings.forms import forms
from ltu.readings.letters import SAME_LETTERS
from ltu.readings.rules import (
    BORDERS,
    LETTERS,
    PLACES,
    SENTENCE_ENDS,
    Between,
    Border,
    Either,
    Gap,
    Row,
    Rules,
    Term,
    Token,
    laid_out,
    rules_of,
)

if TYPE_CHECKING:
    from ltu import _engine

WORD = LETTERS.encode()
BETWEEN = bytes(byte for byte in range(256) if byte not in WORD + SENTENCE_ENDS.encode())

SAME_BYTES = {letter.encode(): ord(same) for letter, same in SAME_LETTERS.items()}

TERM = b""  # what stands for the term takes no byte
NO_WORD = bytes(byte for byte in range(256) if byte not in WORD)

EngineRules = list[tuple[int, int, list[int]]]  # decision, place, first positions
EnginePositions = list[tuple[int, bool, bytes, list[int]]]  # rule, whether the last, bytes, following


@lru_cache(maxsize=64)  # each has some megabytes
def automaton(reading: str, term: str) -> "_engine.Reading":
    """The automaton of a reading; Error for an unknown one."""
    return automaton_of(rules_of(reading), term)


def automaton_of(rules: Rules, term: str) -> "_engine.Reading":
    """The automaton of rules; its decisions are indices of theirs."""
    from ltu import _engine

    return _engine.Reading(*compile_rules(rules, term), rules.by_position, len(rules.decisions), SAME_BYTES)


def compile_rules(rules: Rules, term: str) -> tuple[EngineRules, EnginePositions]:
    """Rules as the engine takes them; a decision is its index among the reading's decisions."""
    table, template = _template(rules)
    positions: list[_Position] = []
    named = _Builder(0, positions)
    part = named.either(forms(term)) if template.terms and term.strip() else _Part()
    found = list(template.positions)
    entries: dict[
        int, tuple[int, ...]
    ] = {}  # the first positions of the term in the place of what stands for it
    for place in template.terms:
        rule, last, _, follow = template.positions[place]
        here = len(found)
        entries[place] = tuple(here + first for first in part.first)
        for at, position in enumerate(positions):
            ends = at in part.last
            after = [here + next for next in position.follow] + (follow if ends else [])
            found.append((rule, last and ends, position.bytes, after))
    for place in template.before:
        rule, last, bytes, follow = found[place]
        found[place] = (rule, last, bytes, _entered(follow, entries))
    return [(decision, at, _entered(first, entries)) for decision, at, first in table], found


def _entered(positions: Sequence[int], entries: Mapping[int, tuple[int, ...]]) -> list[int]:
    return [next for position in positions for next in entries.get(position, (position,))]


@dataclass(frozen=True)
class _Template:
    """Positions of rules in which single ones stand for the term, whatever it is."""

    positions: EnginePositions
    terms: tuple[int, ...]
    before: tuple[int, ...]  # positions that one of these follows


@lru_cache(maxsize=16)
def _template(rules: Rules) -> tuple[EngineRules, _Template]:
    positions: list[_Position] = []
    table = []
    for index, rule in enumerate(rules.rules):
        builder = _Builder(index, positions)
        first: list[int] = []
        for phrase in rule.phrases:
            part = builder.row(phrase)
            first += part.first
            for position in part.last:
                positions[position].last = True
        table.append((rules.decisions.index(rule.decision), PLACES.index(rule.at), first))
    terms = {at for at, position in enumerate(positions) if position.bytes == TERM}
    before = tuple(at for at, position in enumerate(positions) if not terms.isdisjoint(position.follow))
    found = [(p.rule, p.last, p.bytes, p.follow) for p in positions]
    return table, _Template(found, tuple(sorted(terms)), before)


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

    def row(self, row: Row) -> _Part:
        """A row of words or tokens, with anything but the end of a sentence between them."""
        parts = []
        for token, before, behind in laid_out(row):
            part = self.token(token, before, behind)
            parts += part if isinstance(part, list) else [part]
        return self.chain(parts)

    def token(self, token: str | Token, before: bool, behind: bool) -> list[_Part] | _Part:
        def spaced(part: Callable[[], _Part]) -> _Part:
            return self.chain(
                [
                    *([self.some(BETWEEN)] if before else []),
                    part(),
                    *([self.some(BETWEEN)] if behind else []),
                ]
            )

        if isinstance(token, Between):
            return self.border(token.border)
        if isinstance(token, Gap) and token.most is None:
            word = spaced(lambda: self.any_word(token.without))
            self._link(word.last, word.first)
            return _optional(word)
        if isinstance(token, Gap):
            words = [spaced(lambda: self.any_word(token.without)) for _ in range(token.most or 0)]
            return [part if at < token.least else _optional(part) for at, part in enumerate(words)]
        if isinstance(token, Term):
            return spaced(lambda: self.one(TERM))
        if isinstance(token, Either):
            either = spaced(lambda: self.either(token.rows))
            return _optional(either) if token.optional else either
        return spaced(lambda: self.chain([self.one(_both_cases(byte)) for byte in token.encode()]))

    def either(self, rows: Iterable[Row]) -> _Part:
        parts = [self.row(row) for row in rows]
        first = tuple(position for part in parts for position in part.first)
        return _Part(first, tuple(position for part in parts for position in part.last), False)

    def border(self, border: Border) -> _Part:
        if border in "_/":
            return self.some(b" " if border == "_" else NO_WORD)
        inside = BETWEEN if border == "," else NO_WORD
        some = [_optional(self.some(inside)) for _ in range(2)]
        return self.chain([some[0], self.one(BORDERS[border].encode()), some[1]])

    def any_word(self, without: frozenset[str]) -> _Part:
        """Any word but those: letter by letter along them, and off where none of them goes on like this."""
        rest = self.some(WORD)
        last: list[int] = list(rest.last)

        def after(start: str) -> tuple[int, ...]:
            on = sorted({word[len(start)] for word in without if word.startswith(start) and word != start})
            off = self.one(bytes(set(WORD) - {byte for letter in on for byte in _both_cases(ord(letter))}))
            self._link(off.last, rest.first)
            last.extend(off.last)
            first = list(off.first)
            for letter in on:
                here = self.one(_both_cases(ord(letter)))
                self._link(here.last, after(start + letter))
                first += here.first
                if start + letter not in without:
                    last.extend(here.last)
            return tuple(first)

        return _Part(after(""), tuple(last), False)

    def one(self, bytes: bytes) -> _Part:
        self.positions.append(_Position(self.rule, bytes))
        return _Part((len(self.positions) - 1,), (len(self.positions) - 1,), False)

    def some(self, bytes: bytes) -> _Part:
        """One or more."""
        part = self.one(bytes)
        self._link(part.last, part.first)
        return part

    def chain(self, parts: Iterable[_Part]) -> _Part:
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
