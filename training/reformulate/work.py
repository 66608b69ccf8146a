"""One start of the work: items are chosen and asked; the output is written once all are settled."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from ltu.training.reformulate import batch, rules
from ltu.training.reformulate.api import Endpoint, ask
from ltu.training.reformulate.cost import Estimate, Prices, batch_share, estimate
from ltu.training.reformulate.files import Files
from ltu.training.reformulate.openaqa import Item
from ltu.training.reformulate.progress import Progress, Settings
from ltu.training.reformulate.prompts import fingerprint
from ltu.training.reformulate.result import Result, finish
from ltu.training.reformulate.subset import Selection, selected, survey

Advance = Callable[[int], None]
"""Called with the number of items that were settled since the last call."""


@dataclass(frozen=True)
class Work:
    """`endpoint` None: prompts are made by rules, without a language model, or are the questions themselves
    (`prepended`).

    With `batch_write`, a folder, pending items go to batch files there; with `batch_read` the results of such
    files are read; with either, nothing is asked directly.
    """

    selection: Selection
    files: Files
    endpoint: Endpoint | None = None
    prices: Prices | None = None
    tries: int = 3  # answers for an item until it counts as failed
    concurrency: int = 16  # requests at a time
    batch_write: Path | None = None
    batch_read: tuple[Path, ...] = ()
    batch_forget: bool = False  # items that wait in batch files are pending again
    prepended: bool = False

    @property
    def settings(self) -> Settings:
        return Settings(
            source=self.selection.source.name,
            bytes=self.selection.source.stat().st_size,
            datasets=tuple(self.selection.datasets),
            limit=self.selection.limit,
            seed=self.selection.seed,
            by=self.endpoint.model if self.endpoint else rules.PREPENDED if self.prepended else rules.NAME,
            prompts=fingerprint("prompts" if self.endpoint else "rules"),
        )


class Watch:
    """Listens while the work goes on; this one keeps silent, a command's shows it."""

    def note(self, line: str) -> None:
        """A fact for the user."""

    def reading(self, source: Path) -> AbstractContextManager[object]:
        """The source is read through, which takes minutes for millions of items."""
        return nullcontext()

    def answering(self, items: int, settled: int) -> AbstractContextManager[Advance]:
        """Items are being settled, `settled` of `items` were before."""
        return nullcontext(lambda count: None)


def reformulate(work: Work, watch: Watch | None = None) -> Result:
    """Goes on where an earlier start on the same files ended. Raises Error."""
    watch = watch or Watch()
    if work.endpoint and not (work.batch_write or work.batch_read or work.files.progress.exists()):
        work.endpoint.client()  # raises for what it lacks before a large file is read
    progress = Progress(work.files.progress, work.tries)
    with progress.writing():
        progress.begin(work.settings, lambda: _select(work.selection, watch))
        if work.batch_forget:
            progress.forget_batches()
        for file in work.batch_read:
            watch.note(f"{file}: {batch.read_results(progress, file)}")
        if work.batch_write:
            _write_batches(work, work.batch_write, progress, watch)
        elif not work.batch_read:
            _answer(work, progress, watch)
        return finish(work.selection.source, progress, work.files, work.settings, work.prices)


def _select(selection: Selection, watch: Watch) -> Iterator[Item]:
    with watch.reading(selection.source):
        found = survey(selection)
    watch.note(found.describe(selection))
    if selection.limit and selection.limit > found.qualified:
        watch.note(f"fewer than {selection.limit}: all are taken")
    return selected(selection, found)


def _write_batches(work: Work, folder: Path, progress: Progress, watch: Watch) -> None:
    assert work.endpoint
    watch.note(f"estimate: {Estimate(estimate(progress.work()), work.prices, batch_share())}")
    for path, count in batch.write_requests(progress, folder, work.endpoint.model, work.selection.seed):
        watch.note(f"{path}: {count} requests")


def _answer(work: Work, progress: Progress, watch: Watch) -> None:
    counts = progress.counts()
    if counts.waiting:
        watch.note(
            f"{counts.waiting} items wait in batch files: --batch-read their results, or --batch-forget them"
        )
    if not counts.pending:
        return
    if work.endpoint:
        watch.note(f"estimate: {Estimate(estimate(progress.work()), work.prices)}")
    with watch.answering(counts.items, counts.items - counts.pending) as advance:
        if work.endpoint:
            ask(progress, work.endpoint, work.selection.seed, work.concurrency, lambda: advance(1))
        elif work.prepended:
            rules.keep_all(progress, advance)
        else:
            rules.answer_all(progress, work.selection.seed, advance)
