"""LoRA fine-tuning: configuration → checkpoint folder, through the transformers Trainer and PEFT."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from transformers import TrainerCallback, set_seed

from ltu.training.config import Config
from ltu.training.items.collate import Collator
from ltu.training.items.data import Data, cache_folder, check_files, read_data, say, summary
from ltu.training.items.inputs import encoded, features_of
from ltu.training.items.tokenised import Tokeniser
from ltu.training.model.base import OpenedBase, load_opened, open_base
from ltu.training.model.ltu import LTU
from ltu.training.run.arguments import AUTOCAST, Start, arguments, decisive, started_from
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
    start: Start | None
    clips: set[str]
    terms: set[str]
    steps: int
    log: list[dict[str, float]]
    main: bool  # whether this is the process that writes


def train(
    config: Config,
    callbacks: Sequence[TrainerCallback] = (),
    then: Callable[[Trained], None] = lambda trained: None,
) -> Trained:
    """Trains what `config.train.train` names and writes the checkpoint.

    A killed run goes on from its last checkpoint. Started by torchrun, this is one of several processes.
    `then` is called, in the process that writes, before the run's own checkpoints are removed: what fails
    there is tried again by the same command, without training again.
    """
    set_seed(config.train.seed)
    settings = arguments(config)
    main = settings.process_index == 0
    opened, data = _read(config, main)
    start = started_from(config)
    base = load_opened(opened, AUTOCAST[config.train.precision])
    model = LTU(base.model, config.encoder, config.lora)
    before = load_start(config.train, model)
    model.train_only(config.train.train)
    if config.train.gradient_checkpointing:
        model.checkpoint_gradients()
    if config.train.shard_base:
        shard_base(model, settings.device)
    model.to(settings.device)
    collate = collator(config, opened, model, data, main)
    trainer = LtuTrainer(
        model,
        settings,
        collate,
        data.train,
        data.development,
        decisive(config, base.sha256, data.hashes(data.train)).to_json(),
        config.train.projector_learning_rate,
        config.train.positions,
        callbacks,
    )
    trainer.train_to_end()
    clips = data.hashes(data.train) | set(before.train_clips if before else ())
    terms = {*data.train.counts.terms, *(before.train_terms if before else ())}
    state = trainer.state
    trained = Trained(
        config.train.output, model, data, start, clips, terms, state.global_step, state.log_history, main
    )
    if main:
        save_checkpoint(config.train.output, model, config, base, clips, terms)
        then(trained)
        for folder in checkpoints(config.train.output):
            shutil.rmtree(folder)
    trainer.accelerator.wait_for_everyone()
    if torch.distributed.is_initialized():  # a process that ends with its threads running may abort
        torch.distributed.destroy_process_group()
    return trained


def _read(config: Config, main: bool) -> tuple[OpenedBase, Data]:
    """All that can be wrong with base and data is known from here on, before weights are loaded."""
    survey = check_files(config.data)
    opened = open_base(config.base.path, config.base.bos)
    tokeniser = Tokeniser(
        opened.tokenizer_json,
        config.base.template,
        opened.bos_id,
        opened.eos_id,
        config.data.max_text_tokens,
    )
    with _turn(config):
        data = read_data(config.data, tokeniser, survey)
    if main:
        say(summary(data, config.data))
    return opened, data


def _turn(config: Config) -> FileLock:
    """Processes of one run, and runs on the same items, take turns."""
    cache = cache_folder(config.data)
    cache.mkdir(parents=True, exist_ok=True)
    return FileLock(cache / "lock")


def collator(config: Config, base: OpenedBase, model: LTU, data: Data, main: bool) -> Collator:
    """A clip is given as its features, or as encoder outputs: a frozen encoder runs once."""
    answers_only, seed = config.data.loss_on == "answer", config.train.seed
    if "encoder" in config.train.train:
        return Collator(features_of(data.clips), "features", base.bos_id, answers_only, seed)
    cache, autocast = cache_folder(config.data), AUTOCAST[config.train.precision]
    with _turn(config):
        outputs = encoded(cache, model.audio_encoder, data.clips, config.data.views, seed, autocast)
    if main:
        say([f"{cache}: encoder outputs, {outputs.bytes / 1e6:.1f} MB"])
    return Collator(outputs, "encoded", base.bos_id, answers_only, seed)
