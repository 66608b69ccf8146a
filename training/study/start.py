"""A base model's start: the demo's encoder, a fitted projector, a LoRA that changes nothing yet."""

import json
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import set_seed

from ltu.training.config import Config
from ltu.training.demo.esc10 import Recording
from ltu.training.demo.projector import fit_projector
from ltu.training.items.inputs import encode_views
from ltu.training.model.base import load_base
from ltu.training.model.ltu import LTU, fill
from ltu.training.run.checkpoint import save_checkpoint

ENCODER = "model.audio_encoder."  # its tensors in ltu.safetensors


def write_start(recordings: Sequence[Recording], config: Config, folder: Path, seed: int) -> None:
    """A checkpoint that lists the encoder's training clips as its own, and no terms."""
    with as_file(files("ltu") / "assets" / "demo") as demo:
        described: dict[str, Any] = json.loads((demo / "ltu.json").read_text(encoding="utf-8"))
        tensors = load_file(demo / "ltu.safetensors")
    set_seed(seed)  # for LoRA's random half
    base = load_base(config.base.path)
    model = LTU(base.model, config.encoder, config.lora)
    encoder = {name.removeprefix(ENCODER): t for name, t in tensors.items() if name.startswith(ENCODER)}
    fill(dict(model.audio_encoder.named_parameters()), encoder, "the demo's encoder")
    encoded = encode_views(model.audio_encoder, {r.file: r.clip for r in recordings}, views=1, seed=seed)
    words, tokenizer = [r.label.lower() for r in recordings], Tokenizer.from_str(base.tokenizer_json)
    fit_projector(model, [encoded[r.file] for r in recordings], words, tokenizer)
    save_checkpoint(folder, model, config, base, described["train_clips"], ())
