"""Next-token cross-entropy with a term for every *target* that is text."""

import torch
import torch.nn.functional as F
from torch import Tensor

AUDIO_POSITION = -1  # an id that says: an audio embedding stands here
IGNORED = -100


def text_labels(ids: Tensor, lengths: Tensor, bos_id: int | None) -> Tensor:
    """Ids [batch, positions] (right-padded, AUDIO_POSITION for audio) → labels of the same shape.

    Audio, padding and BOS are no targets: the last audio position predicts the word after it, nothing
    predicts audio, and in the prepended format nothing predicts BOS. BOS is known by its place, the first of
    the text: the same id later is a target, since some vocabularies end a text with the token that begins it.
    """
    padding = torch.arange(ids.shape[1], device=ids.device) >= lengths[:, None]
    untrained = padding | (ids == AUDIO_POSITION)
    if bos_id is not None:
        text = (ids != AUDIO_POSITION).cumsum(1)
        untrained |= (ids == bos_id) & (text == 1)
    untrained[:, 0] = True  # nothing stands before it
    return ids.masked_fill(untrained, IGNORED)


def next_token_loss(
    logits: Tensor, targets: Tensor, weights: Tensor, target_tokens: Tensor | int | None = None
) -> Tensor:
    """Logits [n, vocabulary] and targets [n] → the sum of the terms divided by `target_tokens`.

    `weights` [n] says how often each target counts. `target_tokens` counts the targets of the global batch
    (all processes and accumulated steps); left out, this batch is the whole.
    """
    total = (F.cross_entropy(logits.float(), targets, reduction="none") * weights).sum()
    return total / (weights.sum() if target_tokens is None else target_tokens)
