"""A base model's start: the study's encoder, a fitted projector, a LoRA that changes nothing yet."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import set_seed

from ltu.errors import Error
from ltu.training.config import Config
from ltu.training.demo.projector import fit_projector
from ltu.training.demo.sounds import Recording
from ltu.training.items.inputs import encode_views
from ltu.training.model.base import load_base
from ltu.training.model.ltu import LTU, fill
from ltu.training.run.checkpoint import save_checkpoint
from ltu.training.study.texts import names


def read_encoder(path: Path) -> dict[str, torch.Tensor]:
    """The encoder.pt that the demo's command leaves in its work folder. Raises Error."""
    try:
        tensors: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    except Exception as error:  # torch has no error class of its own for a broken file
        raise Error(
            f"{path}: cannot be read: {str(error).splitlines()[0]}; python -m ltu.training.demo --folds 1,2 "
            "--until encoder leaves encoder.pt in its work folder"
        ) from None
    return tensors


def write_start(
    recordings: Sequence[Recording], encoder: Path, config: Config, folder: Path, draw: int
) -> None:
    """A checkpoint that lists the recordings, which the encoder was fitted on, as its own, and no terms."""
    set_seed(draw)  # for LoRA's random half
    base = load_base(config.base.path)
    model = LTU(base.model, config.encoder, config.lora)
    fill(dict(model.audio_encoder.named_parameters()), read_encoder(encoder), str(encoder))
    encoded = encode_views(model.audio_encoder, {r.file: r.clip for r in recordings}, views=1, seed=draw)
    words, tokenizer = (
        [names(r.label)[0].lower() for r in recordings],
        Tokenizer.from_str(base.tokenizer_json),
    )
    fit_projector(model, [encoded[r.file] for r in recordings], words, tokenizer)
    save_checkpoint(folder, model, config, base, [r.clip.hash for r in recordings], ())
