"""LoRA fine-tuning: configuration → checkpoint folder, through the transformers Trainer and PEFT."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from transformers import TrainerCallback, set_seed

from ltu.training.config import Config
from ltu.training.items.collate import Collator
from ltu.training.items.data import Data, cache_folder, check_files, read_data, say, summary
from ltu.training.items.inputs import ClipInputs, encoded, features_of
from ltu.training.items.tokenised import Tokeniser
from ltu.training.model.base import load_base
from ltu.training.model.ltu import LTU
from ltu.training.run.arguments import AUTOCAST, arguments, decisive, started_from
from ltu.training.run.checkpoint import save_checkpoint
from ltu.training.run.sharding import shard_base
from ltu.training.run.start import load_start
from ltu.training.run.trainer import LtuTrainer, checkpoints


@dataclass(frozen=True)
class Trained:
    """A finished run; `clips` and `terms` are those of what it started from, too."""

    output: Path
    model: LTU
    data: Data
    start: dict[str, str]
    clips: set[str]
    terms: set[str]
    steps: int
    log: list[dict[str, float]]
    main: bool  # whether this is the process that writes


def train(config: Config, callbacks: Sequence[TrainerCallback] = ()) -> Trained:
    """Trains what `config.train.train` names and writes the checkpoint.

    A killed run goes on from its last checkpoint. Started by torchrun, this is one of several processes.
    """
    set_seed(config.train.seed)
    settings = arguments(config)
    autocast = AUTOCAST[config.train.precision]
    check_files(config.data)  # before minutes of loading
    base = load_base(config.base.path, autocast)
    bos_id = base.bos_id if config.base.bos else None
    answers_only = config.data.loss_on == "answer"
    tokeniser = Tokeniser(
        base.tokenizer_json, config.base.template, bos_id, base.eos_id, config.data.max_text_tokens
    )
    model = LTU(base.model, config.encoder, config.lora)
    start = started_from(config)
    before = load_start(config.train, model)
    model.train_only(config.train.train)
    if config.train.gradient_checkpointing:
        model.checkpoint_gradients()
    if config.train.shard_base:
        shard_base(model, settings.device)
    model.to(settings.device)
    cache = cache_folder(config.data)
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "lock"):  # processes of one run, and runs on the same items, take turns
        data = read_data(config.data, tokeniser)
        kind, inputs = _inputs(config, model, data, autocast)
    if settings.process_index == 0:
        say(summary(data, config.data))
        say([f"{cache}: encoder outputs, {inputs.bytes / 1e6:.1f} MB"] if kind == "encoded" else [])
    trainer = LtuTrainer(
        model,
        settings,
        Collator(inputs, kind, bos_id, answers_only, config.train.seed),
        data.train,
        data.development,
        decisive(config, base.sha256, data.hashes(data.train)),
        config.train.projector_learning_rate,
        config.train.positions,
        callbacks,
    )
    trainer.train_to_end()
    main = settings.process_index == 0
    clips = data.hashes(data.train) | set(before.get("train_clips", ()))
    terms = {*data.train.counts.terms, *before.get("train_terms", ())}
    if main:
        save_checkpoint(config.train.output, model, config, base, clips, terms)
        for folder in checkpoints(config.train.output):
            shutil.rmtree(folder)
    trainer.accelerator.wait_for_everyone()
    state = trainer.state
    return Trained(
        config.train.output, model, data, start, clips, terms, state.global_step, state.log_history, main
    )


def _inputs(config: Config, model: LTU, data: Data, autocast: torch.dtype | None) -> tuple[str, ClipInputs]:
    """The argument of `LTU.forward` that clips are given as, and their inputs: a frozen encoder runs once."""
    if "encoder" in config.train.train:
        return "features", features_of(data.clips)
    views, seed = config.data.views, config.train.seed
    cache = cache_folder(config.data)
    return "encoded", encoded(cache, model.audio_encoder, data.clips, views, seed, autocast)
