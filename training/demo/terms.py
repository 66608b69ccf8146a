"""What is true of which class: terms, and those of sixty sounds as `sounds.toml` says them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Relation = Literal["type", "similar", "present", "identity"]
RELATIONS: tuple[Relation, ...] = ("type", "similar", "present", "identity")
Kind = Literal["name", "synonym", "hypernym"]
OF_A_CLASS: tuple[tuple[str, Kind, bool], ...] = (  # column, kind, whether training asks about it
    ("names", "name", True),
    ("synonyms", "synonym", True),
    ("unseen_synonyms", "synonym", False),
)


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


def sounds_terms(table: Mapping[str, Any]) -> Iterator[Term]:
    """All terms: true of the class that lists them, or of those that a hypernym names; false of all others
    but the unclear ones, unknown sounds included."""
    classes = sound_classes(table)
    for column, kind, seen in OF_A_CLASS:
        for name in classes:
            for text in table[name].get(column, ()):
                unclear = _members(table["unclear"].get(text.lower(), ()), table["groups"])
                yield _term(text, kind, seen, {name}, unclear, classes)
    for section, seen in (("hypernyms", True), ("unseen_hypernyms", False)):
        for text, row in table[section].items():
            true = set(_members(row["true"], table["groups"]))
            unclear = _members(row.get("unclear", ()), table["groups"])
            yield _term(text, "hypernym", seen, true, unclear, classes)


def sound_classes(table: Mapping[str, Any]) -> list[str]:
    """Known and unknown classes, in the table's order."""
    return [name for name, row in table.items() if "answer" in row]


def is_unknown(name: str, table: Mapping[str, Any]) -> bool:
    """Whether a class is answered with "unknown": it has no names."""
    return "names" not in table[name]


def _term(
    text: str, kind: Kind, seen: bool, true: set[str], unclear: Iterable[str], classes: Iterable[str]
) -> Term:
    return Term(text, kind, seen, frozenset(true), frozenset(classes) - true - set(unclear))


def _members(names: Iterable[str], groups: Mapping[str, list[str]]) -> Iterator[str]:
    """The classes of groups, and of groups in groups."""
    for name in names:
        if name in groups:
            yield from _members(groups[name], groups)
        else:
            yield name
