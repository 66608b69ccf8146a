"""Clips read once: their features lie in one file that only grows, whoever asks for them next.

`features.f16` holds float16[1024, 128] per clip, `clips.jsonl` a line for each clip that was read, a broken
one with the reason. A clip's line is written after its features: a kill loses at most the clip being read.
"""

import os
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from rich.console import Console
from rich.progress import track

from ltu.audio import SHIFT, WINDOW, Clip, load_audio
from ltu.defaults import FRAMES, MELS
from ltu.errors import AudioError, Error
from ltu.files import json_line
from ltu.training.items.index import Line, cut_half_line, read_lines, stamp

ROW = FRAMES * MELS * 2  # bytes
POOLED = 64  # clips from which on reading them is worth several processes
MOST_WORKERS = 16
Float16 = npt.NDArray[np.float16]


@dataclass(frozen=True)
class StoredClip:
    row: int
    frames: int  # of sound; the rest is padding
    hash: str
    crc: int | None = None  # of its features; None: they were stored before there were sums


@dataclass(frozen=True)
class Clips:
    """The clips that were asked for, by name; the broken ones' reasons; float16[rows, 1024, 128], mapped."""

    stored: Mapping[str, StoredClip]
    broken: Mapping[str, str]
    features: Float16

    @property
    def bytes(self) -> int:
        return len(self.stored) * ROW

    def features_of(self, name: str) -> Float16:
        """float16[1024, 128]. Raises Error where they are not those that were written."""
        clip = self.stored[name]
        if clip.crc is None:
            return self.features[clip.row]  # type: ignore[no-any-return]
        damaged = f"the features of {name} are damaged; remove that file, and all of its clips are read again"
        return checked_row(self.features, clip.row, clip.crc, damaged)


def checked_row(mapped: Float16, row: int, crc: int, damaged: str) -> Float16:
    """A row of a mapped file. Raises Error, which says `damaged`, for another than was written."""
    found: Float16 = mapped[row]
    if crc32(found.tobytes()) != crc:
        raise Error(f"{getattr(mapped, 'filename', None) or 'features.f16'}: {damaged}")
    return found


def frames_of(clip: Clip) -> int:
    return min(FRAMES, 1 + (len(clip.waveform) - WINDOW) // SHIFT)


def new_clips(names: Iterable[str], audio: Path, cache: Path) -> int:
    """How many clips `read_clips` would read: those that the cache lacks, or has of an older file."""
    known = _known(cache)
    return sum(_is_new(known, name, audio) for name in names)


def read_clips(names: Iterable[str], audio: Path, cache: Path) -> Clips:
    """Reads from the folder `audio` what the cache lacks, or has of an older file; lists broken clips."""
    cache.mkdir(parents=True, exist_ok=True)
    names = list(names)
    with FileLock(cache / "clips.lock"):
        cut_half_line(cache / "clips.jsonl")
        known = _known(cache)
        rows = _whole_rows(cache)
        new = [name for name in names if _is_new(known, name, audio)]
        with (
            (cache / "features.f16").open("ab") as features,
            (cache / "clips.jsonl").open("a", encoding="utf-8") as index,
            closing(_read_all([(name, audio / name) for name in new])) as read,
        ):
            features.truncate(rows * ROW)
            console = Console(stderr=True)
            progress = track(
                read,
                "reading clips",
                len(new),
                console=console,
                transient=True,
                disable=not console.is_terminal,
            )
            for line, data in progress:
                if data is not None:
                    features.write(data)
                    features.flush()
                    line = replace(line, row=rows)
                    rows += 1
                known[line.name] = line
                index.write(json_line(line.to_json()))
                index.flush()
    asked = [known[name] for name in names]
    broken = {line.name: line.error for line in asked if line.error is not None}
    stored = {
        line.name: StoredClip(line.row, line.frames, line.hash, line.crc)
        for line in asked
        if line.row is not None
    }
    if not rows:
        return Clips(stored, broken, np.zeros((0, FRAMES, MELS), np.float16))
    mapped: Float16 = np.memmap(cache / "features.f16", np.float16, "r", shape=(rows, FRAMES, MELS))
    return Clips(stored, broken, mapped)


def _known(cache: Path) -> dict[str, Line]:
    """Lines of the clips whose features are there: a copy of the cache may have been cut short."""
    rows = _whole_rows(cache)
    lines = read_lines(cache / "clips.jsonl")
    return {line.name: line for line in lines if line.row is None or line.row < rows}


def _whole_rows(cache: Path) -> int:
    listed = sum(line.row is not None for line in read_lines(cache / "clips.jsonl"))
    path = cache / "features.f16"
    return min(listed, path.stat().st_size // ROW) if path.is_file() else 0


def _is_new(known: Mapping[str, Line], name: str, audio: Path) -> bool:
    return name not in known or known[name].stamp != stamp(audio / name)


Read = tuple[Line, bytes | None]  # a clip's line without its row, float16[1024, 128]; None: it is broken


def _read_all(clips: Sequence[tuple[str, Path]]) -> Generator[Read, None, None]:
    """Names and files, in order; many clips are read by as many processes as there are cores."""
    workers = min(len(os.sched_getaffinity(0)), MOST_WORKERS) if hasattr(os, "sched_getaffinity") else 1
    if len(clips) < POOLED or workers < 2:
        yield from map(_read, clips)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))  # torch's threads forbid a fork
    try:
        yield from pool.map(_read, clips, chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)


def _read(named: tuple[str, Path]) -> Read:
    name, path = named
    line = Line(name, stamp(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that ten seconds are heard is said once, in the documentation
            clip = load_audio(path)
    except AudioError as error:
        return replace(line, error=str(error)), None
    data = clip.features().astype(np.float16).tobytes()
    return replace(line, frames=frames_of(clip), hash=clip.hash, crc=crc32(data)), data
