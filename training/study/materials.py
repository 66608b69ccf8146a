"""Questions, their interleaved versions and the benchmark, made by the project's own commands."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
from tokenizers import Tokenizer

from ltu.convert.llama import HUGGING_FACE, read_base
from ltu.errors import Error
from ltu.files import read_json_lines, write_json, write_json_lines
from ltu.shard.spec.prompts import PAPER_CELLS

from .folder import Folder
from .generate import DATASET, Sound, generate
from .models import Part
from .sizes import Sizes
from .terms import benchmark_words, refuse_leaks

DEVELOPMENT = "development"
FOLD = 4  # of the benchmark


def questions_of(seed: int) -> str:
    return f"seed-{seed}"


def command(module: str, *arguments: str | Path | int) -> str:
    """Runs a command of the project as a user would; returns what it prints. Raises Error."""
    line = ["-m", f"ltu.cli.{module}", *map(str, arguments)]
    done = subprocess.run([sys.executable, *line], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Error(f"python {' '.join(line)} ended with exit code {done.returncode}")
    return done.stdout


def write_questions(
    folder: Folder, name: str, clips: Sequence[Sound], parts: Mapping[Part, int], base: Path
) -> None:
    """OpenAQA's list, and of each part (so many rounds) both versions as items of ltu-train."""
    place, seed, rounds = folder.questions(name), crc32(name.encode()), max(parts.values())
    source, interleaved = place / "openaqa.json", place / "interleaved.jsonl"
    rows = [row.to_json() for row in generate(clips, rounds, np.random.default_rng(seed))]
    write_json(source, rows)
    settings = ("--output", interleaved, "--offline", "--datasets", DATASET, "--seed", seed)
    command("reformulate", source, *settings)
    reworded = [row for _, row in read_json_lines(interleaved)]
    if [row["audio_id"] for row in reworded] != [row["audio_id"] for row in rows]:
        raise Error(f"{interleaved}: items failed; each needs an interleaved version")
    texts = [f"{row['instruction']}\n{row['output']}" for row in (*rows, *reworded)]
    texts += sorted({clip.label.lower() for clip in clips})  # of the projector's start
    refuse_leaks(texts, Tokenizer.from_str(str(read_base(base).keys[HUGGING_FACE])))
    for part, count in parts.items():
        end = len(rows) // rounds * count
        write_json_lines(folder.items(name, "prepended", part), rows[:end])
        write_json_lines(folder.items(name, "interleaved", part), reworded[:end])
    (place / "done").touch()


def write_benchmark(folder: Folder, esc10: Path, sizes: Sizes) -> None:
    """All ways of asking, about clips that no training and no choice has seen."""
    write_json_lines(folder.words, (word.to_json() for word in benchmark_words()))
    part = folder.benchmark.with_suffix(".part")
    where = ("--preset", "esc10", "--clips", esc10, "--folds", FOLD, "--table", folder.words)
    command("shard", "build", *where, "--questions", "all", "--per-word", sizes.clips_per_word, "--out", part)
    write_json_lines(folder.controls, (row for _, row in read_json_lines(part) if _in_paper(row)))
    part.replace(folder.benchmark)


def _in_paper(row: Mapping[str, str]) -> bool:
    """Of a specification's lines: all but the questions in ways that the paper doesn't ask in."""
    return row["kind"] != "question" or (row["position"], row["wording"]) in PAPER_CELLS
