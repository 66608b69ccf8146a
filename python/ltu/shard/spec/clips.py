"""Where a word's evaluation clips come from: ESC-10, one folder per label, or AudioSet's evaluation set."""

import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from unicodedata import normalize

from ltu.audio import load_audio
from ltu.errors import AudioError, Error, listed
from ltu.shard.spec.labels_csv import NAME, NOTHING, read_labels
from ltu.shard.spec.segments import find_segments
from ltu.shard.spec.words import Word, class_names, left_out, names_of
from ltu.text_files import Say, read_text

AUDIO_SUFFIXES = (  # of names; what a file is, its bytes say
    ".wav",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".aif",
    ".aiff",
    ".aifc",
    ".au",
    ".snd",
    ".caf",
    ".w64",
    ".rf64",
    ".m4a",
    ".mp4",
    ".aac",
    ".wma",
    ".webm",
    ".mka",
    ".amr",
    ".ac3",
    ".wv",
    ".tta",
)


@dataclass(frozen=True)
class Candidate:
    """A file that holds the sound of one word alone; `recording` is what it was cut from.

    `hash` is that of its samples, "" before it was read.
    """

    label: str
    file: str
    recording: str
    hash: str = ""


class Reader:
    """Decodes candidates in `folder` for their hash; `say` is told, a line each, which it leaves out."""

    def __init__(self, folder: Path, say: Say) -> None:
        self._folder, self._say = folder, say
        self._files: dict[str, str] = {}

    def __call__(self, candidate: Candidate) -> Candidate | None:
        """The candidate with its hash; None for one that cannot be read, or that is another's double."""
        candidate = replace(candidate, file=as_on_disk(self._folder, candidate.file))
        if not _fits(candidate.file, "utf-8"):
            self._say(
                f"left out: {candidate.file}: its name is not UTF-8, which specifications are; rename it"
            )
            return None
        path = self._folder / candidate.file
        if path.exists() and not path.is_file():  # a pipe would be waited for
            self._say(f"left out: {path}: is no file")
            return None
        try:
            hash = load_audio(path).hash
        except AudioError as error:
            self._say(f"left out: {error}")
            return None
        twin = self._files.setdefault(hash, candidate.file)
        if twin != candidate.file:
            self._say(f"left out: {candidate.file}: is the same recording as {twin}")
            return None
        return replace(candidate, hash=hash)


def from_labels_csv(
    folder: Path,
    words: Iterable[Word],
    folds: Sequence[int] = (),
    say: Say = lambda note: None,
    name: str | Path = NAME,
    renamed: Mapping[str, str] = NOTHING,
) -> list[Candidate]:
    """ESC-10's layout: labels.csv with file, fold, label, source; labels are names of the words.

    Another table has its `name`, and `renamed` says what it calls columns.

    `say` is told, a line each, what of the table was left out. Raises Error.
    """
    label_of = {name: word.label for word in words for name in names_of(word)}
    passed_over = {name for label in left_out() for name in class_names(label)} - label_of.keys()
    rows = read_labels(folder, label_of.keys() | passed_over, say=say, name=name, renamed=renamed)
    found = [
        Candidate(label_of[row.label], row.file, row.source)
        for row in rows
        if row.label in label_of and (not folds or row.fold in folds)
    ]
    if not found:
        which = f" and folds {list(folds)}; choose other --folds" if folds else ""
        raise Error(f"{folder / name}: no recording of these classes{which}")
    return found


def as_on_disk(folder: Path, name: str) -> str:
    """A table's name for a file as the folder has it: accents as one character, two or a byte, \\ as /."""
    forms = (name, name.replace("\\", "/"))
    tried = [form for n in forms for form in (n, normalize("NFC", n), normalize("NFD", n))]
    tried += [os.fsdecode(n.encode("cp1252")) for n in forms if _fits(n, "cp1252")]
    return next((form for form in tried if "\0" not in form and (folder / form).is_file()), name)


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def is_recording(file: Path) -> bool:
    """By its name; hidden files are none, such as the ._x.wav that macOS writes beside each x.wav."""
    return file.suffix.lower() in AUDIO_SUFFIXES and not file.name.startswith(".")


def from_folders(folder: Path, words: Iterable[Word], say: Say = lambda note: None) -> list[Candidate]:
    """One folder per label, named as the label, one of its parts, the word or a data set's class.

    Each recording in it is one; `say` is told what is none by its name.
    """
    names = {name: word.label for word in words for name in names_of(word)}
    files = [
        file
        for parent in sorted(folder.iterdir())
        if parent.is_dir() and parent.name.casefold() in names
        for file in sorted(parent.iterdir())
    ]
    found = [
        Candidate(names[file.parent.name.casefold()], str(file.relative_to(folder)), file.stem)
        for file in filter(is_recording, files)
    ]
    if others := [str(f.relative_to(folder)) for f in files if not is_recording(f) and f.name[0] != "."]:
        say(f"{folder}: left out, by their names no recordings: {listed(others)}")
    if not found:
        raise Error(f"{folder}: no folder here is named after a label or word of the table")
    return found


def from_audioset(
    folder: Path, segments: Path, words: Iterable[Word], reviewed: Path | None
) -> list[Candidate]:
    """AudioSet's evaluation CSV (YTID, start, end, "id,id,…") and a folder with the audio of its segments.

    Those that hold the sound of one word alone, as `find_segments` says. `reviewed` lists, one a line, the
    YTIDs that were checked by ear; without it all that qualify are taken.
    """
    checked = None if reviewed is None else set(read_text(reviewed).split())
    files = {_ytid(path.stem): path for path in sorted(folder.rglob("*")) if is_recording(path)}
    found = [
        Candidate(word.label, str(files[id].relative_to(folder)), id)
        for word in find_segments(segments, words)
        for id in word.segments
        if id in files and (checked is None or id in checked)
    ]
    if not found:
        raise Error(f"{segments}: none of its clips that lie in {folder} holds the sound of one word alone")
    return found


def _ytid(stem: str) -> str:
    """Downloaders write YTID, YYTID or YTID_start: a YouTube id has 11 characters."""
    return stem[1:12] if len(stem) == 12 and stem[0] == "Y" else stem[:11]


def choose(
    candidates: Iterable[Candidate],
    per_word: int,
    rng: random.Random,
    read: Callable[[Candidate], Candidate | None] = lambda candidate: candidate,
) -> list[Candidate]:
    """Up to `per_word` clips a word at random, one per recording as long as there are enough recordings.

    `read` may put another in the place of each, or leave it out: then the next one is taken.
    """
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
        usable = (found for take in rounds if (found := read(take)) is not None)
        chosen += sorted(islice(usable, per_word), key=lambda c: c.file)
    return chosen
