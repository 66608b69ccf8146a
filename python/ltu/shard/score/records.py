"""What is said of a scored run: a record for each kind of row of its report."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ltu.shard.score.intervals import Estimate
from ltu.shard.score.scored import Scored


def or_none(value: float) -> float | None:
    """NaN, which JSON has no word for, is None."""
    return None if math.isnan(value) else value


def way(position: str, wording: str) -> str:
    """How a question is put, as readers see it."""
    return f"{position}, {wording.replace('_', ' ')}"


@dataclass(frozen=True)
class Condition:
    """One task put in one way."""

    task: str
    position: str
    wording: str

    @property
    def way(self) -> str:
        return way(self.position, self.wording)

    def holds(self, scored: Scored) -> bool:
        asked = scored.asked
        return (asked.task, asked.position, asked.wording) == (self.task, self.position, self.wording)


@dataclass(frozen=True)
class Figure:
    """A figure, its 95 % interval and standard error; None where there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    error: float | None = None

    @classmethod
    def of(cls, estimate: Estimate) -> "Figure":
        values = (estimate.value, estimate.low, estimate.high, estimate.error)
        return cls(*map(or_none, values))


@dataclass(frozen=True)
class Part(Condition):
    """Figures of all of a condition, or of a part of it."""

    part: str
    name: str
    reading: str
    questions: int
    positives: int
    words: int
    figures: Mapping[str, Figure]
    balanced: bool | None = None  # by term; told of parts that may not be
    over_noise: Figure | None = None  # J minus J of noise in the clips' place, of those


@dataclass(frozen=True)
class WordRow(Condition):
    """How often terms are taken of the clips of one word, and of noise in their place."""

    label: str
    group: str
    questions: int
    recall: float | None
    specificity: float | None
    unparsed: float | None
    noise_recall: float | None = None
    noise_specificity: float | None = None


@dataclass(frozen=True)
class Bounds:
    """A probability that lies between."""

    low: float
    high: float


@dataclass(frozen=True)
class IdentityRow(Condition):
    """How often labels are named."""

    control: str
    questions: int
    strict: Figure
    lenient: Figure
    relative_instead: Figure
    labels_per_answer: float
    precision: float | None
    exact: Bounds | None


@dataclass(frozen=True)
class ErrorSplit(Condition):
    """Wrong answers, and the share of each cause in them."""

    answers: int
    errors: int
    shares: Mapping[str, float | None]


@dataclass(frozen=True)
class GivenNamed(Condition):
    """J minus J with noise, on questions about clips whose label the model names."""

    questions: int
    over_noise: Figure


@dataclass(frozen=True)
class AudioUse(Condition):
    """J minus J with another word's clip in the place of each."""

    questions: int
    difference: Figure


@dataclass(frozen=True)
class Comparison(Condition):
    """A difference on the same questions. `figure`: j, or strict for identity; p_holm: corrected."""

    name: str
    figure: str
    questions: int
    difference: Figure
    p: float | None
    words_needed: int | None  # for 80 % power at 5 %
    clips_needed: int | None
    p_holm: float | None = None


@dataclass(frozen=True)
class Bin:
    """Questions of like probability: the mean of it, and the share whose answer is yes."""

    questions: int
    probability: float
    share: float


@dataclass(frozen=True)
class Calibration:
    """Of probabilities of yes. `risk`: (coverage, share of wrong decisions among the surest questions)."""

    questions: int
    brier: float
    ece: float
    log_loss: float
    auroc: float
    reliability: tuple[Bin, ...]
    risk: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class CalibrationRow(Condition):
    """The calibration of a condition, from one kind of probabilities."""

    source: str
    found: Calibration

    def to_json(self) -> dict[str, Any]:
        row = asdict(self)
        found: dict[str, Any] = row.pop("found")
        return row | found
