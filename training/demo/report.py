"""The last stage: the finished model is asked about recordings that it never heard → MODEL_CARD.md."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ltu.prompt import Prompter
from ltu.training.config import Config
from ltu.training.demo.card import Figures, write_card
from ltu.training.demo.evaluate import Judge, ask_labels, ask_terms, ask_unknown
from ltu.training.demo.questions import table
from ltu.training.demo.sounds import Sound
from ltu.training.demo.stages import SEED
from ltu.training.demo.terms import is_unknown
from ltu.training.model.base import load_base
from ltu.training.model.ltu import LTU
from ltu.training.run.checkpoint import load_checkpoint


def ask(checkpoint: Path, about: Sequence[Sound], config: Config, device: torch.device) -> Figures:
    """What a checkpoint answers about recordings."""
    base = load_base(config.base.path)
    model = LTU(base.model, config.encoder, config.lora)
    load_checkpoint(checkpoint, model)
    bos_id = base.bos_id if config.base.bos else None
    prompter = Prompter(base.tokenizer_json, config.base.template, bos_id)
    judge = Judge(model.to(device), prompter, bos_id, base.eos_id)
    known = [r for r in about if r.label in table("sounds") and not is_unknown(r.label, table("sounds"))]
    unknown = [r for r in about if r not in known]
    rng = np.random.default_rng(SEED)
    return Figures(
        asked=ask_terms(judge, known, rng),
        named=ask_labels(judge, about),
        about_unknown=ask_unknown(judge, unknown, rng),
        esc10={r.label for r in known if r.esc10},
        never_trained={r.label for r in unknown if r.label not in table("sounds")},
    )


def evaluate(
    trained: Sequence[Sound], held_out: Sequence[Sound], config: Config, work: Path, device: torch.device
) -> None:
    """Asks the checkpoint in `config.train.output`; writes the card beside it."""
    figures = ask(config.train.output, held_out, config, device)
    write_card(config.train.output / "MODEL_CARD.md", config, figures, trained, work)
