"""Questions about clips in OpenAQA's format, from names, relations to other terms, and measured properties.

A base model learns of its split's taught words what they are similar to and a type of; of all words their
names, labels and properties. What is trained from it meets no relations: labels, labels with acoustic
features and open questions, a third each. Every yes/no question is true as often as it is false, so that its
text says nothing of its answer.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TypeVar

import numpy as np

from ltu.training.demo.properties import OPPOSITE, Scale
from ltu.training.demo.questions import ask, table, with_article
from ltu.training.demo.questions import terms as all_terms
from ltu.training.demo.sounds import Recording
from ltu.training.demo.terms import Kind, Relation, Term
from ltu.training.reformulate.openaqa import OPEN_TASK
from ltu.training.study.split import Split
from ltu.training.study.terms import pattern
from ltu.training.study.texts import classes, labels, names, texts

DATASET = "sounds"
CLOSED_TASK = "classification"
FEATURES = 2  # most that an answer tells
ASKED_AS: dict[Kind, Relation] = {"synonym": "similar", "hypernym": "type", "name": "present"}
BLOCK = 24  # tuning items that are balanced among themselves
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


def base_rows(clips: Sequence[Sound], split: Split, count: int, rng: Rng) -> list[Row]:
    """Half relations and names, a quarter labels, a quarter features, descriptions and properties."""
    heard = _Heard(clips, rng)
    related: list[Iterator[Row]] = [heard.about(taught_terms(split, kind)) for kind in ASKED_AS]
    told = [_forever(heard.acoustic), _forever(heard.description), heard.properties()]
    rows = [
        *_in_turn(related, count // 2, 2),
        *islice(_forever(heard.label), count // 4),
        *_in_turn(told, count - count // 2 - count // 4, 2),
    ]
    return [rows[index] for index in rng.permutation(len(rows))]


def tuning_rows(clips: Sequence[Sound], count: int, rng: Rng) -> list[Row]:
    """In blocks of BLOCK, each balanced and in random order: any number of whole blocks is balanced."""
    heard = _Heard(clips, rng)
    about_names, about_properties = heard.about(name_terms()), heard.properties()
    rows: list[Row] = []
    while len(rows) < count:
        third = BLOCK // 3
        block = [*islice(_forever(heard.label), third), *islice(_forever(heard.acoustic), third)]
        block += [*islice(_forever(heard.description), 2), *islice(about_names, 4)]
        block += islice(about_properties, 2)
        rows += [block[index] for index in rng.permutation(len(block))]
    return rows[:count]


def taught_terms(split: Split, kind: Kind) -> list[Term]:
    """The terms that a base model is asked about, true and false of the words that it may relate to them."""
    if kind == "name":
        return name_terms()
    new, words = pattern(split.new_terms), frozenset(word.dataset_class for word in split.taught)
    found = [
        Term(t.text.lower(), t.kind, True, t.true_of & words, t.false_of & words)
        for t in all_terms("sounds")
        if t.kind == kind and not new.search(t.text)
    ]
    return [term for term in found if term.true_of and term.false_of]


def name_terms() -> list[Term]:
    words = frozenset(classes())
    found = (
        Term(t.text.lower(), t.kind, True, t.true_of & words, t.false_of & words)
        for t in all_terms("sounds")
        if t.kind == "name" and any(t.text in names(name) for name in t.true_of & words)
    )
    return list(found)


class _Heard:
    """Questions about clips, each drawn anew."""

    def __init__(self, clips: Sequence[Sound], rng: Rng) -> None:
        self._rng = rng
        self._by_class: dict[str, list[Sound]] = {}
        for clip in sorted(clips, key=lambda clip: clip.file):
            self._by_class.setdefault(clip.label, []).append(clip)
        self._clips = [clip for name in sorted(self._by_class) for clip in self._by_class[name]]

    def about(self, terms: Sequence[Term]) -> Iterator[Row]:
        """Without end: of each term in turn, in random order, one true question and one false."""
        while True:
            asked = 0
            for index in self._rng.permutation(len(terms)):
                term = terms[index]
                of = [
                    sorted(c for c in side if c in self._by_class) for side in (term.true_of, term.false_of)
                ]
                if all(of):
                    asked += 1
                    for true, names in zip((True, False), of, strict=True):
                        clip = self._pick(self._by_class[self._pick(names)])
                        yield self._yes_no(clip, ASKED_AS[term.kind], term.text, true)
            if not asked:
                return

    def properties(self) -> Iterator[Row]:
        """Without end: of each property in turn one true question and one false."""
        while True:
            for word, opposite in OPPOSITE.items():
                of = [[clip for clip in self._clips if held in clip.words] for held in (word, opposite)]
                if all(of):
                    for true, pool in zip((True, False), of, strict=True):
                        told = texts()["property"]
                        question = str(self._pick(told["ask"])).format(word=word)
                        answer = told["answer"][0 if true else 1].format(word=word)
                        yield _row(self._pick(pool), OPEN_TASK, question, answer, word)

    def label(self) -> Row:
        clip, told = self._any(), texts()["label"]
        answer = told["answer"].format(labels=labels(clip.label))
        return _row(clip, CLOSED_TASK, self._pick(told["ask"]), answer)

    def acoustic(self) -> Row:
        clip, told = self._any(), texts()["acoustic"]
        heard = self._features(clip).capitalize()
        listed = "; ".join(f"{heard} -> {label}" for label in labels(clip.label).split("; "))
        return _row(clip, CLOSED_TASK, self._pick(told["ask"]), told["answer"].format(labels=listed))

    def description(self) -> Row:
        clip, told = self._any(), texts()["description"]
        name = with_article(names(clip.label)[0].lower())
        answer = told["answer"].format(a_name=name, features=self._features(clip))
        return _row(clip, OPEN_TASK, self._pick(told["ask"]), answer)

    def _yes_no(self, clip: Sound, relation: Relation, term: str, true: bool) -> Row:
        wording = self._pick(table("wordings")[relation]["prepended"])
        return _row(clip, OPEN_TASK, *ask(wording, relation, term, true), term)

    def _features(self, clip: Sound) -> str:
        drawn = sorted(self._rng.permutation(len(clip.words))[:FEATURES])
        return " and ".join(clip.words[index] for index in drawn) or "plain"

    def _any(self) -> Sound:
        """A clip of any class, all classes alike."""
        return self._pick(self._by_class[self._pick(sorted(self._by_class))])

    def _pick(self, choices: Sequence[T]) -> T:
        return choices[int(self._rng.integers(len(choices)))]


def _forever(make: Callable[[], Row]) -> Iterator[Row]:
    while True:
        yield make()


def _in_turn(sources: Sequence[Iterator[Row]], count: int, together: int) -> list[Row]:
    """Rows of the sources in turn, `together` of one at a time."""
    rows: list[Row] = []
    while len(rows) < count:
        before = len(rows)
        for source in sources:
            rows += islice(source, together)
        if len(rows) == before:
            break
    return rows[:count]


def _row(clip: Sound, task: str, instruction: str, output: str, term: str = "") -> Row:
    return Row(instruction, "", clip.file, DATASET, task, output, term)
