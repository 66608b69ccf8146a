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

from ltu.training.model.loss import AUDIO_POSITION


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


def share_beginnings(examples: Sequence[Example], most: int) -> list[Group]:
    """Groups of at most `most` examples, whose common beginning holds all audio and some text.

    It ends before any answer begins. Examples that have no such beginning stay alone: the first text of a
    branch would be predicted from the branch before it, and BOS would be a target.
    """
    groups: list[Group] = []
    for example in sorted(examples, key=lambda e: (e.audio, e.ids)):
        group = groups[-1] if groups else None
        if group and len(group.examples) < most and group.examples[0].audio == example.audio:
            first = group.examples[0]
            ends = min(e.prompt - 1 for e in (*group.examples, example))
            alike = takewhile(lambda pair: pair[0] == pair[1], zip(first.ids, example.ids, strict=False))
            shared = min(len(list(alike)), ends, group.shared or ends)
            text = any(id != AUDIO_POSITION for id in first.ids[:shared])
            if text and AUDIO_POSITION not in first.ids[shared:] + example.ids[shared:]:
                groups[-1] = Group((*group.examples, example), shared)
                continue
        groups.append(Group((example,)))
    return groups


def positions(group: Group) -> int:
    return group.shared + sum(len(example.ids) - group.shared for example in group.examples)


@dataclass(frozen=True)
class Layout:
    """A group as one sequence, all [length]."""

    ids: Tensor
    positions: Tensor
    branch: Tensor  # 0 for what is shared
    answer: Tensor  # whether it belongs to an answer
    before: Tensor  # the place of what predicts it
    weight: Tensor  # how often it counts as a target


def lay_out(group: Group) -> Layout:
    first, shared = group.examples[0], group.shared
    ids, positions, branch = list(first.ids[:shared]), list(range(shared)), [0] * shared
    answer, before, weight = [False] * shared, list(range(-1, shared - 1)), [len(group.examples)] * shared
    for number, example in enumerate(group.examples, 1):
        length, start = len(example.ids), len(ids)
        ids += example.ids[shared:]
        positions += range(shared, length)
        branch += [number] * (length - shared)
        answer += [position >= example.prompt for position in range(shared, length)]
        before += [shared - 1, *range(start, start + length - shared - 1)]
        weight += [1] * (length - shared)
    return Layout(*map(torch.tensor, (ids, positions, branch, answer, before, weight)))


def visible(branch: Tensor) -> Tensor:
    """Branches [batch, positions] (negative: padding) → who sees whom [batch, 1, positions, positions]."""
    same = branch[:, :, None] == branch[:, None, :]
    causal = torch.ones_like(same).tril()
    return ((same | (branch[:, None, :] == 0)) & causal)[:, None]
