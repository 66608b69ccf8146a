"""Questions that share a clip's positions give the loss and the gradients that they give alone."""

import pytest
import torch

from ltu.training.items.collate import Collator
from ltu.training.items.packing import Example, Group, share_beginnings
from ltu.training.model.loss import AUDIO_POSITION
from ltu.training.model.ltu import LTU

BOS, AUDIO = 0, (AUDIO_POSITION,) * 32
ONE, TWO = ("one.wav",), ("two.wav",)
PREPENDED = [
    Example((*AUDIO, BOS, 5, 6, 7, 40, 1), 36, ONE),
    Example((*AUDIO, BOS, 5, 6, 9, 9, 41, 42, 1), 37, ONE),
    Example((*AUDIO, BOS, 5, 6, 7, 43, 1), 36, ONE),
]
INTERLEAVED = [
    Example((BOS, 5, *AUDIO, 8, 9, 44, 1), 36, ONE),
    Example((BOS, 5, *AUDIO, 8, 45, 1), 35, ONE),
    Example((BOS, 5, 6, *AUDIO, 8, 46, 1), 36, ONE),
]
OTHER = [Example((*AUDIO, BOS, 5, 6, 7, 47, 1), 36, TWO)]
ALL = PREPENDED + INTERLEAVED + OTHER


def test_beginnings_are_shared_up_to_the_first_difference_and_hold_all_audio() -> None:
    groups = share_beginnings(ALL, most=6)
    assert sorted((len(group.examples), group.shared) for group in groups) == [
        (1, 0),
        (1, 0),
        (2, 34),
        (3, 35),
    ]
    assert sorted(e.ids for g in groups for e in g.examples) == sorted(e.ids for e in ALL)
    assert max(len(group.examples) for group in share_beginnings(ALL, most=2)) == 2


@pytest.mark.parametrize("answers_only", [True, False])
def test_sharing_changes_neither_loss_nor_gradients(tiny_ltu: LTU, answers_only: bool) -> None:
    sounds = {name: torch.randn(1, 32, 16) for name in ("one.wav", "two.wav")}
    collate = Collator(sounds, "encoded", BOS, answers_only, seed=0)
    tiny_ltu.train_only(["lora", "projector"])
    with torch.no_grad():  # fresh LoRA does nothing
        for name, parameter in tiny_ltu.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    losses, gradients, targets = [], [], []
    for groups in (share_beginnings(ALL, 6), [Group((example,)) for example in ALL]):
        tiny_ltu.zero_grad()
        batch = collate(groups)
        loss = tiny_ltu(**batch).loss
        loss.backward()
        losses.append(loss.detach())
        targets.append(batch["weights"].sum())
        gradients.append([p.grad.clone() for p in tiny_ltu.parameters() if p.grad is not None])
    assert targets[0] == targets[1]
    torch.testing.assert_close(losses[0], losses[1])
    for shared, alone in zip(*gradients, strict=True):
        torch.testing.assert_close(shared, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("audio", [(), AUDIO])
def test_questions_without_a_common_text_stay_alone(tiny_ltu: LTU, audio: tuple[int, ...]) -> None:
    """Without BOS the first text of a branch was predicted from the branch before it: a target too many."""
    clips = ONE if audio else ()
    examples = [
        Example((*audio, *ids), len(audio) + 3, clips) for ids in ((5, 6, 7, 40, 1), (9, 8, 7, 41, 1))
    ]
    groups = share_beginnings(examples, most=2)
    assert [len(group.examples) for group in groups] == [1, 1]
    collate = Collator({"one.wav": torch.randn(1, 32, 16)}, "encoded", None, False, seed=0)
    batch = collate(groups)
    assert batch["weights"].sum() == (10 if audio else 8)
    with torch.no_grad():
        together = tiny_ltu(**batch, num_items_in_batch=1).loss
        one, other = (tiny_ltu(**collate([group]), num_items_in_batch=1).loss for group in groups)
    torch.testing.assert_close(together, one + other)
