"""`clips.jsonl`: what is known of each clip that was read, a line each; the last of a name counts."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import takewhile
from pathlib import Path
from typing import Any

Stamp = tuple[int, int]  # a file's bytes and the nanosecond of its last change


@dataclass(frozen=True)
class Line:
    """A clip: `error` says why it can't be read; else its features lie in `row`, whose `crc` is CRC-32."""

    name: str
    stamp: Stamp | None  # None: there was no file
    frames: int = 0  # of sound
    hash: str = ""
    crc: int | None = None
    row: int | None = None
    error: str | None = None

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> "Line":
        seen = line["stamp"]
        return cls(**{**line, "stamp": (seen[0], seen[1]) if seen else None})

    def to_json(self) -> dict[str, object]:
        """Without what is not known."""
        values = ((field, getattr(self, field.name)) for field in fields(self))
        return {field.name: value for field, value in values if value != field.default}


def read_lines(path: Path) -> Iterator[Line]:
    """The file's lines up to the first that is damaged, or half: a kill may leave one, and whoever writes."""
    if path.is_file():
        with path.open("rb") as file:
            for data in file:
                line = _line(data)
                if line is None:
                    return
                yield line


def _line(data: bytes) -> Line | None:
    try:
        return Line.from_json(json.loads(data)) if data.endswith(b"\n") else None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None


def cut_half_line(path: Path) -> None:
    """Cuts the file behind the last line that `read_lines` reads."""
    if path.is_file():
        with path.open("rb") as file:
            whole = sum(map(len, takewhile(_line, file)))
        os.truncate(path, whole)


def stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns)
