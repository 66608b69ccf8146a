"""The work of the study's steps, by the library's own functions; each leaves a file when it is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ltu.training.config import Config
from ltu.training.demo.esc10 import Recording, read_folds
from ltu.training.demo.properties import Scale
from ltu.training.study.ask import ask, check
from ltu.training.study.folder import Folder
from ltu.training.study.generate import Sound, sounds
from ltu.training.study.learn import learn, write_gguf
from ltu.training.study.materials import DEVELOPMENT, write_benchmark, write_questions
from ltu.training.study.models import Part, Training
from ltu.training.study.sizes import Sizes
from ltu.training.study.start import write_start

TRAINING_FOLDS, DEVELOPMENT_FOLDS = (1, 2), (3,)


@dataclass(frozen=True)
class Work:
    """`base` is what the base models' trainings share, `tuned` what the others share."""

    folder: Folder
    base: Config
    tuned: Config
    sizes: Sizes
    esc10: Path
    threads: int

    def write_benchmark(self) -> None:
        write_benchmark(self.folder, self.esc10, self.sizes)

    def write_questions(self, name: str, rounds: Mapping[Part, int]) -> None:
        """`name`: DEVELOPMENT, or the name of a seed's questions, which are about the training clips."""
        clips = self._development if name == DEVELOPMENT else self._training
        write_questions(self.folder, name, clips, rounds, self.base.base.path)

    def write_start(self, seed: int) -> None:
        write_start(self._recordings, self.base, self.folder.start(seed), seed)

    def learn(self, training: Training, start: Training | None) -> None:
        """`start`: the base model that a tuned one starts from; None: `training` is a base model."""
        learn(self.tuned if start else self.base, self.folder, training, start, self.sizes)

    def write_gguf(self, training: Training) -> None:
        write_gguf(self.base, self.folder, training)

    def check(self, training: Training) -> None:
        check(self.folder, training, self.esc10, self.threads)

    def ask(self, training: Training) -> None:
        ask(self.folder, training, self.esc10, self.threads)

    @cached_property
    def _recordings(self) -> list[Recording]:
        return read_folds(self.esc10, TRAINING_FOLDS)

    @cached_property
    def _scale(self) -> Scale:
        return Scale([recording.clip for recording in self._recordings])

    @cached_property
    def _training(self) -> Sequence[Sound]:
        return sounds(self._recordings, self._scale)

    @cached_property
    def _development(self) -> Sequence[Sound]:
        return sounds(read_folds(self.esc10, DEVELOPMENT_FOLDS), self._scale)
