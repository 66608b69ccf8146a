"""Tables and figures → one HTML file that needs nothing else. style.css is the stylesheet of every page."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from itertools import count

from ltu.show.table import LEADING, Table, repeats

NUMBER = re.compile(r"−?[\d.]+( \[[^\]]*\])?$")


def document_of(heading: str, parts: Iterable[str]) -> str:
    """A whole HTML file of parts in HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)}</title><style>{_style()}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def heading_of(heading: str, notes: Iterable[str]) -> str:
    """The title, and what a reader must know before anything else."""
    return f"<h1>{escape(heading)}</h1>" + "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def anchor(title: str) -> str:
    """The id of a section, which a link can name."""
    return re.sub("[^a-z0-9]+", "-", title.casefold()).strip("-")


def section(title: str) -> str:
    """A section's heading, behind its anchor."""
    return f'<a id="{anchor(title)}"></a><h2>{escape(title)}</h2>'


def contents_of(titles: Iterable[str]) -> str:
    """Links to sections."""
    links = " · ".join(f'<a href="#{anchor(title)}">{escape(title)}</a>' for title in titles)
    return f'<nav aria-label="Sections" class="about">{links}</nav>'


def table_of(table: Table, folded: bool = False) -> str:
    """A section: title, table, note. Cells that repeat from row to row are one cell as high as these rows."""
    rows = [
        [
            f"<strong>{_cell(cell)}</strong>" if place in table.strong else _cell(cell)
            for place, cell in enumerate(row)
        ]
        for row in table.rows
    ]
    text = scrolled(table.columns, rows)
    if table.note:
        text += f'<p class="caption">{escape(table.note)}</p>'
    if folded:
        text = f"<details><summary>{len(table.rows)} rows</summary>{text}</details>"
    return f"{section(table.title)}{text}"


def scrolled(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells in HTML, in a box of its own."""
    repeated = list(repeats(rows))
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(_cells(columns, rows, repeated, at))}</tr>" for at in range(len(rows)))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    """A figure and its interval stay on one line."""
    return escape(text.replace(" ", "\N{NO-BREAK SPACE}") if NUMBER.match(text) else text)


def _cells(
    columns: Sequence[str], rows: Sequence[Sequence[str]], repeated: list[int], at: int
) -> Iterable[str]:
    """Each names its column, which stands before it where the screen is narrow."""
    for place, cell in enumerate(rows[at]):
        name = f' data-column="{escape(columns[place])}"'
        if place >= LEADING:
            yield f"<td{name}>{cell}</td>"
        elif place >= repeated[at]:
            height = next(n for n in count(1) if at + n == len(rows) or repeated[at + n] <= place)
            if height > 1:
                yield f'<th scope="rowgroup" rowspan="{height}">{cell}</th>'
            else:
                yield f'<th scope="row">{cell}</th>' if place == 0 else f"<td{name}>{cell}</td>"


def figures_of(drawn: Iterable[tuple[str, str]]) -> str:
    """A section of (caption, SVG); a figure's ids become its own."""
    shown = "".join(
        f"<figure>{_inlined(svg, caption, f'f{index}-')}"
        f'<figcaption class="caption">{escape(caption)}</figcaption></figure>'
        for index, (caption, svg) in enumerate(drawn)
    )
    return f'<h2>Figures</h2><div class="figures">{shown}</div>'


def _inlined(svg: str, caption: str, prefix: str) -> str:
    """Ids of its own; black becomes the page's ink, white its paper; a name for who cannot see it."""
    svg = re.sub(r'(\bid="|"#|url\(#)', rf"\g<1>{prefix}", svg)
    svg = svg.replace("#000000", "currentColor").replace("fill: #ffffff", "fill: none")
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)


@cache
def _style() -> str:
    return (files(__package__) / "style.css").read_text(encoding="utf-8")
