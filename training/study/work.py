"""The work of the study's steps, by the library's own functions; each leaves a file when it is done."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zlib import crc32

import numpy as np

from ltu.training.config import Config
from ltu.training.demo.properties import Scale
from ltu.training.demo.sounds import read_folds
from ltu.training.study.ask import ask, ask_gate, ask_labels
from ltu.training.study.folder import DEVELOPMENT, Folder, base_questions, tuning_questions
from ltu.training.study.generate import Rng, Sound, base_rows, sounds, tuning_rows
from ltu.training.study.learn import learn, write_gguf
from ltu.training.study.materials import (
    DEVELOPMENT_FOLD,
    write_benchmarks,
    write_items,
    write_label_questions,
)
from ltu.training.study.models import Part, Training
from ltu.training.study.sizes import Sizes
from ltu.training.study.split import splits
from ltu.training.study.start import write_start
from ltu.training.study.texts import classes

TRAINING_FOLDS = (1, 2)


@dataclass(frozen=True)
class Work:
    """`base` is what the base models' trainings share, `tuned` what the others share."""

    folder: Folder
    base: Config
    tuned: Config
    sizes: Sizes
    sounds: Path
    encoder: Path
    threads: int

    def write_benchmarks(self, split: int) -> None:
        write_benchmarks(self.folder, self.sounds, splits()[split], self.sizes)

    def write_label_questions(self) -> None:
        write_label_questions(self.folder, self.sounds, self.sizes)

    def write_development(self) -> None:
        count, clips = self.sizes.development_items, self._heard((DEVELOPMENT_FOLD,))
        rows = tuning_rows(clips, count, _rng(DEVELOPMENT))
        write_items(self.folder, DEVELOPMENT, rows, {"large": count}, (), self.base.base.path)

    def write_base_questions(self, split: int) -> None:
        name, count, new = base_questions(split), self.sizes.base_items, splits()[split]
        rows = base_rows(self._training, new, count, _rng(name))
        write_items(self.folder, name, rows, {"base": count}, new.new_terms, self.base.base.path)

    def write_tuning_questions(self, split: int, seed: int) -> None:
        name, sizes = tuning_questions(split, seed), self.sizes
        rows = tuning_rows(self._training, sizes.large_items, _rng(name))
        parts: dict[Part, int] = {"large": sizes.large_items, "small": sizes.small_items}
        write_items(self.folder, name, rows, parts, splits()[split].new_terms, self.base.base.path)

    def write_start(self, split: int) -> None:
        recordings = read_folds(self.sounds, TRAINING_FOLDS, classes())
        write_start(recordings, self.encoder, self.base, self.folder.start(split), split)

    def learn(self, training: Training, start: Training | None) -> None:
        """`start`: the base model that the training goes on from; None: it is the first of its split."""
        config = self.base if training.recipe.part == "base" else self.tuned
        learn(config, self.folder, training, start, self.sizes)

    def write_gguf(self, training: Training) -> None:
        write_gguf(self.base, self.folder, training)

    def ask_gate(self, training: Training) -> None:
        ask_gate(self.folder, training, self.threads)

    def ask_labels(self, training: Training) -> None:
        ask_labels(self.folder, training, self.threads)

    def ask(self, training: Training) -> None:
        ask(self.folder, training, self.threads)

    @cached_property
    def _training(self) -> list[Sound]:
        return self._heard(TRAINING_FOLDS)

    def _heard(self, folds: tuple[int, ...]) -> list[Sound]:
        return sounds(read_folds(self.sounds, folds, classes()), self._scale)

    @cached_property
    def _scale(self) -> Scale:
        return Scale([recording.clip for recording in read_folds(self.sounds, TRAINING_FOLDS, classes())])


def _rng(name: str) -> Rng:
    return np.random.default_rng(crc32(name.encode()))
