"""The study's document → tables."""

import math
from collections.abc import Iterator

from ltu.shard.score.records import way
from ltu.shard.spec.relations import IDENTITY, PAPER_RELATIONS
from ltu.show.table import Table, number, per_cent, with_interval
from ltu.training.study.claims import SMALL, Claim, Judged, Side, claims
from ltu.training.study.contrasts import Estimate
from ltu.training.study.document import Document, Level
from ltu.training.study.models import COMPARED, RECIPES
from ltu.training.study.records import LEAST_J, LEAST_NAMED, MOST_LOST

SIGNS = {1: "above 0", -1: "below 0"}
NAMES = {"j": "J", "f1": "F1", "named": "label named"}


def tables(document: Document) -> Iterator[Table]:
    yield verdicts(document)
    yield differences(document)
    yield ways(document)
    yield gates(document)
    yield rates(document)
    yield trainings(document)


def claimed() -> Table:
    """The table of questions that are fixed before any run."""
    rows = [
        (
            c.id,
            c.role,
            c.says,
            c.paper,
            c.task,
            NAMES.get(c.figure, c.figure),
            difference_of(c),
            SIGNS[c.sign],
        )
        for c in claims()
    ]
    columns = ("", "role", "claim", "the paper's figures", "task", "figure", "difference", "claimed")
    return Table("Claims", columns, rows)


def difference_of(claim: Claim) -> str:
    return f"{_side(claim.first)} − {_side(claim.second)}"


def _side(side: Side) -> str:
    asked = " + ".join(way(cell.position, cell.wording) for cell in side.asked)
    return f"{RECIPES[side.model].title} ({asked})"


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _interval(found: Estimate) -> str:
    return with_interval(_known(found.value), _known(found.low), _known(found.high))


def _judged(row: Judged) -> tuple[str, ...]:
    claim = row.claim
    figure = f"{claim.task}: {NAMES.get(claim.figure, claim.figure)} {SIGNS[claim.sign]}"
    return (claim.id, claim.says, figure, _interval(row.estimate), number(_known(row.estimate.seen)))


def verdicts(document: Document) -> Table:
    judged = [row for row in document.verdicts if row.claim.role != "table"]
    rows = [
        (
            *_judged(row),
            row.claim.role,
            number(_known(row.p_holm if row.claim.role == "primary" else row.estimate.p), 3),
            row.verdict,
        )
        for row in sorted(judged, key=lambda row: row.claim.role)
    ]
    note = (
        "Difference with its 95 % interval over recordings and seeds, from exact probabilities (labels: from"
        " greedy answers); the smallest difference that would be found with 80 % probability, before"
        " correction; p, of primary claims by Holm's procedure over those that are testable. Shown: the"
        f" claimed sign, p below .05. Not shown: the interval excludes a difference of {SMALL:g} in the"
        " claimed direction. Not testable: the base models did not meet the gate."
    )
    columns = ("", "claim", "claimed", "difference", "could be seen", "role", "p", "verdict")
    return Table("Verdicts", columns, rows, note, strong=(columns.index("verdict"),))


def differences(document: Document) -> Table:
    rows = [_judged(row) for row in document.verdicts if row.claim.role == "table"]
    columns = ("", "claim", "claimed", "difference", "could be seen")
    return Table("Further differences", columns, rows, "No verdicts are drawn from these.")


LEVELS = (
    "model",
    "asked",
    "label named %",
    "synonyms: recall %",
    "precision %",
    "F1 %",
    "J",
    "hypernyms: recall %",
    "precision %",
    "F1 %",
    "J",
)


def ways(document: Document) -> Table:
    by_place = {(row.model, row.task, row.position, row.wording): row for row in document.levels}
    rows = []
    for model, recipe in COMPARED.items():
        for cell in recipe.asked:
            found = {task: by_place.get((model, task, *cell)) for task in (IDENTITY, *PAPER_RELATIONS)}
            rows.append((recipe.title, way(*cell), *_cells(found[IDENTITY], "named")))
            for task in PAPER_RELATIONS:
                rows[-1] = (*rows[-1], *_cells(found[task], "recall", "precision", "f1", "j"))
    note = "Means over splits and seeds. Other words, clips and models than the paper's Table 2."
    return Table("Every model, as it was asked", LEVELS, rows, note)


def _cells(row: Level | None, *names: str) -> Iterator[str]:
    for name in names:
        if row is None:
            yield "–"
        else:
            found = row.figures[name]
            yield _interval(found) if name == "j" else per_cent(_known(found.value))


def gates(document: Document) -> Table:
    rows = [
        (
            str(row.training.split),
            row.training.recipe.title,
            *(number(row.gate.j[task]) for task in PAPER_RELATIONS),
            per_cent(row.gate.named),
            "yes" if row.gate.passed else "no",
        )
        for row in document.gates
    ]
    note = (
        "Base models, asked about five words of their split on development clips, prepended and long: J at"
        f" least {LEAST_J:g}, {LEAST_NAMED:.0%} of the labels. One that misses is trained once more; testable"
        f" are the tasks whose mean over splits is enough: {', '.join(document.testable) or 'none'}."
    )
    columns = ("split", "model", *(f"{task}s: J" for task in PAPER_RELATIONS), "label named %", "passed")
    return Table("The gate", columns, rows, note)


def rates(document: Document) -> Table:
    rows = [
        (
            f"{tried.rate:g}",
            f"{tried.answers_loss:.3f}",
            number(tried.lost),
            "taken" if tried.rate == document.rates.chosen else "",
        )
        for tried in document.rates.tried
    ]
    note = (
        "Of FT-Small and FT-Small-prepended, split 0, seed 0: mean loss of the answers on development clips,"
        f" and how many labels less they name, each in its format; at most {MOST_LOST:g} may be lost."
    )
    return Table("The rate", ("rate", "loss of answers", "labels lost", ""), rows, note)


def trainings(document: Document) -> Table:
    rows = [
        (
            RECIPES[row.log.model].title,
            str(row.log.split),
            str(row.log.seed),
            f"{row.log.rate:g}",
            str(row.log.steps),
            f"{row.log.text_loss:.3f}",
            f"{row.log.answers_loss:.3f}",
            *(per_cent(row.named.share[format]) for format in ("prepended", "interleaved")),
        )
        for row in document.models
    ]
    columns = (
        "model",
        "split",
        "seed",
        "rate",
        "steps",
        "loss",
        "of answers",
        "prepended %",
        "interleaved %",
    )
    note = "Losses, and labels named, on development clips in the format of each."
    return Table("Trainings", columns, rows, note)
