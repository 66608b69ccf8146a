"""ltu-shard build: words and recordings → a specification."""

import random
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ltu.cli.console import NOTES, Json, command, print_json, show, wrong_usage
from ltu.shard.spec.build import build as build_spec
from ltu.shard.spec.clips import Reader, choose, from_audioset, from_folders, from_labels_csv
from ltu.shard.spec.segments import find_segments
from ltu.shard.spec.words import Word, read_words, shipped_words
from ltu.show.table import Table
from ltu.show.terminal import to_terminal


class Preset(str, Enum):
    esc10 = "esc10"


class Questions(str, Enum):
    paper = "paper"
    all = "all"


@command
def build(
    clips: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Recordings: see --preset and --audioset.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The specification, JSON Lines.")] = None,
    preset: Annotated[
        Preset | None, typer.Option(help="esc10: FOLDER has ESC-10's labels.csv. Absent: the 78 words.")
    ] = None,
    folds: Annotated[str, typer.Option(metavar="N[,N…]", help="esc10: only recordings of these folds.")] = "",
    audioset: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="AudioSet's segments, audio in FOLDER; without --clips: which words have clips."
            " Absent: a folder per word.",
        ),
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
    words = read_words(table) if table else shipped_words("esc10" if preset else "words")
    if audioset and clips is None and out is None:
        _show_segments(audioset, words, per_word, json)
        return
    if clips is None or out is None:
        raise wrong_usage(
            "--clips and --out", "say where the recordings are and where the specification goes"
        )
    if not clips.is_dir():
        raise wrong_usage("--clips", f"{clips} is not a folder")
    if reviewed and not audioset:
        raise wrong_usage("--reviewed", "belongs to --audioset CSV")
    if folds and preset is not Preset.esc10:
        raise wrong_usage("--folds", "belongs to --preset esc10")
    name = preset.value if preset else table.stem if table else "shard-78"
    notes: list[str] = []
    if preset:
        candidates = from_labels_csv(clips, words, _numbers("--folds", folds), notes.append)
    elif audioset:
        candidates = from_audioset(clips, audioset, words, reviewed)
    else:
        candidates = from_folders(clips, words)
    chosen = choose(candidates, per_word, random.Random(seed), Reader(clips, notes.append))
    spec = build_spec(words, chosen, clips, name, seed, questions.value, paper, per_word, say=notes.append)
    spec.write(out)
    for note in notes:
        NOTES.print(note, markup=False, soft_wrap=True)
    show({"file": str(out), **spec.header["counts"], "sha256": spec.hash}, json)


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
