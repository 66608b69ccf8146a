"""The AudioSet ontology: labels, what stands above and below them, how far apart two of them are.

Source: research.google.com/audioset (Gemmeke et al. 2017), CC BY-SA 4.0; assets/shard/README.md.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import Literal

from ltu.files import read_json_lines

Distance = Literal["parent", "branch", "elsewhere"]
DISTANCES: tuple[Distance, ...] = ("elsewhere", "branch", "parent")


@dataclass(frozen=True)
class Node:
    """One class of sounds; `is_label` if it is among the 527 labels that AudioSet's clips carry."""

    id: str
    name: str
    description: str
    is_label: bool
    children: tuple[str, ...]


class Ontology:
    """A directed acyclic graph: a class may have several parents."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = {node.id: node for node in nodes}
        self._parents: dict[str, set[str]] = {node.id: set() for node in nodes}
        for node in nodes:
            for child in node.children:
                self._parents[child].add(node.id)
        self._ids = {node.name.casefold(): node.id for node in nodes}
        self.labels = tuple(node.name for node in nodes if node.is_label)
        self._above: dict[str, frozenset[str]] = {}

    def has(self, name: str) -> bool:
        return name.casefold() in self._ids

    def id(self, name: str) -> str:
        """Raises KeyError for a name that is not in the ontology."""
        return self._ids[name.casefold()]

    def name(self, id: str) -> str:
        return self.nodes[id].name

    def parents(self, name: str) -> set[str]:
        return {self.name(id) for id in self._parents[self.id(name)]}

    def ancestors(self, name: str) -> frozenset[str]:
        """Names above `name`, itself not included."""
        if name not in self._above:
            near = self.parents(name)
            self._above[name] = frozenset(near).union(*(self.ancestors(each) for each in near))
        return self._above[name]

    def descendants(self, name: str) -> set[str]:
        below = {self.name(child) for child in self.nodes[self.id(name)].children}
        return below | {far for near in below for far in self.descendants(near)}

    def siblings(self, name: str) -> set[str]:
        near = {self.name(c) for p in self.parents(name) for c in self.nodes[self.id(p)].children}
        return near - {name}

    def roots(self, name: str) -> set[str]:
        return {each for each in self.ancestors(name) | {name} if not self._parents[self.id(each)]}

    def distance(self, one: str, other: str) -> Distance:
        """ "parent": they share one; "branch": the same top-level branch (or one above the other)."""
        if self.parents(one) & self.parents(other):
            return "parent"
        return "branch" if self.roots(one) & self.roots(other) else "elsewhere"


def label_parts(label: str) -> tuple[str, ...]:
    """ "Waves, surf" → ("waves", "surf"); what stands in brackets is left out."""
    plain = label.split(" (")[0] if label.endswith(")") else label
    return tuple(part.strip().casefold() for part in plain.split(","))


@cache
def audioset() -> Ontology:
    """The ontology that ships with the package."""
    with as_file(files("ltu") / "assets/shard/audioset.jsonl") as path:
        rows = [row for _, row in read_json_lines(path)]
    return Ontology(
        [Node(r["id"], r["name"], r["description"], r["label"], tuple(r["children"])) for r in rows]
    )
