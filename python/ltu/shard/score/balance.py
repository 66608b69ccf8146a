"""Whether a model that does not listen has J 0 on questions, and the part of them on which it has."""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence

from ltu.shard.score.scored import Scored

Unit = tuple[str, int | str]  # ("clip", id) or ("term", text)


def units(s: Scored) -> tuple[Unit, Unit]:
    return ("clip", s.asked.clip), ("term", s.asked.term)


def surplus(asked: Sequence[Scored]) -> Counter[Unit]:
    """How many more right than wrong terms each clip has, and right than wrong clips each term, if any."""
    found: Counter[Unit] = Counter()
    for s in asked:
        for unit in units(s):
            found[unit] += 1 if s.asked.expected else -1
    return Counter({unit: count for unit, count in found.items() if count})


def is_balanced(asked: Sequence[Scored]) -> bool:
    """Whether answers that depend on the term alone have J 0."""
    return bool(asked) and not any(kind == "term" for kind, _ in surplus(asked))


def balanced_part(asked: Sequence[Scored]) -> list[Scored]:
    """Questions left when every clip and term has as many right as wrong ones; few are given up for it.

    Giving up a question moves a surplus from its clip to its term, or back; each time those along the
    shortest way to where it ends are given up.
    """
    kept = dict(enumerate(asked))
    while more := surplus(list(kept.values())):
        start = next(iter(more))
        for index in _way(kept, start, more):
            del kept[index]
    return list(kept.values())


def _way(kept: Mapping[int, Scored], start: Unit, more: Mapping[Unit, int]) -> list[int]:
    """Questions from a clip or term with a surplus to one that has it, too, or the opposite one."""
    at: dict[Unit, list[int]] = defaultdict(list)
    for index, s in kept.items():
        for unit in units(s):
            at[unit].append(index)
    first = (start, more[start] > 0)
    came: dict[tuple[Unit, bool], tuple[tuple[Unit, bool], int] | None] = {first: None}
    queue = deque([first])
    while queue:
        here = queue.popleft()
        unit, right = here
        for index in at[unit]:
            s = kept[index]
            if s.asked.expected is not right:
                continue
            (other,) = (each for each in units(s) if each != unit)
            if other != start and more.get(other, 0) * (1 if right else -1) > 0:
                return _back(came, here, [index])
            if (other, not right) not in came:
                came[other, not right] = (here, index)
                queue.append((other, not right))
    return [next(index for index in at[start] if kept[index].asked.expected is first[1])]


def _back(
    came: Mapping[tuple[Unit, bool], tuple[tuple[Unit, bool], int] | None],
    here: tuple[Unit, bool],
    way: list[int],
) -> list[int]:
    while (step := came[here]) is not None:
        here, index = step
        way.append(index)
    return list(dict.fromkeys(way))
