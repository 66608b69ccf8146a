"""LoRA fine-tuning: configuration → checkpoint folder, through the transformers Trainer and PEFT."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import TrainerCallback, TrainingArguments, set_seed

from ltu.audio import Clip, log_mel
from ltu.convert.ltu_part import sha256
from ltu.prompt import Prompter

from .base import Base, load_base
from .checkpoint import load_checkpoint, save_checkpoint
from .config import Config
from .encoder import AudioEncoder
from .examples import Collator, example, load_clips, read_items
from .model import LTU
from .packing import share_beginnings
from .trainer import LtuTrainer, checkpoints
from .views import random_view


def train(config: Config, callbacks: Sequence[TrainerCallback] = ()) -> Path:
    """Trains what `config.train.train` names and writes the checkpoint; returns its folder.

    A killed run goes on from its last checkpoint. Started by torchrun, this is one of several processes.
    """
    set_seed(config.train.seed)
    arguments = _arguments(config)
    base = load_base(config.base.path)
    rows = read_items(config.data.items)
    clips = load_clips(rows, config.data.audio)
    bos_id = base.bos_id if config.base.bos else None
    prompter = Prompter(base.tokenizer_json, config.base.template, bos_id)
    tokenizer = Tokenizer.from_str(base.tokenizer_json)
    examples = [example(row, clips, prompter, tokenizer, base.eos_id) for row in rows]

    answers_only = config.data.loss_on == "answer"
    groups = share_beginnings(examples, config.data.shared if answers_only else 1)

    model = LTU(base.model, config.encoder, config.lora)
    before = load_checkpoint(config.train.checkpoint, model) if config.train.checkpoint else {}
    model.train_only(config.train.train)

    if "encoder" in config.train.train:
        sounds = {name: torch.from_numpy(clip.features().copy())[None] for name, clip in clips.items()}
        kind = "features"
    else:
        sounds = encode_views(model.audio_encoder, clips, config.data.views, config.train.seed)
        kind = "encoded"
    collator = Collator(sounds, kind, bos_id, answers_only, config.train.seed)
    lengths = [len(group.examples[0].ids) for group in groups]
    trainer = LtuTrainer(model, arguments, collator, groups, lengths, _decisive(config, base), callbacks)
    trainer.train_to_end()
    if trainer.is_world_process_zero():
        hashes = {clip.hash for clip in clips.values()} | set(before.get("train_clips", ()))
        terms = {row.term for row in rows if row.term} | set(before.get("train_terms", ()))
        save_checkpoint(config.train.output, model, config, base, hashes, terms)
        for folder in checkpoints(config.train.output):
            shutil.rmtree(folder)
    trainer.accelerator.wait_for_everyone()
    return config.train.output


@torch.no_grad()
def encode_views(
    encoder: AudioEncoder, clips: Mapping[str, Clip], views: int, seed: int
) -> dict[str, Tensor]:
    """Encoder outputs [views, 32, width] per clip: of the clip itself and of random views of it."""
    rng = np.random.default_rng(seed)
    encoder.eval()
    encoded = {}
    for name, clip in clips.items():
        power = np.exp(log_mel(clip.waveform))
        inputs = [clip.features(), *(random_view(power, rng).features for _ in range(views - 1))]
        with torch.autocast("cpu", torch.bfloat16):
            encoded[name] = encoder(torch.from_numpy(np.stack(inputs))).float()
    return encoded


def _decisive(config: Config, base: Base) -> dict[str, Any]:
    """What decides the weights that come out, and so whether a run may go on from a checkpoint."""
    start = config.train.checkpoint
    described = asdict(config)
    for table, keys in IRRELEVANT.items():
        for key in keys:
            del described[table][key]
    return described | {
        "base": described["base"] | {"sha256": base.sha256},
        "items": sha256(config.data.items),
        "start": sha256(start / "ltu.safetensors") if start else None,
    }


IRRELEVANT = {
    "base": ("path", "source"),
    "data": ("items", "audio", "datasets"),
    "train": ("output", "checkpoint", "logging_steps", "save_steps"),
}


def _arguments(config: Config) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(config.train.output),
        num_train_epochs=config.train.epochs,
        per_device_train_batch_size=config.train.batch,
        learning_rate=config.train.learning_rate,
        warmup_steps=config.train.warm_up,
        lr_scheduler_type=config.train.scheduler,
        bf16=config.train.precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        seed=config.train.seed,
        remove_unused_columns=False,
        label_names=["labels"],
        save_strategy="steps",
        save_steps=config.train.save_steps,
        save_total_limit=2,  # one may be half written when the run is killed
        average_tokens_across_devices=True,
        ddp_find_unused_parameters=False,
        logging_steps=config.train.logging_steps,
        report_to="none",
        dataloader_pin_memory=False,
    )
