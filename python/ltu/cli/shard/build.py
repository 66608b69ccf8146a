"""ltu-shard build: words and recordings → a specification."""

import random
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ltu.cli.console import NOTES, Json, command, print_json, show, wrong_usage
from ltu.cli.options import LARGEST, LARGEST_SEED
from ltu.shard.spec.build import build as build_spec
from ltu.shard.spec.clips import Reader, choose, from_audioset
from ltu.shard.spec.layouts import from_layouts
from ltu.shard.spec.segments import find_segments
from ltu.shard.spec.words import Word, left_out, read_words, shipped_words
from ltu.show.table import Table
from ltu.show.terminal import to_terminal


class Preset(str, Enum):
    esc10 = "esc10"
    esc50 = "esc50"


class Questions(str, Enum):
    paper = "paper"
    all = "all"


Clips = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FOLDER...",
        help="Recordings: with labels.csv, ESC-50 as it is published, or a folder for each label.",
    ),
]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="The specification, JSON Lines.")]
Words = Annotated[
    Preset | None,
    typer.Option(help="The words of ESC-10, or of ESC-50 and ten instruments. Absent: the 78 words."),
]
Folds = Annotated[str, typer.Option(metavar="N[,N…]", help="With --preset: only recordings of these folds.")]
AudioSet = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="AudioSet's segments, audio in FOLDER; without --clips: which words have clips. Absent: a "
        "folder per word.",
    ),
]
Reviewed = Annotated[
    Path | None, typer.Option(metavar="FILE", help="With --audioset: YTIDs that were checked by ear.")
]
WordTable = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A word table of your own (docs/shard.md).")
]
Ways = Annotated[Questions, typer.Option(help="Table 1's two ways of asking, or all.")]
Paper = Annotated[bool, typer.Option("--paper", help="As in Table 2: balanced by clip, not by term.")]
PerWord = Annotated[int, typer.Option(min=1, max=LARGEST, help="Clips of each word.")]
Seed = Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Of the choice of clips and negatives.")]


@command
def build(
    clips: Clips = None,
    out: Out = None,
    preset: Words = None,
    folds: Folds = "",
    audioset: AudioSet = None,
    reviewed: Reviewed = None,
    table: WordTable = None,
    questions: Ways = Questions.paper,
    paper: Paper = False,
    per_word: PerWord = 4,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Makes a specification: words, clips and questions."""
    words = read_words(table) if table else shipped_words(preset.value if preset else "words")
    if audioset and not clips and out is None:
        _show_segments(audioset, words, per_word, json)
        return
    if not clips or out is None:
        raise wrong_usage(
            "--clips and --out", "say where the recordings are and where the specification goes"
        )
    for folder in clips:
        if not folder.is_dir():
            raise wrong_usage("--clips", f"{folder} is not a folder")
    if reviewed and not audioset:
        raise wrong_usage("--reviewed", "belongs to --audioset CSV")
    if audioset and len(clips) > 1:
        raise wrong_usage("--clips", "is one folder with --audioset CSV")
    if folds and not preset:
        raise wrong_usage("--folds", "belongs to --preset esc10 or esc50")
    name = preset.value if preset else table.stem if table else "shard-78"
    if preset is Preset.esc50:
        excluded = "; ".join(f"{label} ({why})" for label, why in left_out().items())
        _note(f"not among the words: {excluded}")
    if audioset:
        root, candidates = clips[0], from_audioset(clips[0], audioset, words, reviewed)
    else:
        root, candidates = from_layouts(clips, words, _numbers("--folds", folds), _note)
    chosen = choose(candidates, per_word, random.Random(seed), Reader(root, _note))
    spec = build_spec(words, chosen, root, name, seed, questions.value, paper, per_word, say=_note)
    spec.write(out)
    show({"file": str(out), **spec.header["counts"], "sha256": spec.hash}, json)


def _note(line: str) -> None:
    NOTES.print(line, markup=False, soft_wrap=True)


def _show_segments(table: Path, words: list[Word], per_word: int, json: bool) -> None:
    """Which words have enough segments that hold their sound alone, and why not where not."""
    found = find_segments(table, words)
    if json:
        print_json([{**asdict(each), "segments": len(each.segments)} for each in found])
        return
    rows = [
        (
            each.label,
            str(len(each.segments)),
            str(each.total),
            ("with labels below it" if each.with_children else "")
            if len(each.segments) >= per_word
            else f"most carry also {' or '.join(each.besides)}",
        )
        for each in found
    ]
    enough = sum(len(each.segments) >= per_word for each in found)
    clips = sum(min(per_word, len(each.segments)) for each in found)
    note = f"{enough} of {len(found)} words have {per_word}: {clips} of {per_word * len(found)} clips."
    columns = ("word", "alone", "with the label", "")
    print(
        to_terminal(str(table), (), [Table("Segments that hold one sound alone", columns, rows, note)]),
        end="",
    )


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise wrong_usage(option, f"{text!r} is not a list of numbers") from None
