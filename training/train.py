"""LoRA fine-tuning: configuration → checkpoint folder, through the transformers Trainer and PEFT."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import Trainer, TrainingArguments, set_seed

from ltu.audio import Clip, log_mel
from ltu.prompt import Prompter

from .base import load_base
from .checkpoint import load_checkpoint, save_checkpoint
from .config import Config
from .encoder import AudioEncoder
from .examples import Batches, Collator, example, load_clips, read_items
from .model import LTU, PARTS
from .packing import batches, share_beginnings
from .views import random_view


def train(config: Config) -> Path:
    """Trains what `config.train.parts` names and writes the checkpoint; returns its folder."""
    set_seed(config.train.seed)
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
    model.train_only(config.train.parts)

    if "encoder" in config.train.parts:
        sounds = {name: torch.from_numpy(clip.features().copy())[None] for name, clip in clips.items()}
        kind = "features"
    else:
        sounds = encode_views(model.audio_encoder, clips, config.data.views, config.train.seed)
        kind = "encoded"
    collator = Collator(sounds, kind, bos_id, answers_only, config.train.seed)
    if config.train.positions:
        rng = np.random.default_rng(config.train.seed)
        data = Batches(batches(groups, config.train.positions, rng))
    else:
        data = Batches([[group] for group in groups])
    optimizer = _optimizer(model, config)
    trainer = Trainer(model, _arguments(config), collator, data, optimizers=(optimizer, None))
    trainer.train()
    hashes = {clip.hash for clip in clips.values()} | set(before.get("train_clips", ()))
    terms = {row.term for row in rows if row.term} | set(before.get("train_terms", ()))
    save_checkpoint(config.train.output, model, config, base, hashes, terms)
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


def _optimizer(model: LTU, config: Config) -> torch.optim.Optimizer:
    """AdamW without weight decay; the projector may have a learning rate of its own."""
    rate = config.train.learning_rate
    projector = config.train.projector_learning_rate or rate
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for name, p in trained if PARTS["projector"] not in name], "lr": rate},
        {"params": [p for name, p in trained if PARTS["projector"] in name], "lr": projector},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.0)


def _arguments(config: Config) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(config.train.output),
        num_train_epochs=config.train.epochs,
        per_device_train_batch_size=1 if config.train.positions else config.train.batch,
        learning_rate=config.train.learning_rate,
        warmup_steps=config.train.warm_up,
        lr_scheduler_type=config.train.scheduler,
        bf16=config.train.precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        seed=config.train.seed,
        remove_unused_columns=False,
        label_names=["labels"],
        save_strategy="no",
        logging_steps=10,
        report_to="none",
        dataloader_pin_memory=False,
    )
