"""labels.csv, which says what each recording holds, as people and their spreadsheets save it.

Read are UTF-8 with and without a byte order mark, UTF-16, Windows-1252; commas, semicolons and tabs; columns
and classes in any case and with any spaces. What cannot be used is left out and named, never passed over.
"""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltu.errors import Error

NAME = "labels.csv"
DELIMITERS = ",;\t"
SHOWN = 5  # labels and rows of one kind that are named; more are counted

Say = Callable[[str], None]


@dataclass(frozen=True)
class Labelled:
    """One row: a file below the table's folder; `source` is the recording that it was cut from."""

    file: str
    label: str
    fold: int
    source: str


def read_labels(
    folder: Path,
    classes: Iterable[str] | None = None,
    columns: Sequence[str] = ("file", "fold", "label", "source"),
    say: Say = lambda note: None,
) -> list[Labelled]:
    """The rows of a folder's labels.csv, each file once; `say` is told, a line each, what was left out.

    With `classes` a label is spelt as there, and rows of other labels are left out. `columns` are those that
    the table must have. Raises Error for a table that is not there, cannot be read or lacks one of them.
    """
    table = folder / NAME
    if not table.is_file():
        raise Error(f"{table}: no such file; give the ESC-10 folder with labels.csv")
    header, lines = _cells(table, _text(table, say))
    places = _columns(table, header, columns)
    spelling = {name.casefold(): name for name in classes or ()}
    left_out = _LeftOut(table, say)
    found: dict[str, list[Labelled]] = {}
    for number, cells in lines:
        cell = {name: cells[place] if place < len(cells) else "" for name, place in places.items()}
        if problem := _problem(cell, columns, any(cells[len(header) :])):
            left_out.add(problem, f"line {number}")
            continue
        label = " ".join(cell["label"].split())
        if classes is not None and label.casefold() not in spelling:
            left_out.add("of another class", label)
            continue
        label = spelling.setdefault(label.casefold(), label)
        row = Labelled(cell["file"], label, _fold(cell.get("fold", "")) or 0, cell.get("source", ""))
        found.setdefault(row.file, []).append(row)
    for file, rows in found.items():
        if len(set(rows)) > 1:
            left_out.add("listed twice and not alike", file)
        elif len(rows) > 1:
            left_out.add("listed more than once, taken once", file)
    left_out.tell()
    return [rows[0] for rows in found.values() if len(set(rows)) == 1]


class _LeftOut:
    """What a table holds that nobody can use, by kind."""

    def __init__(self, table: Path, say: Say) -> None:
        self._table, self._say = table, say
        self._found: dict[str, Counter[str]] = {}

    def add(self, kind: str, what: str) -> None:
        self._found.setdefault(kind, Counter())[what] += 1

    def tell(self) -> None:
        for kind, found in self._found.items():
            names = [what if count == 1 else f"{what} ({count})" for what, count in found.items()]
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            self._say(f"{self._table}: left out, {kind}: {', '.join(names[:SHOWN])}{more}")


def _text(table: Path, say: Say) -> str:
    try:
        data = table.read_bytes()
    except OSError as error:
        raise Error(f"{table}: cannot be read: {error.strerror}; check the path") from error
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data:
        raise Error(f"{table}: is no table of text; save it as CSV in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        say(f"{table}: is not UTF-8; it was read as Windows-1252")
        return data.decode("cp1252", errors="replace")


def _cells(table: Path, text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header's cells, and (number of the line, cells) of each line below it that is not blank."""
    lines = io.StringIO(text, newline="").readlines()
    start = next((at for at, line in enumerate(lines) if line.strip() and not _is_excels(line)), 0)
    delimiter = max(DELIMITERS, key=lines[start].count) if lines else ","
    reader = csv.reader(lines[start:], delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [(start + reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        raise Error(f"{table}:{start + reader.line_num}: is not a line of CSV: {error}") from None
    return (rows[0][1], rows[1:]) if rows else ([], [])


def _is_excels(line: str) -> bool:
    """ "sep=;", which Excel takes before the header."""
    return line.casefold().startswith("sep=")


def _columns(table: Path, header: Sequence[str], needed: Sequence[str]) -> dict[str, int]:
    """Where each column stands."""
    names = {name.casefold(): place for place, name in reversed(list(enumerate(header)))}
    if missing := sorted(set(needed) - set(names)):
        have = f"; it has {', '.join(name for name in header if name)}" if any(header) else "; it is empty"
        raise Error(f"{table}: lacks the columns {', '.join(missing)}{have}")
    return names


def _problem(cell: Mapping[str, str], columns: Sequence[str], too_wide: bool) -> str:
    """Why a row is of no use; "" if it is."""
    if not any(cell.values()):
        return "empty"
    if too_wide:
        return "with more cells than the header"
    if empty := [name for name in columns if not cell[name]]:
        return f"without {' and '.join(empty)}"
    if "fold" in columns and _fold(cell["fold"]) is None:
        return "with a fold that is no whole number"
    return ""


def _fold(text: str) -> int | None:
    """A spreadsheet may write 4 as 4.0 or 4,0."""
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
