"""The study's folder: where everything lies that one start of the command leaves for the next."""

from dataclasses import dataclass
from pathlib import Path

from ltu.prompt import Format
from ltu.training.study.models import Part, Training

DEVELOPMENT = "development"


def base_questions(split: int) -> str:
    return f"base-{split}"


def tuning_questions(split: int, seed: int) -> str:
    return f"tuning-{split}-{seed}"


@dataclass(frozen=True)
class Folder:
    path: Path

    @property
    def cache(self) -> Path:
        """Features, token ids and encoder outputs, shared by all trainings."""
        return self.path / "cache"

    @property
    def rates(self) -> Path:
        return self.path / "rates.json"

    @property
    def label_questions(self) -> Path:
        """Asks for the labels of development clips of all words."""
        return self.path / "benchmarks" / "labels.jsonl"

    def benchmark(self, split: int) -> Path:
        """Questions about the split's judged words, in all ways that any model is asked in."""
        return self.path / "benchmarks" / f"split-{split}.jsonl"

    def gate_questions(self, split: int) -> Path:
        """Questions about the split's development words and development clips."""
        return self.path / "benchmarks" / f"gate-{split}.jsonl"

    def questions(self, name: str) -> Path:
        """Folder of one set of items: OpenAQA's list and what is made of it."""
        return self.path / "questions" / name

    def questions_done(self, name: str) -> Path:
        return self.questions(name) / "done"

    def items(self, name: str, format: Format, part: Part) -> Path:
        return self.questions(name) / f"{format}-{part}.jsonl"

    def start(self, split: int) -> Path:
        return self.path / f"split-{split}" / "start"

    def training(self, training: Training) -> Path:
        """The output folder of ltu-train."""
        return self.path / training.name

    def log(self, training: Training) -> Path:
        """The training's log, which is written last: it says that the training is finished."""
        return self.training(training) / "log.json"

    def gguf(self, training: Training) -> Path:
        return self.training(training) / "model.gguf"

    def gate(self, training: Training) -> Path:
        """A base model's answers about the development words."""
        return self.training(training) / "gate.json"

    def labels(self, training: Training) -> Path:
        """How many labels of development clips the model names."""
        return self.training(training) / "labels.json"

    def terms(self, training: Training) -> Path:
        """Exact answers to the benchmark's questions about terms."""
        return self.training(training) / "terms.db"

    def named(self, training: Training) -> Path:
        """Likeliest answers to its questions for labels."""
        return self.training(training) / "named.db"

    def asked(self, training: Training) -> Path:
        """Is there when all answers are."""
        return self.training(training) / "asked"
