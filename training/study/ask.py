"""What a finished model answers: about development clips, and to the benchmark."""

from collections import defaultdict
from functools import cache
from pathlib import Path

from ltu.audio import load_audio
from ltu.files import read_json_lines, write_json, write_text
from ltu.model import load
from ltu.prompt import Format
from ltu.query import Query
from ltu.sampling import Sampling
from ltu.training.demo.questions import FORMATS
from ltu.training.study.folder import Folder
from ltu.training.study.materials import DEVELOPMENT, command
from ltu.training.study.models import Training
from ltu.training.study.properties import OPPOSITE

MOST_TOKENS = 64  # of an answer: a model that has learnt its items by heart may never stop
NODES = 256  # for exact answers: such a model may never decide, either
CONTROLS_SEED, CONTROLS = 0, 400  # the seed whose models are asked them, and about so many questions


def ask(folder: Folder, training: Training, esc10: Path, threads: int) -> None:
    """ltu-shard, four times and exactly: every question; of one seed some of the paper's with all controls.

    A killed sweep goes on.
    """
    model = ("--gguf", folder.gguf(training), "--clips", esc10, "--device", "cpu", "--threads", threads)
    kept = ("--embeddings", folder.cache / "embeddings")  # all models have one encoder
    bounds = ("--stop-when-decided", "--max-new-tokens", MOST_TOKENS, "--node-budget", NODES)
    how = (*kept, "--exact", *bounds)
    results, controls = folder.results(training), folder.control_results(training)
    command("shard", "run", *model, *how, "--spec", folder.benchmark, "--out", results)
    if training.seed == CONTROLS_SEED:
        sample = ("--controls", "--limit", CONTROLS)
        command("shard", "run", *model, *how, "--spec", folder.controls, "--out", controls, *sample)
    write_text(folder.report(training), command("shard", "report", results, "--json"))


def check(folder: Folder, training: Training, esc10: Path, threads: int) -> None:
    """Counts of right answers about development clips, greedy, by format and kind of question."""
    model, greedy = load(str(folder.gguf(training)), "cpu", threads), Sampling(temperature=0)
    heard = cache(lambda name: load_audio(esc10 / name))
    asked = [
        (format, row) for format in FORMATS for _, row in read_json_lines(folder.items(DEVELOPMENT, format))
    ]
    queries = (
        Query(
            model.prompter.sequence(row["instruction"], [heard(row["audio_id"])], format),
            sampling=greedy,
            tag=(format, row),
        )
        for format, row in asked
        if kind_of(row)
    )
    right: dict[Format, dict[str, list[bool]]] = {format: defaultdict(list) for format in FORMATS}
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
    """What a yes/no question is about, or "label"; "" for what has no one right answer."""
    if row["term"]:
        return "property" if row["term"] in OPPOSITE else "name"
    return "label" if row["output"].startswith("Labels:") else ""
