"""The study's steps in their order; a step whose file is there is not repeated."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from ltu.files import write_json
from ltu.training.items.data import say
from ltu.training.study.folder import Folder
from ltu.training.study.learn import development_loss
from ltu.training.study.materials import DEVELOPMENT, questions_of
from ltu.training.study.models import TUNED, Part, Training, parts
from ltu.training.study.sizes import Sizes

RATED = ("small", "small-prepended")  # both formats have a say in the tuned models' rate
AT_ONCE, UNTIL_FREE = 0, -1  # how long filelock waits for a lock


class Work(Protocol):
    """The work of the steps: study.work.Work, or a test's."""

    def write_benchmark(self) -> None: ...
    def write_questions(self, name: str, rounds: Mapping[Part, int]) -> None: ...
    def write_start(self, seed: int) -> None: ...
    def learn(self, training: Training, start: Training | None) -> None: ...
    def write_gguf(self, training: Training) -> None: ...
    def check(self, training: Training) -> None: ...
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
        """Lazily: rates are chosen by what earlier stages have left."""
        folder, work, seeds = self.folder, self.work, range(self.sizes.seeds)
        yield [Step("benchmark", folder.benchmark, work.write_benchmark)]
        yield [
            self._questions(DEVELOPMENT, {"base": self.sizes.development_rounds}),
            *(self._questions(questions_of(seed), parts(self.sizes)) for seed in seeds),
        ]
        yield [self._start(seed) for seed in seeds]
        yield from self._trainings()
        models = self.models()
        yield [Step(f"model file of {m.name}", folder.gguf(m), partial(work.write_gguf, m)) for m in models]
        yield [
            Step(f"development clips, {m.name}", folder.development(m), partial(work.check, m))
            for m in models
        ]
        yield [Step(f"benchmark, {m.name}", folder.report(m), partial(work.ask, m)) for m in models]

    def models(self) -> list[Training]:
        """The trainings that are compared; known once the rates are chosen."""
        seeds, base, tuned = range(self.sizes.seeds), self._base_rate(), self._tuned_rate()
        return [Training(m, s, base if m == "base" else tuned) for m in ("base", *TUNED) for s in seeds]

    def _questions(self, name: str, rounds: Mapping[Part, int]) -> Step:
        done = self.folder.questions(name) / "done"
        return Step(f"questions, {name}", done, partial(self.work.write_questions, name, rounds))

    def _start(self, seed: int) -> Step:
        done = self.folder.start(seed) / "ltu.json"
        return Step(f"what seed {seed} starts from", done, partial(self.work.write_start, seed))

    def _trainings(self) -> Iterator[list[Step]]:
        if len(self.sizes.base_rates) > 1:
            yield [self._learn(Training("base", 0, rate)) for rate in self.sizes.base_rates]
        yield [self._learn(Training("base", seed, self._base_rate())) for seed in range(self.sizes.seeds)]
        yield [self._learn(Training(model, 0, rate)) for rate in self.sizes.tuned_rates for model in RATED]
        yield [Step("rates", self.folder.rates, self._write_rates)]
        yield [self._learn(training) for training in self.models()]

    def _learn(self, training: Training) -> Step:
        tuned = training.model != "base"
        start = Training("base", training.seed, self._base_rate()) if tuned else None
        name = f"training {training.name}"
        return Step(name, self.folder.log(training), partial(self.work.learn, training, start))

    def _base_rate(self) -> float:
        """The base models' learning rate."""
        first, *others = self.sizes.base_rates
        return min(self.sizes.base_rates, key=self._base_loss) if others else first

    def _tuned_rate(self) -> float:
        """The tuned models' learning rate."""
        return min(self.sizes.tuned_rates, key=self._tuned_loss)

    def _base_loss(self, rate: float) -> float:
        return development_loss(self.folder, Training("base", 0, rate))

    def _tuned_loss(self, rate: float) -> float:
        """Mean of both formats, each measured in its own."""
        return sum(development_loss(self.folder, Training(m, 0, rate)) for m in RATED) / len(RATED)

    def _write_rates(self) -> None:
        losses = {
            "base": {f"{rate:g}": self._base_loss(rate) for rate in self.sizes.base_rates},
            "tuned": {f"{rate:g}": self._tuned_loss(rate) for rate in self.sizes.tuned_rates},
        }
        rates = {"base": self._base_rate(), "tuned": self._tuned_rate()}
        write_json(self.folder.rates, {**rates, "development_loss": losses})
