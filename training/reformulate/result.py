"""The result of one start: the output if every item is settled, and the figures in any case."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ltu.training.reformulate import rules
from ltu.training.reformulate.cost import Prices, batch_share
from ltu.training.reformulate.files import Files
from ltu.training.reformulate.openaqa import KINDS, Kind
from ltu.training.reformulate.output import Written, write
from ltu.training.reformulate.progress import Counts, Progress, Settings
from ltu.training.reformulate.quality import Figures, Quality
from ltu.version import __version__


@dataclass(frozen=True)
class Spent:
    """Tokens and dollars, as the server counts tokens."""

    input_tokens: int
    output_tokens: int
    dollars: float | None  # None: the prices aren't known


@dataclass(frozen=True)
class Task:
    """How the items of one kind fared; `figures`: of their prompts."""

    items: int
    valid_first: int  # accepted at the first try
    valid: int
    figures: Figures | None

    def to_json(self) -> dict[str, object]:
        counts = {"items": self.items, "valid_first": self.valid_first, "valid": self.valid}
        return counts | (asdict(self.figures) if self.figures else {})


@dataclass(frozen=True)
class Result:
    """`written`: None while items are pending or wait in batch files."""

    files: Files
    by: str
    counts: Counts
    written: Written | None
    quality: Quality
    spent: Spent | None = None  # None: nobody was paid
    problems: Mapping[str, int] = field(default_factory=dict)  # why answers were refused → how many
    tasks: Mapping[Kind, Task] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, object]:
        """What is one value each."""
        counts, written = self.counts, self.written
        facts: dict[str, object] = {"output": str(self.files.output), "by": self.by, "items": counts.items}
        if written is None:
            facts["output"] = f"{self.files.output}: not written before all is done"
            facts |= {"pending": counts.pending, "waiting_in_batch_files": counts.waiting}
        else:
            facts |= {"rows": written.rows, "failed": written.failed, "leaks": written.leaks}
            facts |= dict(self._beside())
        spent = asdict(self.spent) if self.spent else {}
        return facts | {name: value for name, value in spent.items() if value is not None}

    def _beside(self) -> Iterator[tuple[str, str]]:
        files = self.files
        beside = {"failed_file": files.failed, "leaks_file": files.leaks, "provenance_file": files.provenance}
        return ((name, str(path)) for name, path in beside.items() if path.exists())

    def to_json(self) -> dict[str, object]:
        if self.written is None:
            return self.facts
        return {
            **self.facts,
            "problems": dict(self.problems),
            "leaked_terms": dict(self.written.leaked_terms.most_common()),
            "quality": {kind: task.to_json() for kind, task in self.tasks.items()},
        }


def finish(
    source: Path, progress: Progress, files: Files, settings: Settings, prices: Prices | None
) -> Result:
    """Writes the output once every item has a prompt or has failed."""
    counts, quality, spent = progress.counts(), Quality(settings.seed), _spent(progress, settings, prices)
    if counts.pending or counts.waiting:
        return Result(files, settings.by, counts, None, quality, spent)
    made_by = {"made_by": f"ltu-reformulate {__version__}"}
    provenance = {**made_by, **settings.to_json(), "models": progress.models()}
    written = write(source, progress, files, provenance, quality)
    validity = progress.validity()
    tasks = {kind: Task(*validity[kind], quality.figures(kind)) for kind in KINDS if kind in validity}
    return Result(files, settings.by, counts, written, quality, spent, dict(progress.problems()), tasks)


def _spent(progress: Progress, settings: Settings, prices: Prices | None) -> Spent | None:
    if settings.by in (rules.NAME, rules.PREPENDED):
        return None
    direct, batched = progress.tokens(batched=False), progress.tokens(batched=True)
    dollars = None
    if prices:
        dollars = round(direct.dollars(prices) + batch_share() * batched.dollars(prices), 4)
    return Spent(direct.input + batched.input, direct.output + batched.output, dollars)
