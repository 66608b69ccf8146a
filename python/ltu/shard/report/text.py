"""A report's title, and all of its figures as CSV."""

from typing import Any

from ltu.show.csv import to_csv


def title(document: dict[str, Any]) -> str:
    run = document["run"]
    size = ", ".join(
        f"{run[what + 's']} {what}{'' if run[what + 's'] == 1 else 's'}"
        for what in ("word", "clip", "repeat")
    )
    return f"SHARD: {run['model']} on {run['spec']} ({size})"


def figures_csv(document: dict[str, Any]) -> str:
    """Every figure of every row, one a line."""
    keys = ("task", "position", "wording", "part", "name", "reading", "questions", "words")
    run, bounds = document["run"], ("value", "low", "high")
    rows = (
        (run["id"], run["model"], *(row[key] for key in keys), name, *(figure[bound] for bound in bounds))
        for row in document["conditions"]
        for name, figure in row["figures"].items()
    )
    return to_csv(("run", "model", *keys, "figure", "value", "low", "high"), rows)
