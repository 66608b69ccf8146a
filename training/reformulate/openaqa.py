"""OpenAQA: one JSON list of questions about clips, read item by item."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from ltu.errors import Error

Kind = Literal["label", "acoustic", "open"]
KINDS: tuple[Kind, ...] = ("label", "acoustic", "open")
FIELDS = ("instruction", "audio_id", "dataset", "task", "output")
OPEN_TASK = "open-ended question"
FORMS: dict[str, Kind] = {"labels with acoustic features:": "acoustic", "labels:": "label"}  # Tables 7 and 8
CHUNK = 1 << 20  # characters that are read at a time
LONGEST = 1 << 22  # characters of one item; more is a broken file, which must not fill the memory
SPACE = re.compile(r"[ \t\n\r]*")


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
        with path.open(encoding="utf-8-sig") as file:
            for number, row in enumerate(_elements(_Scanner(file)), 1):
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


class _Scanner:
    """JSON text with a place in it; more is read as the place comes to the end."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._at = file, "", 0
        self._decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """The next character that is not white space; "" at the end."""
        while True:
            space = SPACE.match(self._text, self._at)
            assert space
            self._at = space.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, wanted: str) -> bool:
        """Steps over a character if it is the next."""
        found = self.peek() == wanted
        self._at += found
        return found

    def object(self) -> dict[str, Any]:
        if self.peek() != "{":
            raise ValueError("no object" if self.peek() else "the file ends too early")
        while True:
            try:
                value, self._at = self._decode(self._text, self._at)
                return value  # type: ignore[no-any-return]
            except json.JSONDecodeError:
                if len(self._text) - self._at > LONGEST:
                    raise
                if not self._more():  # cut short, or not JSON from the start: Python's message says which
                    raise

    def _more(self) -> bool:
        chunk = self._file.read(CHUNK)
        self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)


def _elements(scanner: _Scanner) -> Iterator[dict[str, Any]]:
    if not scanner.take("["):
        raise ValueError("the file is no JSON list")
    if not scanner.take("]"):
        yield scanner.object()
        while scanner.take(","):
            yield scanner.object()
        if not scanner.take("]"):
            raise ValueError("no comma before it" if scanner.peek() else "the file ends too early")
    if scanner.peek():
        raise ValueError("text after the end of the list")
