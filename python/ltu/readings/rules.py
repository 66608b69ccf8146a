"""A reading's data file (careful.json, paper.json) → rules.

A file declares `decisions` (absent: yes, no, neither), of which the last is for answers that decide
nothing; `sets` of phrases; `turns`, the words at which a claim turns (not, but, than, …); and `rules` in
order, each a decision, where in the answer it holds (`at`: its "start", its "end", or "any" place) and the
phrases that say so. Where several rules hold, `first: "rule"` takes the earlier rule, `first: "position"` the
match that begins earlier in the answer, and of two at one place the earlier rule.

A phrase is a row of words, each between word borders, case-folded (ASCII), with no end of a sentence between
them. `a|b` is either, `<name>` one of a set, `x?` may be missing, `*` is one word, `...3` are up to three,
`...` any number, `...3!` and `...!` so many of which none is a turn, `{term}` is the term asked for, singular
or plural. Between two words may have to stand a comma `,`, a comma or the end of a sentence `;`, a question
mark `?`, spaces alone `_`, anything at all `/`. "It's" is two words, it and s.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast, get_args

from ltu.errors import Error

Decision = str
DECISIONS: tuple[Decision, ...] = ("yes", "no", "neither")
Place = Literal["any", "start", "end"]
PLACES: tuple[Place, ...] = get_args(Place)
READINGS = ("careful", "paper")

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"  # what words are made of
SENTENCE_ENDS = ".!?;:\n"  # no phrase goes on behind one


Border = Literal[",", ";", "?", "_", "/"]
BORDERS: dict[str, str] = {
    ",": ",",
    ";": f",{SENTENCE_ENDS}",
    "?": "?",
}  # what has to stand between two words


@dataclass(frozen=True)
class Either:
    """One of several rows of words, or of whatever phrases are made of."""

    rows: tuple["Row", ...]
    optional: bool = False


@dataclass(frozen=True)
class Gap:
    """From `least` to `most` words (None: any number), whatever they are but for some."""

    most: int | None
    without: frozenset[str] = frozenset()
    least: int = 0


@dataclass(frozen=True)
class Term:
    """The term asked for, or its plural."""


@dataclass(frozen=True)
class Between:
    """What two words have between them, where that is more than no end of a sentence."""

    border: Border


Token = Either | Gap | Term | Between
Row = tuple[str | Token, ...]
Phrase = tuple[Token, ...]


@dataclass(frozen=True, eq=False)  # itself the key of what is made of it
class Rule:
    decision: Decision
    at: Place
    phrases: tuple[Phrase, ...]

    @property
    def asks_term(self) -> bool:
        return any(map(_asks_term, self.phrases))


@dataclass(frozen=True)
class Rules:
    """A whole reading. `by_position`: the match that begins earlier wins."""

    decisions: tuple[Decision, ...]
    by_position: bool
    rules: tuple[Rule, ...]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Rules":
        """What a file holds. Raises ValueError or KeyError for what is no reading."""
        decisions = tuple(data.get("decisions", DECISIONS))
        sets, turns = data.get("sets", {}), frozenset(data.get("turns", ()))
        rules = []
        for row in data["rules"]:
            if row["decision"] not in decisions or row["at"] not in PLACES:
                raise ValueError(f"{row['decision']!r} at {row['at']!r} is no decision at a place")
            phrases = tuple(parse(phrase, sets, turns) for phrase in row["phrases"])
            rules.append(Rule(row["decision"], row["at"], phrases))
        return cls(decisions, data["first"] == "position", tuple(rules))


def parse(phrase: str, sets: Mapping[str, Sequence[str]], turns: frozenset[str] = frozenset()) -> Phrase:
    """A phrase as written in a file → its tokens. Raises KeyError for an unknown set."""
    return tuple(_token(text, sets, turns) for text in phrase.split())


def _token(text: str, sets: Mapping[str, Sequence[str]], turns: frozenset[str]) -> Token:
    if text == "{term}":
        return Term()
    if text == "*":
        return Gap(1, least=1)
    if text in get_args(Border):
        return Between(cast(Border, text))
    if text.startswith("..."):
        most, without = text[3:].removesuffix("!"), turns if text.endswith("!") else frozenset()
        return Gap(int(most) if most else None, without)
    choice = text.removesuffix("?")
    rows = [row for part in choice.split("|") for row in _rows(part, sets)]
    return Either(tuple(_row(row, sets, turns) for row in rows), optional=choice != text)


def _rows(part: str, sets: Mapping[str, Sequence[str]]) -> Sequence[str]:
    return sets[part[1:-1]] if part.startswith("<") else [part]


def _row(row: str, sets: Mapping[str, Sequence[str]], turns: frozenset[str]) -> Row:
    """Words stay words; the rest are tokens."""
    return tuple(
        text if text[0].isalnum() and text[-1] != "?" and "|" not in text else _token(text, sets, turns)
        for text in row.split()
    )


def _asks_term(row: Row) -> bool:
    return any(
        isinstance(token, Term) or (isinstance(token, Either) and any(map(_asks_term, token.rows)))
        for token in row
    )


def laid_out(row: Row) -> Iterator[tuple[str | Token, bool, bool]]:
    """(token, whether a space goes before it, whether behind it): what may be missing takes its space along.

    Raises ValueError for a row, or a part of it beside a border, that may be missing as a whole.
    """
    start = 0
    for end in [*(at for at, token in enumerate(row) if isinstance(token, Between)), len(row)]:
        part = row[start:end]
        needed = [at for at, token in enumerate(part) if not _may_be_missing(token)]
        if not needed:
            raise ValueError(f"{row!r}: nothing is left of a part of it when all that may be missing is")
        for at, token in enumerate(part):
            yield token, at > needed[-1], at < needed[-1]
        if end < len(row):
            yield row[end], False, False
        start = end + 1


def _may_be_missing(token: str | Token) -> bool:
    return (isinstance(token, Either) and token.optional) or (isinstance(token, Gap) and not token.least)


@cache
def rules_of(reading: str) -> Rules:
    """The rules of a reading. Raises Error for an unknown one."""
    if reading not in READINGS:
        raise Error(f"unknown reading {reading!r}; there are {' and '.join(READINGS)}")
    return Rules.from_json(json.loads((files(__package__) / f"{reading}.json").read_text(encoding="utf-8")))
