"""A GGUF file as a model of transformers."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from ltu.convert.convert import read_ltu
from ltu.convert.llama import HUGGING_FACE
from ltu.convert.ltu_part import description_of
from ltu.convert.model import Model
from ltu.errors import ModelFileError
from ltu.sampling import Sampling
from ltu.training.model.base import config_of, state_of
from ltu.training.model.configuration import LtuConfig
from ltu.training.model.encoder import EncoderConfig
from ltu.training.model.modeling import LtuForConditionalGeneration
from ltu.training.model.processing import LtuProcessor
from ltu.training.model.settings import generation, wrapped_tokenizer

SAMPLING = ("temp", "top_k", "top_p", "penalty_repeat")


def from_gguf(path: str | PathLike[str]) -> tuple[LtuForConditionalGeneration, LtuProcessor]:
    """The model of an LTU file, weights in float32 whatever their types there, and its processor.

    Raises ModelFileError.
    """
    read = read_ltu(Path(path))
    if "rope_freqs.weight" in read.tensors:
        raise ModelFileError(f"{path}: divides its rotary frequencies, for which transformers has no setting")
    try:
        return _opened(read)
    except KeyError as error:
        raise ModelFileError(f"{path}: key {error} is missing") from None


def _opened(read: Model) -> tuple[LtuForConditionalGeneration, LtuProcessor]:
    keys, encoder = read.keys, _encoder(read.keys)
    config = LtuConfig(config_of(read), encoder, provenance=description_of(keys))
    state = state_of(read)
    for name, shape in _shapes(encoder).items():
        state[f"model.audio_encoder.{name}"] = state[f"model.audio_encoder.{name}"].view(shape)
    model = LtuForConditionalGeneration.from_pretrained(
        None, config=config, state_dict=state, dtype=torch.float32
    )
    bos, eos = keys.get("tokenizer.ggml.bos_token_id"), keys["tokenizer.ggml.eos_token_id"]
    model.generation_config = generation(
        Sampling(*(keys[f"general.sampling.{name}"] for name in SAMPLING)),
        keys["ltu.sampling.max_new_tokens"],
        bos,
        keys.get("ltu.eos_token_ids", [eos]),
    )
    tokenizer = wrapped_tokenizer(keys[HUGGING_FACE], bos, eos)
    template, begins = keys["ltu.prompt.template"], keys["ltu.prompt.bos"]
    return model, LtuProcessor(tokenizer, template, begins, encoder.frames, encoder.mels)


def _encoder(keys: Mapping[str, Any]) -> EncoderConfig:
    joint = keys["ltu.audio.joint_block_count"]
    return EncoderConfig(
        width=keys["clip.audio.embedding_length"],
        mlp=keys["clip.audio.feed_forward_length"],
        heads=keys["clip.audio.attention.head_count"],
        blocks_a=keys["clip.audio.block_count"] - joint,
        blocks_u=joint,
        patch=keys["ltu.audio.patch_size"],
        frames=keys["ltu.audio.frame_count"],
        mels=keys["clip.audio.num_mel_bins"],
    )


def _shapes(encoder: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Of the tensors that a file flattens."""
    return {
        "modality_a": (1, 1, encoder.width),
        "pos_embed_a": (1, encoder.patches, encoder.width),
        "patch_embed_a.proj.weight": (encoder.width, 1, encoder.patch, encoder.patch),
    }
