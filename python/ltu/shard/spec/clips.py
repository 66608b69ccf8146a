"""Where a word's evaluation clips come from: ESC-10, one folder per label, or AudioSet's evaluation set."""

import csv
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltu.errors import Error
from ltu.shard.spec.ontology import audioset, label_parts
from ltu.shard.spec.words import Word

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus"})


@dataclass(frozen=True)
class Candidate:
    """A file that holds the sound of one word alone; `recording` is what it was cut from."""

    label: str
    file: str
    recording: str


def labels_table(folder: Path) -> Path:
    """ESC-10's labels.csv. Raises Error where there is none."""
    table = folder / "labels.csv"
    if not table.is_file():
        raise Error(f"{table}: no such file; give the ESC-10 folder with labels.csv")
    return table


def from_labels_csv(folder: Path, words: Iterable[Word], folds: Sequence[int] = ()) -> list[Candidate]:
    """ESC-10's layout: labels.csv with file, fold, label, source; labels are the words' `dataset_class`."""
    table = labels_table(folder)
    label_of = {word.dataset_class: word.label for word in words}
    found = []
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if missing := {"file", "fold", "label", "source"} - set(rows.fieldnames or ()):
            raise Error(f"{table}: lacks the columns {', '.join(sorted(missing))}")
        for row in rows:
            if row["label"] in label_of and (not folds or int(row["fold"]) in folds):
                found.append(Candidate(label_of[row["label"]], row["file"], row["source"]))
    if not found:
        raise Error(f"{table}: no recording of these classes and folds {list(folds)}; choose other --folds")
    return found


def from_folders(folder: Path, words: Iterable[Word]) -> list[Candidate]:
    """One folder per label, named as the label, one of its parts or the word; each file is a recording."""
    names = {}
    for word in words:
        for name in (word.label.casefold(), *label_parts(word.label), word.word.casefold()):
            names[name] = word.label
    found = [
        Candidate(names[parent.name.casefold()], str(file.relative_to(folder)), file.stem)
        for parent in sorted(folder.iterdir())
        if parent.is_dir() and parent.name.casefold() in names
        for file in sorted(parent.iterdir())
        if file.suffix.lower() in AUDIO_SUFFIXES
    ]
    if not found:
        raise Error(f"{folder}: no folder here is named after a label or word of the table")
    return found


def from_audioset(
    folder: Path, segments: Path, words: Iterable[Word], reviewed: Path | None
) -> list[Candidate]:
    """AudioSet's evaluation CSV (YTID, start, end, "id,id,…") and a folder with the audio of its segments.

    A clip qualifies if its labels are the word and labels above it only. `reviewed` lists, one a line, the
    YTIDs that were checked by ear; without it all that qualify are taken.
    """
    checked = None if reviewed is None else set(reviewed.read_text(encoding="utf-8").split())
    files = {
        _ytid(path.stem): path for path in sorted(folder.rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES
    }
    ontology = audioset()
    allowed = {word.label: ontology.ancestors(word.label) | {word.label} for word in words}
    found = []
    with segments.open(encoding="utf-8", newline="") as file:
        for row in csv.reader((line for line in file if not line.startswith("#")), skipinitialspace=True):
            if len(row) < 4:
                raise Error(f"{segments}: {','.join(row)!r} is not YTID, start, end, labels")
            labels = {ontology.name(id) for id in row[3].split(",") if id in ontology.nodes}
            path = files.get(row[0])
            if path is None or (checked is not None and row[0] not in checked):
                continue
            for word, line in allowed.items():
                if word in labels and labels <= line:
                    found.append(Candidate(word, str(path.relative_to(folder)), row[0]))
    if not found:
        raise Error(f"{segments}: none of its clips that lie in {folder} holds the sound of one word alone")
    return found


def _ytid(stem: str) -> str:
    """Downloaders write YTID, YYTID or YTID_start: a YouTube id has 11 characters."""
    return stem[1:12] if len(stem) == 12 and stem[0] == "Y" else stem[:11]


def choose(candidates: Iterable[Candidate], per_word: int, rng: random.Random) -> list[Candidate]:
    """Up to `per_word` clips a word at random, one per recording as long as there are enough recordings."""
    by_word: dict[str, dict[str, list[Candidate]]] = defaultdict(lambda: defaultdict(list))
    for candidate in sorted(candidates, key=lambda c: c.file):
        by_word[candidate.label][candidate.recording].append(candidate)
    chosen = []
    for label in sorted(by_word):
        recordings = list(by_word[label].values())
        rng.shuffle(recordings)
        for takes in recordings:
            rng.shuffle(takes)
        rounds = [
            take
            for turn in range(max(map(len, recordings)))
            for r in recordings
            for take in r[turn : turn + 1]
        ]
        chosen += sorted(rounds[:per_word], key=lambda c: c.file)
    return chosen
