"""Answers of a finished model: about development clips, and to the benchmark."""

from collections import defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path

from ltu.audio import load_audio
from ltu.files import read_json_lines, write_json
from ltu.model import Model, load
from ltu.prompt import Format
from ltu.query import Query
from ltu.sampling import Sampling
from ltu.shard import HEADLINE
from ltu.shard.report.document import report
from ltu.shard.run.runs import Settings
from ltu.shard.run.session import run
from ltu.shard.run.store import Store
from ltu.shard.score.scored import load_run
from ltu.shard.spec.specification import read_spec
from ltu.training.demo.properties import OPPOSITE
from ltu.training.demo.questions import FORMATS
from ltu.training.items.data import say
from ltu.training.study.folder import Folder
from ltu.training.study.materials import DEVELOPMENT
from ltu.training.study.models import Training

MOST_TOKENS = 64  # in an answer: a model that has learnt its items by heart may never stop
NODES = 256  # for exact answers: such a model may never decide, either
CONTROLS_SEED, CONTROLS = 0, 400  # the seed whose models are asked them, and about so many questions


def ask(folder: Folder, training: Training, esc10: Path, threads: int) -> None:
    """Asks every question of the benchmark four times and exactly.

    The models of one seed are also asked some of the paper's questions with all controls. A killed sweep
    goes on.
    """
    every = Settings(exact=True, node_budget=NODES, stop_when_decided=HEADLINE)
    sample = replace(every, controls=True, limit=CONTROLS)
    kept = folder.cache / "embeddings"  # one folder for all models: they have one encoder
    with load(folder.gguf(training), "cpu", threads, embeddings=kept) as model:
        model.max_new_tokens = MOST_TOKENS
        _sweep(model, folder.benchmark, folder.results(training), esc10, every)
        if training.seed == CONTROLS_SEED:
            _sweep(model, folder.controls, folder.control_results(training), esc10, sample)
    write_json(folder.report(training), report(load_run(Store(folder.results(training)))).to_json())


def _sweep(model: Model, spec: Path, results: Path, clips: Path, settings: Settings) -> None:
    summary = run(model, read_spec(spec), results, settings, model.description(), clips)
    say(f"{file}: {reason}" for file, reason in summary.failures.items())


def check(folder: Folder, training: Training, esc10: Path, threads: int) -> None:
    """Counts of right answers about development clips, greedy, by format and kind of question."""
    greedy = Sampling(temperature=0)
    heard = cache(lambda name: load_audio(esc10 / name))
    asked = [
        (format, row) for format in FORMATS for _, row in read_json_lines(folder.items(DEVELOPMENT, format))
    ]
    right: dict[Format, dict[str, list[bool]]] = {format: defaultdict(list) for format in FORMATS}
    with load(folder.gguf(training), "cpu", threads) as model:
        queries = (
            Query(
                model.prompter.sequence(row["instruction"], [heard(row["audio_id"])], format),
                sampling=greedy,
                tag=(format, row),
            )
            for format, row in asked
            if kind_of(row)
        )
        for answer in model.answers(queries):
            format, row = answer.tag
            wanted = row["output"].partition(",")[0] if row["term"] else row["output"]
            right[format][kind_of(row)].append(answer.text.strip().startswith(wanted))
    counts = {
        format: {kind: {"right": sum(r), "of": len(r)} for kind, r in sorted(kinds.items())}
        for format, kinds in right.items()
    }
    write_json(folder.development(training), counts)


def kind_of(row: dict[str, str]) -> str:
    """The topic of a yes/no question, or "label"; "" for a question that has no one right answer."""
    if row["term"]:
        return "property" if row["term"] in OPPOSITE else "name"
    return "label" if row["output"].startswith("Labels:") else ""
