"""Questions about one clip share its positions: a small prefix tree in place of a padded batch.

The 32 audio positions are half of a short question. Examples about the same clip whose ids begin alike become
one sequence: the common beginning once, then a branch for each. A branch sees the beginning and itself, and
counts its positions from the beginning's end, so every logit is the one that the example alone would give.
What a shared position predicts counts once for each example.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from .loss import AUDIO_POSITION


@dataclass(frozen=True)
class Example:
    ids: tuple[int, ...]  # AUDIO_POSITION at each of a clip's places
    prompt: int  # positions before the answer
    audio: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Examples about the same clips, the first `shared` ids of which are equal."""

    examples: tuple[Example, ...]
    shared: int = 0
    drawing: int | None = None  # which drawing of training it is; None: not training, clips as they are
    silent: bool = False  # without targets


def share_beginnings(examples: Sequence[Example], most: int, answers_only: bool) -> list[Group]:
    """Groups of at most `most` examples. What is shared holds all audio and ends before any answer begins.

    Its last position predicts something else in each branch. That is no target if answers alone are;
    otherwise each branch begins with that position.
    """
    groups: list[Group] = []
    for example in sorted(examples, key=lambda e: (e.audio, e.ids)):
        group = groups[-1] if groups else None
        if group and len(group.examples) < most and group.examples[0].audio == example.audio:
            first = group.examples[0]
            ends = min(e.prompt - 1 for e in (*group.examples, example))
            alike = takewhile(lambda pair: pair[0] == pair[1], zip(first.ids, example.ids, strict=False))
            equal = len(list(alike)) if answers_only else max(len(list(alike)) - 1, 0)
            shared = min(equal, ends, group.shared or ends)
            if AUDIO_POSITION not in first.ids[shared:] + example.ids[shared:]:
                groups[-1] = Group((*group.examples, example), shared)
                continue
        groups.append(Group((example,)))
    return groups


def positions(group: Group) -> int:
    return group.shared + sum(len(example.ids) - group.shared for example in group.examples)


def lay_out(group: Group) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(ids, positions, branch of each id with 0 for what is shared, whether it belongs to an answer, weight).

    The weight is how often an id counts as a target. The first id of a branch is predicted by what is shared,
    so it counts in the first branch for all.
    """
    beginning = group.examples[0].ids[: group.shared]
    ids, positions = list(beginning), list(range(group.shared))
    branch, answer = [0] * group.shared, [False] * group.shared
    weight = [len(group.examples)] * group.shared
    for number, example in enumerate(group.examples, 1):
        length = len(example.ids)
        ids += example.ids[group.shared :]
        positions += range(group.shared, length)
        branch += [number] * (length - group.shared)
        answer += [position >= example.prompt for position in range(group.shared, length)]
        weight += [len(group.examples) if number == 1 else 0] + [1] * (length - group.shared - 1)
    columns = (ids, positions, branch, answer, weight)
    return tuple(map(torch.tensor, columns))  # type: ignore[return-value]


def visible(branch: Tensor) -> Tensor:
    """Branches [batch, positions] (negative: padding) → who sees whom [batch, 1, positions, positions]."""
    same = branch[:, :, None] == branch[:, None, :]
    causal = torch.ones_like(same).tril()
    return ((same | (branch[:, None, :] == 0)) & causal)[:, None]
