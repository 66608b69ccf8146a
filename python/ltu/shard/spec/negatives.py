"""Questions whose answer is no, such that a model that does not listen gains nothing.

Every term is asked of as many wrong clips as right ones and every clip gets as many wrong terms as right
ones. So answers that depend on the term alone, or on the clip alone, are "yes" equally often on both sides:
Youden's J is exactly 0.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar


class Positive(NamedTuple):
    """A question whose answer is yes. `term_word` is the label that the term was asked for."""

    clip: int
    term: str
    term_word: str


Asker = TypeVar("Asker", bound=Hashable)
Taker = TypeVar("Taker", bound=Hashable)
Pairs = list[tuple[int, str]]  # clip, term
Allowed = Callable[[int, str], bool]


def balanced(
    positives: Sequence[Positive], allowed: Allowed, rng: random.Random
) -> tuple[list[Positive], Pairs]:
    """One negative for each positive, balanced by term and by clip, no pair twice.

    Where that is not possible for all positives, the largest part that the search finds is kept: returns the
    positives that have their negatives, and these.
    """
    kept = list(positives)
    rng.shuffle(kept)
    while kept:
        demand = Counter(p.term for p in kept)
        spare = Counter(p.clip for p in kept)
        pairs = assign(demand, spare, allowed, rng)
        spare.subtract(clip for clip, _ in pairs)
        missing = demand - Counter(term for _, term in pairs)
        if not missing:
            return sorted(kept), sorted(pairs)
        for term, count in missing.items():  # give up a clip that has room, so that both sides shrink
            own = sorted((p for p in kept if p.term == term), key=lambda p: -spare[p.clip])
            for positive in own[:count]:
                kept.remove(positive)
                spare[positive.clip] -= 1
    return [], []


def per_clip(positives: Sequence[Positive], allowed: Allowed, rng: random.Random) -> Pairs:
    """As many negatives as positives for every clip, as in the paper's Table 2, terms as even as can be."""
    demand = Counter(p.clip for p in sorted(positives))
    capacity = Counter(p.term for p in positives)
    while True:
        pairs = assign(demand, capacity, lambda term, clip: allowed(clip, term), rng)
        missing = sum(demand.values()) - len(pairs)
        if not missing or min(capacity.values()) > len(demand):
            return sorted((clip, term) for term, clip in pairs)
        for term in capacity:
            capacity[term] += 1


def assign(
    demand: Mapping[Asker, int],
    capacity: Mapping[Taker, int],
    allowed: Callable[[Taker, Asker], bool],
    rng: random.Random,
) -> list[tuple[Taker, Asker]]:
    """Maximum flow: pairs of a taker and an asker, no pair twice.

    An asker is in up to `demand` pairs, a taker in up to `capacity`; one breadth-first path a unit.
    """
    takers = {asker: [taker for taker in capacity if allowed(taker, asker)] for asker in demand}
    for each in takers.values():
        rng.shuffle(each)
    held: dict[Taker, list[Asker]] = {taker: [] for taker in capacity}
    for root in [asker for asker, count in demand.items() for _ in range(count)]:
        wanted_by: dict[Taker, Asker] = {}
        left: dict[Asker, Taker] = {}  # who would give up which taker
        queue, end = deque([root]), None
        while queue and end is None:
            asker = queue.popleft()
            for taker in takers[asker]:
                if taker in wanted_by or asker in held[taker]:
                    continue
                wanted_by[taker] = asker
                if len(held[taker]) < capacity[taker]:
                    end = taker
                    break
                for other in held[taker]:
                    if other != root and other not in left:
                        left[other] = taker
                        queue.append(other)
        while end is not None:
            asker = wanted_by[end]
            held[end].append(asker)
            end = left.get(asker) if asker != root else None
            if end is not None:
                held[end].remove(asker)
    return [(taker, asker) for taker, askers in held.items() for asker in askers]
