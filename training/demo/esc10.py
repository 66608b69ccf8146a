"""ESC-10 in the folder form of the shared data: `labels.csv` beside 5-second Ogg files, in folds."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ltu.audio import Clip, load_audio
from ltu.errors import AudioError, Error
from ltu.shard.spec.labels_csv import NAME, read_labels
from ltu.shard.spec.words import shipped_words
from ltu.training.config import Source
from ltu.training.items.data import say

DATASET = Source("ESC-10 (K. J. Piczak, 2015)", "CC-BY-3.0", "https://github.com/karolpiczak/ESC-10")


@dataclass(frozen=True)
class Recording:
    file: str
    label: str
    clip: Clip


def read_folds(folder: Path, folds: Collection[int]) -> list[Recording]:
    """Recordings of the given folds, in the table's order; what is left out is said. Raises Error."""
    classes = [word.dataset_class for word in shipped_words("esc10")]
    rows = read_labels(folder, classes, ("file", "fold", "label"), say=lambda note: say([note]))
    found = []
    for row in rows:
        if row.fold in folds:
            try:
                found.append(Recording(row.file, row.label, load_audio(folder / row.file)))
            except AudioError as error:
                say([f"left out: {error}"])
    if not found:
        raise Error(f"{folder / NAME}: no recording of folds {sorted(folds)}; give the whole of ESC-10")
    return found
