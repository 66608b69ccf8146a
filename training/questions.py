"""Questions about labelled clips: true and false labels, synonyms and hypernyms, and what a clip is.

Every term is asked as often about clips of which it is true as about others, so a question's text alone says
nothing about its answer.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal, TypeVar

import numpy as np

from ltu.prompt import AUDIO

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Relation = Literal["type", "similar", "present", "identity"]
Rng = np.random.Generator
T = TypeVar("T")


@dataclass(frozen=True)
class Term:
    text: str
    kind: Literal["name", "synonym", "hypernym"]
    seen: bool  # asked about in training
    true_of: frozenset[str]  # classes
    false_of: frozenset[str]

    @property
    def relations(self) -> tuple[Relation, ...]:
        """How training asks about the term."""
        if self.kind == "synonym":
            return ("similar", "similar", "present")
        return ("type", "type", "present") if self.kind == "hypernym" else ("type", "similar", "present")


@dataclass(frozen=True)
class Item:
    """One question with its answer; fields that OpenAQA has go by its names."""

    audio_id: str  # "": none
    instruction: str  # with [AUDIO]: interleaved; without: the clip stands before the text
    output: str
    term: str = ""

    def row(self) -> dict[str, str]:
        return asdict(self)


@cache
def _data(name: str) -> Any:
    return tomllib.loads((files(__package__) / "data" / f"{name}.toml").read_text(encoding="utf-8"))


def terms() -> list[Term]:
    """All terms, each once: a term that several classes list is one term."""
    table = _data("terms")
    classes = {name: row for name, row in table.items() if name != "unclear"}
    kinds = {
        "names": ("name", True),
        "synonyms": ("synonym", True),
        "unseen_synonyms": ("synonym", False),
        "hypernyms": ("hypernym", True),
        "unseen_hypernyms": ("hypernym", False),
    }
    found: dict[str, Term] = {}
    for key, (kind, seen) in kinds.items():
        for text in dict.fromkeys(text for row in classes.values() for text in row[key]):
            true_of = frozenset(name for name, row in classes.items() if text in row[key])
            unclear = frozenset(table["unclear"].get(text, []))
            false_of = frozenset(classes) - true_of - unclear
            found[text] = Term(text, kind, seen, true_of, false_of)  # type: ignore[arg-type]
    return list(found.values())


def labels_of(name: str) -> str:
    """AudioSet's display names for a class, as LTU lists them."""
    return "; ".join(_data("terms")[name]["answer"])


def wordings(relation: Relation) -> list[str]:
    table = _data("wordings")[relation]
    return [*table["prepended"], *table["interleaved"]]


def table_1(relation: Relation) -> dict[str, str]:
    """The paper's own wording for each format."""
    return {format: _data("wordings")[relation][format][0] for format in ("prepended", "interleaved")}


def ask(wording: str, relation: Relation, term: str, true: bool) -> tuple[str, str]:
    """(question, answer) about a term."""
    article = ("an " if term[0] in "aeiou" else "a ") if term in _data("wordings")["countable"] else ""
    answer = _data("wordings")[relation]["answer"][0 if true else 1]
    return tuple(text.format(term=term, a_term=article + term) for text in (wording, answer))  # type: ignore[return-value]


def training_items(clips: Mapping[str, str], pairs: int, rng: Rng) -> list[Item]:
    """Items about clips (audio id → class), shuffled.

    A seen term is asked about `pairs` times of a clip of which it is true and as often of another (a synonym
    half as often); one identity item is added per eight of those.
    """
    by_class: dict[str, list[str]] = {}
    for audio, name in clips.items():
        by_class.setdefault(name, []).append(audio)
    items: list[Item] = []
    for term in terms():
        if term.seen:
            for _ in range(pairs // 2 if term.kind == "synonym" else pairs):
                items += _pair(term, by_class, rng)
    for name in rng.permutation(np.resize(list(clips), len(items) // 8)).tolist():
        wording = _wording("identity", rng)
        items.append(Item(name, wording, f"Labels: {labels_of(clips[name])}"))
    return [items[index] for index in rng.permutation(len(items))]


def word_items(items: Sequence[Item], clips: Mapping[str, str], rng: Rng) -> list[Item]:
    """The same questions with the name of the class where the clip would be, and no clip."""
    named = []
    for item in items:
        name = _pick(_data("terms")[clips[item.audio_id]]["names"], rng)
        text = item.instruction.replace(AUDIO, name)
        named.append(
            replace(item, audio_id="", instruction=text if AUDIO in item.instruction else f"{name}: {text}")
        )
    return named


def _pair(term: Term, by_class: Mapping[str, Sequence[str]], rng: Rng) -> Iterator[Item]:
    """The same question about a clip of which the term is true and one of which it is false."""
    relation = _pick(term.relations, rng)
    wording = _wording(relation, rng)
    text = term.text if rng.random() < 0.5 else term.text.lower()
    for true, classes in ((True, term.true_of), (False, term.false_of)):
        name = _pick(sorted(classes), rng)
        question, answer = ask(wording, relation, text, true)
        yield Item(_pick(by_class[name], rng), question, answer, term.text.lower())


def _wording(relation: Relation, rng: Rng) -> str:
    """A wording of one format; every other one is Table 1's."""
    table = _data("wordings")[relation]["prepended" if rng.random() < 0.5 else "interleaved"]
    return str(table[0] if rng.random() < 0.5 else _pick(table, rng))


def _pick(choices: Sequence[T], rng: Rng) -> T:
    return choices[int(rng.integers(len(choices)))]
