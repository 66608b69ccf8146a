"""The relations that a term can have to a word, as data: assets/shard/relations.jsonl, or a
specification's own.

A relation is a row there and a column of terms in the word table; nothing else knows one by its name but what
is said about the paper, which asks two.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

IDENTITY = "identity"  # the task without a term: which labels are heard


@dataclass(frozen=True)
class Relation:
    """`phrase` stands before the term in a question, `terms` is the word table's column.

    `paper` marks those of Liu et al.
    """

    name: str
    phrase: str
    terms: str
    paper: bool = False


@cache
def relations() -> tuple[Relation, ...]:
    """Those that ship with the package."""
    text = files("ltu").joinpath("assets/shard/relations.jsonl").read_text(encoding="utf-8")
    return tuple(Relation(**json.loads(line)) for line in text.splitlines())


def relations_of(header: Mapping[str, Any]) -> tuple[Relation, ...]:
    """What a specification asks; those before they were written down asked what ships."""
    return tuple(Relation(**row) for row in header["relations"]) if "relations" in header else relations()


PAPER_RELATIONS = tuple(relation.name for relation in relations() if relation.paper)
PAPER_TASKS = (IDENTITY, *PAPER_RELATIONS)
