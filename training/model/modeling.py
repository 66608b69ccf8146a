"""LTU as transformers has models: encoder, projector and a LLaMA, audio spliced in between the words.

Parameters have the names of an LTU checkpoint, whose code put encoder and projector into the LLaMA, too.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from ltu import defaults
from ltu.training.model.base import LanguageModel
from ltu.training.model.configuration import LtuConfig
from ltu.training.model.encoder import AudioEncoder, EncoderConfig
from ltu.training.model.loss import IGNORED


class LtuForConditionalGeneration(PreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]
    """Answers prompts about clips, any number of them at any place."""

    config: LtuConfig
    config_class = LtuConfig
    base_model_prefix = "model"
    input_modalities = ["audio", "text"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012
    _no_split_modules = ["LlamaDecoderLayer", "Qwen2DecoderLayer", "Block"]  # noqa: RUF012
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True

    def __init__(self, config: LtuConfig, language_model: LanguageModel | None = None) -> None:
        """language_model: becomes part of this one, with its weights; None: a random one."""
        super().__init__(config)
        llama = language_model
        if llama is None:
            llama = AutoModelForCausalLM.from_config(config.text_config)  # type: ignore[no-untyped-call]
        assert isinstance(llama, LanguageModel)
        self.model, self.lm_head = llama.model, llama.lm_head
        self.model.audio_encoder = AudioEncoder(config.encoder)
        self.model.audio_proj = nn.Sequential(
            nn.LayerNorm(config.encoder.width, eps=defaults.LAYER_NORM_EPSILON, elementwise_affine=False),
            nn.Linear(config.encoder.width, config.text_config.hidden_size),
        )
        if not self.lm_head.weight.is_meta:  # there are weights: post_init would draw them anew
            for module in self.modules():
                module._is_hf_initialized = True  # type: ignore[assignment]
        self.post_init()  # type: ignore[no-untyped-call]

    @classmethod
    def hearing(cls, language_model: LanguageModel, encoder: EncoderConfig) -> "LtuForConditionalGeneration":
        """A language model with new ears. It becomes part of the result, which computes in its type."""
        attention = language_model.config._attn_implementation
        config = LtuConfig(language_model.config, encoder, attn_implementation=attention)
        ltu = cls(config, language_model)
        ltu.generation_config = language_model.generation_config
        return ltu

    def project(self, encoded: Tensor) -> Tensor:
        """Encoder output [clips, 32, width] → embeddings [clips, 32, hidden size]."""
        return self.model.audio_proj(encoded / defaults.PROJECTOR_DIVISOR)  # type: ignore[no-any-return]

    def splice(self, words: Tensor, audio: Tensor, encoded: Tensor) -> Tensor:
        """Ids [batch, positions] → inputs [batch, positions, hidden size].

        Where `audio` [batch, positions] is true, projected clips stand in place of words: `encoded` [clips,
        32, width] in their order, several clips per row included.
        """
        embedded: Tensor = self.model.embed_tokens(words.masked_fill(audio, 0))
        return embedded.masked_scatter(audio[..., None], self.project(encoded).to(embedded.dtype))

    def embed(self, input_ids: Tensor, input_features: Tensor | None = None) -> Tensor:
        """LtuProcessor's ids and features [clips, frames, mels] → inputs [batch, positions, hidden size].

        Raises ValueError when they don't go together.
        """
        audio = input_ids == self.config.audio_token_id
        clips = 0 if input_features is None else len(input_features)
        places, each = int(audio.sum()), self.config.encoder.embeddings
        if places != clips * each:
            raise ValueError(
                f"input_ids hold {places} audio positions and {clips} clips need {clips * each}; give the "
                "input_features that LtuProcessor returned with them"
            )
        if input_features is None:
            return self.model.embed_tokens(input_ids)  # type: ignore[no-any-return]
        encoder = self.model.audio_encoder
        return self.splice(input_ids, audio, encoder(input_features.to(encoder.modality_a.dtype)))

    def forward(
        self,
        input_ids: Tensor | None = None,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [batch, positions, vocabulary]; with `labels` their mean cross-entropy.

        labels: [batch, positions], of which -100 and audio positions are no targets. kwargs: of the language
        model, its cache among them. Raises ValueError when ids and features don't go together.
        """
        if inputs_embeds is None:
            assert input_ids is not None, "forward needs input_ids or inputs_embeds"
            inputs_embeds = self.embed(input_ids, input_features)
        counted = {"num_items_in_batch": kwargs.pop("num_items_in_batch", None)}
        kwargs.pop("return_dict", None)
        output = self.model(
            inputs_embeds=inputs_embeds, attention_mask=attention_mask, position_ids=position_ids, **kwargs
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(output.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            words = labels.masked_fill(labels == self.config.audio_token_id, IGNORED)
            rows = self.config.text_config.vocab_size
            loss = self.loss_function(logits=logits, labels=words, vocab_size=rows, **counted)
        rest = {name: value for name, value in output.items() if name != "last_hidden_state"}
        return CausalLMOutputWithPast(loss=loss, logits=logits, **rest)

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor | None = None,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """As transformers generates, with LTU's sampling where the folder says nothing else.

        Each clip is encoded once, however many answers are drawn. The repetition penalty counts the words of
        the prompt and of the answer, so neither clips nor padding change an answer.
        """
        ids = kwargs.pop("input_ids", inputs)
        if ids is None or "inputs_embeds" in kwargs:
            return super().generate(ids, attention_mask=attention_mask, **kwargs)
        if attention_mask is None:
            attention_mask = torch.ones_like(ids)
        made = super().generate(
            self._words_alone(ids, attention_mask),
            inputs_embeds=self.embed(ids, input_features),
            attention_mask=attention_mask,
            **kwargs,
        )
        sequences = made if isinstance(made, Tensor) else made.sequences
        sequences[:, : ids.shape[1]] = ids.repeat_interleave(len(sequences) // len(ids), 0)
        return made

    def _words_alone(self, ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Ids with a row's first word where audio or padding stands: the same set of words in each row."""
        words = (ids != self.config.audio_token_id) & attention_mask.bool()
        first = ids.gather(1, words.int().argmax(1, keepdim=True))
        return torch.where(words, ids, first)
