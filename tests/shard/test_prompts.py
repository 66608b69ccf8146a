"""Prompts are the paper's Table 1, byte for byte, and our forms that cross its format with its wording."""

import pytest

from ltu.shard.spec.prompts import ALL_CELLS, PAPER_CELLS, Cell, identity_prompt, term_prompt, word_prompt
from ltu.shard.spec.relations import relations

RELATION = {relation.name: relation for relation in relations()}
LONG, SHORT = Cell("prepended", "long"), Cell("interleaved", "short")


@pytest.mark.parametrize(
    ("task", "cell", "text"),
    [
        ("identity", LONG, "Can you list the labels based on this audio file?"),
        ("identity", SHORT, "Can you list the labels based on [AUDIO] ?"),
        ("synonym", LONG, "Is the sound of the object in this audio signal similar to {}?"),
        ("synonym", SHORT, "Is [AUDIO] similar to {}?"),
        ("hypernym", LONG, "Is the sound of the object in this audio signal a type of {}?"),
        ("hypernym", SHORT, "Is [AUDIO] a type of {}?"),
        ("synonym", Cell("interleaved", "long"), "Is the sound of the object in [AUDIO] similar to {}?"),
        ("synonym", Cell("prepended", "short"), "Is this similar to {}?"),
        ("synonym", Cell("interleaved", "question_first"), "Similar to {}: is [AUDIO]?"),
        ("hypernym", Cell("interleaved", "question_first"), "A type of {}: is [AUDIO]?"),
        ("hypernym", Cell("leading", "short"), "[AUDIO] Is this a type of {}?"),
    ],
)
def test_prompt(task: str, cell: Cell, text: str) -> None:
    made = term_prompt(RELATION[task], cell, "pump organ") if task in RELATION else identity_prompt(cell)
    assert made == text.format("pump organ")


def test_a_prompt_holds_the_placeholder_once_unless_the_clip_is_prepended() -> None:
    for cell in ALL_CELLS:
        for text in (identity_prompt(cell), *(term_prompt(each, cell, "dog") for each in relations())):
            if text is not None:
                assert text.count("[AUDIO]") == (cell.position != "prepended")


def test_the_papers_cells_are_its_two_rows() -> None:
    assert PAPER_CELLS == (LONG, SHORT)


def test_the_word_takes_the_place_of_the_sound() -> None:
    assert word_prompt(RELATION["hypernym"], "dog", "animal") == "Is dog a type of animal?"
