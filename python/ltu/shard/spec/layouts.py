"""Folders of recordings in whatever layout they have: labels.csv, ESC-50's own, or a folder per label."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ltu.shard.spec.clips import Candidate, from_folders, from_labels_csv
from ltu.shard.spec.labels_csv import NAME
from ltu.shard.spec.words import Word
from ltu.text_files import Say

ESC50 = Path("meta") / "esc50.csv"
ESC50_COLUMNS = {"file": "filename", "label": "category", "source": "src_file"}
ESC50_NAME = re.compile(r"(\d)-(\d+)-[A-Z]")  # fold, recording, take: how ESC-50 names its files


def from_layouts(
    folders: Sequence[Path], words: Sequence[Word], folds: Sequence[int], say: Say
) -> tuple[Path, list[Candidate]]:
    """The folder that all recordings lie below, and the recordings of the words (and folds) in all of them.

    `say` is told, a line each, what was left out. Raises Error.
    """
    root = folders[0] if len(folders) == 1 else Path(os.path.commonpath([f.resolve() for f in folders]))
    found = []
    for folder in folders:
        below = Path() if len(folders) == 1 else folder.resolve().relative_to(root.resolve())
        for candidate in _in_folder(folder, words, folds, say):
            found.append(replace(candidate, file=str(below / candidate.file)))
    return root, found


def _in_folder(folder: Path, words: Sequence[Word], folds: Sequence[int], say: Say) -> list[Candidate]:
    if (folder / ESC50).is_file():
        return _from_esc50(folder, words, folds, say)
    if (folder / NAME).is_file():
        return from_labels_csv(folder, words, folds, say)
    found = [
        replace(candidate, recording=named[2]) if (named := _esc50_name(candidate)) else candidate
        for candidate in from_folders(folder, words, say)
    ]
    if not folds:
        return found
    if not any(map(_esc50_name, found)):
        say(f"{folder}: has a folder per label and no folds; all of its recordings are taken")
        return found
    return [c for c in found if (named := _esc50_name(c)) and int(named[1]) in folds]


def _from_esc50(folder: Path, words: Sequence[Word], folds: Sequence[int], say: Say) -> list[Candidate]:
    """ESC-50 as it is published: meta/esc50.csv with filename, fold, category, src_file; audio/."""
    found = from_labels_csv(folder, words, folds, say, ESC50, ESC50_COLUMNS)
    return [replace(candidate, file=f"audio/{candidate.file}") for candidate in found]


def _esc50_name(candidate: Candidate) -> re.Match[str] | None:
    return ESC50_NAME.match(Path(candidate.file).name)
