"""Readings: what an answer in free text decides. A reading is a data file of phrases in this folder.

`rules` describes and parses the files, `decide` reads whole answers with Python's `re`, `automaton` makes the
automaton that the engine runs byte by byte while an answer is computed. Both say the same about every answer
(tests/readings).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ltu.readings.automaton import automaton
from ltu.readings.decide import decide
from ltu.readings.rules import READINGS, Decision, rules_of

if TYPE_CHECKING:
    from ltu import _engine

__all__ = ["READINGS", "Decision", "Reading", "decide"]


@dataclass(frozen=True)
class Reading:
    """A reading ("careful" or "paper") of answers to a question about `term`."""

    name: str
    term: str = ""

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
