"""Text files as people save them: what is meant is read, or file, line and encoding are named.

UTF-8 with and without a byte order mark, UTF-16 and UTF-32 with theirs, and any of them compressed with gzip.
A line ends at a newline alone: U+2028 and U+0085 stand in names.
"""

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any, TextIO

from ltu.errors import Error

PathName = str | PathLike[str]
Say = Callable[[str], None]

GZIP = b"\x1f\x8b"
UTF8 = "utf-8-sig"
MARKS = (  # UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
FOREIGN = (  # first bytes of what is mistaken for a text file
    (b"version https://git-lfs", "is a Git LFS pointer, not the file; fetch it with git lfs pull"),
    (b"<!doctype", "is a web page, not the file; download it again"),
    (b"<html", "is a web page, not the file; download it again"),
    (b"pk\x03\x04", "is a zip archive or a spreadsheet; unpack it, or save it as text in UTF-8"),
    (b"sqlite format 3\0", "is a database (SQLite), not text; give another file"),
)
HEAD = 512  # bytes that tell
DELIMITERS = ",;\t"


@contextmanager
def open_text(path: PathName, error: type[Error] = Error) -> Iterator[TextIO]:
    """The file's text; bytes that are no UTF-8 are lone surrogates in it (`checked` names them).

    Raises `error` for what can't be opened, or is no text; what a block reads may raise it later.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115
    except (OSError, ValueError) as problem:
        raise _unread(path, problem, error) from None
    with file:
        try:
            packed = file.peek(2).startswith(GZIP)
            plain = io.BufferedReader(gzip.GzipFile(fileobj=file)) if packed else file
            head = plain.peek(HEAD)[:HEAD]
            encoding = next((name for mark, name in MARKS if head.startswith(mark)), UTF8)
            if other := _no_text(head, encoding):
                raise error(f"{path}: {other}")
            errors = "surrogateescape" if encoding == UTF8 else "replace"
            with io.TextIOWrapper(plain, encoding, errors, newline="\n") as text:
                yield text
        except (OSError, EOFError, zlib.error) as problem:
            raise _unread(path, problem, error) from None


def _unread(path: PathName, problem: Exception, error: type[Error]) -> Error:
    return error(f"{path}: cannot be read: {getattr(problem, 'strerror', None) or problem}; check the path")


def foreign(head: bytes) -> str | None:
    """What a file is by its first bytes that is mistaken for others, and what to do; None for all others."""
    start = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    return next((what for mark, what in FOREIGN if start.startswith(mark)), None)


def _no_text(head: bytes, encoding: str) -> str | None:
    named = foreign(head)
    if named is None and encoding == UTF8 and b"\0" in head:
        return "is not text in UTF-8: it holds NUL; save it as UTF-8"
    return named


def checked(line: str, where: str, error: type[Error] = Error) -> str:
    """The text itself. Raises `error` where bytes in it were no UTF-8."""
    try:
        line.encode()
    except UnicodeEncodeError as problem:
        byte = f"it has the byte {ord(line[problem.start]) - 0xDC00:#04x}"
        raise error(f"{where}: is not UTF-8 text ({byte}); save the file as UTF-8") from None
    return line


def read_text(path: PathName, error: type[Error] = Error, say: Say | None = None) -> str:
    """A whole file. With `say`, what is not UTF-8 is read as Windows-1252, and that is told.

    Raises `error` naming file, line and encoding.
    """
    with open_text(path, error) as file:
        text = file.read()
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        if say is None:
            line = text.count("\n", 0, problem.start) + 1
            checked(text[problem.start], f"{path}:{line}", error)
        else:
            say(f"{path}: is not UTF-8; it was read as Windows-1252")
            return text.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return text


def parse_json(text: str, where: str, error: type[Error] = Error) -> Any:
    """One JSON value. Raises `error`, also for halves of characters, which no file or model can take."""
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as problem:
        half = ord(problem.object[problem.start])
        raise error(f"{where}: it holds half a character, \\u{half:04x}") from None
    except RecursionError:
        raise error(f"{where}: it is nested too deeply") from None
    except ValueError as problem:
        raise error(f"{where}: {problem}") from None
    return value


def read_json(path: PathName, error: type[Error] = Error) -> dict[str, Any]:
    """A file that holds one JSON object. Raises `error`."""
    value = parse_json(read_text(path, error), f"{path}: is no JSON", error)
    if not isinstance(value, dict):
        raise error(f"{path}: is no JSON object, {{…}}")
    return value


def read_cells(
    path: PathName, say: Say | None = None, delimiter: str | None = None, comment: str | None = None
) -> Iterator[tuple[int, list[str]]]:
    """(number of the line, cells without spaces around them) of each line of a CSV file that is not blank.

    A delimiter that is not given is the one of DELIMITERS that the first line has most of. Lines that begin
    with `comment` are passed over. Raises Error naming the line for a quotation mark without another.
    """
    lines = io.StringIO(read_text(path, say=say), newline="").readlines()
    start = next((at for at, line in enumerate(lines) if line.strip() and not _is_excels(line)), 0)
    if lines and delimiter is None:
        delimiter = max(DELIMITERS, key=lines[start].count)
    kept = (line if not comment or not line.startswith(comment) else "\n" for line in lines[start:])
    reader = csv.reader(kept, delimiter=delimiter or ",", skipinitialspace=True, strict=True)
    before = start
    try:
        for cells in reader:
            if cells:
                yield before + 1, [cell.strip() for cell in cells]
            before = start + reader.line_num
    except csv.Error as error:
        raise Error(f"{path}:{before + 1}: is not a line of CSV: {_csv_problem(error)}") from None


def read_table(
    path: PathName, columns: Sequence[str], say: Say | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """(number of the line, column → cell) of each line below the header; columns in lower case.

    A row may be shorter than the header; what stands beyond it is the cell "". Raises Error for a table that
    lacks one of `columns`, or is none.
    """
    rows = read_cells(path, say)
    header = next(rows, (0, []))[1]
    places = {name.casefold(): place for place, name in reversed(list(enumerate(header))) if name}
    if missing := sorted(set(columns) - set(places)):
        have = f"; it has {', '.join(name for name in header if name)}" if any(header) else "; it is empty"
        raise Error(f"{path}: lacks the columns {', '.join(missing)}{have}")
    for number, cells in rows:
        row = {name: cells[place] if place < len(cells) else "" for name, place in places.items()}
        yield number, row | {"": ",".join(filter(None, cells[len(header) :]))}


def _is_excels(line: str) -> bool:
    """ "sep=;", which Excel takes before the header."""
    return line.casefold().startswith("sep=")


def _csv_problem(error: csv.Error) -> str:
    ends = "unexpected end of data" in str(error) or "expected after" in str(error)
    return 'a quotation mark (") has no other' if ends else str(error)
