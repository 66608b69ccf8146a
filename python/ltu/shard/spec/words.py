"""The benchmark's words: an AudioSet label, its sense in WordNet, and the terms asked about it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

from ltu.checks import short
from ltu.errors import Error
from ltu.files import read_json_lines
from ltu.shard.spec.ontology import audioset, label_parts
from ltu.shard.spec.relations import Relation, relations

GROUPS = {
    "Human sounds": "anthrophony",
    "Music": "anthrophony",
    "Sounds of things": "anthrophony",
    "Animal": "biophony",
    "Natural sounds": "geophony",
}


SAME_CLASS = (  # in ESC-50, in ESC-10 and elsewhere
    ("dog", "dog bark"),
    ("crackling fire", "fire crackling"),
    ("crying baby", "baby cry"),
    ("sneezing", "person sneeze"),
    ("door knock", "door wood knock"),
    ("hi hat", "hi-hat"),
    ("violin or fiddle", "violin"),
)
MUSIC = "Music"


@dataclass(frozen=True)
class Word:
    """One row of a word table (assets/shard/*.jsonl).

    `word` stands in a sentence where the sound would; `score` is how well the ontology agrees with the
    synset (0 to 1, `reviewed` says why another was taken); `terms` has the columns that relations name
    ("synonyms", …); `outside` are terms that are not from WordNet; `related` are terms of the table that
    would be true of this word, so never its negatives.
    """

    label: str
    word: str
    group: str
    synset: str
    gloss: str
    score: float
    terms: dict[str, tuple[str, ...]]
    outside: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    reviewed: str = ""
    dataset_class: str = ""

    @property
    def is_music(self) -> bool:
        """Whether it is an instrument or other music, a part of the paper's anthrophony of its own."""
        return MUSIC in audioset().ancestors(self.label) | {self.label}

    @property
    def all_terms(self) -> tuple[str, ...]:
        return tuple(term for column in self.terms.values() for term in column)

    def asked(self, relation: Relation) -> tuple[str, ...]:
        """The terms that have this relation to the word."""
        return self.terms.get(relation.terms, ())

    def to_json(self) -> dict[str, Any]:
        """Fields in their order, each column of terms as one of its own."""
        rows = ({**value} if name == "terms" else {name: value} for name, value in vars(self).items())
        return {name: value for row in rows for name, value in row.items()}

    @classmethod
    def from_json(cls, row: dict[str, Any], asked: Sequence[Relation] | None = None) -> "Word":
        """Raises TypeError for a column that is neither a field nor one of the relations', ValueError for
        one of another form, and for a label that AudioSet's ontology lacks."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        columns = [relation.terms for relation in asked or relations()]
        terms = {column: values.pop(column) for column in columns if column in values}
        word = cls(**values, terms=terms)
        for name in ("label", "word", "group", "synset"):
            if not isinstance(getattr(word, name), str):
                raise ValueError(f"{name} is {short(getattr(word, name))}, and no text")
        for name, column in (*terms.items(), ("outside", word.outside), ("related", word.related)):
            if not isinstance(column, tuple) or not all(isinstance(term, str) for term in column):
                raise ValueError(f"{name} is {short(column)}, and no list of texts")
        if not audioset().has(word.label):
            raise ValueError(f"the label {word.label!r} is no class of AudioSet's ontology")
        return word


def names_of(word: Word) -> frozenset[str]:
    """What a table or a folder of recordings may call the word, case-folded."""
    own = {word.label.casefold(), *label_parts(word.label), word.word.casefold()}
    return frozenset(own | (class_names(word.dataset_class) if word.dataset_class else set()))


def class_names(dataset_class: str) -> frozenset[str]:
    """How data sets write a class, case-folded: ESC-10 and ESC-50 differ, and ESC-50 has _ for spaces."""
    name = dataset_class.casefold()
    names = {name, *(other for pair in SAME_CLASS if name in pair for other in pair)}
    return frozenset(names | {name.replace(" - ", " ").replace(" ", "_") for name in names})


def left_out() -> dict[str, str]:
    """Classes of ESC-50 and the instruments that are no words of its table, and why."""
    with (files("ltu") / "assets/shard/left-out-esc50.json").open(encoding="utf-8") as file:
        return dict(json.load(file))


def group_of(label: str) -> str:
    """anthrophony, biophony or geophony, from the label's top-level branch."""
    for root, group in GROUPS.items():
        if root in audioset().roots(label):
            return group
    raise Error(f"{label}: belongs to none of the three groups; choose a label below {', '.join(GROUPS)}")


def stands_in(label: str, term: str) -> bool:
    """Whether a term is a part of the label or of its words, in either number: to name it is to know it."""

    def plain(text: str) -> str:
        return "".join(letter for letter in text.casefold() if letter.isalnum()).removesuffix("s")

    words = {plain(word) for word in label.split()}
    return plain(term) in {plain(part) for part in label_parts(label)} or any(
        plain(word) in words - {"of", "and", "the"} for word in term.split()
    )


def true_terms(word: Word) -> frozenset[str]:
    """Terms, case-folded, that are not asked of a clip of `word` as a negative.

    Those that name a noun sense of the word, an ancestor or descendant of one (`related`), the clip's label,
    or a label above or below that one.
    """
    ontology = audioset()
    labels = {word.label} | ontology.ancestors(word.label) | ontology.descendants(word.label)
    parts = {part for label in labels for part in (label.casefold(), *label_parts(label))}
    own = {*word.all_terms, *word.related, word.word}
    return frozenset(parts | {term.casefold() for term in own})


def read_words(path: Path) -> list[Word]:
    """Reads a word table. Raises Error for a row that is not one."""
    words = []
    for number, row in read_json_lines(path, "a row of a word table"):
        try:
            words.append(Word.from_json(row))
        except (TypeError, ValueError) as error:
            raise Error(f"{path}:{number}: is not a row of a word table: {error}") from None
    return words


def shipped_words(name: Literal["words", "esc10", "esc50"] = "words") -> list[Word]:
    """The reviewed 78 words, or those of ESC-10, or of ESC-50 and ten instruments."""
    with as_file(files("ltu") / f"assets/shard/{name}.jsonl") as path:
        return read_words(path)
