"""ltu-shard: the SHARD benchmark."""

import json as json_module
import random
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ltu.cli.console import NOTES, Device, Gguf, Json, Threads, application, command, print_json, wrong_usage
from ltu.errors import Error
from ltu.shard.build import build as build_spec
from ltu.shard.clips import choose, from_audioset, from_folders, from_labels_csv
from ltu.shard.prompts import RELATIONS
from ltu.shard.spec import Spec, read_spec
from ltu.shard.store import Store
from ltu.shard.words import read_words, shipped_words

app = application("SHARD: does a model join what it hears with what it knows?")

SpecOrResults = Annotated[Path, typer.Argument(metavar="FILE", help="A specification or results.")]


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
    spec = build_spec(words, chosen, clips, name, seed, questions.value, paper, per_word, notes.append)
    spec.write(out)
    for note in notes:
        NOTES.print(note, markup=False)
    _show({"file": str(out), **spec.header["counts"], "sha256": spec.hash}, json)


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
        str, typer.Option(metavar="TASK[,TASK…]", help="identity, synonym, hypernym.")
    ] = ",".join(RELATIONS),
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
    scores: Annotated[
        bool, typer.Option("--scores", help="Also the untempered log-odds of yes against no.")
    ] = False,
    device: Device = "auto",
    threads: Threads = None,
    engine: Annotated[Engine, typer.Option(help="ray: on the workers of a Ray cluster.")] = Engine.local,
    workers: Annotated[int, typer.Option(min=1, help="ray: how many, each with a model.")] = 2,
    json: Json = False,
) -> None:
    """Asks a model every question and stores the answers."""
    from ltu.model import load
    from ltu.shard.cluster import Cluster
    from ltu.shard.sweep import Answers, Settings, prepare, sweep

    wanted = tuple(part.strip() for part in tasks.split(",") if part.strip())
    if not wanted or set(wanted) - set(RELATIONS):
        raise wrong_usage("--tasks", f"{tasks!r} is not out of {', '.join(RELATIONS)}")
    benchmark = read_spec(spec)
    chosen = tuple(part.strip() for part in words.split(",") if part.strip())
    ordered = tuple(task for task in RELATIONS if task in wanted)
    settings = Settings(repeats, seed, controls, ordered, chosen, limit, exact, scores, epsilon)
    local = load(gguf, device, threads)
    model: Answers = local
    if engine is Engine.ray:
        model = Cluster(local, workers, device, threads)
    folder = clips or Path(benchmark.header["clips_folder"])
    store = Store(out, create=True)
    with store.writing():
        id = prepare(store, benchmark, model, folder, settings)
        row = store.run(id)
        with _progress() as progress:
            task = progress.add_task(f"run {id}", total=row["asked"], completed=row["answered"])
            device_row = {**local.description(), "requested": device, "engine": engine.value}
            summary = sweep(model, store, id, lambda n: progress.advance(task, n), _plain(device_row))
    for file, reason in summary.failures.items():
        NOTES.print(f"{file}: {reason}", markup=False)
    rate = summary.answered * repeats / summary.seconds if summary.seconds else 0.0
    _show(
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


@app.command()
@command
def report(
    results: Annotated[Path | None, typer.Argument(metavar="RESULTS", help="From ltu-shard run.")] = None,
    run: Annotated[int | None, typer.Option(help="Which run of the file; absent: the latest.")] = None,
    against: Annotated[
        str | None, typer.Option(metavar="FILE[:RUN]", help="Compare with another run.")
    ] = None,
    json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print every figure as a row.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write one self-contained page.")] = None,
    table2: Annotated[
        bool, typer.Option("--table2", help="What the paper's Table 2 says when inverted.")
    ] = False,
) -> None:
    """Reads and scores a run; needs no model."""
    from ltu.shard.render import title, to_csv, to_markdown, to_terminal
    from ltu.shard.report import report as make_report
    from ltu.shard.scored import load_run
    from ltu.shard.table2 import beside_table, paper_tables
    from ltu.shard.tables import tables

    if table2:
        shown = list(paper_tables())
        if json:
            print_json([vars(table) for table in shown])
        else:
            print((to_markdown if markdown else to_terminal)("The paper's Table 2, inverted", (), shown))
        return
    if results is None:
        raise wrong_usage("RESULTS", "missing: name a file from ltu-shard run")
    scored = load_run(Store(results), run)
    document = make_report(scored, _other_run(results, against) if against else None)
    if html:
        from ltu.shard.page import page

        html.write_text(page(scored, document), encoding="utf-8")
    if json:
        print_json(document)
    elif csv:
        print(to_csv(document), end="")
    elif html and not markdown:
        print(html)
    else:
        shown = [*tables(document), beside_table(document)]
        print((to_markdown if markdown else to_terminal)(title(document), document["notes"], shown))


@app.command("list")
@command
def list_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A specification or results.")],
    json: Json = False,
) -> None:
    """Lists the runs of a result file, or the words of a specification."""
    if _is_results(file):
        keep = ("id", "model", "spec", "repeats", "seed", "asked", "answered", "created")
        rows = [{name: row[name] for name in keep} for row in Store(file).runs()]
    else:
        spec = read_spec(file)
        rows = [_word_row(spec, word.label) for word in spec.words]
    if json:
        print_json(rows)
        return
    for row in rows:
        print("  ".join(str(value) for value in row.values()))


