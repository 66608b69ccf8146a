"""The provider's batch files: requests written, results read. They cost less and take up to a day."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ltu.errors import Error

from .checks import Verdict
from .completion import Reply, judge, read_completion, request
from .progress import PAGE, Progress
from .question import Question

MOST_REQUESTS = 30_000  # of one file; the provider takes 200 MB, and two refused answers make one 6 kB
URL = "/v1/chat/completions"


def write_requests(
    progress: Progress, folder: Path, model: str, seed: int, most: int = MOST_REQUESTS
) -> list[tuple[Path, int]]:
    """Writes every pending question, once, to files of `most` requests; gives (file, requests).

    Until a file's results are read its items are not asked again in any way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    requests = ((question, request(question, model, seed)) for question in progress.pending())
    number = progress.batches()
    while bodies := list(islice(requests, most)):
        number += 1
        name = f"requests-{number:03}"
        part = folder / f"{name}.part"
        with part.open("w", encoding="utf-8") as file:
            for question, body in bodies:
                id = f"{name}:{question.number}:{len(question.refused) + 1}"
                row = {"custom_id": id, "method": "POST", "url": URL, "body": body}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        os.replace(part, folder / f"{name}.jsonl")
        progress.put_in_batch(number, name, (question.number for question, _ in bodies))
        written.append((folder / f"{name}.jsonl", len(bodies)))
    return written


@dataclass
class Read:
    """`accepted` and `refused` answers; `errors` are requests that the provider did not answer."""

    accepted: int = 0
    refused: int = 0
    errors: int = 0
    known: int = 0  # answers that were read before


def read_results(progress: Progress, file: Path) -> Read:
    """Reads an output or error file of the provider; reading one twice changes nothing. Raises Error."""
    read = Read()
    answered: dict[int, tuple[Question, Reply, Verdict]] = {}
    with file.open(encoding="utf-8") as lines:
        for batch, number, attempt, body in _results(file, lines):
            question = None if number in answered else progress.question(number)
            if question is None or len(question.refused) != attempt - 1:
                read.known += 1
            elif body is None:
                read.errors += progress.take_from_batch(batch, number)
            else:
                reply = read_completion(body)
                verdict = judge(question, reply)
                read.accepted += bool(verdict.prompt)
                read.refused += not verdict.prompt
                answered[number] = (question, reply, verdict)
            if len(answered) == PAGE:
                progress.record(answered.values())
                answered.clear()
    progress.record(answered.values())
    return read


def _results(file: Path, lines: Iterable[str]) -> Iterator[tuple[str, int, int, Any]]:
    """(batch, item, attempt, the completion's body or None)."""
    for place, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            batch, item, attempt = row["custom_id"].split(":")
            response = row.get("response") or {}
            body = response.get("body") if response.get("status_code") == 200 else None
            yield batch, int(item), int(attempt), body
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Error(f"{file}:{place}: is no line of a batch's results") from None
