"""Clips read once: their features lie in one file that only grows, whoever asks for them next.

`features.f16` holds float16[1024, 128] per clip, `clips.jsonl` a line for each clip that was read, a broken
one with the reason. A clip's line is written after its features: a kill loses at most the clip being read.
"""

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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


def read_clips(names: Iterable[str], audio: Path, cache: Path) -> Clips:
    """Reads from the folder `audio` what the cache lacks, or has of an older file; lists broken clips."""
    cache.mkdir(parents=True, exist_ok=True)
    stored: dict[str, StoredClip] = {}
    broken: dict[str, str] = {}
    with FileLock(cache / "clips.lock"):
        known = {line["name"]: line for line in _lines(cache / "clips.jsonl")}
        rows = sum("row" in line for line in _lines(cache / "clips.jsonl"))
        with (
            (cache / "features.f16").open("ab") as features,
            (cache / "clips.jsonl").open("a", encoding="utf-8") as index,
        ):
            features.truncate(rows * ROW)
            console = Console(stderr=True)
            for name in track(list(names), "reading clips", console=console, transient=True):
                line = known.get(name)
                stamp = _stamp(audio / name)
                if line is None or line["stamp"] != stamp:
                    line = {"name": name, "stamp": stamp, **_read(audio / name, rows, features)}
                    features.flush()
                    index.write(json_line(line))
                    index.flush()
                    rows += "row" in line
                if "row" in line:
                    stored[name] = StoredClip(line["row"], line["frames"], line["hash"])
                else:
                    broken[name] = line["error"]
    if not rows:
        return Clips(stored, broken, np.zeros((0, FRAMES, MELS), np.float16))
    mapped: Float16 = np.memmap(cache / "features.f16", np.float16, "r", shape=(rows, FRAMES, MELS))
    return Clips(stored, broken, mapped)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The file's whole lines; half a last line, which a kill left, is cut off."""
    if not path.is_file():
        return
    with path.open("r+b") as file:
        whole = 0
        for line in file:
            if not line.endswith(b"\n"):
                file.truncate(whole)
                return
            whole += len(line)
            yield json.loads(line)


def _stamp(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _read(path: Path, row: int, features: Any) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that ten seconds are heard is said once, in the documentation
            clip = load_audio(path)
    except AudioError as error:
        return {"error": str(error)}
    features.write(clip.features().astype(np.float16).tobytes())
    return {"row": row, "frames": frames_of(clip), "hash": clip.hash}
