"""The checkpoint that a run leaves: `ltu.safetensors` (trained tensors alone) and `ltu.json` (about them)."""

import json
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ltu.defaults import MAX_NEW_TOKENS, SAMPLING
from ltu.errors import ModelFileError
from ltu.files import replacing, write_json
from ltu.prompt import AUDIO
from ltu.training.config import Config
from ltu.training.model.base import Base
from ltu.training.model.ltu import LTU, load_trained, trained_tensors


def save_checkpoint(
    folder: Path, model: LTU, config: Config, base: Base, clips: Collection[str], terms: Collection[str]
) -> None:
    """`clips` and `terms`: hashes of all clips trained on and terms asked about, earlier runs' included."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.half().contiguous() for name, tensor in trained_tensors(model).items()}
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


def load_checkpoint(folder: Path, model: LTU) -> dict[str, Any]:
    """Fills the model; returns the description. Raises ModelFileError."""
    try:
        description: dict[str, Any] = json.loads((folder / "ltu.json").read_text(encoding="utf-8"))
        tensors: dict[str, torch.Tensor] = load_file(folder / "ltu.safetensors")
    except Exception as error:  # safetensors has no error class of its own for a broken file
        raise ModelFileError(f"{folder}: is not a training output of ours: {error}") from None
    load_trained(model, tensors, str(folder / "ltu.safetensors"))
    return description
