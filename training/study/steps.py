"""The study from recordings to scored answers, step by step; a step whose file is there is not repeated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout

from ltu.files import write_json
from ltu.training.config import Config
from ltu.training.demo.esc10 import Recording, read_folds
from ltu.training.items.data import say
from ltu.training.study.ask import ask, check
from ltu.training.study.folder import Folder
from ltu.training.study.generate import Sound, sounds
from ltu.training.study.learn import development_loss, learn, write_gguf
from ltu.training.study.materials import DEVELOPMENT, questions_of, write_benchmark, write_questions
from ltu.training.study.models import TUNED, Part, Training, parts
from ltu.training.study.properties import Scale
from ltu.training.study.sizes import Sizes
from ltu.training.study.start import write_start

TRAINING_FOLDS, DEVELOPMENT_FOLDS = (1, 2), (3,)
RATED = ("small", "small-prepended")  # both formats have a say in the rate of what is tuned


@dataclass(frozen=True)
class Step:
    name: str
    done: Path  # written last
    work: Callable[[], None]


def take(stages: Iterator[list[Step]]) -> None:
    """The steps of a stage don't wait for each other: several processes share them."""
    for stage in stages:
        for timeout in (0, -1):  # first what nobody is at, then what a killed process has left
            for step in stage:
                _take(step, timeout)


def _take(step: Step, timeout: int) -> None:
    if step.done.exists():
        return
    step.done.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{step.done}.lock", timeout=timeout):  # a killed process lets go of it
            if not step.done.exists():
                say([f"── {step.name}"])
                step.work()
    except Timeout:
        pass


@dataclass(frozen=True)
class Study:
    folder: Folder
    base: Config  # what the base models' trainings share
    tuned: Config  # the others'
    sizes: Sizes
    esc10: Path
    threads: int

    def stages(self) -> Iterator[list[Step]]:
        """Lazily: rates are chosen by what earlier stages have left."""
        folder, sizes, seeds = self.folder, self.sizes, range(self.sizes.seeds)
        yield [Step("benchmark", folder.benchmark, lambda: write_benchmark(folder, self.esc10, sizes))]
        rounds: dict[Part, int] = {"base": sizes.development_rounds}
        yield [
            self._questions(DEVELOPMENT, lambda: self._development, rounds),
            *(self._questions(questions_of(s), lambda: self._training, parts(sizes)) for s in seeds),
        ]
        yield [self._start(seed) for seed in seeds]
        yield from self._trainings()
        yield [self._model_file(training) for training in self.models()]
        yield [self._checked(training) for training in self.models()]
        yield [self._asked(training) for training in self.models()]

    def models(self) -> list[Training]:
        """The trainings that are compared; known once the rates are chosen."""
        seeds, (base, tuned) = range(self.sizes.seeds), self._rates()
        return [Training(m, s, base if m == "base" else tuned) for m in ("base", *TUNED) for s in seeds]

    def _questions(self, name: str, clips: Callable[[], Sequence[Sound]], rounds: Mapping[Part, int]) -> Step:
        return Step(
            f"questions, {name}",
            self.folder.questions(name) / "done",
            lambda: write_questions(self.folder, name, clips(), rounds, self.base.base.path),
        )

    def _start(self, seed: int) -> Step:
        start = self.folder.start(seed)
        return Step(
            f"what seed {seed} starts from",
            start / "ltu.json",
            lambda: write_start(self._recordings, self.base, start, seed),
        )

    def _trainings(self) -> Iterator[list[Step]]:
        if len(self.sizes.base_rates) > 1:
            yield [self._learn(Training("base", 0, rate)) for rate in self.sizes.base_rates]
        yield [self._learn(Training("base", seed, self._base_rate())) for seed in range(self.sizes.seeds)]
        yield [self._learn(Training(model, 0, rate)) for rate in self.sizes.tuned_rates for model in RATED]
        yield [Step("rates", self.folder.rates, self._write_rates)]
        yield [self._learn(training) for training in self.models()]

    def _learn(self, training: Training) -> Step:
        def work() -> None:
            if training.model == "base":
                learn(self.base, self.folder, training, None, self.sizes)
            else:
                start = Training("base", training.seed, self._base_rate())
                learn(self.tuned, self.folder, training, start, self.sizes)

        return Step(f"training {training.name}", self.folder.log(training), work)

    def _model_file(self, training: Training) -> Step:
        return Step(
            f"model file of {training.name}",
            self.folder.gguf(training),
            lambda: write_gguf(self.base, self.folder, training),
        )

    def _checked(self, training: Training) -> Step:
        return Step(
            f"development clips, {training.name}",
            self.folder.development(training),
            lambda: check(self.folder, training, self.esc10, self.threads),
        )

    def _asked(self, training: Training) -> Step:
        return Step(
            f"benchmark, {training.name}",
            self.folder.report(training),
            lambda: ask(self.folder, training, self.esc10, self.threads),
        )

    def _rates(self) -> tuple[float, float]:
        """Of the base model, of what is tuned."""
        return self._base_rate(), min(self.sizes.tuned_rates, key=self._tuned_loss)

    def _base_rate(self) -> float:
        first, *others = self.sizes.base_rates
        return min(self.sizes.base_rates, key=self._base_loss) if others else first

    def _base_loss(self, rate: float) -> float:
        return development_loss(self.folder, Training("base", 0, rate))

    def _tuned_loss(self, rate: float) -> float:
        """Mean of both formats, each measured in its own."""
        return sum(development_loss(self.folder, Training(m, 0, rate)) for m in RATED) / len(RATED)

    def _write_rates(self) -> None:
        base, tuned = self._rates()
        losses = {
            "base": {f"{rate:g}": self._base_loss(rate) for rate in self.sizes.base_rates},
            "tuned": {f"{rate:g}": self._tuned_loss(rate) for rate in self.sizes.tuned_rates},
        }
        write_json(self.folder.rates, {"base": base, "tuned": tuned, "development_loss": losses})

    @cached_property
    def _recordings(self) -> list[Recording]:
        return read_folds(self.esc10, TRAINING_FOLDS)

    @cached_property
    def _scale(self) -> Scale:
        return Scale([recording.clip for recording in self._recordings])

    @cached_property
    def _training(self) -> list[Sound]:
        return sounds(self._recordings, self._scale)

    @cached_property
    def _development(self) -> list[Sound]:
        return sounds(read_folds(self.esc10, DEVELOPMENT_FOLDS), self._scale)
