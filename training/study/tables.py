"""The study's document → tables."""

from collections.abc import Iterator, Sequence
from typing import Any

from ltu.shard.report.tables import HEARD
from ltu.shard.score.records import way
from ltu.shard.spec.prompts import ALL_CELLS
from ltu.shard.spec.relations import PAPER_RELATIONS
from ltu.show.table import Table, number, per_cent, with_interval
from ltu.training.study.ask import CONTROLS_SEED
from ltu.training.study.claims import SMALL, Claim, Side, claims
from ltu.training.study.models import RECIPES

Row = dict[str, Any]
SIGNS = {1: "above 0", -1: "below 0"}
NAMES = {"j": "J", "f1": "F1", "named": "label named"}


def tables(document: Row) -> Iterator[Table]:
    yield verdicts(document)
    yield beside_paper(document)
    yield ways(document)
    yield controls(document)
    yield trainings(document)


def claimed() -> Table:
    """The table of questions that are fixed before any run."""
    rows = [
        (c.id, c.says, c.paper, c.task, NAMES.get(c.figure, c.figure), difference_of(c), SIGNS[c.sign])
        for c in claims()
    ]
    return Table(
        "Claims", ("", "claim", "the paper's figures", "task", "figure", "difference", "claimed"), rows
    )


def difference_of(claim: Claim) -> str:
    return f"{_side(claim.first)} − {_side(claim.second)}"


def _interval(figure: Row) -> str:
    return with_interval(figure["value"], figure["low"], figure["high"])


def _side(side: Side) -> str:
    asked = " + ".join(way(cell.position, cell.wording) for cell in side.asked)
    return f"{RECIPES[side.model].title} ({asked})"


def verdicts(document: Row) -> Table:
    rows = [
        (
            row["id"],
            row["says"],
            f"{row['task']}: {NAMES.get(row['figure'], row['figure'])} {SIGNS[row['sign']]}",
            _interval(row["exact"]),
            number(row["exact"]["seen"]),
            row["verdict"],
            row["repeats"]["verdict"],
        )
        for row in document["verdicts"]
    ]
    note = (
        "Difference with its 95 % interval over recordings and seeds, from exact probabilities; the smallest"
        " difference that would be found with 80 % probability; the verdict, and that of four sampled"
        " answers."
        f" Not shown: the interval excludes a difference of {SMALL:g} in the claimed direction."
    )
    columns = ("", "claim", "claimed", "difference", "could be seen", "verdict", "four answers")
    return Table("Verdicts", columns, rows, note, strong=(columns.index("verdict"),))


def beside_paper(document: Row) -> Table:
    """The paper's Table 2, of these models."""
    asked = {"base": ALL_CELLS[:2], "small-prepended": ALL_CELLS[:1]}
    rows = [
        _levels(document, model, cell._asdict())
        for model in RECIPES
        for cell in asked.get(model, ALL_CELLS[1:2])
    ]
    note = "Means over seeds, per cent but for J. Other words, clips and models than the paper's."
    return Table("As the paper's Table 2", LEVELS, rows, note)


def ways(document: Row) -> Table:
    rows = [_levels(document, model, cell._asdict()) for model in RECIPES for cell in ALL_CELLS]
    return Table("Every way of asking", LEVELS, rows, "Means over seeds.")


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


def _levels(document: Row, model: str, cell: Row) -> tuple[str, ...]:
    def figures(task: str) -> Row:
        rows: Sequence[Row] = document["levels"]
        wanted = {"model": model, "task": task, **cell}
        return next((r["figures"] for r in rows if all(r[key] == wanted[key] for key in wanted)), {})

    named = figures("identity")
    cells = [per_cent(named["named"]["value"]) if named else "–"]
    for task in PAPER_RELATIONS:
        found = figures(task)
        cells += [per_cent(found[name]["value"]) for name in ("recall", "precision", "f1")]
        cells.append(_interval(found["j"]))
    return (RECIPES[model].title, way(cell["position"], cell["wording"]), *cells)


def controls(document: Row) -> Table:
    rows = [
        (
            RECIPES[row["model"]].title,
            row["task"],
            way(row["position"], row["wording"]),
            HEARD.get(row["heard"], row["heard"]),
            _interval(row["j"]),
        )
        for row in document["controls"]
    ]
    note = (
        "A model that does not listen has about 0 with every sound, or −u if it answers neither yes nor no to"
        f" a share u. A sample of the questions, seed {CONTROLS_SEED} alone."
    )
    return Table(
        "J with the clip, and with something else in its place",
        ("model", "task", "asked", "heard", "J"),
        rows,
        note,
    )


def trainings(document: Row) -> Table:
    kinds = [
        (format, kind) for format in ("prepended", "interleaved") for kind in ("name", "property", "label")
    ]
    rows = [
        (
            RECIPES[row["model"]].title,
            str(row["seed"]),
            f"{row['rate']:g}",
            str(row["steps"]),
            f"{row['development_loss']:.3f}",
            *(f"{(c := row['development'][f][k])['right']} of {c['of']}" for f, k in kinds),
        )
        for row in document["models"]
    ]
    columns = ("model", "seed", "rate", "steps", "loss", *(f"{format}: {kind}" for format, kind in kinds))
    note = (
        "Loss on development clips, and greedy answers about them that are right: yes/no questions about"
        " names and properties (half are right by chance), whole label lists."
    )
    return Table("Trainings", columns, rows, note)
