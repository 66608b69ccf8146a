"""Rows → CSV."""

import csv
import io
from collections.abc import Iterable, Sequence


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A value that is missing is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()
