"""Questions about labelled clips: true and false labels, synonyms and hypernyms, and what a clip is.

Every term is asked as often about clips of which it is true as about others, so a question's text alone says
nothing about its answer.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import numpy as np

from ltu.prompt import Format
from ltu.training.demo.terms import RELATIONS, Relation, Term, sounds_terms

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMATS: tuple[Format, ...] = ("prepended", "interleaved")
Rng = np.random.Generator
T = TypeVar("T")


@dataclass(frozen=True)
class Item:
    """One question with its answer; fields that OpenAQA has go by its names."""

    audio_id: str | list[str]  # "": none
    instruction: str  # with [AUDIO]: interleaved; without: the clip stands before the text
    output: str
    term: str = ""
    open: bool = False  # the output is an answer's first word; the rest of it is not learnt

    def row(self) -> dict[str, Any]:
        return asdict(self)


@cache
def table(name: str) -> Any:
    """`terms`, `sounds` or `wordings`, the data files beside this one."""
    return tomllib.loads((files(__package__) / f"{name}.toml").read_text(encoding="utf-8"))


def terms(about: str = "terms") -> list[Term]:
    """All terms of a table, each once: a term that several classes list is one term."""
    if about == "sounds":
        return list(sounds_terms(table("sounds")))
    listed = table(about)
    classes = {name: row for name, row in listed.items() if name != "unclear"}
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
            unclear = frozenset(listed["unclear"].get(text, []))
            false_of = frozenset(classes) - true_of - unclear
            found[text] = Term(text, kind, seen, true_of, false_of)  # type: ignore[arg-type]
    return list(found.values())


def labels_of(name: str, about: str = "terms") -> str:
    """AudioSet's display names for a class, as LTU lists them."""
    return "; ".join(table(about)[name]["answer"])


def table_1(relation: Relation) -> dict[str, str]:
    """The paper's own wording for each format."""
    return {format: table("wordings")[relation][format][0] for format in FORMATS}


def ask(wording: str, relation: Relation, term: str, true: bool) -> tuple[str, str]:
    """(question, answer) about a term."""
    answer = table("wordings")[relation]["answer"][0 if true else 1]
    return tuple(text.format(term=term, a_term=with_article(term)) for text in (wording, answer))  # type: ignore[return-value]


def with_article(term: str) -> str:
    """ "a dog", "an animal"; "rain" as it is."""
    article = ("an " if term[0] in "aeiou" else "a ") if term in table("wordings")["countable"] else ""
    return article + term


def training_items(
    clips: Mapping[str, str], pairs: int, rng: Rng, first_words: bool = False, about: str = "terms"
) -> list[Item]:
    """Items about clips (audio id → class) and the terms of a table.

    A seen term is asked about `pairs` times of a clip of which it is true and as often of another (a synonym
    half as often); each clip is asked for its labels in both formats. Questions of one kind about a clip have
    one wording, so that they share its positions. `first_words`: yes/no answers are "Yes" and "No" alone.
    """
    by_class: dict[str, list[str]] = {}
    for audio, name in clips.items():
        by_class.setdefault(name, []).append(audio)
    wordings = {
        (audio, relation, format): _wording(relation, format, rng)
        for audio in clips
        for relation in RELATIONS
        for format in FORMATS
    }
    items: list[Item] = []
    for term in (term for term in terms(about) if term.seen):
        for _ in range(pairs // 2 if term.kind == "synonym" else pairs):
            for true, classes in ((True, term.true_of), (False, term.false_of)):
                audio = _pick(by_class[_pick(sorted(classes), rng)], rng)
                relation, format = _pick(term.relations, rng), _pick(FORMATS, rng)
                text = term.text if rng.random() < 0.5 else term.text.lower()
                question, answer = ask(wordings[audio, relation, format], relation, text, true)
                answer = answer.partition(",")[0] if first_words else answer
                items.append(Item(audio, question, answer, term.text.lower(), first_words))
    for audio, name in clips.items():
        for format in FORMATS:
            items.append(
                Item(audio, wordings[audio, "identity", format], f"Labels: {labels_of(name, about)}")
            )
    return items


def _wording(relation: Relation, format: str, rng: Rng) -> str:
    """Every other one is Table 1's."""
    choices = table("wordings")[relation][format]
    return str(choices[0] if rng.random() < 0.5 else _pick(choices, rng))


def _pick(choices: Sequence[T], rng: Rng) -> T:
    return choices[int(rng.integers(len(choices)))]
