"""The study's folder: where everything lies that one start of the command leaves for the next."""

from dataclasses import dataclass
from pathlib import Path

from ltu.prompt import Format
from ltu.training.study.models import Training


@dataclass(frozen=True)
class Folder:
    path: Path

    @property
    def words(self) -> Path:
        return self.path / "words.jsonl"

    @property
    def benchmark(self) -> Path:
        return self.path / "benchmark.jsonl"

    @property
    def controls(self) -> Path:
        """The benchmark's questions that are asked again with something else in the clip's place."""
        return self.path / "controls.jsonl"

    @property
    def cache(self) -> Path:
        """Features, token ids and encoder outputs, shared by all trainings."""
        return self.path / "cache"

    @property
    def rates(self) -> Path:
        return self.path / "rates.json"

    def questions(self, name: str) -> Path:
        """Folder of one set of questions: OpenAQA's list and what is made of it."""
        return self.path / "questions" / name

    def items(self, name: str, format: Format, part: str = "base") -> Path:
        return self.questions(name) / f"{format}-{part}.jsonl"

    def start(self, seed: int) -> Path:
        return self.path / f"seed-{seed}" / "start"

    def training(self, training: Training) -> Path:
        """The output folder of ltu-train."""
        return self.path / training.name

    def log(self, training: Training) -> Path:
        """The training's log, which is written last: it says that the training is finished."""
        return self.training(training) / "log.json"

    def gguf(self, training: Training) -> Path:
        return self.training(training) / "model.gguf"

    def results(self, training: Training) -> Path:
        return self.training(training) / "results.db"

    def control_results(self, training: Training) -> Path:
        return self.training(training) / "controls.db"

    def report(self, training: Training) -> Path:
        """ltu-shard's report, which is written when all answers are there."""
        return self.training(training) / "report.json"

    def development(self, training: Training) -> Path:
        """Counts of the model's right answers about development clips."""
        return self.training(training) / "development.json"
