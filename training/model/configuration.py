"""LTU's sizes as transformers keeps them: `config.json` of a folder."""

from collections.abc import Mapping
from typing import Any

from transformers import AutoConfig, LlamaConfig, PreTrainedConfig

from ltu.training.model.encoder import EncoderConfig


class LtuConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """A language model, the encoder that it hears with, and what the weights were made of.

    text_config: of a LLaMA or a Qwen2, or its dictionary. audio_config: an EncoderConfig, or its dictionary.
    audio_token_id: of [AUDIO], beyond the embedding table; None: one above its rows. provenance: name,
    license, base_model, datasets, train_clips and train_terms, as `ltu.json` has them.
    """

    model_type = "ltu"
    sub_configs = {"text_config": AutoConfig}  # noqa: RUF012

    def __init__(
        self,
        text_config: PreTrainedConfig | Mapping[str, Any] | None = None,
        audio_config: EncoderConfig | Mapping[str, int] | None = None,
        audio_token_id: int | None = None,
        provenance: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(text_config, PreTrainedConfig):
            settings = dict(text_config or {})
            text_config = AutoConfig.for_model(settings.pop("model_type", LlamaConfig.model_type), **settings)
        if isinstance(audio_config, EncoderConfig):
            audio_config = vars(audio_config)
        self.text_config = text_config
        self.audio_config = dict(audio_config or vars(EncoderConfig()))
        self.audio_token_id = text_config.vocab_size if audio_token_id is None else audio_token_id
        self.provenance = dict(provenance or {})
        tied = {"tie_word_embeddings": text_config.tie_word_embeddings}
        super().__init__(**{**kwargs, **tied})

    @property
    def encoder(self) -> EncoderConfig:
        """Raises ValueError naming the size that can't be."""
        return EncoderConfig(**self.audio_config)
