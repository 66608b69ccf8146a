"""AudioSet's list of segments: which of them hold the sound of one word alone.

A segment qualifies if its labels are the word's and labels above it. Of a word that no segment qualifies
for, since they all carry a label below it, too (Dog with Bark), those count whose other labels are below the
word and no words of their own.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ltu.errors import Error
from ltu.shard.spec.ontology import audioset
from ltu.shard.spec.words import Word
from ltu.text_files import read_cells


@dataclass(frozen=True)
class Found:
    """A word's segments (YouTube ids); `total` carry its label, `besides` is what else is heard most."""

    label: str
    total: int
    segments: tuple[str, ...]
    with_children: bool
    besides: tuple[str, ...]


def find_segments(table: Path, words: Iterable[Word]) -> list[Found]:
    """For each word, in their order. Raises Error for a line that is not YTID, start, end, labels."""
    ontology, words = audioset(), list(words)
    own = {word.label for word in words}
    above = {label: ontology.ancestors(label) | {label} for label in own}
    below = {label: ontology.descendants(label) - own for label in own}
    alone: dict[str, list[str]] = defaultdict(list)
    children: dict[str, list[str]] = defaultdict(list)
    total: Counter[str] = Counter()
    besides: dict[str, Counter[str]] = defaultdict(Counter)
    for id, labels in _segments(table):
        for label in labels & own:
            total[label] += 1
            others = labels - above[label]
            besides[label].update(others - below[label])
            if not others:
                alone[label].append(id)
            elif others <= below[label]:
                children[label].append(id)
    return [
        Found(
            label,
            total[label],
            tuple(alone[label] or children[label]),
            not alone[label] and bool(children[label]),
            tuple(name for name, _ in besides[label].most_common(2)),
        )
        for label in (word.label for word in words)
    ]


def _segments(table: Path) -> Iterable[tuple[str, set[str]]]:
    nodes, name = audioset().nodes, audioset().name
    for number, row in read_cells(table, delimiter=",", comment="#"):
        if len(row) < 4:
            raise Error(f"{table}:{number}: {','.join(row)!r} is not YTID, start, end, labels")
        yield row[0], {name(id) for id in row[3].split(",") if id in nodes}
