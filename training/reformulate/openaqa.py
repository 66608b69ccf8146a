"""OpenAQA: one JSON list of questions about clips, read item by item."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ltu.errors import Error
from ltu.training.json_list import read_json_list

Kind = Literal["label", "acoustic", "open"]
KINDS: tuple[Kind, ...] = ("label", "acoustic", "open")
FIELDS = ("instruction", "audio_id", "dataset", "task", "output")
OPEN_TASK = "open-ended question"
FORMS: dict[str, Kind] = {"labels with acoustic features:": "acoustic", "labels:": "label"}  # Tables 7 and 8


@dataclass(frozen=True)
class Item:
    """One question; `number` is its place in the file, from 1, and `row` all that stands there."""

    number: int
    row: dict[str, Any]

    @property
    def instruction(self) -> str:
        return str(self.row["instruction"])

    @property
    def dataset(self) -> str:
        return str(self.row["dataset"])

    @property
    def kind(self) -> Kind | None:
        """None: neither a classification nor an open question (captions, for instance)."""
        if self.row["task"].strip().lower() == OPEN_TASK:
            return "open"
        answer = self.row["output"].lstrip().lower()
        return next((kind for form, kind in FORMS.items() if answer.startswith(form)), None)

    @property
    def digest(self) -> str:
        """The same for the same fields and values."""
        return hashlib.sha256(json.dumps(self.row, sort_keys=True).encode()).hexdigest()[:32]


def read_openaqa(path: Path) -> Iterator[Item]:
    """Yields the items; memory holds a chunk of the file and one item. Raises Error naming the item."""
    number = 0
    try:
        for number, row in enumerate(read_json_list(path), 1):
            yield Item(number, _checked(row))
    except ValueError as error:  # not JSON, not UTF-8, not an item
        problem = error.msg if isinstance(error, json.JSONDecodeError) else error
        where = f"item {number + (not isinstance(error, _ItemError))}"
        raise Error(f"{path}: {where} cannot be read ({problem}); OpenAQA's JSON list is needed") from None


class _ItemError(ValueError):
    pass


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    for field in FIELDS:
        if not isinstance(row.get(field), str):
            raise _ItemError(f"{field} is {'no text' if field in row else 'missing'}")
    return row
