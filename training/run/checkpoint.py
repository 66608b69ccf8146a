"""The checkpoint that a run leaves: `ltu.safetensors` (trained tensors alone) and `ltu.json` (about them)."""

import math
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ltu.errors import Error, ModelFileError
from ltu.files import replacing
from ltu.training.config import Config
from ltu.training.model.base import Base
from ltu.training.model.ltu import LTU, load_trained, trained_tensors
from ltu.training.run.description import BaseModel, Description, read_description


def save_checkpoint(
    folder: Path, model: LTU, config: Config, base: Base, clips: Collection[str], terms: Collection[str]
) -> None:
    """`clips` and `terms`: hashes of all clips trained on and terms asked about, earlier runs' included."""
    tensors = {name: tensor.half().contiguous() for name, tensor in trained_tensors(model).items()}
    if wrong := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise Error(
            f"{folder}: nothing is written: {wrong[0]} holds what is no number of float16 ({len(wrong)} of "
            f"{len(tensors)} tensors do); lower train.learning_rate"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "ltu.safetensors") as draft:
        save_file(tensors, draft)
    description = Description(
        name=config.name,
        license=config.license,
        encoder=config.encoder,
        lora=config.lora,
        base_model=BaseModel(
            config.base.source.name, config.base.source.url, base.sha256, config.base.source.license
        ),
        prompt_template=config.base.template,
        bos=config.base.bos,
        datasets=config.data.datasets,
        train_clips=tuple(sorted(set(clips))),
        train_terms=tuple(sorted(set(terms))),
    )
    description.write(folder)


def check_scale(scale: float, model: LTU, where: Path) -> None:
    """Raises ModelFileError when LoRA was trained with another scale than the model's."""
    own = model.lora.alpha / model.lora.r
    if not math.isclose(scale, own):
        raise ModelFileError(
            f"{where}: its LoRA counts α / r = {scale:g}, this run's {own:g}; set lora.alpha to fit"
        )


def load_checkpoint(folder: Path, model: LTU) -> Description:
    """Fills the model; returns the description. Raises ModelFileError.

    The LoRA must count as much here as it did there.
    """
    try:
        description = read_description(folder)
        tensors: dict[str, torch.Tensor] = load_file(folder / "ltu.safetensors")
    except Exception as error:  # safetensors has no error class of its own for a broken file
        raise ModelFileError(f"{folder}: is not a training output of ours: {error}") from None
    load_trained(model, tensors, str(folder / "ltu.safetensors"))
    check_scale(description.lora.alpha / description.lora.r, model, folder / "ltu.json")
    return description
