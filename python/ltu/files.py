"""Files, for everybody: SHA-256, writing whole files or none, JSON and JSON Lines."""

import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any, TextIO

from ltu.errors import Error
from ltu.text_files import checked, open_text, parse_json

BLOCK = 1 << 20  # bytes that are read at a time
KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def sha256(*paths: str | PathLike[str]) -> str:
    """Hex SHA-256 of the files' bytes, one file after the other. Raises OSError."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """Path of a draft in the same folder, which takes the place of `path` when the block ends.

    When the block raises, `path` is what it was and the draft is gone. A link stays and its target is
    replaced; a file that is replaced leaves its mode, a new one has the process's. Raises Error for a path
    that is no regular file or cannot be written, which is known before the block begins.
    """
    to, mode = target(Path(path))
    draft = to.with_name(f".{to.name[:40]}.{secrets.token_hex(8)}.part")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600))
        yield draft
        if mode is not None:
            draft.chmod(mode)
        draft.replace(to)
    except OSError as error:
        if _concerns(error, draft):
            raise unwritable(path, error) from error
        raise
    finally:
        with suppress(OSError):  # where nothing can be written, there is none
            draft.unlink(missing_ok=True)


@contextmanager
def replacing_text(path: str | PathLike[str]) -> Iterator[TextIO]:
    """`replacing`, as a text file in UTF-8 whose lines end with a newline on every system."""
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        yield file


def write_text(path: str | PathLike[str], text: str) -> None:
    """Writes the file whole or not at all. Raises Error."""
    with replacing_text(path) as file:
        file.write(text)


def write_json(path: str | PathLike[str], value: Any, indent: int | None = 1) -> None:
    """Writes one JSON document whole or not at all. Raises Error; ValueError for NaN, which JSON lacks."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False) + "\n")


def write_json_lines(path: str | PathLike[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a row a line, whole or not at all. Raises Error, and what `rows` raises."""
    with replacing_text(path) as file:
        file.writelines(map(json_line, rows))


def json_line(row: Mapping[str, Any]) -> str:
    """A row as a line of JSON Lines, with its newline."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def read_json_lines(
    path: str | PathLike[str],
    what: str = "a JSON object",
    refused: Callable[[Error], object] | None = None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number of the line, row) of each line that is not blank; a line ends at a newline alone.

    Raises Error that names file and line, and `what` a line should have been; with `refused` that gets the
    Error of a line, and the reading goes on.
    """
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = _row(line, f"{path}:{number}", what)
            except Error as error:
                if refused is None:
                    raise
                refused(error)
                continue
            yield number, row


def unwritable(path: str | PathLike[str], error: OSError) -> Error:
    """The line for an OSError met while `path` was being written."""
    folder = Path(path).parent
    if error.errno == errno.ENOENT and not folder.is_dir():
        return Error(f"{path}: there is no folder {folder}; make it, or give another path")
    if error.errno == errno.ENOSPC:
        return Error(f"{path}: cannot be written: {error.strerror}; free some space, or give another path")
    return Error(f"{path}: cannot be written: {error.strerror or error}; give another path")


def target(path: Path) -> tuple[Path, int | None]:
    """The file that a path leads to, links followed, and its mode if it exists.

    Raises Error for what is no file, or can't be written.
    """
    if str(path) == "-":
        raise Error("-: is not taken for standard output here; give the path of a file")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Path(os.path.realpath(path)), None
    except OSError as error:
        raise unwritable(path, error) from error
    if not stat.S_ISREG(mode):
        what = next((name for is_kind, name in KINDS if is_kind(mode)), "no regular file")
        raise Error(f"{path}: is {what}; give the path of a file")
    if not os.access(path, os.W_OK):
        raise Error(f"{path}: is write-protected; give another path, or remove it first")
    return Path(os.path.realpath(path)), stat.S_IMODE(mode)


def _concerns(error: OSError, draft: Path) -> bool:
    """Whether writing the draft failed, and not something else that the block does beside it."""
    return not isinstance(error, ConnectionError) and str(error.filename or draft) == str(draft)


def _row(line: str, where: str, what: str) -> dict[str, Any]:
    problem = f"{where}: is not {what}"
    row = parse_json(checked(line, where).removeprefix("\ufeff"), problem)  # of files put together
    if not isinstance(row, dict):
        raise Error(f"{problem}: it is no JSON object, {{…}}")
    return row
