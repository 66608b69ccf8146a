"""ltu-shard: the SHARD benchmark."""

import json as json_module
import random
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ltu.cli.console import (
    NOTES,
    BatchInvariant,
    Device,
    Gguf,
    Json,
    KvMemory,
    Threads,
    application,
    command,
    memory_of,
    show,
    wrong_usage,
)
from ltu.cli.progress import progress_bar
from ltu.cli.shard_results import export, harness, list_, report, validate
from ltu.shard.run.store import Store
from ltu.shard.spec.build import build as build_spec
from ltu.shard.spec.clips import choose, from_audioset, from_folders, from_labels_csv
from ltu.shard.spec.specification import read_spec
from ltu.shard.spec.words import read_words, shipped_words

app = application("SHARD: does a model join what it hears with what it knows?")


class Preset(str, Enum):
    esc10 = "esc10"


class Engine(str, Enum):
    local = "local"
    ray = "ray"


class Questions(str, Enum):
    paper = "paper"
    all = "all"


@app.command()
@command
def build(
    clips: Annotated[Path, typer.Option(metavar="FOLDER", help="Recordings: see --preset and --audioset.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The specification, JSON Lines.")],
    preset: Annotated[
        Preset | None, typer.Option(help="esc10: FOLDER has ESC-10's labels.csv. Absent: the 78 words.")
    ] = None,
    folds: Annotated[str, typer.Option(metavar="N[,N…]", help="esc10: only recordings of these folds.")] = "",
    audioset: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="AudioSet's segments, audio in FOLDER. Absent: a folder per word."),
    ] = None,
    reviewed: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --audioset: YTIDs that were checked by ear.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A word table of your own (docs/shard.md).")
    ] = None,
    questions: Annotated[
        Questions, typer.Option(help="Table 1's two ways of asking, or all.")
    ] = Questions.paper,
    paper: Annotated[
        bool, typer.Option("--paper", help="Two negatives a clip and relation, as in Table 2; unbalanced.")
    ] = False,
    per_word: Annotated[int, typer.Option(min=1, help="Clips of each word.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of clips and negatives.")] = 0,
    json: Json = False,
) -> None:
    """Makes a specification: words, clips and questions."""
    if not clips.is_dir():
        raise wrong_usage("--clips", f"{clips} is not a folder")
    if reviewed and not audioset:
        raise wrong_usage("--reviewed", "belongs to --audioset CSV")
    if folds and preset is not Preset.esc10:
        raise wrong_usage("--folds", "belongs to --preset esc10")
    name = preset.value if preset else table.stem if table else "shard-78"
    words = read_words(table) if table else shipped_words("esc10" if preset else "words")
    if preset:
        candidates = from_labels_csv(clips, words, _numbers("--folds", folds))
    elif audioset:
        candidates = from_audioset(clips, audioset, words, reviewed)
    else:
        candidates = from_folders(clips, words)
    chosen = choose(candidates, per_word, random.Random(seed))
    notes: list[str] = []
    spec = build_spec(words, chosen, clips, name, seed, questions.value, paper, per_word, say=notes.append)
    spec.write(out)
    for note in notes:
        NOTES.print(note, markup=False)
    show({"file": str(out), **spec.header["counts"], "sha256": spec.hash}, json)


