"""Clips read once: their features lie in one file that only grows, whoever asks for them next.

`features.f16` holds float16[1024, 128] per clip, `clips.jsonl` a line for each clip that was read, a broken
one with the reason. A clip's line is written after its features: a kill loses at most the clip being read.
"""

import json
import os
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from rich.console import Console
from rich.progress import track

from ltu.audio import SHIFT, WINDOW, Clip, load_audio
from ltu.defaults import FRAMES, MELS
from ltu.errors import AudioError
from ltu.files import json_line

ROW = FRAMES * MELS * 2  # bytes
POOLED = 64  # clips from which on reading them is worth several processes
MOST_WORKERS = 16
Float16 = npt.NDArray[np.float16]


@dataclass(frozen=True)
class StoredClip:
    row: int
    frames: int  # of sound; the rest is padding
    hash: str


@dataclass(frozen=True)
class Clips:
    """The clips that were asked for, by name; the broken ones' reasons; float16[rows, 1024, 128], mapped."""

    stored: Mapping[str, StoredClip]
    broken: Mapping[str, str]
    features: Float16

    @property
    def bytes(self) -> int:
        return len(self.stored) * ROW


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
        _cut_half_line(cache / "clips.jsonl")
        known = _known(cache)
        rows = _whole_rows(cache)
        new = [name for name in names if _is_new(known, name, audio)]
        with (
            (cache / "features.f16").open("ab") as features,
            (cache / "clips.jsonl").open("a", encoding="utf-8") as index,
            closing(_read_all([audio / name for name in new])) as read,
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
            for name, (line, data) in zip(new, progress, strict=True):
                if data is not None:
                    features.write(data)
                    features.flush()
                    line["row"] = rows
                    rows += 1
                known[name] = {"name": name, **line}
                index.write(json_line(known[name]))
                index.flush()
    broken = {name: known[name]["error"] for name in names if "error" in known[name]}
    stored = {
        name: StoredClip(line["row"], line["frames"], line["hash"])
        for name in names
        if "row" in (line := known[name])
    }
    if not rows:
        return Clips(stored, broken, np.zeros((0, FRAMES, MELS), np.float16))
    mapped: Float16 = np.memmap(cache / "features.f16", np.float16, "r", shape=(rows, FRAMES, MELS))
    return Clips(stored, broken, mapped)


def _known(cache: Path) -> dict[str, dict[str, Any]]:
    """Lines of the clips whose features are there: a copy of the cache may have been cut short."""
    rows = _whole_rows(cache)
    return {line["name"]: line for line in _lines(cache / "clips.jsonl") if line.get("row", -1) < rows}


def _whole_rows(cache: Path) -> int:
    listed = sum("row" in line for line in _lines(cache / "clips.jsonl"))
    path = cache / "features.f16"
    return min(listed, path.stat().st_size // ROW) if path.is_file() else 0


def _is_new(known: Mapping[str, Mapping[str, Any]], name: str, audio: Path) -> bool:
    return name not in known or known[name]["stamp"] != _stamp(audio / name)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The file's whole lines; a kill, or a process that is writing, may leave half a line at the end."""
    if path.is_file():
        with path.open("rb") as file:
            yield from (json.loads(line) for line in file if line.endswith(b"\n"))


def _cut_half_line(path: Path) -> None:
    if path.is_file():
        data = path.read_bytes()
        os.truncate(path, data.rfind(b"\n") + 1)


def _stamp(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _read_all(paths: Sequence[Path]) -> Generator[tuple[dict[str, Any], bytes | None], None, None]:
    """Each clip's line for the index and its features, in order; many clips are read by as many processes
    as there are cores."""
    workers = min(len(os.sched_getaffinity(0)), MOST_WORKERS) if hasattr(os, "sched_getaffinity") else 1
    if len(paths) < POOLED or workers < 2:
        yield from map(_read, paths)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))  # torch's threads forbid a fork
    try:
        yield from pool.map(_read, paths, chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)


def _read(path: Path) -> tuple[dict[str, Any], bytes | None]:
    """The clip's line without its row, and float16[1024, 128] as bytes; None for a broken clip."""
    stamp = _stamp(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that ten seconds are heard is said once, in the documentation
            clip = load_audio(path)
    except AudioError as error:
        return {"stamp": stamp, "error": str(error)}, None
    line = {"stamp": stamp, "frames": frames_of(clip), "hash": clip.hash}
    return line, clip.features().astype(np.float16).tobytes()
