"""Readings: what an answer in free text decides. A reading is a data file of phrases in this folder.

`rules` describes and parses the files, `decide` reads whole answers with Python's `re`, `automaton` makes the
automaton that the engine runs byte by byte while an answer is computed. Both say the same about every answer
(tests/readings).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ltu.checks import texts, unicode
from ltu.errors import Error
from ltu.readings.automaton import automaton, automaton_of
from ltu.readings.decide import decide, decide_by
from ltu.readings.letters import plain
from ltu.readings.rules import READINGS, Decision, Either, Rule, Rules, rules_of

if TYPE_CHECKING:
    from ltu import _engine

__all__ = ["READINGS", "Decision", "Options", "Reading", "decide"]


@dataclass(frozen=True)
class Reading:
    """A reading ("careful" or "paper") of answers to a question about `term`."""

    name: str
    term: str = ""

    def __post_init__(self) -> None:
        unicode("the reading", self.name)
        unicode("the term", self.term)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What an answer can decide; the last is for answers that decide nothing. Raises Error."""
        return rules_of(self.name).decisions

    def decide(self, text: str) -> Decision:
        """What a whole answer decides. Raises Error for an unknown reading."""
        return decide(text, self.term, self.name)

    def automaton(self) -> "_engine.Reading":
        """What the engine runs; its outcomes are indices of `decisions`. Raises Error."""
        return automaton(self.name, self.term)


@dataclass(frozen=True)
class Options:
    """A reading whose decisions are options in words: an answer decides for the one that it names first.

    Where two begin at one place, the longer one counts. Raises Error without options, or for one twice.
    """

    options: tuple[str, ...]

    def __post_init__(self) -> None:
        texts("options", self.options)
        words = [tuple(plain(option).lower().split()) for option in self.options]
        if not words or not all(words) or len(set(words)) < len(words):
            raise Error(f"options {self.options!r}: give at least one, each of at least one word, none twice")

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The options, and "none" for answers that name none of them."""
        return (*self.options, "none")

    def decide(self, text: str) -> Decision:
        """What a whole answer decides."""
        return decide_by(self._rules(), text, "")

    def automaton(self) -> "_engine.Reading":
        """What the engine runs; its decisions are indices of `decisions`."""
        return automaton_of(self._rules(), "")

    def _rules(self) -> Rules:
        longest_first = sorted(self.options, key=lambda option: -len(" ".join(option.split())))
        rules = (
            Rule(option, "any", ((Either((tuple(plain(option).split()),)),),)) for option in longest_first
        )
        return Rules(self.decisions, by_position=True, rules=tuple(rules))
