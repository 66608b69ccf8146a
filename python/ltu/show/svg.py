"""Figures as SVG text. matplotlib comes with the extra `shard`."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
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


def axes_of(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    """A figure, in inches, and its axes: one, or an array of as many as columns."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=columns == 1, sharey=columns > 1)
    return figure, axes if columns == 1 else axes.ravel()


def svg_of(figure: Any) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
