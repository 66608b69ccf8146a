"""Stored answers of all models → verdicts, tables, figures and a page."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ltu.files import write_json, write_text
from ltu.shard.run.store import Store
from ltu.shard.score.scored import Run, load_run
from ltu.shard.spec.relations import IDENTITY, PAPER_TASKS
from ltu.show.html import document_of, figures_of, heading_of, table_of
from ltu.show.markdown import to_markdown
from ltu.training.study.claims import Runs, judge
from ltu.training.study.contrasts import CONFUSION_FIGURES, answers, level
from ltu.training.study.document import Benchmark, Document, GateRow, Level, ModelRow
from ltu.training.study.figures import figures
from ltu.training.study.folder import Folder
from ltu.training.study.models import RECIPES, Training
from ltu.training.study.records import (
    LEAST_J,
    LEAST_NAMED,
    Gate,
    read_gate,
    read_log,
    read_named,
    read_rates,
)
from ltu.training.study.sizes import Sizes
from ltu.training.study.tables import tables

ABOUT_TERMS = ("recall", "precision", "f1", "j", "yes_rate", "unparsed")
HEADING = "The paper's study in miniature"
QUICK = "A quick run. Its models have learnt too little and its benchmark is too small: it claims nothing."
AIM = 0.12  # the largest of the smallest visible differences that the design allows primary claims


def write_report(folder: Folder, trainings: Sequence[Training], sizes: Sizes, to: Path) -> list[Path]:
    """Writes results.json, .md and .html and the figures. Returns them. Raises Error without matplotlib."""
    document = made(folder, trainings, sizes)
    to.mkdir(parents=True, exist_ok=True)
    write_json(to / "results.json", document.to_json())
    return [to / "results.json", *write_pages(document, to)]


def write_pages(document: Document, to: Path) -> list[Path]:
    """Files that show the document to people: .md, .html and the figures."""
    shown, drawn, notes = list(tables(document)), list(figures(document)), document.notes
    figure_part = figures_of((figure.caption, figure.svg) for figure in drawn)
    parts = [heading_of(HEADING, notes), table_of(shown[0]), figure_part, *map(table_of, shown[1:])]
    files = {"results.md": to_markdown(HEADING, notes, shown), "results.html": document_of(HEADING, parts)}
    files |= {f"{figure.name}.svg": figure.svg for figure in drawn}
    for name, text in files.items():
        write_text(to / name, text)
    return [to / name for name in files]


def made(folder: Folder, trainings: Sequence[Training], sizes: Sizes) -> Document:
    terms, named = _runs(trainings, folder.terms), _runs(trainings, folder.named)
    runs = {model: _both(terms[model], named[model]) for model in terms}
    gates = tuple(_gates(folder, trainings))
    testable = _testable([row.gate for row in gates if row.training in trainings])
    verdicts = tuple(judge(runs, testable, sizes.claims))
    rates = read_rates(folder.rates)
    notes = [] if sizes.claims else [QUICK]
    if rates.at_edge and len(rates.tried) > 1:
        notes.append(f"The rate that was taken, {rates.chosen:g}, lies at an edge of those that were tried.")
    primary = [row for row in verdicts if row.claim.role == "primary" and row.estimate.known]
    if missed := [row.claim.id for row in primary if row.estimate.seen > AIM]:
        notes.append(f"The smallest visible difference is above the {AIM:g} aimed at: {', '.join(missed)}.")
    return Document(
        notes=tuple(notes),
        sizes=sizes,
        rates=rates,
        gates=gates,
        testable=testable,
        benchmarks=tuple(_benchmark(split, seeds[0]) for split, seeds in enumerate(terms["base"])),
        verdicts=verdicts,
        models=tuple(ModelRow(read_log(folder.log(t)), read_named(folder.labels(t))) for t in trainings),
        levels=tuple(_levels(runs)),
    )


BySplit = list[list[Run]]  # for each split, the runs of a model, one a seed


def _runs(trainings: Sequence[Training], results: Callable[[Training], Path]) -> dict[str, BySplit]:
    """Of each model; a base model is one, however often it was trained."""
    found: dict[str, dict[int, list[Run]]] = {}
    for training in trainings:
        model = "base" if training.recipe.part == "base" else training.model
        found.setdefault(model, {}).setdefault(training.split, []).append(load_run(Store(results(training))))
    return {model: [splits[split] for split in sorted(splits)] for model, splits in found.items()}


def _both(terms: BySplit, named: BySplit) -> BySplit:
    """The answers about terms and for labels, of each split and seed, as of one run."""
    return [
        [replace(a, scored=(*a.scored, *b.scored)) for a, b in zip(*seeds, strict=True)]
        for seeds in zip(terms, named, strict=True)
    ]


def _gates(folder: Folder, trainings: Sequence[Training]) -> Iterator[GateRow]:
    """Base models, those included that were trained once more."""
    for training in (t for t in trainings if t.recipe.part == "base"):
        first = Training("base", training.split, training.seed, training.rate)
        for base in dict.fromkeys((first, training)):
            yield GateRow(base, read_gate(folder.gate(base)))


def _testable(gates: Sequence[Gate]) -> tuple[str, ...]:
    """Tasks in which the base models meet the gate, in the mean over splits."""
    mean = {task: sum(gate.j[task] for gate in gates) / len(gates) for task in gates[0].j}
    named = sum(gate.named for gate in gates) / len(gates)
    met = {IDENTITY: named >= LEAST_NAMED, **{task: j >= LEAST_J for task, j in mean.items()}}
    return tuple(task for task in PAPER_TASKS if met[task])


def _benchmark(split: int, run: Run) -> Benchmark:
    return Benchmark(
        split,
        run.row["spec_sha256"],
        len(run.words),
        len(run.clips),
        len({clip["recording"] for clip in run.clips.values()}),
        run.row["asked"],
        tuple(json.loads(session["device"])["kernels"] for session in run.sessions),
    )


def _levels(runs: Runs) -> Iterator[Level]:
    """Every figure of each model in each way that it was asked."""
    for model, splits in runs.items():
        for task in PAPER_TASKS:
            for cell in RECIPES[model].asked:
                found = [[answers(run, task, [cell]) for run in seeds] for seeds in splits]
                names = ("named",) if task == IDENTITY else ABOUT_TERMS
                values = {name: level(found, CONFUSION_FIGURES[name]) for name in names}
                yield Level(model, task, *cell, values)
