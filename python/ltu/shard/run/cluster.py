"""A sweep on several machines: a model whose answers come from the workers of a Ray cluster (extra `ray`).

`ray start` makes the cluster; without one, the workers are processes of this machine. The sweep goes on as it
does with one model, and is the only one to write; a worker that dies is replaced and its clip asked again.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from itertools import groupby
from typing import Any

from ltu.audio import Clip
from ltu.errors import Error, needs
from ltu.query import Answer, Query
from ltu.shard.run.asking import Answers, Prompts

TRIES = 3  # of one clip, before a worker's death is the clip's fault
LARGEST = 256  # queries at once


class Worker:
    """One model in one process of the cluster."""

    def __init__(self, path: str, load: Callable[[str], Answers]) -> None:
        self.model = load(path)

    def answer(self, queries: list[Query]) -> list[Answer]:
        return list(self.model.answers(queries))


class Cluster:
    """`local` has tokenizer and metadata; its file must lie at the same path on every machine."""

    def __init__(
        self,
        local: Answers,
        workers: int,
        load: Callable[[str], Answers],
        threads: int | None = None,
        gpu: bool = False,
    ) -> None:
        """Starts the workers, which `load` the model; gpu: with one each where the cluster has some.

        Raises Error without ray.
        """
        with needs("ray"):
            ray: Any = import_module("ray")
        self._ray = ray
        if not ray.is_initialized():
            ray.init(log_to_driver=False)
        self.path, self.info = local.path, local.info
        self.sampling, self.max_new_tokens = local.sampling, local.max_new_tokens
        self._prompter, self.clip_threads = local.prompter, local.clip_threads
        gpus = 1 if gpu and ray.cluster_resources().get("GPU") else 0
        kind = ray.remote(num_cpus=threads or 1, num_gpus=gpus)(Worker)
        self._start: Callable[[], Any] = partial(kind.remote, self.path, load)
        self.workers = [self._start() for _ in range(workers)]

    def prepare(self, clips: Iterable[Clip]) -> None:
        """Nothing: each worker computes the features of the clips that it is asked about."""

    @property
    def prompter(self) -> Prompts:
        return self._prompter

    def answers(self, queries: Iterable[Query]) -> Iterator[Answer]:
        """Answers in whatever order they come; a worker has all queries about one clip. Raises Error."""
        parts = _parts(queries)
        again: deque[tuple[list[Query], int]] = deque()
        idle = list(self.workers)
        busy: dict[Any, tuple[Any, list[Query], int]] = {}
        while True:
            while idle and (part := again.popleft() if again else next(parts, None)):
                worker = idle.pop()
                busy[worker.answer.remote(part[0])] = (worker, *part)
            if not busy:
                return
            (done,), _ = self._ray.wait(list(busy), num_returns=1)
            worker, part_queries, tries = busy.pop(done)
            try:
                found = self._ray.get(done)
            except self._ray.exceptions.RayActorError as death:
                if tries == TRIES:
                    raise Error(f"workers die of one clip or cannot start: {_last_line(death)}") from death
                again.append((part_queries, tries + 1))
                self.workers.remove(worker)
                self.workers.append(self._start())
                idle.append(self.workers[-1])
                continue
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause if isinstance(error.cause, Error) else error from error
            idle.append(worker)
            yield from found


def _parts(queries: Iterable[Query]) -> Iterator[tuple[list[Query], int]]:
    """Queries about one clip together, with 1: the first try."""

    def heard(query: Query) -> tuple[str, ...]:
        return tuple(clip.hash for clip in query.sequence.clips)

    for _, group in groupby(queries, heard):
        part: list[Query] = []
        for query in group:
            part.append(query)
            if len(part) == LARGEST:
                yield part, 1
                part = []
        if part:
            yield part, 1


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()
