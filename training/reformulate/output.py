"""Accepted prompts → rows in the source's order; beside them what failed, what leaks, where it is from."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ltu.errors import Error
from ltu.files import json_line, sha256, write_json
from ltu.training.reformulate.files import Files, rows_file
from ltu.training.reformulate.leaks import leaked
from ltu.training.reformulate.openaqa import Item, read_openaqa
from ltu.training.reformulate.progress import Done, Progress
from ltu.training.reformulate.quality import Quality

LISTED = 100  # failures and leaks in the page; the files beside the output have all


@dataclass
class Written:
    rows: int = 0
    failed: int = 0
    leaks: int = 0
    leaked_terms: Counter[str] = field(default_factory=Counter)
    failures_listed: list[dict[str, Any]] = field(default_factory=list)
    leaks_listed: list[dict[str, Any]] = field(default_factory=list)


def write(
    source: Path, progress: Progress, files: Files, provenance: Mapping[str, Any], quality: Quality
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
                row = {**item.row, "problem": done.problem, "answers": done.attempts}
                _list(failures, {"item": item.number, **row}, written.failures_listed)
                written.failed += 1
                continue
            _write_row(rows, item, done.prompt)
            written.rows += 1
            assert item.kind
            quality.add(item.kind, item, done.prompt)
            if terms := leaked(done.prompt):
                about = {"item": item.number, "audio_id": item.row["audio_id"], "terms": terms}
                texts = {"instruction": done.prompt, "original": item.instruction}
                _list(leaks, {**about, **texts}, written.leaks_listed)
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


def _list(file: TextIO, row: dict[str, Any], listed: list[dict[str, Any]]) -> None:
    file.write(json_line(row))
    if len(listed) < LISTED:
        listed.append(row)
