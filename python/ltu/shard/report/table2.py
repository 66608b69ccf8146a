"""The paper's Table 2: inverted, and beside our own figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ltu.shard.score import metrics
from ltu.shard.score.paper import COUNTS, DISAGREEMENTS, TABLE2, UNSUPPORTED, reconstructed
from ltu.shard.score.records import IdentityRow, Part, way
from ltu.shard.spec.relations import PAPER_RELATIONS
from ltu.show.table import Table, number, per_cent

CLOSE = 0.02  # shares of right terms that are comparable
CELLS = ("accuracy", "precision", "recall", "f1")


@dataclass(frozen=True)
class Beside:
    """A row of Table 2, per cent. `cells`: relation_figure → value; None where it would not compare."""

    source: str  # "quoted" from the paper, or "measured"
    model: str
    position: str
    wording: str
    identity: float | None
    cells: Mapping[str, float | None]

    def to_json(self) -> dict[str, Any]:
        row = asdict(self)
        cells: dict[str, Any] = row.pop("cells")
        return row | cells


def beside(found: Sequence[Part], identity: Sequence[IdentityRow]) -> Iterator[Beside]:
    """The paper's rows, and ours, read and counted as the paper does."""
    for quoted in TABLE2:
        cells = {
            f"{task}_{name}": value
            for task in PAPER_RELATIONS
            for name, value in zip(CELLS, quoted.cells(task), strict=True)
        }
        yield Beside("quoted", quoted.model, quoted.position, quoted.wording, quoted.identity, cells)
    for position, wording in dict.fromkeys((row.position, row.wording) for row in found):
        named = [
            row.strict.value
            for row in identity
            if (row.position, row.wording, row.control) == (position, wording, "")
        ]
        ours: dict[str, float | None] = {}
        for row in found:
            asked = (row.position, row.wording, row.part)
            if asked == (position, wording, "paper") and row.task in PAPER_RELATIONS:
                shown = CELLS if _as_balanced(row) else ("recall",)
                for name in CELLS:
                    ours[f"{row.task}_{name}"] = _per_cent(row.figures[name].value if name in shown else None)
        yield Beside("measured", "this run", position, wording, _per_cent(named[0] if named else None), ours)


def _per_cent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _as_balanced(row: Part) -> bool:
    """Whether as large a share of terms is right as in the paper; all but recall depends on it."""
    positives, negatives = COUNTS[row.task]
    if not row.questions:
        return False
    return bool(abs(row.positives / row.questions - positives / (positives + negatives)) < CLOSE)


def beside_table(found: Sequence[Beside]) -> Table:
    names = tuple(f"{task}_{n}" for n in CELLS for task in PAPER_RELATIONS)
    rows = []
    for row in found:
        values = (row.identity, *(row.cells.get(name) for name in names))
        shown = ("–" if value is None else f"{value:.2f}" for value in values)
        rows.append((row.source, row.model, way(row.position, row.wording), *shown))
    titles = ("Acc.", "Prec.", "Rec.", "F1")
    cells = tuple(f"{title} {task[:3]}" for title in titles for task in PAPER_RELATIONS)
    columns = ("from", "model", "asked", "Identity", *cells)
    note = (
        "Per cent. Ours under the paper's reading, neither counted as no; clips and models differ. All but"
        " recall depends on how many terms are right, and stands where these are as many as in the paper."
    )
    return Table("Beside the paper's Table 2", columns, rows, note)


def paper_tables() -> Iterator[Table]:
    """What the paper's Table 2 says when it is inverted."""
    rows = []
    for task in PAPER_RELATIONS:
        for row, counts in zip(TABLE2, reconstructed(task), strict=True):
            rows.append(
                (
                    task,
                    f"{row.model}, {row.position}",
                    *(str(n) for n in (counts.tp, counts.fn, counts.fp, counts.tn)),
                    number(metrics.youden(counts), 3),
                    per_cent(metrics.yes_rate(counts)),
                    number(metrics.f1(counts), 3),
                )
            )
    columns = ("task", "model", "TP", "FN", "FP", "TN", "J", "yes %", "F1")
    yield Table(
        "The confusion matrices behind Table 2", columns, rows, "Always answering yes: J 0, F1 about .66."
    )
    said = [
        (model, task, figure, f"{text:.2f}", f"{table:.2f}")
        for model, task, figure, text, table in DISAGREEMENTS
    ]
    yield Table("Where text and table disagree", ("model", "task", "figure", "text", "table"), said)
    yield Table("Claims that the numbers do not carry", ("claim",), [(claim,) for claim in UNSUPPORTED])
