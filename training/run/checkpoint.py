"""The checkpoint that a run leaves: `ltu.safetensors` (trained tensors alone) and `ltu.json` (about them)."""

import json
import math
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ltu.defaults import MAX_NEW_TOKENS, SAMPLING
from ltu.errors import Error, ModelFileError
from ltu.files import replacing, write_json
from ltu.prompt import AUDIO
from ltu.training.config import Config
from ltu.training.model.base import Base
from ltu.training.model.ltu import LTU, load_trained, trained_tensors


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
    description = {
        "format": 1,
        "name": config.name,
        "license": config.license,
        "encoder": asdict(config.encoder),
        "lora": {"r": config.lora.r, "alpha": config.lora.alpha, "targets": config.lora.targets},
        "base_model": {
            "name": config.base.source.name,
            "source": config.base.source.url,
            "sha256": base.sha256,
            "license": config.base.source.license,
        },
        "prompt_template": config.base.template,
        "bos": config.base.bos,
        "audio_token": AUDIO,
        "sampling": asdict(SAMPLING),
        "max_new_tokens": MAX_NEW_TOKENS,
        "datasets": [asdict(source) for source in config.data.datasets],
        "train_clips": sorted(set(clips)),
        "train_terms": sorted(set(terms)),
    }
    write_json(folder / "ltu.json", description)


def check_scale(scale: float, model: LTU, where: Path) -> None:
    """Raises ModelFileError when LoRA was trained with another scale than the model's."""
    own = model.lora.alpha / model.lora.r
    if not math.isclose(scale, own):
        raise ModelFileError(
            f"{where}: its LoRA counts α / r = {scale:g}, this run's {own:g}; set lora.alpha to fit"
        )


def load_checkpoint(folder: Path, model: LTU) -> dict[str, Any]:
    """Fills the model; returns the description. Raises ModelFileError.

    The LoRA must count as much here as it did there.
    """
    try:
        description: dict[str, Any] = json.loads((folder / "ltu.json").read_text(encoding="utf-8"))
        tensors: dict[str, torch.Tensor] = load_file(folder / "ltu.safetensors")
    except Exception as error:  # safetensors has no error class of its own for a broken file
        raise ModelFileError(f"{folder}: is not a training output of ours: {error}") from None
    load_trained(model, tensors, str(folder / "ltu.safetensors"))
    lora = description.get("lora", {})
    check_scale(lora.get("alpha", 0) / lora.get("r", 1), model, folder / "ltu.json")
    return description
