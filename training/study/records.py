"""What the study's steps write down about a model, for the steps after them and the report."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ltu.files import write_json
from ltu.prompt import Format

LEAST_J, LEAST_NAMED = 0.30, 0.50  # the gate
MOST_LOST = 0.05  # of the labels named, by a rate that may be chosen


@dataclass(frozen=True)
class Gate:
    """A base model on the development words, prepended and long: J of each relation, labels named."""

    j: Mapping[str, float]
    named: float

    @property
    def passed(self) -> bool:
        return self.named >= LEAST_NAMED and all(j >= LEAST_J for j in self.j.values())

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))


def read_gate(path: Path) -> Gate:
    return Gate(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Named:
    """Share of development clips whose label the model names, asked in the paper's way of each format."""

    share: Mapping[Format, float]

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))


def read_named(path: Path) -> Named:
    return Named(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Log:
    """A finished training. Losses are means over targets of development items: all text, answers alone."""

    model: str
    split: int
    seed: int
    rate: float
    steps: int
    text_loss: float
    answers_loss: float
    losses: tuple[Mapping[str, float], ...]  # the Trainer's, in order

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))


def read_log(path: Path) -> Log:
    table = json.loads(path.read_text(encoding="utf-8"))
    return Log(**{**table, "losses": tuple(table["losses"])})


@dataclass(frozen=True)
class Tried:
    """A rate that was tried. `lost`: the larger loss of labels named, of the formats in their own."""

    rate: float
    answers_loss: float  # mean of the formats
    lost: float


@dataclass(frozen=True)
class Rates:
    tried: tuple[Tried, ...]

    @property
    def chosen(self) -> float:
        """That with the least loss of those that cost at most MOST_LOST of the labels; else the smallest."""
        kept = [tried for tried in self.tried if tried.lost <= MOST_LOST]
        if not kept:
            return min(tried.rate for tried in self.tried)
        return min(kept, key=lambda tried: tried.answers_loss).rate

    @property
    def at_edge(self) -> bool:
        rates = [tried.rate for tried in self.tried]
        return self.chosen in (min(rates), max(rates))

    def write(self, path: Path) -> None:
        write_json(path, {**asdict(self), "chosen": self.chosen})


def read_rates(path: Path) -> Rates:
    table = json.loads(path.read_text(encoding="utf-8"))
    return Rates(tuple(Tried(**row) for row in table["tried"]))
