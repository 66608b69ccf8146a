"""Answers of a finished model: to its split's benchmark, at the gate, for labels of development clips."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from ltu.defaults import SAMPLING
from ltu.model import Model, load
from ltu.prompt import Format
from ltu.shard import HEADLINE
from ltu.shard.run.runs import Settings
from ltu.shard.run.session import run
from ltu.shard.run.store import Store
from ltu.shard.score.metrics import youden
from ltu.shard.score.scored import Run, load_run
from ltu.shard.spec.prompts import PAPER_CELLS, Cell
from ltu.shard.spec.relations import IDENTITY, PAPER_RELATIONS
from ltu.shard.spec.specification import read_spec
from ltu.training.items.data import say
from ltu.training.study.contrasts import answers
from ltu.training.study.folder import Folder
from ltu.training.study.materials import GATE, of_cells
from ltu.training.study.models import Training
from ltu.training.study.records import Gate, Named

MOST_TOKENS = 64  # in an answer: a model that has learnt its items by heart may never stop
NODES = 256  # for exact answers: such a model may never decide, either
TERMS = Settings(repeats=1, tasks=PAPER_RELATIONS, exact=True, node_budget=NODES, stop_when_decided=HEADLINE)
LABELS = Settings(repeats=1, tasks=(IDENTITY,))  # the likeliest answer alone
GREEDY = replace(SAMPLING, temperature=0.0)


def ask(folder: Folder, training: Training, threads: int) -> None:
    """Asks the benchmark in the model's ways: terms exactly, labels by the likeliest answer. A killed sweep
    goes on."""
    spec, cells = folder.benchmark(training.split), training.recipe.asked
    with _loaded(folder, training, threads) as model:
        _sweep(model, spec, cells, folder.terms(training), TERMS)
        _sweep(model, spec, cells, folder.named(training), LABELS)
    folder.asked(training).touch()


def ask_gate(folder: Folder, training: Training, threads: int) -> None:
    """What a base model knows of its split's development words."""
    spec, at = folder.gate_questions(training.split), folder.training(training)
    with _loaded(folder, training, threads) as model:
        terms = _sweep(model, spec, (GATE,), at / "gate-terms.db", TERMS)
        named = _sweep(model, spec, (GATE,), at / "gate-named.db", LABELS)
    j = {task: answers(terms, task, (GATE,)).figure(youden) for task in PAPER_RELATIONS}
    Gate(j, share_named(named, (GATE,))).write(folder.gate(training))


def ask_labels(folder: Folder, training: Training, threads: int) -> None:
    """How many labels of development clips the model names, in the paper's way of each format."""
    at = folder.training(training) / "labels.db"
    with _loaded(folder, training, threads) as model:
        named = _sweep(model, folder.label_questions, PAPER_CELLS, at, LABELS)
    by_format: dict[Format, float] = {
        "prepended": share_named(named, PAPER_CELLS[:1]),
        "interleaved": share_named(named, PAPER_CELLS[1:]),
    }
    Named(by_format).write(folder.labels(training))


def share_named(named: Run, cells: Sequence[Cell]) -> float:
    found = answers(named, IDENTITY, cells).decisions
    return float(found.yes.mean())


def _loaded(folder: Folder, training: Training, threads: int) -> Model:
    kept = folder.cache / "embeddings"  # one folder for all models: they have one encoder
    return load(folder.gguf(training), "cpu", threads, embeddings=kept)


def _sweep(model: Model, spec: Path, cells: Collection[Cell], results: Path, settings: Settings) -> Run:
    model.max_new_tokens = MOST_TOKENS
    model.sampling = GREEDY if settings is LABELS else SAMPLING
    asked = of_cells(read_spec(spec), cells)
    summary = run(model, asked, results, settings, model.description())
    say(f"{file}: {reason}" for file, reason in summary.failures.items())
    return load_run(Store(results))
