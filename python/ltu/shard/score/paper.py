"""The paper's Table 2 (Liu et al.), and the counts of answers that it was computed from."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from ltu.shard.score import metrics
from ltu.shard.score.metrics import Confusion
from ltu.shard.spec.relations import PAPER_RELATIONS

IDENTITY_ANSWERS = 1228  # 307 clips, four answers each


@dataclass(frozen=True)
class Row:
    """One line of Table 2, in per cent; for a relation (accuracy, precision, recall, F1)."""

    model: str
    position: str
    wording: str
    identity: float
    relations: dict[str, tuple[float, float, float, float]]

    def cells(self, task: str) -> tuple[float, float, float, float]:
        """Raises KeyError for a relation that the paper does not ask."""
        return self.relations[task]


def _row(
    model: str, position: str, wording: str, identity: float, *cells: tuple[float, float, float, float]
) -> Row:
    return Row(model, position, wording, identity, dict(zip(PAPER_RELATIONS, cells, strict=True)))


TABLE2 = (
    _row("LTU", "prepended", "long", 48.45, (59.50, 96.45, 18.31, 30.78), (76.40, 98.90, 52.76, 68.81)),
    _row("LTU", "interleaved", "short", 41.69, (53.75, 52.90, 54.13, 53.51), (63.57, 61.33, 70.82, 65.74)),
    _row(
        "FT-Small", "interleaved", "short", 39.33, (68.75, 84.81, 44.40, 58.29), (80.26, 91.45, 66.18, 76.79)
    ),
    _row(
        "FT-Large", "interleaved", "short", 28.75, (53.93, 100.00, 6.31, 11.88), (66.91, 87.10, 38.67, 53.56)
    ),
)

# (model, task, figure, in the text, in the table)
DISAGREEMENTS = (
    ("LTU, prepended", "synonym", "F1", 38.78, 30.78),
    ("LTU, interleaved", "hypernym", "F1", 64.75, 65.74),
    ("FT-Small", "hypernym", "F1", 76.69, 76.79),
)
UNSUPPORTED = (
    "“zero-shot interleaved prompting improves performance on our reasoning tasks”: Youden's J falls on both "
    "tasks; recall rose because yes is said more often, to right and wrong terms alike",
    "“increasing precision on both the synonym and hypernym tasks” (FT-Large): hypernym precision fell from "
    "91.45 to 87.10",
    "“only a small decline in recall” (FT-Small): synonym recall fell from 54.13 to 44.40",
    "“we hypothesize this improvement stems from the attention mechanism”: no model was trained on the same "
    "items with the clip before the text",
    "“the decline in labeling accuracy is likely contributing to the substantial decrease in recall for the "
    "synonym task”: clips whose label is named aren't reported apart from the others",
)
COUNTS: dict[str, tuple[int, int]] = {"synonym": (2376, 2456), "hypernym": (2392, 2456)}
TWICE_ROUNDED = 0.006  # of a per cent: a figure rounded to three places and then to two may be this far off


def fitting(task: str, positives: int, negatives: int, tolerance: float = 0.005) -> list[Confusion] | None:
    """The answers of each row of Table 2, if so many of each kind can give all of its cells; else None."""
    found = []
    for row in TABLE2:
        match = next(_fits(row.cells(task), positives, negatives, tolerance), None)
        if match is None:
            return None
        found.append(match)
    return found


def _fits(
    cells: tuple[float, float, float, float], positives: int, negatives: int, tolerance: float
) -> Iterator[Confusion]:
    accuracy, precision, recall, f1 = cells
    for tp in _near(recall, positives):
        answers = tp * 100 / precision
        for fp in range(max(0, int(answers * 0.999) - tp - 1), int(answers * 1.001) - tp + 3):
            counts = Confusion(tp, positives - tp, negatives - fp, fp)
            computed = (
                metrics.accuracy(counts),
                metrics.precision(counts),
                metrics.recall(counts),
                metrics.f1(counts),
            )
            said = (accuracy, precision, recall, f1)
            if fp <= negatives and all(
                abs(100 * c - s) <= tolerance + 1e-9 for c, s in zip(computed, said, strict=True)
            ):
                yield counts


def _near(per_cent: float, whole: int) -> range:
    count = round(per_cent * whole / 100)
    return range(max(0, count - 1), min(whole, count + 1) + 1)


@cache
def reconstructed(task: str) -> tuple[Confusion, ...]:
    """The pooled answers behind Table 2, row by row."""
    found = fitting(task, *COUNTS[task], tolerance=TWICE_ROUNDED)
    assert found is not None
    return tuple(found)
