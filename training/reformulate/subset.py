"""Which items are reformulated, and a stratified draw from them.

A draw of n is part of every larger draw with the same seed: the strata (kind and dataset) get their seats by
Webster's method, which takes none away as n grows, and within a stratum the items with the smallest hashes of
(seed, number) are taken. So the paper's 40 000 lie within its million, on any version of any library.
"""

import heapq
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np

from ltu.errors import Error
from ltu.training.reformulate.openaqa import Item, Kind, read_openaqa

Stratum = tuple[Kind, str]  # kind, dataset
PAPER: Mapping[Kind, tuple[str, ...]] = {  # section 3, "Fine-tuning Dataset"
    "label": ("as_strong_train", "as_20k"),
    "acoustic": ("as_strong_train", "as_20k"),
    "open": ("as_strong_train",),
}


@dataclass(frozen=True)
class Selection:
    """`datasets`: empty, the paper's; `limit`: None, all that qualify."""

    source: Path
    datasets: tuple[str, ...] = ()
    limit: int | None = None
    seed: int = 0

    def takes(self, item: Item) -> bool:
        return not self.refusal(item)

    def refusal(self, item: Item) -> str:
        """Why an item is left out; "" if it is not."""
        if item.kind is None:
            return "neither a classification nor an open question"
        if item.dataset not in (self.datasets or PAPER[item.kind]):
            return "of another dataset"
        if not item.instruction.strip():
            return "without a question"
        return "" if _is_unicode(item) else "not valid Unicode"


@dataclass
class Survey:
    """The counts of a source; `thresholds` holds for each stratum the largest hash that is taken."""

    counts: Counter[Stratum] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    thresholds: dict[Stratum, int] | None = None

    @property
    def qualified(self) -> int:
        return sum(self.counts.values())

    def describe(self, selection: Selection) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.most_common())
        left_out = f"; left out: {reasons}" if reasons else ""
        return f"{selection.source}: {self.qualified} items qualify{left_out}"


def survey(selection: Selection) -> Survey:
    """One pass over the source; a limit costs 8 bytes an item that qualifies. Raises Error if none does."""
    found = Survey()
    hashes: dict[Stratum, array[int]] = {}
    for item in read_openaqa(selection.source):
        if reason := selection.refusal(item):
            found.left_out[reason] += 1
            continue
        stratum = stratum_of(item)
        found.counts[stratum] += 1
        if selection.limit is not None:
            hashes.setdefault(stratum, array("Q")).append(_hash(selection.seed, item.number))
    if not found.counts:
        raise Error(f"{found.describe(selection)}; --datasets names those to take")
    if selection.limit is not None:
        seats = apportion(found.counts, selection.limit)
        found.thresholds = {stratum: _smallest(hashes[stratum], count) for stratum, count in seats.items()}
    return found


def selected(selection: Selection, found: Survey) -> Iterator[Item]:
    """A second pass: the items that are taken, in the source's order."""
    for item in read_openaqa(selection.source):
        if selection.takes(item) and (
            found.thresholds is None
            or _hash(selection.seed, item.number) <= found.thresholds.get(stratum_of(item), -1)
        ):
            yield item


def stratum_of(item: Item) -> Stratum:
    assert item.kind
    return item.kind, item.dataset


def apportion(counts: Mapping[Stratum, int], seats: int) -> dict[Stratum, int]:
    """Webster's (Sainte-Laguë's) method; no stratum gets more than it has."""
    given = dict.fromkeys(counts, 0)
    queue = [(-float(count), stratum) for stratum, count in counts.items()]
    heapq.heapify(queue)
    for _ in range(min(seats, sum(counts.values()))):
        _, stratum = heapq.heappop(queue)
        given[stratum] += 1
        if given[stratum] < counts[stratum]:
            heapq.heappush(queue, (-counts[stratum] / (2 * given[stratum] + 1), stratum))
    return given


def _hash(seed: int, number: int) -> int:
    return int.from_bytes(blake2b(f"{seed}:{number}".encode(), digest_size=8).digest(), "big")


def _smallest(hashes: "array[int]", count: int) -> int:
    """The count-th smallest; -1 for none."""
    return int(np.partition(np.frombuffer(hashes, np.uint64), count - 1)[count - 1]) if count else -1


def _is_unicode(item: Item) -> bool:
    """Half of a surrogate pair can be written in JSON, but not in a file."""
    try:
        "".join(value for value in item.row.values() if isinstance(value, str)).encode()
    except UnicodeEncodeError:
        return False
    return True
