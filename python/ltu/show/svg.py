"""Figures as SVG text. matplotlib comes with the extra `shard`."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any, cast

from ltu.errors import needs

PALETTE = ("#2b86a6", "#c1592b", "#7a9147", "#8a63a8", "#b08a20", "#a33b3b")
GREY = "#888888"  # to be seen on white and on black
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "ltu",  # equal figures are equal text
}


@contextmanager
def drawing() -> Iterator[None]:
    """Where figures are drawn. Raises Error without matplotlib."""
    with needs("shard"):
        import matplotlib
    matplotlib.use("Agg")
    with matplotlib.rc_context(cast(Any, STYLE)):
        yield


def axes_of(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Any, Any]:
    """A figure, in inches, and its axes: one, or an array of all of them, row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    one = columns == rows == 1
    axes = figure.subplots(rows, columns, squeeze=one, sharey=not one)
    return figure, axes if one else axes.ravel()


def ink_on(colour: Sequence[float]) -> str:
    """Nearly black or white, which pages keep as they are: what is read better on this red, green, blue."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#fefefe" if luminance < 0.179 else "#010101"


def name_points(axes: Any, points: Iterable[tuple[str, float, float]]) -> None:
    """Writes each point's name beside it, on a side where it hides no other name and no point; else not."""
    from matplotlib.transforms import Bbox

    points = list(points)
    axes.figure.draw_without_rendering()  # so that places on the paper are known
    places = axes.transData.transform([(x, y) for _, x, y in points]) if points else []
    radius = axes.figure.dpi / 72 * 2
    taken = [Bbox.from_extents(x - radius, y - radius, x + radius, y + radius) for x, y in places]
    for name, x, y in points:
        for right, up in product((3, -3), (3, -9)):
            side = "left" if right > 0 else "right"
            text = axes.annotate(name, (x, y), (right, up), textcoords="offset points", ha=side, fontsize=6)
            box = text.get_window_extent()
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def svg_of(figure: Any) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
