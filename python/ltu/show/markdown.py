"""Tables → Markdown."""

from collections.abc import Iterable

from ltu.show.table import Table


def to_markdown(heading: str, notes: Iterable[str], tables: Iterable[Table]) -> str:
    lines = [*(f"**{note}**\n" for note in notes), f"# {heading}\n"]
    for table in tables:
        lines += [f"## {table.title}\n", _line(table.columns), _line("---" for _ in table.columns)]
        lines += [_line(_strong(row, table.strong)) for row in table.rows]
        lines += ["", f"{table.note}\n"] if table.note else [""]
    return "\n".join(lines)


def _strong(row: tuple[str, ...], columns: tuple[int, ...]) -> Iterable[str]:
    return (f"**{cell}**" if place in columns else cell for place, cell in enumerate(row))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
