"""A reading's data file (careful.json, paper.json) → rules.

A file declares `decisions` (absent: yes, no, neither), of which the last is for answers that decide
nothing; `sets` of words; and `rules` in order, each a decision, where in the answer it holds (`at`: its
"start", its "end", or "any" place) and the phrases that say so. Where several rules hold, `first: "rule"`
takes the earlier rule, `first: "position"` the match that begins earlier in the answer, and of two at one
place the earlier rule.

A phrase is a row of words, each between word borders, case-folded (ASCII), with no end of a sentence between
them. `a|b` is either, `<name>` one of a set, `x?` may be missing, `...3` are up to three words, `{term}` is
the term asked for, singular or plural.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from ltu.errors import Error

Decision = str
DECISIONS: tuple[Decision, ...] = ("yes", "no", "neither")
Place = Literal["any", "start", "end"]
PLACES: tuple[Place, ...] = get_args(Place)
READINGS = ("careful", "paper")

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"  # what words are made of
SENTENCE_ENDS = ".!?;:\n"  # no phrase goes on behind one


@dataclass(frozen=True)
class Either:
    """One of several rows of words."""

    rows: tuple[tuple[str, ...], ...]
    optional: bool = False


@dataclass(frozen=True)
class Gap:
    """Up to `most` words, whatever they are."""

    most: int


@dataclass(frozen=True)
class Term:
    """The term asked for, or its plural."""


Phrase = tuple[Either | Gap | Term, ...]


@dataclass(frozen=True, eq=False)  # itself the key of what is made of it
class Rule:
    decision: Decision
    at: Place
    phrases: tuple[Phrase, ...]

    @property
    def asks_term(self) -> bool:
        return any(isinstance(token, Term) for phrase in self.phrases for token in phrase)


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
        rules = []
        for row in data["rules"]:
            if row["decision"] not in decisions or row["at"] not in PLACES:
                raise ValueError(f"{row['decision']!r} at {row['at']!r} is no decision at a place")
            phrases = tuple(parse(phrase, data.get("sets", {})) for phrase in row["phrases"])
            rules.append(Rule(row["decision"], row["at"], phrases))
        return cls(decisions, data["first"] == "position", tuple(rules))


def parse(phrase: str, sets: dict[str, list[str]]) -> Phrase:
    """A phrase as written in a file → its tokens. Raises KeyError for an unknown set."""
    return tuple(_token(text, sets) for text in phrase.split())


def _token(text: str, sets: dict[str, list[str]]) -> Either | Gap | Term:
    if text == "{term}":
        return Term()
    if text.startswith("..."):
        return Gap(int(text[3:]))
    choice = text.removesuffix("?")
    rows = sets[choice[1:-1]] if choice.startswith("<") else choice.split("|")
    return Either(tuple(tuple(row.split()) for row in rows), optional=choice != text)


@cache
def rules_of(reading: str) -> Rules:
    """The rules of a reading. Raises Error for an unknown one."""
    if reading not in READINGS:
        raise Error(f"unknown reading {reading!r}; there are {' and '.join(READINGS)}")
    return Rules.from_json(json.loads((files(__package__) / f"{reading}.json").read_text(encoding="utf-8")))
