"""What the study's questions and answers are made of: data/questions.toml and the demo's tables."""

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from ltu.shard.spec.words import shipped_words
from ltu.training.demo.properties import OPPOSITE
from ltu.training.demo.questions import labels_of, table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@cache
def texts() -> Mapping[str, Any]:
    text = (files(__package__) / "data" / "questions.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def classes() -> tuple[str, ...]:
    """The sounds that models are taught: those of SHARD's words."""
    return tuple(sorted(word.dataset_class for word in shipped_words("esc50")))


def labels(name: str) -> str:
    return labels_of(name, "sounds")


def names(name: str) -> tuple[str, ...]:
    """What a class is called in a sentence; a label that lists several names is not a name."""
    return tuple(text for text in table("sounds")[name]["names"] if "," not in text)


def fixed_texts() -> Iterator[str]:
    """All that questions and answers may hold, whatever the split, but the terms that relations are about."""
    for name in classes():
        yield from (labels(name), *names(name))
    yield from OPPOSITE
    for kind in texts().values():
        yield from (*kind.get("ask", ()), *_flat(kind["answer"]))
    for relation in ("type", "similar", "present"):
        wordings = table("wordings")[relation]
        yield from (*wordings["prepended"], *wordings["answer"])


def _flat(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
