"""The files that one --output makes, each whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True)
class Files:
    """Where everything goes."""

    output: Path

    @property
    def progress(self) -> Path:
        return self.output.with_suffix(".db")

    @property
    def failed(self) -> Path:
        return self.output.with_suffix(".failed.jsonl")

    @property
    def leaks(self) -> Path:
        return self.output.with_suffix(".leaks.jsonl")

    @property
    def provenance(self) -> Path:
        return self.output.with_suffix(".provenance.json")


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A file that takes the path's place when all of it is written; one that stays empty leaves no file."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file
            empty = file.tell() == 0
        if empty:
            path.unlink(missing_ok=True)
        else:
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
