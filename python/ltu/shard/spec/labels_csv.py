"""labels.csv, which says what each recording holds, as people and their spreadsheets save it.

Columns and classes may be in any case and with any spaces. What cannot be used is left out and named, never
passed over.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltu.errors import Error, listed
from ltu.text_files import Say, read_table

NAME = "labels.csv"
SHOWN = 5  # labels and rows of one kind that are named; more are counted

NOTHING: Mapping[str, str] = {}


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
    name: str | Path = NAME,
    renamed: Mapping[str, str] = NOTHING,
) -> list[Labelled]:
    """The rows of a folder's labels.csv, each file once; `say` is told, a line each, what was left out.

    With `classes` a label is spelt as there, and rows of other labels are left out. `columns` are those that
    the table must have. Another table has its `name`, and `renamed` says what it calls columns. Raises Error
    for a table that is not there, cannot be read or lacks one of them.
    """
    table = folder / name
    if not table.is_file():
        raise Error(f"{table}: no such file; give the ESC-10 folder with labels.csv")
    own = {column: renamed.get(column, column) for column in columns}
    spelling = {name.casefold(): name for name in classes or ()}
    left_out = _LeftOut(table, say)
    found: dict[str, list[Labelled]] = {}
    for number, row in read_table(table, tuple(own.values()), say):
        cell = row | {column: row[its] for column, its in own.items()}
        if problem := _problem(cell, columns):
            left_out.add(problem, f"line {number}")
            continue
        label = " ".join(cell["label"].split())
        if classes is not None and label.casefold() not in spelling:
            left_out.add("of another class", label)
            continue
        label = spelling.setdefault(label.casefold(), label)
        labelled = Labelled(cell["file"], label, _fold(cell.get("fold", "")) or 0, cell.get("source", ""))
        found.setdefault(labelled.file, []).append(labelled)
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
            names = (what if count == 1 else f"{what} ({count})" for what, count in found.items())
            self._say(f"{self._table}: left out, {kind}: {listed(names, SHOWN)}")


def _problem(cell: Mapping[str, str], columns: Sequence[str]) -> str:
    """Why a row is of no use; "" if it is."""
    if not any(cell.values()):
        return "empty"
    if cell[""]:
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
