"""A table of text, which every way of showing takes, and figures as text."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LEADING = 2  # columns that need not be said again on the next line


@dataclass(frozen=True)
class Table:
    """`strong` are the columns that a reader looks for first."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""
    strong: tuple[int, ...] = ()

    def to_json(self) -> dict[str, object]:
        """What it says, not how it looks."""
        return {"title": self.title, "columns": self.columns, "rows": self.rows, "note": self.note}


def repeats(rows: Iterable[Sequence[str]]) -> Iterator[int]:
    """For each row, how many of its first cells repeat those of the row above."""
    above: Sequence[str] = ()
    for row in rows:
        same = 0
        while same < min(LEADING, len(above)) and above[same] == row[same]:
            same += 1
        yield same
        above = row


def number(value: float | None, digits: int = 2) -> str:
    """ ".52": a figure without its leading zero, an en dash for none."""
    if value is None:
        return "–"
    text = f"{value if round(value, digits) else 0.0:.{digits}f}".replace("-", "−")
    return text.replace("0.", ".", 1) if text.lstrip("−").startswith("0.") else text


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """ ".52 [.41, .63]"."""
    if low is None or low == high:
        return number(value)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def per_cent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