@app.command()
@command
def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A specification or results.")],
    json: Json = False,
) -> None:
    """Checks that a file is whole and does not contradict itself."""
    if _is_results(file):
        store = Store(file)
        problems = [row[0] for row in store.db.execute("PRAGMA integrity_check") if row[0] != "ok"]
        orphans = store.db.execute("PRAGMA foreign_key_check")
        problems += [f"a row of {row[0]} refers to a row of {row[2]} that is missing" for row in orphans]
        if problems:
            raise Error(f"{file}: {problems[0]}")
        _show({"file": str(file), "runs": len(store.runs())}, json)
    else:
        spec = read_spec(file)
        _show({"file": str(file), **spec.header["counts"], "sha256": spec.hash}, json)


@app.command()
@command
def export(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="From ltu-shard run.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Gets one file per task and way of asking.")],
    run: Annotated[int | None, typer.Option(help="Which run of the file; absent: the latest.")] = None,
    json: Json = False,
) -> None:
    """Writes the answers as JSON Lines in lm-evaluation-harness's layout of sample logs."""
    from ltu.shard.breakdown import conditions
    from ltu.shard.export import samples
    from ltu.shard.scored import load_run

    scored = load_run(Store(results), run)
    out.mkdir(parents=True, exist_ok=True)
    written = {}
    for condition in conditions(scored, RELATIONS):
        way = (condition.task, condition.position, condition.wording)
        path = out / f"samples_shard_{'_'.join(way)}.jsonl"
        lines = [json_module.dumps(row, ensure_ascii=False) for row in samples(scored, way)]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        written[str(path)] = len(lines)
    _show(written, json)


@app.command()
@command
def harness(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="From ltu-shard build.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="For lm_eval's --include_path.")],
    clips: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the recordings are now; absent: as built.")
    ] = None,
    json: Json = False,
) -> None:
    """Writes the questions as tasks of lm-evaluation-harness."""
    from ltu.shard.harness.tasks import write_tasks

    benchmark = read_spec(spec)
    names = write_tasks(benchmark, clips or Path(benchmark.header["clips_folder"]), out)
    _show({"folder": str(out), "tasks": ",".join(names)}, json)


class Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.1f}/s")


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=NOTES)


def _is_results(file: Path) -> bool:
    if not file.is_file():
        raise Error(f"{file}: no such file")
    with file.open("rb") as opened:
        return opened.read(15) == b"SQLite format 3"


def _other_run(results: Path, against: str) -> Any:
    """FILE, FILE:RUN or :RUN of the same file."""
    from ltu.shard.scored import load_run

    name, _, number = against.rpartition(":") if against.rpartition(":")[2].isdigit() else (against, "", "")
    return load_run(Store(Path(name) if name else results), int(number) if number else None)


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise wrong_usage(option, f"{text!r} is not a list of numbers") from None


def _word_row(spec: Spec, label: str) -> dict[str, Any]:
    word = spec.word(label)
    clips = sum(clip.label == label for clip in spec.clips)
    terms = {"synonyms": ", ".join(word.synonyms), "hypernyms": ", ".join(word.hypernyms)}
    return {"label": label, "group": word.group, "synset": word.synset, "clips": clips, **terms}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return cast(dict[str, Any], json_module.loads(json_module.dumps(row, default=str)))


def _show(values: dict[str, Any], json: bool) -> None:
    if json:
        print_json({name.replace(" ", "_"): value for name, value in values.items()})
    else:
        for name, value in values.items():
            print(f"{name}: {value}")


def main() -> None:
    app(prog_name="ltu-shard")


if __name__ == "__main__":
    main()
