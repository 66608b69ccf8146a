"""Tables → columns of text."""

from collections.abc import Iterable

from ltu.show.table import Table, repeats


def to_terminal(heading: str, notes: Iterable[str], tables: Iterable[Table]) -> str:
    """Plain columns as wide as what they hold; what repeats from the line above is left out."""
    lines = [*notes, heading, ""]
    for table in tables:
        rows = [table.columns]
        for same, row in zip(repeats(table.rows), table.rows, strict=True):
            rows.append((*("",) * same, *row[same:]))
        widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]
        rule = "─" * (sum(widths) + 2 * len(widths) - 2)
        shown = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines += [table.title, rule, shown[0], rule, *shown[1:], rule]
        lines += [table.note, ""] if table.note else [""]
    return "\n".join(lines)
