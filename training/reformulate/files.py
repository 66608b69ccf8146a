"""The files that one --output makes, each whole or not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ltu.files import replacing_text


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
def rows_file(path: Path) -> Iterator[TextIO]:
    """A file that takes the path's place when all of it is written; without a row there is none."""
    with replacing_text(path) as file:
        yield file
    if not path.stat().st_size:
        path.unlink()
