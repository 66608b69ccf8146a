"""One JSON list of objects, read object by object: memory holds a chunk of the file and one object."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from ltu.text_files import open_text

CHUNK = 1 << 20  # characters that are read at a time
LONGEST = 1 << 22  # characters of one item; more is a broken file, which must not fill the memory
LONGEST_NUMBER = 1000  # digits; Python writes no more than 4300
SPACE = re.compile(r"[ \t\n\r]*")


def is_json_list(path: Path) -> bool:
    """Whether the file's first character is a list's. Raises Error."""
    with open_text(path) as file:
        return file.read(1024).lstrip()[:1] == "["


def read_json_list(path: Path) -> Iterator[dict[str, Any]]:
    """The list's objects in turn. Raises ValueError where the file is not such a list; Error."""
    with open_text(path) as file:
        yield from _elements(_Scanner(file))


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    return int(digits)


def _no_number(name: str) -> float:
    raise ValueError(f"it holds {name}, which is not JSON")


class _Scanner:
    """JSON text with a place in it; more is read as the place comes to the end."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._at = file, "", 0
        self._decode = json.JSONDecoder(parse_int=_integer, parse_constant=_no_number).raw_decode

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
            except RecursionError:
                raise ValueError("it is nested too deeply") from None
            except json.JSONDecodeError:
                if len(self._text) - self._at > LONGEST:
                    raise
                if not self._more():  # cut short, or not JSON from the start: Python's message says which
                    raise

    def _more(self) -> bool:
        chunk = self._file.read(CHUNK)
        try:
            chunk.encode()
        except UnicodeEncodeError:
            raise ValueError("it is not UTF-8 text; save the file as UTF-8") from None
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