@app.command()
@command
def run(
    spec: Annotated[Path, typer.Option(metavar="FILE", help="From ltu-shard build.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Results (SQLite); gone on with if there.")],
    gguf: Gguf = None,
    clips: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the recordings are now; absent: as built.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Independent answers to each question.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal answers.")] = 0,
    tasks: Annotated[
        str, typer.Option(metavar="TASK[,TASK…]", help="identity, or a relation; absent: all.")
    ] = "",
    words: Annotated[str, typer.Option(metavar="WORD[,WORD…]", help="Only clips of these words.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many questions, at random.")] = None,
    controls: Annotated[
        bool,
        typer.Option("--controls", help="Ask also with the word, silence, noise or another clip."),
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Also the exact probabilities of yes, no and neither.")
    ] = False,
    epsilon: Annotated[float, typer.Option(help="--exact: what may stay undecided.")] = 1e-3,
    node_budget: Annotated[
        int, typer.Option(min=1, help="--exact: most positions for a question, decided or not.")
    ] = 4096,
    scores: Annotated[
        bool, typer.Option("--scores", help="Also the untempered log-odds of yes against no.")
    ] = False,
    stop_when_decided: Annotated[
        bool, typer.Option("--stop-when-decided", help="End answers once the careful reading can't change.")
    ] = False,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of an answer; absent: the file's.")
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Keep the clips' embeddings here, for the next sweep."),
    ] = None,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Go on with a run that other kernels began.")
    ] = False,
    device: Device = "auto",
    threads: Threads = None,
    kv_memory: KvMemory = None,
    batch_invariant: BatchInvariant = False,
    engine: Annotated[Engine, typer.Option(help="ray: on the workers of a Ray cluster.")] = Engine.local,
    workers: Annotated[int, typer.Option(min=1, help="ray: how many, each with a model.")] = 2,
    json: Json = False,
) -> None:
    """Asks a model every question and stores the answers."""
    from ltu.model import load as load_model
    from ltu.shard import HEADLINE
    from ltu.shard.run.asking import Answers
    from ltu.shard.run.cluster import Cluster
    from ltu.shard.run.runs import Settings, check_kernels, prepare
    from ltu.shard.run.sweep import sweep

    wanted = tuple(part.strip() for part in tasks.split(",") if part.strip())
    benchmark = read_spec(spec)
    if (tasks and not wanted) or set(wanted) - set(benchmark.tasks):
        raise wrong_usage("--tasks", f"{tasks!r} is not out of {', '.join(benchmark.tasks)}")
    chosen = tuple(part.strip() for part in words.split(",") if part.strip())
    ordered = tuple(task for task in benchmark.tasks if task in wanted)
    stop = HEADLINE if stop_when_decided else None
    settings = Settings(
        repeats, seed, controls, ordered, chosen, limit, exact, scores, epsilon, node_budget, stop
    )
    memory = memory_of("--kv-memory", kv_memory)
    load = partial(
        load_model, device=device, threads=threads, kv_memory=memory, batch_invariant=batch_invariant
    )
    local = load(gguf, embeddings=embeddings)
    local.max_new_tokens = max_new_tokens or local.max_new_tokens
    model: Answers = local
    if engine is Engine.ray:
        model = Cluster(local, workers, load, threads, gpu=device != "cpu")
    folder = clips or Path(benchmark.header["clips_folder"])
    store = Store(out, create=True)
    with store.writing():
        id = prepare(store, benchmark, model, folder, settings)
        if not allow_mixed:
            check_kernels(store, id, local.description()["kernels"])
        row = store.run(id)
        with progress_bar() as progress:
            task = progress.add_task(f"run {id}", total=row["asked"], completed=row["answered"])
            device_row = {**local.description(), "requested": device, "engine": engine.value}
            summary = sweep(model, store, id, lambda n: progress.advance(task, n), _plain(device_row))
    for file, reason in summary.failures.items():
        NOTES.print(f"{file}: {reason}", markup=False)
    rate = summary.answered * repeats / summary.seconds if summary.seconds else 0.0
    show(
        {
            "file": str(out),
            "run": summary.run,
            "questions": summary.questions,
            "answered before": summary.answered_before,
            "answered now": summary.answered,
            "clips that failed": len(summary.failures),
            "seconds": round(summary.seconds, 1),
            "answers per second": round(rate, 1),
        },
        json,
    )


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise wrong_usage(option, f"{text!r} is not a list of numbers") from None


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return cast(dict[str, Any], json_module.loads(json_module.dumps(row, default=str)))


for name, work in (
    ("report", report),
    ("list", list_),
    ("validate", validate),
    ("export", export),
    ("harness", harness),
):
    app.command(name)(work)


def main() -> None:
    app(prog_name="ltu-shard")


if __name__ == "__main__":
    main()
