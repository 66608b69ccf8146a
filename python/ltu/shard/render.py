"""Tables → terminal, Markdown, CSV."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from ltu.shard.tables import Table


def title(document: dict[str, Any]) -> str:
    run = document["run"]
    size = f"{run['words']} words, {run['clips']} clips, {run['repeats']} repeats"
    return f"SHARD: {run['model']} on {run['spec']} ({size})"


def to_terminal(heading: str, notes: Iterable[str], tables: Iterable[Table]) -> str:
    """Plain columns as wide as what they hold; what repeats from the line above is left out."""
    lines = [*notes, heading, ""]
    for table in tables:
        rows = [table.columns, *_thinned(table.rows)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]
        rule = "─" * (sum(widths) + 2 * len(widths) - 2)
        shown = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines += [table.title, rule, shown[0], rule, *shown[1:], rule]
        lines += [table.note, ""] if table.note else [""]
    return "\n".join(lines)


def _thinned(rows: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    above: tuple[str, ...] = ()
    for row in rows:
        same = next((i for i, (a, b) in enumerate(zip(above, row, strict=False)) if a != b), len(above))
        yield tuple("" if column < min(same, 2) else cell for column, cell in enumerate(row))
        above = row


def to_markdown(heading: str, notes: Iterable[str], tables: Iterable[Table]) -> str:
    lines = [*(f"**{note}**\n" for note in notes), f"# {heading}\n"]
    for table in tables:
        lines += [f"## {table.title}\n", _line(table.columns), _line("---" for _ in table.columns)]
        lines += [_line(row) for row in table.rows]
        lines += ["", f"{table.note}\n"] if table.note else [""]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def to_csv(document: dict[str, Any]) -> str:
    """Every figure of every row, one a line."""
    out = io.StringIO()
    keys = ("task", "position", "wording", "part", "name", "reading", "questions", "words")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("run", "model", *keys, "figure", "value", "low", "high"))
    run = document["run"]
    for row in document["conditions"]:
        for name, figure in row["figures"].items():
            bounds = (figure["value"], figure["low"], figure["high"])
            writer.writerow((run["id"], run["model"], *(row[key] for key in keys), name, *bounds))
    return out.getvalue()
