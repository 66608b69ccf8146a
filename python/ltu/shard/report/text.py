"""A report's title, and all of its figures as CSV."""

from operator import attrgetter

from ltu.shard.report.document import Report
from ltu.show.csv import to_csv


def title(report: Report) -> str:
    run = report.run
    counts = {"word": run.words, "clip": run.clips, "repeat": run.repeats}
    size = ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for what, count in counts.items())
    return f"SHARD: {run.model} on {run.spec} ({size})"


def figures_csv(report: Report) -> str:
    """Every figure of every row, one a line."""
    keys = ("task", "position", "wording", "part", "name", "reading", "questions", "words")
    values = attrgetter(*keys)
    rows = (
        (report.run.id, report.run.model, *values(row), name, figure.value, figure.low, figure.high)
        for row in report.conditions
        for name, figure in row.figures.items()
    )
    return to_csv(("run", "model", *keys, "figure", "value", "low", "high"), rows)
