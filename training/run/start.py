"""Weights that a run starts from: a checkpoint of ours, a file of the original LTU, or CAV-MAE's encoder."""

from pathlib import Path

import torch
from torch import Tensor

from ltu.convert.checkpoint import read_weights
from ltu.convert.lora import read_settings
from ltu.convert.ltu_part import LORA
from ltu.convert.names import UNUSED_AUDIO, bare
from ltu.training.config import TrainConfig
from ltu.training.model.ltu import LTU, fill, load_trained
from ltu.training.run.checkpoint import check_scale, load_checkpoint
from ltu.training.run.description import Description


def load_start(config: TrainConfig, model: LTU) -> Description | None:
    """Fills the model; returns the description of a checkpoint of ours. Raises ModelFileError."""
    if config.checkpoint and config.checkpoint.is_dir():
        return load_checkpoint(config.checkpoint, model)
    if config.checkpoint:
        tensors = {bare(name): tensor for name, tensor in _tensors(config.checkpoint).items()}
        used = {name: tensor for name, tensor in tensors.items() if not UNUSED_AUDIO.fullmatch(name)}
        load_trained(model, used, str(config.checkpoint))
        settings = read_settings(config.checkpoint)
        for module in {match[1] for name in used if (match := LORA.fullmatch(name))}:
            check_scale(settings.scale(module, model.lora.r), model, config.checkpoint)
    elif config.encoder_weights:
        own = dict(model.audio_encoder.named_parameters())
        tensors = {name.removeprefix("module."): t for name, t in _tensors(config.encoder_weights).items()}
        # the file also holds the video branch and the decoder
        fill(own, {name: t for name, t in tensors.items() if name in own}, str(config.encoder_weights))
    return None


def _tensors(path: Path) -> dict[str, Tensor]:
    """Weights of a file in float32; nothing in a pickle is run."""
    return {
        name: torch.from_numpy(tensor.float32()).view(tensor.shape)
        for name, tensor in read_weights(path).items()
    }
