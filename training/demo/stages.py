"""The stages of the demo model; each reads what the one before left in a folder."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from ltu.audio import log_mel
from ltu.prompt import Prompter

from ..base import load_base
from ..checkpoint import load_checkpoint, save_checkpoint
from ..config import Config
from ..model import LTU
from ..questions import Item, training_items, word_items
from ..train import encode_views, train
from .card import write_card
from .classify import ENCODER_RECIPES, TEACHER_RECIPE, Classifier, Labels, Teacher, fit
from .esc10 import Recording
from .evaluate import Judge, ask_labels, ask_terms
from .projector import fit_projector

WORD_PAIRS = 12  # questions about each term that are true, and as many that are false
ROUNDS = ((7, 1e-3),)  # the same for clips, and the learning rate, round by round
SEED = 0


def learn_sounds(recordings: Sequence[Recording], work: Path) -> None:
    """Teacher, then encoder → `teacher.pt`, `encoder.pt`."""
    work.mkdir(parents=True, exist_ok=True)
    names = sorted({recording.label for recording in recordings})
    labels: Labels = np.array([names.index(recording.label) for recording in recordings])
    sounds = [np.exp(log_mel(recording.clip.waveform)) for recording in recordings]
    torch.manual_seed(SEED)
    teacher: nn.Module = Teacher(len(names))
    student: nn.Module = Classifier(len(names))
    if not (work / "teacher.pt").is_file():
        torch.save(fit(teacher, sounds, labels, TEACHER_RECIPE).state_dict(), work / "teacher.pt")
    if not (work / "encoder.pt").is_file():
        teacher.load_state_dict(torch.load(work / "teacher.pt"))
        for recipe in ENCODER_RECIPES:
            student = fit(student, sounds, labels, recipe, teacher.eval()).requires_grad_().train()
        torch.save(student.state_dict(), work / "encoder.pt")


def learn_words(recordings: Sequence[Recording], config: Config, work: Path) -> None:
    """LoRA learns to answer about the names of the classes, without audio → the checkpoint `words`.

    A question about a word is short and sure about what is heard; audio then only has to resemble words.
    """
    if (work / "words" / "ltu.json").is_file():
        return
    rng = np.random.default_rng(SEED + 1)
    clips = {recording.file: recording.label for recording in recordings}
    items = _write(word_items(training_items(clips, WORD_PAIRS, rng), clips, rng), work / "words.jsonl")
    data = replace(config.data, items=items)
    steps = replace(config.train, output=work / "words", checkpoint=None, train=("lora",), batch=4)
    train(replace(config, data=data, train=steps))


def warm_start(recordings: Sequence[Recording], config: Config, work: Path) -> None:
    """The encoder, a fitted projector and the words' LoRA as a checkpoint to train on."""
    base = load_base(config.base.path)
    model = LTU(base.model, config.encoder, config.lora)
    load_checkpoint(work / "words", model)
    trained = torch.load(work / "encoder.pt")
    model.audio_encoder.load_state_dict(
        {name.removeprefix("encoder."): v for name, v in trained.items() if name.startswith("encoder.")}
    )
    clips = {recording.file: recording.clip for recording in recordings}
    encoded = encode_views(model.audio_encoder, clips, views=2, seed=SEED)
    words = [recording.label.lower() for recording in recordings]
    fit_projector(
        model, [encoded[r.file] for r in recordings], words, Tokenizer.from_str(base.tokenizer_json)
    )
    assert config.train.checkpoint is not None
    save_checkpoint(config.train.checkpoint, model, config, base, [clip.hash for clip in clips.values()], ())


def learn_language(recordings: Sequence[Recording], config: Config) -> None:
    """Projector and LoRA, by the same path as `ltu-train`; each round goes on from the one before."""
    clips = {recording.file: recording.label for recording in recordings}
    for number, (pairs, rate) in enumerate(ROUNDS):
        _write(training_items(clips, pairs, np.random.default_rng(SEED + number)), config.data.items)
        train(replace(config, train=replace(config.train, learning_rate=rate)))
        config = replace(config, train=replace(config.train, checkpoint=config.train.output))


def _write(items: Sequence[Item], path: Path) -> Path:
    lines = [json.dumps(item.row(), ensure_ascii=False) for item in items]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def evaluate(recordings: Sequence[Recording], config: Config) -> None:
    """Asks the finished checkpoint about recordings that it never heard → MODEL_CARD.md beside it."""
    base = load_base(config.base.path)
    model = LTU(base.model, config.encoder, config.lora)
    load_checkpoint(config.train.output, model)
    bos_id = base.bos_id if config.base.bos else None
    judge = Judge(model, Prompter(base.tokenizer_json, config.base.template, bos_id), bos_id, base.eos_id)
    asked = ask_terms(judge, recordings, np.random.default_rng(SEED))
    named = ask_labels(judge, recordings)
    write_card(config.train.output / "MODEL_CARD.md", config, asked, named, WORD_PAIRS, ROUNDS)
