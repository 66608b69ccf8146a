"""Labelled recordings to learn from: those of `labels.csv` that CC0 and CC BY cover, in folds."""

import re
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ltu.audio import Clip, load_audio
from ltu.errors import Error
from ltu.text_files import read_table

TABLE = "labels.csv"
OPEN_LICENCE = re.compile(r"(CC0|CC BY)( \d\.\d)?")  # what weights may be made of that are given away
COLUMNS = ("file", "fold", "label", "esc10", "licence", "author", "url")


@dataclass(frozen=True)
class Recording:
    file: str
    label: str
    clip: Clip


@dataclass(frozen=True)
class Sound(Recording):
    """`file` is below the folder that all collections lie in."""

    esc10: str  # its label in ESC-10, "" if it is not there
    licence: str
    author: str  # "" where the collection names none
    url: str


def read_folds(
    folder: Path, folds: Collection[int], labels: Collection[str] | None = None, free: bool = True
) -> list[Sound]:
    """Recordings of the given folds and labels in the collections of a folder, in the tables' order.

    free: those that CC0 and CC BY cover; False: the others, on which choices are made and nothing is trained.
    Raises Error.
    """
    tables = sorted(folder.glob(f"*/{TABLE}"))
    found = [sound for table in tables for sound in _read_table(table, folds, labels, free)]
    if free and not found:
        raise Error(
            f"{folder}: no folder in it holds {TABLE} with free recordings of folds {sorted(folds)}; "
            "give the folder that esc50 and fsd-instruments lie in"
        )
    return found


def labels_of(recordings: Sequence[Recording]) -> list[str]:
    return sorted({recording.label for recording in recordings})


def _read_table(
    table: Path, folds: Collection[int], labels: Collection[str] | None, free: bool
) -> list[Sound]:
    rows = [
        row
        for _, row in read_table(table, COLUMNS)
        if int(row["fold"]) in folds
        and (labels is None or row["label"] in labels)
        and bool(OPEN_LICENCE.fullmatch(row["licence"])) is free
    ]
    with ThreadPoolExecutor() as pool:  # decoders let go of Python's lock
        clips = list(pool.map(load_audio, (table.parent / row["file"] for row in rows)))
    return [
        Sound(
            file=f"{table.parent.name}/{row['file']}",
            label=row["label"],
            clip=clip,
            esc10=row["esc10"],
            licence=row["licence"],
            author=row["author"],
            url=row["url"],
        )
        for row, clip in zip(rows, clips, strict=True)
    ]
