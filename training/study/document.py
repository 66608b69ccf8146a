"""Everything that a study says: the records of results.json."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ltu.training.study.claims import Judged
from ltu.training.study.contrasts import Estimate
from ltu.training.study.models import Training
from ltu.training.study.records import Gate, Log, Named, Rates
from ltu.training.study.sizes import Sizes

FORMAT = 2


@dataclass(frozen=True)
class Benchmark:
    """One split's; `kernels`: what its models were computed on."""

    split: int
    sha256: str
    words: int
    clips: int
    recordings: int
    questions: int
    kernels: tuple[str, ...]


@dataclass(frozen=True)
class GateRow:
    """A base model at the gate."""

    training: Training
    gate: Gate


@dataclass(frozen=True)
class ModelRow:
    """A training that is compared, and the labels of development clips that it names."""

    log: Log
    named: Named


@dataclass(frozen=True)
class Level:
    """Figures of one model in one task and way of asking, over recordings and seeds."""

    model: str
    task: str
    position: str
    wording: str
    figures: Mapping[str, Estimate]


@dataclass(frozen=True)
class Document:
    """`testable`: the tasks whose gate was met."""

    notes: tuple[str, ...]
    sizes: Sizes
    rates: Rates
    gates: tuple[GateRow, ...]
    testable: tuple[str, ...]
    benchmarks: tuple[Benchmark, ...]
    verdicts: tuple[Judged, ...]
    models: tuple[ModelRow, ...]
    levels: tuple[Level, ...]

    def to_json(self) -> dict[str, object]:
        short = tuple(replace(row, log=replace(row.log, losses=())) for row in self.models)
        return {"format": FORMAT, **_plain(asdict(replace(self, models=short)))}


def _plain(value: Any) -> Any:
    """With null in place of NaN and infinities, which JSON lacks."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
