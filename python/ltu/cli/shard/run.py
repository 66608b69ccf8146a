"""ltu-shard run: a model is asked a specification's questions, its answers are stored."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ltu.cli.console import FAILED, NOTES, Json, command, show, wrong_usage
from ltu.cli.options import (
    LARGEST,
    LARGEST_SEED,
    BatchInvariant,
    Device,
    Gguf,
    KvMemory,
    Threads,
    memory_of,
)
from ltu.cli.progress import progress_bar
from ltu.query import MOST_REPEATS
from ltu.shard import HEADLINE
from ltu.shard.run.runs import Settings
from ltu.shard.run.session import run as run_session
from ltu.shard.run.sweep import Summary
from ltu.shard.spec.specification import Spec, read_spec


class Engine(str, Enum):
    local = "local"
    ray = "ray"


SpecFile = Annotated[Path, typer.Option(metavar="FILE", help="From ltu-shard build.")]
Results = Annotated[Path, typer.Option(metavar="FILE", help="Results (SQLite); gone on with if there.")]
Clips = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Where the recordings are now; absent: as built."),
]
Repeats = Annotated[int, typer.Option(min=1, max=MOST_REPEATS, help="Independent answers to each question.")]
Seed = Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Equal seeds give equal answers.")]
Tasks = Annotated[str, typer.Option(metavar="TASK[,TASK…]", help="identity, or a relation; absent: all.")]
Words = Annotated[str, typer.Option(metavar="WORD[,WORD…]", help="Only clips of these words.")]
Limit = Annotated[int | None, typer.Option(min=1, max=LARGEST, help="Only so many questions, at random.")]
Controls = Annotated[
    bool, typer.Option("--controls", help="Ask also with the word, silence, noise or another clip.")
]
Exact = Annotated[bool, typer.Option("--exact", help="Also the exact probabilities of yes, no and neither.")]
Untempered = Annotated[
    bool, typer.Option("--untempered", help="--exact: at temperature 1, as ltu-shard calibrate wants them.")
]
Epsilon = Annotated[float, typer.Option(min=0, max=1, help="--exact: what may stay undecided.")]
NodeBudget = Annotated[
    int, typer.Option(min=1, max=LARGEST, help="--exact: most positions for a question, decided or not.")
]
Scores = Annotated[bool, typer.Option("--scores", help="Also the untempered log-odds of yes against no.")]
StopWhenDecided = Annotated[
    bool, typer.Option("--stop-when-decided", help="End answers once the careful reading can't change.")
]
MaxNewTokens = Annotated[
    int | None, typer.Option(min=1, max=LARGEST, help="Most tokens of an answer; absent: the file's.")
]
Embeddings = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Keep the clips' embeddings here, for the next sweep.")
]
AllowMixed = Annotated[bool, typer.Option("--allow-mixed", help="Go on with a run that other kernels began.")]
Where = Annotated[Engine, typer.Option(help="ray: on the workers of a Ray cluster.")]
Workers = Annotated[int, typer.Option(min=1, max=LARGEST, help="ray: how many, each with a model.")]


@command
def run(
    spec: SpecFile,
    out: Results,
    gguf: Gguf = None,
    clips: Clips = None,
    repeats: Repeats = 4,
    seed: Seed = 0,
    tasks: Tasks = "",
    words: Words = "",
    limit: Limit = None,
    controls: Controls = False,
    exact: Exact = False,
    untempered: Untempered = False,
    epsilon: Epsilon = 1e-3,
    node_budget: NodeBudget = 4096,
    scores: Scores = False,
    stop_when_decided: StopWhenDecided = False,
    max_new_tokens: MaxNewTokens = None,
    embeddings: Embeddings = None,
    allow_mixed: AllowMixed = False,
    device: Device = "auto",
    threads: Threads = None,
    kv_memory: KvMemory = None,
    batch_invariant: BatchInvariant = False,
    engine: Where = Engine.local,
    workers: Workers = 2,
    json: Json = False,
) -> None:
    """Asks a model every question and stores the answers."""
    from ltu.model import load as load_model
    from ltu.shard.run.cluster import Cluster

    _check_options(exact, untempered, epsilon, clips)
    benchmark = read_spec(spec)
    settings = Settings(
        repeats=repeats,
        seed=seed,
        controls=controls,
        tasks=_tasks(tasks, benchmark),
        words=_listed(words),
        limit=limit,
        exact=exact,
        untempered=untempered,
        scores=scores,
        epsilon=epsilon,
        node_budget=node_budget,
        stop_when_decided=HEADLINE if stop_when_decided else None,
    )
    memory = memory_of("--kv-memory", kv_memory)
    there = partial(load_model, device=device, threads=threads, kv_memory=memory)
    load = partial(there, batch_invariant=batch_invariant, embeddings=embeddings)
    local = load(gguf)
    local.max_new_tokens = max_new_tokens or local.max_new_tokens
    model = Cluster(local, workers, load, threads, gpu=device != "cpu") if engine is Engine.ray else local
    computed_by = {**local.description(), "requested": device, "engine": engine.value}
    with _progress() as progress:
        summary = run_session(model, benchmark, out, settings, computed_by, clips, allow_mixed, progress)
    _end(out, summary, repeats, json)


def _check_options(exact: bool, untempered: bool, epsilon: float, clips: Path | None) -> None:
    """What typer doesn't see. Raises UsageError."""
    if untempered and not exact:
        raise wrong_usage("--untempered", "belongs to --exact")
    if not 0 <= epsilon <= 1:  # NaN, which is in every range
        raise wrong_usage("--epsilon", "is no number from 0 to 1")
    if clips is not None and not clips.is_dir():
        raise wrong_usage("--clips", f"{clips} is not a folder")


def _end(out: Path, summary: Summary, repeats: int, json: bool) -> None:
    """Says what was done; a clip that could not be heard is a failure."""
    for file, reason in summary.failures.items():
        NOTES.print(f"{file}: {reason}", markup=False, soft_wrap=True)
    show({"file": str(out), **_told(summary, repeats)}, json)
    if summary.failures:
        raise typer.Exit(FAILED)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Shows how many questions are answered, of how many."""
    with progress_bar() as bar:
        task = bar.add_task("questions", total=None)
        yield lambda answered, asked: bar.update(task, completed=answered, total=asked)


def _tasks(tasks: str, spec: Spec) -> tuple[str, ...]:
    """In the specification's order."""
    wanted = _listed(tasks)
    if (tasks and not wanted) or set(wanted) - set(spec.tasks):
        raise wrong_usage("--tasks", f"{tasks!r} is not out of {', '.join(spec.tasks)}")
    return tuple(task for task in spec.tasks if task in wanted)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _told(summary: Summary, repeats: int) -> dict[str, object]:
    rate = summary.answered * repeats / summary.seconds if summary.seconds else 0.0
    return {
        "run": summary.run,
        "questions": summary.questions,
        "answered before": summary.answered_before,
        "answered now": summary.answered,
        "clips that failed": len(summary.failures),
        "seconds": round(summary.seconds, 1),
        "answers per second": round(rate, 1),
    }
