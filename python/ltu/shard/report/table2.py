"""The paper's Table 2: inverted, and beside our own figures."""

from collections.abc import Iterator
from typing import Any

from ltu.shard.report.tables import way
from ltu.shard.score import metrics
from ltu.shard.score.paper import COUNTS, DISAGREEMENTS, TABLE2, UNSUPPORTED, reconstructed
from ltu.shard.spec.relations import PAPER_RELATIONS
from ltu.show.table import Table, number, per_cent

CLOSE = 0.02  # shares of right terms that are comparable
CELLS = ("accuracy", "precision", "recall", "f1")


def beside(found: list[dict[str, Any]], identity: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The paper's rows, quoted, and ours, read and counted as the paper does; per cent."""
    result: list[dict[str, Any]] = []
    for quoted in TABLE2:
        way = {"model": quoted.model, "position": quoted.position, "wording": quoted.wording}
        cells = {
            f"{task}_{name}": value
            for task in PAPER_RELATIONS
            for name, value in zip(CELLS, quoted.cells(task), strict=True)
        }
        result.append({"source": "quoted", **way, "identity": quoted.identity, **cells})
    for position, wording in dict.fromkeys((row["position"], row["wording"]) for row in found):
        way = {"model": "this run", "position": position, "wording": wording}
        ours: dict[str, Any] = {"source": "measured", **way}
        for row in identity:
            if (row["position"], row["wording"], row["control"]) == (position, wording, ""):
                ours["identity"] = 100 * row["strict"]["value"]
        for row in found:
            asked = (row["position"], row["wording"], row["part"])
            if asked == (position, wording, "paper") and row["task"] in PAPER_RELATIONS:
                shown = CELLS if _as_balanced(row) else ("precision", "recall")
                values = {name: row["figures"][name]["value"] if name in shown else None for name in CELLS}
                ours |= {f"{row['task']}_{n}": None if v is None else 100 * v for n, v in values.items()}
        result.append(ours)
    return result


def _as_balanced(row: dict[str, Any]) -> bool:
    """Whether there are as many right terms as in the paper; accuracy and F1 depend on it."""
    positives, negatives = COUNTS[row["task"]]
    return bool(abs(row["positives"] / row["questions"] - positives / (positives + negatives)) < CLOSE)


def beside_table(document: dict[str, Any]) -> Table:
    names = (
        "identity",
        *(f"{task}_{n}" for n in CELLS for task in PAPER_RELATIONS),
    )
    rows = [
        (
            row["source"],
            row["model"],
            way(row),
            *("–" if row.get(n) is None else f"{row[n]:.2f}" for n in names),
        )
        for row in document["table2"]
    ]
    titles = ("Acc.", "Prec.", "Rec.", "F1")
    columns = ("", "model", "asked", "Identity", *(f"{t} {r[:3]}" for t in titles for r in PAPER_RELATIONS))
    note = (
        "Per cent. Ours under the paper's reading, neither counted as no; clips and models differ. Accuracy"
        " and F1 where right and wrong terms are as many as in the paper."
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
