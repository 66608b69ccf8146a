"""The stages of the demo model; each reads what the one before left in a folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from ltu.audio import log_mel
from ltu.files import write_json_lines
from ltu.prompt import Prompter
from ltu.training.config import Config
from ltu.training.demo.card import write_card
from ltu.training.demo.classify import ENCODER_RECIPES, TEACHER_RECIPE, Classifier, Labels, Teacher, fit
from ltu.training.demo.esc10 import Recording
from ltu.training.demo.evaluate import Judge, ask_labels, ask_terms
from ltu.training.demo.projector import fit_projector
from ltu.training.demo.questions import Item, training_items
from ltu.training.items.inputs import encode_views
from ltu.training.model.base import load_base
from ltu.training.model.ltu import LTU
from ltu.training.run.checkpoint import load_checkpoint, save_checkpoint
from ltu.training.run.train import train

SEED = 0
CLIPS = 8  # from each class; one pool of questions is about them
PAIRS = 16  # questions of a pool about each term that are true, and as many that are false


@dataclass(frozen=True)
class Round:
    """One round of training: a yes/no answer's first word alone is learnt, or the whole answer.

    The first word carries the decision and is hard to learn; the words after it follow quickly.
    """

    pools: int
    learning_rate: float
    first_words: bool

    def describe(self) -> str:
        learnt = "the first word of yes/no answers" if self.first_words else "whole answers"
        pools = f"{self.pools} pools of {PAIRS} true and {PAIRS} false questions about each term"
        return f"{pools}, {learnt}, learning rate {self.learning_rate:g}"


ROUNDS = (Round(12, 1e-3, first_words=True), Round(3, 5e-4, first_words=False))


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


def warm_start(recordings: Sequence[Recording], config: Config, work: Path) -> None:
    """The encoder, a fitted projector and a LoRA that changes nothing as a checkpoint to train on."""
    base = load_base(config.base.path)
    model = LTU(base.model, config.encoder, config.lora)
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
    for number, round in enumerate(ROUNDS):
        rng = np.random.default_rng(SEED + number)
        items = [item for _ in range(round.pools) for item in _pool(recordings, round, rng)]
        write_json_lines(config.data.items, (item.row() for item in items))
        train(replace(config, train=replace(config.train, learning_rate=round.learning_rate)))
        config = replace(config, train=replace(config.train, checkpoint=config.train.output))


def _pool(recordings: Sequence[Recording], round: Round, rng: np.random.Generator) -> list[Item]:
    """Many questions about few clips: they share the clips' positions."""
    by_class: dict[str, list[str]] = {}
    for recording in recordings:
        by_class.setdefault(recording.label, []).append(recording.file)
    clips = {
        file: name
        for name, files in by_class.items()
        for file in rng.choice(files, CLIPS, replace=False).tolist()
    }
    return training_items(clips, PAIRS, rng, round.first_words)


def evaluate(recordings: Sequence[Recording], config: Config) -> None:
    """Asks the finished checkpoint about recordings that it never heard → MODEL_CARD.md beside it."""
    base = load_base(config.base.path)
    model = LTU(base.model, config.encoder, config.lora)
    load_checkpoint(config.train.output, model)
    bos_id = base.bos_id if config.base.bos else None
    judge = Judge(model, Prompter(base.tokenizer_json, config.base.template, bos_id), bos_id, base.eos_id)
    asked = ask_terms(judge, recordings, np.random.default_rng(SEED))
    named = ask_labels(judge, recordings)
    write_card(
        config.train.output / "MODEL_CARD.md", config, asked, named, [round.describe() for round in ROUNDS]
    )
