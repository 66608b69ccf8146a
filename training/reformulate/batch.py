"""The provider's batch files: requests written, results read. They cost less and take up to a day."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ltu.errors import Error
from ltu.files import json_line, read_json_lines, replacing_text
from ltu.training.reformulate.checks import Verdict
from ltu.training.reformulate.completion import Reply, judge, read_completion, request
from ltu.training.reformulate.progress import PAGE, Progress
from ltu.training.reformulate.question import Question

MOST_REQUESTS = 30_000  # in one file; the provider takes 200 MB, and two refused answers make one 6 kB
URL = "/v1/chat/completions"
RESULT = "a line of a batch's results"


def write_requests(progress: Progress, folder: Path, model: str, seed: int) -> list[tuple[Path, int]]:
    """Writes every pending question, once, to files of MOST_REQUESTS at most; gives (file, requests).

    Until a file's results are read its items are not asked again in any way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    pending = progress.pending()
    while first := next(pending, None):
        number = progress.batches() + 1
        name = f"{progress.path.stem}-{number:03}"
        items = []
        with replacing_text(folder / f"{name}.jsonl") as file:
            for question in chain([first], islice(pending, MOST_REQUESTS - 1)):
                id = f"{name}:{question.number}:{len(question.refused) + 1}"
                row = {"custom_id": id, "method": "POST", "url": URL, "body": request(question, model, seed)}
                file.write(json_line(row))
                items.append(question.number)
        progress.put_in_batch(number, name, items)
        written.append((folder / f"{name}.jsonl", len(items)))
    return written


@dataclass
class Read:
    """`accepted` and `refused` answers; `errors` are requests that the provider did not answer."""

    accepted: int = 0
    refused: int = 0
    errors: int = 0
    known: int = 0  # answers that were read before

    def __str__(self) -> str:
        return (
            f"{self.accepted} answers accepted, {self.refused} refused, {self.errors} errors, "
            f"{self.known} read before"
        )


def read_results(progress: Progress, file: Path) -> Read:
    """Reads an output or error file of the provider; reading one twice changes nothing. Raises Error."""
    read = Read()
    answered: dict[int, tuple[Question, Reply, Verdict]] = {}
    for batch, number, attempt, body in _results(file):
        if not progress.wrote(batch):
            raise Error(f"{file}: answers {batch}, a batch file that {progress.path} knows nothing of")
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


def _results(file: Path) -> Iterator[tuple[str, int, int, Any]]:
    """(batch, item, attempt, the completion's body or None)."""
    for place, row in read_json_lines(file, RESULT):
        try:
            batch, item, attempt = row["custom_id"].rsplit(":", 2)
            response = row.get("response") or {}
            body = response.get("body") if response.get("status_code") == 200 else None
            yield batch, int(item), int(attempt), body
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Error(f"{file}:{place}: is not {RESULT}") from None
