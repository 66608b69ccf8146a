"""ltu-shard build: words and recordings → a specification."""

import random
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ltu.cli.console import NOTES, Json, command, show, wrong_usage
from ltu.shard.spec.build import build as build_spec
from ltu.shard.spec.clips import Reader, choose, from_audioset
from ltu.shard.spec.layouts import from_layouts
from ltu.shard.spec.words import left_out, read_words, shipped_words


class Preset(str, Enum):
    esc10 = "esc10"
    esc50 = "esc50"


class Questions(str, Enum):
    paper = "paper"
    all = "all"


@command
def build(
    clips: Annotated[
        list[Path],
        typer.Option(
            metavar="FOLDER...",
            help="Recordings: with labels.csv, ESC-50 as it is published, or a folder for each label.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The specification, JSON Lines.")],
    preset: Annotated[
        Preset | None,
        typer.Option(help="The words of ESC-10, or of ESC-50 and ten instruments. Absent: the 78 words."),
    ] = None,
    folds: Annotated[
        str, typer.Option(metavar="N[,N…]", help="With --preset: only recordings of these folds.")
    ] = "",
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
        bool, typer.Option("--paper", help="As in Table 2: balanced by clip, not by term.")
    ] = False,
    per_word: Annotated[int, typer.Option(min=1, help="Clips of each word.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of clips and negatives.")] = 0,
    json: Json = False,
) -> None:
    """Makes a specification: words, clips and questions."""
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
    words = read_words(table) if table else shipped_words(preset.value if preset else "words")
    notes: list[str] = []
    if preset is Preset.esc50:
        notes.append(
            f"not among the words: {'; '.join(f'{label} ({why})' for label, why in left_out().items())}"
        )
    if audioset:
        root, candidates = clips[0], from_audioset(clips[0], audioset, words, reviewed)
    else:
        root, candidates = from_layouts(clips, words, _numbers("--folds", folds), notes.append)
    chosen = choose(candidates, per_word, random.Random(seed), Reader(root, notes.append))
    spec = build_spec(words, chosen, root, name, seed, questions.value, paper, per_word, say=notes.append)
    spec.write(out)
    for note in notes:
        NOTES.print(note, markup=False, soft_wrap=True)
    show({"file": str(out), **spec.header["counts"], "sha256": spec.hash}, json)


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise wrong_usage(option, f"{text!r} is not a list of numbers") from None
