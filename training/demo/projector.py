"""A projector to start from: each clip is mapped near the words that name it, before any language training.

Ridge regression from the encoder's normalised outputs to the mean embedding of the label's tokens: the
language model then meets audio that resembles words it knows, and only has to learn to answer about it.
"""

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from ltu.defaults import LAYER_NORM_EPSILON, PROJECTOR_DIVISOR
from ltu.training.model.ltu import LTU

RIDGE = 1e-2  # per row, relative to the normalised inputs' unit variance


@torch.no_grad()
def fit_projector(model: LTU, encoded: list[Tensor], words: list[str], tokenizer: Tokenizer) -> None:
    """Encoder outputs [views, 32, width] and words for each clip → the projector's weight and bias."""
    table = model.llama.get_input_embeddings().weight
    targets = torch.stack([table[tokenizer.encode(f" {word}").ids].mean(0) for word in words])
    scaled = torch.stack(encoded) / PROJECTOR_DIVISOR
    inputs = F.layer_norm(scaled, scaled.shape[-1:], eps=LAYER_NORM_EPSILON)
    x = torch.cat([inputs, torch.ones_like(inputs[..., :1])], -1).flatten(0, 2).double()
    y = targets.repeat_interleave(len(x) // len(targets), 0).double()
    penalty = RIDGE * len(x) * torch.eye(x.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(x.T @ x + penalty, x.T @ y).float()
    linear = model.audio_proj[1]
    assert isinstance(linear, nn.Linear)
    linear.weight.copy_(solution[:-1].T)
    linear.bias.copy_(solution[-1])
