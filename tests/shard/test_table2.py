"""What the paper's Table 2 says when it is inverted, by a search of our own."""

import pytest

from ltu.shard.score.metrics import accuracy, f1, precision, recall, youden
from ltu.shard.score.paper import (
    COUNTS,
    DISAGREEMENTS,
    IDENTITY_ANSWERS,
    TABLE2,
    TWICE_ROUNDED,
    fitting,
    reconstructed,
)
from ltu.shard.spec.relations import PAPER_RELATIONS

LARGEST = 2600


def search(task: str, tolerance: float) -> list[tuple[int, int]]:
    """All (positives, negatives) up to LARGEST that can give every cell."""
    recalls = [row.cells(task)[2] for row in TABLE2]
    possible = [
        count
        for count in range(1, LARGEST + 1)
        if all(abs(100 * round(r * count / 100) / count - r) <= tolerance + 1e-9 for r in recalls)
    ]
    return [(p, n) for p in possible for n in range(1, LARGEST + 1) if fitting(task, p, n, tolerance)]


def test_hypernyms_have_2392_positive_and_2456_or_2455_negative_answers() -> None:
    assert search("hypernym", 0.005) == [(2392, 2455), (2392, 2456)]


def test_synonyms_have_2376_and_2456_where_two_cells_seem_rounded_twice() -> None:
    assert search("synonym", 0.005) == []
    assert search("synonym", TWICE_ROUNDED) == [(2376, 2456)]
    said = {(i, k): v for i, row in enumerate(TABLE2) for k, v in enumerate(row.cells("synonym"))}
    off = [
        cell
        for cell, value in said.items()
        if abs(100 * (accuracy, precision, recall, f1)[cell[1]](reconstructed("synonym")[cell[0]]) - value)
        > 0.005
    ]
    assert len(off) == 2


def test_identity_has_1228_answers() -> None:
    fits = [
        count
        for count in range(1, 2 * IDENTITY_ANSWERS)
        if all(abs(100 * round(row.identity * count / 100) / count - row.identity) <= 0.005 for row in TABLE2)
    ]
    assert fits == [IDENTITY_ANSWERS]
    assert [round(row.identity * IDENTITY_ANSWERS / 100) for row in TABLE2] == [595, 512, 483, 353]


@pytest.mark.parametrize(
    ("task", "answers", "js"),
    [
        ("hypernym", [(1262, 14), (1694, 1068), (1583, 148), (925, 137)], [0.522, 0.273, 0.602, 0.331]),
        ("synonym", [(435, 16), (1286, 1145), (1055, 189), (150, 0)], [0.177, 0.075, 0.367, 0.063]),
    ],
)
def test_confusion_matrices(task: str, answers: list[tuple[int, int]], js: list[float]) -> None:
    found = reconstructed(task)
    assert [(c.tp, c.fp) for c in found] == answers
    assert [round(youden(c), 3) for c in found] == js
    assert {(c.positives, c.negatives) for c in found} == {COUNTS[task]}


def test_always_yes_has_f1_66() -> None:
    for task in PAPER_RELATIONS:
        positives, negatives = COUNTS[task]
        assert round(100 * 2 * positives / (2 * positives + negatives)) == 66


def test_three_cells_differ_between_text_and_table() -> None:
    rows = {"LTU, prepended": 0, "LTU, interleaved": 1, "FT-Small": 2}
    assert len(DISAGREEMENTS) == 3
    for model, task, _, text, table in DISAGREEMENTS:
        assert TABLE2[rows[model]].cells(task)[3] == table != text  # type: ignore[arg-type]
