"""Accepted prompts → rows in the source's order; beside them what failed, what leaks, where it is from."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO, TypeVar

from ltu.errors import Error
from ltu.files import json_line, sha256, write_json
from ltu.training.reformulate.files import Files, rows_file
from ltu.training.reformulate.leaks import leaked
from ltu.training.reformulate.openaqa import Item, read_openaqa
from ltu.training.reformulate.progress import Done, Progress
from ltu.training.reformulate.quality import Quality

LISTED = 100  # failures and leaks in the page; the files beside the output have all
Row = TypeVar("Row", "Failed", "Leak")


@dataclass(frozen=True)
class Failed:
    """An item that got no prompt; `problem` says what was wrong with the last of its answers."""

    item: Item
    problem: str
    answers: int

    def to_json(self) -> dict[str, object]:
        row = {**self.item.row, "problem": self.problem, "answers": self.answers}
        return {"item": self.item.number, **row}


@dataclass(frozen=True)
class Leak:
    """A prompt that asks about terms of SHARD."""

    item: int
    audio_id: str
    terms: list[str]
    instruction: str
    original: str

    def to_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass
class Written:
    rows: int = 0
    failed: int = 0
    leaks: int = 0
    leaked_terms: Counter[str] = field(default_factory=Counter)
    failures_listed: list[Failed] = field(default_factory=list)
    leaks_listed: list[Leak] = field(default_factory=list)


def write(
    source: Path, progress: Progress, files: Files, provenance: Mapping[str, object], quality: Quality
) -> Written:
    """One more pass over the source. Raises Error if it is not what it was at the beginning."""
    written = Written()
    with (
        rows_file(files.output) as rows,
        rows_file(files.failed) as failures,
        rows_file(files.leaks) as leaks,
    ):
        for item, done in _joined(source, progress):
            if done.prompt is None:
                _list(failures, Failed(item, done.problem, done.attempts), written.failures_listed)
                written.failed += 1
                continue
            _write_row(rows, item, done.prompt)
            written.rows += 1
            assert item.kind
            quality.add(item.kind, item, done.prompt)
            if terms := leaked(done.prompt):
                leak = Leak(item.number, item.row["audio_id"], terms, done.prompt, item.instruction)
                _list(leaks, leak, written.leaks_listed)
                written.leaks += 1
                written.leaked_terms.update(terms)
    counts = {"rows": written.rows, "failed": written.failed, "leaks": written.leaks}
    hash = sha256(files.output) if files.output.exists() else ""
    about = {"output": files.output.name, "sha256": hash}
    write_json(files.provenance, {**provenance, **counts, **about}, indent=2)
    return written


def _joined(source: Path, progress: Progress) -> Iterator[tuple[Item, Done]]:
    """Each item of the progress file with its row in the source."""
    items = read_openaqa(source)
    for done in progress.done():
        item = next((item for item in items if item.number == done.number), None)
        if item is None or item.digest != done.digest:
            raise Error(
                f"{source}: item {done.number} is not what it was when {progress.path} was begun; "
                "bring the old file back, or give another --output"
            )
        yield item, done


def _write_row(file: TextIO, item: Item, prompt: str) -> None:
    line = json_line({**item.row, "instruction": prompt})
    read_back = json.loads(line)
    if {**read_back, "instruction": item.instruction} != item.row or read_back["instruction"] != prompt:
        raise Error(f"{file.name}: item {item.number} would not keep its audio id and answer")
    file.write(line)


def _list(file: TextIO, row: Row, listed: list[Row]) -> None:
    file.write(json_line(row.to_json()))
    if len(listed) < LISTED:
        listed.append(row)
