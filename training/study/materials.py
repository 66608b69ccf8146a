"""Questions, their interleaved versions, and the benchmark."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
from tokenizers import Tokenizer

from ltu.convert.llama import HUGGING_FACE, read_base
from ltu.errors import Error
from ltu.files import read_json_lines, write_json, write_json_lines
from ltu.shard.spec.build import build
from ltu.shard.spec.clips import Reader, choose, from_labels_csv
from ltu.shard.spec.prompts import PAPER_CELLS
from ltu.training.items.data import say
from ltu.training.reformulate.files import Files
from ltu.training.reformulate.subset import Selection
from ltu.training.reformulate.work import Work, reformulate
from ltu.training.study.folder import Folder
from ltu.training.study.generate import DATASET, Sound, generate
from ltu.training.study.models import Part
from ltu.training.study.sizes import Sizes
from ltu.training.study.terms import benchmark_words, refuse_leaks

DEVELOPMENT = "development"
NAME, FOLD, SEED = "esc10", 4, 0  # the benchmark's name, its clips' fold, the draw of clips and negatives


def tell(note: str) -> None:
    say([note])


def questions_of(seed: int) -> str:
    return f"seed-{seed}"


def write_questions(
    folder: Folder, name: str, clips: Sequence[Sound], parts: Mapping[Part, int], base: Path
) -> None:
    """Writes OpenAQA's list, and for each part its first rounds as items of ltu-train in both formats.

    `parts` says how many rounds of questions about `clips` belong to each part. Raises Error when a text
    holds what the benchmark asks about.
    """
    questions, seed, rounds = folder.questions(name), crc32(name.encode()), max(parts.values())
    source, interleaved = questions / "openaqa.json", questions / "interleaved.jsonl"
    rows = [row.to_json() for row in generate(clips, rounds, np.random.default_rng(seed))]
    write_json(source, rows)
    reformulate(Work(Selection(source, (DATASET,), None, seed), Files(interleaved)))
    reworded = [row for _, row in read_json_lines(interleaved)]
    if [row["audio_id"] for row in reworded] != [row["audio_id"] for row in rows]:
        raise Error(f"{interleaved}: items failed; each needs an interleaved version")
    texts = [f"{row['instruction']}\n{row['output']}" for row in (*rows, *reworded)]
    texts += sorted({clip.label.lower() for clip in clips})  # the projector is fitted to these words
    refuse_leaks(texts, Tokenizer.from_str(str(read_base(base).keys[HUGGING_FACE])))
    for part, count in parts.items():
        end = len(rows) // rounds * count
        write_json_lines(folder.items(name, "prepended", part), rows[:end])
        write_json_lines(folder.items(name, "interleaved", part), reworded[:end])
    (questions / "done").touch()


def write_benchmark(folder: Folder, esc10: Path, sizes: Sizes) -> None:
    """Questions in all ways of asking, about clips that no training and no choice of a rate has heard.

    The controls are asked in the paper's ways alone.
    """
    words, per_word = benchmark_words(), sizes.clips_per_word
    write_json_lines(folder.words, (word.to_json() for word in words))
    candidates = from_labels_csv(esc10, words, (FOLD,), tell)
    clips = choose(candidates, per_word, random.Random(SEED), Reader(esc10, tell))
    spec = build(words, clips, esc10, NAME, SEED, "all", per_word=per_word, say=tell)
    in_paper = [q for q in spec.questions if (q.position, q.wording) in PAPER_CELLS]
    replace(spec, questions=tuple(in_paper)).write(folder.controls)
    spec.write(folder.benchmark)
