"""The questions as text: the paper's Table 1 byte for byte, and what stands between its two forms.

Table 1 changes two things at once. `position`: the clip before BOS ("prepended"), at [AUDIO] in the sentence
("interleaved"), or at an [AUDIO] that stands first ("leading"). `wording`: long ("the sound of the object in
this audio signal"), short, or the term asked about first ("question_first").
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from ltu.prompt import AUDIO
from ltu.shard.spec.relations import Relation

Position = Literal["prepended", "interleaved", "leading"]
Wording = Literal["long", "short", "question_first"]


class Cell(NamedTuple):
    """One way of putting a question."""

    position: Position
    wording: Wording


PAPER_CELLS = (Cell("prepended", "long"), Cell("interleaved", "short"))
ALL_CELLS = (
    *PAPER_CELLS,
    Cell("prepended", "short"),
    Cell("interleaved", "long"),
    Cell("interleaved", "question_first"),
    Cell("leading", "long"),
    Cell("leading", "short"),
)

_ABOUT_TERM = {
    Cell("prepended", "long"): "Is the sound of the object in this audio signal {relation} {term}?",
    Cell("prepended", "short"): "Is this {relation} {term}?",
    Cell("interleaved", "long"): f"Is the sound of the object in {AUDIO} {{relation}} {{term}}?",
    Cell("interleaved", "short"): f"Is {AUDIO} {{relation}} {{term}}?",
}
_IDENTITY = {
    Cell("prepended", "long"): "Can you list the labels based on this audio file?",
    Cell("prepended", "short"): "Can you list the labels based on this?",
    Cell("interleaved", "long"): f"Can you list the labels based on the audio file {AUDIO}?",
    Cell("interleaved", "short"): f"Can you list the labels based on {AUDIO} ?",  # the space is Table 1's
}


def identity_prompt(cell: Cell) -> str | None:
    """None for the one way that does not exist: there is no term to put first."""
    if cell.position == "leading":
        return f"{AUDIO} {identity_prompt(Cell('prepended', cell.wording))}"
    return _IDENTITY.get(cell)


def term_prompt(relation: Relation, cell: Cell, term: str) -> str:
    """A question about a term, put in one way."""
    if cell.position == "leading":
        return f"{AUDIO} {term_prompt(relation, Cell('prepended', cell.wording), term)}"
    if cell.wording == "question_first":
        return f"{relation.phrase.capitalize()} {term}: is {AUDIO}?"
    return _ABOUT_TERM[cell].format(relation=relation.phrase, term=term)


def word_prompt(relation: Relation, word: str, term: str) -> str:
    """The short question with the word where the sound would be: what the language model knows."""
    return f"Is {word} {relation.phrase} {term}?"


def cells(questions: Literal["paper", "all"]) -> Iterator[Cell]:
    yield from PAPER_CELLS if questions == "paper" else ALL_CELLS
