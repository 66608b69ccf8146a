"""`clips.jsonl`: what is known of each clip that was read, a line each; the last of a name counts."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
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
    """The file's whole lines; a kill, or a process that is writing, may leave half a line at the end."""
    if path.is_file():
        with path.open("rb") as file:
            yield from (Line.from_json(json.loads(line)) for line in file if line.endswith(b"\n"))


def cut_half_line(path: Path) -> None:
    if path.is_file():
        data = path.read_bytes()
        os.truncate(path, data.rfind(b"\n") + 1)


def stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns)
