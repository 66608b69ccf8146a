"""Identity: which AudioSet labels an answer names."""

import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

from ltu.readings.letters import plain
from ltu.shard.spec.ontology import audioset, label_parts


def named(text: str, names: Iterable[str]) -> list[str]:
    """Names that stand in the text as whole words, case-insensitive, in order of their place.

    The longest are looked for first, and each part of the text is used once.
    """
    text = plain(text)
    free = [True] * len(text)
    folded = text.casefold() if len(text.casefold()) == len(text) else text.lower()
    found = []
    for name in _longest_first(frozenset(names)):
        if name.casefold() not in folded:
            continue
        for match in _whole(name).finditer(text):
            if all(free[match.start() : match.end()]):
                free[match.start() : match.end()] = [False] * (match.end() - match.start())
                found.append((match.start(), name))
    return [name for _, name in sorted(found)]


@cache
def _longest_first(names: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: (-len(name), name)))


@cache
def _whole(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)


@lru_cache(maxsize=1 << 14)
def labels_named(text: str) -> tuple[str, ...]:
    """AudioSet labels whose whole canonical string is in the text."""
    return tuple(named(text, audioset().labels))


def names_label(text: str, label: str) -> bool:
    """Strict: the whole canonical string, not as a part of a longer label."""
    return label in labels_named(text)


def names_part(text: str, label: str) -> bool:
    """Lenient: one of the label's comma parts is enough."""
    parts = [part for part in label_parts(label) if part]
    return bool({*named(text, [*audioset().labels, *parts])} & {label, *parts})


def relatives(label: str) -> frozenset[str]:
    """Labels above, below or beside a label."""
    ontology = audioset()
    return frozenset(ontology.ancestors(label) | ontology.descendants(label) | ontology.siblings(label))


def right_labels(label: str) -> frozenset[str]:
    """What may be said of a clip that holds this sound alone: the label and those above it."""
    return frozenset({label, *audioset().ancestors(label)})


def precision(lists: Sequence[Sequence[str]], label: str) -> tuple[int, int]:
    """(labels named that are right, labels named) over the answers about one clip."""
    right = right_labels(label)
    return sum(name in right for names in lists for name in names), sum(map(len, lists))
