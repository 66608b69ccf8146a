"""ESC-10 in the folder form of the shared data: `labels.csv` beside 5-second Ogg files, in folds."""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ltu.audio import Clip, load_audio
from ltu.shard.spec.clips import labels_table
from ltu.training.config import Source

DATASET = Source("ESC-10 (K. J. Piczak, 2015)", "CC-BY-3.0", "https://github.com/karolpiczak/ESC-10")


@dataclass(frozen=True)
class Recording:
    file: str
    label: str
    clip: Clip


def read_folds(folder: Path, folds: Collection[int]) -> list[Recording]:
    """Recordings of the given folds, in the table's order. Raises Error."""
    with labels_table(folder).open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["fold"]) in folds]
    return [Recording(row["file"], row["label"], load_audio(folder / row["file"])) for row in rows]
