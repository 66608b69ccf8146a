"""The loss against a computation by hand, target by target, and gradients only where they belong."""

import math

import pytest
import torch
from torch import Tensor

from ltu.training.model.loss import AUDIO_POSITION, IGNORED, next_token_loss, text_labels
from ltu.training.model.ltu import LTU

BOS, A = 0, AUDIO_POSITION
PREPENDED = [A, A, BOS, 7, 8, 9]
INTERLEAVED = [BOS, 7, A, A, 8, 9]
AUDIO_FIRST = [BOS, A, A, 7, 8, 9]


def by_hand(logits: Tensor, targets: dict[int, int]) -> float:
    """Sum of -log p(target) over {position that predicts: target}, in plain Python."""
    total = 0.0
    for position, target in targets.items():
        row = [float(value) for value in logits[position]]
        total += math.log(sum(math.exp(value) for value in row)) - row[target]
    return total


@pytest.mark.parametrize(
    ("ids", "terms"),
    [
        (PREPENDED, {2: 7, 3: 8, 4: 9}),  # nothing predicts audio or BOS
        (INTERLEAVED, {0: 7, 3: 8, 4: 9}),  # the last audio position predicts the word after it
        (AUDIO_FIRST, {2: 7, 3: 8, 4: 9}),
    ],
)
def test_loss_equals_the_sum_by_hand_over_text_targets(ids: list[int], terms: dict[int, int]) -> None:
    logits = torch.randn(len(ids), 12, generator=torch.Generator().manual_seed(1))
    labels = text_labels(torch.tensor([ids]), torch.tensor([len(ids)]), BOS)
    assert {p: t for p, t in enumerate(labels[0, 1:].tolist()) if t != IGNORED} == terms
    loss = next_token_loss(logits[:-1], labels[0, 1:], (labels[0, 1:] != IGNORED).long())
    assert float(loss) == pytest.approx(by_hand(logits, terms) / len(terms), rel=1e-5)


@pytest.mark.parametrize(
    ("ids", "ours_alone", "literal_alone"),
    [
        (PREPENDED, set(), set()),
        (INTERLEAVED, {3}, {1}),
        (AUDIO_FIRST, {2}, {0}),
    ],
)
def test_appendix_a_masks_by_input_and_differs_at_a_clips_edges_alone(
    ids: list[int], ours_alone: set[int], literal_alone: set[int]
) -> None:
    """A term counts there if the input is text: the word before a clip predicts audio, its end nothing."""
    literal = {n for n, id in enumerate(ids[:-1]) if id != A}
    labels = text_labels(torch.tensor([ids]), torch.tensor([len(ids)]), BOS)[0, 1:]
    ours = {n for n, target in enumerate(labels.tolist()) if target != IGNORED}
    assert (ours - literal, literal - ours) == (ours_alone, literal_alone)
    assert {ids[n + 1] for n in literal_alone} <= {A}  # audio: no token that a loss could name
    logits = torch.randn(len(ids), 12, generator=torch.Generator().manual_seed(2))
    total = float(next_token_loss(logits[:-1], labels, (labels != IGNORED).long(), 1))
    by_input = by_hand(logits, {n: ids[n + 1] for n in literal if ids[n + 1] != A})
    edges = by_hand(logits, {n: ids[n + 1] for n in ours_alone})
    assert total == pytest.approx(by_input + edges, rel=1e-5)


@pytest.mark.parametrize("bos", [BOS, None])
def test_an_end_with_the_id_of_bos_is_learnt(tiny_ltu: LTU, bos: int | None) -> None:
    """SmolLM2's base and GPT-2 end a text with the token that begins it; transformers is the oracle."""
    ids = torch.tensor([[BOS, 5, 6, 7, BOS]])
    labels = text_labels(ids, torch.tensor([5]), bos)
    with torch.no_grad():
        ours = tiny_ltu(ids, torch.ones_like(ids), encoded=torch.empty(0), labels=labels).loss
        theirs = tiny_ltu.llama.get_base_model()(input_ids=ids, labels=ids).loss
    torch.testing.assert_close(ours, theirs)
    prepended = torch.tensor([[A, A, BOS, 7, BOS]])
    assert text_labels(prepended, torch.tensor([5]), BOS)[0].tolist() == [IGNORED] * 3 + [7, BOS]


def test_padding_adds_no_target() -> None:
    ids = torch.tensor([[*PREPENDED, 0, 0], [*INTERLEAVED, 5, 6]])
    labels = text_labels(ids, torch.tensor([6, 8]), BOS)
    assert labels[0, 6:].tolist() == [IGNORED, IGNORED]
    assert labels[1, 6:].tolist() == [5, 6]


def test_microbatches_divided_by_the_global_count_add_up_to_the_whole_batch(tiny_ltu: LTU) -> None:
    ids = torch.tensor([[A] * 32 + [BOS, 7, 8, 9], [BOS, 7] + [A] * 32 + [8, 9]])
    short = torch.tensor([[BOS] + [A] * 32 + [9]])
    encoded = torch.randn(3, 32, 16)
    padded = torch.cat([ids, torch.nn.functional.pad(short, (0, 2))])
    lengths = torch.tensor([36, 36, 34])
    labels = text_labels(padded, lengths, BOS)
    mask = (torch.arange(36) < lengths[:, None]).long()
    whole = tiny_ltu(padded, mask, encoded=encoded, labels=labels).loss
    count = int((labels != IGNORED).sum())
    parts = tiny_ltu(ids, mask[:2], encoded=encoded[:2], labels=labels[:2], num_items_in_batch=count).loss
    parts += tiny_ltu(
        short, mask[2:, :34], encoded=encoded[2:], labels=labels[2:, :34], num_items_in_batch=count
    ).loss
    torch.testing.assert_close(parts, whole)


def test_right_padding_changes_no_logit(tiny_ltu: LTU) -> None:
    ids, encoded = torch.tensor([[BOS, 7] + [A] * 32 + [8, 9]]), torch.randn(1, 32, 16)
    alone = tiny_ltu(ids, torch.ones_like(ids), encoded=encoded).logits
    padded = torch.nn.functional.pad(ids, (0, 5))
    mask = (torch.arange(41) < 36).long()[None]
    torch.testing.assert_close(tiny_ltu(padded, mask, encoded=encoded).logits[:, :36], alone)


def test_several_clips_fill_their_places_in_order(tiny_ltu: LTU) -> None:
    ids = torch.tensor([[BOS] + [A] * 32 + [7] + [A] * 32])
    encoded = torch.randn(2, 32, 16)
    spliced = tiny_ltu.splice(ids, encoded)[0]
    torch.testing.assert_close(spliced[1:33], tiny_ltu.project(encoded)[0])
    torch.testing.assert_close(spliced[34:], tiny_ltu.project(encoded)[1])


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        (["lora"], ["lora_"]),
        (["projector"], ["audio_proj"]),
        (["lora", "encoder"], ["lora_", "audio_encoder"]),
    ],
)
def test_gradients_flow_only_into_what_is_named(tiny_ltu: LTU, parts: list[str], names: list[str]) -> None:
    tiny_ltu.train_only(parts)
    ids = torch.tensor([[A] * 32 + [BOS, 7, 8]])
    labels = text_labels(ids, torch.tensor([35]), BOS)
    loss = tiny_ltu(ids, torch.ones_like(ids), features=torch.randn(1, 1024, 128), labels=labels).loss
    loss.backward()
    for name, parameter in tiny_ltu.named_parameters():
        assert (parameter.grad is not None) == any(part in name for part in names), name
