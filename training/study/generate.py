"""Questions about ESC-10's clips in OpenAQA's format, from class names and measured signal properties.

What a model learns of yes and no, it learns from names and properties: "Is this the sound of a dog?", "Is
this recording loud?". Each is true as often as it is false, so a question's text says nothing of its answer.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import numpy as np

from ltu.training.demo.esc10 import Recording
from ltu.training.demo.properties import OPPOSITE, Scale
from ltu.training.demo.questions import ask, labels_of, table, terms, with_article
from ltu.training.demo.terms import Term
from ltu.training.reformulate.openaqa import OPEN_TASK

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATASET = "esc10"
CLOSED_TASK = "classification"
NAMES = 2  # for each class: a round asks about so many with yes, and as many with no
FEATURES = 2  # most that an answer tells
Rng = np.random.Generator
T = TypeVar("T")


@dataclass(frozen=True)
class Sound:
    """A clip as the questions know it; `words`: the properties that are clearly true of it."""

    file: str
    label: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One item of OpenAQA; `term` is what a yes/no question asks about."""

    instruction: str
    input: str
    audio_id: str
    dataset: str
    task: str
    output: str
    term: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def sounds(recordings: Sequence[Recording], scale: Scale) -> list[Sound]:
    return [Sound(r.file, r.label, scale.words(r.clip)) for r in recordings]


def generate(clips: Sequence[Sound], rounds: int, rng: Rng) -> list[Row]:
    """Rows in rounds, so that any number of whole rounds is balanced; each round in random order."""
    rows: list[Row] = []
    for _ in range(rounds):
        made = list(_round(clips, rng))
        rows += [made[index] for index in rng.permutation(len(made))]
    return rows


def _round(clips: Sequence[Sound], rng: Rng) -> Iterator[Row]:
    """Two names of each class and every property, with yes and with no; each class in three open ways."""
    by_class = {name: [c for c in clips if c.label == name] for name in sorted({c.label for c in clips})}
    for name, own in by_class.items():
        for _ in range(NAMES):
            term = _pick(names_of(name), rng)
            yield _about_name(_pick(own, rng), term, True, rng)
            yield _about_name(_pick(by_class[_pick(sorted(term.false_of), rng)], rng), term, False, rng)
        yield _label(_pick(own, rng), rng)
        described = [clip for clip in own if clip.words] or own
        yield _acoustic(_pick(described, rng), rng)
        yield _description(_pick(described, rng), name, rng)
    for word, opposite in OPPOSITE.items():
        for true, holds in ((True, word), (False, opposite)):
            if pool := [clip for clip in clips if holds in clip.words]:
                yield _about_property(_pick(pool, rng), word, true, rng)


@cache
def names_of(label: str) -> tuple[Term, ...]:
    """Names of a class, as `training/demo/terms.toml` has it."""
    return tuple(term for term in terms() if term.kind == "name" and label in term.true_of)


def _about_name(clip: Sound, term: Term, true: bool, rng: Rng) -> Row:
    question, answer = ask(_pick(table("wordings")["present"]["prepended"], rng), "present", term.text, true)
    return _row(clip, OPEN_TASK, question, answer, term.text)


def _about_property(clip: Sound, word: str, true: bool, rng: Rng) -> Row:
    texts = _texts()["property"]
    question = str(_pick(texts["ask"], rng)).format(word=word)
    return _row(clip, OPEN_TASK, question, texts["answer"][0 if true else 1].format(word=word), word)


def _label(clip: Sound, rng: Rng) -> Row:
    texts = _texts()["label"]
    return _row(
        clip, CLOSED_TASK, _pick(texts["ask"], rng), texts["answer"].format(labels=labels_of(clip.label))
    )


def _acoustic(clip: Sound, rng: Rng) -> Row:
    texts, heard = _texts()["acoustic"], _features(clip, rng).capitalize()
    labels = "; ".join(f"{heard} -> {label}" for label in labels_of(clip.label).split("; "))
    return _row(clip, CLOSED_TASK, _pick(texts["ask"], rng), texts["answer"].format(labels=labels))


def _description(clip: Sound, name: str, rng: Rng) -> Row:
    texts = _texts()["description"]
    answer = texts["answer"].format(a_name=with_article(name.lower()), features=_features(clip, rng))
    return _row(clip, OPEN_TASK, _pick(texts["ask"], rng), answer)


def _features(clip: Sound, rng: Rng) -> str:
    words = [clip.words[index] for index in sorted(rng.permutation(len(clip.words))[:FEATURES])]
    return " and ".join(words) or "plain"


def _row(clip: Sound, task: str, instruction: str, output: str, term: str = "") -> Row:
    return Row(instruction, "", clip.file, DATASET, task, output, term)


@cache
def _texts() -> Mapping[str, Any]:
    text = (files(__package__) / "data" / "questions.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _pick(choices: Sequence[T], rng: Rng) -> T:
    return choices[int(rng.integers(len(choices)))]
