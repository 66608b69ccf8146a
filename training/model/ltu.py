"""LTU in PyTorch: encoder, projector and a language model with LoRA, audio spliced in between the words."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers.modeling_outputs import CausalLMOutput

from ltu import defaults
from ltu.checks import at_most
from ltu.errors import ModelFileError
from ltu.training.model.base import LanguageModel
from ltu.training.model.encoder import AudioEncoder, EncoderConfig
from ltu.training.model.loss import AUDIO_POSITION, IGNORED, next_token_loss
from ltu.training.model.modeling import LtuForConditionalGeneration

PARTS = {
    "encoder": "audio_encoder.",
    "projector": "audio_proj.",
    "lora": "lora_",
}  # part of a parameter's name

MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")  # of a block


@dataclass(frozen=True)
class LoraSizes:
    r: int = defaults.LORA_RANK
    alpha: int = defaults.LORA_ALPHA
    targets: tuple[str, ...] = defaults.LORA_TARGETS
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError naming the key."""
        if self.r < 1 or not 0 < self.alpha < math.inf:
            raise ValueError(f"{'r' if self.r < 1 else 'alpha'}: must be above 0")
        at_most(self, r=4096, alpha=65536)
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout: must be from 0 to below 1")
        if unknown := sorted(set(self.targets) - set(MATRICES)):
            raise ValueError(f"targets: {unknown[0]!r} can't have LoRA; there are {', '.join(MATRICES)}")


class LTU(nn.Module):
    """Names without the `llama.` prefix are those of an LTU checkpoint; see `trained_tensors`."""

    accepts_loss_kwargs = True  # the Trainer then passes the global batch's number of targets

    def __init__(self, base: LanguageModel, encoder: EncoderConfig, lora: LoraSizes) -> None:
        super().__init__()
        self.lora = lora
        ltu = LtuForConditionalGeneration.hearing(base, encoder)
        self.audio_encoder: AudioEncoder = ltu.model.audio_encoder
        self.audio_proj: nn.Sequential = ltu.model.audio_proj  # here: names and order of older checkpoints
        self.llama = get_peft_model(
            ltu,
            LoraConfig(
                r=lora.r,
                lora_alpha=lora.alpha,
                lora_dropout=lora.dropout,
                target_modules=list(lora.targets),
                task_type="CAUSAL_LM",
            ),
        )
        self.train_only(tuple(PARTS))

    @property
    def whole(self) -> LtuForConditionalGeneration:
        """The model with ears, LoRA inside of it."""
        ltu = self.llama.get_base_model()
        assert isinstance(ltu, LtuForConditionalGeneration)
        return ltu

    def train_only(self, parts: Sequence[str]) -> None:
        """Lets gradients flow into the named PARTS alone."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad = any(PARTS[part] in name for part in parts)

    def checkpoint_gradients(self) -> None:
        """Computes each block again in the backward pass, in place of keeping what is inside of it."""
        self.whole.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[no-untyped-call]
        self.audio_encoder.recompute = True

    def project(self, encoded: Tensor) -> Tensor:
        """Encoder output [clips, 32, width] → embeddings [clips, 32, hidden size]."""
        return self.whole.project(encoded)

    def splice(self, ids: Tensor, encoded: Tensor) -> Tensor:
        """Ids [batch, positions] with AUDIO_POSITION where audio stands → inputs [batch, positions, hidden].

        `encoded` [clips, 32, width] fills the audio positions in order, several clips per example included.
        """
        return self.whole.splice(ids, ids == AUDIO_POSITION, encoded)

    def forward(
        self,
        ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor | None = None,
        features: Tensor | None = None,
        encoded: Tensor | None = None,
        labels: Tensor | None = None,
        before: Tensor | None = None,
        weights: Tensor | None = None,
        at: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> CausalLMOutput:
        """Right-padded batch; clips as features [clips, 1024, 128], or `encoded` while the encoder rests.

        `attention_mask` is [batch, positions], or [batch, 1, positions, positions] saying who sees whom.

        With `labels` (IGNORED where nothing is learnt) logits are made for the targets alone, with `at`
        [batch, positions] for the places that it marks: [n, vocabulary], row by row. `before` [batch,
        positions] is the place whose logits predict a label, by default the one to its left; `weights`
        [batch, positions] says how often a label counts, by default once.
        """
        sizes = self.audio_encoder.config
        if encoded is None:
            assert features is not None, "a batch needs features or encoded clips"
            encoded = self.audio_encoder(features.view(-1, sizes.frames, sizes.mels))
        # a batch without clips goes the same way: every trained tensor has a gradient in every process
        encoded = encoded.view(-1, sizes.embeddings, sizes.width)
        llama = self.whole
        hidden = llama.model(
            inputs_embeds=self.splice(ids, encoded),
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=False,
        ).last_hidden_state
        if at is not None:
            hidden = hidden[at]
        if labels is None:
            return CausalLMOutput(logits=llama.lm_head(hidden))
        if before is None:
            places = torch.arange(labels.shape[1], device=labels.device)
            before = (places - 1).clamp(min=0).expand_as(labels)
        learnt = labels != IGNORED
        row, _ = learnt.nonzero(as_tuple=True)
        logits = llama.lm_head(hidden[row, before[learnt]])
        counted = torch.ones_like(row) if weights is None else weights[learnt]
        loss = next_token_loss(logits, labels[learnt], counted, num_items_in_batch)
        return CausalLMOutput(loss=loss, logits=logits)


def trained_tensors(model: LTU) -> dict[str, Tensor]:
    """The tensors of `ltu.safetensors`: encoder, projector, LoRA, under the original LTU's bare names."""
    return {name: parameter.detach() for name, parameter in _named(model)}


def load_trained(model: LTU, tensors: Mapping[str, Tensor], source: str) -> None:
    """The reverse of `trained_tensors`. Raises ModelFileError."""
    fill(dict(_named(model)), tensors, source)


def fill(own: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor], source: str) -> None:
    """Copies tensors into parameters. Raises ModelFileError naming each missing, extra or wrong tensor."""
    problems = [f"{name} is missing" for name in own.keys() - tensors.keys()]
    problems += [f"{name} is not of this model" for name in tensors.keys() - own.keys()]
    problems += [
        f"{name} has shape {list(tensors[name].shape)}, the model's is {list(own[name].shape)}"
        for name in own.keys() & tensors.keys()
        if own[name].shape != tensors[name].shape
    ]
    if problems:
        raise ModelFileError(f"{source}: {'; '.join(sorted(problems))}")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(tensors[name])


def _named(model: LTU) -> Iterator[tuple[str, nn.Parameter]]:
    for name, parameter in model.named_parameters():
        if any(part in name for part in PARTS.values()):
            bare = name.replace("llama.base_model.model.", "").replace(".default.", ".")
            yield (bare if bare.startswith("model.") else f"model.{bare}"), parameter
