"""The study's steps in their order; a step whose file is there is not repeated."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from ltu.training.items.data import say
from ltu.training.study.folder import DEVELOPMENT, Folder, base_questions, tuning_questions
from ltu.training.study.models import AGAIN, BASE, TUNED, Training
from ltu.training.study.records import Rates, Tried, read_gate, read_log, read_named, read_rates
from ltu.training.study.sizes import Sizes

RATED = ("small", "small-prepended")  # both formats have a say in the tuned models' rate
AT_ONCE, UNTIL_FREE = 0, -1  # how long filelock waits for a lock


class Work(Protocol):
    """The work of the steps: study.work.Work, or a test's."""

    def write_benchmarks(self, split: int) -> None: ...
    def write_label_questions(self) -> None: ...
    def write_development(self) -> None: ...
    def write_base_questions(self, split: int) -> None: ...
    def write_tuning_questions(self, split: int, seed: int) -> None: ...
    def write_start(self, split: int) -> None: ...
    def learn(self, training: Training, start: Training | None) -> None: ...
    def write_gguf(self, training: Training) -> None: ...
    def ask_gate(self, training: Training) -> None: ...
    def ask_labels(self, training: Training) -> None: ...
    def ask(self, training: Training) -> None: ...


@dataclass(frozen=True)
class Step:
    name: str
    done: Path  # the file that the work writes last
    work: Callable[[], None]


def take(stages: Iterator[list[Step]]) -> None:
    """Takes the steps, stage after stage; several processes on one folder share a stage's steps.

    A process first takes the steps that no other process holds. Then it waits for those that are held: when
    a lock is free and the step's file is not there, its process was killed, and the step is taken over.
    """
    for stage in stages:
        for timeout in (AT_ONCE, UNTIL_FREE):
            for step in stage:
                _take(step, timeout)


def _take(step: Step, timeout: int) -> None:
    if step.done.exists():
        return
    step.done.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{step.done}.lock", timeout=timeout):  # the system frees a killed process's locks
            if not step.done.exists():
                say([f"── {step.name}"])
                step.work()
    except Timeout:
        pass


@dataclass(frozen=True)
class Study:
    folder: Folder
    sizes: Sizes
    work: Work

    def stages(self) -> Iterator[list[Step]]:
        """Lazily: gate and rate are known by what earlier stages have left."""
        yield self._questions()
        yield [
            self._step("start", self.folder.start(k) / "ltu.json", self.work.write_start, k)
            for k in self._splits
        ]
        yield from self._bases()
        bases, rated = list(map(self.base, self._splits)), list(self._rated())
        yield [self._learn(training) for training in rated]
        tried = [bases[0], *rated]
        yield [self._gguf(training) for training in tried]
        yield [self._labels(training) for training in tried]
        yield [Step("rates", self.folder.rates, self._write_rates)]
        models = self.models()
        yield [self._learn(training) for training in models if training.recipe.part != "base"]
        yield [self._gguf(training) for training in models]
        yield [self._labels(training) for training in models]
        yield [self._step("benchmark", self.folder.asked(m), self.work.ask, m) for m in models]

    def models(self) -> list[Training]:
        """The trainings that are compared; known once gates and rate are."""
        rate = read_rates(self.folder.rates).chosen
        seeds = [(split, seed) for split in self._splits for seed in range(self.sizes.seeds)]
        tuned = [Training(model, split, seed, rate) for model in TUNED for split, seed in seeds]
        return [*map(self.base, self._splits), *tuned]

    def base(self, split: int) -> Training:
        """The split's base model; known once its gate is."""
        first = Training(BASE, split, 0, self.sizes.base_rate)
        return first if read_gate(self.folder.gate(first)).passed else self._again(first)

    @property
    def _splits(self) -> range:
        return range(self.sizes.splits)

    def _questions(self) -> list[Step]:
        folder, work = self.folder, self.work
        pairs = [(split, seed) for split in self._splits for seed in range(self.sizes.seeds)]
        return [
            *(self._step("benchmark", folder.benchmark(k), work.write_benchmarks, k) for k in self._splits),
            self._step("label questions", folder.label_questions, work.write_label_questions),
            self._step("development items", folder.questions_done(DEVELOPMENT), work.write_development),
            *(
                self._step("items", folder.questions_done(base_questions(k)), work.write_base_questions, k)
                for k in self._splits
            ),
            *(
                self._step(
                    "items", folder.questions_done(tuning_questions(*p)), work.write_tuning_questions, *p
                )
                for p in pairs
            ),
        ]

    def _bases(self) -> Iterator[list[Step]]:
        """Each base model, and those that miss the gate once more."""
        firsts = [Training(BASE, split, 0, self.sizes.base_rate) for split in self._splits]
        yield from self._gated(firsts)
        missed = [first for first in firsts if not read_gate(self.folder.gate(first)).passed]
        yield from self._gated([self._again(first) for first in missed])

    def _gated(self, bases: list[Training]) -> Iterator[list[Step]]:
        yield [self._learn(base) for base in bases]
        yield [self._gguf(base) for base in bases]
        yield [self._step("gate", self.folder.gate(base), self.work.ask_gate, base) for base in bases]

    def _again(self, first: Training) -> Training:
        return Training(AGAIN, first.split, first.seed, first.rate)

    def _rated(self) -> Iterator[Training]:
        for rate in self.sizes.tuned_rates:
            yield from (Training(model, 0, 0, rate) for model in RATED)

    def _learn(self, training: Training) -> Step:
        start = None
        if training.model == AGAIN:
            start = Training(BASE, training.split, training.seed, training.rate)
        elif training.model != BASE:
            start = self.base(training.split)
        return self._step("training", self.folder.log(training), self.work.learn, training, start)

    def _gguf(self, training: Training) -> Step:
        return self._step("model file", self.folder.gguf(training), self.work.write_gguf, training)

    def _labels(self, training: Training) -> Step:
        return self._step("labels", self.folder.labels(training), self.work.ask_labels, training)

    def _step(self, name: str, done: Path, work: Callable[..., None], *about: object) -> Step:
        named = ", ".join(a.name if isinstance(a, Training) else str(a) for a in about if a is not None)
        return Step(f"{name}{f' ({named})' if named else ''}", done, partial(work, *about))

    def _write_rates(self) -> None:
        Rates(tuple(map(self._tried, self.sizes.tuned_rates))).write(self.folder.rates)

    def _tried(self, rate: float) -> Tried:
        """Both formats, each measured in its own."""
        before = read_named(self.folder.labels(self.base(0))).share
        losses, lost = [], []
        for model in RATED:
            training = Training(model, 0, 0, rate)
            format = training.recipe.format
            losses.append(read_log(self.folder.log(training)).answers_loss)
            lost.append(before[format] - read_named(self.folder.labels(training)).share[format])
        return Tried(rate, sum(losses) / len(losses), max(lost))
